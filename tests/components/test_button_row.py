"""A row of buttons: what the browser gets, and what it may send."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from explainer.components.button_row import Button, button_row
from tests.ui.conftest import component, send


def page() -> None:
    import streamlit as st

    from explainer.components.button_row import Button, button_row

    def note(label: str) -> None:
        st.session_state["pressed"] = label

    groups = {"From": [Button("a", "first"), Button("b")], "": [Button("Reset", icon="undo")]}
    button_row(groups, key="row", on_press=note)
    st.text(str(st.session_state.get("pressed")))


def test_the_browser_gets_words_help_and_icons():
    app = AppTest.from_function(page).run()
    assert json.loads(component(app, "button_row").json) == {
        "groups": [
            {
                "title": "From",
                "buttons": [
                    {"label": "a", "help": "first", "icon": ""},
                    {"label": "b", "help": "", "icon": ""},
                ],
            },
            {"title": "", "buttons": [{"label": "Reset", "help": "", "icon": "undo"}]},
        ]
    }


def test_a_press_tells_its_label():
    app = send(AppTest.from_function(page).run(), "button_row", "press", "b")
    assert app.text[0].value == "b"
    assert send(app, "button_row", "press", "Reset").text[0].value == "Reset"


@pytest.mark.parametrize("forged", ["c", "", None, 1, ["a"], {"a": 1}])
def test_what_is_on_no_button_does_nothing(forged):
    app = send(AppTest.from_function(page).run(), "button_row", "press", forged)
    assert app.text[0].value == "None"


def test_labels_are_different():
    with pytest.raises(ValueError, match="same label"):
        button_row({"": [Button("a")], "b": [Button("a")]}, key="x", on_press=print)
