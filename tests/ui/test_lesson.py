"""What the lesson pages share."""

from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from explainer.components.linked_grid import Grid, Scene
from explainer.ui import lesson
from explainer.ui.lesson import Question


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("input:0,0", True),
        ("input:-1,12", True),
        ("output_grid2:3,4", True),
        ("", False),
        ("input", False),
        ("input:1", False),
        ("input:1,2,3", False),
        ("input:1,x", False),
        ("in put:1,2", False),
        (":1,2", False),
        ("input:--1,2", False),
        ("a" * 40 + ":1,2", False),
        ("<b>:1,2", False),
        ("input:1,²", False),
        ("ïnput:1,2", False),
    ],
)
def test_a_pinned_cell_in_the_address_is_checked(text, usable):
    assert lesson.usable_pin(text) is usable


@given(st.text(max_size=60))
def test_any_text_can_be_asked_whether_it_is_a_pinned_cell(text):
    assert lesson.usable_pin(text) in (True, False)


def test_chips_are_no_way_into_the_page():
    assert lesson.chip("x", "<script>") == '<span class="chip input">&lt;script&gt;</span>'


def test_a_qr_code_is_an_svg_on_white():
    code = lesson.qr_code("http://example.org/convolution?size=2&kernel=3")
    assert code is not None
    kind, svg = code.split(",", 1)
    assert kind.startswith("data:image/svg+xml")
    picture = ElementTree.fromstring(unquote(svg))
    assert "#fff" in unquote(svg)
    assert float(picture.get("width", "0")) > 100


def test_what_no_qr_code_holds_has_none():
    assert lesson.qr_code("x" * 2300)
    assert lesson.qr_code("x" * 2400) is None


def test_the_answer_is_one_of_the_options():
    with pytest.raises(ValueError, match="none of the options"):
        Question("k", "belief", "text", ("a", "b"), "c", "why")


def shared_page() -> None:
    import streamlit as st

    from explainer.ui import lesson
    from explainer.ui.controls import Controls, Switch, Whole
    from explainer.ui.values import readable

    controls = Controls(
        "small",
        [Whole("size", "size", 5, low=1, high=9), Switch("letters", "letters", False)],
        extras={"x": readable},
    )
    controls.enter()
    for name in controls.controls:
        controls.draw(name)
    st.text(lesson.link("http://h/small", controls))


@pytest.mark.parametrize(
    ("query", "link"),
    [
        ({}, "http://h/small"),
        ({"size": "5", "letters": "false"}, "http://h/small"),
        ({"size": "7", "letters": "true"}, "http://h/small?size=7&letters=true"),
        ({"x": "1,2;3,4"}, "http://h/small?x=1,2;3,4"),
    ],
)
def test_the_link_to_share_holds_what_is_not_the_default(query, link):
    app = AppTest.from_function(shared_page)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert app.text[0].value == link


@pytest.mark.parametrize(
    ("found", "page", "right"),
    [
        ("http://h/convolution", "convolution", "http://h/convolution"),
        ("http://h/a/b/dilation", "dilation", "http://h/a/b/dilation"),
        ("http://h/transposed_/transposed_convolution", None, "http://h/transposed_convolution"),
        (
            "http://h/b/transposed_/transposed_convolution",
            None,
            "http://h/b/transposed_convolution",
        ),
        ("http://h/transposed_convolution", None, "http://h/transposed_convolution"),
        ("", "convolution", ""),
    ],
)
def test_the_address_of_the_page(found, page, right):
    assert lesson.own_address(found, page or "transposed_convolution") == right


@pytest.mark.parametrize(
    ("address", "machine", "bound", "others", "said"),
    [
        ("https://h.org/a?size=7", "192.0.2.7", None, "https://h.org/a?size=7", ""),
        ("http://192.0.2.9:8501/a", "192.0.2.7", None, "http://192.0.2.9:8501/a", ""),
        (
            "http://localhost:8501/a?x=1%2C2",
            "192.0.2.7",
            None,
            "http://192.0.2.7:8501/a?x=1%2C2",
            "Opened at localhost",
        ),
        ("http://127.0.0.1/a", "192.0.2.7", "0.0.0.0", "http://192.0.2.7/a", "Opened at 127"),
        ("http://[::1]:8501/a", "192.0.2.7", None, "http://192.0.2.7:8501/a", "Opened at ::1"),
        ("http://localhost:8501/a", None, None, "http://localhost:8501/a", "Only this computer"),
        (
            "http://localhost:8501/a",
            "192.0.2.7",
            "localhost",
            "http://localhost:8501/a",
            "Only this computer",
        ),
        ("", "192.0.2.7", None, "", ""),
    ],
)
def test_the_address_for_others_is_no_ones_own_machine(address, machine, bound, others, said):
    found, note = lesson.for_others(address, machine, bound)
    assert found == others
    assert note.startswith(said)
    assert bool(note) == bool(said)


