"""How long a later photo takes in a real Chromium: from the file's choice to the picture drawn.

`python tests/browser/bench_later_photo.py` starts the app, uploads photos of two sizes by turns and
prints the distribution, beside what the network's forward pass took in the same runs, and beside a
bare page that only takes the photo and shows it. It asserts nothing: on a shared machine such times
say little on their own, their ratio more.
"""

import argparse
import io
import re
import statistics
import tempfile
from dataclasses import dataclass
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

# The clock runs in the page: from the input's change event to the first frame after it shows
# another photo. SHOWN is the expression that finds what shows it, once, for a search of the whole
# page in every frame would slow down what it measures, and tells which photo it shows.
WATCH = """() => {
    const shown = (SHOWN)();
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
IN_VIEWER = """() => {
    const roots = [...document.querySelectorAll("*")].map((node) => node.shadowRoot);
    const find = (root) => root?.querySelector('[data-role="viewer"]');
    const { dataset } = find(roots.find(find));
    return () => (dataset.ready === "true" ? dataset.photo : null);
}"""
IN_BARE_PAGE = """() => () => {
    const image = document.querySelector('[data-testid="stImage"] img');
    return image?.complete && image.naturalWidth ? image.src : null;
}"""
BARE = "tests/browser/apps/bare_upload.py"


def photo(size: tuple[int, int], seed: int) -> bytes:
    """The coffee cup enlarged to a size, as a JPEG with noise, so that no two are the same."""
    with Image.open(io.BytesIO(samples.read("coffee"))) as coffee:
        pixels = np.asarray(coffee.convert("RGB").resize(size), np.int16)
    noise = np.random.default_rng(seed).integers(-6, 7, pixels.shape, dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@dataclass(frozen=True)
class Turn:
    """One photo, on our page and on the bare one.

    Attributes:
        total: milliseconds from the choice to the picture.
        forward: of those, the network's pass.
        bare: from the choice to the picture on the bare page.
        line: what our page says under the picture.
    """

    total: float
    forward: float
    bare: float
    line: str


def clocked(page: Page, path: Path, shown: str) -> float:
    """Milliseconds until the picture is drawn."""
    idle(page)
    page.evaluate(WATCH.replace("SHOWN", shown))
    upload(page, path)
    return page.evaluate("() => window.laterPhoto")


def turn(page: Page, bare: Page, path: Path) -> Turn:
    """Hand a photo to both pages, one after the other."""
    total = clocked(page, path, IN_VIEWER)
    line = page.locator(LINE).filter(has_text=path.stem).first.inner_text()
    forward = re.search(r"forward (\d+) ms", line)
    assert forward, line
    return Turn(total, float(forward[1]), clocked(bare, path, IN_BARE_PAGE), line)


def report(kind: str, turns: list[Turn]) -> None:
    """Print the distribution of one kind of photo."""
    print(kind)
    columns = {
        "choice to picture": [turn.total for turn in turns],
        "forward alone": [turn.forward for turn in turns],
        "a bare page": [turn.bare for turn in turns],
    }
    for what, times in columns.items():
        low, middle, high = min(times), statistics.median(times), max(times)
        print(f"  {what:18} {low:5.0f} … {high:5.0f} ms, median {middle:.0f} ms")
    forward = statistics.median(turn.total / turn.forward for turn in turns)
    both = statistics.median(turn.total / (turn.forward + turn.bare) for turn in turns)
    print(f"  choice to picture: {forward:.1f}× forward, {both:.2f}× forward and the bare page")
    print(f"  last: {turns[-1].line}")


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
        found: dict[str, list[Turn]] = {kind: [] for kind in SIZES}
        try:
            server = servers.server()
            page = chromium.new_page(viewport=VIEWPORT)
            page.goto(address(server))
            page.locator(f'{VIEWER}[data-ready="true"]').wait_for(timeout=120_000)
            bare = chromium.new_page(viewport=VIEWPORT)
            bare.goto(servers(BARE))
            bare.get_by_text("Upload").first.wait_for()
            for kind, path in photos:
                found[kind].append(turn(page, bare, path))
        finally:
            chromium.close()
            for server in servers.running:
                server.stop()
    for kind, turns in found.items():
        report(kind, turns[1:])  # the first of each size warms up


if __name__ == "__main__":
    main()
