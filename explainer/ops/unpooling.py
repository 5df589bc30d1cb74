"""Unpooling: the transposes of the poolings.

Every upsampling here is the transpose of a downsampling: nearest neighbour of sum pooling, bed of
nails of strided subsampling, max unpooling of the selection that max pooling made.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.ops.grids import subsample
from explainer.ops.linear_map import LinearMap
from explainer.ops.names import grid_size
from explainer.ops.pooling import sum_pool
from explainer.ops.settings import Setting, Shape, check


def nearest_unpool(input_shape: Sequence[int], factor: Setting) -> LinearMap:
    """Every cell repeated in a block of factor × factor: the transpose of sum pooling.

    Raises:
        SettingError: factor < 1.

    >>> nearest_unpool((2, 2), 2)([[1, 2], [3, 4]]).astype(int).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    """
    factors, output = _enlarged(input_shape, factor)
    return sum_pool(output, factors).T


def bed_of_nails(input_shape: Sequence[int], factor: Setting) -> LinearMap:
    """Every cell in the first place of a block of zeros: the transpose of strided subsampling.

    Raises:
        SettingError: factor < 1.

    >>> bed_of_nails((2, 2), 2)([[1, 2], [3, 4]]).astype(int).tolist()
    [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    """
    factors, output = _enlarged(input_shape, factor)
    return subsample(output, factors).T


def max_unpool(
    values: ArrayLike, positions: ArrayLike, output_shape: Sequence[int]
) -> NDArray[np.float64]:
    """Values put where the maxima were, zeros elsewhere, as `F.max_unpool2d`.

    Where two values go to the same cell, the last one overwrites the others (in PyTorch with
    several threads, whichever happens to be written last); the transpose of the selection,
    `max_pool(…).selection.T(values)`, which is max pooling's gradient, adds them up. They are the
    same where windows do not overlap.

    Args:
        values: the pooled grid.
        positions: the flat output cell of each value, of the same shape.
        output_shape: the grid before pooling.

    Raises:
        ValueError: the shapes differ, or a position is no whole number or lies outside the output.
    """
    values, positions = np.asarray(values, np.float64), np.asarray(positions)
    if values.shape != positions.shape:
        raise ValueError(
            f"every value needs a position: {grid_size(values.shape)} values, "
            f"{grid_size(positions.shape)} positions"
        )
    if positions.size and not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(f"positions must be whole numbers, not {positions.dtype}")
    output = np.zeros(tuple(output_shape))
    if positions.min(initial=0) < 0 or positions.max(initial=0) >= output.size:
        raise ValueError(
            f"positions must lie between 0 and {output.size - 1} "
            f"in a grid of {grid_size(output.shape)} cells"
        )
    for place, value in zip(positions.ravel(), values.ravel(), strict=True):
        output.flat[place] = value
    return output


def _enlarged(input_shape: Sequence[int], factor: Setting) -> tuple[Shape, Shape]:
    found = check((), len(input_shape), size=tuple(input_shape), factor=factor)
    return found["factor"], tuple(
        n * f for n, f in zip(found["size"], found["factor"], strict=True)
    )
