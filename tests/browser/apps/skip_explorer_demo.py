"""The section "Inside the skips" alone, on a made-up result: needs no weights and no torch run."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explainer.fcn.geometry import Lattice
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES

HEIGHT, WIDTH = 200, 264
CAT, DOG = CLASSES.index("cat"), CLASSES.index("dog")


def demo_photo() -> NDArray[np.uint8]:
    """A grey-blue slope with a bright ellipse where the cat is, (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack((x // 2, y // 2, 120 + 0 * x), axis=-1)
    pixels[((y - 100) / 60) ** 2 + ((x - 120) / 80) ** 2 < 1] = 220, 170, 110
    return pixels.astype(np.uint8)


def demo_result() -> Segmentation:
    """A cat that stride 32 sees coarsely, pool4 and pool3 sharpen, and a dog that comes second."""
    random = np.random.default_rng(7)
    scores = {}
    for stride, size, noise in ((32, 1.0, 0.4), (16, 0.5, 0.3), (8, 0.4, 0.25)):
        rows, cols = (32 * n // stride + 1 for n in (7, 9))
        y, x = np.mgrid[:rows, :cols] * stride
        inside = 1 - ((y - 100) / 60) ** 2 - ((x - 120) / 80) ** 2
        values = random.normal(0, noise, (len(CLASSES), rows, cols))
        values[0] += 2 * size
        values[CAT] += size * np.clip(6 * inside, -4, 6)
        values[DOG] += size * np.clip(4 * inside + (x - 120) / 60, -4, 4.5)
        scores[stride] = ScoreMap(values.astype(np.float32), Lattice(stride))
    empty = Segmentation(HEIGHT, WIDTH, CLASSES, scores, {})
    return empty.without()


if __name__ == "__main__":
    from explainer.ui.inside_skips import show

    st.set_page_config(layout="wide")
    show(demo_result(), demo_photo(), key="skips")
