"""The networks that stand beside each other, each in the form that the product runs its own in."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explainer.fcn.network import FCN, pad
from explainer.fcn.segmenter import Segmenter, trunk_dtype
from explainer.fcn.voc import CLASSES
from explainer.fcn.weights import load_small

Pass = Callable[[Tensor], object]
"""Photos (N, 3, H, W) uint8 on the device to score maps."""


def three_heads(device: str) -> Segmenter:
    """The product's network, warmed up as the app does: on a CPU that sets the threads for all."""
    segmenter = Segmenter.load(device=device)
    segmenter.warm_up()
    return segmenter


def scores_of(segmenter: Segmenter) -> Callable[[Tensor], dict[int, Tensor]]:
    """The pass of a segmenter without what comes before and after: photos (N, 3, H, W) uint8 on
    its device to score maps (N, classes, h, w) fp32 by stride."""

    def scores(photos: Tensor) -> dict[int, Tensor]:
        batch = pad(photos.to(segmenter.dtype) / 127.5 - 1)
        return segmenter.network(batch.contiguous(memory_format=torch.channels_last))

    return scores


def three_nets(device: str) -> list[Segmenter]:
    """FCN-32s, FCN-16s and FCN-8s as three separate nets, each with a trunk of its own."""
    nets = []
    for strides in ((32,), (32, 16), (32, 16, 8)):
        whole = load_small(None)
        heads: dict[int, nn.Module] = {stride: whole.heads[str(stride)] for stride in strides}
        nets.append(Segmenter(FCN(whole.trunk, heads).eval(), device))
    return nets


def large(device: str) -> tuple[nn.Module, Pass]:
    """An FCN of today's size, with random weights: torchvision's FCN-ResNet50, and its pass."""
    dtype = trunk_dtype(device)
    network = FCNResNet50(len(CLASSES)).eval().requires_grad_(False)
    network.to(device, dtype).to(memory_format=torch.channels_last)  # pyright: ignore
    mean = torch.tensor((0.485, 0.456, 0.406), device=device).view(1, 3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225), device=device).view(1, 3, 1, 1)

    def scores(photos: Tensor) -> Tensor:
        prepared = ((photos / 255 - mean) / deviation).to(dtype)
        return network(prepared.contiguous(memory_format=torch.channels_last))

    return network, scores


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 with batch norm (He et al. 2016, figure 5), the stride on the 3×3."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int):
        super().__init__()
        outputs = 4 * width
        self.layers = nn.Sequential(
            *_normalised(inputs, width, 1),
            nn.ReLU(inplace=True),
            *_normalised(width, width, 3, stride, dilation),
            nn.ReLU(inplace=True),
            *_normalised(width, outputs, 1),
        )
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Sequential(*_normalised(inputs, outputs, 1, stride) if changes else ())

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x), inplace=True)


class FCNResNet50(nn.Module):
    """The shape of torchvision's `fcn_resnet50` without the auxiliary head.

    ResNet-50 whose last two stages keep stride 8 and dilate by 2 and 4 instead, and a head of one
    3×3 convolution to 512 channels: photos (N, 3, H, W) to scores (N, classes, ⌈H/8⌉, ⌈W/8⌉).
    """

    def __init__(self, classes: int):
        super().__init__()
        layers: list[nn.Module] = [
            *_normalised(3, 64, 7, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        inputs, dilation = 64, 1
        for width, count, stride, dilate in (
            (64, 3, 1, 1),
            (128, 4, 2, 1),
            (256, 6, 1, 2),
            (512, 3, 1, 2),
        ):
            for place in range(count):
                # As in torchvision, the first block of a stage still has the dilation before.
                layers.append(Bottleneck(inputs, width, 1 if place else stride, dilation))
                inputs = 4 * width
                if place == 0:
                    dilation *= dilate
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            *_normalised(inputs, inputs // 4, 3), nn.ReLU(inplace=True), nn.Conv2d(512, classes, 1)
        )

    def forward(self, photos: Tensor) -> Tensor:
        return self.head(self.trunk(photos))


def _normalised(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1
) -> tuple[nn.Module, nn.Module]:
    padding = dilation * (kernel - 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
    return conv, nn.BatchNorm2d(outputs)
