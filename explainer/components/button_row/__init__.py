"""Many buttons as one element.

Streamlit goes through every element of a page at every rerun, several times: a dozen of its own
buttons cost a slider more milliseconds than the picture does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from explainer.components import script

_HERE = Path(__file__).parent
_mount = component(
    "explainer.button_row",
    html='<div class="row" data-role="button-row" data-ready="false"></div>',
    css=(_HERE / "button_row.css").read_text(encoding="utf-8"),
    js=script(_HERE, "button_row"),
)


@dataclass(frozen=True)
class Button:
    """A button of a row.

    Attributes:
        label: what stands on it; no two of a row are the same.
        help: what it does, shown while it is pointed at or has the focus.
        icon: a Material symbol by its plain name.
    """

    label: str
    help: str = ""
    icon: str = ""


def button_row(
    groups: Mapping[str, Sequence[Button]], *, key: str, on_press: Callable[[str], None]
) -> None:
    """Draw buttons in a line that breaks where it is full.

    Args:
        groups: by the words before them; "" for none.
        key: Streamlit's key.
        on_press: a callback with the label of the button that was pressed.

    Raises:
        ValueError: two buttons have the same label.
    """
    labels = [button.label for buttons in groups.values() for button in buttons]
    if len(labels) != len(set(labels)):
        raise ValueError(f"two buttons of a row have the same label: {labels}")

    def pressed() -> None:
        label = (st.session_state.get(key) or {}).get("press")
        if label in labels:  # the message comes from the browser
            on_press(label)

    _mount(key=key, data=payload(groups), on_press_change=pressed)


def payload(groups: Mapping[str, Sequence[Button]]) -> dict[str, Any]:
    """The row as JSON values."""
    return {
        "groups": [
            {"title": title, "buttons": [asdict(button) for button in buttons]}
            for title, buttons in groups.items()
        ]
    }
