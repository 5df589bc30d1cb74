"""One network for many visitors: a queue, batches, a bounded memory, and what to do when it ends.

One thread owns the network. Photos that wait and have the same padded size share a pass; their
scores do not depend on one another, since each gets just the padding that it gets alone. Every
session has one place in the queue: a newer photo takes the place of the older one that still waits,
so nobody gets ahead by asking often, and the queue is as long as there are sessions that wait.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn.result import Segmentation
from explainer.fcn.segmenter import bucket

T = TypeVar("T")
Photo = NDArray[np.uint8]

CAPACITY = 64
"""Sessions that may wait."""

CACHE_BYTES = 256 * 2**20
"""Results that are remembered for those who may ask for them again."""

SMALLEST = 256
"""Pixels of the longest side below which a photo is not shrunk when memory runs out."""


class Network(Protocol):
    """What the engine needs of a `Segmenter`, or of something else that segments in its place.

    That one gives answers, with notes of its own.
    """

    @property
    def device(self) -> str: ...

    @property
    def largest_batch(self) -> int: ...

    @property
    def passes_at_once(self) -> int: ...

    def launch(self, photos: Sequence[Photo]) -> Callable[[], Sequence[Segmentation | Answer]]: ...


class Busy(RuntimeError):
    """As many sessions wait as may.

    Attributes:
        waiting: how many.
    """

    def __init__(self, waiting: int):
        super().__init__(
            f"{waiting} visitors wait for the network already, as many as may: try again in a "
            "moment"
        )
        self.waiting = waiting


@dataclass(frozen=True)
class Answer:
    """What the engine gives for a photo.

    Attributes:
        result: its segmentation.
        pixels: the photo as it was segmented, where memory did not suffice for the one asked for.
        notes: what went otherwise than asked, in sentences for the visitor.
    """

    result: Segmentation
    pixels: Photo | None = None
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Of the arrays that it keeps."""
        return self.result.nbytes + (0 if self.pixels is None else self.pixels.nbytes)


class Sized(Protocol):
    """An answer that can be remembered: it tells how much memory it keeps."""

    @property
    def nbytes(self) -> int: ...


