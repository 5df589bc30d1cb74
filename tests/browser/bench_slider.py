"""From a key press on a slider to the changed linked grid: `python tests/browser/bench_slider.py`.

Starts a server with the demo, opens it in headless Chromium and presses ← and → on its sliders.
Measured in the page: from the key press to the changed cells (`data-version`), and to the next
animation frame, when the browser paints them. Prints the distributions in milliseconds.
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
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
DEMO = Path(__file__).parent / "apps" / "linked_grid_demo.py"
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
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


def serve(port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streamlit", "run", str(DEMO), "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2):
                return server
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    server.kill()
    raise RuntimeError("the server did not come up")


def press(page: Page, slider: str, keys: list[str]) -> list[dict[str, float]]:
    """The times of key presses on a slider, one after the other."""
    thumb = page.get_by_role("slider", name=slider)
    thumb.focus()
    times = []
    for key in keys:
        page.evaluate("() => { window.measured = window.measure(); }")
        page.keyboard.press(key)
        times.append(page.evaluate("() => window.measured"))
        # What Streamlit still does after a rerun is not part of the next press.
        page.wait_for_timeout(150)
    return times


def report(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    p90 = ordered[min(len(ordered) - 1, round(0.9 * len(ordered)))]
    median = statistics.median(times)
    print(f"{name:22} min {ordered[0]:5.0f}   p50 {median:5.0f}   p90 {p90:5.0f}", end="   ")
    print(f"max {ordered[-1]:5.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--presses", type=int, default=30, help="key presses on each slider")
    presses = parser.parse_args().presses
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = serve(port)
    try:
        with sync_playwright() as playwright:
            own = Path("/usr/bin/chromium")
            path = str(own) if own.exists() else None
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(f"http://localhost:{port}/?scene=conv&size=5")
            page.wait_for_selector('[data-role="linked-grid"][data-ready="true"]')
            page.locator('[data-role="linked-grid"]').evaluate(WATCH)
            print(f"{presses} key presses each, milliseconds; {os.cpu_count()} CPUs")
            for slider, there, back in (
                ("size", "ArrowRight", "ArrowLeft"),
                ("stride", "ArrowRight", "ArrowLeft"),
            ):
                keys = [there if i % 2 == 0 else back for i in range(presses)]
                press(page, slider, keys[:4])  # the first ones compile
                times = press(page, slider, keys)
                report(f"{slider}: cells changed", [t["changed"] for t in times])
                report(f"{slider}: next frame", [t["painted"] for t in times])
            browser.close()
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
