"""What the viewer receives, decoded again as the browser does."""

import io
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from explainer.components.segment_viewer import payload
from explainer.fcn.geometry import Lattice, padded_size
from explainer.fcn.result import STRIDES, Run, ScoreMap, Segmentation
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


class Received:
    """The bytes that the browser gets, and what it reads in them."""

    def __init__(self, data: bytes) -> None:
        (length,) = struct.unpack_from("<I", data)
        self.header = json.loads(data[4 : 4 + length])
        self._body = data[4 + length :]

    def part(self, place: list[int]) -> bytes:
        at, length = place
        assert 0 <= at <= at + length <= len(self._body)
        return self._body[at : at + length]

    def labels(self, place: list[int], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        packed = self.part(place)
        count = len(packed) // 5
        ends = np.frombuffer(packed, "<u4", count)
        values = np.frombuffer(packed, "u1", count, 4 * count)
        return np.repeat(values, np.diff(ends, prepend=0)).reshape(shape)

    def scores(self, place: list[int], shape: tuple[int, ...]) -> NDArray[np.int16]:
        return np.frombuffer(self.part(place), "<i2").reshape(shape)


def received(result: Segmentation, pixels: NDArray[np.uint8]) -> Received:
    return Received(payload(Run.single(result), pixels))


@pytest.fixture(params=[(1, 1), (37, 90), (130, 65)], ids=str)
def case(request: pytest.FixtureRequest) -> tuple[Segmentation, NDArray[np.uint8]]:
    return made_up(*request.param)


def test_labels_come_back_exactly(case):
    result, pixels = case
    found = received(result, pixels)
    heads = found.header["heads"]
    assert [head["stride"] for head in heads] == list(STRIDES)
    for head in heads:
        labels = found.labels(head["labels"], (result.height, result.width))
        np.testing.assert_array_equal(labels, result.labels[head["stride"]])


def test_cells_are_labelled_by_the_highest_sum(case):
    result, pixels = case
    found = received(result, pixels)
    for head in found.header["heads"]:
        cells, total = head["cells"], result.sums[head["stride"]]
        labels = found.labels(cells["labels"], (cells["rows"], cells["cols"]))
        np.testing.assert_array_equal(labels, total.values.argmax(0))
        assert (cells["stride"], cells["first"]) == (head["stride"], total.lattice.first)


def test_scores_come_back_within_half_a_step(case):
    result, pixels = case
    found = received(result, pixels)
    for head in found.header["heads"]:
        cells, expected = head["cells"], result.sums[head["stride"]]
        shape = (len(CLASSES), cells["rows"], cells["cols"])
        values = found.scores(cells["values"], shape).astype(float)
        assert abs(values * cells["scale"] - expected.values).max() <= 0.501 * cells["scale"]
        assert cells["scale"] == pytest.approx(abs(expected.values).max() / 32767)


def test_scores_that_are_all_zero_stay_zero():
    result, pixels = made_up(40, 40)
    found = received(result.without(strides=[32, 16]), pixels)
    cells = found.header["heads"][1]["cells"]
    assert not found.scores(cells["values"], (-1,)).any()
    assert cells["scale"] > 0


def test_the_photo_is_the_segmented_one():
    result, _ = made_up(48, 64)
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (48, 64, 3)).copy()
    found = received(result, pixels)
    photo = found.header["photo"]
    with Image.open(io.BytesIO(found.part(photo["jpeg"]))) as image:
        decoded = np.asarray(image.convert("RGB")).astype(int)
    assert (photo["height"], photo["width"]) == (48, 64)
    assert abs(decoded - pixels).mean() < 2


def test_the_id_of_the_photo_follows_the_photo_alone():
    result, pixels = made_up(33, 40)
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    same = received(result.without(strides=[8]), pixels).header["photo"]["id"]
    assert received(result, pixels).header["photo"]["id"] == same
    assert received(result, other).header["photo"]["id"] != same


def test_the_id_of_the_whole_follows_everything():
    result, pixels = made_up(33, 40)
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    doubled = {s: replace(found, values=2 * found.values) for s, found in result.scores.items()}
    variants = [
        (result, pixels),
        (result, other),
        (result.without(strides=[8]), pixels),
        # The same labels and, but for their scale, the same numbers.
        (replace(result, scores=doubled), pixels),
    ]
    assert len({received(*variant).header["id"] for variant in variants}) == len(variants)
    assert payload(Run.single(result), pixels) == payload(Run.single(result), pixels)


def test_legend_is_sorted_by_the_finest_output_and_background_is_last():
    result, pixels = made_up(20, 10)
    labels = {stride: np.zeros((20, 10), np.uint8) for stride in STRIDES}
    labels[8][:4] = 8
    labels[8][4:5] = 12
    labels[32][:, :5] = 15
    legend = received(replace(result, labels=labels), pixels).header["legend"]
    assert [row["index"] for row in legend] == [8, 12, 15, 0]
    assert [row["shares"] for row in legend] == [
        pytest.approx(shares)
        for shares in ([0, 0, 0.2], [0, 0, 0.05], [0.5, 0, 0], [0.5, 1.0, 0.75])
    ]


def test_classes_carry_names_and_colours_of_the_voc_palette():
    result, pixels = made_up(8, 8)
    classes = received(result, pixels).header["classes"]
    assert [found["name"] for found in classes] == list(CLASSES)
    assert [found["color"] for found in classes] == PALETTE[: len(CLASSES)].tolist()


def test_the_shares_are_those_of_the_result():
    result, pixels = made_up(37, 90)
    shares = result.shares()
    for row in received(result, pixels).header["legend"]:
        expected = [shares[stride].get(row["index"], 0.0) for stride in STRIDES]
        assert row["shares"] == pytest.approx(expected)


def test_the_header_has_no_numbers_that_browsers_cannot_read():
    header = received(*made_up(37, 90)).header
    assert json.loads(json.dumps(header, allow_nan=False)) == header


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((5, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32)],
    ids=["turned", "grey", "float"],
)
def test_refuses_pixels_of_another_photo(pixels):
    result, _ = made_up(4, 5)
    with pytest.raises(ValueError, match=r"uint8 of shape \(4, 5, 3\)"):
        payload(Run.single(result), pixels)
