"""The files that a visitor may keep, made when they are asked for, at the photo's own size."""

from explainer.fcn.photo import decode
from explainer.fcn.render import label_png, overlay, panel, png
from explainer.ui.visit import Shown


def label_file(shown: Shown, stride: int) -> bytes:
    """The labels of one output as an indexed PNG with the VOC palette."""
    return label_png(shown.result.labels[stride], shown.photo.full_size)


def overlay_file(shown: Shown, stride: int) -> bytes:
    """The photo with the classes of one output over it, as a PNG."""
    full = decode(shown.photo.encoded.data, shown.photo.encoded.name).pixels
    return png(overlay(full, shown.result.labels[stride]))


def panel_file(shown: Shown) -> bytes:
    """The photo and the three outputs side by side with a caption, as a PNG for a slide."""
    height, width = shown.photo.full_size
    result = shown.result
    caption = (
        f"{shown.photo.encoded.name}, {width}×{height} pixels, segmented at "
        f"{result.width}×{result.height} on {result.device}"
    )
    return png(panel(shown.photo.pixels, result.labels, caption))
