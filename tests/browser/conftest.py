"""A real server and a real Chromium for the tests in this folder.

Fixtures: `serve("app.py", photo="cat")` starts a server for a script once and returns the address;
`serve.fresh(...)` starts a new one for this test alone; `page` is Chromium at 1280x720;
`open_page(...)` opens further visitors; `ws_frames` holds every WebSocket frame the page sent;
`console_errors` holds what the browser complained about; `line` holds the server's answers back.
A traceback in a server's log fails the test that caused it.

While a script runs, Streamlit may show an element twice: as it was (stale), and as it is now. An
`expect` on a locator that matches both fails at once, so wait with `shows` and `idle`, which the
tests import, or look for the new one alone (`filter(has_text=…).first`).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from google.protobuf.message import DecodeError
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    FilePayload,
    Locator,
    Page,
    ViewportSize,
    WebSocket,
    WebSocketRoute,
    expect,
    sync_playwright,
)
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).resolve().parents[2]
VIEWPORT: ViewportSize = {"width": 1280, "height": 720}
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A camera that shows a test picture, and that nobody has to allow.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# A deep link makes Streamlit's own front end ask for these two below the page's path first.
STREAMLITS_OWN_404 = re.compile(r"/_stcore/(health|host-config)$")


# Playwright's 5 s are too short where two cores serve the page, run the network and the browser.
expect.set_options(timeout=60_000)
FIRST_RESULT = 120_000  # milliseconds

LINE = '[data-testid="stCaptionContainer"]:has-text("segmented at")'
VIEWER = '[data-role="viewer"]'
STALE = '[data-testid="stAppViewContainer"] [data-stale="true"]'
# What was sent is drawn: React's timers and the pictures' frames have run, letters have their font.
DRAWN = """async () => {
    await document.fonts.ready;
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
}"""


def idle(page: Page) -> None:
    """Wait until no run of the script is under way and what it sent is drawn.

    Before a click, too, after which the page's place matters: where an element is redrawn under the
    pointer, Playwright scrolls the page before it tries again.
    """
    page.evaluate(DRAWN)  # what was just done has reached the page's state
    app = page.locator('[data-testid="stApp"]')
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=FIRST_RESULT)
    expect(page.locator(STALE)).to_have_count(0)
    page.evaluate(DRAWN)


def shows(page: Page, text: str) -> None:
    """Wait until the result of a photo is on the screen, and nothing of the one before.

    Args:
        page: with the page "Segment a photo".
        text: part of the line under the picture, such as the photo's name.
    """
    line = page.locator(LINE)
    expect(line.filter(has_text=text).first).to_be_visible(timeout=FIRST_RESULT)
    idle(page)
    expect(line).to_have_count(1)
    expect(page.locator(f'{VIEWER}[data-ready="true"]')).to_have_count(1)
    page.evaluate(DRAWN)


def settles(page: Page, measure: Callable[[], Any], wanted: object) -> None:
    """Wait until what is measured on the page equals `wanted`; the last measurement tells why not.

    For what no `expect` of Playwright's looks at: sizes, styles, several elements together.
    """
    deadline = time.monotonic() + 10
    while (found := measure()) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert found == wanted


def point_at(cell: Locator) -> None:
    """Put the pointer on a cell of a linked grid; it is the active one then.

    Where the page moved under the pointer meanwhile (fonts, a late element above), point again.
    """
    for _ in range(5):
        cell.hover()
        try:
            expect(cell).to_have_attribute("data-active", "self", timeout=5_000)
        except AssertionError:
            continue
        return
    expect(cell).to_have_attribute("data-active", "self")


def upload(page: Page, file: Path | FilePayload) -> None:
    """Hand a file to the page's uploader; it is a new one after every photo."""
    idle(page)
    chooser = page.locator('input[type="file"]')
    expect(chooser).to_have_count(1)
    chooser.set_input_files(file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            # A busy machine takes its time; what hangs fails by the limit of each wait.
            item.add_marker(pytest.mark.timeout(900))


@dataclass
class Server:
    """One running Streamlit server; `tmp` is its own folder for temporary files."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    tmp: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def address_on_the_network() -> str | None:
    """An address of this machine by which others would reach it, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks which way a packet would leave (RFC 5737's example).
            probe.connect(("198.51.100.1", 9))
            found: str = probe.getsockname()[0]
        except OSError:
            return None
    return None if found.startswith("127.") or found == "0.0.0.0" else found


def _becomes_healthy(server: Server, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


@dataclass
class Servers:
    """Starts servers and remembers them; one for each script unless `fresh` is asked for."""

    folder: Path
    running: list[Server] = field(default_factory=list)
    by_script: dict[str, Server] = field(default_factory=dict)

    def __call__(self, script: str | Path = "app.py", **query: object) -> str:
        return address(self.server(script), **query)

    def server(self, script: str | Path = "app.py") -> Server:
        """The shared server of a script (a path, relative to the repository's root)."""
        key = str(script)
        if key not in self.by_script:
            self.by_script[key] = self.fresh(script)
        return self.by_script[key]

    def fresh(
        self, script: str | Path = "app.py", host: str = "127.0.0.1", path: Path = ROOT
    ) -> Server:
        """A server of its own, started now, at an address of this machine.

        `path` is a folder in which Python looks for modules before all others.
        """
        # Between looking for a free port and its use another process may take it.
        for _ in range(3):
            server = self._start(script, host, path)
            self.running.append(server)
            if _becomes_healthy(server):
                return server
            server.stop()
            self.running.remove(server)
        raise RuntimeError(f"the server at {server.url} did not come up:\n{server.log()}")

    def _start(self, script: str | Path, host: str, path: Path) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="server", dir=self.folder))
        (folder / "tmp").mkdir()
        port = _free_port(host)
        command = [sys.executable, "-m", "streamlit", "run", str(script)]
        command += ["--server.headless=true", f"--server.address={host}"]
        command += [f"--server.port={port}", "--server.fileWatcherType=none"]
        # A script outside the root (a test's own) finds the package too.
        paths = (str(path), str(ROOT), os.environ.get("PYTHONPATH"))
        environment = {
            **os.environ,
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        name = "localhost" if host == "127.0.0.1" else host
        return Server(f"http://{name}:{port}", process, folder / "log.txt", folder / "tmp")


def address(server: Server, **query: object) -> str:
    return f"{server.url}/" + (f"?{urlencode(query)}" if query else "")


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    for server in servers.running:
        server.stop()


@pytest.fixture
def serve(_servers: Servers) -> Iterator[Servers]:
    before = {server.url: len(server.log()) for server in _servers.running}
    yield _servers
    for server in _servers.running:
        new = server.log()[before.get(server.url, 0) :]
        assert "Traceback (most recent call last)" not in new, new
    for server in [s for s in _servers.running if s not in _servers.by_script.values()]:
        server.stop()
        _servers.running.remove(server)


# One for each file: while Playwright is there, no other test of the process can use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = CHROMIUM if CHROMIUM.exists() else own if own.exists() else None
        if found is None:
            on_path = shutil.which("chromium") or shutil.which("google-chrome")
            found = Path(on_path) if on_path else None
        if found is None:
            reason = (
                "no Chromium: install Debian's `chromium` or run `python -m playwright install "
                "chromium`"
            )
            if os.environ.get("EXPLAINER_REQUIRE_BROWSER") == "1":
                pytest.fail(f"EXPLAINER_REQUIRE_BROWSER=1, but {reason}")
            pytest.skip(reason)
        chromium = playwright.chromium.launch(executable_path=str(found), args=list(CHROMIUM_ARGS))
        yield chromium
        chromium.close()


def ends_run(payload: str | bytes) -> bool:
    """Whether a message of the server's tells that a run of the script has ended."""
    try:
        message = ForwardMsg.FromString(payload) if isinstance(payload, bytes) else None
    except DecodeError:
        return False  # not Streamlit's
    return message is not None and message.WhichOneof("type") == "script_finished"


@dataclass
class Records:
    """What a page sent and complained about since it was opened (clear the lists to start anew).

    `runs` counts the runs of the script that have ended. The page's own state may never show a
    short one: React draws what has changed when it comes to it.
    """

    frames: list[str | bytes] = field(default_factory=list)
    runs: int = 0
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("websocket", lambda socket: self._on_websocket(socket))
        page.on("console", lambda message: self._on_console(message))
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def _on_websocket(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda payload: self.frames.append(payload))
        socket.on("framereceived", lambda payload: self._on_received(payload))

    def _on_received(self, payload: str | bytes) -> None:
        self.runs += ends_run(payload)

    def wait_for_run(self, page: Page, before: int) -> None:
        """Wait until more than `before` runs have ended and what they sent is drawn."""
        sent, deadline = len(self.frames), time.monotonic() + 60
        while self.runs <= before:
            if time.monotonic() > deadline:
                news = len(self.frames) - sent
                raise AssertionError(f"no run ended within 60 s; messages sent meanwhile: {news}")
            page.wait_for_timeout(20)
        idle(page)

    def _on_console(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        own = "404" in message.text and STREAMLITS_OWN_404.search(url)
        if message.type == "error" and not own:
            self.errors.append(f"{message.text} ({url})")


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, Records]]]:
    """`open_page(color_scheme="dark", viewport={...})`: a new visitor with cookies of its own."""
    contexts = []

    def open_one(**options: Any) -> tuple[Page, Records]:
        context = browser.new_context(**{"viewport": VIEWPORT, "accept_downloads": True, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        records = Records()
        records.watch(page)
        return page, records

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def _visit(open_page: Callable[..., tuple[Page, Records]]) -> tuple[Page, Records]:
    return open_page()


@pytest.fixture
def page(_visit: tuple[Page, Records]) -> Page:
    """Chromium at 1280x720, a new visitor in every test."""
    return _visit[0]


@pytest.fixture
def ws_frames(_visit: tuple[Page, Records]) -> list[str | bytes]:
    """Every frame that `page` has sent; `len()` counts them, `clear()` starts anew."""
    return _visit[1].frames


@pytest.fixture
def console_errors(_visit: tuple[Page, Records]) -> list[str]:
    """Errors in `page`'s console and uncaught exceptions, without Streamlit's own two 404s."""
    return _visit[1].errors


@pytest.fixture
def requests(_visit: tuple[Page, Records]) -> list[str]:
    """The address of every request that `page` has made."""
    return _visit[1].requests


@dataclass
class Line:
    """The connection between page and server, on which the server's answers can be held back."""

    held: bool = False
    waiting: list[str | bytes] = field(default_factory=list)
    _page_side: WebSocketRoute | None = None

    def connect(self, page_side: WebSocketRoute) -> None:
        self._page_side = page_side
        page_side.connect_to_server().on_message(self._pass)

    def _pass(self, message: str | bytes) -> None:
        if self.held:
            self.waiting.append(message)
        else:
            self.send(message)

    def send(self, message: str | bytes) -> None:
        """Give the page one of the server's messages."""
        assert self._page_side is not None
        self._page_side.send(message)

    def release(self) -> None:
        while self.waiting:  # more may come meanwhile, and has to wait for its turn
            self.send(self.waiting.pop(0))
        self.held = False


@pytest.fixture
def line(page: Page) -> Line:
    """To be asked for before the page is opened."""
    line = Line()
    page.route_web_socket("**/_stcore/stream", line.connect)
    return line
