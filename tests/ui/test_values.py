"""Edited numbers in the address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.ui import values

NUMBERS = st.integers(-9999, 9999) | st.integers(-(10**7), 10**7).map(lambda i: i / 10_000)


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=1, max_size=4)
    )
)
def test_what_is_written_is_read_again(rows):
    text = values.written(rows)
    assert values.read(text, (len(rows), len(rows[0]))) == rows
    assert values.readable(text)
    assert len(text) <= sum(len(f"{value:.4f}") + 1 for row in rows for value in row)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("1,2;3", (2, 2)),
        ("1,2;3,4", (2, 3)),
        ("1,2", (2, 2)),
        ("", (1, 1)),
        ("1,nan", (1, 2)),
        ("1,inf", (1, 2)),
        ("1e9", (1, 1)),
        ("99999", (1, 1)),
        ("0.12345", (1, 1)),
        ("1;;2", (3, 1)),
        ("__import__('os')", (1, 1)),
        ("1," * 500 + "1", (1, 501)),
    ],
)
def test_what_is_no_grid_of_this_shape_is_none(text, shape):
    assert values.read(text, shape) is None


@given(st.text(max_size=40))
def test_any_text_is_a_grid_or_none(text):
    found = values.read(text, (1, 2))
    assert found is None or (len(found), len(found[0])) == (1, 2)
    assert values.readable(text) in (True, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 3 ", 3.0),
        ("−2", -2.0),
        ("–2.5", -2.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0", 0.0),
        ("1,5", 1.5),
        ("−,25", -0.25),
        ("½", 0.5),
        ("−¼", -0.25),
        ("2¾", 2.75),
        ("1/4", 0.25),
        ("−3 / 2", -1.5),
        ("2/3", 0.6667),
        ("9999", 9999.0),
        ("−9999.0000", -9999.0),
    ],
)
def test_numbers_as_people_type_them(text, value):
    assert values.number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ",",
        "1e3",
        "10000",
        "9999.5",
        "0.33333",
        "1/0",
        "1/-2",
        "1/2/3",
        "1.5/2",
        "10000/2",
        "½5",
        "½½",
        "1.½",
        "1,2,3",
        "+1",
        "∞",
    ],
)
def test_what_is_none_of_the_accepted_numbers(text):
    assert values.number(text) is None


@given(st.integers(-99_990_000, 99_990_000))
def test_every_number_that_is_said_to_be_accepted_is(ten_thousandths):
    value = ten_thousandths / 10_000
    assert values.number(f"{value:.4f}") == value
    assert values.number(f"{value:.4f}".replace(".", ",")) == value


def test_numbers_are_written_short():
    assert values.written([[1.0, -0.5, 0.25, -0.0, 100.0]]) == "1,-0.5,0.25,0,100"


def test_one_number_is_replaced_and_the_grid_is_left_alone():
    rows = [[1.0, 2.0], [3.0, 4.0]]
    assert values.replaced(rows, 1, 0, 9.0) == [[1.0, 2.0], [9.0, 4.0]]
    assert rows == [[1.0, 2.0], [3.0, 4.0]]
