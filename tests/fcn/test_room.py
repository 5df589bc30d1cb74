"""Room that threads share: never more than there is, in turn, and always given back."""

import ctypes
import threading
import time

import pytest

from explainer.bench.machine import resident
from explainer.fcn.room import Room, give_back

WAIT = 10.0


def holder(room: Room, amount: int, entered: list[int], leave: threading.Event) -> threading.Thread:
    """A thread that holds that much until it may leave, and queues before this returns."""

    def hold() -> None:
        with room.hold(amount):
            entered.append(amount)
            leave.wait(WAIT)

    queued = len(room._queue) + len(entered)
    thread = threading.Thread(target=hold)
    thread.start()
    until(lambda: len(room._queue) + len(entered) > queued)
    return thread


def until(true) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_small_amounts_are_held_beside_one_another_and_a_large_one_waits_for_all():
    room, entered, leave, later = Room(10), [], threading.Event(), threading.Event()
    threads = [holder(room, amount, entered, leave) for amount in (3, 4)]
    until(lambda: entered == [3, 4])
    # Nobody overtakes the large one, though there would be room for the 1.
    threads += [holder(room, 10, entered, later), holder(room, 1, entered, later)]
    time.sleep(0.05)
    assert entered == [3, 4]
    leave.set()
    until(lambda: entered == [3, 4, 10])
    time.sleep(0.05)
    assert entered == [3, 4, 10]
    later.set()
    for thread in threads:
        thread.join(WAIT)
    assert entered == [3, 4, 10, 1]


def test_room_is_given_back_whatever_happens_and_more_than_all_is_all():
    room = Room(2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), room.hold(99):
            raise ZeroDivisionError
    with room.hold(1), room.hold(1):
        pass


def test_who_is_interrupted_while_waiting_holds_nobody_up(monkeypatch: pytest.MonkeyPatch):
    room = Room(1)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), room.hold(1):
            pass
    with room.hold(1):
        pass


@pytest.mark.skipif(
    resident() is None or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="no glibc here",
)
def test_what_is_free_goes_back_to_the_system():
    kept = [bytes(1_000) for _ in range(200_000)]
    del kept[:-1]  # the last one keeps the allocator from giving back the rest by itself
    before = resident()
    give_back()
    after = resident()
    assert before is not None
    assert after is not None
    assert before - after > 150
