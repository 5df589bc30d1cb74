"""How long a later photo takes in a real Chromium: from the file's choice to the picture drawn.

`python tests/browser/bench_later_photo.py` starts the app, uploads photos of two sizes by turns and
prints the distribution, beside what the network's forward pass took in the same runs. It asserts
nothing: on a shared machine such times say little on their own, their ratio more.
"""

import argparse
import io
import re
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from conftest import (
    CHROMIUM,
    CHROMIUM_ARGS,
    LINE,
    VIEWER,
    VIEWPORT,
    Servers,
    address,
    idle,
    upload,
)
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from explainer.ui import samples

SIZES = {"768×576": (768, 576), "12 megapixels": (4032, 3024)}

# The clock runs in the page: from the input's change event to the first frame after the viewer
# says that it shows another photo.
WATCH = """() => {
    const roots = () => [...document.querySelectorAll("*")].map((node) => node.shadowRoot);
    const viewer = () => {
        for (const root of roots()) {
            const found = root?.querySelector('[data-role="viewer"]');
            if (found) return found;
        }
    };
    const shown = () => {
        const found = viewer();
        return found?.dataset.ready === "true" ? found.dataset.photo : null;
    };
    const before = shown();
    window.laterPhoto = new Promise((done) => {
        const began = () => {
            const start = performance.now();
            const look = () => {
                const now = shown();
                if (now && now !== before) done(performance.now() - start);
                else requestAnimationFrame(look);
            };
            look();
        };
        document.addEventListener("change", began, { capture: true, once: true });
    });
}"""


def photo(size: tuple[int, int], seed: int) -> bytes:
    """The coffee cup enlarged to a size, as a JPEG with noise, so that no two are the same."""
    with Image.open(io.BytesIO(samples.read("coffee"))) as coffee:
        pixels = np.asarray(coffee.convert("RGB").resize(size), np.int16)
    noise = np.random.default_rng(seed).integers(-6, 7, pixels.shape, dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def measured(page: Page, path: Path) -> tuple[float, float, str]:
    """Milliseconds until the picture is drawn, of the forward pass alone, and the page's line."""
    idle(page)
    page.evaluate(WATCH)
    upload(page, path)
    total = page.evaluate("() => window.laterPhoto")
    caption = page.locator(LINE).filter(has_text=path.stem)
    line = caption.first.inner_text()
    forward = re.search(r"forward (\d+) ms", line)
    assert forward, line
    return total, float(forward[1]), line


def report(kind: str, results: list[tuple[float, float, str]]) -> None:
    """Print the distribution of one kind of photo."""
    totals, forwards = zip(*[result[:2] for result in results], strict=True)
    print(kind)
    for what, numbers in (("choice to picture", totals), ("forward alone", forwards)):
        low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
        print(f"  {what:18} {low:5.0f} … {high:5.0f} ms, median {middle:.0f} ms")
    rest = statistics.median(total - forward for total, forward, _ in results)
    ratio = statistics.median(total / forward for total, forward, _ in results)
    print(f"  median of the rest {rest:.0f} ms, of choice to picture / forward {ratio:.1f}")
    print(f"  last: {results[-1][2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=10, help="photos of each size")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        photos: list[tuple[str, Path]] = []
        for number in range(len(SIZES) * (rounds + 1)):
            kind = list(SIZES)[number % len(SIZES)]
            photos.append((kind, folder / f"photo{number}.jpg"))
            photos[-1][1].write_bytes(photo(SIZES[kind], number))
        servers = Servers(folder)
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        found: dict[str, list[tuple[float, float, str]]] = {kind: [] for kind in SIZES}
        try:
            server = servers.server()
            page = chromium.new_page(viewport=VIEWPORT)
            began = time.perf_counter()
            page.goto(address(server))
            page.locator(f'{VIEWER}[data-ready="true"]').wait_for(timeout=120_000)
            print(f"first result of a fresh server {time.perf_counter() - began:.2f} s")
            for kind, path in photos:
                found[kind].append(measured(page, path))
        finally:
            chromium.close()
            for server in servers.running:
                server.stop()
    for kind, results in found.items():
        report(kind, results[1:])  # the first of each size warms up


if __name__ == "__main__":
    main()
