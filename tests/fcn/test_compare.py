"""What changes between two label maps, on maps small enough to count by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from explainer.fcn.compare import (
    Transition,
    change_map,
    compare,
    outline_band,
    sentences,
)
from explainer.fcn.voc import CLASSES, PALETTE

CAT, DOG, CHAIR = CLASSES.index("cat"), CLASSES.index("dog"), CLASSES.index("chair")


def square(height: int = 20, width: int = 40) -> np.ndarray:
    """A cat of 10×10 pixels from (5, 5) on background."""
    labels = np.zeros((height, width), np.uint8)
    labels[5:15, 5:15] = CAT
    return labels


def test_equal_maps_say_so():
    comparison = compare(square(), square())
    assert comparison.changed == comparison.near_outline == 0
    assert comparison.transitions == ()
    assert sentences(comparison, CLASSES) == (
        "FCN-32s and FCN-8s agree on every pixel of this photo.",
    )


def test_shares_and_transitions_are_counted():
    before, after = square(), square()
    after[5:15, 5:7] = 0  # 20 pixels of the cat's left edge
    after[0, 36:] = CHAIR  # four pixels far away, in the corner
    comparison = compare(before, after)
    assert comparison.changed == 24 / 800
    assert comparison.transitions == (Transition(CAT, 0, 20 / 800), Transition(0, CHAIR, 4 / 800))
    assert comparison.gained == (CHAIR,)
    assert comparison.lost == ()


def test_a_speck_is_not_called_found():
    before = np.zeros((100, 100), np.uint8)
    after = before.copy()
    after[0, :49] = CHAIR
    assert compare(before, after).gained == ()
    after[0, 49] = CHAIR  # the fiftieth pixel makes it one in two hundred
    assert compare(before, after).gained == (CHAIR,)
    assert compare(after, before).lost == (CHAIR,)


def test_changes_far_from_an_outline_are_told_apart():
    before = np.zeros((40, 60), np.uint8)
    before[:, 30:] = CAT
    after = before.copy()
    after[:, 29] = CAT  # 40 pixels along the outline
    assert compare(before, after).near_outline == 1
    after = before.copy()
    after[:, :30] = DOG  # the whole left half, of which 5 columns are near the outline
    assert compare(before, after).near_outline == pytest.approx(5 / 30)


def test_outline_band_is_width_pixels_on_both_sides():
    labels = np.zeros((4, 30), np.uint8)
    labels[:, 15:] = 1
    assert outline_band(labels, 3)[0].nonzero()[0].tolist() == [12, 13, 14, 15, 16, 17]
    assert not outline_band(np.full((3, 3), 7, np.uint8)).any()


def test_sentences_name_what_changed():
    before, after = square(), square()
    after[5:15, 5:7] = 0
    after[0, :4] = CHAIR
    before[19, 36:] = DOG  # where afterwards there is no outline
    text = " ".join(sentences(compare(before, after), CLASSES, most=2))
    assert text == (
        "FCN-8s gives 3.5 % of the pixels another class than FCN-32s does; 85.7 % of those lie "
        "within 5 pixels of an outline. The biggest changes: cat → background (2.5 % of the "
        "photo), background → chair (0.5 % of the photo). Only FCN-8s finds chair. Only FCN-32s "
        "finds dog."
    )


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="one size"):
        compare(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_change_map_colours_the_new_class_hatches_background_and_greys_the_rest():
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[..., 0] = 200
    before, after = square(), square()
    after[0, 39] = CHAIR
    after[5:15, 5:15] = 0
    picture = change_map(pixels, before, after)
    assert picture.shape == pixels.shape
    assert picture.dtype == np.uint8
    assert picture[0, 39].tolist() == PALETTE[CHAIR].tolist()
    assert set(picture[5:15, 5:15].reshape(-1).tolist()) == {17, 255}
    unchanged = picture[before == after]
    assert (unchanged == unchanged[:, :1]).all()


maps = arrays(np.uint8, (6, 7), elements=st.integers(0, 20))


@given(maps, maps)
def test_transitions_add_up_and_reverse(before, after):
    comparison, back = compare(before, after), compare(after, before)
    assert sum(t.share for t in comparison.transitions) == pytest.approx(comparison.changed)
    assert comparison.changed == back.changed
    assert {(t.before, t.after) for t in comparison.transitions} == {
        (t.after, t.before) for t in back.transitions
    }
    assert comparison.gained == back.lost