@dataclass(eq=False)
class Ticket(Generic[T]):
    """A place in the queue, and later the answer."""

    session: Hashable
    work: Callable[[Any], T] | None
    photo: Photo | None
    key: str
    _engine: Engine
    _future: Future[T] = field(default_factory=Future)
    _left: bool = False

    @property
    def ahead(self) -> int:
        """How many of the waiting or computing jobs come before this one."""
        return self._engine._ahead(self)

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; whether there is an answer, an error or a cancellation."""
        try:
            self._future.exception(seconds)
        except NotYet:
            return False
        except CancelledError:
            return True
        return True

    def result(self, timeout: float | None = None) -> T:
        """The answer, waiting for it.

        Raises:
            CancelledError: the session asked for something newer, or left.
            Exception: whatever loading the network or the work raised.
        """
        return self._future.result(timeout)

    @property
    def future(self) -> Future[T]:
        """For those who wait in an event loop."""
        return self._future

    def cancel(self) -> None:
        """Give the place up; what is computed already is finished, and remembered."""
        self._engine._drop(self)


class Engine:
    """The queue in front of one network.

    Args:
        load: makes the network, in the engine's own thread; on an error, every waiting job gets it,
            and the next job tries again.
        spare: makes the network that takes over where the first one's memory does not suffice even
            for a small photo (on the CPU).
        weights: names the weights in the keys of remembered results.
        capacity: sessions that may wait.
        cache_bytes: budget of remembered results.
    """

    def __init__(
        self,
        load: Callable[[], Network],
        spare: Callable[[], Network] | None = None,
        *,
        weights: str = "",
        capacity: int = CAPACITY,
        cache_bytes: int = CACHE_BYTES,
    ):
        self._load, self._make_spare = load, spare
        self._network: Network | None = None
        self._spare: Network | None = None
        self.weights = weights
        self.capacity = capacity
        self.remembered = Remembered(cache_bytes)
        self._waiting: OrderedDict[Hashable, Ticket[Any]] = OrderedDict()
        self._computing: set[Ticket[Any]] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="the network", daemon=True)
        self._thread.start()

    # What visitors' threads call

    @property
    def ready(self) -> bool:
        """Whether the network is loaded."""
        return self._network is not None

    def segment(self, session: Hashable, photo: Photo) -> Ticket[Answer]:
        """Queue a photo, (H, W, 3) uint8 RGB, for a session.

        Asked again for the photo that waits or is being computed, the session gets the same ticket.

        Raises:
            Busy: too many sessions wait.
        """
        key = key_of(photo, self.weights)
        ticket: Ticket[Answer] = Ticket(session, None, photo, key, self)
        return self._remembered_or_queued(ticket)

    def run(self, session: Hashable, work: Callable[[Any], T], key: str = "") -> Ticket[T]:
        """Queue other work with the network, alone in its turn: `work(network)`.

        Args:
            key: of `key_of`, under which the answer is remembered, which then tells its `nbytes`;
                without one it is not.

        Raises:
            Busy: too many sessions wait.
        """
        return self._remembered_or_queued(Ticket(session, work, None, key, self))

    def leave(self, session: Hashable) -> None:
        """The visitor has gone: forget what waits, and what was remembered for nobody else."""
        self._cancel_waiting(session)
        with self._changed:
            for ticket in self._computing:
                ticket._left |= ticket.session == session
        self.remembered.release(session)

    def close(self) -> None:
        """Finish what is being computed, cancel what waits, and end the thread."""
        with self._changed:
            self._closed = True
            left, self._waiting = list(self._waiting.values()), OrderedDict()
            self._changed.notify_all()
        for ticket in left:
            ticket._future.cancel()
        self._thread.join()

    def _remembered_or_queued(self, ticket: Ticket[T]) -> Ticket[T]:
        known = self.remembered.get(ticket.key, ticket.session)
        if known is None:
            return self._asked_before(ticket) or self._queue(ticket)
        self._cancel_waiting(ticket.session)
        ticket._future.set_result(known)
        return ticket

    def _asked_before(self, ticket: Ticket[T]) -> Ticket[T] | None:
        """The session's own ticket for the same, if there is no newer one; it has the same key."""
        with self._changed:
            waiting = self._waiting.get(ticket.session)
            own = [t for t in self._computing if t.session == ticket.session]
            for older in [waiting] if waiting else own:
                if ticket.key and older.key == ticket.key and not older._left:
                    return older
        return None

    def _queue(self, ticket: Ticket[T]) -> Ticket[T]:
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            older = self._waiting.get(ticket.session)
            if older is None and len(self._waiting) >= self.capacity:
                raise Busy(len(self._waiting))
            self._waiting[ticket.session] = ticket  # in the older one's place, if there is one
            self._changed.notify_all()
        if older is not None:
            older._future.cancel()
        return ticket

    def _cancel_waiting(self, session: Hashable) -> None:
        with self._changed:
            ticket = self._waiting.pop(session, None)
        if ticket is not None:
            ticket._future.cancel()

    def _drop(self, ticket: Ticket[Any]) -> None:
        with self._changed:
            if self._waiting.get(ticket.session) is ticket:
                del self._waiting[ticket.session]
        ticket._future.cancel()

    def _ahead(self, ticket: Ticket[Any]) -> int:
        with self._changed:
            if self._waiting.get(ticket.session) is not ticket:
                return 0
            return len(self._computing) + list(self._waiting.values()).index(ticket)

    # What the engine's own thread does

    def _run(self) -> None:
        with suppress(Exception):  # the first job tries again, and hears why not
            self._network = self._load()
        under_way: deque[Callable[[], None]] = deque()
        while (batch := self._take(wait=not under_way)) is not None:
            if batch:
                finish = self._start(batch)
                if finish is not None:
                    under_way.append(finish)
            at_once = 1 if self._network is None else self._network.passes_at_once
            if under_way and (len(under_way) >= at_once or not batch):
                under_way.popleft()()

    def _take(self, wait: bool) -> list[Ticket[Any]] | None:
        """The next jobs, of one bucket; none if nothing waits; None when the engine is closed."""
        with self._changed:
            while wait and not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed and wait:
                return None
            if not self._waiting:
                return []
            _, first = self._waiting.popitem(last=False)
            taken = [first]
            if first.photo is not None:
                limit = 1 if self._network is None else self._network.largest_batch
                keys = {first.key}
                for session, ticket in list(self._waiting.items()):
                    if ticket.photo is None or bucket(ticket.photo) != bucket(first.photo):
                        continue
                    if ticket.key in keys or len(keys) < limit:
                        keys.add(ticket.key)
                        taken.append(self._waiting.pop(session))
            # From here on nobody can cancel them; those cancelled just before drop out.
            taken = [ticket for ticket in taken if ticket._future.set_running_or_notify_cancel()]
            self._computing.update(taken)
            return taken

    def _start(self, batch: list[Ticket[Any]]) -> Callable[[], None] | None:
        """Start jobs; what it returns ends them, None if they are done."""
        try:
            if self._network is None:
                self._network = self._load()
            work = batch[0].work
            if work is not None:
                answer = work(self._network)
                self._computed(batch, {batch[0].key: answer})
                batch[0]._future.set_result(answer)
                return None
            photos = {ticket.key: ticket.photo for ticket in batch if ticket.photo is not None}
            collect = self._launched(list(photos.values()))
        except Exception as error:
            self._fail(batch, error)
            return None

        def finish() -> None:
            try:
                answers = dict(zip(photos, collect(), strict=True))
            except Exception as error:
                self._fail(batch, error)
                return
            self._computed(batch, answers)
            for ticket in batch:
                ticket._future.set_result(answers[ticket.key])

        return finish

    def _launched(self, photos: list[Photo]) -> Callable[[], list[Answer]]:
        """A pass for photos of one bucket, with less at a time wherever memory runs out."""
        network = self._network
        assert network is not None
        try:
            collect = network.launch(photos)
        except torch.OutOfMemoryError:
            free_memory()
            return lambda: self._with_less_memory(network, photos)

        def answers() -> list[Answer]:
            try:
                results = collect()
            except torch.OutOfMemoryError:
                free_memory()
                return self._with_less_memory(network, photos)
            return [_answer(result) for result in results]

        return answers

    def _with_less_memory(self, network: Network, photos: list[Photo]) -> list[Answer]:
        """Half the batch, then half the size, then the CPU."""
        if len(photos) > 1:
            half = len(photos) // 2
            return [
                answer
                for part in (photos[:half], photos[half:])
                for answer in self._launched(part)()
            ]
        (photo,) = photos
        smaller = photo
        while max(smaller.shape) >= 2 * SMALLEST:
            height, width, _ = smaller.shape
            size = max(1, width // 2), max(1, height // 2)
            smaller = np.asarray(Image.fromarray(smaller).resize(size, Image.Resampling.BOX))
            try:
                (result,) = network.launch([smaller])()
            except torch.OutOfMemoryError:
                free_memory()
                continue
            note = (
                f"The memory of {network.device} did not suffice for {photo.shape[1]}×"
                f"{photo.shape[0]}, so the network saw the photo at {size[0]}×{size[1]}."
            )
            answer = _answer(result)
            seen = smaller if answer.pixels is None else answer.pixels
            return [replace(answer, pixels=seen, notes=(*answer.notes, note))]
        if self._make_spare is None:
            raise torch.OutOfMemoryError(
                f"the memory of {network.device} does not suffice even for a small photo: close "
                "what else uses it, or choose another device with EXPLAINER_DEVICE"
            )
        if self._spare is None:
            self._spare = self._make_spare()
        (result,) = self._spare.launch(photos)()
        note = f"The memory of {network.device} did not suffice: computed on {self._spare.device}."
        answer = _answer(result)
        return [replace(answer, notes=(*answer.notes, note))]

    def _computed(self, batch: list[Ticket[Any]], answers: Mapping[str, Any]) -> None:
        with self._changed:  # so that nobody leaves in between
            for ticket in batch:
                if ticket.key and ticket.key in answers and not ticket._left:
                    self.remembered.put(ticket.key, ticket.session, answers[ticket.key])
            self._computing.difference_update(batch)

    def _fail(self, batch: list[Ticket[Any]], error: Exception) -> None:
        self._computed(batch, {})
        for ticket in batch:
            ticket._future.set_exception(error)


@dataclass
class _Entry:
    answer: Sized
    holders: set[Hashable]


class Remembered:
    """Answers by content, for as long as somebody who asked for them is there, within a budget.

    An answer serves whoever hands in the same photo. When the last session that did has left, it is
    dropped: what a visitor's photo shows does not outlive the visit.

    Args:
        budget: bytes of all answers; the one unused for longest goes first.
    """

    def __init__(self, budget: int):
        self.budget = budget
        self.nbytes = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, session: Hashable) -> Any:
        """The answer, held from now on for this session too; None where there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            entry.holders.add(session)
            return entry.answer

    def put(self, key: str, session: Hashable, answer: Sized) -> None:
        """Remember an answer for a session."""
        with self._lock:
            if key in self._entries:
                self._entries[key].holders.add(session)
                return
            self._entries[key] = _Entry(answer, {session})
            self.nbytes += answer.nbytes
            while self.nbytes > self.budget:
                self._forget(next(iter(self._entries)))

    def release(self, session: Hashable) -> None:
        """Drop what only this session held."""
        with self._lock:
            for key, entry in list(self._entries.items()):
                entry.holders.discard(session)
                if not entry.holders:
                    self._forget(key)

    def _forget(self, key: str) -> None:
        self.nbytes -= self._entries.pop(key).answer.nbytes


def _answer(found: Segmentation | Answer) -> Answer:
    return found if isinstance(found, Answer) else Answer(found)


def key_of(photo: Photo, network: str) -> str:
    """The key of what a network makes of a photo.

    Args:
        network: tells it, its weights, and how it is run, apart from others.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(photo).data, digest_size=20)
    digest.update(f"{photo.shape} {network}".encode())
    return digest.hexdigest()


def free_memory() -> None:
    """Give what the allocator keeps back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
