"""How cells, weights and numbers are written."""

import pytest

from explainer.ops import brief, letters, names, number
from explainer.ops.names import factor


def test_cells_are_counted_from_one():
    assert names("x", (2, 3)).tolist() == [["x11", "x12", "x13"], ["x21", "x22", "x23"]]
    assert names("z", (12,))[-1] == "z12"
    assert names("w", (2, 12))[1, 10] == "w2,11"
    assert names("w", (2, 1, 3))[1, 0, 2] == "w213"


def test_the_letter_grids_of_the_slides():
    grid = letters((5, 5))
    assert (grid[0, 0], grid[1, 0], grid[4, 4]) == ("a", "f", "y")
    assert letters((3, 3), skip="i").ravel().tolist() == list("abcdefghj")
    assert letters((28,))[25:].tolist() == ["z", "aa", "ab"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (3.0, "3"), (-2, "−2"), (0.25, "0.25"), (1 / 3, "0.3333"),
     (-1 / 3, "−0.3333"), (123456, "123456"), (1e-7, "1e−07"), (1e20, "1e+20")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (399920004, "4.0e8"),
        (-1234567, "−1.2e6"),
        (99_960_000, "1.0e8"),
        (1e15, "1.0e15"),
        (-0.0001235, "−1.2e−4"),
    ],
)
def test_numbers_in_brief(value, text):
    assert brief(value) == text


def test_negative_numbers_stand_in_brackets_in_a_product():
    assert (factor(-2), factor(2)) == ("(−2)", "2")
