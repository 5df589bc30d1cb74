"""What is sent ahead is what the server draws once the slider has moved."""

import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explainer.ui import lesson
from explainer.ui.controls import SETTINGS, Controls
from explainer.ui.pictures import checkerboard, convolution, dilation, unpooling
from explainer.ui.pictures import transposed_convolution as transposed
from tests.ui.conftest import component, press

VIEWS = {
    "convolution": convolution.VIEWS,
    "unpooling": unpooling.VIEWS,
    "transposed_convolution": transposed.VIEWS,
    "checkerboard": checkerboard.VIEWS,
    "dilation": dilation.VIEWS,
}
PAGES = [(page, view) for page, views in VIEWS.items() for view in views]


@pytest.fixture(autouse=True)
def all_of_it(monkeypatch):
    """However slow the machine is, and however large the pictures are."""
    monkeypatch.setattr(lesson, "AHEAD_S", 60)
    monkeypatch.setattr(lesson, "AHEAD_CHARACTERS", 10**9)


@pytest.fixture
def one_step_each(monkeypatch):
    """Not every value of the slider that moved last: some pictures take long."""
    everything = Controls.ahead

    def first(self: Controls) -> Iterator[tuple[str, int]]:
        seen: set[str] = set()
        for name, value in everything(self):
            if name not in seen:
                yield name, value
            seen.add(name)

    monkeypatch.setattr(Controls, "ahead", first)


def pictures(app: AppTest) -> dict[str, dict[str, Any]]:
    """What the browser gets of each picture, by its key."""
    protos = [element.proto for element in app.get("bidi_component")]
    kinds = ("explainer.linked_grid", "explainer.photo_field")
    found = [json.loads(one.json) for one in protos if one.component_name in kinds]
    return {one["key"]: one for one in found}


def ahead(app: AppTest) -> dict[str, Any]:
    sent = json.loads(zlib.decompress(component(app, "look_ahead").bytes))
    steps = {
        name: {value: json.loads(step) for value, step in values.items()}
        for name, values in sent["steps"].items()
    }
    return {**sent, "steps": steps}


def move(app: AppTest, name: str, value: int) -> None:
    """Move a slider; only the live part of the page runs again, and is all that the test sees."""
    app.run()
    app.slider(key=name).set_value(value).run()
    assert not app.exception, app.exception


def move_every_slider(app: AppTest) -> int:
    """Move each slider once, to a value that was sent ahead; how many there were."""
    names = list(ahead(app)["at"])
    for name in names:
        sent = ahead(app)
        assert sent["here"] == pictures(app)[sent["picture"]]
        value = next(iter(sent["steps"][name]))
        move(app, name, int(value))
        expected = {**sent["here"], **sent["steps"][name][value]}
        assert pictures(app)[sent["picture"]] == expected
        assert expected["at"][name] == int(value)
    return len(names)


@pytest.mark.usefixtures("one_step_each")
@pytest.mark.parametrize(("page", "view"), PAGES)
def test_a_step_was_sent_ahead_as_the_server_draws_it(
    visit_lesson: Callable[..., AppTest], page: str, view: str
):
    alone = view == "1×1 to 21"  # there all but the seed stand still
    assert move_every_slider(visit_lesson(page, view=view)) > (0 if alone else 2)


@pytest.mark.usefixtures("one_step_each")
def test_the_circle_follows_its_slider(visit_lesson: Callable[..., AppTest]):
    app = visit_lesson("receptive_field", view="network")
    # The photo is not sent once more for every radius.
    assert set(ahead(app)["steps"]["radius"]["201"]) == {"circles", "at"}
    assert move_every_slider(app) == 1


