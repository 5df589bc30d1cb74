"""FCN-ResNet50 as torchvision has it: dilated instead of strided, one output, no skips.

Trunk: ResNet-50 (He et al. 2016, table 1; stride in the 3×3 convolution, as torchvision builds it),
whose last two groups keep stride 8 and dilate by 2 and 4 instead (Chen et al. 2015). Head: 3×3 to
512 channels, 1×1 to the classes. The scores are enlarged as `interpolate(align_corners=False)`
does. Batch norm is folded into the convolutions when weights are read.

Cell u of the trunk's map is centred on pixel 8u, and `align_corners=False` puts its score on pixel
8u + 3.5: the outputs lie 3.5 pixels right of and below what the cells see. The weights were trained
so; here it is kept.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explainer.fcn.geometry import Lattice
from explainer.fcn.mobilenet import conv
from explainer.ops.receptive import Layer

STRIDE = 8
GROUPS: tuple[tuple[int, int, int, int], ...] = (
    # Blocks, width, stride of the first block, dilation of all but the first.
    (3, 64, 1, 1),
    (4, 128, 2, 1),
    (6, 256, 1, 2),
    (3, 512, 1, 4),
)
EXPANSION = 4
HIDDEN = 512
CLASSES = 21
EPSILON = 1e-5
"""Of PyTorch's batch norm."""

Values = Mapping[str, Tensor]


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, and the input added: (N, inputs, H, W) to (N, 4·width, H/stride, W/stride)."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int):
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = conv(inputs, width, 1)
        self.conv2 = conv(width, width, 3, stride, dilation=dilation)
        self.conv3 = conv(width, outputs, 1)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class FCNResNet50(nn.Module):
    """Photos (N, 3, H, W), prepared, to scores by stride, here one: (N, classes, ⌈H/8⌉, ⌈W/8⌉).

    Photos are padded right and below to a multiple of 8 with zeros, the mean of ImageNet once they
    are prepared. Where the sides are multiples of 8 all is as in torchvision; else torchvision
    stretches the scores by a cell's fraction instead.

    Args:
        width: channels of the first group; 64 but for tests.
        classes: how many.
    """

    strides = (STRIDE,)
    lattices: Mapping[int, Lattice] = {STRIDE: Lattice(STRIDE, (STRIDE - 1) / 2)}
    fades = False
    """Beyond the outermost cells the output keeps their scores."""
    learned: Mapping[str, Tensor] = {}
    """No upsampling has weights."""

    def __init__(self, width: int = 64, classes: int = CLASSES):
        super().__init__()
        self.conv1 = conv(3, width, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.ModuleList()
        inputs, before = width, 1
        for blocks, of_64, stride, dilation in GROUPS:
            group = nn.Sequential()
            for place in range(blocks):
                first = place == 0
                # The first block still has the dilation of the group before.
                block = Bottleneck(
                    inputs,
                    of_64 * width // 64,
                    stride if first else 1,
                    before if first else dilation,
                )
                inputs = EXPANSION * of_64 * width // 64
                group.append(block)
            before = dilation
            self.layers.append(group)
        self.head = conv(inputs, HIDDEN * width // 64, 3)
        self.score = conv(HIDDEN * width // 64, classes, 1)

    def score_layer(self, stride: int) -> nn.Conv2d:
        """The convolution that gives the scores."""
        return {STRIDE: self.score}[stride]

    def forward(
        self, photos: Tensor, after: Callable[[str], None] = lambda part: None
    ) -> dict[int, Tensor]:
        """Scores, in the dtype of the score layer.

        Args:
            photos: (N, 3, H, W), prepared; any size.
            after: is called with the name of each part of the net when it is done.
        """
        height, width = photos.shape[-2:]
        x = F.pad(photos, (0, -width % STRIDE, 0, -height % STRIDE))
        x = self.pool(F.relu(self.conv1(x)))
        after("conv1")
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x)
            after(f"layer{number}")
        x = F.relu(self.head(x))
        after("head")
        scores = self.score(x.to(self.score.weight.dtype))
        after("scores")
        return {STRIDE: scores}


def path() -> tuple[Layer, ...]:
    """The layers that see most, first to last."""
    with torch.device("meta"):
        network = FCNResNet50()
    found = [_layer("conv1", network.conv1), Layer(3, 2, 1, name="pool")]
    for number, group in enumerate(network.layers, start=1):
        for name, module in group.named_modules():
            if isinstance(module, nn.Conv2d) and not name.endswith("downsample"):
                found.append(_layer(f"layer{number}.{name}", module))
    return (*found, _layer("head", network.head), _layer("score", network.score))


def _layer(name: str, module: nn.Conv2d) -> Layer:
    (kernel, _), (stride, _), (dilation, _) = module.kernel_size, module.stride, module.dilation
    return Layer(kernel, stride, int(module.padding[0]), dilation, name)


def torchvision_names(network: FCNResNet50) -> dict[str, tuple[str, str | None]]:
    """For each convolution, torchvision's name of it and of the batch norm after it, if any."""
    found: dict[str, tuple[str, str | None]] = {
        "conv1": ("backbone.conv1", "backbone.bn1"),
        "head": ("classifier.0", "classifier.1"),
        "score": ("classifier.4", None),
    }
    for name, module in network.layers.named_modules():
        if isinstance(module, nn.Conv2d):
            group, block, layer = name.split(".")
            here = f"backbone.layer{int(group) + 1}.{block}"
            if layer == "downsample":
                found[f"layers.{name}"] = (f"{here}.downsample.0", f"{here}.downsample.1")
            else:
                found[f"layers.{name}"] = (f"{here}.{layer}", f"{here}.bn{layer[-1]}")
    return found


def folded(weight: Tensor, norm: Values) -> tuple[Tensor, Tensor]:
    """Weights and biases of a convolution that does what it and the batch norm after it do.

    γ(Wx − μ)/√(σ² + ε) + β = (γ/√(σ² + ε))·Wx + (β − γμ/√(σ² + ε)), in double precision.

    Args:
        weight: (outputs, inputs, k, k).
        norm: "weight" γ, "bias" β, "running_mean" μ and "running_var" σ², (outputs,) each.
    """
    gamma, beta, mean, variance = (
        norm[part].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / (variance + EPSILON).sqrt()
    return (weight.double() * scale[:, None, None, None]).float(), (beta - mean * scale).float()
