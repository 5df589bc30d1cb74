"""The engine that all visitors share: what its start costs whom."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from explainer.fcn.segmenter import Segmenter
from explainer.ui import engine

PHOTO = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No engine yet, as on a new server."""
    engine.starting.clear()
    monkeypatch.setattr(engine, "_asked", threading.Event())
    yield
    engine.starting.clear()


@pytest.mark.usefixtures("fresh")
def test_the_first_photo_does_not_wait_for_the_choice_of_threads(monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    tuned = threading.Event()
    launch = Segmenter.launch

    def launched(self: Segmenter, photos):
        order.append("photo")
        return launch(self, photos)

    def warm_up(self: Segmenter, side: int = 385) -> None:
        order.append("threads")
        tuned.set()

    monkeypatch.setattr(Segmenter, "launch", launched)
    monkeypatch.setattr(Segmenter, "warm_up", warm_up)
    assert engine.segment(PHOTO).result.labels[8].shape == (8, 8)
    assert tuned.wait(30)
    assert order == ["photo", "threads"]


@pytest.mark.usefixtures("fresh")
def test_a_photo_queued_early_does_not_start_the_engine():
    engine.begin(PHOTO)
    assert not engine._asked.is_set()
    expected = engine.segment(PHOTO)
    engine.begin(PHOTO)
    assert engine.segment(PHOTO) is expected
