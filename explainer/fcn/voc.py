"""The 21 classes of PASCAL VOC (Everingham et al. 2010) and its colour map."""

import numpy as np
from numpy.typing import NDArray

CLASSES: tuple[str, ...] = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv/monitor",
)

IGNORE = 255
"""Label of pixels that count neither in training nor in evaluation."""


def _colour_map() -> NDArray[np.uint8]:
    # VOC devkit, VOClabelcolormap: the bits of the label, three at a time, become the high bits of
    # red, green and blue, so that neighbouring labels get distant colours.
    labels = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((labels >> (3 * bit + channel) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return palette


PALETTE: NDArray[np.uint8] = _colour_map()
"""(256, 3) RGB: the colour of each label."""
