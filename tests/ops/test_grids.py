"""Maps that move cells, against PyTorch."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.ops import (
    SettingError,
    conv_channels,
    pad,
    pixel_shuffle,
    subsample,
    transposed_conv,
    window,
    zero_insertion,
)

sides = st.tuples(*[st.integers(-2, 3)] * 2)


@given(size=st.tuples(*[st.integers(1, 6)] * 2), before=sides, after=sides)
def test_padding_and_cropping(agree, size, before, after):
    output = [sum(axis) for axis in zip(size, before, after, strict=True)]
    assume(min(output) > 0)
    # torch refuses to crop more than there is on one side, even where it pads on the other
    assume(all(n + min(b, a) > 0 for n, b, a in zip(size, before, after, strict=True)))
    frame = before[1], after[1], before[0], after[0]
    agree(pad(size, before, after), lambda x: F.pad(x, frame))


def test_the_transpose_of_padding_is_cropping(same_links):
    same_links(pad((3, 4), (1, 0), (2, 1)).T, pad((6, 5), (-1, 0), (-2, -1)))


def test_cropping_everything_is_refused():
    with pytest.raises(SettingError, match=r"after.* must be at least 1") as error:
        pad((3, 3), (0, -2), (0, -1))
    change = error.value.suggestions[0]
    assert pad((3, 3), (0, -2), **change).output_shape == (3, 1)


def test_a_window_may_reach_outside():
    assert window((3,), (-1,), (5,))([1, 2, 3]).tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize(
    ("shape", "start", "output", "change"),
    [((3,), (0,), (0,), {"output_size": 1}), ((3, 4), (0, 0), (2, -1), {"output_size": (2, 1)})],
)
def test_a_window_without_cells_is_refused(shape, start, output, change):
    with pytest.raises(SettingError, match="output_size: must be at least 1") as error:
        window(shape, start, output)
    assert error.value.suggestions == (change,)
    mended = np.broadcast_to(change["output_size"], len(shape)).tolist()
    assert window(shape, start, mended).output_shape == tuple(mended)


@given(
    n=st.tuples(*[st.integers(1, 9)] * 2),
    s=st.tuples(*[st.integers(1, 4)] * 2),
    o=st.tuples(*[st.integers(0, 3)] * 2),
)
def test_subsampling(agree, n, s, o):
    assume(all(a < b for a, b in zip(o, n, strict=True)))
    agree(subsample(n, s, o), lambda x: x[..., o[0] :: s[0], o[1] :: s[1]])


def test_an_offset_beyond_the_grid_is_refused():
    with pytest.raises(SettingError, match="offset") as error:
        subsample((2,), 2, 2)
    assert {"offset": 1} in error.value.suggestions


def test_zeros_between_the_cells():
    assert zero_insertion((3,), 3)([1, 2, 3]).tolist() == [1, 0, 0, 2, 0, 0, 3]
    assert zero_insertion((2, 2), (1, 2))([[1, 2], [3, 4]]).tolist() == [[1, 0, 2], [3, 0, 4]]


@given(c=st.integers(1, 2), n=st.tuples(*[st.integers(1, 4)] * 2), s=st.integers(1, 3))
def test_pixel_shuffle(c, n, s):
    shuffle = pixel_shuffle((c * s * s, *n), s)
    x = np.random.default_rng(0).standard_normal(shuffle.input_shape)
    np.testing.assert_array_equal(shuffle(x), F.pixel_shuffle(torch.from_numpy(x), s))
    np.testing.assert_array_equal(shuffle.T(shuffle(x)), x)  # a permutation
    assert shuffle.is_selection


def test_pixel_shuffle_on_one_axis():
    assert pixel_shuffle((2, 3), 2)([[1, 2, 3], [4, 5, 6]]).tolist() == [[1, 4, 2, 5, 3, 6]]


@pytest.mark.parametrize(("channels", "nearest"), [(3, 4), (7, 8), (0, 4)])
def test_channels_must_fill_the_blocks(channels, nearest):
    with pytest.raises(SettingError, match="must be a multiple of 4") as error:
        pixel_shuffle((channels, 2, 2), 2)
    assert error.value.suggestions == ({"channels": nearest},)
    assert pixel_shuffle((nearest, 2, 2), 2).output_shape == (nearest // 4, 4, 4)


def test_sub_pixel_convolution_is_a_transposed_convolution():
    """Its kernel in phases: channel (i, j) holds the taps that reach output cells (i, j) mod 2."""
    kernel = np.random.default_rng(3).standard_normal((4, 4))
    up = transposed_conv((3, 3), kernel, stride=2)
    phases = np.stack([np.flip(kernel[i::2, j::2]) for i in range(2) for j in range(2)])[:, None]
    small = conv_channels((1, 3, 3), phases, padding=1)
    sub_pixel = pixel_shuffle(small.output_shape, 2) @ small
    x = np.random.default_rng(4).standard_normal((3, 3))
    np.testing.assert_allclose(sub_pixel(x[None])[0], up(x))
