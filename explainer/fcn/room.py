"""Room that threads share, above all memory: who needs more than is left waits for it."""

import ctypes
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """So much of something for all threads together, given out first come, first served.

    Nobody overtakes: one who needs much would otherwise wait for as long as others need little.

    Args:
        size: of the whole; who asks for more gets the whole.
    """

    def __init__(self, size: int) -> None:
        self.size = self._free = size
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Have that much within the block, waiting for it if need be."""
        amount, place = min(amount, self.size), object()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._queue[0] is place and self._free >= amount)
                self._free -= amount
            finally:  # an interrupted wait must not hold up those behind
                self._queue.remove(place)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()


def give_back() -> None:
    """Let this process return freed memory to the system, where its allocator can.

    glibc keeps it for the thread that had it; a server has a thread for every visitor.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
