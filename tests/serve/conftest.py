"""Answers without a network, and a small HTTP server that gives what a test wants."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from explainer.fcn.engine import Answer
from explainer.fcn.geometry import Lattice, padded_size
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.serve import wire

WAIT = 60
"""Seconds; a deadlock fails, a busy machine does not."""


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def answer_for(photo: np.ndarray, device: str = "cpu", **changes) -> Answer:
    """An answer of the right shapes; its labels tell the photo's first value."""
    height, width, _ = photo.shape
    random = np.random.default_rng(int(photo.flat[0]))
    scores = {}
    for stride in (32, 16, 8):
        cells = [(padded_size(side) - 1) // stride + 1 for side in (height, width)]
        values = random.normal(size=(21, *cells)).astype(np.float32)
        scores[stride] = ScoreMap(values, Lattice(stride, 0.0))
    label = np.full((height, width), int(photo.flat[0]) % 21, np.uint8)
    result = Segmentation(
        height,
        width,
        tuple(f"class {number}" for number in range(21)),
        scores,
        dict.fromkeys(scores, label),
        {"forward": 0.25, "labels": 0.125},
        device,
    )
    return Answer(result, **changes)


class Server:
    """A serving machine that answers as it is told.

    Attributes:
        reply: from the message to the status and the body; an exception drops the connection.
        asked: the messages that came.
    """

    def __init__(self):
        self.reply: Callable[[bytes], tuple[int, bytes]] = self.segmented
        self.asked: list[bytes] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                message = self.rfile.read(int(self.headers["Content-Length"]))
                server.asked.append(message)
                try:
                    status, body = server.reply(message)
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:  # told to drop it, or the client has given up
                    self.close_connection = True

            def log_message(self, format: str, *args) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    @staticmethod
    def segmented(message: bytes) -> tuple[int, bytes]:
        photo, _ = wire.read_photo(message)
        return 200, wire.write_answer(answer_for(photo, device="cuda"))

    def stop(self) -> None:
        if self._thread.is_alive():
            self._http.shutdown()
            self._http.server_close()
            self._thread.join(WAIT)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()
