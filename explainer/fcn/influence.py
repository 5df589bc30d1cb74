"""How much every pixel of a photo counts for one score: the effective receptive field.

Luo, Li, Urtasun & Zemel, "Understanding the effective receptive field in deep convolutional neural
networks", NIPS 2016: the gradient of one output with respect to the input. The receptive field says
which pixels can count; the size of the gradient says how much each does, at this photo.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explainer.fcn.network import FCN, ContextHead, fuse, pad
from explainer.fcn.segmenter import Segmenter

GREY = 128
"""Mid grey: as good as 0 for the network, which is what its padding holds."""


@dataclass(frozen=True)
class Influence:
    """How much every pixel counts for a class's score at a place.

    Attributes:
        y, x: the place, in pixels.
        class_index: whose score it is.
        stride: of the output whose score it is: 32 for FCN-32s, and so on.
        mass: (height, width) float64, the size of the gradient, summed over red, green and blue,
            as a share of the whole; all 0 where the score depends on no pixel.
    """

    y: int
    x: int
    class_index: int
    stride: int
    mass: NDArray[np.float64]

    def within(self, radius: float) -> float:
        """The share of the influence at most `radius` pixels away from the place."""
        return float(self.mass[distances(self.mass.shape, self.y, self.x) <= radius].sum())

    def radius(self, share: float = 0.9) -> float:
        """The radius, in pixels, of the smallest circle around the place that holds a share."""
        return radius_of(self.mass, self.y, self.x, share)


def distances(shape: tuple[int, ...], y: int, x: int) -> NDArray[np.float64]:
    """From the pixel (y, x) to every pixel of a photo of (height, width), in pixels."""
    height, width = shape[:2]
    return np.hypot(np.arange(height)[:, None] - y, np.arange(width)[None] - x)


def radius_of(mass: NDArray[np.float64], y: int, x: int, share: float = 0.9) -> float:
    """The radius of the smallest circle around (y, x) that holds a share of a mass (H, W)."""
    away = distances(mass.shape, y, x).ravel()
    order = np.argsort(away, kind="stable")
    held = np.cumsum(mass.ravel()[order])
    place = int(np.searchsorted(held, share * held[-1] * (1 - 1e-12)))
    return float(away[order[min(place, len(order) - 1)]])


def outside_grey(pixels: NDArray[np.uint8], y: int, x: int, radius: float) -> NDArray[np.uint8]:
    """A copy of a photo (H, W, 3) with all that is further from (y, x) than `radius` mid grey."""
    masked = pixels.copy()
    masked[distances(pixels.shape, y, x) > radius] = GREY
    return masked


def influence(
    segmenter: Segmenter,
    pixels: NDArray[np.uint8],
    y: int,
    x: int,
    *,
    stride: int = 32,
    class_index: int | None = None,
    photo_average: bool = True,
) -> Influence:
    """Which pixels a class's score at a place depends on, and how much, from one backward pass.

    It runs in a float32 copy of the network, so nothing that is shared changes.

    Args:
        segmenter: whose network it is.
        pixels: (H, W, 3) uint8 RGB.
        y, x: the place.
        stride: the output: 32 for FCN-32s, 16, 8.
        class_index: None for the class that wins there.
        photo_average: whether the path counts on which the coarsest head averages its features
            over the whole photo. Without it, what remains is what the unit's own window gives.

    Raises:
        IndexError: there is no such pixel or class.
    """
    height, width, _ = pixels.shape
    if not (0 <= y < height and 0 <= x < width):
        raise IndexError(f"pixel ({y}, {x}) is outside a photo of {height}×{width} pixels")
    network = copy.deepcopy(segmenter.network).float().requires_grad_(False)
    photo = torch.from_numpy(pixels.astype(np.float32)).to(segmenter.device).permute(2, 0, 1)
    with torch.enable_grad(), _average_held(network, not photo_average):
        photo.requires_grad_()
        scores = scores_at(network, photo, y, x, stride)
        chosen = int(scores.argmax()) if class_index is None else class_index
        if not 0 <= chosen < len(scores):
            raise IndexError(f"there is no class {chosen}: 0 … {len(scores) - 1}")
        (gradient,) = torch.autograd.grad(scores[chosen], photo)
    mass = gradient.abs().sum(0).double().cpu().numpy()
    return Influence(y, x, chosen, stride, mass / (mass.sum() or 1))


def scores_at(network: FCN, photo: Tensor, y: int, x: int, stride: int) -> Tensor:
    """The scores (classes,) of one output at a pixel of a photo (3, H, W) of values 0 … 255.

    Differentiable; computes in the photo's dtype, which must be the network's.
    """
    batch = pad(photo[None] / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    sums = fuse(network(batch), network.lattices)[stride][0]
    lattice = network.lattices[stride]
    rows, columns = (
        # The tent of bilinear interpolation, as in the last upsampling.
        (1 - (torch.arange(cells, dtype=sums.dtype) - lattice.cell(place)).abs()).clamp(min=0)
        for cells, place in zip(sums.shape[1:], (y, x), strict=True)
    )
    return torch.einsum("chw,h,w->c", sums, rows.to(sums), columns.to(sums))


@contextmanager
def _average_held(network: FCN, held: bool) -> Iterator[None]:
    """While this lasts, the average over the photo counts as a constant, if it is to be held."""
    heads = [head for head in network.heads.values() if isinstance(head, ContextHead)]
    hooks = [
        head.photo.register_forward_pre_hook(lambda _, inputs: (inputs[0].detach(),))
        for head in heads
        if held
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
