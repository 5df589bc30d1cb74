"""The lesson on dilation without a browser."""

import json

import pytest

from explainer.ui.pictures.dilation import VIEWS
from tests.ui.conftest import captions, component, grids, html, mends, preset, presets, press


def chips(app) -> list[str]:
    """The numbers in the formula."""
    return [part.split("<")[0] for part in html(app, "formula").split('">')[2:]]


def stack(app) -> list[int]:
    """The dilations in the row of layers."""
    layers = [part for part in app.number_input if (part.key or "").startswith("layer ")]
    return [layer.value for layer in layers]


def test_it_opens_with_the_stack_of_the_slides(visit_lesson):
    app = visit_lesson("dilation")
    assert not app.warning
    assert stack(app) == [1, 2, 4]
    assert chips(app) == ["1 + 2 + 4", "3", "15", "15", "0"]
    assert "for dilation in (1, 2, 4):" in app.code[0].value


def test_every_example_is_one_click(visit_lesson):
    app = visit_lesson("dilation", cells="40", seed="7", dilations="3,3", view="Photo")
    shows = {
        "d = 1": lambda: chips(app) == ["3", "9", "0", "1", "3", "7"],
        "d = 2": lambda: chips(app) == ["5", "9", "0", "2", "3", "5"],
        "d = 3": lambda: chips(app) == ["7", "9", "0", "3", "3", "3"],
        "↓ conv ↑": lambda: chips(app)[-2:] == ["9", "36"],
        "stride off": lambda: [chips(app)[i] for i in (4, 8)] == ["2", "3"],
        "1, 2, 4": lambda: chips(app)[2:] == ["15", "15", "0"],
        "context": lambda: "67×67" in html(app, "context") and chips(app)[1] == "64",
        "its field": lambda: "67×67" in html(app, "context") and chips(app)[0] == "67",
        "2, 2, 2": lambda: chips(app)[2:] == ["13", "?", "?"],
        "1, 2, 5": lambda: chips(app)[2:] == ["17", "17", "0"],
        "photo": lambda: "after dilations 2, 2, 2" in html(app, "photos"),
        "edges": lambda: "after dilation 4" in html(app, "photos"),
    }
    cells = {"2, 2, 2": 15, "1, 2, 5": 19}
    dilations = {"d = 1": 1, "d = 3": 3}
    assert presets(app) == list(shows)
    for label, is_shown in shows.items():
        preset(app, label)
        assert app.slider(key="seed").value == 0
        assert app.slider(key="cells").value == cells.get(label, 17)
        assert app.slider(key="dilation").value == dilations.get(label, 2)
        assert is_shown(), (label, chips(app))
    preset(app, "Reset")
    assert stack(app) == [1, 2, 4]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_by_link_with_code_and_a_prediction(visit_lesson, view):
    app = visit_lesson("dilation", view=view, dilations="2,2")
    assert not app.warning
    assert "torch" in app.code[0].value
    assert html(app, "formula")
    assert any("Predict" in text.value for text in app.markdown)
    assert bool(html(app, "photos")) is (view == "Photo")
    assert bool(html(app, "context")) is (view == "Context")


def test_the_row_of_layers_is_edited(visit_lesson):
    app = visit_lesson("dilation")
    app.number_input(key="layer 2").set_value(5).run()
    assert stack(app) == [1, 5, 4]
    assert app.query_params["dilations"] == "1,5,4"
    press(app, "remove layer")
    assert stack(app) == [1, 5]
    press(app, "add layer")
    assert stack(app) == [1, 5, 10]
    app.number_input(key="layer 2").set_value(2).run()
    app.number_input(key="layer 3").set_value(4).run()
    assert "dilations" not in app.query_params
    for _ in range(2):
        press(app, "remove layer")
    assert app.button(key="remove layer").disabled


def test_a_link_that_cannot_be_used_gives_a_notice_and_the_defaults(visit_lesson):
    app = visit_lesson("dilation", dilations="0,99", cells="3", up="magic", view="Nowhere")
    assert stack(app) == [1, 2, 4]
    assert app.slider(key="cells").value == 17
    notices = " ".join(notice.value for notice in app.warning)
    for name in ("dilations", "cells", "up", "view"):
        assert name in notices
    preset(app, "Reset")
    assert not app.warning


def test_a_stack_that_does_not_fit_keeps_the_controls_and_offers_a_way_out(visit_lesson):
    app = visit_lesson("dilation", dilations="16,16", cells="17")
    assert stack(app) == [16, 16]
    assert any("which the stack spans" in t.value or "stack spans" in t.value for t in app.markdown)
    assert mends(app) == ["mend cells = 65", "mend dilations = 4,4"]
    press(app, mends(app)[1])
    assert stack(app) == [4, 4]
    assert chips(app)[2] == "17"


def test_a_kernel_that_does_not_fit_is_mended(visit_lesson):
    app = visit_lesson("dilation", view="Kernel", dilation="6", size="9")
    assert "mend size = 13" in mends(app)
    press(app, "mend size = 13")
    assert chips(app)[-1] == "1"


def test_along_two_axes_the_size_is_that_of_two_axes(visit_lesson):
    app = visit_lesson("dilation", view="Pooling", axes="2-D", size="7", kernel="5", stride="4")
    assert mends(app) == ["mend size = 8, kernel = 2"]
    press(app, mends(app)[0])
    assert [chips(app)[i] for i in (4, 8)] == ["1", "1"]
    app.segmented_control(key="axes").set_value("1-D").run()
    assert [chips(app)[i] for i in (4, 8)] == ["3", "10"]


