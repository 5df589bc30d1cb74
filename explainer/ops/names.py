"""How cells, weights and numbers are written: x12, w11, a … y, −0.25."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explainer.ops.settings import Shape

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def names(prefix: str, shape: Sequence[int]) -> NDArray[np.object_]:
    """A name for every cell of a grid, counted from 1 as on the slides.

    Returns an array of strings of the given shape. Indices above 9 are parted by commas.

    >>> names("x", (2, 2)).tolist()
    [['x11', 'x12'], ['x21', 'x22']]
    """
    parted = "," if len(shape) > 1 and max(shape, default=0) > 9 else ""
    grid = np.empty(tuple(shape), object)
    for cell in np.ndindex(*shape):
        grid[cell] = prefix + parted.join(str(index + 1) for index in cell)
    return grid


def letters(shape: Sequence[int], skip: str = "") -> NDArray[np.object_]:
    """A letter for every cell of a grid: a, b, … z, then aa, ab, …

    Returns an array of strings of the given shape. `skip="i"` gives a 3×3 kernel the letters a … j.

    >>> letters((2, 3)).tolist()
    [['a', 'b', 'c'], ['d', 'e', 'f']]
    """
    alphabet = [letter for letter in ALPHABET if letter not in skip]
    grid = np.empty(tuple(shape), object)
    for place, cell in enumerate(np.ndindex(*shape)):
        name, rest = "", place + 1
        while rest:
            rest, letter = divmod(rest - 1, len(alphabet))
            name = alphabet[letter] + name
        grid[cell] = name
    return grid


def number(value: float) -> str:
    """A number for reading: whole ones in full, others to four digits, with a real minus sign.

    >>> number(-0.25), number(3.0), number(1 / 3)
    ('−0.25', '3', '0.3333')
    """
    value = float(value)
    if value.is_integer() and abs(value) < 1e15:
        text = str(int(value))
    else:
        text = f"{value:.4g}"
    return text.replace("-", "−")


def brief(value: float) -> str:
    """A number for where there is little room: two digits and a power of ten.

    >>> brief(399920004.0), brief(-0.000123)
    ('4.0e8', '−1.2e−4')
    """
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}".replace("-", "−")


def factor(value: float) -> str:
    """A number inside a product: negative ones in brackets."""
    return f"({number(value)})" if value < 0 else number(value)


def grid_size(shape: Shape) -> str:
    """A shape for reading: 3×4, or for one axis 3."""
    return "×".join(map(str, shape))
