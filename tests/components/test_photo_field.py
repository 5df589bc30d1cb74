"""What the browser gets of a photo with fields."""

import json

import pytest

from explainer.components.photo_field import Box, Circle, Picture, Row, payload
from explainer.components.photo_field.picture import FAR

ROW = Row("pool1", (2, 2, 0, 1), ("6",), Box(-2, 3, 6, 6), "pool1 sees 6×6")


def test_everything_is_json():
    picture = Picture(
        "photo",
        30,
        40,
        (15, 20),
        Box(-5, -5, 40, 50),
        "one layer",
        [ROW],
        {"r": "field"},
        {"kernel": (1, 9)},
        0,
        circles=[Circle(7, "guess", "yours")],
    )
    data = json.loads(json.dumps(payload(picture)))
    assert data["rows"][0]["box"] == [3, -2, 6, 6]
    assert data["rows"][0]["numbers"] == {"kernel": 2, "stride": 2, "padding": 0, "dilation": 1}
    assert data["circles"] == [{"radius": 7, "kind": "guess", "text": "yours"}]
    assert data["view"] == [-5, -5, 50, 40]


def test_edges_that_nobody_sees_come_nearer():
    huge = Picture("", 3, 4, (0, 0), Box(0, 0, 3, 4), boxes=[Box(-(10**9), 1, 10**12, 10**12)])
    assert payload(huge)["boxes"] == [[1, -FAR, FAR - 1, 2 * FAR]]


def test_pictures_that_cannot_be():
    with pytest.raises(ValueError, match="no row 1"):
        Picture("", 3, 4, (0, 0), Box(0, 0, 3, 4), "", [ROW], {"r": ""}, chosen=1)
    with pytest.raises(ValueError, match="a result for each"):
        Picture("", 3, 4, (0, 0), Box(0, 0, 3, 4), "", [ROW], {}, chosen=0)
