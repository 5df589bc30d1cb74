"""From a key press on a slider to the changed picture: `python tests/browser/bench_slider.py`.

Starts the app, opens every lesson page in headless Chromium and presses keys on a slider (or,
where a page has none, on a number) there and back. Measured in the page: from the key press to the
changed picture (`data-version`), and to the next animation frame, when the browser paints it.
Prints the distributions in milliseconds. With `--against FOLDER` (another checkout) its server is
measured too, by turns with this one, so that both meet the same load.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PICTURE = '[data-role="linked-grid"], [data-role="photo-field"]'
# The times of one key press: {changed, painted}, once the new picture is there.
WATCH = """root => {
  window.measure = () => new Promise((done) => {
    const before = root.dataset.version;
    let pressed = 0;
    const onKey = () => (pressed = performance.now());
    window.addEventListener("keydown", onKey, { capture: true, once: true });
    const observer = new MutationObserver(() => {
      if (root.dataset.version === before) return;
      observer.disconnect();
      const changed = performance.now() - pressed;
      requestAnimationFrame(() => done({ changed, painted: performance.now() - pressed }));
    });
    observer.observe(root, { attributes: true });
  });
}"""


@dataclass(frozen=True)
class Case:
    """A page with its parameters, and what is pressed there and back.

    Attributes:
        link: the page and its parameters.
        control: a slider by its name in the address, or another control by its selector.
    """

    link: str
    control: str
    there: str = "ArrowRight"
    back: str = "ArrowLeft"

    def find(self, page: Page) -> Locator:
        slider = f'.st-key-{self.control} input[type="range"]'
        return page.locator(self.control if self.control.startswith("[") else slider).first

    def __str__(self) -> str:
        return f"{self.link}: {self.control}"


CASES = (
    Case("convolution?size=5", "size"),
    Case("convolution?size=4&view=Matrix", "stride"),
    Case("convolution?size=9&view=Two layers", "kernel"),
    Case("convolution?view=Channels", "stride"),
    Case("dilation?view=Kernel", "dilation"),
    Case("dilation?view=Pooling&cells=13", "kernel"),
    Case("receptive_field", '[data-field="kernel"]', "ArrowUp", "ArrowDown"),
    Case("receptive_field?view=network", "radius"),
    Case("unpooling", "size"),
    Case("unpooling?view=Interpolation", "stride"),
    Case("transposed_convolution?size=3&kernel=3", "stride"),
    Case("transposed_convolution?size=3&view=Matrix", "padding"),
    Case("transposed_convolution?size=3&view=Gradient", "padding"),
    Case("checkerboard", "kernel"),
    Case("checkerboard?view=Phases", "kernel"),
)


class Server:
    """The app of a checkout, at a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://localhost:{port}"
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
        command += ["--server.address=127.0.0.1", f"--server.port={port}"]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=quiet, stderr=quiet
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError("the server did not come up")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def opened(page: Page, url: str, case: Case) -> Page:
    """The page of a case, drawn, with the focus on its control."""
    page.goto(f"{url}/{case.link}")
    picture = page.locator(PICTURE).first
    picture.wait_for()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_selector(
        ':is([data-role="linked-grid"], [data-role="photo-field"])[data-ready="true"]'
    )
    picture.evaluate(WATCH)
    return page


def press(page: Page, case: Case, presses: int) -> list[dict[str, float]]:
    """The times of key presses, one after the other, there and back."""
    times = []
    for i in range(presses):
        case.find(page).focus()
        page.evaluate("() => { window.measured = window.measure(); }")
        page.keyboard.press(case.back if i % 2 else case.there)
        times.append(page.evaluate("() => window.measured"))
        # What Streamlit still does after a rerun is not part of the next press.
        page.wait_for_timeout(150)
    return times


def report(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    p90 = ordered[min(len(ordered) - 1, round(0.9 * len(ordered)))]
    median = statistics.median(times)
    print(f"{name:60} min {ordered[0]:4.0f}   p50 {median:4.0f}   p90 {p90:4.0f}", end="   ")
    print(f"max {ordered[-1]:4.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--presses", type=int, default=30, help="key presses on each control")
    parser.add_argument("--only", default="", help="cases whose link holds this text")
    parser.add_argument("--against", type=Path, help="another checkout, measured by turns")
    parser.add_argument("--turn", type=int, default=10, help="presses before the other's turn")
    options = parser.parse_args()
    folders = {"": ROOT} if options.against is None else {"old ": options.against, "new ": ROOT}
    servers = {name: Server(folder.resolve()) for name, folder in folders.items()}
    try:
        with sync_playwright() as playwright:
            own = Path("/usr/bin/chromium")
            path = str(own) if own.exists() else None
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
            print(f"{options.presses} presses each, milliseconds; {os.cpu_count()} CPUs")
            for case in (case for case in CASES if options.only in case.link):
                times: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
                pages = {}
                for name, server in servers.items():
                    page = browser.new_page(viewport={"width": 1280, "height": 720})
                    pages[name] = opened(page, server.url, case)
                    press(page, case, 4)  # the first ones compile
                while len(times[next(iter(times))]) < options.presses:
                    for name, page in pages.items():
                        page.bring_to_front()
                        times[name] += press(page, case, options.turn)
                for name, found in times.items():
                    report(f"{name}{case}, changed", [one["changed"] for one in found])
                    report(f"{name}{case}, painted", [one["painted"] for one in found])
                for page in pages.values():
                    page.close()
            browser.close()
    finally:
        for server in servers.values():
            server.stop()


if __name__ == "__main__":
    main()
