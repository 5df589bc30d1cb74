"""Impossible settings: the error names parameter, rule and values, and its suggestions work."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.ops import (
    SettingError,
    conv,
    conv_size,
    max_pool,
    pool_size,
    same_padding,
    tf_size,
    tf_transposed_size,
    transposed_conv,
    transposed_size,
)
from explainer.ops.settings import LOWEST, PAIRED

KERNEL_RULE = "dilation·(kernel − 1) + 1 must not exceed size + 2·padding"
WRONG: list[Any] = [1.7, "3", None, float("nan")]
CASES = [
    (
        lambda: conv_size(2, 3),
        "kernel",
        KERNEL_RULE,
        ({"size": 3}, {"kernel": 2}, {"padding": 1}),
    ),
    (lambda: conv_size(4, 3, stride=0), "stride", "must be at least 1", ({"stride": 1},)),
    (lambda: conv_size(4, 3, padding=-2), "padding", "must be at least 0", ({"padding": 0},)),
    (
        lambda: conv_size(4, 3, stride=WRONG[0]),
        "stride",
        "must be a whole number",
        ({"stride": 2},),
    ),
    (lambda: conv_size(4, 3, stride=True), "stride", "must be a whole number", ({"stride": 1},)),
    (lambda: conv_size(4, WRONG[1]), "kernel", "must be a whole number", ({"kernel": 1},)),
    (lambda: conv_size(4, WRONG[2]), "kernel", "must be a whole number", ({"kernel": 1},)),
    (
        lambda: conv_size(4, WRONG[3]),
        "kernel",
        "must be a whole number",
        ({"kernel": 1},),
    ),
    (
        lambda: conv_size((4, 4), (3, 3, 3)),
        "kernel",
        "must be one number, or 2, one for each axis",
        ({"kernel": 3},),
    ),
    (lambda: conv((4,), np.ones((2, 2))), "kernel", "must be one number", ({"kernel": 2},)),
    (
        lambda: conv_size((2, 9), (3, 4)),
        "kernel",
        KERNEL_RULE,
        ({"size": (3, 9)}, {"kernel": (2, 4)}, {"padding": 1}),
    ),
    (
        lambda: transposed_size(2, 3, 2, 1, 2),
        "output_padding",
        "must be smaller than stride or dilation",
        ({"stride": 3}, {"output_padding": 1}, {"dilation": 3}),
    ),
    # Neither setting alone mends two broken rules.
    (
        lambda: transposed_size(1, 1, 1, 1, 1),
        "output_padding",
        "must be smaller than stride or dilation",
        (
            {"padding": 0, "output_padding": 0},
            {"size": 2, "stride": 2},
            {"size": 2, "dilation": 2},
        ),
    ),
    # Several axes, each with a broken rule of its own.
    (
        lambda: transposed_size((2, 3), (3, 2), (3, 2), (1, 0), (4, 5), (1, 2)),
        "output_padding",
        "must be smaller than stride or dilation",
        ({"output_padding": (2, 1)}, {"stride": (5, 6)}, {"dilation": (5, 6)}),
    ),
    (
        lambda: pool_size(4, 2, padding=2),
        "padding",
        "must be at most half of kernel",
        ({"padding": 1}, {"kernel": 4}),
    ),
    (
        lambda: pool_size(2, 5, 2, ceil_mode=True),
        "kernel",
        "dilation·(kernel − 1) + 1 must not exceed size + 2·padding by stride or more",
        ({"size": 4}, {"kernel": 3}, {"stride": 4}, {"padding": 1}),
    ),
    (
        lambda: tf_size(2, 3, scheme="VALID"),
        "kernel",
        "with VALID, dilation·(kernel − 1) + 1 must not exceed size",
        ({"size": 3}, {"kernel": 2}),
    ),
    (
        lambda: tf_transposed_size(2, 3, scheme="same"),  # type: ignore[arg-type]
        "scheme",
        "must be SAME or VALID",
        ({"scheme": "SAME"}, {"scheme": "VALID"}),
    ),
    (lambda: same_padding(0, 3), "size", "must be at least 1", ({"size": 1},)),
    (
        lambda: conv((), np.ones(())),
        "size",
        "must be one number",
        ({"size": 1, "kernel": 1},),
    ),
]


@pytest.mark.parametrize(("call", "parameter", "rule", "suggestions"), CASES)
def test_the_error_tells_all(call, parameter, rule, suggestions):
    with pytest.raises(SettingError) as caught:
        call()
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.parameter, error.rule) == (parameter, rule)
    assert sorted(map(repr, error.suggestions)) == sorted(map(repr, suggestions))
    assert parameter in error.values
    message = str(error)
    assert message.startswith(f"{parameter}: {rule}; got ")
    for name, value in error.values.items():
        assert f"{name}={value}" in message
    for change in suggestions:
        for name, value in change.items():
            assert f"{name}={value}" in message


def test_the_nearest_suggestion_comes_first():
    with pytest.raises(SettingError) as caught:
        conv_size(9, 3, dilation=6)
    assert caught.value.suggestions == (
        {"kernel": 2},
        {"padding": 2},
        {"dilation": 4},
        {"size": 13},
    )


def conv_works(size, kernel, stride, padding, dilation):
    return size + 2 * padding >= dilation * (kernel - 1) + 1


def transposed_works(size, kernel, stride, padding, output_padding, dilation):
    canvas = (size - 1) * stride + dilation * (kernel - 1) + 1
    return output_padding < max(stride, dilation) and canvas - 2 * padding + output_padding >= 1


@pytest.mark.parametrize(
    ("operation", "works"), [(conv_size, conv_works), (transposed_size, transposed_works)]
)
@given(data=st.data())
def test_no_setting_that_works_is_nearer(operation, works, data):
    values = {name: data.draw(st.integers(LOWEST[name], 9), name) for name in OPERATIONS[operation]}
    try:
        operation(**values)
    except SettingError as caught:
        suggestions = caught.suggestions
    else:
        return

    def nearest(name: str) -> int | None:
        for step in range(1, 120):
            for to in (values[name] - step, values[name] + step):
                if to >= LOWEST[name] and works(**values | {name: to}):
                    return step
        return None

    alone = {name: step for name in values if (step := nearest(name)) is not None}
    found = [
        {name: abs(to - values[name]) for name, to in change.items()} for change in suggestions
    ]
    if alone:
        assert {name: step for change in found for name, step in change.items()} == alone
        assert all(len(change) == 1 for change in found)
        return
    distance = max(sum(change.values()) for change in found)
    for one, other in combinations(values, 2):
        for step in range(1, min(distance, PAIRED) - 1):
            for rest in range(1, min(distance, PAIRED) - step):
                for ways in product((-1, 1), repeat=2):
                    pair = {
                        one: values[one] + ways[0] * step,
                        other: values[other] + ways[1] * rest,
                    }
                    low = any(to < LOWEST[name] for name, to in pair.items())
                    assert low or not works(**values | pair)


def test_the_nearest_may_be_hundreds_of_steps_away():
    with pytest.raises(SettingError) as caught:
        conv_size(100, 300)
    assert caught.value.suggestions == ({"padding": 100}, {"size": 300}, {"kernel": 100})
    with pytest.raises(SettingError) as caught:
        conv_size(5, 11, padding=7, dilation=9)
    assert {"size": 77} in caught.value.suggestions


def test_numbers_whose_products_leave_64_bits_are_refused():
    with pytest.raises(SettingError, match="must be at most 2147483647") as caught:
        conv_size(4, 2, 10**19)
    assert conv_size(**(caught.value.values | caught.value.suggestions[0])) == 1


def test_a_float_is_mended_to_the_number_beside_it():
    for half in (np.float32, np.float64, float):
        with pytest.raises(SettingError) as caught:
            conv_size(9, half(3.4))  # pyright: ignore[reportArgumentType]
        assert caught.value.suggestions == ({"kernel": 3},)


def test_far_away_from_anything_valid():
    with pytest.raises(SettingError) as caught:
        conv_size(1, 5000)
    for change in caught.value.suggestions:
        conv_size(**(caught.value.values | change))
    assert {"kernel": 1} in caught.value.suggestions
    with pytest.raises(SettingError) as caught:
        transposed_size(1, 1, 1, 10**12, 10**12)
    (change,) = caught.value.suggestions
    assert transposed_size(**(caught.value.values | change)) == 1


anything = st.one_of(
    st.integers(-2, 9), st.tuples(*[st.integers(-1, 6)] * 2), st.sampled_from([2.5, None, "x"])
)
OPERATIONS = {
    conv_size: ("size", "kernel", "stride", "padding", "dilation"),
    transposed_size: ("size", "kernel", "stride", "padding", "output_padding", "dilation"),
    pool_size: ("size", "kernel", "stride", "padding", "dilation"),
    tf_size: ("size", "kernel", "stride", "dilation"),
    tf_transposed_size: ("size", "kernel", "stride"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_every_suggestion_works(operation, data):
    values = {name: data.draw(anything, name) for name in OPERATIONS[operation]}
    try:
        operation(**values)
    except SettingError as caught:
        error = caught
    else:
        return
    assert error.suggestions
    for change in error.suggestions:
        mended = operation(**(error.values | change))
        assert np.min(mended) >= 1
        assert all(repr(error.values[name]) != repr(value) for name, value in change.items())


def test_suggestions_of_an_operation_work_for_the_operation():
    with pytest.raises(SettingError) as caught:
        transposed_conv((2, 2), np.ones((3, 3)), stride=2, padding=1, output_padding=2)
    for change in caught.value.suggestions:
        settings = {"stride": 2, "padding": 1, "output_padding": 2} | change
        assert min(transposed_conv((2, 2), np.ones((3, 3)), **settings).output_shape) >= 1
    with pytest.raises(SettingError) as caught:
        max_pool(np.ones((3, 3)), 2, padding=2)
    assert max_pool(np.ones((3, 3)), 2, **caught.value.suggestions[0]).values.shape == (2, 2)


def test_numpy_numbers_and_lists_are_settings():
    assert conv_size((np.int64(5), 6), [3, 2], np.int32(2)) == (2, 3)
    assert conv_size(5, (3, 2)) == (3, 4)
    assert conv_size(5, np.array(3)) == 3


def test_suggestions_are_searched_for_once_and_only_when_asked_for():
    asked = []

    def search():
        asked.append("search")
        yield {"size": 3}

    error = SettingError("size", "must be 3", {"size": 2}, search())
    assert not asked
    assert str(error) == "size: must be 3; got size=2. Would work: size=3"
    assert error.suggestions == ({"size": 3},)
    assert asked == ["search"]
    assert str(SettingError("size", "must be 3", {"size": 2}, ())) == "size: must be 3; got size=2"
