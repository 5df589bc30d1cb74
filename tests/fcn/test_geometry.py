"""Upsampling follows from where the cells sit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.fcn.geometry import PIXELS, Lattice, bilinear_upsampling, padded_size

# Layers on the way from the fine to the coarse lattice (kernel, stride, padding), and the kernel,
# stride and padding of the upsampling back; the paper's are 4/2, 16/8, 32/16 and 64/32.
CASES = [
    ([(3, 2, 1)], (3, 2, 1)),
    ([(3, 2, 1)] * 2, (7, 4, 3)),
    ([(3, 2, 1)] * 5, (63, 32, 31)),
    ([(2, 2, 0)], (4, 2, 1)),
    ([(2, 2, 0)] * 3, (16, 8, 4)),
    ([(2, 2, 0)] * 4, (32, 16, 8)),
    ([(2, 2, 0)] * 5, (64, 32, 16)),
    ([(3, 1, 1), (2, 2, 0), (3, 1, 1)], (4, 2, 1)),
    ([(3, 1, 2), (3, 2, 1)], (3, 2, 2)),
]


@pytest.mark.parametrize(("layers", "expected"), CASES)
def test_kernel_stride_and_padding_follow_from_the_layers(layers, expected):
    coarse = PIXELS
    for kernel, stride, padding in layers:
        coarse = coarse.through(kernel, stride, padding)
    up = bilinear_upsampling(coarse, PIXELS)
    assert (up.kernel, up.stride, up.padding) == expected


@pytest.mark.parametrize("layers", [layers for layers, _ in CASES])
def test_a_ramp_stays_where_it_is(layers):
    """The coordinates of the cells, upsampled, are the coordinates of the pixels."""
    coarse = PIXELS
    for kernel, stride, padding in layers:
        coarse = coarse.through(kernel, stride, padding)
    up = bilinear_upsampling(coarse, PIXELS)
    cells = coarse.first + coarse.stride * torch.arange(12, dtype=torch.float64)
    tent = up.tent().double()
    out = F.conv_transpose1d(
        cells[None, None], tent[None, None], stride=up.stride, padding=up.padding
    )[0, 0]
    pixels = torch.arange(len(out), dtype=torch.float64)
    inside = (pixels >= coarse.first) & (pixels <= cells[-1])
    assert inside.sum() > 10
    torch.testing.assert_close(out[inside], pixels[inside])


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_both_bilinears_are_those_of_torch(factor):
    cells = torch.rand(1, 1, 7)
    centred = bilinear_upsampling(Lattice(factor), PIXELS)
    out = F.conv_transpose1d(cells, centred.tent()[None, None], None, factor, centred.padding)
    torch.testing.assert_close(
        out, F.interpolate(cells, 6 * factor + 1, mode="linear", align_corners=True)
    )
    half = bilinear_upsampling(Lattice(factor, (factor - 1) / 2), PIXELS)
    out = F.conv_transpose1d(cells, half.tent()[None, None], None, factor, half.padding)
    inner = slice(factor // 2, -(factor // 2))
    expected = F.interpolate(cells, 7 * factor, mode="linear", align_corners=False)
    torch.testing.assert_close(out[..., inner], expected[..., inner])


def test_the_lectures_tent():
    up = bilinear_upsampling(Lattice(2), PIXELS)
    np.testing.assert_array_equal(
        torch.outer(up.tent(), up.tent()),
        [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]],
    )


@pytest.mark.parametrize(
    ("coarse", "fine", "words"),
    [
        (Lattice(3), Lattice(2), "multiple"),
        (Lattice(1), Lattice(2), "multiple"),
        (Lattice(2, 0.25), PIXELS, "half a cell"),
        (Lattice(2, 10), PIXELS, "starts 10 cells inside"),
    ],
)
def test_lattices_that_no_tent_joins_are_refused(coarse, fine, words):
    with pytest.raises(ValueError, match=words):
        bilinear_upsampling(coarse, fine)


@given(st.integers(1, 5000), st.sampled_from([1, 8, 32]))
def test_padded_size_is_the_smallest_that_fits(size, stride):
    padded = padded_size(size, stride)
    assert padded >= size
    assert padded % stride == 1 % stride
    assert padded - stride < size


def test_padded_size_needs_a_pixel():
    with pytest.raises(ValueError, match="at least one row"):
        padded_size(0, 32)
