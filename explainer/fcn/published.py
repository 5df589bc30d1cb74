"""The networks of the paper: FCN-VGG16, FCN-AlexNet and FCN-GoogLeNet, layer by layer.

Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015,
section 4, and the authors' release for Caffe. The photo is padded by 100 pixels on each side, so
that every photo is large enough; pooling rounds up; fc6 and fc7 are convolutions. Upsampling is
fixed and bilinear as in the release (in the paper the 2× layers are learned), and where the maps
are cropped follows from where their cells sit. Dropout does nothing after training and is left out.

FCN-GoogLeNet was never released ("coming soon"). Here it is what the paper's section 4.1 says of
it: GoogLeNet without the final average pooling, only the last of the three losses; the padding of
100 is that of the other two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explainer.fcn.geometry import PIXELS, Lattice, Upsampling, bilinear_upsampling
from explainer.fcn.network import upsample
from explainer.fcn.resnet import FCNResNet50
from explainer.fcn.resnet import path as resnet_path
from explainer.ops.receptive import Layer, receptive_fields

PADDING = 100
"""Zeros around the photo, in pixels, by the first convolution."""

CLASSES = 21

UPSCORES = {32: "upscore2", 16: "upscore_pool4"}
"""The release's names of the upsampling by two that starts at each stride."""

SCORES = {32: "score_fr", 16: "score_pool4", 8: "score_pool3"}
"""The release's names of the score layers."""


class Conv(nn.Conv2d):
    """A convolution and its ReLU: (N, inputs, H, W) to (N, outputs, h, w)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ):
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)
        self.path = (Layer(kernel, stride, padding),)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input), inplace=True)


class Pool(nn.MaxPool2d):
    """Max pooling whose last window may hang over the end, as Caffe's does."""

    def __init__(self, kernel: int, stride: int, padding: int = 0):
        super().__init__(kernel, stride, padding, ceil_mode=True)
        self.path = (Layer(kernel, stride, padding),)


class Normalisation(nn.Module):
    """Local response normalisation over five channels (Krizhevsky et al. 2012, section 3.3), with
    Caffe's constants.

    In fp32: the squares of large activations lose too much in bf16.
    """

    path: tuple[Layer, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x.float(), 5, alpha=1e-4, beta=0.75).to(x.dtype)


class Inception(nn.Module):
    """Four parallel branches, joined along the channels (Szegedy et al. 2015, figure 2b).

    Args:
        inputs: channels of the input.
        one: of the 1×1 branch; three, five: before and after the 3×3 and 5×5; pooled: after the
            pooling.
    """

    def __init__(
        self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int
    ):
        super().__init__()
        self.one = Conv(inputs, one, 1)
        self.three_reduce = Conv(inputs, three[0], 1)
        self.three = Conv(*three, 3, padding=1)
        self.five_reduce = Conv(inputs, five[0], 1)
        self.five = Conv(*five, 5, padding=2)
        self.pool = Pool(3, 1, 1)
        self.pool_proj = Conv(inputs, pooled, 1)
        self.outputs = one + three[1] + five[1] + pooled
        # The branch that sees most, and the one with the most layers.
        self.path = (*self.five_reduce.path, *self.five.path)

    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.one(x),
            self.three(self.three_reduce(x)),
            self.five(self.five_reduce(x)),
            self.pool_proj(self.pool(x)),
        )
        return torch.cat(branches, 1)


Block = Conv | Pool | Normalisation | Inception


@dataclass(frozen=True)
class Stage:
    """A block of the trunk: its name in the release, and the part of the net it is counted with."""

    part: str
    name: str
    block: Block


@dataclass(frozen=True)
class Definition:
    """A network of the paper.

    Attributes:
        title: its name in the paper.
        build: gives the blocks of the trunk, first to last.
        taps: after which block each stride's scores are taken, and its channels.
        dropped: layers of the classifier at its end that the FCN leaves out.
        paper: what the paper says of it.
    """

    title: str
    build: Callable[[], tuple[Stage, ...]]
    taps: Mapping[int, tuple[str, int]]
    paper: "Figures"
    dropped: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Figures:
    """Figures of a network, as in Table 1 of Long et al. (2015).

    Attributes:
        parameters: weights and biases, without those of the fixed upsampling.
        conv_layers: convolutions one after the other, the score layer among them.
        field: receptive field of a score, in pixels, with the layers of the classifier that the
            FCN leaves out.
        stride: of the scores, in pixels.
        mean_iu: on the validation photos, in percent; forward_ms: a pass at 500×500 on a Tesla
            K40c. Both are the paper's; None where they were not measured.
    """

    parameters: int
    conv_layers: int
    field: int
    stride: int
    mean_iu: float | None = None
    forward_ms: float | None = None


