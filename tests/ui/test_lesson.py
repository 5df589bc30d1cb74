"""What the lesson pages share."""

from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

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
    kind, svg = lesson.qr_code("http://example.org/convolution?size=2&kernel=3").split(",", 1)
    assert kind.startswith("data:image/svg+xml")
    picture = ElementTree.fromstring(unquote(svg))
    assert "#fff" in unquote(svg)
    assert float(picture.get("width", "0")) > 100


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
        ({"x": "1,2;3,4"}, "http://h/small?x=1%2C2%3B3%2C4"),
    ],
)
def test_the_link_to_share_holds_what_is_not_the_default(query, link):
    app = AppTest.from_function(shared_page)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert app.text[0].value == link
