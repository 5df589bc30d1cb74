"""Resizing against F.interpolate."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.ops import SettingError, bicubic, bilinear, nearest, nearest_unpool

sizes = st.tuples(*[st.integers(1, 12)] * 2)


@given(n=sizes, m=sizes)
def test_bilinear(agree, n, m):
    for corners in (False, True):
        agree(
            bilinear(n, m, corners),
            lambda x, c=corners: F.interpolate(x, m, mode="bilinear", align_corners=c),
        )


@given(n=sizes, m=sizes)
def test_bicubic(agree, n, m):
    for corners in (False, True):
        agree(
            bicubic(n, m, corners),
            lambda x, c=corners: F.interpolate(x, m, mode="bicubic", align_corners=c),
        )


@given(n=sizes, m=sizes)
def test_nearest(agree, n, m):
    agree(nearest(n, m), lambda x: F.interpolate(x, m, mode="nearest"))
    agree(nearest(n, m, exact=True), lambda x: F.interpolate(x, m, mode="nearest-exact"))


@pytest.mark.parametrize(("mode", "exact"), [("nearest", False), ("nearest-exact", True)])
def test_nearest_on_every_small_pair(mode, exact):
    """Places that fall on a cell's edge are rounded as PyTorch rounds them for images."""
    for n, m in product(range(1, 25), range(1, 25)):
        image = torch.arange(n, dtype=torch.float64)[:, None].expand(1, 1, n, 3)
        expected = F.interpolate(image, (m, 3), mode=mode)[0, 0, :, 0]
        np.testing.assert_array_equal(nearest((n,), m, exact)(np.arange(n)), expected)


def test_one_and_three_axes(agree):
    agree(bilinear((5,), 8), lambda x: F.interpolate(x, 8, mode="linear"))
    agree(bilinear((2, 3, 4), 5), lambda x: F.interpolate(x, 5, mode="trilinear"))


def test_no_link_is_made_for_weight_zero():
    assert bilinear((3,), 5, align_corners=True).coverage().tolist() == [1, 2, 1, 2, 1]
    assert bicubic((9,), 9).coverage().tolist() == [1] * 9
    assert nearest((3,), 6).difference(nearest_unpool((3,), 2)) == 0


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("m", range(1, 80))
def test_a_place_on_a_cell_has_one_link(m, align_corners):
    for n in range(1, 40):
        links = np.diff(bilinear((n,), m, align_corners).starts)
        for output, count in enumerate(links):
            if align_corners:
                place = Fraction(output * (n - 1), max(m - 1, 1))
            else:
                place = (Fraction(2 * output + 1, 2)) * Fraction(n, m) - Fraction(1, 2)
            on_a_cell = place.denominator == 1 or not 0 <= place <= n - 1
            assert count == (1 if on_a_cell else 2), (n, m, output)


def test_weights_sum_to_one():
    for resize in (nearest, bilinear, bicubic):
        np.testing.assert_allclose(resize((5, 4), (7, 9))(np.ones((5, 4))), 1)


def test_an_empty_output_is_refused():
    with pytest.raises(SettingError, match="output_size: must be at least 1"):
        bilinear((3,), 0)
