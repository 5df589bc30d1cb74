"""The viewer alone, with a made-up result: `?shape=normal|changed|portrait|many|wide|strip|dot`.

"changed" is the photo of "normal" without the finest skip: a rerun on the same photo. "many" has
more classes than the legend has room for, one with a long name at each edge.
"""

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from explainer.components.segment_viewer import segment_viewer
from explainer.fcn.geometry import Lattice, padded_size
from explainer.fcn.labels import label_maps
from explainer.fcn.result import STRIDES, Run, ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES

SHAPES = {
    "normal": (240, 320),
    "changed": (240, 320),
    "portrait": (480, 270),
    "many": (320, 320),
    "wide": (60, 640),
    "strip": (8, 10_000),
    "dot": (1, 1),
}

# Where a class's disc lies, and its radius, as shares of height, width and the shorter side.
DISCS = {"cat": (0.55, 0.3, 0.3), "dog": (0.6, 0.7, 0.22), "person": (0.2, 0.55, 0.2)}
MANY = {
    name: ((0.5 + row) / 3, (0.5 + column) / 3, 0.15)
    for row, names in enumerate(
        (
            ("potted plant", "bird", "tv/monitor"),
            ("dining table", "cat", "motorbike"),
            ("aeroplane", "horse", "sheep"),
        )
    )
    for column, name in enumerate(names)
}


def example(shape: str = "normal") -> tuple[Segmentation, NDArray[np.uint8]]:
    """A cat, a dog and a person as discs, seen sharper by finer strides, and their photo."""
    height, width = SHAPES[shape]
    random = np.random.default_rng(7)
    scores = {}
    for stride in STRIDES:
        rows, cols = (padded_size(side, 32) // stride + 1 for side in (height, width))
        y, x = np.meshgrid(np.arange(rows) * stride, np.arange(cols) * stride, indexing="ij")
        values = random.normal(0, 0.1, (len(CLASSES), rows, cols))
        values[0] += 1.5
        for name, (down, across, radius) in (MANY if shape == "many" else DISCS).items():
            away = np.hypot(y - down * height, x - across * width) / min(height, width)
            values[CLASSES.index(name)] += 4 * np.tanh(8 * (radius - away) * 16 / stride) + 1
        scores[stride] = ScoreMap(values.astype(np.float32), Lattice(stride))
    unlabelled = Segmentation(height, width, CLASSES, scores, labels={})
    maps = label_maps(
        {s: torch.from_numpy(total.values) for s, total in unlabelled.sums.items()}, height, width
    )
    labels = {stride: found.numpy() for stride, found in maps.items()}
    result = Segmentation(height, width, CLASSES, scores, labels)
    if shape == "changed":
        result = result.without(strides=[8])
    ramp = np.linspace(40, 220, height * width).reshape(height, width, 1)
    pixels = (ramp * [1.0, 0.9, 0.7]).astype(np.uint8)
    return result, pixels


if __name__ == "__main__":
    st.set_page_config(layout="wide")
    chosen = st.radio("Shape", list(SHAPES), key="shape", bind="query-params", horizontal=True)
    result, pixels = example(chosen)
    segment_viewer(Run.single(result), pixels, key="viewer")
