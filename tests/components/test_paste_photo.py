"""What the browser sends is checked before it is decoded."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.components.paste_photo import received
from explainer.fcn.photo import PhotoError


def sent(data: bytes, name: object = "photo.png") -> dict:
    return {"name": name, "data": base64.b64encode(data).decode("ascii")}


@given(st.binary(max_size=100))
def test_bytes_come_through(data):
    assert received(sent(data), max_bytes=100) == ("photo.png", data)


def test_a_picture_without_a_name_gets_one():
    assert received(sent(b"x", name=None), 10) == ("pasted.png", b"x")
    assert received(sent(b"x", name="n" * 999), 10)[0] == "n" * 200


def test_too_large_is_refused_with_the_limit():
    limit = 3 * 2**20
    assert len(received(sent(bytes(limit)), limit)[1]) == limit
    with pytest.raises(PhotoError, match="limit of 3 MB"):
        received(sent(bytes(limit + 3)), limit)


@pytest.mark.parametrize(
    "message",
    [None, "text", {}, {"data": 5}, {"data": "!!!!"}, {"data": "abc"}, {"data": "äöüß"}],
)
def test_nonsense_is_refused_with_what_to_do(message):
    with pytest.raises(PhotoError, match="paste it again"):
        received(message, 100)


@given(
    st.recursive(st.none() | st.text() | st.integers(), st.lists)
    | st.dictionaries(
        st.sampled_from(["name", "data", "other"]), st.none() | st.text() | st.integers()
    )
)
def test_no_other_exception(message):
    try:
        name, data = received(message, 100)
    except PhotoError:
        return
    assert isinstance(name, str)
    assert len(data) <= 102
