"""The lesson on convolution without a browser."""

import json

import pytest

from explainer.ui.pictures.convolution import VIEWS, idle
from tests.ui.conftest import (
    captions,
    component,
    formula,
    grids,
    mends,
    parameter,
    preset,
    presets,
    press,
    send,
)


def result(app) -> str:
    """The size of the output at the end of the formula."""
    return formula(app).rsplit("= <", 1)[1].split(">")[1].split("<")[0]


def test_it_opens_with_a_picture_a_formula_and_a_prediction(visit_lesson):
    app = visit_lesson("convolution")
    assert not app.warning
    assert result(app) == "3"
    assert [slider.key for slider in app.slider][:4] == ["size", "kernel", "stride", "padding"]
    assert app.radio[0].options == ["grows", "stays", "shrinks"]


def test_the_link_sets_the_controls(visit_lesson):
    app = visit_lesson("convolution", size="9", kernel="5", stride="3", padding="0")
    assert result(app) == "2"
    assert "F.conv2d(x, w, stride=3, padding=0, dilation=1)" in app.code[0].value


# By button: size, kernel, stride and padding, and the size of the output.
PRESETS = {
    "pad 1": ((4, 3, 1, 1), "4"),
    "stride 2": ((4, 3, 2, 1), "2"),
    "letters": ((5, 3, 1, 0), "3"),
    "4×16": ((4, 3, 1, 0), "2"),
    "4×6": ((4, 3, 1, 1), "4"),
    "2×6": ((4, 3, 2, 1), "2"),
    "SAME, 1": ((6, 3, 1, 1), "6"),
    "SAME, 2": ((6, 3, 2, 1), "3"),
    "VALID, 1": ((6, 3, 1, 1), "4"),
    "VALID, 2": ((6, 3, 2, 1), "2"),
    "two layers": ((12, 3, 2, 1), ""),
}


def test_every_example_is_one_click(visit_lesson):
    app = visit_lesson("convolution", dilation="2", seed="7")
    assert presets(app) == list(PRESETS)
    for label, (settings, size) in PRESETS.items():
        preset(app, label)
        assert app.slider(key="dilation").value == 1
        assert tuple(slider.value for slider in app.slider[:4]) == settings, label
        assert not size or result(app) == size, label
    assert result(app) == "2", "the stride of both layers"
    assert ">7</span>, stride" in formula(app)
    preset(app, "Reset")
    assert result(app) == "3"


def test_impossible_settings_keep_the_controls_and_offer_a_way_out(visit_lesson):
    app = visit_lesson("convolution", size="2", kernel="7", padding="0")
    assert app.slider(key="kernel").value == 7
    assert any("must not exceed" in text.value for text in app.markdown)
    press(app, mends(app)[0])
    assert "data-role" in formula(app)


def test_two_layers_that_do_not_fit_are_said_and_not_drawn_for_another_size(visit_lesson):
    app = visit_lesson("convolution", view="Two layers", size="3", kernel="7")
    assert any("must be at least kernel + (kernel2" in text.value for text in app.markdown)
    assert not json.loads(component(app, "linked_grid").json)["rows"]
    press(app, mends(app)[0])
    assert ">7</span>, stride" not in formula(app)
    assert not mends(app)
    assert formula(visit_lesson("convolution", view="Two layers"))


def test_a_bad_link_falls_back_and_says_so(visit_lesson):
    app = visit_lesson("convolution", size="-3", framework="Caffe", x="1,2,rm", view="nothing")
    said = " ".join(warning.value for warning in app.warning)
    for name in ("size", "framework", "x", "view"):
        assert name in said
    assert result(app) == "3"


def test_edited_numbers_come_from_the_link(visit_lesson):
    app = visit_lesson(
        "convolution", axes="1-D", size="4", stride="1", x="1,2,3,4", w="0,1,0", weights="own"
    )
    assert "[1., 2., 3., 4.]" in app.code[0].value
    assert "[0., 1., 0.]" in app.code[0].value


def test_numbers_for_another_grid_are_left_out_and_said(visit_lesson):
    app = visit_lesson("convolution", x="1,2,3", w="1,2;3,4", weights="own", pin="output:9,9")
    assert "numbers of x in the address are for another size" in captions(app)
    assert "numbers of w in the address are for another size" in captions(app)
    assert "The cell that was pinned is not in this picture" in captions(app)
    preset(app, "Reset")
    assert not captions(app)


