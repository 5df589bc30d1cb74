"""The example configuration for several replicas, in a real nginx with two small servers behind."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.serve.conftest import WAIT, until

CONFIGURATION = Path(__file__).parents[2] / "assets" / "nginx" / "fcn-explainer.conf"
MEGABYTE = 2**20


def nginx() -> str:
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        reason = "no nginx here: install it to test the example configuration"
        if os.environ.get("EXPLAINER_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Replica:
    """Answers with its number; keeps the headers that came, and how much of a body, when."""

    def __init__(self):
        self.headers: list[dict[str, str]] = []
        self.received = 0
        self.gone = False
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if replica.gone:  # a connection that nginx kept
                    self.close_connection = True
                    return
                replica.headers.append(dict(self.headers.items()))
                self._answer()

            def do_POST(self):
                left = int(self.headers["Content-Length"])
                while left and (piece := self.rfile.read1(min(left, MEGABYTE))):  # pyright: ignore
                    left -= len(piece)
                    replica.received += len(piece)
                self._answer()

            def _answer(self):
                body = str(replica.port).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.gone = True
        self._http.shutdown()
        self._http.server_close()


@dataclass
class Proxy:
    """nginx with the example configuration, and what stands behind."""

    port: int
    folder: Path
    replicas: list[Replica] = field(default_factory=lambda: [Replica(), Replica()])

    def get(self, cookie: str = "", **headers: str) -> tuple[str, str]:
        """Who answered, and the cookie that came with it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        connection.request("GET", "/", headers=headers | ({"Cookie": cookie} if cookie else {}))
        response = connection.getresponse()
        assert response.status == 200
        found = response.read().decode(), response.getheader("Set-Cookie") or ""
        connection.close()
        return found[0], found[1].partition(";")[0]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    program = nginx()
    made = Proxy(free_port(), tmp_path)
    text = CONFIGURATION.read_text("utf-8")
    for there, replica in zip(("8501", "8502"), made.replicas, strict=True):
        text, changed = re.subn(f"127.0.0.1:{there}", f"127.0.0.1:{replica.port}", text)
        assert changed == 1
    text, changed = re.subn("listen 80;", f"listen 127.0.0.1:{made.port};", text)
    assert changed == 1
    (tmp_path / "example.conf").write_text(text, "utf-8")
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/errors.log;\n"
        f"events {{}}\nhttp {{ {temporary} include {tmp_path}/example.conf; }}\n",
        "utf-8",
    )
    command = [program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or listens(made.port))
        assert process.poll() is None, process.communicate()[0].decode()
        yield made
    finally:
        process.terminate()
        process.wait(WAIT)
        for replica in made.replicas:
            if not replica.gone:
                replica.stop()


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_visitor_stays_with_one_replica_until_it_goes(proxy: Proxy):
    visitors = [proxy.get() for _ in range(24)]
    assert all(cookie.startswith("replica=") for _, cookie in visitors)
    assert len({cookie for _, cookie in visitors}) == 24
    # One address, and yet not one replica.
    assert {who for who, _ in visitors} == {str(replica.port) for replica in proxy.replicas}
    for who, cookie in visitors:
        for _ in range(2):
            assert proxy.get(cookie) == (who, ""), "the cookie is given once"
    gone, stays = proxy.replicas
    gone.stop()
    for _, cookie in visitors:
        assert proxy.get(cookie)[0] == str(stays.port)


def test_a_websocket_is_passed_on_with_the_host_that_the_browser_named(proxy: Proxy):
    host = f"explainer.example:{proxy.port}"
    proxy.get("replica=1", Host=host, Connection="Upgrade", Upgrade="websocket")
    (headers,) = [found for replica in proxy.replicas for found in replica.headers]
    assert headers["Upgrade"] == "websocket"
    assert headers["Connection"].lower() == "upgrade"
    assert headers["Host"] == host


def test_a_photo_is_passed_on_while_it_comes_and_up_to_the_apps_limit(proxy: Proxy):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=WAIT)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(32 * MEGABYTE))
    connection.endheaders()
    connection.send(bytes(16 * MEGABYTE))
    # Nothing of it waits on the proxy's disk for the rest.
    until(lambda: sum(replica.received for replica in proxy.replicas) > 15 * MEGABYTE)
    connection.send(bytes(16 * MEGABYTE))
    assert connection.getresponse().status == 200
    connection.close()
    assert not list((proxy.folder / "client_body").rglob("*"))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=WAIT)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(40 * MEGABYTE))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
