"""The ledger is exact: after the score maps everything is linear."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from explainer.fcn.geometry import PIXELS, Lattice
from explainer.fcn.labels import label_maps
from explainer.fcn.network import STRIDES, upsample
from explainer.fcn.result import ScoreMap, Segmentation

HEIGHT, WIDTH, CLASSES = 90, 61, 4


def segmentation(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Segmentation:
    """A result with random scores and the labels that follow from them."""
    rng = np.random.default_rng(seed)
    n, m = -(-(height - 1) // 32), -(-(width - 1) // 32)
    scores = {
        stride: ScoreMap(
            rng.normal(size=(CLASSES, n * 32 // stride + 1, m * 32 // stride + 1)).astype(
                np.float32
            ),
            Lattice(stride),
        )
        for stride in STRIDES
    }
    bare = Segmentation(height, width, tuple("abcd"), scores, {})
    return bare.without()


@pytest.fixture(scope="module")
def result() -> Segmentation:
    return segmentation()


@pytest.fixture(scope="module")
def outputs(result) -> dict[int, np.ndarray]:
    """The full-size scores of each output, by transposed convolution: the oracle."""
    return {
        stride: upsample(torch.from_numpy(found.values)[None], found.lattice, PIXELS)[0].numpy()
        for stride, found in result.sums.items()
    }


def test_sums_are_upsampled_plus_own(result):
    assert set(result.upsampled) == {16, 8}
    for stride, coarse in ((16, 32), (8, 16)):
        np.testing.assert_allclose(
            result.sums[stride].values,
            result.upsampled[stride].values + result.scores[stride].values,
            atol=1e-6,
        )
        # Every second cell is one of the coarser map's.
        np.testing.assert_allclose(
            result.upsampled[stride].values[:, ::2, ::2], result.sums[coarse].values, atol=1e-6
        )


@settings(deadline=None)
@given(y=st.integers(0, HEIGHT - 1), x=st.integers(0, WIDTH - 1), c=st.integers(0, CLASSES - 1))
def test_logits_and_ledger_are_those_of_the_transposed_convolutions(result, outputs, y, x, c):
    logits = result.logits(y, x)
    for stride in STRIDES:
        np.testing.assert_allclose(logits[stride], outputs[stride][:, y, x], atol=2e-5)
    ledger = result.ledger(y, x, c)
    assert [part.stride for part in ledger.parts] == [32, 16, 8]
    assert ledger.total == pytest.approx(logits[8][c], abs=1e-9)
    assert ledger.parts[0].value == pytest.approx(logits[32][c], abs=1e-9)
    for part in ledger.parts:
        assert 1 <= len(part.cells) <= 4
        assert sum(cell.weight for cell in part.cells) == pytest.approx(1)
        for cell in part.cells:
            assert abs(cell.row * part.stride - y) < part.stride
            assert abs(cell.col * part.stride - x) < part.stride


def test_probabilities_sum_to_one_and_their_best_is_the_label(result):
    for y, x in [(0, 0), (HEIGHT - 1, WIDTH - 1), (40, 17), (13, 60)]:
        for stride, probabilities in result.probabilities(y, x).items():
            assert probabilities.sum() == pytest.approx(1)
            assert probabilities.argmax() == result.labels[stride][y, x]


def test_without_a_stride_is_the_coarser_output(result):
    bare = result.without(strides=[8])
    np.testing.assert_array_equal(bare.labels[8], result.labels[16])
    np.testing.assert_array_equal(bare.labels[16], result.labels[16])
    assert bare.ledger(5, 5, 1).parts[2].value == 0


def test_without_a_cell_changes_its_neighbourhood_and_nothing_else(result):
    y, x = 41, 22
    ledger = result.ledger(y, x, 2)
    cell = max(ledger.parts[0].cells, key=lambda cell: abs(cell.contribution))
    bare = result.without(cells=[(32, cell.row, cell.col)])
    assert bare.ledger(y, x, 2).total == pytest.approx(ledger.total - cell.contribution)
    rows, columns = np.indices((HEIGHT, WIDTH))
    reach = (abs(rows - 32 * cell.row) < 32) & (abs(columns - 32 * cell.col) < 32)
    np.testing.assert_array_equal(bare.labels[8][~reach], result.labels[8][~reach])
    assert (bare.labels[8][reach] != result.labels[8][reach]).any()
    # The original is as it was.
    assert result.ledger(y, x, 2).total == ledger.total


def test_labels_are_those_of_the_sums(result):
    sums = {stride: torch.from_numpy(found.values) for stride, found in result.sums.items()}
    for stride, labels in label_maps(sums, HEIGHT, WIDTH).items():
        np.testing.assert_array_equal(labels.numpy(), result.labels[stride])


def test_shares_sum_to_one(result):
    for stride, shares in result.shares().items():
        assert sum(shares.values()) == pytest.approx(1)
        for index, share in shares.items():
            assert share == pytest.approx((result.labels[stride] == index).mean())


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1)])
def test_tiny_photos(size):
    tiny = segmentation(1, *size)
    assert tiny.labels[8].shape == size
    ledger = tiny.ledger(size[0] - 1, size[1] - 1, 0)
    assert ledger.total == pytest.approx(tiny.logits(size[0] - 1, size[1] - 1)[8][0])


def test_questions_about_nothing_are_refused(result):
    with pytest.raises(IndexError, match=r"pixel \(90, 0\) is outside the photo of 90 rows"):
        result.logits(HEIGHT, 0)
    with pytest.raises(IndexError, match="outside the photo"):
        result.probabilities(0, -1)
    with pytest.raises(IndexError, match="no class 4: 0 … 3"):
        result.ledger(0, 0, CLASSES)
    with pytest.raises(IndexError, match="outside the 4×3 map of stride 32"):
        result.without(cells=[(32, 4, 0)])
    with pytest.raises(KeyError):
        result.without(strides=[4])
