"""A server of the app in a process of its own, reached on this machine only."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
BARE = ROOT / "explainer" / "ui" / "bare_page.py"
"""One slider and one picture: what Streamlit takes where nothing else is."""


@dataclass
class Server:
    """A running server.

    Attributes:
        port: at which it listens on 127.0.0.1.
        process: the server itself.
        log_file: what it prints.
        started: `time.perf_counter()` just before the process began.
    """

    port: int
    process: subprocess.Popen[bytes]
    log_file: Path
    started: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """All that it has printed so far."""
        return self.log_file.read_text("utf-8", errors="replace")

    def answers(self, seconds: float = 5) -> bool:
        """Whether it says that it is well, within a time."""
        connection = HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            connection.request("GET", "/_stcore/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def wait(self, seconds: float = 120) -> None:
        """Return as soon as it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; the message has its log.
        """
        deadline = time.monotonic() + seconds
        while not self.answers(2):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer:\n{self.log()}")
            time.sleep(0.01)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(
    script: Path = ROOT / "app.py", port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server of a script, stopped at the end.

    Args:
        script: the app's first page.
        port: 0 for any that is free.
        environment: variables to set beside those of this process.
    """
    if not port:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.headless=true", f"--server.address={HOST}", f"--server.port={port}"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as out:
            started = time.perf_counter()
            # The repository's root is where Streamlit finds its configuration.
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=variables | dict(environment or {}),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        server = Server(port, process, log, started)
        try:
            yield server
        finally:
            server.stop()
