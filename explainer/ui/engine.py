"""The one engine that all visitors share, loaded in the background while the page draws."""

from __future__ import annotations

import atexit
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from explainer.fcn.engine import Answer, Engine, Ticket
    from explainer.fcn.influence import Influence

T = TypeVar("T")

LOOK = 0.1
"""Seconds between two looks at the queue: then the page tells how many are before the visitor."""


TUNE_AFTER = 3.0
"""Seconds after which the number of threads is chosen: the first photo is on the screen by then."""

# Not in Streamlit's cache: any browser can have that cleared, and a second engine would start.
_started: Future[Engine] | None = None
_starting = threading.Lock()


def starting() -> Future[Engine]:
    """The engine, being started: the first call starts it, later ones return the same future."""
    global _started
    with _starting:
        if _started is None:
            _started = Future()
            start = threading.Thread(
                target=_start, args=(_started,), name="start the engine", daemon=True
            )
            start.start()
        return _started


def _there() -> bool:
    """Whether the engine is there; it is not started for that."""
    return _started is not None and _started.done()


@contextmanager
def _no_collection() -> Iterator[None]:
    """An import makes objects that stay: looking for garbage among them takes a fifth longer."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _start(future: Future[Engine]) -> None:
    try:
        # PyTorch takes more than a second to import: here, so that the page is drawn meanwhile.
        with _no_collection():
            from explainer.fcn.engine import Busy, Engine, Network
            from explainer.fcn.segmenter import Segmenter
            from explainer.fcn.weights import WeightsError, record
            from explainer.serve.client import VARIABLE, Remote

        def tuned(device: str | None = None) -> Segmenter:
            segmenter = Segmenter.load(device=device)
            segmenter.warm_up()
            return segmenter

        def network() -> Network:
            address = os.environ.get(VARIABLE)
            return Remote(address, tuned) if address else Segmenter.load()

        def tune(network: Network) -> None:
            if isinstance(network, Segmenter):
                network.warm_up()

        weights = ""
        with suppress(WeightsError):  # loading meets it too, where every photo hears of it
            weights = record().sha256
        engine = Engine(network, lambda: tuned("cpu"), weights=weights)
        # PyTorch must not compute any more when the process takes its threads down.
        atexit.register(engine.close)
        future.set_result(engine)
    except Exception as error:
        future.set_exception(error)
        return
    # The first photo waits for all this and goes first.
    while True:
        time.sleep(TUNE_AFTER)
        try:
            engine.run(_start, tune)
        except Busy:
            continue
        except RuntimeError:  # closed meanwhile
            pass
        return


def shared() -> Engine:
    """The engine, waiting for it if need be."""
    return starting().result()


@dataclass(frozen=True, eq=False)
class Seat:
    """A session, as the engine knows it."""

    engine: Engine


@st.cache_resource(
    scope="session", show_spinner=False, on_release=lambda seat: seat.engine.leave(seat)
)
def _seat(_engine: Engine, number: int) -> Seat:
    """Cached by the engine's number: a new engine knows nothing of the seats of the last one."""
    return Seat(_engine)


def seat() -> Seat:
    """The seat of the visitor whose session runs this script; given up when they leave.

    Outside a session every call is its own visitor.
    """
    engine = shared()
    return Seat(engine) if get_script_run_ctx() is None else _seat(engine, id(engine))


def remembers(pixels: NDArray[np.uint8], network: str | None = None) -> bool:
    """Whether the answer for a photo is there; False where the engine is not there yet.

    Args:
        network: as in `key_of`; None: the bundled one.
    """
    if not _there():
        return False
    from explainer.fcn.engine import key_of  # imported already, with PyTorch

    known = shared()
    return known.remembers(key_of(pixels, known.weights if network is None else network))


def begin(pixels: NDArray[np.uint8]) -> None:
    """Queue a photo that `segment` will be asked for soon; not where the engine is not there yet.

    It does not start the engine: importing PyTorch at that moment would hold up the page's title.

    Raises:
        Busy: too many visitors wait.
    """
    if _there():
        here = seat()
        here.engine.segment(here, pixels)


def segment(pixels: NDArray[np.uint8], waiting: Callable[[int], object] | None = None) -> Answer:
    """Segment a photo, (H, W, 3) RGB.

    Args:
        waiting: called now and then with the number of jobs before this one. What it draws is also
            where a newer run of the visitor's script ends this one.

    Raises:
        Busy: too many visitors wait.
        WeightsError: the weights cannot be used.
        ValueError: the device asked for is not there.
    """
    here = seat()
    return _answered(here.engine.segment(here, pixels), waiting)


def run(
    work: Callable[[Any], T], waiting: Callable[[int], object] | None = None, key: str = ""
) -> T:
    """Do other work in the network's turn: `work(segmenter)`. Raises as `segment` does.

    Args:
        key: under which the answer is remembered, as in `Engine.run`.
    """
    return run_noted(work, waiting, key)[0]


def run_noted(
    work: Callable[[Any], T], waiting: Callable[[int], object] | None = None, key: str = ""
) -> tuple[T, tuple[str, ...]]:
    """As `run`; also what went otherwise than asked, in sentences for the visitor."""
    here = seat()
    # A serving machine segments only; it has the network of this one beside it.
    own = here.engine.run(here, lambda network: work(getattr(network, "local", network)), key)
    return _answered(own, waiting), own.notes


def influence(
    pixels: NDArray[np.uint8], y: int, x: int, *, stride: int, photo_average: bool
) -> Influence:
    """How much every pixel counts for the class that wins at (y, x).

    Raises:
        IndexError: there is no such pixel.
    """

    def work(segmenter: Any) -> Influence:
        from explainer.fcn.influence import influence

        return influence(segmenter, pixels, y, x, stride=stride, photo_average=photo_average)

    return run(work)


def _answered(ticket: Ticket[T], waiting: Callable[[int], object] | None) -> T:
    try:
        while not ticket.wait(LOOK):
            if waiting is not None:
                waiting(ticket.ahead)
        return ticket.result()
    except CancelledError:
        st.stop()  # another run of this visitor's script has asked for something newer
