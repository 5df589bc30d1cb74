"""The picture of the skips: what Python sends is what the result says, rounded honestly."""

import base64
import io
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from explainer.components.skip_explorer.payload import (
    OUTPUT_BYTES,
    Removal,
    best_other,
    change_layer,
    label_layer,
    nice_limit,
    output_map,
    payload,
    read_pixel,
    read_removal,
    sample_step,
    scores_at,
    signed,
    split_rounded,
    without_text,
)
from explainer.fcn.result import Segmentation

DEMO = runpy.run_path(str(Path(__file__).parents[1] / "browser" / "apps" / "skip_explorer_demo.py"))
CAT, DOG = DEMO["CAT"], DEMO["DOG"]


@pytest.fixture(scope="module")
def result() -> Segmentation:
    return DEMO["demo_result"]()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return DEMO["demo_photo"]()


def decode(text: str, dtype: str, rows: int, cols: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(rows, cols)


def picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(" ", ""))


def check_sums(ledger: dict, tolerance: float = 1e-9) -> None:
    """Parts add up to the total and cells to their part, as displayed, and the text says it."""
    parts = ledger["parts"]
    assert sum(number(part["value"]) for part in parts) == pytest.approx(
        number(ledger["total"]), abs=tolerance
    )
    for part in parts:
        assert sum(number(cell["contribution"]) for cell in part["cells"]) == pytest.approx(
            number(part["value"]), abs=tolerance
        )
    left, right = ledger["text"].split(" = ")
    assert left == f"{ledger['name']} {ledger['total']}"
    terms = re.findall(r"([−+]?) ?([0-9.]+) (stride 32|pool4|pool3)", right)
    assert [name for _, _, name in terms] == [part["name"] for part in parts]
    assert sum(
        (-1 if sign == "−" else 1) * float(size) for sign, size, _ in terms
    ) == pytest.approx(number(ledger["total"]), abs=tolerance)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=5))
def test_split_rounded_adds_up_and_stays_close(values: list[float]) -> None:
    total = round(sum(values) * 100)
    parts = split_rounded(values, total)
    assert sum(parts) == total
    assert all(
        abs(part - 100 * value) <= 1 + 1e-6 for part, value in zip(parts, values, strict=True)
    )


@pytest.mark.parametrize(
    ("hundredths", "text"), [(821, "8.21"), (-31, "−0.31"), (0, "0.00"), (5, "0.05")]
)
def test_signed_uses_a_true_minus(hundredths: int, text: str) -> None:
    assert signed(hundredths) == text


@pytest.mark.parametrize(
    ("largest", "limit"), [(0, 1), (0.7, 0.8), (1, 1), (19.9, 20), (26, 30), (101, 150)]
)
def test_nice_limit(largest: float, limit: float) -> None:
    assert nice_limit(largest) == pytest.approx(limit)


