"""The section "Inside the skips": its state, its words and its address."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explainer.components.skip_explorer.payload import Removal
from explainer.fcn.result import Segmentation
from explainer.ui.inside_skips import (
    Probe,
    change_words,
    default_class,
    found_classes,
    parse_class,
    parse_pixel,
    telling_pixel,
)

SCRIPT = Path(__file__).parents[1] / "browser" / "apps" / "skip_explorer_demo.py"
DEMO = runpy.run_path(str(SCRIPT))
CAT, DOG = DEMO["CAT"], DEMO["DOG"]
CLASSES = ("background", "cat", "dog")


@pytest.fixture(scope="module")
def result() -> Segmentation:
    return DEMO["demo_result"]()


@pytest.fixture
def start() -> Callable[..., AppTest]:
    def run(**query: str) -> AppTest:
        app = AppTest.from_file(str(SCRIPT), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return run


def shown(app: AppTest) -> dict[str, Any]:
    """What the picture was given."""
    (element,) = app.get("bidi_component")
    return json.loads(element.proto.json)


def address(app: AppTest) -> dict[str, str]:
    """The parameters in the address; AppTest holds those that the app wrote as lists."""
    return {
        name: value if isinstance(value, str) else value[0]
        for name, value in app.query_params.items()
    }


def remove(app: AppTest, removal: Removal) -> None:
    probe: Probe = app.session_state["skips"]
    app.session_state["skips"] = Probe(probe.photo, probe.class_index, probe.pixel, removal)
    app.run()


@pytest.mark.parametrize("text", ["dog", " Dog ", "DOG"])
def test_parse_class(text: str) -> None:
    assert parse_class(text, CLASSES) == 2


@pytest.mark.parametrize("text", ["", "unicorn", "2"])
def test_parse_class_says_what_there_is(text: str) -> None:
    with pytest.raises(ValueError, match="It knows background, cat and dog"):
        parse_class(text, CLASSES)


@pytest.mark.parametrize(
    ("text", "pixel"), [("0,0", (0, 0)), ("199,263", (199, 263)), (" 7, 9 ", (7, 9))]
)
def test_parse_pixel(text: str, pixel: tuple[int, int]) -> None:
    assert parse_pixel(text, 200, 264) == pixel


@pytest.mark.parametrize(
    "text", ["", "1", "1,2,3", "-1,2", "200,0", "0,264", "1.5,2", "a,b", "²,1", "9" * 5000 + ",1"]
)
def test_parse_pixel_says_what_would_work(text: str) -> None:
    with pytest.raises(ValueError, match="such as 100,132; the last pixel is 199,263"):
        parse_pixel(text, 200, 264)


def test_found_classes_are_those_of_the_finest_labels(result: Segmentation) -> None:
    found = found_classes(result)
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found[CAT] == pytest.approx(np.mean(result.labels[8] == CAT))


def test_begins_with_the_largest_class_but_the_background(result: Segmentation) -> None:
    assert default_class(result) == CAT


def test_background_where_nothing_else_is_found(result: Segmentation) -> None:
    quiet = result.without(strides=(32, 16, 8))  # all scores 0: the lowest class wins
    assert default_class(quiet) == 0
    assert telling_pixel(quiet, 0) == (0, 0)


def test_telling_pixel_is_one_that_the_skips_won(result: Segmentation) -> None:
    y, x = telling_pixel(result, CAT)
    assert result.labels[8][y, x] == CAT
    assert result.labels[32][y, x] != CAT
    scores = np.sort(result.logits(y, x)[8])
    others = np.argwhere((result.labels[8] == CAT) & (result.labels[32] != CAT))
    inside = [p for p in others if 32 <= p[0] < 168 and 32 <= p[1] < 232]
    margins = [np.diff(np.sort(result.logits(*map(int, p))[8])[-2:])[0] for p in inside[::7]]
    assert scores[-1] - scores[-2] >= max(margins) - 1e-4


def test_telling_pixel_of_a_class_that_is_nowhere_is_its_largest_score(
    result: Segmentation,
) -> None:
    y, x = telling_pixel(result, 3)
    assert not (result.labels[8] == 3).any()
    best = result.logits(y, x)[8][3]
    assert all(
        result.logits(v, u)[8][3] <= best + 1e-4 for v in range(0, 200, 9) for u in range(0, 264, 9)
    )


def test_change_words() -> None:
    before = np.zeros((10, 100), dtype=np.uint8)
    before[:, :40] = 1
    after = before.copy()
    after[:2, :9] = 0
    after[9, 99] = 2
    assert change_words(before, after, CLASSES, Removal(frozenset({8}))) == (
        "Without pool3 1.9 % of the pixels get another label; most: 18 px cat → background."
    )
    assert change_words(before, before, CLASSES, Removal(cells=frozenset({(32, 1, 2)}))) == (
        "Without cell (1, 2) of stride 32 every pixel keeps its label."
    )
    assert change_words(before, before, CLASSES, Removal()) == ""


def test_without_any_map_the_label_is_a_tie_and_no_change(
    start: Callable[..., AppTest], result: Segmentation
) -> None:
    app = start()
    remove(app, Removal(frozenset({32, 16, 8})))
    assert not result.without(strides=(32, 16, 8)).labels[8].any()
    assert shown(app)["words"] == (
        "Without stride 32, pool4 and pool3 nothing is left to decide: every class scores 0 "
        "everywhere, and of equal scores the first one, background, is taken."
    )


def test_opens_with_a_telling_example(start: Callable[..., AppTest], result: Segmentation) -> None:
    app = start()
    data = shown(app)
    assert data["name"] == "cat"
    assert tuple(data["pixel"]) == telling_pixel(result, CAT)
    assert data["lead"] == "next:"
    assert data["words"] == ""
    assert not app.query_params


def test_another_class_is_drawn_and_goes_into_the_address(start: Callable[..., AppTest]) -> None:
    app = start(photo="cat")
    classes = app.button_group(key="skips-class")
    classes.set_value(DOG).run()
    assert not app.exception
    assert shown(app)["name"] == "dog"
    assert address(app) == {"photo": "cat", "skip_class": "dog"}


def test_all_classes_on_demand(start: Callable[..., AppTest]) -> None:
    app = start()
    assert len(app.button_group(key="skips-class").options) == 3
    app.toggle(key="skips-all").set_value(True).run()
    assert len(app.button_group(key="skips-class").options) == 21


def test_removing_a_skip_changes_words_labels_and_ledger(
    start: Callable[..., AppTest], result: Segmentation
) -> None:
    app = start()
    before = shown(app)
    removal = Removal(frozenset({32}))
    remove(app, removal)
    data = shown(app)
    changed = result.without(strides=(32,))
    assert data["words"] == change_words(
        result.labels[8], changed.labels[8], result.classes, removal
    )
    assert data["words"].startswith("Without stride 32 ")
    assert data["after"] != before["before"]
    assert data["ledger"]["total"] != before["ledger"]["total"]
    remove(app, Removal())
    assert shown(app) == before


def test_class_and_pixel_from_the_address(start: Callable[..., AppTest]) -> None:
    app = start(skip_class="dog", pixel="12,34")
    data = shown(app)
    assert (data["name"], data["pixel"]) == ("dog", [12, 34])
    assert not app.warning


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ({"skip_class": "unicorn"}, "no class “unicorn”"),
        ({"pixel": "900,1"}, "no pixel “900,1” in this photo"),
    ],
)
def test_bad_values_in_the_address_give_a_notice(
    start: Callable[..., AppTest], query: dict[str, str], notice: str
) -> None:
    app = start(photo="cat", **query)
    assert len(app.warning) == 1
    assert notice in app.warning[0].value
    assert shown(app)["name"] == "cat"
    assert address(app) == {"photo": "cat"}


def test_another_photo_starts_anew(start: Callable[..., AppTest]) -> None:
    app = start(skip_class="dog", pixel="12,34")
    probe: Probe = app.session_state["skips"]
    app.session_state["skips"] = Probe(
        "another photo", probe.class_index, probe.pixel, Removal(frozenset({8}))
    )
    app.run()
    data = shown(app)
    assert data["name"] == "cat"
    assert data["removedStrides"] == []
    assert not app.query_params