def edited_page() -> None:
    import numpy as np
    import streamlit as st

    from explainer.ui import lesson
    from explainer.ui.controls import Choice, Controls
    from explainer.ui.values import readable

    controls = Controls(
        "edited",
        [Choice("weights", "weights", "ones", options=("ones", "own"))],
        extras={"x": readable, "w": readable},
    )
    controls.enter()
    controls.draw("weights")
    grids = {"input": np.array([[1.0, 2, 3], [4, 5, 6]]), "kernel": np.ones(2)}
    if st.session_state.get("long"):
        grids["input"] = np.full((12, 12), -1234.5678)

    def body() -> None:
        st.button(
            "edit",
            on_click=lambda: lesson.edit(controls, st.session_state["what"], **grids),
        )
        st.text(repr((controls["x"], controls["w"], controls["weights"])))

    lesson.live(controls, body)


def after_edit(what: dict, long: bool = False) -> tuple[tuple[str, str, str], str]:
    """What the address has after a message of the browser, and what the visitor is told."""
    app = AppTest.from_function(edited_page)
    app.session_state["what"], app.session_state["long"] = what, long
    app.run()
    app.button[0].click().run()
    assert not app.exception
    return eval(app.text[0].value), " ".join(toast.value for toast in app.toast)


def test_a_number_that_is_typed_goes_into_the_address():
    found, told = after_edit({"grid": "input", "row": 1, "col": 0, "text": " −2.5"})
    assert found == ("1,2,3;-2.5,5,6", "", "ones")
    assert not told
    found, told = after_edit({"grid": "input", "row": 0, "col": 2, "text": "1,5"})
    assert found == ("1,2,1.5;4,5,6", "", "ones")
    assert not told
    found, _ = after_edit({"grid": "kernel", "row": 0, "col": 1, "text": "7"})
    assert found == ("", "1,7", "own")


@pytest.mark.parametrize(
    "what",
    [
        {"grid": "input", "row": 2, "col": 0, "text": "1"},
        {"grid": "input", "row": -1, "col": 0, "text": "1"},
        {"grid": "input", "row": 0, "col": 3, "text": "1"},
        {"grid": "output", "row": 0, "col": 0, "text": "1"},
        {"grid": None, "row": 0, "col": 0, "text": "1"},
        {"grid": "input", "row": "0", "col": 0, "text": "1"},
        {"grid": "input", "row": 0, "text": "1"},
        {},
    ],
)
def test_a_message_about_no_cell_changes_nothing(what):
    assert after_edit(what)[0] == ("", "", "ones")


def test_what_is_no_number_or_does_not_fit_into_a_link_is_said():
    found, told = after_edit({"grid": "input", "row": 0, "col": 0, "text": "ten"})
    assert found == ("", "", "ones")
    assert "from −9999 to 9999 with at most four decimals or as 1/4" in told
    found, told = after_edit({"grid": "input", "row": 0, "col": 0, "text": "1"}, long=True)
    assert found == ("", "", "ones")
    assert "do not fit into a link" in told


@pytest.mark.parametrize(
    ("pin", "there"),
    [
        ("input:0,0", True),
        ("input:-1,-1", True),
        ("input:-2,0", False),
        ("input:1,0", True),
        ("input:2,0", False),
        ("output:0,0", False),
        ("input:99999999999999999999,0", False),
    ],
)
def test_a_pin_may_be_a_cell_of_the_scene_or_not(pin, there):
    grid = Grid("input", "input", ["0"] * 9, columns=3, origin=(1, 1))
    assert lesson.has_cell(Scene([[grid]]), pin) is there
