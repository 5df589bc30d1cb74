"""The paper's measures, against their definitions written out pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from explainer.fcn.voc import IGNORE
from explainer.training.metrics import boundary_band, confusion, metrics

LABELS = st.sampled_from([0, 1, 2, IGNORE])


@given(
    arrays(np.uint8, (6, 7), elements=LABELS),
    arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
)
def test_confusion_counts_pixels(truth, predicted):
    counts = confusion(truth, predicted, 3)
    for i in range(3):
        for j in range(3):
            assert counts[i, j] == ((truth == i) & (predicted == j)).sum()


def test_measures_of_a_hand_made_case():
    # Class 0: 8 pixels, 6 right; class 1: 2 pixels, 1 right; class 2 never occurs but is predicted.
    m = metrics(np.array([[6, 1, 1], [1, 1, 0], [0, 0, 0]]))
    assert m.pixel_accuracy == pytest.approx(7 / 10)
    assert m.mean_accuracy == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert m.mean_iu == pytest.approx((6 / 9 + 1 / 3) / 2)
    assert m.frequency_weighted_iu == pytest.approx((8 * 6 / 9 + 2 * 1 / 3) / 10)
    assert m.iu[2] == 0
    assert np.isnan(m.accuracy[2])


@given(arrays(np.uint8, (9, 8), elements=st.integers(0, 2)), st.integers(1, 3))
def test_the_band_is_where_another_class_is_near(truth, width):
    band = boundary_band(truth, width)
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            near = truth[
                max(0, y - width) : y + width + 1,
                max(0, x - width) : x + width + 1,
            ]
            assert band[y, x] == (near != truth[y, x]).any()


def test_ignored_outlines_do_not_widen_the_band_to_all_that_is_ignored():
    truth = np.zeros((21, 21), np.uint8)
    truth[:, 10] = IGNORE
    assert not boundary_band(truth, 2).any()
    truth[:, 11:] = 5
    assert boundary_band(truth, 2)[0].nonzero()[0].tolist() in ([8, 9, 10, 11], [9, 10, 11, 12])
    assert not boundary_band(np.full((4, 4), IGNORE, np.uint8)).any()
