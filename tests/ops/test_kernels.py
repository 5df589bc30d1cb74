"""Tents, phases, composed kernels, and kernels by name."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.ops import (
    SettingError,
    bilinear,
    composed_kernel,
    conv,
    phase_counts,
    phase_sums,
    tent,
    tent_upsampling,
    transposed_conv,
)
from explainer.ops.kernels import NAMED, outer, tent_row


@pytest.mark.parametrize(("s", "n"), list(product([1, 2, 3, 4, 8], [1, 2, 5])))
def test_with_aligned_corners_the_tent_is_bilinear_up_to_the_border(s, n):
    up = tent_upsampling((n, n + 1), s, align_corners=True)
    assert up.output_shape == ((n - 1) * s + 1, n * s + 1)
    assert up.difference(bilinear((n, n + 1), up.output_shape, align_corners=True)) < 1e-12


@pytest.mark.parametrize(("s", "n"), list(product([1, 2, 3, 4, 5, 32], [3, 4])))
def test_without_the_tent_is_bilinear_in_the_interior_only(s, n):
    up, exact = tent_upsampling((n,), s), bilinear((n,), n * s)
    assert up.output_shape == (n * s,)
    inside = slice(s // 2, n * s - s // 2)
    np.testing.assert_allclose(up.dense()[inside], exact.dense()[inside], atol=1e-12)
    assert (up.difference(exact) > 0.1) == (s > 1)


def test_a_stride_for_each_axis():
    up = tent_upsampling((3, 2), (2, 3), align_corners=True)
    assert up.difference(bilinear((3, 2), (5, 4), align_corners=True)) < 1e-12
    assert tent((2, 1)).shape == (4, 1)
    with pytest.raises(SettingError, match="stride"):
        tent_row(0)


@given(
    k=st.tuples(*[st.integers(1, 5)] * 2),
    s=st.tuples(*[st.integers(1, 4)] * 2),
    d=st.tuples(*[st.integers(1, 3)] * 2),
    p=st.integers(0, 1),
)
def test_the_interior_on_a_flat_input_prints_the_phase_sums(k, s, d, p):
    kernel = np.random.default_rng(sum(k)).standard_normal(k)
    up = transposed_conv((12, 12), kernel, s, p, 0, d)
    flat, counts = up(np.ones((12, 12))), up.coverage()
    sums, taps = phase_sums(kernel, s, d), phase_counts(k, s, d)
    middle = [range(d[i] * k[i], up.output_shape[i] - d[i] * k[i]) for i in range(2)]
    for cell in product(*middle):
        phase = tuple((o + p) % step for o, step in zip(cell, s, strict=True))
        assert flat[cell] == pytest.approx(sums[phase])
        assert counts[cell] == taps[phase]


@given(
    first=st.tuples(*[st.integers(1, 4)] * 2),
    second=st.tuples(*[st.integers(1, 3)] * 2),
    s=st.tuples(*[st.integers(1, 3)] * 2),
    t=st.integers(1, 3),
)
def test_two_layers_are_one(first, second, s, t):
    one, other = np.arange(1.0, 1 + np.prod(first)), np.arange(2.0, 2 + np.prod(second))
    one, other = one.reshape(first), other.reshape(second)
    kernel = composed_kernel(one, s, other)
    assert kernel.shape == tuple(a + (b - 1) * c for a, b, c in zip(first, second, s, strict=True))
    lower = conv((14, 13), one, s)
    upper = conv(lower.output_shape, other, t)
    whole = conv((14, 13), kernel, tuple(t * step for step in s))
    both = upper @ lower
    rows = tuple(slice(n) for n in both.output_shape)
    x = np.random.default_rng(0).standard_normal((14, 13))
    assert whole.output_shape == both.output_shape
    np.testing.assert_allclose(both(x), whole(x)[rows])


def test_kernels_by_name():
    for name, make in NAMED.items():
        for shape in [(1,), (3,), (3, 3), (2, 4), (5, 1)]:
            assert make(shape).shape == shape, name
    assert NAMED["edge"]((3, 3)).tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    assert NAMED["blur"]((3,)).tolist() == [0.25, 0.5, 0.25]
    assert NAMED["tent"]((3, 3)).tolist() == tent(2, align_corners=True).tolist()
    assert NAMED["tent"]((4, 4)).tolist() == tent(2).tolist()
    assert NAMED["tent"]((2,)).tolist() == [0.5, 0.5]
    assert NAMED["ones"]((2,)).tolist() == [1, 1]
    np.testing.assert_array_equal(NAMED["random"]((4, 4)), NAMED["random"]((4, 4)))
    x = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_array_equal(conv((4, 5), NAMED["identity"]((3, 3)), padding=1)(x), x)


def test_products_of_rows():
    assert outer([1, 2], [3, 4]).tolist() == [[3, 4], [6, 8]]
