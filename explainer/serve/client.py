"""The serving machine as a network for the engine, and the own one where that does not answer.

Needs only the standard library to speak: the app does not have to install Ray.
"""

from __future__ import annotations

import http.client
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from explainer.fcn.engine import Answer
from explainer.fcn.segmenter import bucket, together
from explainer.fcn.weights import record
from explainer.serve import wire

if TYPE_CHECKING:
    from explainer.fcn.segmenter import Segmenter

Photo = NDArray[np.uint8]

VARIABLE = "EXPLAINER_SERVE"
"""Environment variable with the serving machine's address."""

IN_FLIGHT = 32
"""Requests under way at once: enough for a few replicas with a batch each."""

ATTEMPTS = 5
"""For one photo. When a replica dies, its requests fail at once, and another one takes them."""

LOG = logging.getLogger(__name__)


ABSENT = "The serving machine does not answer; this photo was segmented here."
BUSY = "The serving machine is busy; this photo was segmented here."
OTHER_VERSION = "The serving machine has another version; this photo was segmented here."
REFUSED = "The serving machine refused this photo; it was segmented here."


class Unserved(Exception):
    """The serving machine did not segment a photo.

    Attributes:
        note: for the visitor, who gets the photo segmented here.
        again: whether another attempt may go better.
    """

    def __init__(self, note: str, reason: object, again: bool = False):
        super().__init__(str(reason))
        self.note = note
        self.again = again


@dataclass(frozen=True)
class Patience:
    """How long the serving machine is waited for, in seconds.

    Attributes:
        connect: for a connection. Longer, and visitors would feel that the machine is gone.
        answer: for a photo's answer, all attempts together: a full queue on two slow cores takes
            ten.
        rest: before it is asked again once it did not answer.
    """

    connect: float = 2.0
    answer: float = 15.0
    rest: float = 30.0