@pytest.mark.parametrize(
    ("view", "name"), [("Channels", "input2"), ("Channels", "kernel3"), ("1×1 to 21", "input1")]
)
def test_a_number_typed_into_a_channel_changes_that_one_alone(visit_lesson, view, name):
    app = visit_lesson("convolution", view=view, size="4", padding="0")
    before = grids(app)
    assert before[name]["editable"]
    send(app, "linked_grid", "edit", {"grid": name, "row": 1, "col": 2, "text": "7.5"})
    after = grids(app)
    place = before[name]["columns"] + 2
    assert after[name]["texts"][place] == "7.5"
    for other in [name for name in before if name[:-1] in ("input", "kernel")]:
        expected = list(before[other]["texts"])
        if other == name:
            expected[place] = "7.5"
        assert after[other]["texts"] == expected
    assert not app.warning
    assert not captions(app)
    preset(app, "Reset")
    assert not parameter(app, "x") + parameter(app, "w")


def test_the_largest_channels_are_edited_too(visit_lesson):
    app = visit_lesson("convolution", view="Channels", size="12", padding="0")
    send(app, "linked_grid", "edit", {"grid": "input3", "row": 11, "col": 11, "text": "−7.5"})
    assert grids(app)["input3"]["texts"][-1] == "−7.5"
    assert not app.toast


def test_what_is_no_number_leaves_the_cell_and_says_so_once(visit_lesson):
    app = visit_lesson("convolution")
    before = grids(app)["input"]["texts"]
    send(app, "linked_grid", "edit", {"grid": "input", "row": 0, "col": 1, "text": "much"})
    assert "A cell takes a number" in app.toast[0].value
    assert grids(app)["input"]["texts"] == before
    app.run()
    assert not app.toast


@pytest.mark.parametrize("view", ["Window", "Matrix", "Two layers"])
def test_a_number_typed_into_a_cell_is_shown_and_changes_no_other(visit_lesson, view):
    app = visit_lesson("convolution", view=view, size="4", stride="1")
    for name in ("input", "kernel"):
        before = grids(app)
        assert before[name]["editable"]
        send(app, "linked_grid", "edit", {"grid": name, "row": 0, "col": 1, "text": "7.5"})
        after = grids(app)
        pairs = zip(before[name]["texts"], after[name]["texts"], strict=True)
        assert [now for was, now in pairs if now != was] == ["7.5"]
        for other in {"input", "kernel", "second"} & set(after) - {name}:
            assert after[other]["texts"] == before[other]["texts"]
    assert app.selectbox(key="weights").value == "own"
    assert not app.warning
    assert not captions(app)
    for name in "xw":
        assert parameter(app, name).split(";")[0].split(",")[1] == "7.5"


@pytest.mark.parametrize(
    ("view", "x", "w", "said"),
    [
        ("Two layers", "1,2", "1,2,3,4,5,6,7", ["x", "w"]),
        ("Two layers", "1,2,3,4,5", "1,2,3", []),
        ("Channels", "1,2", "1,2,3,4,5,6,7", ["x", "w"]),
        ("1×1 to 21", "1,2", "1,2,3", ["x"]),  # these weights are of use in "Two layers"
    ],
)
def test_numbers_that_no_grid_takes_are_said_in_every_view(visit_lesson, view, x, w, said):
    app = visit_lesson("convolution", view=view, weights="own", x=x, w=w)
    assert [name for name in "xw" if f"numbers of {name} in" in captions(app)] == said


@pytest.mark.parametrize(
    "page", ["convolution", "transposed_convolution", "checkerboard", "dilation"]
)
def test_weights_beside_another_kernel_are_said_until_that_is_changed(visit_lesson, page):
    app = visit_lesson(page, w="1,2,3;4,5,6;7,8,9")
    assert "The link gives w, which counts only with weights = own" in app.warning[0].value
    menu = app.selectbox(key="weights")
    menu.set_value(next(name for name in menu.options if name not in (menu.value, "own"))).run()
    assert not app.warning
    own = visit_lesson(page, w="1,2,3;4,5,6;7,8,9", weights="own")
    assert not own.warning


