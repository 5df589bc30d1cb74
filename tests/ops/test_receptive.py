"""Receptive fields in closed form against the composed maps, and against torch's gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.ops import (
    Layer,
    SettingError,
    compose,
    conv,
    effective_field,
    holes,
    layer_maps,
    reached,
    receptive_fields,
    stack_coverage,
    subsample,
    transposed_conv,
)
from explainer.ops.receptive import Field, composed, parameters, without_stride

layers = st.lists(
    st.builds(
        Layer,
        kernel=st.integers(1, 4),
        stride=st.integers(1, 3),
        padding=st.integers(0, 2),
        dilation=st.integers(1, 2),
    ),
    min_size=1,
    max_size=4,
)


@given(stack=layers)
def test_the_closed_form_is_the_span_of_the_composed_maps(stack):
    *_, field = receptive_fields(stack)
    size = 3 * field.size + 4 * field.stride + 1
    maps = layer_maps(stack, size)
    unit = maps[-1].output_shape[0] // 2
    seen = reached(maps, unit)
    inside = [pixel for pixel in field.of(unit) if 0 <= pixel < size]
    if len(inside) == field.size and all(layer.padding == 0 for layer in stack):
        places = np.flatnonzero(seen)
        assert (places[0], places[-1]) == (inside[0], inside[-1])
    assert set(np.flatnonzero(seen)) <= set(inside)

    tensor = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
    out = tensor
    for layer in stack:
        ones = torch.ones(1, 1, layer.kernel, dtype=torch.float64)
        out = F.conv1d(out, ones, None, layer.stride, layer.padding, layer.dilation)
    out[0, 0, unit].backward()
    assert tensor.grad is not None
    np.testing.assert_array_equal(effective_field(maps, unit), tensor.grad[0, 0])
    np.testing.assert_array_equal(seen, tensor.grad[0, 0].numpy() > 0)


@given(stack=layers)
def test_one_row_times_the_matrices_is_the_row_of_the_product(stack):
    maps = layer_maps(stack, 250)
    product = compose(*reversed(maps))
    unit = maps[-1].output_shape[0] - 1
    np.testing.assert_array_equal(effective_field(maps, unit), product.dense()[unit])
    np.testing.assert_array_equal(reached(maps, unit), product.structure.toarray()[unit] > 0)
    np.testing.assert_array_equal(stack_coverage(maps), product.coverage())


def test_what_is_seen_does_not_depend_on_the_weights():
    maps = conv((6, 6), np.zeros((3, 3))), conv((4, 4), np.zeros((2, 2)))
    assert reached(maps, (1, 1)).sum() == 16
    assert not effective_field(maps, (1, 1)).any()


def test_the_checkerboard_of_stacked_layers():
    one = transposed_conv((5,), np.ones(3), 2)
    two = transposed_conv(one.output_shape, np.ones(3), 2)
    assert stack_coverage((one,)).tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1]
    np.testing.assert_array_equal(stack_coverage((one, two)), (two @ one).coverage())


@given(stack=layers)
def test_two_layers_as_one_have_the_same_field(stack):
    whole = stack[0]
    for layer in stack[1:]:
        whole = composed(whole, layer)
    *_, field = receptive_fields(stack)
    if len(stack) > 1:
        assert Field().through(whole) == field


def test_a_stride_removed_and_the_rest_dilated():
    """Every old output is among the new ones, and no weight has changed."""
    stack = [Layer(3, padding=1), Layer(2, 2), Layer(3, padding=1), Layer(3)]
    dense = without_stride(stack, 1)
    assert dense[1:] == (Layer(2), Layer(3, padding=2, dilation=2), Layer(3, dilation=2))
    old, new = compose(*layer_maps(stack, 17)[::-1]), compose(*layer_maps(dense, 17)[::-1])
    every_second = subsample(new.output_shape, 2) @ new
    interior = slice(1, old.output_shape[0] - 1)  # padding falls on other cells at the border
    np.testing.assert_array_equal(every_second.dense()[interior], old.dense()[interior])


def test_holes():
    assert holes(np.array([True, False, False, True])) == 2
    assert holes(np.array([False, False])) == 0


def test_whole_numbers_of_numpy_do_not_overflow():
    layer = Layer(np.int8(100), np.int8(100))  # pyright: ignore[reportArgumentType]
    assert receptive_fields([layer, layer])[-1].size == 100 + 99 * 100
    assert Layer((3,)) == Layer(3)  # pyright: ignore[reportArgumentType]


def test_parameters():
    assert parameters([Layer(3)] * 3) == 27
    assert parameters([Layer(3), Layer(1)], widths=(3, 8, 21)) == 9 * 24 + 8 * 21
    assert parameters([Layer(3)], axes=1) == 3


@pytest.mark.parametrize(
    "bad", [{"kernel": 0}, {"kernel": 3, "stride": 0}, {"kernel": 3, "padding": -1}]
)
def test_layers_that_cannot_be(bad):
    with pytest.raises(SettingError):
        Layer(**bad)


def test_a_stack_that_does_not_fit():
    with pytest.raises(SettingError):
        layer_maps([Layer(3), Layer(3)], 4)


@pytest.mark.parametrize(
    "of", [lambda maps: effective_field(maps, 0), lambda maps: reached(maps, 0), stack_coverage]
)
def test_maps_must_be_some_and_fit(of):
    with pytest.raises(SettingError, match="maps: must be at least one map; got maps=0"):
        of([])
    first, _ = layer_maps([Layer(3), Layer(3)], 9)
    with pytest.raises(SettingError, match=r"got input_shape=\(9,\), output_shape=\(7,\)"):
        of([first, first])


def test_no_such_unit():
    with pytest.raises(IndexError, match="there is no cell 9"):
        reached(layer_maps([Layer(3)], 5), 9)
