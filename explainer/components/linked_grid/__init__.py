"""The linked grid: one component for all pictures of cells.

Point at a cell and see what belongs to it in every other grid; play, step and scrub; pin. All of it
happens in the browser. Only pins, edits, marks, views and a dragged frame reach Python.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from explainer.components import SHARED, script
from explainer.components.linked_grid.scene import Grid, Links, Scene, Steps, payload
from explainer.components.once import Once

__all__ = [
    "LINKED_GRID",
    "Grid",
    "Links",
    "Scene",
    "Steps",
    "data",
    "linked_grid",
    "message",
    "payload",
]

_HERE = Path(__file__).parent
_PARTS = ("linked_grid", "grid_view", "player", "links", "fit", "tools")
LINKED_GRID = Once(
    "linked_grid",
    html='<div class="linked-grid" data-role="linked-grid" data-ready="false"></div>',
    css=(_HERE / "linked_grid.css").read_text(encoding="utf-8"),
    js=script(_HERE, *_PARTS, shared=(*SHARED, "keys")),
)

EVENTS = ("pin", "edit", "mark", "view", "frame")


def linked_grid(
    scene: Scene,
    *,
    key: str,
    pin: str = "",
    marks: str = "",
    at: Mapping[str, int] | None = None,
    on: dict[str, Callable[[], None]] | None = None,
) -> None:
    """Draw a scene.

    Args:
        scene: what to show.
        key: Streamlit's key; scrub position, speed and focus survive reruns under the same key.
        pin: the pinned cell, "grid:row,col" in the numbers of `data-row` and `data-col`, or "".
            It is the truth: the browser follows it when it changes.
        marks: the student's marks, "grid:cell,cell,…" in flat drawn cells, or ""; of several
            grids, parted by ";".
        at: by its key, the value of each slider on which the scene depends (see `look_ahead`).
        on: callbacks by event, which read the browser's message with `message(key, event)`:
            "pin": the text for `pin`, or "" when freed;
            "edit": {"grid": name, "row": data-row, "col": data-col, "text": what was typed};
            "mark": the text for `marks`;
            "view": the number of the chosen view, from 0;
            "frame": {"grid": name, "left": cells from the grid's left edge to the frame's, "right":
            cells from the frame's right edge to the grid's; negative beyond the grid}.
    """
    handlers: dict[str, Any] = {
        f"on_{event}_change": (on or {}).get(event, _nothing) for event in EVENTS
    }
    LINKED_GRID(key=key, data=data(scene, key, pin=pin, marks=marks, at=at), **handlers)


def data(
    scene: Scene, key: str, *, pin: str = "", marks: str = "", at: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """What the browser gets of a scene; the arguments are those of `linked_grid`."""
    return {**payload(scene), "pin": pin, "marks": marks, "key": key, "at": dict(at or {})}


def message(key: str, event: str) -> Any:
    """What the browser sent with an event, for use in its callback."""
    return (st.session_state.get(key) or {}).get(event)


def _nothing() -> None:
    """An event that the page does not listen to."""
