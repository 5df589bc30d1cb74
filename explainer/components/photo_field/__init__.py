"""A stack of layers as a table, and what a unit of each layer sees, drawn on a photo.

Point at a layer and its field lights up on the photo; step through them; click the photo to move
the place; drag the edge of a circle. Pointing and stepping stay in the browser: only a new place, a
chosen layer, an edited stack and a released circle reach Python.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from explainer.components import SHARED, script
from explainer.components.once import Once
from explainer.components.photo_field.picture import Box, Circle, Picture, Row, payload

__all__ = [
    "PHOTO_FIELD",
    "Box",
    "Circle",
    "Picture",
    "Row",
    "data",
    "message",
    "payload",
    "photo_field",
]

_HERE = Path(__file__).parent
PHOTO_FIELD = Once(
    "photo_field",
    html='<div class="photo-field" data-role="photo-field" data-ready="false"></div>',
    css=(_HERE / "photo_field.css").read_text(encoding="utf-8"),
    js=script(_HERE, "photo_field", shared=(*SHARED, "keys")),
)

EVENTS = ("place", "layer", "edit", "change", "radius", "view")


def photo_field(
    picture: Picture,
    *,
    key: str,
    on: dict[str, Callable[[], None]] | None = None,
    views: int = 1,
    at: Mapping[str, int] | None = None,
) -> None:
    """Draw a picture.

    Args:
        picture: what to show.
        key: Streamlit's key.
        on: callbacks by event, which read the browser's message with `message(key, event)`:
            "place": {"y": row, "x": column} of the pixel that was clicked;
            "layer": the number of the row that was chosen;
            "edit": {"row": number, "field": "kernel", "stride", "padding" or "dilation",
            "text": what was typed};
            "change": {"row": number, "what": "add" (a copy below it) or "remove"};
            "radius": that of the circle that can be dragged, in pixels;
            "view": the number of the view whose key was pressed, from 0.
        views: of the page, between which the keys 1, 2 … switch.
        at: by its key, the value of each slider on which the picture depends (see `look_ahead`).
    """
    handlers: dict[str, Any] = {
        f"on_{event}_change": (on or {}).get(event, _nothing) for event in EVENTS
    }
    PHOTO_FIELD(key=key, data=data(picture, key, views=views, at=at), **handlers)


def data(
    picture: Picture, key: str, *, views: int = 1, at: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """What the browser gets of a picture; the arguments are those of `photo_field`."""
    return {**payload(picture), "views": views, "key": key, "at": dict(at or {})}


def message(key: str, event: str) -> Any:
    """What the browser sent with an event, for use in its callback."""
    return (st.session_state.get(key) or {}).get(event)


def _nothing() -> None:
    """An event that the page does not listen to."""
