"""The reader of .caffemodel against protobuf itself, and against files that mean harm."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from explainer.fcn.caffemodel import MOST_FIELDS, CaffemodelError, read_caffemodel

from .conftest import MESSAGES, caffemodel

same_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=4),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def field(number: int, kind: int, content: bytes = b"") -> bytes:
    """A field as the wire format has it; with kind 2 its length comes first."""
    return varint(number << 3 | kind) + (varint(len(content)) if kind == 2 else b"") + content


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def layer(*fields: bytes, name: bytes = b"conv") -> bytes:
    return field(100, 2, field(1, 2, name) + b"".join(fields))


def blob(*fields: bytes) -> bytes:
    return field(7, 2, b"".join(fields))


ONE = np.float32(1).tobytes()


@same_folder
@given(
    layers=st.dictionaries(names, st.lists(arrays, min_size=1, max_size=3).map(tuple), min_size=1),
    v1=st.booleans(),
)
def test_reading_is_equal_to_writing(written, layers, v1):
    found = read_caffemodel(written("net.caffemodel", caffemodel(layers, v1=v1)))
    assert found.keys() == layers.keys()
    for name, blobs in layers.items():
        assert len(found[name]) == len(blobs)
        for here, there in zip(found[name], blobs, strict=True):
            np.testing.assert_array_equal(here, there)
            assert here.dtype == np.float32


def test_the_oldest_files_have_four_axes(written):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = written("old.caffemodel", caffemodel({"fc": (array,)}, v1=True, old_shape=True))
    np.testing.assert_array_equal(read_caffemodel(path)["fc"][0], array[None, None])


def test_layers_without_weights_are_left_out(written):
    layers = {"relu": (), "conv": (np.ones(3, np.float32),)}
    assert list(read_caffemodel(written("net.caffemodel", caffemodel(layers)))) == ["conv"]


def test_numbers_and_shapes_in_every_form(written):
    plain = layer(
        blob(field(5, 2, 6 * ONE), field(7, 2, field(1, 0, varint(2)) + field(1, 0, varint(3)))),
        blob(field(5, 2, 2 * ONE), field(6, 2, 2 * ONE)),  # without a shape; a gradient beside it
        blob(field(7, 2), field(5, 2, ONE)),  # a shape without axes: one number
    )
    found = read_caffemodel(written("net.caffemodel", plain))
    assert [array.shape for array in found["conv"]] == [(2, 3), (2,), ()]


def test_the_file_is_not_read_before_it_is_used(written):
    path = written("net.caffemodel", caffemodel({"conv": (np.ones(4, np.float32),)}))
    array = read_caffemodel(path)["conv"][0]
    assert not array.flags.owndata
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, I am a text file\n", "no protobuf|too early"),
        (b"\x00" * 40, "no protobuf"),
        (caffemodel({"relu": ()}), "no layer with weights"),
        (field(100, 2, b"")[:-1] + varint(2**40), "too early"),
        (layer(blob(field(5, 2, 3 * ONE)))[:-1], "too early"),
        (layer(blob(field(5, 2, 3 * ONE + b"x"))), "cut"),
        (layer(blob(field(5, 2, ONE), field(7, 2, field(1, 0, varint(2**62))))), "has 1 numbers"),
        (layer(blob(field(5, 2, ONE), field(1, 0, varint(2**63)))), "negative size"),
        (layer(blob(field(7, 2, field(1, 2, b"\x01" * 20)), field(5, 2, ONE))), "8 axes"),
        (layer(blob(field(7, 2, field(1, 0, b"\x01") * 9), field(5, 2, ONE))), "8 axes"),
        (layer(blob(field(5, 5, ONE))), "single precision"),
        (layer(blob(field(8, 2, 2 * ONE))), "single precision"),
        (layer(blob(field(5, 2, ONE), field(5, 2, ONE))), "single precision"),
        (layer(blob(field(6, 2, ONE))), "no numbers"),
        (layer(*[blob(field(5, 2, ONE))] * 17), "more than 16 blobs"),
        (layer(blob(field(5, 2, ONE)), name=b"x" * 257), "too long"),
        (layer(blob(field(5, 2, ONE)), name=b"\xff\xfe"), "no text"),
        (2 * layer(blob(field(5, 2, ONE))), "two layers"),
        (varint(100 << 3 | 3), "no protobuf"),
        (b"\xff" * 11, "no protobuf"),
        (b"\x0a", "too early"),
        (field(3, 0, b"\x00") * (MOST_FIELDS + 1), "fields"),
        (field(100, 2, field(3, 0, b"\x00") * (MOST_FIELDS // 2)) * 3, "fields"),
    ],
)
def test_what_is_no_caffemodel(written, data, words):
    with pytest.raises(CaffemodelError, match=words):
        read_caffemodel(written("bad.caffemodel", data))


def test_many_layers(written):
    layers = {f"conv{i}": (np.ones(1, np.float32),) for i in range(2001)}
    with pytest.raises(CaffemodelError, match="2000 layers"):
        read_caffemodel(written("net.caffemodel", caffemodel(layers)))


WHOLE = caffemodel(
    {
        "conv1": (np.arange(6, dtype=np.float32).reshape(1, 2, 3), np.ones(1, np.float32)),
        "fc": (np.ones((2, 2), np.float32),),
    }
)


def harmless(path) -> None:
    """Reads it, or says why not; a layer that comes back is as long as its shape says."""
    try:
        found = read_caffemodel(path)
    except CaffemodelError:
        return
    for blobs in found.values():
        for array in blobs:
            assert array.nbytes <= path.stat().st_size


def test_cut_anywhere(written):
    for end in range(len(WHOLE)):
        harmless(written("cut.caffemodel", WHOLE[:end]))


@same_folder
@given(st.binary(max_size=200))
def test_any_bytes(written, data):
    harmless(written("any.caffemodel", data))


@same_folder
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_any_byte_changed(written, place, byte):
    harmless(written("new.caffemodel", WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]))


def test_the_oracle_writes_what_caffe_writes():
    """Packed floats: one tag and one length for all numbers, as caffe.proto asks for."""
    message = MESSAGES["caffe.BlobProto"](data=[1, 2, 3])
    assert message.SerializeToString() == field(5, 2, np.array([1, 2, 3], np.float32).tobytes())
