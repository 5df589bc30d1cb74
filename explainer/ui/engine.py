"""The one network that all visitors share, loaded in the background while the page draws."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from explainer.fcn.influence import Influence
    from explainer.fcn.result import Segmentation
    from explainer.fcn.segmenter import Segmenter

_one_at_a_time = threading.Lock()


@st.cache_resource(show_spinner=False)
def loading() -> Future[Segmenter]:
    """The network, being loaded: the first call starts it, later ones return the same future."""
    future: Future[Segmenter] = Future()
    threading.Thread(target=_load, args=(future,), name="load the network", daemon=True).start()
    return future


def _load(future: Future[Segmenter]) -> None:
    try:
        # PyTorch takes more than a second to import: here, so that the page is drawn meanwhile.
        from explainer.fcn.segmenter import Segmenter

        future.set_result(Segmenter.load())
    except Exception as error:
        future.set_exception(error)


def network() -> Segmenter:
    """The network, waiting for it if need be.

    Raises:
        WeightsError: the weights cannot be used.
        ValueError: the device asked for is not there.
    """
    try:
        return loading().result()
    except Exception:
        loading.clear()  # the next visitor's run tries again
        raise


def exclusive() -> threading.Lock:
    """Held while a network runs; for networks other than the shared one."""
    return _one_at_a_time


def segment(pixels: NDArray[np.uint8]) -> Segmentation:
    """Segment a photo, (H, W, 3) RGB; one at a time, which bounds the memory of many visitors."""
    segmenter = network()
    with _one_at_a_time:
        return segmenter(pixels)


def influence(
    pixels: NDArray[np.uint8], y: int, x: int, *, stride: int, photo_average: bool
) -> Influence:
    """How much every pixel counts for the class that wins at (y, x); one at a time, as above.

    Raises:
        IndexError: there is no such pixel.
    """
    segmenter = network()
    from explainer.fcn.influence import influence

    with _one_at_a_time:
        return influence(segmenter, pixels, y, x, stride=stride, photo_average=photo_average)
