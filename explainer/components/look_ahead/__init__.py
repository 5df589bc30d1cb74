"""What a picture shows at the next steps of its sliders, sent before they are asked for.

The server draws every picture and the browser shows it. Without this, a picture waits for the
server at each step of a slider, and while the thumb is dragged it does not follow at all, because
Streamlit tells the server only on letting go. With it, the browser holds the pictures of the values
that a slider may take next and shows them as it moves; the server's own answer comes after and
counts.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explainer.components import script
from explainer.components.once import Once

__all__ = ["LOOK_AHEAD", "look_ahead"]

LOOK_AHEAD = Once("look_ahead", html="", css="", js=script(Path(__file__).parent, "look_ahead"))


def look_ahead(
    picture: str,
    at: Mapping[str, int],
    here: Mapping[str, Any],
    steps: Mapping[str, Mapping[int, str]],
) -> None:
    """Send pictures ahead; draws nothing.

    Args:
        picture: the key of the picture (`linked_grid`, `photo_field`) that shows them.
        at: by slider, which is named by its key, its value now.
        here: the picture's data now.
        steps: by slider and value, what is different in the data while all other sliders stay,
            as JSON.
    """
    named = {name: {str(to): step for to, step in ahead.items()} for name, ahead in steps.items()}
    data = {"picture": picture, "at": dict(at), "here": dict(here), "steps": named}
    # Pictures repeat themselves: a tenth of the bytes.
    packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), level=1)
    LOOK_AHEAD(key=f"{picture} ahead", data=packed)
