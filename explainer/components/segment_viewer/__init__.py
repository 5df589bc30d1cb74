"""The linked viewer of the first page: the photo and the outputs of a network side by side.

Hovering, zooming, wiping and isolating a class happen in the browser alone; nothing is sent back.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from streamlit.components.v2 import component

from explainer.components import script
from explainer.components.segment_viewer.payload import payload
from explainer.fcn.result import Run

__all__ = ["payload", "segment_viewer"]

_FOLDER = Path(__file__).parent
_mount = component(
    "explainer.segment_viewer",
    html='<div class="viewer" data-role="viewer"></div>',
    css=(_FOLDER / "segment_viewer.css").read_text("utf-8"),
    js=script(_FOLDER, "segment_viewer", shared=["ending"]),
)


def segment_viewer(run: Run, pixels: NDArray[np.uint8], *, key: str) -> None:
    """Show a photo and its segmentations, linked.

    Args:
        run: the outputs for the photo.
        pixels: the photo at the size that was segmented, shape (height, width, 3), RGB.
        key: Streamlit's key; zoom, opacity and probe survive reruns under the same key.

    Raises:
        ValueError: pixels are not the photo of this run (see `payload`).
    """
    _mount(key=key, data=payload(run, pixels))
