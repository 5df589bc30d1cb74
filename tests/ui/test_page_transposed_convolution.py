"""The lesson on transposed convolution without a browser."""

import json

import pytest

from explainer.ui.pictures import transposed_convolution as pictures
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

PAGE = "transposed_convolution"


def result(app) -> str:
    """The size of the output at the end of the formula; "" where that is of another kind."""
    if "o = " not in formula(app):
        return ""
    return formula(app).rsplit("= <", 1)[1].split(">")[1].split("<")[0]


def code(app) -> str:
    return app.code[0].value


def settings(app) -> dict[str, object]:
    return {slider.key: slider.value for slider in app.slider}


def test_it_opens_with_a_picture_a_formula_and_a_prediction(visit_lesson):
    app = visit_lesson(PAGE)
    assert not app.warning
    assert result(app) == "3"
    assert [slider.key for slider in app.slider][:5] == [
        "size",
        "kernel",
        "stride",
        "padding",
        "output_padding",
    ]
    assert "4 views differ by 0<" in formula(app)
    assert "largest difference" in formula(app)
    assert len(app.radio[0].options) == 3
    assert any("takes 3 and 4 cells all to 2" in text.value for text in app.markdown)


def test_views_that_do_not_agree_say_so(visit_lesson, monkeypatch):
    monkeypatch.setattr(pictures, "disagreement", lambda _: 0.25)
    assert "4 views differ by 0.2<" in formula(visit_lesson(PAGE))


def test_the_link_of_the_slide_opens_its_example(visit_lesson):
    app = visit_lesson(PAGE, size="2", kernel="3", stride="2", padding="1", output_padding="1")
    assert result(app) == "4"
    assert "F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, dilation=1)" in code(
        app
    )


SIZES = {
    "four copies": "3",
    "2×2 → 4×4": "4",
    "1-D": "5",
    "16×4": "4",
    "6×4": "4",
    "6×2": "6",
    "bilinear": "5",
    "no inverse": "",
    "VALID, 1": "4",
    "VALID, 2": "5",
    "SAME, 2": "4",
}


def test_every_example_is_one_click_and_sets_every_control(visit_lesson):
    app = visit_lesson(PAGE, dilation="2", seed="7", letters="true", pin="input:0,0")
    assert presets(app) == list(SIZES)
    for label, size in SIZES.items():
        preset(app, label)
        assert not app.exception
        assert result(app) == size, label
        assert (settings(app)["dilation"], settings(app)["seed"]) == (1, 41)
        assert "pin" not in app.query_params
    preset(app, "Reset")
    assert result(app) == "3"


@pytest.mark.parametrize(
    ("label", "x", "w"),
    [
        ("four copies", "[[0., 1.],", "[2., 3.]]"),
        ("bilinear", "[[1., 2., 3.],", "[0.5 , 1.  , 0.5 ]"),
    ],
)
def test_examples_bring_their_numbers(visit_lesson, label, x, w):
    app = preset(visit_lesson(PAGE), label)
    assert x in code(app)
    assert w in code(app)


def test_impossible_settings_keep_the_controls_and_offer_a_way_out(visit_lesson):
    app = visit_lesson(PAGE, stride="1", output_padding="1", padding="0")
    assert settings(app)["output_padding"] == 1
    assert any("must be smaller than stride or dilation" in text.value for text in app.markdown)
    press(app, mends(app)[0])
    assert result(app)


def test_a_bad_link_falls_back_and_says_so(visit_lesson):
    app = visit_lesson(PAGE, size="-3", framework="Caffe", x="1,2,rm", view="nothing", more="all")
    said = " ".join(warning.value for warning in app.warning)
    for name in ("size", "framework", "x", "view", "more"):
        assert name in said
    assert result(app) == "3"


def test_the_prediction_reveals_by_showing_it(visit_lesson):
    app = visit_lesson(PAGE, padding="1", output_padding="0")
    assert "output_padding goes from 0 to 1" in app.radio[0].label
    reveal = next(button for button in app.button if (button.key or "").startswith("reveal"))
    assert reveal.disabled
    app.radio[0].set_value("zeros").run()
    press(app, reveal.key)
    assert settings(app)["output_padding"] == 1
    assert result(app) == "4"
    # The question stays with its answer, although its settings have changed.
    assert any("output_padding goes from 0 to 1" in text.value for text in app.markdown)
    assert not app.radio
    assert "Answer: sums, like the others" in app.info[0].value
    press(app, reveal.key.replace("reveal", "again"))
    assert settings(app)["output_padding"] == 0
    assert "output_padding goes from 0 to 1" in app.radio[0].label
    app.radio[0].set_value("zeros").run()
    press(app, reveal.key)
    # Other settings, another question.
    app.slider(key="padding").set_value(0).run()
    assert not app.info
    assert "padding goes from 0 to 1" in app.radio[0].label


