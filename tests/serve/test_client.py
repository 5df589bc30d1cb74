"""The serving machine in the place of the network: there, busy, slow, wrong, gone, and back."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from explainer.fcn.engine import Engine
from explainer.fcn.result import Segmentation
from explainer.fcn.weights import record
from explainer.serve import client, wire
from explainer.serve.client import Patience, Remote
from tests.serve.conftest import WAIT, Server, answer_for, until


class Own:
    """The network of this machine; notes what it was given."""

    device, largest_batch, passes_at_once, batch_pixels = "mps", 2, 1, 40 * 50 * 9

    def __init__(self):
        self.passes: list[int] = []
        self.released = 0

    def release(self) -> None:
        self.released += 1

    def launch(self, photos: Sequence[np.ndarray]) -> Callable[[], list[Segmentation]]:
        self.passes.append(len(photos))
        return lambda: [answer_for(photo, device=self.device).result for photo in photos]


@pytest.fixture
def own() -> Own:
    return Own()


@pytest.fixture
def remote(server: Server, own: Own) -> Iterator[Remote]:
    made = Remote(server.address, lambda: own, Patience(WAIT, WAIT, rest=3600))  # pyright: ignore
    yield made
    made.close()


def photo(shade: int = 3) -> np.ndarray:
    return np.full((40, 50, 3), shade, np.uint8)


def test_photos_are_segmented_there_and_come_in_order(remote, server, own):
    shades = list(range(1, 15))
    answers = remote.launch([photo(shade) for shade in shades])()
    assert [int(answer.result.labels[8][0, 0]) for answer in answers] == shades
    assert {answer.notes for answer in answers} == {()}
    assert {answer.result.device for answer in answers} == {"cuda of the serving machine"}
    assert answers[0].result.timings["transfer"] >= 0
    assert not own.passes
    assert {wire.read_photo(message)[1] for message in server.asked} == {record().sha256}


@pytest.mark.parametrize("broken", [500, 503, "connection"])
def test_another_attempt_goes_to_another_replica(remote, server, own, broken):
    def reply(message: bytes) -> tuple[int, bytes]:
        if len(server.asked) > 1:
            return server.segmented(message)
        if broken == "connection":
            raise ConnectionError
        return broken, b"a replica died"

    server.reply = reply
    (answer,) = remote.launch([photo()])()
    assert (answer.notes, len(server.asked), own.passes) == ((), 2, [])


@pytest.mark.parametrize(
    ("status", "body", "attempts", "note", "rests"),
    [
        (503, b"busy", client.ATTEMPTS, client.BUSY, False),
        (500, b"broken", client.ATTEMPTS, client.ABSENT, True),
        (409, b"other weights", 1, client.OTHER_VERSION, True),
        (413, b"too long", 1, client.REFUSED, False),
        (404, b"<html>another server</html>", 1, client.ABSENT, True),
        (200, b"<html>another server</html>", 1, client.ABSENT, True),
        (200, bytes(wire.ANSWER_BYTES + 1), 1, client.ABSENT, True),
    ],
)
def test_what_is_not_segmented_there_is_segmented_here(
    remote, server, own, status, body, attempts, note, rests
):
    server.reply = lambda _: (status, body)
    (answer,) = remote.launch([photo(5)])()
    assert answer.notes == (note,)
    assert answer.result.device == "mps"
    assert (answer.result.labels[8] == 5).all()
    assert (len(server.asked), own.passes) == (attempts, [1])
    server.reply = server.segmented
    (answer,) = remote.launch([photo(6)])()
    assert answer.notes == ((note,) if rests else ())
    assert remote.passes_at_once == (1 if rests else client.IN_FLIGHT)


def test_a_machine_that_is_gone_is_asked_again_after_a_rest(remote, server, own, monkeypatch):
    server.stop()
    (answer,) = remote.launch([photo()])()
    assert answer.notes == (client.ABSENT,)
    assert (remote.device, remote.largest_batch) == ("mps", 2)
    # All at once, as many as this machine takes in one pass; nobody waits for the other one.
    monkeypatch.setattr(remote, "_ask", lambda _: pytest.fail("it was asked in its rest"))
    answers = remote.launch([photo(shade) for shade in range(5)])()
    assert [int(answer.result.labels[8][0, 0]) for answer in answers] == list(range(5))
    assert own.passes == [1, 2, 2, 1]
    monkeypatch.undo()
    again = Server()
    remote._port = int(again.address.rpartition(":")[2])
    remote._ask_again = 0.0  # the rest is over
    try:
        # Nobody waits for what may be gone still: this photo is segmented here.
        (answer,) = remote.launch([photo()])()
        assert answer.notes == (client.ABSENT,)
        until(lambda: remote.largest_batch == 1)
        (answer,) = remote.launch([photo()])()
        assert answer.notes == ()
        assert [wire.read_photo(message)[0].shape[0] for message in again.asked] == [33, 40]
    finally:
        again.stop()


@pytest.mark.parametrize(
    ("status", "note"),
    [(500, client.ABSENT), (409, client.OTHER_VERSION), (200, client.ABSENT), (503, "")],
)
def test_a_machine_that_answers_wrongly_stays_gone(remote, server, own, status, note):
    server.stop()
    remote.launch([photo()])()
    again = Server()
    again.reply = lambda _: (status, b"not an answer")
    remote._port = int(again.address.rpartition(":")[2])
    remote._ask_again = 0.0
    try:
        remote.launch([photo()])()
        until(lambda: len(again.asked) == 1 and remote._gone == note)
        # Not asked again before the next rest is over.
        if note:
            remote.launch([photo()])()
            assert len(again.asked) == 1
    finally:
        again.stop()


def test_an_answer_cut_short_is_asked_for_again(own):
    """A replica that dies while it sends: the length was promised, half of it comes."""
    body = wire.write_answer(answer_for(photo(7), device="cuda"))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for sent in (body[: len(body) // 2], body):
                there, _ = listening.accept()
                with there:
                    with there.makefile("rb") as stream:
                        length = 0
                        while line := stream.readline().strip():
                            name, _, value = line.partition(b":")
                            length = int(value) if name.lower() == b"content-length" else length
                        stream.read(length)
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                    there.sendall(head.encode() + sent)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        remote = Remote(address, lambda: own, Patience(WAIT, WAIT))  # pyright: ignore
        try:
            (answer,) = remote.launch([photo(7)])()
            assert answer.notes == ()
            assert (answer.result.labels[8] == 7).all()
            assert not own.passes
        finally:
            thread.join(WAIT)
            remote.close()


def test_what_is_segmented_here_goes_one_by_one(server):
    """However many answers fail together."""

    class Counting(Own):
        def launch(self, photos: Sequence[np.ndarray]) -> Callable[[], list[Segmentation]]:
            collect = super().launch(photos)
            assert inside.acquire(blocking=False)
            time.sleep(0.01)
            inside.release()
            return collect

    inside = threading.Lock()
    server.reply = lambda _: (413, b"too long")
    remote = Remote(server.address, Counting, Patience(WAIT, WAIT))  # pyright: ignore
    engine = Engine(lambda: remote)
    try:
        tickets = [engine.segment(session, photo(session)) for session in range(8)]
        assert [ticket.result(WAIT).notes for ticket in tickets] == [(client.REFUSED,)] * 8
    finally:
        engine.close()
        remote.close()


def test_a_machine_that_hangs_holds_up_no_photo_of_others(server, own):
    """Its thread accepts and never answers one photo: the others have their answers at once."""
    released = threading.Event()

    def reply(message: bytes) -> tuple[int, bytes]:
        if wire.read_photo(message)[0].flat[0] == 1:
            released.wait(WAIT)
        return server.segmented(message)

    server.reply = reply
    remote = Remote(server.address, lambda: own, Patience(WAIT, WAIT))  # pyright: ignore
    engine = Engine(lambda: remote)
    try:
        hung = engine.segment("first", photo(1))
        tickets = [engine.segment(session, photo(session)) for session in range(2, 9)]
        assert all(ticket.result(WAIT).notes == () for ticket in tickets)
        assert not hung.wait(0)
        released.set()
        assert hung.result(WAIT).notes == ()
    finally:
        released.set()
        engine.close()
        remote.close()


def test_a_slow_machine_is_not_waited_for_longer_than_patience(server, own):
    released = threading.Event()

    def reply(message: bytes) -> tuple[int, bytes]:
        released.wait(WAIT)
        return server.segmented(message)

    server.reply = reply
    remote = Remote(server.address, lambda: own, Patience(WAIT, answer=0.2))  # pyright: ignore
    try:
        (answer,) = remote.launch([photo()])()
        assert answer.notes == (client.ABSENT,)
        assert len(server.asked) == 1
    finally:
        released.set()
        remote.close()


def test_an_answer_that_never_ends_is_cut_off(own):
    """A byte now and then keeps a socket's own timeout from ever being reached."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            there, _ = listening.accept()
            with there:
                there.recv(2**16)
                there.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not ended.wait(0.01):
                    try:
                        there.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        remote = Remote(address, lambda: own, Patience(WAIT, answer=0.3))  # pyright: ignore
        try:
            (answer,) = remote.launch([photo()])()
            assert answer.notes == (client.ABSENT,)
        finally:
            ended.set()
            thread.join(WAIT)
            remote.close()