def test_the_cells_that_no_window_reads_are_counted(visit_lesson):
    app = visit_lesson("convolution", size="8", padding="0")
    assert "never read: <" in formula(app)
    app.slider(key="size").set_value(7).run()
    assert "never read" not in formula(app)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_lines_of_its_own(visit_lesson, view):
    app = visit_lesson("convolution", view=view)
    said = {"Two layers": "first, stride=2", "Channels": "three channels", "1×1 to 21": "argmax"}
    assert said.get(view, "F.conv2d(x, w, stride=2") in app.code[0].value


def test_the_prediction_reveals_and_sets_the_example(visit_lesson):
    app = visit_lesson("convolution")
    reveal = app.button(key="reveal plateau")
    assert reveal.disabled
    app.radio[0].set_value("grows").run()
    app.button(key="reveal plateau").click().run()
    assert app.slider(key="size").value == 6
    assert result(app) == "2"
    assert "Answer: stays" in app.info[0].value
    press(app, "again plateau")
    assert not app.info
    # What was there before the answer, which would be in sight else.
    assert (app.slider(key="size").value, app.slider(key="padding").value) == (5, 1)


def test_to_ask_again_keeps_what_was_changed_after_the_answer(visit_lesson):
    app = visit_lesson("convolution")
    app.radio[0].set_value("stays").run()
    app.button(key="reveal plateau").click().run()
    send(app, "linked_grid", "view", 1)
    press(app, "again plateau")
    assert app.query_params["view"] == "Matrix"
    assert app.slider(key="size").value == 6


def kinds(app):
    return [element.proto.component_name for element in app.get("bidi_component")]


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_view_does_not_use_is_greyed(visit_lesson, view):
    app = visit_lesson("convolution", view=view)
    greyed = {slider.key for slider in app.slider if slider.disabled}
    assert greyed == {slider.key for slider in app.slider} & idle(view, "PyTorch")


def test_tensorflow_chooses_the_padding(visit_lesson):
    app = visit_lesson("convolution", framework="TF SAME")
    assert app.slider(key="padding").disabled
    assert not app.slider(key="size").disabled


@pytest.mark.parametrize("view", VIEWS)
def test_the_stairs_are_those_of_the_output_beside_them(visit_lesson, view):
    app = visit_lesson("convolution", view=view, size="5")
    if view not in ("Two layers", "1×1 to 21"):
        press(app, "show stairs")
    if view in ("Two layers", "1×1 to 21"):
        assert "explainer.staircase" not in kinds(app)
        return
    stairs = json.loads(component(app, "staircase").json)
    assert stairs["current"] == 5
    output = next(step["output"] for step in stairs["steps"] if step["size"] == 5)
    assert output == 3
    assert stairs["names"] == ["n", "o"]


def unread(app) -> str:
    """The number of cells that no window reads, in the formula; "" where it is silent."""
    return formula(app).partition("never read: ")[2].partition(">")[2].partition("<")[0]


def hatched(app) -> int:
    """How many cells of the picture are hatched as unread."""
    return sum(grid.get("marks", "").count("u") for grid in grids(app).values())


@pytest.mark.parametrize("framework", ["PyTorch", "TF VALID"])
@pytest.mark.parametrize("size", ["5", "6"])
def test_nothing_tells_whether_the_sixth_cell_counts_before_the_answer(
    visit_lesson, size, framework
):
    app = visit_lesson("convolution", size=size, padding="0", framework=framework)
    assert "explainer.staircase" not in kinds(app)
    assert (unread(app), hatched(app)) == ("?", 0)
    app.radio[0].set_value("grows").run()
    assert "explainer.staircase" not in kinds(app)
    press(app, "reveal plateau")
    assert "explainer.staircase" in kinds(app)
    assert (unread(app), hatched(app)) == ("1", 11)
    app.slider(key="size").set_value(9).run()
    assert "explainer.staircase" in kinds(app), "once told, they stay"
    press(app, "again plateau")
    assert "explainer.staircase" not in kinds(app)


def test_a_teacher_sees_the_stairs_in_one_click(visit_lesson):
    app = visit_lesson("convolution", size="6", padding="0")
    press(app, "show stairs")
    assert "explainer.staircase" in kinds(app)
    assert (unread(app), hatched(app)) == ("1", 11)
    assert app.button(key="reveal plateau").disabled, "the question is still open"


def test_the_answer_leads_to_a_view_with_stairs(visit_lesson):
    app = visit_lesson("convolution", view="Two layers")
    app.radio[0].set_value("stays").run()
    press(app, "reveal plateau")
    assert "view" not in app.query_params
    assert "explainer.staircase" in kinds(app)