def test_the_second_prediction_leads_to_the_empty_row(visit_lesson):
    app = visit_lesson(PAGE, padding="1", output_padding="1")
    app.radio[0].set_value("zeros").run()
    press(app, next(b.key for b in app.button if (b.key or "").startswith("reveal")))
    assert settings(app)["padding"] == 0
    assert app.success[0].value.startswith("**Right: zeros.**")


def test_keras_needs_no_padding(visit_lesson):
    app = visit_lesson(PAGE, framework="Keras SAME")
    assert app.slider(key="padding").disabled
    assert "n·s" in formula(app)
    assert 'padding="same"' in code(app)


def test_numbers_for_another_grid_are_left_out_and_said(visit_lesson):
    app = visit_lesson(PAGE, x="1,2,3", w="1", weights="own", pin="output:9,9")
    assert "numbers of x" in captions(app)
    assert "numbers of w" in captions(app)
    assert "The cell that was pinned is not in this picture" in captions(app)


@pytest.mark.parametrize(
    ("more", "drawn", "answer"),
    [
        ("computed or empty", {"input", "kernel", "computed", "empty"}, "2"),
        ("not an inverse", {"input", "kernel", "v", "back", "flipped", "printed"}, "no"),
        ("one filter or several", {"one", "two"}, "3"),
    ],
)
def test_cases_side_by_side_are_a_view(visit_lesson, more, drawn, answer):
    # Settings that are impossible do not matter here.
    app = visit_lesson(PAGE, view="Cases", more=more, output_padding="3")
    assert not app.warning
    assert set(grids(app)) == drawn
    assert formula(app)
    assert all(slider.disabled for slider in app.slider)
    assert app.selectbox(key="case").value == more
    app.radio[0].set_value(app.radio[0].options[0]).run()
    press(app, f"reveal {more}")
    assert (
        [*app.success, *app.info][0]
        .value.removeprefix("**Answer: ")
        .removeprefix("**Right: ")
        .startswith(f"{answer}.")
    )


def test_other_cases_are_chosen_beside_the_picture(visit_lesson):
    app = visit_lesson(PAGE, view="Cases")
    app.selectbox(key="case").set_value("not an inverse").run()
    assert parameter(app, "more") == "not an inverse"
    assert "back" in grids(app)


def test_no_inverse_shows_the_numbers_of_the_slide(visit_lesson):
    app = preset(visit_lesson(PAGE), "no inverse")
    assert grids(app)["v"]["texts"] == ["37", "47", "67", "77"]
    assert grids(app)["printed"]["texts"][:3] == ["148", "299", "141"]
    # The same numbers are in the other views.
    assert "[[37., 47.]," in code(visit_lesson(PAGE, **{**app.query_params, "view": "Matrix"}))


def test_the_stairs_speak_the_letters_of_the_formula(visit_lesson):
    """Here n is the input's size and o the output's: the convolution back goes from o to n."""
    app = visit_lesson("transposed_convolution", size="2", stride="2", padding="1")
    stairs = json.loads(component(app, "staircase").json)
    assert stairs["names"] == ["o", "n"]
    assert stairs["current"] == 3
    assert next(step["output"] for step in stairs["steps"] if step["size"] == 3) == 2


@pytest.mark.parametrize(
    ("left", "right", "why", "padding"),
    [(0, 2, True, 0), (3, 0, True, 2), (-1, 0, True, 0), (1, 1, False, 1), (2, 1, False, 2)],
)
def test_a_frame_that_cannot_stand_there_says_why(visit_lesson, left, right, why, padding):
    app = visit_lesson(PAGE, padding="0", output_padding="0")
    send(app, "linked_grid", "frame", {"grid": "output", "left": left, "right": right})
    said = "padding − output_padding on the right; output_padding < 2" in "".join(
        toast.value for toast in app.toast
    )
    assert said == why
    assert settings(app)["padding"] == padding