@pytest.mark.parametrize("address", ["10.0.0.5:8270", "ftp://host", "http://", "http://host:port"])
def test_what_is_no_address_is_said_at_once(address):
    with pytest.raises(ValueError, match="address like http://"):
        Remote(address, lambda: pytest.fail("nothing is loaded"))


def test_in_the_engine_a_machine_that_dies_costs_no_photo(server, own):
    """Visitors ask through the engine while it goes: each gets an answer to the own photo."""
    remote = Remote(server.address, lambda: own, Patience(WAIT, WAIT, rest=3600))  # pyright: ignore
    engine = Engine(lambda: remote)

    requests = itertools.count()

    def reply(message: bytes) -> tuple[int, bytes]:
        if next(requests) >= 8:
            raise ConnectionError
        return server.segmented(message)

    server.reply = reply
    try:
        tickets = {shade: engine.segment(shade, photo(shade)) for shade in range(20)}
        answers = {shade: ticket.result(WAIT) for shade, ticket in tickets.items()}
        for shade, answer in answers.items():
            assert (answer.result.labels[8] == shade).all()
        notes = [answer.notes for answer in answers.values()]
        assert notes.count(()) == 8
        assert notes.count((client.ABSENT,)) == 12
        # What asks for the network itself gets the one here.
        assert engine.run("visitor", lambda network: network.local).result(WAIT) is own
    finally:
        engine.close()
        remote.close()
