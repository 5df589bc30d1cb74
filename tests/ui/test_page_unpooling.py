"""The lesson on unpooling without a browser."""

import ast
from pathlib import Path

import pytest

from explainer.ui.pictures.unpooling import MOVED, UNPOOLED


@pytest.fixture(scope="module")
def examples():
    """The examples from the slides, read out of the page's source without running it."""
    root = Path(__file__).resolve().parents[2]
    tree = ast.parse((root / "pages/unpooling.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            return ast.literal_eval(node.value)
    raise AssertionError("the page has no examples")


def formula(app) -> str:
    return next(part.value for part in app.get("html") if 'data-role="formula"' in part.value)


def press(app, key: str):
    app.button(key=key).click().run()
    assert not app.exception
    return app


def keys(app) -> set[str]:
    return {button.key for button in app.button}


def text(app) -> str:
    return " ".join(part.value for part in app.markdown)


def mark(app, *cells: int):
    """What the browser's message of marked cells leaves in the session."""
    app.session_state["unpooling prediction"]["marks"] = (
        f"{UNPOOLED}:{','.join(map(str, cells))}" if cells else ""
    )
    return app.run()


def test_it_opens_with_the_slides_example(visit_lesson):
    app = visit_lesson("unpooling")
    assert not app.warning
    assert [slider.key for slider in app.slider] == ["size", "kernel", "stride"]
    assert app.subheader[0].value == "12 of 16 values are gone"
    assert "Max unpooling restores." in text(app)
    assert ">2×2</span> → <span" in formula(app)
    assert "F.max_unpool2d(z, places, 2, stride=2, output_size=(4, 4))" in app.code[0].value
    assert 'F.interpolate(z, scale_factor=2, mode="nearest")' in app.code[0].value


def test_the_link_sets_the_controls(visit_lesson):
    app = visit_lesson("unpooling", size="6", kernel="3", stride="1", average="true")
    assert "x.requires_grad_()" in app.code[0].value
    assert "torch.ones(1, 1, 3, 3) / 9" in app.code[0].value
    assert app.subheader[0].value.endswith("of 36 values are gone")


def test_every_example_is_one_click(visit_lesson, examples):
    app = visit_lesson("unpooling", size="6", stride="1", z="5", average="true", x=MOVED)
    pins = {"nearest": "nearest:0,2", "bed of nails": "nails:0,2", "max unpooling": "unpooled:1,1"}
    assert list(examples) == [*pins, "interpolation"]
    for label in examples:
        press(app, f"preset {label}")
        assert [slider.value for slider in app.slider] == [4, 2, 2]
        assert not app.toggle(key="average").value
        assert not {"x", "z"} & set(app.query_params)
        assert app.query_params.get("pin", "") in (pins.get(label, ""), [pins.get(label, "")])
    assert 'mode="bicubic"' in app.code[0].value
    assert "1., 2." in app.code[0].value
    press(app, "preset reset")
    assert "max_unpool2d" in app.code[0].value


def test_moving_the_5_changes_x_alone(visit_lesson):
    app = visit_lesson("unpooling", size="6", z="1,1;1,1")
    press(app, "move_five")
    assert "[1., 5., 6., 3.]" in app.code[0].value
    assert "[1., 2.]" in app.code[0].value
    assert [slider.value for slider in app.slider] == [4, 2, 2]


def test_the_maxima_can_take_the_place_of_z(visit_lesson):
    app = press(visit_lesson("unpooling"), "maxima_as_z")
    assert "[5., 6.]" in app.code[0].value
    assert "[7., 8.]" in app.code[0].value


def test_a_prediction_is_marked_revealed_and_asked_again(visit_lesson):
    app = press(visit_lesson("unpooling", stride="1"), "predict_moved")
    assert app.slider(key="stride").value == 2
    assert "Click them" in text(app)
    assert app.button(key="reveal").disabled
    mark(app, 1, 5)
    assert app.button(key="reveal").label == "Reveal (2 marked)"
    press(app, "reveal")
    assert app.info[0].value.startswith("1 of 4 are right, and 1 is wrong.")
    press(app, "ask_again")
    assert not app.info
    mark(app, 1, 2, 12, 15)
    press(app, "reveal")
    assert app.success[0].value.startswith("All 4 are right.")
    press(app, "done")
    assert "predict_moved" in keys(app)


def test_other_numbers_can_be_predicted_and_a_new_setting_ends_it(visit_lesson):
    app = press(visit_lesson("unpooling", size="5", view="Interpolation"), "predict_now")
    assert "reveal" in keys(app)
    assert "max_unpool2d" in app.code[0].value
    app.slider(key="size").set_value(6).run()
    assert not app.exception
    assert "reveal" not in keys(app)
    app.query_params["size"] = "6"  # as a browser has it; only the live part ran
    press(press(app, "predict_now"), "not_now")
    assert "predict_now" in keys(app)


def test_impossible_settings_keep_the_controls_and_offer_a_way_out(visit_lesson):
    app = visit_lesson("unpooling", size="2", kernel="3")
    assert app.slider(key="kernel").value == 3
    assert "must not exceed" in text(app)
    press(app, "mend kernel = 2")
    assert app.subheader[0].value == "3 of 4 values are gone"
    assert formula(app)


def test_a_bad_link_falls_back_and_says_so(visit_lesson):
    app = visit_lesson("unpooling", size="99", stride="two", x="1,rm", z=";", view="no", pin="<b>")
    said = " ".join(warning.value for warning in app.warning)
    for name in ("size", "stride", "x", "z", "view", "pin"):
        assert f" {name} " in said
    assert app.subheader[0].value == "12 of 16 values are gone"
    press(app, "preset reset")
    assert not app.warning


def test_numbers_for_another_size_are_left_out_and_said(visit_lesson):
    app = visit_lesson("unpooling", size="5", x=MOVED)
    assert "numbers of x" in app.caption[0].value
    assert not app.warning
