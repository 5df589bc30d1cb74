"""Nothing of an upload touches the disk: the server is watched while photos arrive."""

import base64
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import shows, upload

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="open files are read from /proc"
)

MEGABYTE = 2**20


def open_files(pid: int) -> set[str]:
    """The regular files that a process has open for writing, deleted ones too."""
    found: set[str] = set()
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return found  # the process has ended
    for link in links:
        try:
            target = os.readlink(link)
            flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split("flags:")[1].split()
        except OSError:
            continue  # closed meanwhile
        if target.startswith("/") and int(flags[0], 8) & (os.O_WRONLY | os.O_RDWR):
            found.add(target)
    return {name for name in found if not name.startswith(("/dev/", "/proc/", "/memfd:"))}


@contextmanager
def watched(pid: int, tmp: Path) -> Iterator[set[str]]:
    """The files that appear, in the folder or as open ones, from here to the end of the block."""
    seen: set[str] = set()
    known = open_files(pid) | {str(path) for path in tmp.rglob("*")}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.update((open_files(pid) | {str(path) for path in tmp.rglob("*")}) - known)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        time.sleep(0.05)
        done.set()
        thread.join()


def photo_of(megabytes: int) -> bytes:
    """A PNG of noise, which does not compress, of at least that size."""
    side = int((megabytes * MEGABYTE / 3) ** 0.5) + 10
    noise = np.random.default_rng(megabytes).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    assert len(buffer.getvalue()) >= megabytes * MEGABYTE
    return buffer.getvalue()


def test_the_watch_sees_a_file_that_rolls_over(tmp_path: Path):
    code = (
        "import sys, tempfile\n"
        "file = tempfile.SpooledTemporaryFile(max_size=1_000_000)\n"
        "sys.stdin.readline()\n"
        "file.write(bytes(8_000_000))\n"
        "sys.stdin.readline()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        with watched(process.pid, tmp_path) as seen:
            process.stdin.write("go\n")
            process.stdin.flush()
            deadline = time.monotonic() + 60
            while not seen and time.monotonic() < deadline:
                time.sleep(0.01)
            process.stdin.close()
    assert any(str(tmp_path) in name for name in seen), seen


@pytest.mark.parametrize("megabytes", [8, 30])
def test_an_upload_stays_in_memory(page: Page, serve: Any, tmp_path: Path, megabytes: int):
    page.goto(serve())
    shows(page, "chelsea.png")
    server = serve.server()
    file = tmp_path / "holiday.png"
    file.write_bytes(photo_of(megabytes))
    with watched(server.pid, server.tmp) as seen:
        upload(page, file)
        shows(page, "holiday.png")
    assert seen == set()
    assert list(server.tmp.rglob("*")) == []


def test_a_pasted_photo_stays_in_memory(page: Page, serve: Any):
    page.goto(serve())
    shows(page, "chelsea.png")
    server = serve.server()
    expect(page.locator('button[data-listening="true"]')).to_be_visible()
    with watched(server.pid, server.tmp) as seen:
        page.evaluate(
            """(base64) => {
                const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
                const clipboardData = new DataTransfer();
                clipboardData.items.add(new File([bytes], "big.png", { type: "image/png" }));
                document.body.dispatchEvent(
                    new ClipboardEvent("paste", { clipboardData, bubbles: true }));
            }""",
            base64.b64encode(photo_of(8)).decode("ascii"),
        )
        shows(page, "big.png")
    assert seen == set()


def test_a_file_above_the_cap_is_refused_before_it_is_sent(
    page: Page, serve: Any, requests: list, tmp_path: Path
):
    page.goto(serve())
    shows(page, "chelsea.png")
    before = len(requests)
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(33 * MEGABYTE)
    upload(page, huge)
    refusal = page.get_by_text(re.compile(r"32(\.0)? ?MB or smaller")).first
    expect(refusal).to_be_visible()
    box = refusal.bounding_box()
    assert box is not None
    assert box["width"] > 80  # Streamlit's own is one pixel, for screen readers
    assert not [url for url in requests[before:] if "upload_file" in url]
