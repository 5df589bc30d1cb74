"""One network for many visitors: a queue, batches, a bounded memory, and what to do when it ends.

One thread owns the network. Photos that wait and have the same padded size share a pass; their
scores do not depend on one another, since each gets just the padding that it gets alone. Every
session has one place in the queue: a newer photo takes the place of the older one that still waits,
so nobody gets ahead by asking often, and the queue is as long as there are sessions that wait.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn.device import out_of_memory
from explainer.fcn.result import Segmentation
from explainer.fcn.segmenter import Batching, bucket, check, together

T = TypeVar("T")
Photo = NDArray[np.uint8]

LOG = logging.getLogger(__name__)

CAPACITY = 64
"""Sessions that may wait."""

CACHE_BYTES = 256 * 2**20
"""Results that are remembered for those who may ask for them again."""

COLLECTORS = 32
"""Passes of which the answers are waited for at once, where a network has that many under way."""

RECOVERY = 60.0
"""Seconds after which twice as many photos are tried together again where memory ran out."""

SMALLEST = 256
"""Pixels of the longest side below which a photo is not shrunk when memory runs out."""


class Network(Batching, Protocol):
    """What the engine needs of a `Segmenter`, or of something else that segments in its place.

    That one gives answers, with notes of its own.
    """

    @property
    def device(self) -> str: ...

    @property
    def passes_at_once(self) -> int: ...

    def launch(self, photos: Sequence[Photo]) -> Callable[[], Sequence[Segmentation | Answer]]:
        """Start a pass; what it returns waits for the answers, in any thread."""
        ...

    def release(self) -> None:
        """Give back the memory that only makes the next pass faster."""
        ...


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
    """A place in the queue, and later the answer.

    Attributes:
        notes: what went otherwise than asked with other work than a photo, in sentences for the
            visitor, once there is an answer.
    """

    session: Hashable
    work: Callable[[Any], T] | None
    photo: Photo | None
    key: str
    _engine: Engine
    _future: Future[T] = field(default_factory=Future)
    _left: bool = False
    notes: tuple[str, ...] = ()

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
        self._under_way = 0  # passes that are computed and not yet collected
        self._failed: deque[Callable[[], None]] = deque()  # each tries again with less
        # Photos of a bucket that memory sufficed for, and when that was seen.
        self._fits: dict[tuple[int, int], tuple[int, float]] = {}
        self._collectors = ThreadPoolExecutor(COLLECTORS, "collect")
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
            ValueError: it is no photo.
        """
        check(photo)
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

    def remembers(self, key: str) -> bool:
        """Whether who asks for this gets what an earlier pass gave."""
        return key in self.remembered

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
        self._collectors.shutdown()

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
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Callable[[], None] | None:
        """What to do next, waiting for it; None when the engine is closed."""
        with self._changed:
            while True:
                if self._failed:
                    return self._failed.popleft()
                at_once = 1 if self._network is None else self._network.passes_at_once
                if self._waiting and self._under_way < at_once:
                    return partial(self._start, self._take())
                if self._closed and not self._under_way:
                    return None
                self._changed.wait()

    def _take(self) -> list[Ticket[Any]]:
        """The next jobs, of one bucket."""
        _, first = self._waiting.popitem(last=False)
        taken = [first]
        if first.photo is not None:
            size = bucket(first.photo)
            limit = self._together(size)
            keys = {first.key}
            for session, ticket in list(self._waiting.items()):
                if ticket.photo is None or bucket(ticket.photo) != size:
                    continue
                if ticket.key in keys or len(keys) < limit:
                    keys.add(ticket.key)
                    taken.append(self._waiting.pop(session))
        # From here on nobody can cancel them; those cancelled just before drop out.
        taken = [ticket for ticket in taken if ticket._future.set_running_or_notify_cancel()]
        self._computing.update(taken)
        return taken

    def _start(self, batch: list[Ticket[Any]]) -> None:
        """Start jobs, and end them too where the network has one pass at a time."""
        if not batch:
            return
        # BaseException: whatever work raises, the thread goes on.
        try:
            if self._network is None:
                self._network = self._load()
            if batch[0].work is not None:
                self._settle(batch, {batch[0].key: self._worked(batch[0], batch[0].work)})
                return
            collect = self._network.launch(list(_photos(batch).values()))
            at_once = self._network.passes_at_once
        except BaseException as error:
            self._again(batch, error)
            return
        with self._changed:
            self._under_way += 1
        if at_once > 1:  # so that a pass that takes long holds up no other
            with suppress(RuntimeError):  # the process ends, and its pools take nothing any more
                self._collectors.submit(self._collect, batch, collect)
                return
        self._collect(batch, collect)

    def _collect(
        self, batch: list[Ticket[Any]], collect: Callable[[], Sequence[Segmentation | Answer]]
    ) -> None:
        """Wait for the answers of a pass; what fails is tried again in the engine's thread."""
        try:
            answers = [_answer(result) for result in collect()]
            self._settle(batch, dict(zip(_photos(batch), answers, strict=True)))
        except BaseException as error:
            self._again(batch, error)
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _again(self, batch: list[Ticket[Any]], error: BaseException) -> None:
        """Have a batch that failed tried again with less, or fail where there is no less."""
        if batch[0].work is None and (out_of_memory(error) or len(_photos(batch)) > 1):
            short = out_of_memory(error)
            with self._changed:
                self._failed.append(partial(self._with_less, batch, short))
                self._changed.notify_all()
        else:
            self._settle(batch, {ticket.key: error for ticket in batch})

    def _with_less(self, batch: list[Ticket[Any]], short: bool, shortage: int = 0) -> None:
        """Answer a batch that failed, in parts: one that fails costs no other its answer.

        Args:
            short: whether memory ran out. Then halves have a pass each, else photos.
            shortage: photos that memory did not suffice for at first, if it was not for this batch.
        """
        try:
            photos = list(_photos(batch).values())
            if short:
                self._make_room(photos)
            if len(photos) == 1:
                answer = _noted(self._smaller(photos[0]), self._without(shortage))
                self._settle(batch, {batch[0].key: answer})
                return
            for part in _parts(batch, max(1, len(photos) // 2) if short else 1):
                self._retry(part, shortage or (len(photos) if short else 0))
        except BaseException as error:
            left = [ticket for ticket in batch if not ticket._future.done()]
            self._settle(left, {ticket.key: error for ticket in left})

    def _retry(self, batch: list[Ticket[Any]], shortage: int) -> None:
        """Run a part of a batch that failed, with less still where that fails too."""
        assert self._network is not None
        photos = _photos(batch)
        try:
            found = self._network.launch(list(photos.values()))()
        except BaseException as error:
            short = out_of_memory(error)
            if not short and len(photos) == 1:
                self._settle(batch, dict.fromkeys(photos, error))
                return
        else:
            notes = self._without(shortage)
            answers = [_noted(_answer(result), notes) for result in found]
            self._settle(batch, dict(zip(photos, answers, strict=True)))
            return
        # The error is gone by now, and with it what its traceback held on the device.
        self._with_less(batch, short, shortage)

    def _make_room(self, photos: list[Photo]) -> None:
        """Free what can be freed, and remember how many photos of the bucket fit."""
        network = self._network
        assert network is not None
        network.release()
        if len(photos) > 1:
            half = len(photos) // 2
            self._fits[bucket(photos[0])] = half, time.monotonic()
            LOG.warning("the memory of %s sufficed for %d photos only", network.device, half)

    def _together(self, size: tuple[int, int]) -> int:
        """How many photos of a bucket to pass now: where memory ran out, soon more again."""
        if self._network is None:
            return 1
        most = together(self._network, size)
        now = time.monotonic()
        fits, since = self._fits.get(size, (most, now))
        return min(most, fits << int((now - since) // RECOVERY))

    def _without(self, shortage: int) -> tuple[str, ...]:
        """What to say where memory did not suffice for so many photos together; 0: nothing."""
        if not shortage:
            return ()
        assert self._network is not None
        return (
            f"The memory of {self._network.device} did not suffice for {shortage} photos at a "
            "time, so fewer were computed together.",
        )

    def _smaller(self, photo: Photo) -> Answer:
        """Half the size, and half of that, then the CPU."""
        network = self._network
        assert network is not None
        smaller = photo
        while max(smaller.shape) >= 2 * SMALLEST:
            height, width, _ = smaller.shape
            size = max(1, width // 2), max(1, height // 2)
            smaller = np.asarray(Image.fromarray(smaller).resize(size, Image.Resampling.BOX))
            with suppress_out_of_memory():
                (result,) = network.launch([smaller])()
                note = (
                    f"The memory of {network.device} did not suffice for {photo.shape[1]}×"
                    f"{photo.shape[0]}, so the network saw the photo at {size[0]}×{size[1]}."
                )
                answer = _answer(result)
                seen = smaller if answer.pixels is None else answer.pixels
                return _noted(replace(answer, pixels=seen), (note,))
            network.release()
        spare = self._spare_network()
        if spare is None:
            raise torch.OutOfMemoryError(
                f"the memory of {network.device} does not suffice even for a small photo: close "
                "what else uses it, or choose another device with EXPLAINER_DEVICE"
            )
        (result,) = spare.launch([photo])()
        return _noted(_answer(result), (self._on(spare),))

    def _worked(self, ticket: Ticket[T], work: Callable[[Any], T]) -> T:
        """What other work gives: once more where memory ran out, then on the CPU."""
        network = self._network
        assert network is not None
        with suppress_out_of_memory():
            return work(network)
        network.release()
        spare = self._spare_network()
        if spare is None:
            return work(network)
        with suppress_out_of_memory():
            return work(network)
        LOG.warning("the memory of %s did not suffice: worked on %s", network.device, spare.device)
        ticket.notes = (self._on(spare),)
        return work(spare)

    def _on(self, spare: Network) -> str:
        """What to say where the spare computed."""
        assert self._network is not None
        return f"The memory of {self._network.device} did not suffice: computed on {spare.device}."

    def _spare_network(self) -> Network | None:
        """The network that takes over, made when it is first needed; None where it has no more."""
        assert self._network is not None
        if self._spare is None and self._make_spare is not None and self._network.device != "cpu":
            self._spare = self._make_spare()
        return self._spare

    def _settle(self, batch: list[Ticket[Any]], answers: Mapping[str, Any]) -> None:
        """Give tickets their answers or errors, by key; remember what went as asked."""
        for error in {id(found): found for found in answers.values()}.values():
            # A ValueError tells a visitor what to do otherwise. Nothing of a photo is in the rest.
            if isinstance(error, BaseException) and not isinstance(error, ValueError):
                LOG.error("the network failed", exc_info=error)
        with self._changed:  # so that nobody leaves in between
            for ticket in batch:
                answer = answers[ticket.key]
                makeshift = bool(ticket.notes) or _makeshift(answer)
                if ticket.key and not ticket._left and not makeshift:
                    self.remembered.put(ticket.key, ticket.session, answer)
            self._computing.difference_update(batch)
        for ticket in batch:
            answer = answers[ticket.key]
            if isinstance(answer, BaseException):
                ticket._future.set_exception(answer)
            else:
                ticket._future.set_result(answer)


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

    def __contains__(self, key: str) -> bool:
        return key in self._entries

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
        """Remember an answer for a session, unless it alone exceeds the budget."""
        if answer.nbytes > self.budget:
            return
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


@contextmanager
def suppress_out_of_memory() -> Iterator[None]:
    """Go on behind the block where memory ran out in it.

    The error is gone by then, and with it what its traceback held on the device.
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise


def _photos(batch: Sequence[Ticket[Any]]) -> dict[str, Photo]:
    """The different photos of a batch, by key."""
    return {ticket.key: ticket.photo for ticket in batch if ticket.photo is not None}


def _parts(batch: Sequence[Ticket[Any]], most: int) -> list[list[Ticket[Any]]]:
    """Batches of at most so many different photos."""
    keys = list(_photos(batch))
    parts = (keys[start : start + most] for start in range(0, len(keys), most))
    return [[ticket for ticket in batch if ticket.key in part] for part in parts]


def _noted(answer: Answer, notes: tuple[str, ...]) -> Answer:
    return replace(answer, notes=answer.notes + notes) if notes else answer


def _makeshift(answer: object) -> bool:
    """Whether it is no answer, or one that may be better when it is asked for again."""
    return isinstance(answer, BaseException) or (isinstance(answer, Answer) and bool(answer.notes))


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
