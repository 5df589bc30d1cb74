"""Edited numbers in the address: short text for a grid of numbers, and back, checked.

Rows are parted by `;`, numbers by `,`: `1,2;3,4`. What is written is as short as it can be.
"""

import math
import re

Rows = list[list[float]]

LONGEST = 1000
"""Letters that a grid in the address may have: three channels of 12×12 digits, and some more."""

LARGEST = 9999.0

_NUMBER = re.compile(r"-?(\d{1,4}(\.\d{0,4})?|\.\d{1,4})")
_QUOTIENT = re.compile(r"(-?\d{1,4})/(\d{1,4})")
_FRACTIONS = {"¼": ".25", "½": ".5", "¾": ".75"}


def written(rows: Rows) -> str:
    """The text for a grid of numbers, `1,2;3,4`."""
    return ";".join(",".join(_short(value) for value in row) for row in rows)


def read(text: str, shape: tuple[int, int]) -> Rows | None:
    """The grid that a text stands for; None where it is none of this (rows, columns)."""
    if len(text) > LONGEST:
        return None
    rows = [[number(cell) for cell in row.split(",")] for row in text.split(";")]
    known = [[cell for cell in row if cell is not None] for row in rows]
    if len(rows) != shape[0] or any(len(row) != shape[1] for row in known):
        return None
    if any(len(row) != shape[1] for row in rows):
        return None
    return known


def readable(text: str) -> bool:
    """Whether a text stands for a grid of any shape."""
    columns = text.split(";")[0].count(",") + 1
    return read(text, (text.count(";") + 1, columns)) is not None


ACCEPTED = f"a number from −{LARGEST:.0f} to {LARGEST:.0f} with at most four decimals or as 1/4"
"""What `number` takes, in words."""


def number(text: str) -> float | None:
    """The number that somebody typed; None where it is none of those in `ACCEPTED`.

    With any minus sign, a decimal point or comma, and ¼, ½ or ¾ at its end as the pictures write
    them. A quotient is rounded to the decimals that the address keeps.
    """
    text = text.strip().replace("−", "-").replace("–", "-").replace(",", ".")
    text = text[:-1] + _FRACTIONS.get(text[-1:], text[-1:])
    if quotient := _QUOTIENT.fullmatch(text.replace(" ", "")):
        above, below = map(int, quotient.groups())
        return round(above / below, 4) if below else None
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= LARGEST else None


def replaced(rows: Rows, row: int, column: int, value: float) -> Rows:
    """The grid with one number changed."""
    copy = [list(line) for line in rows]
    copy[row][column] = value
    return copy


def _short(value: float) -> str:
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
