"""The engine that all visitors share: what its start costs whom."""

import gc
import hashlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.caching import clear_session_resource_cache

from explainer.fcn import weights
from explainer.fcn.engine import Busy, Engine, key_of
from explainer.fcn.segmenter import Segmenter
from explainer.ui import engine, segment_page
from explainer.ui.segment_page import queue_line

PHOTO = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine yet, as on a new server."""
    monkeypatch.setattr(engine, "_started", None)


@pytest.mark.usefixtures("fresh")
def test_the_first_photo_does_not_wait_for_the_choice_of_threads(monkeypatch: pytest.MonkeyPatch):
    order: list[tuple[Segmenter, str]] = []
    tuned = threading.Event()
    launch = Segmenter.launch

    def of(segmenter: Segmenter) -> list[str]:
        """What this one has done: the engine of an earlier test may choose its threads now."""
        return [what for who, what in order if who is segmenter]

    def launched(self: Segmenter, photos):
        order.append((self, "photo"))
        return launch(self, photos)

    def warm_up(self: Segmenter, side: int = 385) -> None:
        order.append((self, "threads"))
        if "photo" in of(self):
            tuned.set()

    monkeypatch.setattr(Segmenter, "launch", launched)
    monkeypatch.setattr(Segmenter, "warm_up", warm_up)
    assert engine.segment(PHOTO).result.labels[8].shape == (8, 8)
    assert tuned.wait(30)
    (used,) = {who for who, what in order if what == "photo"}
    assert of(used) == ["photo", "threads"]


@pytest.mark.usefixtures("fresh")
def test_where_too_many_wait_the_threads_are_chosen_later(monkeypatch: pytest.MonkeyPatch):
    answers = [Busy(64), Busy(64)]
    chosen = threading.Event()

    def run(self: Engine, *_: object) -> None:
        if self is not engine.shared():
            return  # an earlier test's engine, whose threads are chosen now
        if answers:
            raise answers.pop()
        chosen.set()

    monkeypatch.setattr(engine, "TUNE_AFTER", 0.01)
    monkeypatch.setattr(Engine, "run", run)
    engine.shared()
    assert chosen.wait(30)


def test_who_has_streamlits_caches_cleared_starts_no_second_engine():
    """Any browser can send that command."""
    shared = engine.shared()
    st.cache_resource.clear()
    assert engine.shared() is shared


@pytest.mark.usefixtures("fresh")
def test_garbage_is_collected_once_the_engine_is_there_and_where_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
):
    engine.shared()
    assert gc.isenabled()
    monkeypatch.setattr(engine, "_started", None)
    monkeypatch.setitem(sys.modules, "explainer.fcn.engine", None)  # its import fails
    with pytest.raises(ImportError):
        engine.shared()
    assert gc.isenabled()


@pytest.mark.usefixtures("fresh")
def test_results_are_remembered_under_the_sha256_of_the_weights():
    shared = engine.shared()
    sha256 = hashlib.sha256(weights.SMALL.read_bytes()).hexdigest()
    assert shared.segment("a", PHOTO).key == key_of(PHOTO, sha256)
    assert key_of(PHOTO, sha256) != key_of(PHOTO, "")


@pytest.mark.usefixtures("fresh")
def test_without_a_record_of_the_weights_every_photo_hears_of_it(monkeypatch: pytest.MonkeyPatch):
    def missing(path=None):
        raise weights.WeightsError("weights.json is missing")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "record", missing)
        with pytest.raises(weights.WeightsError, match="is missing"):
            engine.segment(PHOTO)
    assert engine.segment(PHOTO).result.labels[8].shape == (8, 8)  # tried again


@pytest.mark.usefixtures("fresh")
def test_a_photo_queued_early_does_not_start_the_engine():
    engine.begin(PHOTO)
    assert engine._started is None
    expected = engine.segment(PHOTO)
    engine.begin(PHOTO)
    assert engine.segment(PHOTO) is expected


def test_the_seat_of_a_visitor_who_goes_is_given_up(visit_page, monkeypatch: pytest.MonkeyPatch):
    app = visit_page()
    assert not app.exception
    shared = engine.shared()
    mine = [
        seat
        for entry in shared.remembered._entries.values()
        for seat in entry.holders
        if isinstance(seat, engine.Seat)
    ]
    assert mine, "the photo's answer is remembered for the visit"
    left: list[object] = []

    def leave(self: Engine, seat: object) -> None:
        if self is shared:  # other tests had engines, and visitors of this session's name
            left.append(seat)

    monkeypatch.setattr(Engine, "leave", leave)
    clear_session_resource_cache("another session")
    assert not left
    clear_session_resource_cache("test session id")  # as Streamlit does when a session ends
    assert len(left) == 1
    assert left[0] in mine


@pytest.mark.parametrize(
    ("ahead", "line"), [(0, ""), (1, "1 photo before yours"), (12, "12 photos before yours")]
)
def test_who_waits_reads_how_many_are_before_them(ahead: int, line: str):
    assert queue_line(ahead) == line


def test_the_page_tells_who_waits_how_many_are_before_them(
    visit_page, monkeypatch: pytest.MonkeyPatch
):
    """While the network works for somebody else, and two more wait."""
    shared = engine.shared()
    go, seen = threading.Event(), []
    monkeypatch.setattr(segment_page, "queue_line", lambda ahead: seen.append(ahead) or "")

    def opened() -> None:
        while not seen:
            go.wait(0.05)
        go.set()

    tickets = [shared.run(number, lambda _: go.wait(60)) for number in range(3)]
    watching = threading.Thread(target=opened)
    watching.start()
    try:
        app = visit_page(photo="astronaut", side="321")
        assert not app.exception
    finally:
        seen.append(0)
        watching.join()
    assert seen[0] == 3
    assert all(ticket.result(60) for ticket in tickets)


def test_a_process_ends_well_while_the_network_computes():
    """Else PyTorch's threads abort it, with a core dump where those are kept."""
    lines = (
        "import numpy as np",
        "from explainer.ui import engine",
        "shared = engine.shared()",
        "for shade in range(8):",
        "    shared.segment(shade, np.full((768, 768, 3), shade, np.uint8))",
    )
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, "terminate called" in ended.stderr) == (0, False), ended.stderr[-500:]
