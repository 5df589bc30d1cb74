"""What a visitor waits for who opens a page of a fresh server in a real Chromium.

`python tests/browser/bench_opening.py` starts a new server for every visit, by turns of the first
page, of a lesson and of a bare page, and prints when something was on the screen (first contentful
paint), when the page's own title was there, and when its picture was. It asserts nothing: on a
shared machine such times say little on their own, their ratio more.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from conftest import CHROMIUM, CHROMIUM_ARGS, VIEWER, VIEWPORT, Servers
from playwright.sync_api import Browser, sync_playwright

GRID = '[data-role="linked-grid"][data-ready="true"]'
BARE = "explainer/ui/bare_page.py"
# By name: the script, the place, what the page begins with and what completes it.
PAGES = {
    "first page": ("app.py", "", "h1", f'{VIEWER}[data-ready="true"]'),
    "lesson": ("app.py", "/convolution", "h1", GRID),
    "bare page": (BARE, "", '[role="slider"], input[type="range"]', GRID),
}
PAINT = """() => performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000"""
WAIT = 120_000  # milliseconds


def visit(servers: Servers, chromium: Browser, name: str) -> tuple[float, float, float]:
    """Seconds until something, the title and the picture are on the screen."""
    script, place, title, picture = PAGES[name]
    server = servers.fresh(script)
    page = chromium.new_page(viewport=VIEWPORT)
    try:
        began = time.perf_counter()
        page.goto(server.url + place, wait_until="commit")
        page.locator(title).first.wait_for(timeout=WAIT)
        titled = time.perf_counter() - began
        page.locator(picture).first.wait_for(timeout=WAIT)
        complete = time.perf_counter() - began
        return page.evaluate(PAINT), titled, complete
    finally:
        page.close()
        server.stop()
        servers.running.remove(server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5, help="visits to each page")
    rounds = parser.parse_args().rounds
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in PAGES}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        servers = Servers(Path(folder))
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        for _ in range(rounds):
            for name in PAGES:
                found[name].append(visit(servers, chromium, name))
        chromium.close()
    middle = {
        name: [statistics.median(times) for times in zip(*found[name], strict=True)]
        for name in PAGES
    }
    print(f"{rounds} visits each, seconds: median (fastest … slowest), × the bare page's median")
    for name, visits in found.items():
        print(name)
        for place, what in enumerate(("something", "title", "picture")):
            times = [times[place] for times in visits]
            ratio = middle[name][place] / middle["bare page"][place]
            spread = f"{min(times):.2f} … {max(times):.2f}"
            print(f"  {what:10} {middle[name][place]:.2f} ({spread}), {ratio:.2f}×")


if __name__ == "__main__":
    main()
