"""The numbers with which a lesson starts, and those that a visitor has edited."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explainer.ops import kernels
from explainer.ui import values

Floats = NDArray[np.float64]

OWN = "own"
KERNELS = ("ones", "edge", "blur", "tent", "identity", "random", OWN)
"""What the control for the weights offers; "own" are the numbers in the address."""

_DIGITS = np.random.default_rng(5).integers(0, 10, (16, 16)).astype(np.float64)


def digits(shape: Sequence[int]) -> Floats:
    """Digits that look like any others, the same for every size: a larger grid only adds some."""
    if len(shape) == 1:
        return _DIGITS.ravel()[: shape[0]].copy()
    return _DIGITS[: shape[0], : shape[1]].copy()


def edited(text: str, start: Floats) -> Floats:
    """The numbers in the address where they fit this grid, or else those to start with."""
    rows = values.read(text, as_rows(start).shape) if text else None
    return start if rows is None else np.array(rows, np.float64).reshape(start.shape)


def fits(text: str, shape: Sequence[int]) -> bool:
    """Whether the numbers in the address are for a grid of this shape."""
    rows, columns = (1, *shape) if len(shape) == 1 else shape
    return values.read(text, (rows, columns)) is not None


def weights(name: str, shape: Sequence[int], seed: int = 0, own: str = "") -> Floats:
    """A kernel by its name in `KERNELS`; "own" without fitting numbers starts from ones."""
    shape = tuple(shape)
    if name == OWN:
        return edited(own, kernels.ones(shape))
    if name == "random":
        return kernels.random(shape, seed)
    return kernels.NAMED[name](shape)


def own(name: str, text: str) -> str:
    """The edited weights of the address, where the kernel is the visitor's own; else ""."""
    return text if name == OWN else ""


def as_rows(grid: Floats) -> Floats:
    """A grid as rows and columns; one axis becomes one row."""
    return np.atleast_2d(grid)


def with_cell(grid: Floats, row: int, column: int, value: float) -> str:
    """The text for the address of a grid in which one number was changed."""
    rows = as_rows(grid).tolist()
    return values.written(values.replaced(rows, row, column, value))
