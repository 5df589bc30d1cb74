"""The networks that stand beside each other, each in the form that the product runs its own in."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from explainer.fcn.network import FCN, pad
from explainer.fcn.resnet import FCNResNet50
from explainer.fcn.segmenter import Segmenter, trunk_dtype
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
    """An FCN of today's size, torchvision's FCN-ResNet50 with random weights, and its pass.

    Its batch norm is folded into the convolutions, as in all networks here.
    """
    dtype = trunk_dtype(device)
    network = FCNResNet50().eval().requires_grad_(False)
    network.to(device, dtype).to(memory_format=torch.channels_last)  # pyright: ignore
    mean = torch.tensor((0.485, 0.456, 0.406), device=device).view(1, 3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225), device=device).view(1, 3, 1, 1)

    def scores(photos: Tensor) -> dict[int, Tensor]:
        prepared = ((photos / 255 - mean) / deviation).to(dtype)
        return network(prepared.contiguous(memory_format=torch.channels_last))

    return network, scores
