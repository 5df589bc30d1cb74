"""Convolution against PyTorch, and TensorFlow's padding against PyTorch on a padded input."""

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
    conv_channels,
    conv_input_gradient,
    conv_tf,
    same_padding,
)

CONVS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def weights(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


@pytest.mark.parametrize(("kernel", "stride"), list(product([1, 2, 3, 4], [1, 2, 3])))
def test_every_small_case_on_one_axis(agree, kernel, stride):
    w = weights(kernel)
    for n, p, d in product(range(1, 9), range(3), range(1, 4)):
        if d * (kernel - 1) + 1 > n + 2 * p:
            with pytest.raises(SettingError):
                conv((n,), w, stride, p, d)
            continue
        layer = conv((n,), w, stride, p, d)
        agree(layer, lambda x, p=p, d=d: F.conv1d(x, _kernel(w), None, stride, p, d))


def _kernel(w):
    return torch.from_numpy(w)[None, None]


settings_2d = st.fixed_dictionaries(
    {
        "size": st.tuples(*[st.integers(1, 8)] * 2),
        "kernel": st.tuples(*[st.integers(1, 4)] * 2),
        "stride": st.tuples(*[st.integers(1, 3)] * 2),
        "padding": st.tuples(*[st.integers(0, 3)] * 2),
        "dilation": st.tuples(*[st.integers(1, 3)] * 2),
    }
)


@given(s=settings_2d)
def test_rectangular_settings(agree, s):
    spans = np.array(s["dilation"]) * (np.array(s["kernel"]) - 1) + 1
    assume(np.all(spans <= np.array(s["size"]) + 2 * np.array(s["padding"])))
    w = weights(*s["kernel"])
    settings = s["stride"], s["padding"], s["dilation"]
    layer = conv(s["size"], w, *settings)
    agree(layer, lambda x: F.conv2d(x, _kernel(w), None, *settings))

    x, upstream = weights(*layer.input_shape), weights(*layer.output_shape)
    kernel = _kernel(w).requires_grad_()
    out = F.conv2d(_kernel(x), kernel, None, *settings)
    (gradient,) = torch.autograd.grad(out, kernel, _kernel(upstream))
    np.testing.assert_allclose(layer.kernel_gradient(x, upstream), gradient[0, 0], atol=1e-9)
    np.testing.assert_allclose(
        conv_input_gradient(s["size"], w, upstream, *settings), layer.T(upstream), atol=1e-9
    )


def test_three_axes(agree):
    w = weights(2, 1, 3)
    layer = conv((4, 3, 5), w, (1, 2, 1), (0, 1, 1))
    agree(layer, lambda x: F.conv3d(x, _kernel(w), None, (1, 2, 1), (0, 1, 1)))


@given(
    n=st.tuples(*[st.integers(1, 9)] * 2),
    k=st.tuples(*[st.integers(1, 4)] * 2),
    s=st.integers(1, 4),
    d=st.integers(1, 2),
)
def test_same_of_tensorflow_is_uneven_padding(agree, n, k, s, d):
    w = weights(*k)
    (top, bottom), (left, right) = (
        same_padding(size, taps, s, d) for size, taps in zip(n, k, strict=True)
    )
    assert bottom - top in (0, 1)
    layer = conv_tf(n, w, s, d)
    assert layer.output_shape == tuple(-(-size // s) for size in n)
    agree(
        layer, lambda x: F.conv2d(F.pad(x, (left, right, top, bottom)), _kernel(w), None, s, 0, d)
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_of_tensorflow_at_stride_one_is_same_of_pytorch(agree):
    for k, d in product(range(1, 6), range(1, 3)):
        w = weights(k, k)
        agree(
            conv_tf((7, 6), w, dilation=d),
            lambda x, w=w, d=d: F.conv2d(x, _kernel(w), padding="same", dilation=d),
        )


def test_valid_of_tensorflow_is_no_padding(same_links):
    same_links(conv_tf((7, 6), weights(3, 2), 2, scheme="VALID"), conv((7, 6), weights(3, 2), 2))


def test_several_channels(agree):
    w = weights(4, 3, 2, 3)
    layer = conv_channels((3, 5, 6), w, stride=(1, 2), padding=1, dilation=(2, 1))
    x, upstream = weights(3, 5, 6), weights(*layer.output_shape)
    tensor, kernel = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    out = F.conv2d(tensor[None], kernel, None, (1, 2), 1, (2, 1))[0]
    np.testing.assert_allclose(layer(x), out.detach(), atol=1e-9)
    gradients = torch.autograd.grad(out, (tensor, kernel), torch.from_numpy(upstream))
    np.testing.assert_allclose(layer.T(upstream), gradients[0], atol=1e-9)
    np.testing.assert_allclose(layer.kernel_gradient(x, upstream), gradients[1], atol=1e-9)
    valid, embedding = layer.factors
    assert embedding.output_shape == (3, 7, 8)
    assert valid.reads((2, 0, 0))[0].tap == (2, 0, 0, 0)


def test_scores_of_21_classes_and_their_largest():
    """C features to 21 scores at every place by 1×1, then the argmax."""
    w, x = weights(21, 5, 1, 1), weights(5, 3, 4)
    scores = conv_channels((5, 3, 4), w)(x)
    np.testing.assert_allclose(scores, np.einsum("kc,chw->khw", w[:, :, 0, 0], x))
    assert scores.argmax(axis=0).shape == (3, 4)


@pytest.mark.parametrize("shape", [(), (3,), (3, 3), (2, 3, 3), (1, 1, 2, 3, 3)])
def test_kernels_of_channels_have_an_axis_more_than_the_input(shape: tuple[int, ...]):
    with pytest.raises(SettingError, match="one axis more than the input") as caught:
        conv_channels((2, 4, 4), np.ones(shape))
    assert caught.value.values == {"kernel": shape, "input": (2, 4, 4)}
    with pytest.raises(SettingError, match="one axis more"):
        conv_channels((), np.ones(shape))


def test_channels_must_fit():
    with pytest.raises(SettingError, match="as many as the channels of the input") as caught:
        conv_channels((2, 4, 4), np.ones((1, 3, 3, 3)))
    error = caught.value
    assert error.values == {"kernel_channels": 3, "channels": 2}
    assert error.suggestions == ({"kernel_channels": 2}, {"channels": 3})
    assert error.parameter == "kernel_channels"
    for change in error.suggestions:
        fits = error.values | change
        kernel = np.ones((1, fits["kernel_channels"], 3, 3))
        assert conv_channels((fits["channels"], 4, 4), kernel).output_shape == (1, 2, 2)