def test_numbers_for_another_grid_are_left_out_and_said(visit_lesson):
    app = visit_lesson("dilation", view="Kernel", x="1,2", weights="own", w="1,2;3,4")
    assert "numbers of x" in captions(app)
    assert "numbers of w" in captions(app)
    app.slider(key="kernel").set_value(2).run()
    assert "numbers of w" not in captions(app)


@pytest.mark.parametrize("view", ["Stack", "Photo", "Context"])
def test_numbers_that_a_view_does_not_show_are_said_where_no_other_does(visit_lesson, view):
    assert "numbers of x" in captions(visit_lesson("dilation", view=view, x="1,2,3"))
    row = ",".join(["1"] * 17)  # of the view Resample
    assert not captions(visit_lesson("dilation", view=view, x=row))


def test_the_cells_are_revealed_with_the_stack_in_question(visit_lesson):
    app = visit_lesson("dilation")
    assert app.button(key="reveal cells").disabled
    app.session_state["guessed"] = "guess:0,1,2"
    app.run()
    press(app, "reveal cells")
    assert not app.exception
    assert stack(app) == [2, 2, 2]
    assert app.slider(key="cells").value == 13
    assert "Answer: 7, every second one." in app.info[0].value
    assert "You found 2 of them, and marked 1" in app.info[0].value
    press(app, "again cells")
    assert app.button(key="reveal cells").disabled


@pytest.mark.parametrize("view", VIEWS[1:])
def test_the_other_predictions_reveal(visit_lesson, view):
    app = visit_lesson("dilation", view=view, weights="edge")
    assert "it reaches" not in html(app, "photos"), "the question asks that"
    radio = next(part for part in app.radio if (part.key or "").startswith("answer "))
    radio.set_value(radio.options[1]).run()
    press(app, radio.key.replace("answer", "reveal"))
    assert not app.exception
    assert app.info or app.success
    if view == "Photo":
        assert stack(app) == [2, 2, 2]
        assert "it reaches 576 of 2304" in html(app, "photos")


def test_the_stack_in_question_says_nothing_of_its_holes_before_the_answer(visit_lesson):
    app = visit_lesson("dilation", dilations="2,2,2", cells="15")
    assert chips(app)[2:] == ["13", "?", "?"]
    assert not any("".join(grid["texts"]) for grid in grids(app).values())
    app.session_state["guessed"] = "guess:0"
    app.run()
    press(app, "reveal cells")
    assert chips(app)[2:] == ["13", "7", "6"]
    assert grids(app)["input"]["texts"] == list("1030607060301")
    press(app, "again cells")
    assert chips(app)[2:] == ["13", "?", "?"]
    app.number_input(key="layer 3").set_value(1).run()
    assert chips(app)[2:] == ["11", "11", "0"], "another stack is not in question"


def test_the_photo_in_question_is_shown_with_the_answer(visit_lesson):
    app = visit_lesson("dilation")
    preset(app, "photo")
    assert html(app, "photos").count("<img") == 4
    assert "?" in html(app, "photos")
    radio = next(part for part in app.radio if (part.key or "").startswith("answer "))
    radio.set_value("all").run()
    press(app, "reveal photo")
    assert html(app, "photos").count("<img") == 6
    assert "it reaches 576 of 2304" in html(app, "photos")


def test_one_layer_more_brings_the_cells_that_it_sees(visit_lesson):
    app = visit_lesson("dilation", dilations="1,2,4", cells="17")
    press(app, "add layer")
    assert stack(app) == [1, 2, 4, 8]
    assert app.slider(key="cells").value == 31
    assert not mends(app)


def told_by(app) -> str:
    """All that the page says of its picture: the strip, the terms, the code, the table."""
    scene = json.loads(component(app, "linked_grid").json)
    return json.dumps([scene, app.code[0].value, html(app, "context")])


@pytest.mark.parametrize(
    ("example", "answers"),
    [
        ("d = 3", ["9 of 49", "inserted zero"]),
        ("↓ conv ↑", ["filled places agree", "has the same", "allclose"]),
        ("stride off", ["the old ones filled", "is the same", "as before", "allclose"]),
        ("context", ["output of layer 8"]),
    ],
)
def test_an_example_tells_the_answer_with_the_answer(visit_lesson, example, answers):
    app = visit_lesson("dilation")
    preset(app, example)
    assert not [said for said in answers if said in told_by(app)]
    radio = next(part for part in app.radio if (part.key or "").startswith("answer "))
    radio.set_value(radio.options[0]).run()
    press(app, radio.key.replace("answer", "reveal"))
    assert not [said for said in answers if said not in told_by(app)]
    press(app, radio.key.replace("answer", "again"))
    assert not [said for said in answers if said in told_by(app)]


def test_poolings_answer_has_a_picture_whatever_was_set(visit_lesson):
    app = visit_lesson("dilation", view="Pooling", cells="5")
    app.radio[0].set_value("larger").run()
    press(app, next(b.key for b in app.button if (b.key or "").startswith("reveal")))
    assert "Answer: the same." in app.info[0].value
    assert not any("must be at least" in text.value for text in app.markdown)
    assert "dense" in grids(app)
