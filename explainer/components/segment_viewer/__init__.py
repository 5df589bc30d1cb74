"""The linked viewer of the first page: photo, FCN-32s, FCN-16s and FCN-8s side by side.

Hovering, zooming, wiping and isolating a class happen in the browser alone; nothing is sent back.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from streamlit.components.v2 import component

from explainer.components.segment_viewer.payload import payload
from explainer.fcn.result import Segmentation

__all__ = ["payload", "segment_viewer"]

_FOLDER = Path(__file__).parent
_mount = component(
    "explainer.segment_viewer",
    html='<div class="viewer" data-role="viewer"></div>',
    css=(_FOLDER / "segment_viewer.css").read_text("utf-8"),
    js=(_FOLDER / "segment_viewer.js").read_text("utf-8"),
)


def segment_viewer(result: Segmentation, pixels: NDArray[np.uint8], *, key: str) -> None:
    """Show a photo and its three segmentations, linked.

    Args:
        result: the segmentation of the photo.
        pixels: the photo at the size that was segmented, shape (height, width, 3), RGB.
        key: Streamlit's key; zoom, opacity and probe survive reruns under the same key.

    Raises:
        ValueError: pixels are not the photo of this result (see `payload`).
    """
    _mount(key=key, data=payload(result, pixels))
