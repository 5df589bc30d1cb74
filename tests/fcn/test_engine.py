"""The queue in front of the network: order, batches, replacement, memory, and who sees what."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from explainer.fcn.device import out_of_memory
from explainer.fcn.engine import Answer, Busy, Engine, Remembered, key_of
from explainer.fcn.geometry import PIXELS
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.fcn.segmenter import Segmenter

WAIT = 30  # seconds; a deadlock fails, a busy machine does not


def photo(shade: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


class Fake:
    """A network that labels every pixel with the photo's first value, and notes what it was given.

    Attributes:
        gate: passes wait for it; set at first.
        fits: pixels that fit into memory together.
    """

    def __init__(
        self,
        largest_batch: int = 1,
        passes_at_once: int = 1,
        fits: float = np.inf,
        batch_pixels: float = np.inf,
    ):
        self.device = "fake"
        self.batch_pixels = batch_pixels
        self.largest_batch = largest_batch
        self.passes_at_once = passes_at_once
        self.fits = fits
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.passes: list[list[int]] = []
        self.released = 0

    def release(self) -> None:
        self.released += 1

    def launch(self, photos: Sequence[np.ndarray]) -> Callable[[], list[Segmentation]]:
        self.entered.release()
        assert self.gate.wait(WAIT)
        self.passes.append([int(photo.flat[0]) for photo in photos])
        if sum(photo[..., 0].size for photo in photos) > self.fits:
            raise torch.OutOfMemoryError
        return lambda: [segmentation(photo) for photo in photos]


def segmentation(photo: np.ndarray) -> Segmentation:
    height, width, _ = photo.shape
    scores = ScoreMap(np.full((2, height, width), photo.flat[0], np.float32), PIXELS)
    return Segmentation(height, width, ("a", "b"), {8: scores}, {8: photo[..., 0].copy()})


def shade(answer: Answer) -> int:
    return int(answer.result.labels[8].flat[0])


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[Engine, Fake]]]:
    engines = []

    def started(fake: Fake | None = None, **options) -> tuple[Engine, Fake]:
        network = fake or Fake()
        engine = Engine(lambda: network, **options)
        engines.append((engine, network))
        return engine, network

    yield started
    for engine, network in engines:
        network.gate.set()
        engine.close()


def held(engine: Engine, network: Fake) -> None:
    """Have the network busy with a photo of shade 0 until its gate opens."""
    network.gate.clear()
    while network.entered.acquire(blocking=False):
        pass  # of earlier passes
    engine.segment("first", photo(0))
    assert network.entered.acquire(timeout=WAIT)


def test_everyone_gets_the_answer_to_their_own_photo(started):
    engine, _ = started()
    tickets = {s: engine.segment(s, photo(s)) for s in range(1, 20)}
    for session, ticket in tickets.items():
        assert shade(ticket.result(WAIT)) == session
        assert ticket.ahead == 0


def test_sessions_are_served_in_turn_and_see_how_many_are_before_them(started):
    engine, network = started()
    held(engine, network)
    tickets = [engine.segment(session, photo(session)) for session in (1, 2, 3)]
    assert [ticket.ahead for ticket in tickets] == [1, 2, 3]
    assert not tickets[0].wait(0.01)
    network.gate.set()
    assert [shade(ticket.result(WAIT)) for ticket in tickets] == [1, 2, 3]
    assert network.passes == [[0], [1], [2], [3]]


def test_a_newer_photo_takes_the_place_of_the_older_one_that_waits(started):
    engine, network = started()
    held(engine, network)
    older = engine.segment("a", photo(1))
    other = engine.segment("b", photo(2))
    newer = engine.segment("a", photo(3))
    assert (newer.ahead, other.ahead, older.ahead) == (1, 2, 0)
    assert older.wait(WAIT)
    with pytest.raises(CancelledError):
        older.result(WAIT)
    network.gate.set()
    assert (shade(newer.result(WAIT)), shade(other.result(WAIT))) == (3, 2)
    assert network.passes == [[0], [3], [2]]


def test_photos_of_one_bucket_share_a_pass_up_to_the_largest_batch(started):
    engine, network = started(Fake(largest_batch=3))
    held(engine, network)
    small = [engine.segment(session, photo(session)) for session in (1, 2)]
    large = engine.segment(9, photo(9, 100, 100))
    more = [engine.segment(session, photo(session, 34, 64)) for session in (3, 4)]
    same = engine.segment("again", photo(2))
    network.gate.set()
    for ticket, expected in zip([*small, large, *more, same], [1, 2, 9, 3, 4, 2], strict=True):
        assert shade(ticket.result(WAIT)) == expected
    # 40×50 and 34×64 are padded to 65×65 both; the equal photo costs no place.
    assert network.passes == [[0], [1, 2, 3], [9], [4]]


def test_photos_of_a_large_bucket_have_a_pass_each_where_that_is_as_quick(started):
    engine, network = started(Fake(largest_batch=3, batch_pixels=65 * 65))
    held(engine, network)
    small = [engine.segment(session, photo(session)) for session in (1, 2)]
    large = [engine.segment(session, photo(session, 60, 70)) for session in (3, 4)]
    network.gate.set()
    assert [shade(ticket.result(WAIT)) for ticket in [*small, *large]] == [1, 2, 3, 4]
    assert network.passes == [[0], [1, 2], [3], [4]]


def test_a_full_queue_says_so_and_still_takes_newer_photos_of_those_who_wait(started):
    engine, network = started(capacity=2)
    held(engine, network)
    engine.segment("a", photo(1))
    engine.segment("b", photo(2))
    with pytest.raises(Busy, match="2 visitors wait") as busy:
        engine.segment("c", photo(3))
    assert busy.value.waiting == 2
    newer = engine.segment("a", photo(4))
    network.gate.set()
    assert shade(newer.result(WAIT)) == 4


def test_who_leaves_waits_no_longer_and_nothing_of_theirs_is_kept(started):
    engine, network = started()
    held(engine, network)
    ticket = engine.segment("gone", photo(1))
    engine.leave("gone")
    engine.leave("first")  # while the pass for it is under way
    network.gate.set()
    with pytest.raises(CancelledError):
        ticket.result(WAIT)
    assert shade(engine.segment("other", photo(2)).result(WAIT)) == 2
    assert network.passes == [[0], [2]]
    assert len(engine.remembered) == 1
    engine.leave("other")
    assert len(engine.remembered) == 0
    assert engine.remembered.nbytes == 0


def test_a_cancelled_ticket_frees_its_place(started):
    engine, network = started(capacity=1)
    held(engine, network)
    ticket = engine.segment("a", photo(1))
    ticket.cancel()
    assert ticket.wait(0)
    kept = engine.segment("b", photo(2))
    network.gate.set()
    assert shade(kept.result(WAIT)) == 2
    assert [1] not in network.passes


def test_asked_again_for_the_same_photo_a_session_gets_the_same_ticket(started):
    engine, network = started()
    held(engine, network)
    waiting = engine.segment("a", photo(1))
    assert engine.segment("a", photo(1)) is waiting
    other = engine.segment("b", photo(1))
    assert other is not waiting
    assert engine.segment("a", photo(2)) is not waiting
    newest = engine.segment("a", photo(1))
    network.gate.set()
    assert shade(newest.result(WAIT)) == shade(other.result(WAIT)) == 1
    assert [2] not in network.passes

    network.gate.clear()
    computing = engine.segment("c", photo(3))
    for _ in network.passes:
        assert network.entered.acquire(timeout=WAIT)
    assert engine.segment("c", photo(3)) is computing
    network.gate.set()
    assert shade(computing.result(WAIT)) == 3
    assert network.passes.count([3]) == 1


def test_a_known_photo_is_not_computed_again_and_serves_everyone(started):
    engine, network = started()
    first = engine.segment("a", photo(7)).result(WAIT)
    assert engine.segment("b", photo(7)).result(0) is first
    engine.leave("a")
    assert engine.segment("c", photo(7)).result(0) is first
    for session in "bc":
        engine.leave(session)
    engine.segment("d", photo(7)).result(WAIT)
    assert network.passes == [[7], [7]]


def test_photos_of_equal_bytes_but_another_shape_are_not_confused(started):
    engine, _ = started()
    wide = engine.segment("a", photo(7, 40, 50)).result(WAIT)
    tall = engine.segment("a", photo(7, 50, 40)).result(WAIT)
    assert (wide.result.width, tall.result.width) == (50, 40)


def test_other_work_gets_the_network_in_its_turn_alone(started):
    engine, network = started(Fake(largest_batch=4))
    held(engine, network)
    one = engine.segment("a", photo(1))
    device = engine.run("b", lambda network: (network.device, len(network.passes)))
    two = engine.segment("c", photo(2))
    network.gate.set()
    # Photos share the pass of the first of them; the work comes after it.
    assert device.result(WAIT) == ("fake", 2)
    assert (shade(one.result(WAIT)), shade(two.result(WAIT))) == (1, 2)
    failing = engine.run("d", lambda network: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(WAIT)
    assert shade(engine.segment("a", photo(5)).result(WAIT)) == 5


def test_other_work_is_remembered_by_its_key_for_as_long_as_somebody_is_there(started):
    engine, network = started()
    here, there = key_of(photo(1), "here"), key_of(photo(1), "there")

    def work(network: Fake) -> Answer:
        return Answer(network.launch([photo(7)])()[0])

    first = engine.run("a", work, here).result(WAIT)
    assert engine.run("b", work, here).result(WAIT) is first
    assert engine.run("a", work, there).result(WAIT) is not first
    assert shade(engine.segment("a", photo(1)).result(WAIT)) == 1, "its own answer is another"
    assert network.passes == [[7], [7], [1]]
    engine.leave("a")
    assert len(engine.remembered) == 1
    engine.leave("b")
    assert len(engine.remembered) == 0


def test_other_work_for_who_leaves_meanwhile_is_not_remembered(started):
    engine, network = started()
    network.gate.clear()
    late = engine.run("a", lambda fake: Answer(fake.launch([photo(7)])()[0]), key_of(photo(7), ""))
    assert network.entered.acquire(timeout=WAIT)
    engine.leave("a")
    network.gate.set()
    assert shade(late.result(WAIT)) == 7
    assert len(engine.remembered) == 0


def test_a_network_that_cannot_be_loaded_is_tried_again_for_the_next_photo():
    failures = [ValueError("no weights")] * 2  # at the start, and for the first photo

    def load() -> Fake:
        if failures:
            raise failures.pop()
        return Fake()

    engine = Engine(load)
    with pytest.raises(ValueError, match="no weights"):
        engine.segment("a", photo(1)).result(WAIT)
    assert not engine.ready
    assert shade(engine.segment("a", photo(1)).result(WAIT)) == 1
    assert engine.ready
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.segment("a", photo(2))


def test_without_memory_for_a_batch_half_of_it_goes_at_a_time(started):
    engine, network = started(Fake(largest_batch=4, fits=2 * 40 * 50))
    held(engine, network)
    tickets = [engine.segment(session, photo(session)) for session in (1, 2, 3, 4)]
    network.gate.set()
    answers = [ticket.result(WAIT) for ticket in tickets]
    assert [shade(answer) for answer in answers] == [1, 2, 3, 4]
    assert all(answer.pixels is None for answer in answers)
    assert ["4 photos at a time" in note for answer in answers for note in answer.notes] == [
        True
    ] * 4
    assert network.passes == [[0], [1, 2, 3, 4], [1, 2], [3, 4]]
    assert network.released == 1
    # What did not fit is not tried again, and is no news then.
    engine.leave("first")  # and the photo that holds is computed again
    held(engine, network)
    tickets = [engine.segment(session, photo(session)) for session in (5, 6, 7)]
    other = engine.segment(8, photo(8, 10, 100))
    network.gate.set()
    assert all(not ticket.result(WAIT).notes for ticket in tickets)
    assert not other.result(WAIT).notes
    assert network.passes[5:] == [[5, 6], [7], [8]]


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_whether_an_error_is_want_of_memory(started, error, short):
    assert out_of_memory(error) == short

    class Failing(Fake):
        def launch(self, photos):
            collect = super().launch(photos)
            if photos[0].shape[1] > 300:
                raise error
            return collect

    engine, network = started(Failing())
    ticket = engine.segment("a", photo(5, 400, 600))
    if short:
        assert ticket.result(WAIT).pixels is not None
        assert network.released == 1
    else:
        with pytest.raises(type(error)):
            ticket.result(WAIT)


def test_one_photo_that_fails_costs_no_other_its_answer(started):
    class Picky(Fake):
        def launch(self, photos):
            collect = super().launch(photos)
            if any(photo.flat[0] == 2 for photo in photos):
                raise IndexError("two")
            return collect

    engine, network = started(Picky(largest_batch=4))
    held(engine, network)
    tickets = [engine.segment(session, photo(shade)) for session, shade in enumerate((1, 2, 3, 2))]
    network.gate.set()
    assert [shade(tickets[place].result(WAIT)) for place in (0, 2)] == [1, 3]
    for place in (1, 3):
        with pytest.raises(IndexError, match="two"):
            tickets[place].result(WAIT)


class Demanding(Fake):
    """Has memory for so many photos at a time, none for shade 4 alone, and fails at shade 3."""

    def launch(self, photos: Sequence[np.ndarray]) -> Callable[[], list[Segmentation]]:
        collect = super().launch(photos)
        if len(photos) > 2 or photos[0].flat[0] == 4:
            raise torch.OutOfMemoryError
        if any(photo.flat[0] == 3 for photo in photos):
            raise IndexError("three")
        return collect


def test_where_memory_is_short_too_one_photo_that_fails_costs_no_other_its_answer(started):
    engine, network = started(Demanding(largest_batch=4))
    held(engine, network)
    # Halves: [1, 2] fit, [4, 3] do not.
    tickets = [engine.segment(session, photo(session)) for session in (1, 2, 4, 3)]
    network.gate.set()
    assert [shade(ticket.result(WAIT)) for ticket in tickets[:2]] == [1, 2]
    with pytest.raises(torch.OutOfMemoryError, match="even for a small photo"):
        tickets[2].result(WAIT)
    with pytest.raises(IndexError, match="three"):
        tickets[3].result(WAIT)
    assert shade(engine.segment("next", photo(5)).result(WAIT)) == 5


def test_after_a_while_more_photos_are_tried_together_again(started, monkeypatch):
    engine, network = started(Fake(largest_batch=4, fits=2 * 40 * 50))

    def passes(*shades: int) -> list[list[int]]:
        engine.leave("first")  # and the photo that holds is computed again
        held(engine, network)
        before = len(network.passes)
        tickets = [engine.segment(session, photo(session)) for session in shades]
        network.gate.set()
        assert [shade(ticket.result(WAIT)) for ticket in tickets] == list(shades)
        return network.passes[before + 1 :]

    assert passes(1, 2, 3, 4) == [[1, 2, 3, 4], [1, 2], [3, 4]]
    network.fits = np.inf  # others have given their memory back
    assert passes(5, 6, 7, 8) == [[5, 6], [7, 8]]
    monkeypatch.setattr("explainer.fcn.engine.RECOVERY", 1e-3)
    time.sleep(2e-3)
    assert passes(11, 12, 13, 14) == [[11, 12, 13, 14]]


def test_what_fails_leaves_its_traceback_in_the_log_unless_it_tells_what_to_do(started, caplog):
    def work(error: Exception) -> Callable[[Fake], None]:
        def raising(_: Fake) -> None:
            raise error

        return raising

    engine, _ = started()
    for error in (ValueError("choose another file"), RuntimeError("illegal memory access")):
        with pytest.raises(type(error)):
            engine.run("a", work(error)).result(WAIT)
    (entry,) = caplog.records
    assert entry.exc_info[1] is error
    assert "in raising" in caplog.text


def test_when_the_process_ends_what_is_computed_is_still_answered(started):
    engine, network = started(Fake(passes_at_once=2))
    held(engine, network)
    tickets = [engine.segment(session, photo(session)) for session in (1, 2)]
    engine._collectors.shutdown(wait=False)  # as Python does with all pools, before atexit
    network.gate.set()
    assert [shade(ticket.result(WAIT)) for ticket in tickets] == [1, 2]


def test_a_pass_that_does_not_end_holds_up_nobody_else(started):
    class Hanging(Fake):
        ended = threading.Event()

        def launch(self, photos):
            collect = super().launch(photos)
            return collect if photos[0].flat[0] else lambda: self.ended.wait(WAIT) and collect()

    engine, network = started(Hanging(passes_at_once=2))
    hung = engine.segment("first", photo(0))
    try:
        tickets = [engine.segment(session, photo(session)) for session in range(1, 6)]
        assert [shade(ticket.result(WAIT)) for ticket in tickets] == [1, 2, 3, 4, 5]
        assert not hung.wait(0)
    finally:
        network.ended.set()
    assert shade(hung.result(WAIT)) == 0


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, ZeroDivisionError])
def test_whatever_work_raises_the_next_photo_is_answered(started, error):
    def work(_):
        raise error

    engine, _ = started()
    with pytest.raises(error):
        engine.run("a", work).result(WAIT)
    assert shade(engine.segment("b", photo(7)).result(WAIT)) == 7


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (7,), (4, 5), (4, 5, 4)])
def test_what_is_no_photo_is_refused_before_it_waits(started, shape):
    engine, _ = started()
    with pytest.raises(ValueError, match="a photo is"):
        engine.segment("a", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="a photo is"):
        engine.segment("a", np.zeros((4, 5, 3), np.float32))
    assert shade(engine.segment("a", photo(7)).result(WAIT)) == 7


def test_a_makeshift_answer_is_not_remembered(started):
    network = Fake(fits=300 * 200)
    engine, _ = started(network)
    assert engine.segment("a", photo(5, 400, 600)).result(WAIT).notes
    network.fits = np.inf  # others have given their memory back
    answer = engine.segment("a", photo(5, 400, 600)).result(WAIT)
    assert not answer.notes
    assert answer.result.width == 600
    assert engine.segment("b", photo(5, 400, 600)).result(WAIT) is answer


@pytest.mark.parametrize(("failures", "where"), [(1, "fake"), (2, "cpu")])
def test_other_work_is_tried_again_with_more_memory_and_then_on_the_spare(started, failures, where):
    tries = []

    def work(network: Fake) -> str:
        tries.append(network.device)
        if len(tries) <= failures:
            raise torch.OutOfMemoryError
        return network.device

    spare = Fake()
    spare.device = "cpu"
    engine, network = started(spare=lambda: spare)
    ticket = engine.run("a", work)
    assert ticket.result(WAIT) == where
    assert network.released == 1
    assert ticket.notes == ("The memory of fake did not suffice: computed on cpu.",) * (
        failures - 1
    )


def test_what_the_spare_makes_of_other_work_is_not_remembered(started):
    def work(network: Fake) -> Answer:
        return Answer(network.launch([photo(7)])()[0])

    spare = Fake()
    spare.device = "cpu"
    engine, network = started(Fake(fits=0), spare=lambda: spare)
    makeshift = engine.run("a", work, "key").result(WAIT)
    network.fits = np.inf  # others have given their memory back
    ticket = engine.run("a", work, "key")
    answer = ticket.result(WAIT)
    assert answer is not makeshift
    assert not ticket.notes
    assert engine.run("b", work, "key").result(WAIT) is answer
    assert spare.passes == [[7]]


def test_where_there_is_no_spare_work_is_tried_twice(started):
    def work(network: Fake) -> None:
        tries.append(network.device)
        raise torch.OutOfMemoryError("of this much")

    tries: list[str] = []
    engine, network = started(spare=Fake)
    network.device = "cpu"
    with pytest.raises(torch.OutOfMemoryError, match="of this much"):
        engine.run("a", work).result(WAIT)
    assert tries == ["cpu", "cpu"]


def test_without_memory_for_one_photo_half_the_size_goes_and_it_says_so(started):
    engine, _ = started(Fake(fits=300 * 200))
    answer = engine.segment("a", photo(5, 400, 600)).result(WAIT)
    assert answer.pixels is not None
    assert answer.pixels.shape == (200, 300, 3)
    assert (answer.result.height, answer.result.width) == (200, 300)
    (note,) = answer.notes
    assert "600×400" in note
    assert "300×200" in note


def test_without_memory_at_all_the_spare_computes_and_it_says_so(started):
    spare = Fake()
    engine, _ = started(Fake(fits=0), spare=lambda: spare)
    answer = engine.segment("a", photo(5, 400, 600)).result(WAIT)
    assert answer.pixels is None
    assert answer.result.width == 600
    assert "computed on fake" in answer.notes[0]
    assert spare.passes == [[5]]


class Elsewhere(Fake):
    """Gives answers with a note, as what segments on another machine does."""

    def launch(self, photos: Sequence[np.ndarray]) -> Callable[[], list[Answer]]:  # pyright: ignore
        collect = super().launch(photos)
        return lambda: [Answer(result, notes=("elsewhere",)) for result in collect()]


@pytest.mark.parametrize(("fits", "about_memory"), [(np.inf, 0), (300 * 200, 1)])
def test_notes_of_what_segments_come_before_those_of_the_engine(started, fits, about_memory):
    engine, _ = started(Elsewhere(fits=fits))
    answer = engine.segment("a", photo(5, 400, 600)).result(WAIT)
    assert answer.notes[0] == "elsewhere"
    assert ["600×400" in note for note in answer.notes[1:]] == [True] * about_memory
    assert (answer.pixels is not None) == bool(about_memory)


def test_without_a_spare_it_says_what_to_do(started):
    engine, _ = started(Fake(fits=0))
    with pytest.raises(torch.OutOfMemoryError, match="EXPLAINER_DEVICE"):
        engine.segment("a", photo(5)).result(WAIT)


def test_where_passes_overlap_the_next_starts_before_the_last_is_collected(started):
    class Overlapping(Fake):
        begun = tuple(threading.Event() for _ in range(3))

        def launch(self, photos):
            collect = super().launch(photos)
            number = int(photos[0].flat[0])
            self.begun[number].set()

            def after_the_next() -> list[Segmentation]:
                assert self.begun[min(number + 1, 2)].wait(WAIT)
                return collect()

            return after_the_next

    engine, network = started(Overlapping(passes_at_once=2))
    held(engine, network)
    tickets = [engine.segment(session, photo(session)) for session in (1, 2)]
    network.gate.set()
    assert [shade(ticket.result(WAIT)) for ticket in tickets] == [1, 2]


def test_remembered_answers_stay_within_their_budget_the_last_used_stay():
    answer = Answer(segmentation(photo(1)))
    remembered = Remembered(budget=2 * answer.nbytes)
    for key in "abc":
        remembered.put(key, "session", answer)
        if key == "b":
            remembered.get("a", "session")
    assert remembered.get("b", "session") is None
    assert remembered.get("a", "session") is answer
    assert remembered.get("c", "session") is answer
    assert remembered.nbytes == 2 * answer.nbytes
    Remembered(budget=0).put("a", "session", answer)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["photo", "leave", "wait"])), max_size=40)
)
def test_whatever_visitors_do_the_last_photo_of_each_who_stays_is_answered(actions):
    engine = Engine(lambda: Fake(largest_batch=3), capacity=5)
    last = {}
    for number, (session, action) in enumerate(actions):
        if action == "photo":
            last[session] = engine.segment(session, photo(number))
        elif action == "leave":
            engine.leave(session)
            last.pop(session, None)
        elif session in last:
            last[session].result(WAIT)
    shades = {session: shade(ticket.result(WAIT)) for session, ticket in last.items()}
    assert shades == {
        session: max(n for n, a in enumerate(actions) if a == (session, "photo"))
        for session in last
    }
    for session in range(5):
        engine.leave(session)
    assert engine.remembered.nbytes == 0
    engine.close()


# With the real network


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(device="cpu")


def test_a_photo_gives_the_same_with_neighbours_as_alone(segmenter):
    """Sizes that are padded to one bucket: scores within 2·10⁻⁴ of their range, labels 99.9 %."""
    generator = np.random.default_rng(0)
    photos = [
        generator.integers(0, 256, (*size, 3), np.uint8)
        for size in ((97, 129), (66, 98), (80, 120))
    ]
    together = segmenter.launch(photos)()
    for own, shared in zip(photos, together, strict=True):
        alone = segmenter(own)
        for stride in alone.scores:
            a, b = alone.scores[stride].values, shared.scores[stride].values
            assert np.abs(a - b).max() <= 2e-4 * np.abs(a).max()
            assert (alone.labels[stride] == shared.labels[stride]).mean() >= 0.999


def test_photos_of_two_buckets_do_not_share_a_pass(segmenter):
    with pytest.raises(ValueError, match="one padded size"):
        segmenter.launch([photo(1, 40, 50), photo(1, 40, 80)])


def test_a_cpu_takes_waiting_photos_together_that_are_small_and_large_ones_alone(segmenter):
    most = segmenter.largest_batch
    assert most > 1
    engine = Engine(lambda: segmenter)
    try:
        passes: list[int] = []
        launch = segmenter.launch
        segmenter.launch = lambda photos: passes.append(len(photos)) or launch(photos)
        for side, together in ((384, [most, 1]), (416, [1] * (most + 1))):
            passes.clear()
            hold = threading.Event()
            held = engine.run("first", lambda _, hold=hold: hold.wait(WAIT))
            photos = np.random.default_rng(side).integers(0, 256, (most + 1, 96, side, 3), np.uint8)
            photos = np.repeat(photos, 4, 1)[:, :side]
            tickets = [engine.segment(n, photo) for n, photo in enumerate(photos)]
            hold.set()
            assert held.result(WAIT)
            found = [ticket.result(WAIT).result for ticket in tickets]
            assert passes == together
            for photo, result in zip(photos, found, strict=True):
                for stride, labels in segmenter(photo).labels.items():
                    assert (labels == result.labels[stride]).mean() >= 0.999
    finally:
        del segmenter.launch
        engine.close()
