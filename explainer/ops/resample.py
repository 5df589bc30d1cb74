"""Resizing by nearest neighbour, bilinear and bicubic interpolation, as `F.interpolate` does it.

All are linear: output cell o looks at a place of the input that depends on o alone. With
align_corners the first and last cells of both grids coincide, o(n−1)/(m−1) for n → m cells; without
it their outer edges do, (o + ½)n/m − ½. Places outside are those of the border. Here weights follow
from the place and no kernel is shared, so links have no tap, and none is made for weight 0.

Without antialiasing, as in PyTorch by default: shrinking skips cells.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from explainer.ops.linear_map import LinearMap
from explainer.ops.settings import Setting, check

CUBIC = -0.75
"""The slope at distance 1 of PyTorch's cubic without antialiasing, of the family of Keys, "Cubic
convolution interpolation for digital image processing" (1981); Keys himself chose −½."""

Weights = Callable[[int, int], NDArray[np.float64]]
"""From the numbers of input and output cells along an axis to the matrix (outputs, inputs)."""


def nearest(input_shape: Sequence[int], output_size: Setting, exact: bool = False) -> LinearMap:
    """Each output copies one cell: `mode="nearest"`, or with `exact` `mode="nearest-exact"`.

    Args:
        output_size: cells, for all axes or one for each.
        exact: whether to look from the centres of the output cells, not from their left edges.

    Raises:
        SettingError: output_size < 1.
    """

    def weights(n: int, m: int) -> NDArray[np.float64]:
        # In single precision, as PyTorch does for images, so that places on a cell's edge agree.
        edge = np.arange(m, dtype=np.float32) + np.float32(0.5 if exact else 0)
        place = np.floor(edge * (np.float32(n) / np.float32(m))).astype(np.intp)
        return np.eye(n)[np.minimum(place, n - 1)]

    return _separable(input_shape, output_size, weights)


def bilinear(
    input_shape: Sequence[int], output_size: Setting, align_corners: bool = False
) -> LinearMap:
    """Linear interpolation along every axis: `mode="linear"`, `"bilinear"`, `"trilinear"`.

    Args:
        output_size: cells, for all axes or one for each.
        align_corners: whether the centres of the corner cells coincide, not their outer edges.

    Raises:
        SettingError: output_size < 1.
    """

    def weights(n: int, m: int) -> NDArray[np.float64]:
        place = np.maximum(_places(n, m, align_corners), 0)
        low = np.minimum(np.floor(place).astype(np.intp), n - 1)
        away = (place - low)[:, None]
        cells = np.eye(n)
        return (1 - away) * cells[low] + away * cells[np.minimum(low + 1, n - 1)]

    return _separable(input_shape, output_size, weights)


def bicubic(
    input_shape: Sequence[int], output_size: Setting, align_corners: bool = False
) -> LinearMap:
    """Cubic interpolation along every axis, four cells each: `mode="bicubic"` on two axes.

    Args:
        output_size: cells, for all axes or one for each.
        align_corners: whether the centres of the corner cells coincide, not their outer edges.

    Raises:
        SettingError: output_size < 1.
    """

    def weights(n: int, m: int) -> NDArray[np.float64]:
        place = _places(n, m, align_corners)
        low = np.floor(place).astype(np.intp)
        cells = np.eye(n)
        return sum(
            cubic(place - low - step)[:, None] * cells[np.clip(low + step, 0, n - 1)]
            for step in (-1, 0, 1, 2)
        )  # type: ignore[return-value]

    return _separable(input_shape, output_size, weights)


def cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys's cubic with slope `CUBIC`: the weight of a cell at a distance in cells."""
    t, a = np.abs(distance), CUBIC
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _places(n: int, m: int, align_corners: bool) -> NDArray[np.float64]:
    """Where each of m output cells looks among n input cells, in input cells."""
    output = np.arange(m)
    # One division of whole numbers: a place on a cell is exactly that, and has no second link.
    if align_corners:
        return output * (n - 1) / max(m - 1, 1)
    return ((2 * output + 1) * n - m) / (2 * m)


def _separable(input_shape: Sequence[int], output_size: Setting, weights: Weights) -> LinearMap:
    found = check((), len(input_shape), size=tuple(input_shape), output_size=output_size)
    axes = [weights(n, m) for n, m in zip(found["size"], found["output_size"], strict=True)]
    links = [np.nonzero(axis) for axis in axes]
    grid = np.meshgrid(*(np.arange(len(rows)) for rows, _ in links), indexing="ij")

    def flat(side: int, shape: tuple[int, ...]) -> NDArray[np.intp]:
        places = [link[side][at].ravel() for link, at in zip(links, grid, strict=True)]
        return np.ravel_multi_index(places, shape)

    values = reduce(np.multiply.outer, [axis[link] for axis, link in zip(axes, links, strict=True)])
    return LinearMap.from_links(
        found["size"],
        found["output_size"],
        flat(0, found["output_size"]),
        flat(1, found["size"]),
        np.ravel(values),
    )