class Remote:
    """A serving machine, in the place of a `Segmenter` in the engine.

    What it cannot do is done here, with a note: the network is loaded for that when it is first
    needed. A machine that did not answer gets no photo until it has answered a small one, of which
    it is asked now and then, while nobody waits.

    Args:
        address: "http://host:port", as `python -m explainer.serve` prints it.
        load: makes the own network.

    Raises:
        ValueError: that is no such address.
    """

    def __init__(
        self,
        address: str,
        load: Callable[[], Segmenter],
        patience: Patience = Patience(),
    ):
        parts = urlsplit(address)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in kinds or not parts.hostname or port == -1:
            raise ValueError(f"{VARIABLE} is an address like http://10.0.0.5:8270, not {address!r}")
        self._connection = kinds[parts.scheme]
        self._host, self._port = parts.hostname, port
        self._path = parts.path.rstrip("/") + "/segment"
        self._load = load
        self._patience = patience
        self._weights = record().sha256
        self._own: Segmenter | None = None
        self._loading, self._segmenting = threading.Lock(), threading.Lock()
        self._gone = ""  # the note for visitors, while the machine does not answer
        self._ask_again = float("-inf")
        self._pool = ThreadPoolExecutor(IN_FLIGHT, "ask the serving machine")

    @property
    def largest_batch(self) -> int:
        """Photos that the engine hands over together; the other side makes batches of its own."""
        return 1 if self._own is None or not self._gone else self._own.largest_batch

    @property
    def batch_pixels(self) -> float:
        """Of this machine's network, for what has to be segmented here."""
        return math.inf if self._own is None else self._own.batch_pixels

    @property
    def passes_at_once(self) -> int:
        """So that what has to be segmented here waits in the engine's queue, not behind it."""
        return 1 if self._gone else IN_FLIGHT

    @property
    def device(self) -> str:
        """Where photos are segmented when the serving machine does not."""
        return "the serving machine" if self._own is None else self._own.device

    @property
    def local(self) -> Segmenter:
        """The network here, for those who need it itself."""
        with self._loading:
            if self._own is None:
                self._own = self._load()
            return self._own

    def launch(self, photos: Sequence[Photo]) -> Callable[[], list[Answer]]:
        """Send photos; what it returns waits for the answers, in the photos' order."""
        if note := self._gone:
            self._look_whether_it_is_back()
            return lambda: self._here(photos, note)
        asked = [self._pool.submit(self._ask, photo) for photo in photos]

        def collect() -> list[Answer]:
            answers = []
            for photo, future in zip(photos, asked, strict=True):
                try:
                    answers.append(future.result())
                except Unserved as unserved:
                    answers += self._here([photo], unserved.note)
            return answers

        return collect

    def release(self) -> None:
        """Give back the memory that only makes the next pass here faster."""
        if self._own is not None:
            self._own.release()

    def close(self) -> None:
        """End the threads that ask, when they have their answers."""
        self._pool.shutdown()

    def _here(self, photos: Sequence[Photo], note: str) -> list[Answer]:
        at_once = together(self.local, bucket(photos[0]))
        with self._segmenting:  # as many at once would take the memory and the cores of one another
            return [
                Answer(result, notes=(note,))
                for start in range(0, len(photos), at_once)
                for result in self.local.launch(photos[start : start + at_once])()
            ]

    def _look_whether_it_is_back(self) -> None:
        now = time.monotonic()
        if now >= self._ask_again:
            self._ask_again = now + self._patience.rest
            self._pool.submit(self._probe)

    def _probe(self) -> None:
        """Ask for a small photo, which tells of another version too."""
        grey = np.full((33, 33, 3), 127, np.uint8)
        deadline = time.monotonic() + self._patience.connect
        try:
            self._request(wire.write_photo(grey, self._weights), grey, deadline)
        except Unserved as unserved:
            if unserved.note != BUSY:  # then it is there
                self._gone = unserved.note
                return
        self._gone = ""
        LOG.warning("%s:%s is back", self._host, self._port)

    def _ask(self, photo: Photo) -> Answer:
        """The answer, from whichever replica gives it: to segment twice does no harm.

        Raises:
            Unserved: none does.
        """
        began = time.monotonic()
        deadline = began + self._patience.answer
        message = wire.write_photo(photo, self._weights)
        pauses = [0.1 * 2**n for n in range(ATTEMPTS - 1)]
        while True:
            try:
                answer = self._request(message, photo, deadline)
                break
            except Unserved as unserved:
                if unserved.again and pauses and time.monotonic() + pauses[0] < deadline:
                    time.sleep(pauses.pop(0))
                    continue
                LOG.warning("%s:%s: %s", self._host, self._port, unserved)
                if unserved.note in (ABSENT, OTHER_VERSION):
                    self._ask_again = time.monotonic() + self._patience.rest
                    self._gone = unserved.note
                raise
        timings = dict(answer.result.timings)
        timings["transfer"] = max(0.0, time.monotonic() - began - sum(timings.values()))
        device = f"{answer.result.device} of the serving machine"
        return replace(answer, result=replace(answer.result, timings=timings, device=device))

    def _request(self, message: bytes, photo: Photo, deadline: float) -> Answer:
        connection = self._connection(self._host, self._port, timeout=self._patience.connect)
        try:
            connection.connect()
            connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
            connection.request("POST", self._path, message, {"Connection": "close"})
            response = connection.getresponse()
            body = bytearray()
            # In pieces: each of them may take its time, all together may not.
            while piece := response.read1(2**16):
                body += piece
                if len(body) > wire.ANSWER_BYTES or time.monotonic() > deadline:
                    raise Unserved(ABSENT, "an answer without an end")
            if response.length:
                raise Unserved(ABSENT, f"{response.length} bytes are missing", again=True)
        except TimeoutError:
            raise Unserved(ABSENT, "no answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unserved(ABSENT, f"{type(error).__name__} {error}", again=True) from None
        finally:
            connection.close()
        reason = f"{response.status} {bytes(body[:200]).decode(errors='replace')}"
        match response.status:
            case 200:
                try:
                    return wire.read_answer(bytes(body), photo)
                except wire.WireError as error:
                    raise Unserved(ABSENT, error) from None
            case 503:
                raise Unserved(BUSY, reason, again=True)
            case 409:
                raise Unserved(OTHER_VERSION, reason)
            case 400 | 413:
                raise Unserved(REFUSED, reason)
            case status:
                raise Unserved(ABSENT, reason, again=status >= 500)