def test_scores_at_are_the_results_own_logits(result: Segmentation) -> None:
    random = np.random.default_rng(0)
    ys, xs = random.integers(0, result.height, 40), random.integers(0, result.width, 40)
    found = scores_at(result.sums[8], ys, xs)
    expected = np.stack([result.logits(int(y), int(x))[8] for y, x in zip(ys, xs, strict=True)], 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_payload_holds_the_maps_as_they_are(result: Segmentation, pixels: np.ndarray) -> None:
    data = payload(result, pixels, CAT, (100, 120))
    assert [m["stride"] for m in data["maps"]] == [32, 16, 8]
    assert [m["name"] for m in data["maps"]] == ["stride 32", "pool4", "pool3"]
    for sent in data["maps"]:
        stride, shape = sent["stride"], (sent["rows"], sent["cols"])
        assert shape == result.scores[stride].values.shape[1:]
        scores, sums = decode(sent["scores"], "<f4", *shape), decode(sent["sums"], "<f4", *shape)
        np.testing.assert_array_equal(scores, result.scores[stride].values[CAT])
        np.testing.assert_array_equal(sums, result.sums[stride].values[CAT])
    assert data["ups"] == [
        {"kernel": 3, "stride": 2, "padding": 1},
        {"kernel": 3, "stride": 2, "padding": 1},
        {"kernel": 15, "stride": 8, "padding": 7},
    ]


def test_output_map_is_the_score_at_its_pixels(result: Segmentation, pixels: np.ndarray) -> None:
    output = payload(result, pixels, DOG, (0, 0))["output"]
    values = decode(output["values"], "<i2", output["rows"], output["cols"]) * output["unit"]
    for row, col in ((0, 0), (3, 5), (output["rows"] - 1, output["cols"] - 1)):
        y, x = row * output["step"], col * output["step"]
        assert values[row, col] == pytest.approx(result.logits(y, x)[8][DOG], abs=output["unit"])


@pytest.mark.parametrize(("height", "width"), [(768, 768), (384, 512), (1, 768), (1, 1)])
def test_output_map_stays_small(height: int, width: int) -> None:
    step = sample_step(height, width)
    size = -(-height // step) * -(-width // step) * 2 * 4 / 3
    assert size <= OUTPUT_BYTES
    assert step == 1 or (height * width * 2 * 4 / 3) / (step - 1) ** 2 > OUTPUT_BYTES


@pytest.mark.parametrize("pixel", [(0, 0), (100, 120), (199, 263), (64, 96), (137, 41)])
@pytest.mark.parametrize("class_index", [0, CAT, DOG])
def test_ledger_is_the_results_and_adds_up(
    result: Segmentation, pixels: np.ndarray, pixel: tuple[int, int], class_index: int
) -> None:
    data = payload(result, pixels, class_index, pixel)
    ledger, exact = data["ledger"], result.ledger(*pixel, class_index)
    check_sums(ledger)
    check_sums(data["other"])
    assert number(ledger["total"]) == pytest.approx(exact.total, abs=0.0051)
    for shown, part in zip(ledger["parts"], exact.parts, strict=True):
        assert number(shown["value"]) == pytest.approx(part.value, abs=0.0101)
        assert [cell["id"] for cell in shown["cells"]] == [
            f"{cell.stride},{cell.row},{cell.col}" for cell in part.cells
        ]
        for sent, cell in zip(shown["cells"], part.cells, strict=True):
            assert number(sent["weight"]) * cell.score == pytest.approx(cell.contribution, abs=0.01)
            assert (sent["y"], sent["x"]) == (cell.stride * cell.row, cell.stride * cell.col)


def test_a_negative_first_part_keeps_its_sign(result: Segmentation, pixels: np.ndarray) -> None:
    ledger = payload(result, pixels, CAT, (5, 5))["ledger"]
    assert ledger["parts"][0]["negative"]
    assert f"= −{ledger['parts'][0]['magnitude']} stride 32" in ledger["text"]


def test_best_other_is_the_runner_up_or_the_winner(result: Segmentation) -> None:
    scores = result.logits(100, 120)[8]
    order = np.argsort(scores)[::-1]
    assert best_other(result, 100, 120, int(order[0])) == order[1]
    assert best_other(result, 100, 120, int(order[5])) == order[0]


def test_a_tie_is_no_verdict(result: Segmentation, pixels: np.ndarray) -> None:
    y, x = 100, 120
    data = payload(result, pixels, CAT, (y, x))
    assert [sent["label"] for sent in data["maps"]] == ["cat", "cat", "cat"]
    assert data["lead"] == "next:"
    assert payload(result, pixels, DOG, (y, x))["lead"] == "wins here:"
    # Without stride 32 no class has a score in the coarsest output; without all of them, in any.
    for strides, labels in ((32,), ["tie", "cat", "cat"]), ((32, 16, 8), ["tie"] * 3):
        changed = result.without(strides=strides)
        removal = Removal(frozenset(strides))
        data = payload(result, pixels, CAT, (y, x), removal=removal, changed=changed)
        assert [sent["label"] for sent in data["maps"]] == labels
        assert data["lead"] == ("next:" if "cat" in labels else "tie with:")


@pytest.mark.parametrize(
    "removal",
    [
        Removal(strides=frozenset({16})),
        Removal(cells=frozenset({(32, 3, 4), (8, 12, 15)})),
        Removal(frozenset({8}), frozenset({(32, 3, 3), (8, 12, 15)})),
    ],
)
def test_removal_gives_the_scores_of_the_reduced_result(
    result: Segmentation, pixels: np.ndarray, removal: Removal
) -> None:
    y, x = 101, 121
    changed = result.without(strides=removal.strides, cells=removal.cells)
    data = payload(result, pixels, CAT, (y, x), removal=removal, changed=changed)
    check_sums(data["ledger"])
    assert number(data["ledger"]["total"]) == pytest.approx(changed.logits(y, x)[8][CAT], abs=0.006)
    assert number(data["ledger"]["was"]) == pytest.approx(result.logits(y, x)[8][CAT], abs=0.006)
    for part in data["ledger"]["parts"]:
        assert part["removed"] == (part["stride"] in removal.strides)
        for cell in part["cells"]:
            stride, row, col = map(int, cell["id"].split(","))
            assert cell["removed"] == removal.takes((stride, row, col))
            assert not cell["removed"] or cell["contribution"] == "0.00"
    for sent in data["maps"]:
        shown = decode(sent["scores"], "<f4", sent["rows"], sent["cols"])
        np.testing.assert_array_equal(shown, changed.scores[sent["stride"]].values[CAT])
    assert data["limit"] == payload(result, pixels, CAT, (y, x))["limit"]


def test_a_result_without_pool3_has_two_maps(result: Segmentation, pixels: np.ndarray) -> None:
    coarse = {stride: result.scores[stride] for stride in (32, 16)}
    two = replace(result, scores=coarse, labels={}).without()
    data = payload(two, pixels, CAT, (100, 120))
    assert [part["name"] for part in data["ledger"]["parts"]] == ["stride 32", "pool4"]
    assert data["ups"][-1] == {"kernel": 31, "stride": 16, "padding": 15}
    assert data["head"] == "FCN-16s"


def test_the_photo_must_be_that_of_the_result(result: Segmentation, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="199×264 pixels, the result 200×264"):
        payload(result, pixels[1:], CAT, (0, 0))


def test_label_layer_is_clear_on_background_and_outlined() -> None:
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[10:30, 20:40] = CAT
    layer = np.asarray(picture(label_layer(labels)).convert("RGBA"))
    assert layer.shape == (40, 60, 4)
    assert layer[0, 0, 3] == 0
    assert tuple(layer[20, 30, :3]) == (64, 0, 0)
    assert 0 < layer[20, 30, 3] < 255
    assert tuple(layer[20, 19]) == (255, 255, 255, 255)


def test_change_layer_paints_exactly_the_changes() -> None:
    before = np.zeros((6, 8), dtype=np.uint8)
    after = before.copy()
    after[2, 3] = 5
    layer = np.asarray(picture(change_layer(before, after)).convert("RGBA"))
    assert [tuple(place) for place in np.argwhere(layer[..., 3] == 255)] == [(2, 3)]


@pytest.mark.parametrize(
    ("removal", "words"),
    [
        (Removal(), ""),
        (Removal(frozenset({8})), "without pool3"),
        (Removal(cells=frozenset({(32, 4, 7)})), "without cell (4, 7) of stride 32"),
        (
            Removal(frozenset({8}), frozenset({(32, 4, 7), (32, 4, 8), (16, 1, 2)})),
            "without pool3, 2 cells of stride 32 and cell (1, 2) of pool4",
        ),
        (Removal(frozenset({8}), frozenset({(8, 1, 1)})), "without pool3"),
    ],
)
def test_without_text(removal: Removal, words: str) -> None:
    assert without_text(removal) == words


@pytest.mark.parametrize(
    "message",
    [None, 3, "1,2", {}, {"y": 1}, {"y": 200, "x": 0}, {"y": -1, "x": 0}, {"y": 1.5, "x": 2},
     {"y": True, "x": 2}, {"y": "1", "x": "2"}],
)  # fmt: skip
def test_read_pixel_refuses_what_is_no_pixel(message: object) -> None:
    assert read_pixel(message, 200, 264) is None


def test_read_pixel() -> None:
    assert read_pixel({"y": 199, "x": 0}, 200, 264) == (199, 0)


@pytest.mark.parametrize(
    "message",
    [None, [], {"strides": 32, "cells": "32,1,1"}, {"strides": [64, "32", True, None, [32]]},
     {"cells": ["32,1", "32,1,1,1", "32,-1,1", "32,99,0", "4,0,0", 7, "32,1,x", "³²,1,1",
                "32,1," + "9" * 5000]}],
)  # fmt: skip
def test_read_removal_leaves_out_what_does_not_exist(message: object, result: Segmentation) -> None:
    assert read_removal(message, result) == Removal()


def test_read_removal(result: Segmentation) -> None:
    found = read_removal({"strides": [8], "cells": ["32,1,2", "32,99,0"]}, result)
    assert found == Removal(frozenset({8}), frozenset({(32, 1, 2)}))


def test_output_map_has_the_photos_size_at_step_one(result: Segmentation) -> None:
    assert output_map(result, CAT, 1).shape == (result.height, result.width)
