"""Labels at a photo's own size are those of the scores there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.fcn import full_size
from explainer.fcn.full_size import labels_at, labels_of_photo
from explainer.fcn.geometry import Lattice
from explainer.fcn.labels import label_map
from explainer.fcn.network import STRIDES
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES


def sampled(
    scores: torch.Tensor, lattice: Lattice, seen: tuple[int, int], size: tuple[int, int]
) -> torch.Tensor:
    """Every class's score at every pixel of the photo, by torch: (classes, *size)."""
    places = []
    for cells, small, large in zip(scores.shape[1:], seen, size, strict=True):
        centre = (torch.arange(large, dtype=torch.float64) + 0.5) * small / large - 0.5
        place = (centre - lattice.first) / lattice.stride
        places.append(2 * place / max(1, cells - 1) - 1)
    grid = torch.stack(torch.meshgrid(*places, indexing="ij")[::-1], -1)[None]
    return F.grid_sample(scores[None].double(), grid, align_corners=True, padding_mode="border")[0]


@settings(deadline=None)
@given(
    st.integers(1, 21),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([1, 8, 12, 16, 32]),
    st.sampled_from([0.0, 3.5, -20.0]),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_equal_to_sampling_the_scores_there(classes, rows, columns, stride, first, seed, data):
    torch.manual_seed(seed)
    scores = torch.randn(classes, rows, columns)
    seen = tuple(data.draw(st.integers(1, (cells - 1) * stride + 1)) for cells in (rows, columns))
    size = tuple(data.draw(st.integers(side, 4 * side + 3)) for side in seen)
    found = labels_at(scores, Lattice(stride, first), seen, size)
    assert found.dtype == torch.uint8
    values = sampled(scores, Lattice(stride, first), seen, size)
    best, chosen = values.amax(0), values.gather(0, found.long()[None])[0]
    assert (best - chosen).max() < 1e-5  # equal but for rounding where two classes tie


def test_a_photo_that_was_not_shrunk_has_the_same_labels():
    torch.manual_seed(3)
    scores = torch.randint(-8, 8, (5, 4, 6)).float()
    found = labels_at(scores, Lattice(16), (40, 70), (40, 70))
    assert torch.equal(found, label_map(scores, 16, 40, 70))


def test_an_outline_stays_in_place_when_the_photo_is_enlarged():
    # The second class is ahead to the right of x = 20.25 of the shrunk photo.
    x = torch.arange(0.0, 41, 8)
    scores = torch.stack((torch.zeros(6), x - 20.25))[:, None].expand(2, 6, 6)
    for factor in (1, 2, 4, 7):
        found = labels_at(scores, Lattice(8), (40, 40), (40 * factor, 40 * factor))
        edge = (20.25 + 0.5) * factor - 0.5
        assert torch.equal(found[3].bool(), torch.arange(40 * factor) > edge)


def test_blocks_do_not_matter(monkeypatch):
    torch.manual_seed(4)
    scores = torch.randn(7, 9, 9)
    whole = labels_at(scores, Lattice(8), (60, 61), (200, 205))
    monkeypatch.setattr(full_size, "BLOCK_BYTES", 1)
    assert torch.equal(labels_at(scores, Lattice(8), (60, 61), (200, 205)), whole)


def test_a_photo_of_no_size():
    with pytest.raises(ValueError, match="at least 1"):
        labels_at(torch.zeros(3, 2, 2), Lattice(8), (9, 9), (0, 9))


@pytest.fixture(scope="module")
def result() -> Segmentation:
    torch.manual_seed(5)
    scores = {
        stride: ScoreMap(
            torch.randn(len(CLASSES), 64 // stride + 1, 96 // stride + 1).numpy(), Lattice(stride)
        )
        for stride in STRIDES
    }
    return Segmentation(60, 91, CLASSES, scores, {}).without()


@pytest.mark.parametrize("stride", STRIDES)
def test_in_the_middle_of_enlarged_pixels_the_labels_are_the_old_ones(result, stride):
    large = labels_of_photo(result, stride, (180, 273))
    assert (large[1::3, 1::3] == result.labels[stride]).all()
    assert labels_of_photo(result, stride, (60, 91)) is result.labels[stride]


def test_there_is_no_output_of_another_stride(result):
    with pytest.raises(KeyError):
        labels_of_photo(result, 4, (100, 100))
