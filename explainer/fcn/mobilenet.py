"""The small trunk: MobileNetV2 (Sandler et al. 2018, table 2, width 1.0), batch norm folded.

Every 3×3 convolution of stride 2 pads one pixel on each side, so that on a side of 32n+1 pixels
cell u of a map of stride s is centred on pixel s·u (`explainer.fcn.geometry`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explainer.fcn.geometry import PIXELS, Lattice

# Output channels and stride of the 17 inverted residual blocks, the first without expansion.
BLOCKS: tuple[tuple[int, int], ...] = (
    (16, 1),
    (24, 2),
    (24, 1),
    (32, 2),
    (32, 1),
    (32, 1),
    (64, 2),
    (64, 1),
    (64, 1),
    (64, 1),
    (96, 1),
    (96, 1),
    (96, 1),
    (160, 2),
    (160, 1),
    (160, 1),
    (320, 1),
)
EXPANSION = 6
STEM_CHANNELS = 32
CHANNELS = {8: 192, 16: 576, 32: 320}
"""Channels of the features at each stride."""


class ConvReLU6(nn.Conv2d):
    """A convolution and ReLU6.

    The activation costs more memory traffic than arithmetic. In place it writes no second tensor;
    `fused`, it is applied while the convolution's kernel still holds the value (oneDNN's post-op,
    without gradients; `explainer.fcn.cpu.fuse` sets it where this PyTorch can).
    """

    fused = False

    def forward(self, input: Tensor) -> Tensor:
        if self.fused and not torch.is_grad_enabled():
            return torch.ops.mkldnn._convolution_pointwise(
                input,
                self.weight,
                self.bias,
                self.padding,
                self.stride,
                self.dilation,
                self.groups,
                "hardtanh",
                [0.0, 6.0],
                "",
            )
        return F.relu6(super().forward(input), inplace=True)


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    layer: type[nn.Conv2d] = nn.Conv2d,
) -> nn.Conv2d:
    """A convolution that keeps cells centred: padding d(k-1)/2 on each side."""
    padding = dilation * (kernel - 1) // 2
    return layer(inputs, outputs, kernel, stride, padding, dilation, groups)


class InvertedResidual(nn.Module):
    """1×1 expansion, 3×3 depthwise, 1×1 linear projection; the input is added where shapes allow.

    Maps (N, inputs, H, W) to (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, dilation: int = 1):
        super().__init__()
        hidden = inputs * expansion
        self.expand = conv(inputs, hidden, 1, layer=ConvReLU6) if expansion > 1 else None
        self.depthwise = conv(hidden, hidden, 3, stride, hidden, dilation, ConvReLU6)
        self.project = conv(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def expanded(self, x: Tensor) -> Tensor:
        """The features before the (possibly strided) depthwise convolution."""
        return x if self.expand is None else self.expand(x)

    def contracted(self, x: Tensor, expanded: Tensor) -> Tensor:
        """The rest of the block."""
        y = self.project(self.depthwise(expanded))
        return x + y if self.residual else y

    def forward(self, x: Tensor) -> Tensor:
        return self.contracted(x, self.expanded(x))


class MobileNetV2(nn.Module):
    """Photos (N, 3, 32n+1, 32m+1), RGB in -1 … 1, to features at strides 8, 16 and 32.

    The features at strides 8 and 16 are the widest ones just before the next subsampling (the
    expansions of blocks 6 and 13); those at stride 32 are the last block's.

    Args:
        dilated: keep stride 16 to the end and dilate the last blocks by 2 instead (Chen et al.
            2015): the same weights, four times as many cells. Then the key 32 holds stride 16.
    """

    def __init__(self, dilated: bool = False):
        super().__init__()
        # In a list of one: the name of its weights in files.
        self.stem = nn.Sequential(conv(3, STEM_CHANNELS, 3, stride=2, layer=ConvReLU6))
        self.blocks = nn.ModuleList()
        inputs = STEM_CHANNELS
        lattice = PIXELS.through(3, 2, 1)
        self.taps: dict[int, int] = {}
        for index, (outputs, stride) in enumerate(BLOCKS):
            if stride == 2 and lattice.stride in CHANNELS:
                self.taps[index] = lattice.stride
            keep = dilated and lattice.stride == 16
            dilation = 2 if keep and stride == 1 and outputs >= 160 else 1
            self.blocks.append(
                InvertedResidual(
                    inputs,
                    outputs,
                    1 if keep else stride,
                    EXPANSION if index else 1,
                    dilation,
                )
            )
            inputs = outputs
            lattice = lattice.through(3, 1 if keep else stride, dilation, dilation)

    @property
    def lattices(self) -> dict[int, Lattice]:
        """Where the features' cells sit in the photo, computed from the layers."""
        lattice = PIXELS
        found: dict[int, Lattice] = {}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                lattice = lattice.through(
                    module.kernel_size[0],
                    module.stride[0],
                    int(module.padding[0]),
                    module.dilation[0],
                )
                found[lattice.stride] = lattice
        return {stride: found[stride] for stride in CHANNELS if stride in found}

    def lower(self, x: Tensor, blocks: int) -> tuple[Tensor, dict[int, Tensor]]:
        """The stem and the first `blocks` blocks: their output, and the features passed so far."""
        return self._run(self.stem(x), 0, blocks)

    def upper(self, x: Tensor, blocks: int) -> dict[int, Tensor]:
        """The features that the blocks from number `blocks` on give, from what `lower` returned."""
        x, features = self._run(x, blocks, len(self.blocks))
        features[32] = x
        return features

    def _run(self, x: Tensor, start: int, stop: int) -> tuple[Tensor, dict[int, Tensor]]:
        features: dict[int, Tensor] = {}
        for index in range(start, stop):
            block = self.blocks[index]
            assert isinstance(block, InvertedResidual)
            expanded = block.expanded(x)
            if index in self.taps:
                features[self.taps[index]] = expanded
            x = block.contracted(x, expanded)
        return x, features

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        return self.upper(self.stem(x), 0)
