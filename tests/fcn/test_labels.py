"""Labels without the full-size score tensor are those with it."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.fcn.geometry import Lattice
from explainer.fcn.labels import label_map, label_maps


def dense(scores: torch.Tensor, stride: int, height: int, width: int) -> torch.Tensor:
    """Interpolates all classes to all pixels, by torch."""
    rows, columns = scores.shape[1:]
    size = ((rows - 1) * stride + 1, (columns - 1) * stride + 1)
    full = F.interpolate(scores[None], size=size, mode="bilinear", align_corners=True)[0]
    return full[:, :height, :width].argmax(0)


@settings(deadline=None)
@given(
    st.integers(1, 21),
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([1, 2, 8, 16, 32]),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_equal_to_argmax_of_the_interpolation(classes, rows, columns, stride, seed, data):
    torch.manual_seed(seed)
    # Whole numbers are exact in any order of summation, so that ties are ties in both.
    scores = torch.randint(-8, 8, (classes, rows, columns)).float()
    height = data.draw(st.integers(1, (rows - 1) * stride + 1))
    width = data.draw(st.integers(1, (columns - 1) * stride + 1))
    found = label_map(scores, stride, height, width)
    assert found.dtype == torch.uint8
    assert torch.equal(found.long(), dense(scores, stride, height, width))


def test_equal_on_smooth_maps_as_networks_give():
    torch.manual_seed(0)
    coarse = torch.randn(21, 5, 6)
    scores = F.interpolate(coarse[None], scale_factor=4, mode="bicubic")[0]
    height, width = 8 * 19 + 1, 8 * 23 + 1
    different = label_map(scores, 8, height, width) != dense(scores, 8, height, width)
    # Elsewhere the two best scores differ by less than rounding.
    assert different.float().mean() < 1e-4


def test_the_lowest_class_wins_ties():
    assert (label_map(torch.zeros(3, 2, 2), 8, 9, 9) == 0).all()


def test_by_stride():
    sums = {32: torch.randn(3, 2, 2), 8: torch.randn(3, 5, 5)}
    found = label_maps(sums, 33, 30)
    assert {stride: tuple(labels.shape) for stride, labels in found.items()} == {
        32: (33, 30),
        8: (33, 30),
    }


@settings(deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from([2, 8, 16, 32]),
    st.integers(-70, 62),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_cells_that_lie_anywhere(classes, cells, stride, twice_first, seed, data):
    torch.manual_seed(seed)
    lattice = Lattice(stride, twice_first / 2)
    lowest, highest = lattice.pixel(-1) + 0.5, lattice.pixel(cells) - 0.5
    assume(lowest <= 0 <= highest)
    size = data.draw(st.integers(1, int(highest) + 1))
    # Whole numbers, so that ties are ties; above zero, so that fading keeps the order.
    scores = torch.randint(1, 16, (classes, cells, cells)).float()
    # The definition: at each pixel the tent between the cells, zero beyond them.
    place = (torch.arange(size) - lattice.first)[:, None] / stride
    tent = (1 - (place - torch.arange(cells)).abs()).clamp(min=0)
    expected = torch.einsum("ya,xb,cab->cyx", tent, tent, scores).argmax(0)
    found = label_map(scores, stride, size, size, lattice.first)
    assert torch.equal(found.long(), expected)


@pytest.mark.parametrize(
    ("height", "first"), [(65, 0), (60, -5), (30, 32)], ids=["below", "shifted", "before"]
)
def test_every_pixel_is_within_reach_of_a_cell(height, first):
    label_map(torch.zeros(3, 2, 2), 32, 50, 50, 10)
    with pytest.raises(ValueError, match=f"do not cover {height}×33"):
        label_map(torch.zeros(3, 2, 2), 32, height, 33, first)
