"""The files that a visitor may keep, made when they are asked for, at the photo's own size."""

import threading

import numpy as np
from numpy.typing import NDArray

from explainer.fcn.photo import decode
from explainer.fcn.render import label_png, overlay, panel, png
from explainer.ui.visit import Shown

PANEL_PIXELS = 50_000_000
"""Of the four pictures of the panel together: four photos of 12 megapixels. With type and margins
the whole then has some 90 megapixels; much larger ones are taken for an attack by many programs."""

_one_at_a_time = threading.Lock()
"""The panel of a large photo needs up to a gigabyte for seconds, and a class clicks at once."""

WAITING = """
/* With every run Streamlit gives the files behind these buttons new names and forgets the old ones,
   so a click during a run could ask for a file that is gone: the buttons wait for its end, and for
   the new names to be drawn. */
.stApp:is([data-test-script-state="running"], [data-test-script-state="rerunRequested"])
.stDownloadButton button { pointer-events: none; cursor: progress; opacity: 0.6; }
.stDownloadButton button { animation: explainer-settle 0.5s; }
.stApp:is([data-test-script-state="running"], [data-test-script-state="rerunRequested"])
.stDownloadButton button { animation: none; }
@keyframes explainer-settle { 0%, 99% { pointer-events: none; } }
"""


def label_file(shown: Shown, stride: int) -> bytes:
    """The labels of one output as an indexed PNG with the VOC palette."""
    with _one_at_a_time:
        return label_png(_labels(shown, stride, shown.photo.full_size))


def overlay_file(shown: Shown, stride: int) -> bytes:
    """The photo with the classes of one output over it, as a PNG."""
    encoded = shown.photo.encoded
    with _one_at_a_time:
        full = decode(encoded.data, encoded.name).pixels
        return png(overlay(full, _labels(shown, stride, shown.photo.full_size)))


def panel_file(shown: Shown) -> bytes:
    """The photo and the outputs side by side with a caption, as a PNG.

    Each picture has the photo's own size; above `PANEL_PIXELS` they are shrunk, see `panel_side`.
    """
    encoded, result = shown.photo.encoded, shown.result
    height, width = shown.photo.full_size
    caption = (
        f"{encoded.name}, {width}×{height} pixels, segmented at "
        f"{result.width}×{result.height} on {result.device}"
    )
    if not shown.choice.bundled:
        caption += f" by {shown.run.title}"
    with _one_at_a_time:
        pixels = decode(encoded.data, encoded.name, longest=panel_side(height, width)).pixels
        size = pixels.shape[0], pixels.shape[1]
        labels = {stride: _labels(shown, stride, size) for stride in shown.run.outputs}
        return png(panel(pixels, labels, caption, own_size=True, names=shown.run.names))


def _labels(shown: Shown, stride: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    from explainer.fcn.full_size import labels_of_photo  # imports PyTorch

    return labels_of_photo(shown.run.results[stride], stride, size)


def panel_side(height: int, width: int) -> int:
    """The longest side, in pixels, of each picture in the panel of a photo of that size."""
    share = (PANEL_PIXELS / (4 * height * width)) ** 0.5
    return max(1, int(max(height, width) * min(1.0, share)))
