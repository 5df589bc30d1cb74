"""The lesson on unpooling without a browser."""

from explainer.ui.pictures.unpooling import MOVED, TIES, UNPOOLED
from tests.ui.conftest import captions, formula, parameter, preset, presets, press


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


# By button: size, kernel and stride, and what the address has.
PRESETS = {
    "nearest": ([4, 2, 2], {"pin": "nearest:0,2"}),
    "bed of nails": ([4, 2, 2], {"pin": "nails:0,2"}),
    "max unpooling": ([4, 2, 2], {"pin": "unpooled:1,1"}),
    "ties": ([4, 2, 2], {"x": TIES, "pin": "unpooled:0,1"}),
    "overlap": ([4, 3, 1], {"pin": "summed:0,2"}),
    "interpolation": ([4, 2, 2], {"view": "Interpolation"}),
}


def test_every_example_is_one_click(visit_lesson):
    app = visit_lesson("unpooling", size="6", stride="1", z="5", average="true", x=MOVED)
    assert sorted(presets(app)) == sorted(PRESETS)
    for label, (settings, address) in PRESETS.items():
        preset(app, label)
        assert [slider.value for slider in app.slider] == settings
        assert not app.toggle(key="average").value
        for name in ("x", "z", "pin", "view"):
            assert parameter(app, name) == address.get(name, "")
        assert not captions(app)
    assert 'mode="bicubic"' in app.code[0].value
    assert "1., 2." in app.code[0].value
    preset(app, "Reset")
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
    assert "Answer: where the maxima were.** 1 of 4 are right, and 1 is wrong." in app.info[0].value
    press(app, "ask_again")
    assert not app.info
    mark(app, 1, 2, 12, 15)
    press(app, "reveal")
    assert "Right: where the maxima were.** All 4 are right." in app.success[0].value
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
    assert "**kernel**: kernel must not exceed size." in text(app), "there are no other settings"
    press(app, "mend kernel = 2")
    assert app.subheader[0].value == "3 of 4 values are gone"
    assert formula(app)


def test_a_bad_link_falls_back_and_says_so(visit_lesson):
    app = visit_lesson("unpooling", size="99", stride="two", x="1,rm", z=";", view="no", pin="<b>")
    said = " ".join(warning.value for warning in app.warning)
    for name in ("size", "stride", "x", "z", "view", "pin"):
        assert f" {name} " in said
    assert app.subheader[0].value == "12 of 16 values are gone"
    preset(app, "Reset")
    assert not app.warning


def test_numbers_for_another_size_are_left_out_and_said(visit_lesson):
    app = visit_lesson("unpooling", size="5", x=MOVED)
    assert "numbers of x" in captions(app)
    assert not app.warning


def test_the_slides_question_is_asked_of_its_own_numbers_only(visit_lesson):
    """The 5 of other numbers need not be there, and they are not to be lost."""
    app = visit_lesson("unpooling")
    assert any("The 5 moves one cell up" in text.value for text in app.markdown)
    own = "1,2,6,3;3,3,2,1;1,2,2,1;7,3,4,8"
    app = visit_lesson("unpooling", x=own)
    assert not any("The 5 moves" in text.value for text in app.markdown)
    buttons = [button.key for button in app.button if (button.key or "").startswith("predict_")]
    assert buttons == ["predict_now", "predict_moved"]
    press(app, "predict_now")
    assert app.query_params["x"] == own


def test_the_five_moves_once(visit_lesson):
    app = press(visit_lesson("unpooling"), "move_five")
    assert app.button(key="move_five").disabled
