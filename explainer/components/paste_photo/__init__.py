"""A button, and Ctrl+V anywhere on the page, that hand in a picture from the clipboard."""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from explainer.fcn.photo import PhotoError

_FOLDER = Path(__file__).parent
_mount = component(
    "explainer.paste_photo",
    html='<button type="button">Paste (Ctrl+V)</button>',
    css=(_FOLDER / "paste_photo.css").read_text("utf-8"),
    js=(_FOLDER / "paste_photo.js").read_text("utf-8"),
)


def paste_photo(*, key: str, max_bytes: int, on_photo: Callable[[], None]) -> None:
    """Draw the button. The callback reads the picture with `pasted_photo(key, …)`."""
    _mount(key=key, data={"max_bytes": max_bytes}, on_photo_change=on_photo)


def pasted_photo(key: str, max_bytes: int) -> tuple[str, bytes]:
    """The (name, file) that was pasted, for use in the callback.

    Raises:
        PhotoError: the file is larger than `max_bytes`, or did not arrive whole.
    """
    return received((st.session_state.get(key) or {}).get("photo"), max_bytes)


def received(pasted: Any, max_bytes: int) -> tuple[str, bytes]:
    """What the browser sent, checked: it passes by the limits that Streamlit sets on uploads.

    Args:
        pasted: {"name": str, "data": the file in base64}.
        max_bytes: the most that the file may have.

    Raises:
        PhotoError: the file is larger than that, or did not arrive whole.
    """
    text = pasted.get("data") if isinstance(pasted, dict) else None
    if not isinstance(text, str):
        raise PhotoError("The picture did not arrive; paste it again, or choose it as a file.")
    # Four characters of base64 for three bytes: refused before anything is decoded.
    if len(text) > (max_bytes + 2) // 3 * 4:
        raise PhotoError(
            f"The pasted picture is larger than the limit of {max_bytes / 2**20:g} MB; "
            "save a smaller copy and use that."
        )
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PhotoError(
            "The picture did not arrive whole; paste it again, or choose it as a file."
        ) from None
    return str(pasted.get("name") or "pasted.png")[:200], data
