"""Transposed convolution against PyTorch, as a transpose, and in its four views."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.ops import (
    SettingError,
    conv,
    conv_tf,
    four_views,
    fractionally_strided_conv,
    largest_difference,
    transposed_conv,
    transposed_conv_tf,
)


def weights(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def _kernel(w):
    return torch.from_numpy(w)[None, None]


def size_of(n, k, s, p, op, d):
    return (n - 1) * s - 2 * p + d * (k - 1) + op + 1


@pytest.mark.parametrize(("kernel", "stride"), list(product([1, 2, 3, 4], [1, 2, 3])))
def test_every_small_case_on_one_axis(agree, same_links, kernel, stride):
    w = weights(kernel)
    for n, p, op, d in product((1, 2, 4), range(3), range(3), range(1, 4)):
        settings = stride, p, op, d
        if op >= max(stride, d) or size_of(n, kernel, *settings) < 1:
            with pytest.raises(SettingError):
                transposed_conv((n,), w, *settings)
            continue
        up = transposed_conv((n,), w, *settings)
        agree(
            up,
            lambda x, p=p, op=op, d=d: F.conv_transpose1d(x, _kernel(w), None, stride, p, op, 1, d),
        )
        same_links(fractionally_strided_conv((n,), w, *settings), up)
        views = four_views(weights(n), w, *settings)
        assert largest_difference(views) < 1e-12
        if op < stride:  # otherwise the convolution back gives more than n cells
            same_links(conv(up.output_shape, w, stride, p, d).T, up)


SETTINGS = ("size", "kernel", "stride", "padding", "output_padding", "dilation")

settings_2d = st.fixed_dictionaries(
    {
        "size": st.tuples(*[st.integers(1, 5)] * 2),
        "kernel": st.tuples(*[st.integers(1, 4)] * 2),
        "stride": st.tuples(*[st.integers(1, 4)] * 2),
        "padding": st.tuples(*[st.integers(0, 3)] * 2),
        "output_padding": st.tuples(*[st.integers(0, 3)] * 2),
        "dilation": st.tuples(*[st.integers(1, 3)] * 2),
    }
)


@given(s=settings_2d)
def test_rectangular_settings(agree, same_links, s):
    for n, k, stride, p, op, d in zip(*(s[name] for name in SETTINGS), strict=True):
        assume(op < max(stride, d))
        assume(size_of(n, k, stride, p, op, d) >= 1)
    w = weights(*s["kernel"])
    settings = s["stride"], s["padding"], s["output_padding"], s["dilation"]
    up = transposed_conv(s["size"], w, *settings)
    stride, padding, output_padding, dilation = settings

    def theirs(x, w):
        return F.conv_transpose2d(x, w, None, stride, padding, output_padding, 1, dilation)

    agree(up, lambda x: theirs(x, _kernel(w)))
    same_links(fractionally_strided_conv(s["size"], w, *settings), up)
    x, upstream = weights(*s["size"]), weights(*up.output_shape)
    views = four_views(x, w, *settings)
    assert largest_difference(views) < 1e-10
    assert set(views) == {"overlap-add", "matrix", "zero insertion", "gradient"}
    np.testing.assert_allclose(views["overlap-add"], up(x), atol=1e-10)

    kernel = _kernel(w).requires_grad_()
    (gradient,) = torch.autograd.grad(theirs(_kernel(x), kernel), kernel, _kernel(upstream))
    np.testing.assert_allclose(up.kernel_gradient(x, upstream), gradient[0, 0], atol=1e-9)


@pytest.mark.parametrize("scheme", ["SAME", "VALID"])
@pytest.mark.parametrize(("n", "k", "s"), list(product([1, 2, 5], [1, 2, 3, 4], [1, 2, 3])))
def test_keras_is_the_transpose_of_its_convolution(same_links, n, k, s, scheme):
    w = weights(k, k)
    up = transposed_conv_tf((n, n), w, s, scheme)
    assert up.output_shape[0] == (n * s if scheme == "SAME" else (n - 1) * s + max(k, s))
    same_links(up, conv_tf(up.output_shape, w, s, scheme=scheme).T)


def test_the_canvas_and_the_frame():
    """2 cells, kernel 3, stride 2: a canvas of 5; padding 1 and output_padding 1 keep 1 … 4."""
    up = transposed_conv((2,), [1, 10, 100], stride=2, padding=1, output_padding=1)
    crop, canvas = up.factors
    assert canvas([1, 2]).tolist() == [1, 10, 102, 20, 200]
    assert crop.dense().tolist() == np.eye(5)[1:].tolist()
    assert up([1, 2]).tolist() == [10, 102, 20, 200]
    without = transposed_conv((2,), [1, 10, 100], stride=2, padding=1)
    assert without([1, 2]).tolist() == [10, 102, 20]


def test_beyond_the_canvas_the_output_is_empty():
    up = transposed_conv((2,), [1, 10, 100], stride=2, output_padding=1)
    assert up([1, 2]).tolist() == [1, 10, 102, 20, 200, 0]
    assert (up.coverage() == 0).tolist() == [False] * 5 + [True]


def test_taps_of_the_flipped_kernel_keep_their_names():
    up = fractionally_strided_conv((2, 2), np.ones((3, 3)))
    flipped, embedding, insertion = up.factors
    first = flipped.reads((0, 0))
    assert [link.tap for link in first][:2] == [(2, 2), (2, 1)]
    assert embedding.output_shape == (6, 6)
    assert insertion.output_shape == (2, 2)


def test_at_stride_one_it_is_a_convolution_again_and_at_two_it_is_not():
    w = weights(3)
    assert conv((6,), w, padding=1).T.difference(conv((6,), w[::-1], padding=1)) == 0
    up = transposed_conv((3,), w, stride=2, padding=1, output_padding=1)
    assert up.coverage().tolist() == [1, 2, 1, 2, 1, 1]  # one kernel would read alike everywhere
