"""Inside the skips: a class's score maps and sums, linked, with the exact ledger of a pixel.

Python computes every number and every label; the browser draws, and looks up the value under the
pointer without a message to the server.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from explainer.components import script

_HERE = Path(__file__).parent
_mount = component(
    "explainer.skip_explorer",
    html='<div class="skips" data-ready="false"></div>',
    css=(_HERE / "skip_explorer.css").read_text(encoding="utf-8"),
    js=script(_HERE, "skip_explorer", shared=["ending"]),
)


def skip_explorer(
    data: dict[str, Any],
    *,
    key: str,
    on_pin: Callable[[], None],
    on_free: Callable[[], None],
    on_remove: Callable[[], None],
) -> None:
    """Draw the picture. The callbacks read the browser's message with `message(key, …)`."""
    _mount(
        key=key,
        data=data,
        on_pin_change=on_pin,
        on_free_change=on_free,
        on_remove_change=on_remove,
    )


def message(key: str, event: str) -> Any:
    """What the browser sent with an event ("pin", "free", "remove"), for use in its callback."""
    return (st.session_state.get(key) or {}).get(event)