def vgg16(
    widths: tuple[int, ...] = (64, 128, 256, 512, 512), hidden: int = 4096
) -> tuple[Stage, ...]:
    """The blocks of VGG16 (Simonyan & Zisserman 2015), padded, its linear layers as convolutions.

    Args:
        widths: channels of the five groups of convolutions.
        hidden: channels of fc6 and fc7.
    """
    stages: list[Stage] = []
    inputs = 3
    for block, (convs, outputs) in enumerate(zip((2, 2, 3, 3, 3), widths, strict=True), start=1):
        for place in range(1, convs + 1):
            padding = PADDING if not stages else 1
            conv = Conv(inputs, outputs, 3, padding=padding)
            stages.append(Stage(f"conv{block}", f"conv{block}_{place}", conv))
            inputs = outputs
        stages.append(Stage(f"conv{block}", f"pool{block}", Pool(2, 2)))
    return (
        *stages,
        Stage("fc6", "fc6", Conv(inputs, hidden, 7)),
        Stage("fc7", "fc7", Conv(hidden, hidden, 1)),
    )


def _alexnet() -> tuple[Stage, ...]:
    # CaffeNet: normalisation after pooling, two groups in conv2, conv4 and conv5.
    return (
        Stage("conv1", "conv1", Conv(3, 96, 11, 4, PADDING)),
        Stage("conv1", "pool1", Pool(3, 2)),
        Stage("conv1", "norm1", Normalisation()),
        Stage("conv2", "conv2", Conv(96, 256, 5, padding=2, groups=2)),
        Stage("conv2", "pool2", Pool(3, 2)),
        Stage("conv2", "norm2", Normalisation()),
        Stage("conv3", "conv3", Conv(256, 384, 3, padding=1)),
        Stage("conv4", "conv4", Conv(384, 384, 3, padding=1, groups=2)),
        Stage("conv5", "conv5", Conv(384, 256, 3, padding=1, groups=2)),
        Stage("conv5", "pool5", Pool(3, 2)),
        Stage("fc6", "fc6", Conv(256, 4096, 6)),
        Stage("fc7", "fc7", Conv(4096, 4096, 1)),
    )


# Szegedy et al. (2015), table 1: 1×1; 3×3 reduce, 3×3; 5×5 reduce, 5×5; after the pooling.
_INCEPTIONS: Mapping[str, tuple[int, tuple[int, int], tuple[int, int], int]] = {
    "3a": (64, (96, 128), (16, 32), 32),
    "3b": (128, (128, 192), (32, 96), 64),
    "4a": (192, (96, 208), (16, 48), 64),
    "4b": (160, (112, 224), (24, 64), 64),
    "4c": (128, (128, 256), (24, 64), 64),
    "4d": (112, (144, 288), (32, 64), 64),
    "4e": (256, (160, 320), (32, 128), 128),
    "5a": (256, (160, 320), (32, 128), 128),
    "5b": (384, (192, 384), (48, 128), 128),
}


def _googlenet() -> tuple[Stage, ...]:
    stages = [
        Stage("conv1", "conv1", Conv(3, 64, 7, 2, PADDING)),
        Stage("conv1", "pool1", Pool(3, 2)),
        Stage("conv1", "norm1", Normalisation()),
        Stage("conv2", "conv2_reduce", Conv(64, 64, 1)),
        Stage("conv2", "conv2", Conv(64, 192, 3, padding=1)),
        Stage("conv2", "norm2", Normalisation()),
        Stage("conv2", "pool2", Pool(3, 2)),
    ]
    inputs = 192
    for name, widths in _INCEPTIONS.items():
        inception = Inception(inputs, *widths)
        stages.append(Stage(f"inception {name[0]}", f"inception_{name}", inception))
        inputs = inception.outputs
        if name in ("3b", "4e"):
            stages.append(Stage(f"inception {name[0]}", f"pool{name[0]}", Pool(3, 2)))
    return tuple(stages)


DEFINITIONS: Mapping[str, Definition] = {
    "fcn-vgg16": Definition(
        "FCN-VGG16",
        vgg16,
        {32: ("fc7", 4096), 16: ("pool4", 512), 8: ("pool3", 256)},
        Figures(134_000_000, 16, 404, 32, 56.0, 210),
    ),
    "fcn-alexnet": Definition(
        "FCN-AlexNet",
        _alexnet,
        {32: ("fc7", 4096)},
        Figures(57_000_000, 8, 355, 32, 39.8, 50),
    ),
    "fcn-googlenet": Definition(
        "FCN-GoogLeNet",
        _googlenet,
        {32: ("inception_5b", 1024)},
        Figures(6_000_000, 22, 907, 32, 42.5, 59),
        dropped=(Layer(7, name="pool5"),),
    ),
}


