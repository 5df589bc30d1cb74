"""What the viewer receives, decoded again as the browser does."""

import base64
import io
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from explainer.components.segment_viewer import payload
from explainer.fcn.geometry import Lattice, padded_size
from explainer.fcn.result import STRIDES, ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES, PALETTE


def made_up(height: int, width: int) -> tuple[Segmentation, NDArray[np.uint8]]:
    random = np.random.default_rng(height + width)
    scores = {}
    for stride in STRIDES:
        rows, cols = (padded_size(side, 32) // stride + 1 for side in (height, width))
        values = random.normal(0, 4, (len(CLASSES), rows, cols)).astype(np.float32)
        scores[stride] = ScoreMap(values, Lattice(stride))
    empty = Segmentation(height, width, CLASSES, scores, labels={})
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return empty.without(), pixels


def unpack(text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype).reshape(shape)


@pytest.fixture(params=[(1, 1), (37, 90), (130, 65)], ids=str)
def case(request: pytest.FixtureRequest) -> tuple[Segmentation, NDArray[np.uint8]]:
    return made_up(*request.param)


def test_labels_come_back_exactly(case):
    result, pixels = case
    heads = payload(result, pixels)["heads"]
    assert [head["stride"] for head in heads] == list(STRIDES)
    for head in heads:
        labels = unpack(head["labels"], "u1", (result.height, result.width))
        np.testing.assert_array_equal(labels, result.labels[head["stride"]])


def test_cells_are_labelled_by_the_highest_sum(case):
    result, pixels = case
    for head in payload(result, pixels)["heads"]:
        cells, total = head["cells"], result.sums[head["stride"]]
        labels = unpack(cells["labels"], "u1", (cells["rows"], cells["cols"]))
        np.testing.assert_array_equal(labels, total.values.argmax(0))
        assert (cells["stride"], cells["first"]) == (head["stride"], total.lattice.first)


def test_scores_come_back_within_half_a_step(case):
    result, pixels = case
    for head in payload(result, pixels)["heads"]:
        added, expected = head["added"], result.scores[head["stride"]]
        shape = (len(CLASSES), added["rows"], added["cols"])
        values = unpack(added["values"], "<i2", shape).astype(float)
        assert abs(values * added["scale"] - expected.values).max() <= 0.501 * added["scale"]
        assert added["scale"] == pytest.approx(abs(expected.values).max() / 32767)
        assert (added["stride"], added["first"]) == (head["stride"], expected.lattice.first)


def test_scores_that_are_all_zero_stay_zero():
    result, pixels = made_up(40, 40)
    added = payload(result.without(strides=[16]), pixels)["heads"][1]["added"]
    assert not unpack(added["values"], "<i2", (-1,)).any()
    assert added["scale"] > 0


def test_the_photo_is_the_segmented_one():
    result, _ = made_up(48, 64)
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (48, 64, 3)).copy()
    photo = payload(result, pixels)["photo"]
    with Image.open(io.BytesIO(base64.b64decode(photo["jpeg"]))) as image:
        decoded = np.asarray(image.convert("RGB")).astype(int)
    assert (photo["height"], photo["width"]) == (48, 64)
    assert abs(decoded - pixels).mean() < 2


def test_the_id_follows_the_photo_alone():
    result, pixels = made_up(33, 40)
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    same = payload(result.without(strides=[8]), pixels)["photo"]["id"]
    assert payload(result, pixels)["photo"]["id"] == same
    assert payload(result, other)["photo"]["id"] != same


def test_legend_is_sorted_by_the_finest_output_and_background_is_last():
    result, pixels = made_up(20, 10)
    labels = {stride: np.zeros((20, 10), np.uint8) for stride in STRIDES}
    labels[8][:4] = 8
    labels[8][4:5] = 12
    labels[32][:, :5] = 15
    legend = payload(replace(result, labels=labels), pixels)["legend"]
    assert [row["index"] for row in legend] == [8, 12, 15, 0]
    assert [row["shares"] for row in legend] == [
        pytest.approx(shares)
        for shares in ([0, 0, 0.2], [0, 0, 0.05], [0.5, 0, 0], [0.5, 1.0, 0.75])
    ]


def test_classes_carry_names_and_colours_of_the_voc_palette():
    result, pixels = made_up(8, 8)
    classes = payload(result, pixels)["classes"]
    assert [found["name"] for found in classes] == list(CLASSES)
    assert [found["color"] for found in classes] == PALETTE[: len(CLASSES)].tolist()


def test_is_plain_json():
    found = payload(*made_up(37, 90))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((5, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32)],
    ids=["turned", "grey", "float"],
)
def test_refuses_pixels_of_another_photo(pixels):
    result, _ = made_up(4, 5)
    with pytest.raises(ValueError, match=r"uint8 of shape \(4, 5, 3\)"):
        payload(result, pixels)