@pytest.mark.usefixtures("one_step_each")
def test_with_the_answer_shown_the_circle_follows_too_but_not_on_a_greyed_photo(
    visit_lesson: Callable[..., AppTest],
):
    app = press(visit_lesson("receptive_field", view="network"), "reveal influence")
    assert move_every_slider(app) == 1
    toggle = next(one for one in app.toggle if (one.key or "").startswith("grey"))
    toggle.set_value(True).run()
    assert not any(
        one.proto.component_name == "explainer.look_ahead" for one in app.get("bidi_component")
    )


def test_impossible_settings_are_sent_ahead_too(visit_lesson: Callable[..., AppTest]):
    app = visit_lesson("convolution", size="3", kernel="3", stride="1", padding="0")
    sent = ahead(app)
    assert sent["steps"]["size"]["2"]["rows"] == []
    move(app, "size", 2)
    assert pictures(app)["picture"] == {**sent["here"], **sent["steps"]["size"]["2"]}


@pytest.mark.usefixtures("one_step_each")
def test_a_prediction_stays_hidden_until_other_numbers_end_it(
    visit_lesson: Callable[..., AppTest],
):
    app = press(visit_lesson("unpooling"), "predict_now")
    assert move_every_slider(app) == 3


def test_the_slider_that_moved_is_first_and_goes_on_in_its_direction(
    visit_lesson: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
):
    app = visit_lesson("convolution", size="6")
    move(app, "padding", 2)
    move(app, "size", 5)
    steps = ahead(app)["steps"]
    assert next(iter(steps)) == "size"
    assert list(steps["size"]) == ["4", "6", "3", "7", "2", "8", "1", "9", "10", "11", "12"]
    assert list(steps["padding"]) == ["1", "3"]
    # With little time, only the likeliest step.
    monkeypatch.setattr(lesson, "AHEAD_S", 0)
    move(app, "size", 4)
    assert {name: list(values) for name, values in ahead(app)["steps"].items()} == {"size": ["3"]}
    monkeypatch.setattr(lesson, "AHEAD_S", 60)
    monkeypatch.setattr(lesson, "AHEAD_CHARACTERS", 0)
    move(app, "size", 3)
    assert {name: list(values) for name, values in ahead(app)["steps"].items()} == {"size": ["2"]}


def test_sliders_that_nobody_can_move_now_are_left_out(visit_lesson: Callable[..., AppTest]):
    app = visit_lesson("transposed_convolution", framework=transposed.KERAS_SAME)
    assert set(ahead(app)["at"]) == {"stride", "size", "kernel", "seed"}
    app.session_state[SETTINGS] = False
    app.run()
    assert set(ahead(app)["at"]) == {"stride", "size", "kernel"}


def test_while_others_wait_only_the_likeliest_step_is_sent_ahead(
    visit_lesson: Callable[..., AppTest],
):
    app = visit_lesson("convolution", size="6")
    move(app, "size", 5)
    assert len(ahead(app)["steps"]["size"]) > 1
    with lesson.crowd.one_more():
        move(app, "size", 4)
        assert {name: list(to) for name, to in ahead(app)["steps"].items()} == {"size": ["3"]}
    move(app, "size", 3)
    assert len(ahead(app)["steps"]["size"]) > 1


@pytest.mark.parametrize("page", [*VIEWS, "receptive_field"])
def test_the_code_of_a_picture_is_not_sent_at_every_step(
    visit_lesson: Callable[..., AppTest], page: str
):
    app = visit_lesson(page, **({"view": "network"} if page == "receptive_field" else {}))
    if page == "convolution":
        press(app, "show stairs")
    kinds = {one.proto.component_name for one in app.get("bidi_component")}
    codes = {kind for kind in kinds if kind.endswith("_code")}
    assert codes
    assert {code.removesuffix("_code") for code in codes} <= kinds
    sent = ahead(app)
    name = next(iter(sent["steps"]))
    move(app, name, int(next(iter(sent["steps"][name]))))
    answers = [one.proto for one in app.get("bidi_component")]
    assert answers
    for answer in answers:
        assert len(answer.js_content) + len(answer.css_content) < 2000, answer.component_name
