"""The lesson on convolution without a browser."""

import ast
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def examples():
    """The examples from the slides, read out of the page's source without running it."""
    root = Path(__file__).resolve().parents[2]
    tree = ast.parse((root / "pages/convolution.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            return ast.literal_eval(node.value)
    raise AssertionError("the page has no examples")


def formula(app) -> str:
    return next(part.value for part in app.get("html") if 'data-role="formula"' in part.value)


def result(app) -> str:
    """The size of the output at the end of the formula."""
    return formula(app).rsplit(">", 4)[-4].split("<")[0]


def press(app, key: str):
    return app.button(key=key).click().run()


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


def test_every_example_is_one_click(visit_lesson, examples):
    app = visit_lesson("convolution", dilation="2", seed="7")
    sizes = {
        "4×4, pad 1": "4",
        "4×4, stride 2": "2",
        "as a matrix": "2",
        "1-D, stride 1": "4",
        "1-D, stride 2": "2",
        "SAME": "3",
        "VALID": "2",
    }
    for label, example in examples.items():
        press(app, f"preset {label}")
        assert not app.exception
        assert app.slider(key="dilation").value == 1
        for name in ("size", "kernel", "stride", "padding"):
            if name in example:
                assert app.slider(key=name).value == example[name]
        if label in sizes:
            assert result(app) == sizes[label], label
    assert "= 7, stride" in formula(app)
    press(app, "preset reset")
    assert result(app) == "3"


def test_impossible_settings_keep_the_controls_and_offer_a_way_out(visit_lesson):
    app = visit_lesson("convolution", size="2", kernel="7", padding="0")
    assert app.slider(key="kernel").value == 7
    assert any("must not exceed" in text.value for text in app.markdown)
    mend = next(button for button in app.button if (button.key or "").startswith("mend"))
    mend.click().run()
    assert not app.exception
    assert "data-role" in formula(app)


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


def test_the_prediction_reveals_and_sets_the_example(visit_lesson):
    app = visit_lesson("convolution")
    reveal = app.button(key="reveal plateau")
    assert reveal.disabled
    app.radio[0].set_value("grows").run()
    app.button(key="reveal plateau").click().run()
    assert app.slider(key="size").value == 6
    assert result(app) == "2"
    assert "It is stays" in app.info[0].value
    press(app, "again plateau")
    assert not app.info