@dataclass(frozen=True)
class Crop:
    """How a map is cut out of a larger one: the first row and column, and the new lattice."""

    offset: int
    lattice: Lattice


def aligned(coarse: Lattice, fine: Lattice) -> Crop:
    """Where the upsampled coarse map begins on the fine one (Caffe's coordinate map).

    The tent's first tap lies (k−1)/2 cells before the coarse map's cell 0.

    Raises:
        ValueError: the coarse map begins before the fine one.
    """
    factor = coarse.stride // fine.stride
    shift = fine.cell(coarse.first)
    kernel = 2 * factor - 1 if shift.is_integer() else 2 * factor
    offset = shift - (kernel - 1) / 2
    if offset < 0 or not offset.is_integer():
        raise ValueError(f"no cell of {fine} lies where {coarse} begins: {offset:g}")
    return Crop(int(offset), Lattice(fine.stride, fine.pixel(offset)))


class PublishedFCN(nn.Module):
    """A network of the paper: photos (N, 3, H, W), prepared, to score maps by stride.

    The names of its parameters are those of the release. As with the release, weights are the
    caller's business: fresh ones are PyTorch's random ones.

    Args:
        name: of its definition.
        strides: whose scores it has: (32,) is FCN-32s, (32, 16) FCN-16s, (32, 16, 8) FCN-8s.
        classes: how many.

    Raises:
        ValueError: a stride that the network has no scores of.
    """

    fades = True
    """Beyond the outermost cells the outputs' scores fade to 0."""

    def __init__(
        self,
        name: str = "fcn-vgg16",
        strides: tuple[int, ...] | None = None,
        classes: int = CLASSES,
    ):
        super().__init__()
        self.definition = DEFINITIONS[name]
        taps = self.definition.taps
        self.strides = tuple(sorted(taps if strides is None else strides, reverse=True))
        if 32 not in self.strides or self.strides != tuple(taps)[: len(self.strides)]:
            raise ValueError(f"{self.definition.title} has scores at {tuple(taps)}, coarse to fine")
        self.stages = self.definition.build()
        for stage in self.stages:
            self.add_module(stage.name, stage.block)
        for stride in self.strides:
            self.add_module(SCORES[stride], nn.Conv2d(taps[stride][1], classes, 1))
        self.learned = nn.ParameterDict()
        """Dense upsampling weights (classes, classes, k, k) where they are not bilinear."""
        self.crops = self._crops()

    def _crops(self) -> dict[int, Crop]:
        tapped = {self.definition.taps[stride][0]: stride for stride in self.strides}
        raw: dict[int, Lattice] = {}
        lattice = PIXELS
        for stage in self.stages:
            for layer in stage.block.path:
                lattice = lattice.through(layer.kernel, layer.stride, layer.padding)
            if stage.name in tapped:
                raw[tapped[stage.name]] = lattice
        crops = {32: Crop(0, raw[32])}
        for coarse, fine in zip(self.strides, self.strides[1:], strict=False):
            crops[fine] = aligned(crops[coarse].lattice, raw[fine])
        return crops

    @property
    def lattices(self) -> dict[int, Lattice]:
        """Where the cells of each cropped score map sit in the photo."""
        return {stride: crop.lattice for stride, crop in self.crops.items()}

    @property
    def offsets(self) -> dict[str, int]:
        """What each map is cropped by, by the name of what is cropped; "final" is the last."""
        found = {
            self.definition.taps[stride][0]: self.crops[stride].offset
            for stride in self.strides
            if stride != 32
        }
        return found | {"final": self.final.padding}

    @property
    def final(self) -> Upsampling:
        """The upsampling to the photo."""
        return bilinear_upsampling(self.lattices[self.strides[-1]], PIXELS)

    def score_layer(self, stride: int) -> nn.Conv2d:
        """The convolution that gives a stride's scores."""
        layer = self.get_submodule(SCORES[stride])
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(
        self, photos: Tensor, after: Callable[[str], None] = lambda part: None
    ) -> dict[int, Tensor]:
        """Score maps (N, classes, h, w) by stride, in the dtype of the score layers, cropped.

        Args:
            photos: (N, 3, H, W), prepared as the weights expect it; any size.
            after: is called with the name of each part of the net when it is done.
        """
        tapped = {self.definition.taps[stride][0]: stride for stride in self.strides}
        features: dict[int, Tensor] = {}
        x = photos
        for place, stage in enumerate(self.stages):
            x = stage.block(x)
            if stage.name in tapped:
                features[tapped[stage.name]] = x
            if place + 1 == len(self.stages) or self.stages[place + 1].part != stage.part:
                after(stage.part)
        scores: dict[int, Tensor] = {}
        rows, columns = features[32].shape[-2:]
        for stride in self.strides:
            layer = self.score_layer(stride)
            if stride != 32:
                rows, columns = 2 * rows + 2, 2 * columns + 2
            begin = self.crops[stride].offset
            feature = features[stride][..., begin : begin + rows, begin : begin + columns]
            scores[stride] = layer(feature.to(layer.weight.dtype))
        after("scores")
        return scores

    def output(self, scores: Mapping[int, Tensor], height: int, width: int) -> Tensor:
        """The finest output's scores at every pixel: (N, classes, height, width).

        With the learned upsampling where the weights bring one, else bilinear. The release computes
        it so; `Segmentation` gives the same from the score maps alone where all is bilinear.
        """
        total = scores[32]
        for coarse, fine in zip(self.strides, self.strides[1:], strict=False):
            total = self._up(UPSCORES[coarse], total, coarse, self.lattices[fine]) + scores[fine]
        return self._up("upscore", total, self.strides[-1], PIXELS, (height, width))

    def _up(
        self,
        name: str,
        scores: Tensor,
        stride: int,
        fine: Lattice,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        return upsample(scores, self.lattices[stride], fine, size, self.learned.get(name))

    def upsampling_kernels(self) -> dict[str, int]:
        """The size of the kernel of each upsampling, by name; the last is "upscore"."""
        found = {UPSCORES[stride]: 4 for stride in self.strides[:-1]}
        return found | {"upscore": self.final.kernel}


RESNET = "fcn-resnet50"
"""The name of torchvision's network, which stands beside those of the paper."""

AnyFCN = PublishedFCN | FCNResNet50


def build(name: str, strides: tuple[int, ...] | None = None) -> AnyFCN:
    """A network by name, with PyTorch's random weights; strides as `PublishedFCN` takes them."""
    return FCNResNet50() if name == RESNET else PublishedFCN(name, strides)


def path(name: str) -> tuple[Layer, ...]:
    """The layers of a network that see most, first to last, named as their blocks."""
    if name == RESNET:
        return resnet_path()
    with torch.device("meta"):
        stages = DEFINITIONS[name].build()
    return tuple(
        Layer(layer.kernel, layer.stride, layer.padding, layer.dilation, stage.name)
        for stage in stages
        for layer in stage.block.path
    )


def figures(name: str) -> Figures:
    """The figures of a network, computed from its definition; the skips' scores left out."""
    with torch.device("meta"):
        network = build(name, (32,))
    parameters = sum(weights.numel() for weights in network.parameters())
    layers = path(name)
    if isinstance(network, FCNResNet50):
        depth = sum(layer.name != "pool" for layer in layers)
    else:
        convs = [s.block for s in network.stages if isinstance(s.block, Conv | Inception)]
        depth = sum(len(block.path) for block in convs) + 1
        layers = (*layers, *DEFINITIONS[name].dropped)
    last = receptive_fields(layers)[-1]
    return Figures(parameters, depth, last.size, last.stride)


@dataclass(frozen=True)
class Work:
    """What a pass costs.

    Attributes:
        multiply_adds: by part of the net, of one photo.
        weights: how many numbers they are.
        largest: numbers in the largest input and output of one layer together.
    """

    multiply_adds: Mapping[str, int]
    weights: int
    largest: int

    @property
    def total(self) -> int:
        """Multiply-adds of the whole net."""
        return sum(self.multiply_adds.values())

    def memory(self, bytes_each: int) -> int:
        """About how many bytes a pass needs, weights and the two largest maps."""
        return bytes_each * (self.weights + self.largest)


def work(name: str, height: int, width: int, strides: tuple[int, ...] | None = None) -> Work:
    """What a pass over a photo costs, from the shapes alone: nothing is computed."""
    with torch.device("meta"):
        network = build(name, strides)
        photo = torch.empty(1, 3, height, width)
    counts: dict[str, int] = {}
    running = largest = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal running, largest
        if isinstance(module, nn.Conv2d):
            taps = prod(module.weight.shape[1:])
            running += taps * output.numel()
        largest = max(largest, inputs[0].numel() + output.numel())

    def part_done(part: str) -> None:
        nonlocal running
        counts[part] = running
        running = 0

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(count)
    network(photo, part_done)
    weights = sum(parameter.numel() for parameter in network.parameters())
    return Work(counts, weights, largest)


def initialise(network: nn.Module, seed: int = 0) -> None:
    """Random weights that keep the size of activations (He et al. 2015), the same for a seed.

    Such a network can be run to see shapes and times; its labels mean nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = prod(module.weight.shape[1:])
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.zero_()
