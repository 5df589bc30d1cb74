"""The real thing on this machine's CPU: replicas, clients, one replica killed in the middle."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from explainer.fcn.segmenter import Segmenter
from explainer.fcn.weights import record
from explainer.serve import wire
from explainer.serve.client import Patience, Remote, Unserved
from tests.serve.conftest import answer_for

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CLIENTS, PHOTOS_EACH = 10, 10
PATIENCE = Patience(connect=60, answer=300)
MARK = bytes(range(255, 191, -3)) * 6
"""Pixels that every photo begins with: bytes that are nowhere else."""


def photo(number: int) -> np.ndarray:
    """A part of a sample photo, of one of several padded sizes, and no two the same."""
    image = data.chelsea() if number % 2 else data.astronaut()
    height, width = 100 + 20 * (number % 4), 120 + 25 * (number % 3)
    top, left = number, 2 * number
    found = image[top : top + height, left : left + width].copy()
    found.reshape(-1)[: len(MARK)] = np.frombuffer(MARK, np.uint8)
    return found


@dataclass
class Serving:
    """A started `python -m explainer.serve`.

    Attributes:
        folder: where Ray keeps its files.
        errors: what it wrote to its standard error, and its workers too.
    """

    process: subprocess.Popen[str]
    port: int
    folder: Path
    errors: Path

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def replicas(self, complete: Callable[[set[int]], bool]) -> set[int]:
        """The replicas' processes: asked until the ones that answered are complete."""
        found: set[int] = set()
        while not complete(found):
            status, body = self.ask("GET", "/health")
            if status == 200:
                about = json.loads(body)
                assert about["weights"] == record().sha256
                assert about["device"] == "cpu"
                found.add(about["process"])
        return found


def descendants(root: int) -> set[int]:
    """The processes that a process started, and those that they did."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in listed.stdout.splitlines()]
    parents = {int(process): int(parent) for process, parent in lines}
    found, size = {root}, 0
    while size < len(found):
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {root}


def alive(process: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.fixture(scope="module")
def serving(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    errors = tmp_path_factory.mktemp("serve") / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                *f"-m explainer.serve --port {port} --replicas 2 --device cpu".split(),
            ],
            cwd=root,
            env=os.environ | {"EXPLAINER_DEVICE": "cpu"},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "EXPLAINER_SERVE=" in line:
                break
        else:
            pytest.fail(f"it ended with {process.wait()}:\n{errors.read_text()}")
        assert f"EXPLAINER_SERVE=http://127.0.0.1:{port}." in line
        threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it can write
        (session,) = Path("/tmp").glob(f"serve-*/session_*_{process.pid}")
        yield Serving(process, port, session.parent, errors)
    finally:
        process.terminate()
        process.wait(300)


def test_a_hundred_photos_of_ten_clients_and_a_replica_that_dies(serving, monkeypatch):
    doomed = min(serving.replicas(lambda found: len(found) == 2))
    failed = []
    request = Remote._request

    def watched(*arguments):
        try:
            return request(*arguments)
        except Unserved as unserved:
            failed.append(unserved)
            raise

    monkeypatch.setattr(Remote, "_request", watched)
    answered = threading.Semaphore(0)

    def client(number: int) -> dict[int, wire.Answer]:
        remote = Remote(
            f"http://127.0.0.1:{serving.port}",
            lambda: pytest.fail("a photo was not segmented there"),
            PATIENCE,
        )
        answers = {}
        try:
            for own in range(number, CLIENTS * PHOTOS_EACH, CLIENTS):
                (answers[own],) = remote.launch([photo(own)])()
                answered.release()
        finally:
            answered.release(PHOTOS_EACH)  # also where it failed, nobody waits for it
            remote.close()
        return answers

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(client, number) for number in range(CLIENTS)]
        for _ in range(CLIENTS * PHOTOS_EACH // 4):
            answered.acquire()
        os.kill(doomed, signal.SIGKILL)
        answers: dict[int, wire.Answer] = {}
        for done in running:
            answers |= done.result()

    assert failed, "no request was under way in the replica that was killed"
    assert sorted(answers) == list(range(CLIENTS * PHOTOS_EACH))
    local = Segmenter.load(device="cpu")
    for number, answer in answers.items():
        expected = local(photo(number))
        assert answer.notes == ()
        assert answer.result.device == "cpu of the serving machine"
        for stride, labels in expected.labels.items():
            assert (answer.result.labels[stride] == labels).mean() >= 0.999
            np.testing.assert_allclose(
                answer.result.scores[stride].values,
                expected.scores[stride].values,
                rtol=0,
                atol=0.02 * np.abs(expected.scores[stride].values).max(),
            )
    # Ray puts another one in its place.
    assert serving.replicas(lambda found: len(found - {doomed}) == 2)


def test_what_is_no_photo_gets_a_sentence_and_harms_nobody(serving):
    other = wire.write_photo(photo(0), "0" * 64)
    for message, status, reason in (
        (b"", 400, b"not safetensors"),
        (b"\xff" * 1000, 400, b"not safetensors"),
        (wire.write_answer(answer_for(photo(0))), 400, b"lacks something"),
        (other, 409, b"same version"),
        (bytes(wire.PHOTO_BYTES + 1), 413, b"longer than"),
    ):
        found, sentence = serving.ask("POST", "/segment", message)
        assert (found, reason in sentence) == (status, True), (found, sentence[:200])
    assert serving.ask("GET", "/segment")[0] == 404
    remote = Remote(f"http://127.0.0.1:{serving.port}", pytest.fail, PATIENCE)  # pyright: ignore
    (answer,) = remote.launch([photo(1)])()
    remote.close()
    assert answer.notes == ()


def test_a_port_in_use_is_said_at_once(serving, root):
    """Ray would share it, and every other photo would go to the other one."""
    second = subprocess.run(
        [sys.executable, "-m", "explainer.serve", "--port", str(serving.port)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "in use" in second.stderr
    assert "Traceback" not in second.stderr


def test_nothing_of_a_photo_is_on_the_disk_or_in_the_log(serving):
    remote = Remote(f"http://127.0.0.1:{serving.port}", pytest.fail, PATIENCE)  # pyright: ignore
    for number in range(5):  # what is written, if any, may come a moment after the answer
        assert remote.launch([photo(number)])()[0].notes == ()
    remote.close()
    files = [path for path in serving.folder.rglob("*") if path.is_file()]
    assert len(files) > 3, "Ray's own files are there"
    for path in [*files, serving.errors]:
        written = path.read_bytes()
        assert MARK[:22] not in written, path
        assert not re.search(rb"POST /\S* \d", written), path  # no access log either


def test_it_ends_without_leftovers(serving):
    started = descendants(serving.process.pid)
    assert started
    serving.process.terminate()
    assert serving.process.wait(300) == 0
    # Some end a moment after the one that started them; the test's own limit ends the wait.
    while any(alive(process) for process in started):
        time.sleep(0.2)
    assert not serving.folder.exists()
