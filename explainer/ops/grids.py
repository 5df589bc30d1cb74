"""Maps that only move cells: padding, cropping, subsampling, zero insertion, pixel shuffle.

All are selections: every cell goes to one place at most, with weight 1. The transpose of padding is
cropping, and the transpose of subsampling is zero insertion.
"""

from collections.abc import Sequence

import numpy as np

from explainer.ops.linear_map import LinearMap, gather
from explainer.ops.settings import Rule, Setting, SettingError, Shape, check


def pad(input_shape: Sequence[int], before: Sequence[int], after: Sequence[int]) -> LinearMap:
    """Zeros around a grid, or, where a number is negative, cells cut off (`F.pad` with zeros).

    Args:
        before, after: cells to add on either side, for each axis.

    Raises:
        SettingError: nothing would be left along an axis.
    """
    output = tuple(n + b + a for n, b, a in zip(input_shape, before, after, strict=True))
    if min(output) < 1:
        values = {"size": tuple(input_shape), "before": tuple(before), "after": tuple(after)}
        least = tuple(max(a, a + 1 - n) for a, n in zip(after, output, strict=True))
        rule = "size + before + after must be at least 1 on every axis"
        raise SettingError("after", rule, values, [{"after": least}])
    return window(input_shape, [-b for b in before], output)


def window(
    input_shape: Sequence[int], start: Sequence[int], output_shape: Sequence[int]
) -> LinearMap:
    """The grid seen through a frame: output cell i is input cell start + i, or nothing outside.

    Raises:
        SettingError: one of the grids has no cells, or another number of axes than the input.
    """
    check((), len(input_shape), size=tuple(input_shape), output_size=tuple(output_shape))
    return _every(input_shape, start, (1,) * len(input_shape), output_shape)


def subsample(input_shape: Sequence[int], stride: Setting, offset: Setting = 0) -> LinearMap:
    """Every stride-th cell, from cell `offset` on: a 1-tap convolution with stride.

    Its transpose is bed-of-nails unpooling.

    Raises:
        SettingError: stride < 1, or the offset is not below the size.
    """
    inside = Rule("offset", "must be less than size", lambda here: here["offset"] < here["size"])
    found = check(
        (inside,), len(input_shape), size=tuple(input_shape), stride=stride, offset=offset
    )
    output = tuple(
        -(-(n - o) // s)
        for n, o, s in zip(found["size"], found["offset"], found["stride"], strict=True)
    )
    return _every(input_shape, found["offset"], found["stride"], output)


def zero_insertion(input_shape: Sequence[int], stride: Setting) -> LinearMap:
    """stride − 1 zeros between neighbouring cells: n cells become (n−1)s + 1.

    Raises:
        SettingError: stride < 1.
    """
    found = check((), len(input_shape), size=tuple(input_shape), stride=stride)
    spread = [(n - 1) * s + 1 for n, s in zip(found["size"], found["stride"], strict=True)]
    return subsample(spread, found["stride"]).T


def pixel_shuffle(input_shape: Sequence[int], factor: Setting) -> LinearMap:
    """Sub-pixel upsampling, a permutation: (C·s², H, W) to (C, H·s, W·s), on any number of axes.

    Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network" (2016); `F.pixel_shuffle` where H and W share s.

    Args:
        input_shape: channels first.
        factor: s, the same for all axes or one for each (of H, W).

    Raises:
        SettingError: the channels are no multiple of the product of the factors.
    """
    grid = tuple(input_shape[1:])
    factors = check((), len(grid), size=grid, factor=factor)["factor"]
    phases = int(np.prod(factors))
    if input_shape[0] < 1 or input_shape[0] % phases:
        values = {"channels": input_shape[0], "factor": factor}
        nearest = max(1, round(input_shape[0] / phases)) * phases
        rule = f"must be a multiple of {phases}, the product of the factors"
        raise SettingError("channels", rule, values, [{"channels": nearest}])
    axes = len(grid)
    source = np.arange(np.prod(input_shape)).reshape(-1, *factors, *grid)
    # (C, s, s, H, W) to (C, H, s, W, s)
    order = [0, *(axis for pair in range(1, axes + 1) for axis in (axes + pair, pair))]
    output: Shape = tuple(n * s for n, s in zip(grid, factors, strict=True))
    return gather(input_shape, source.transpose(order).reshape(-1, *output))


def _every(
    input_shape: Sequence[int],
    start: Sequence[int],
    step: Sequence[int],
    output_shape: Sequence[int],
) -> LinearMap:
    """Output cell i copies input cell start + i·step of each axis, if there is one."""
    cells = [
        first + np.arange(count) * by
        for first, by, count in zip(start, step, output_shape, strict=True)
    ]
    grid = np.meshgrid(*cells, indexing="ij")
    inside = np.ones(tuple(output_shape), bool)
    for places, size in zip(grid, input_shape, strict=True):
        inside &= (places >= 0) & (places < size)
    flat = np.ravel_multi_index(grid, tuple(input_shape), mode="clip")
    return gather(input_shape, np.where(inside, flat, -1))
