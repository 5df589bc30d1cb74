"""Photos and answers as bytes: there and back, and whatever else may come."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load, save

from explainer.serve import wire
from tests.serve.conftest import answer_for

PHOTOS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3)))


@given(PHOTOS, st.booleans())
def test_a_photo_arrives_as_it_was_sent(photo, turned):
    if turned:  # memory in another order
        photo = np.rot90(photo)
    found, weights = wire.read_photo(wire.write_photo(photo, "abc"))
    assert weights == "abc"
    np.testing.assert_array_equal(found, photo)


@given(PHOTOS, st.booleans(), st.lists(st.text(max_size=20), max_size=3))
def test_an_answer_arrives_as_it_was_sent(photo, shrunk, notes):
    pixels = photo[: (len(photo) + 1) // 2] if shrunk else None
    sent = answer_for(
        photo if pixels is None else pixels, pixels=pixels, notes=tuple(notes), device="cuda:1"
    )
    got = wire.read_answer(wire.write_answer(sent), photo)
    for stride, scores in sent.result.scores.items():
        np.testing.assert_array_equal(got.result.scores[stride].values, scores.values)
        assert got.result.scores[stride].lattice == scores.lattice
        np.testing.assert_array_equal(got.result.labels[stride], sent.result.labels[stride])
        assert got.result.labels[stride].flags.writeable
    assert replace(got.result, scores={}, labels={}) == replace(sent.result, scores={}, labels={})
    assert got.notes == sent.notes
    assert (got.pixels is None) == (pixels is None)
    if pixels is not None and got.pixels is not None:
        np.testing.assert_array_equal(got.pixels, pixels)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_sentence(message):
    photo = np.zeros((5, 5, 3), np.uint8)
    with pytest.raises(wire.WireError):
        wire.read_photo(message)
    with pytest.raises(wire.WireError):
        wire.read_answer(message, photo)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = ("classes", "first", "timings", "device", "notes")
DTYPES = arrays.scalar_dtypes().filter(lambda dtype: dtype.kind in "iufb" and dtype.itemsize <= 8)


@given(
    st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1),
    st.dictionaries(
        st.sampled_from(("scores.32", "labels.8", "pixels", "photo", "about")),
        arrays.arrays(
            DTYPES.map(lambda dtype: dtype.newbyteorder("=")),
            arrays.array_shapes(min_dims=0, max_side=9, min_side=0),
        ),
    ),
)
def test_a_message_with_other_contents_is_refused_or_right(about, changed):
    """Whatever stands in it: what is read has the shapes that the page relies on."""
    photo = np.zeros((9, 7, 3), np.uint8)
    tensors = load(wire.write_answer(answer_for(photo)))
    text = json.loads(tensors["about"].tobytes()) | about
    tensors["about"] = np.frombuffer(json.dumps(text).encode(), np.uint8)
    message = save(tensors | changed)
    try:
        got = wire.read_answer(message, photo)
    except wire.WireError:
        return
    result = got.result
    assert {labels.shape for labels in result.labels.values()} == {(result.height, result.width)}
    assert all(scores.values.shape[0] == len(result.classes) for scores in result.scores.values())
    assert set(result.logits(0, 0)) == set(result.labels)


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (np.zeros((4, 4), np.uint8), "height, width, 3"),
        (np.zeros((4, 4, 3), np.float32), "uint8"),
        (np.zeros((0, 4, 3), np.uint8), "pixels a side"),
        (np.zeros((wire.MAX_SIDE + 1, 1, 3), np.uint8), "1×1025"),
        (np.zeros((1100, 1100, 3), np.uint8), "longer than"),
    ],
)
def test_what_is_no_photo_is_refused(photo, reason):
    with pytest.raises(wire.WireError, match=reason):
        wire.read_photo(wire.write_photo(photo, ""))


def test_the_largest_photo_and_its_answer_have_room():
    photo = np.zeros((wire.MAX_SIDE, wire.MAX_SIDE, 3), np.uint8)
    assert wire.read_photo(wire.write_photo(photo, "a" * 64))[0].shape == photo.shape
    message = wire.write_answer(answer_for(photo))
    assert len(message) < 6 * 2**20
    assert wire.read_answer(message, photo).result.width == wire.MAX_SIDE


def test_the_answer_for_another_photo_is_refused():
    message = wire.write_answer(answer_for(np.zeros((40, 50, 3), np.uint8)))
    with pytest.raises(wire.WireError, match=r"\(21, 3, 3\)"):
        wire.read_answer(message, np.zeros((40, 90, 3), np.uint8))
