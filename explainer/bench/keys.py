"""From a key press on a lesson's slider to the changed picture, in Chromium."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from explainer.bench import client
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.reruns import address
from explainer.bench.sections import Options
from explainer.bench.server import HOST, serving
from explainer.bench.timing import percentile
from explainer.ui.lessons import CONVOLUTION, TRANSPOSED_CONVOLUTION, Lesson

PAGES = (CONVOLUTION, TRANSPOSED_CONVOLUTION)
PICTURE = '[data-role="linked-grid"][data-ready="true"]'
PAUSE = 150
"""Milliseconds before the next key: what Streamlit still does then is not part of that one."""

# Resolves with milliseconds since the next key press: {changed, painted}.
_WATCH = """root => new Promise((done, failed) => {
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
  observer.observe(root, { attributes: true, attributeFilter: ["data-version"] });
  setTimeout(() => failed(new Error("the picture did not change")), 20000);
})"""


@dataclass(frozen=True)
class Row:
    """A page whose slider one visitor moves, there and back."""

    page: str = column("page")
    slider: str = column("slider")
    presses: int = column("key presses")
    changed: float = column("cells changed, p50, ms", 3)
    p50: float = column("next frame, p50, ms", 3)
    p95: float = column("next frame, p95, ms", 3)
    server: float = column("rerun alone, p50, ms", 3)
    ratio: float = column("× the rerun alone", 3)


def measure(options: Options) -> Report:
    """Real key presses in a headless browser at 1280×720.

    Raises:
        RuntimeError: there is no browser to measure with.
    """
    presses = 6 if options.quick else 40
    with serving(environment={"EXPLAINER_DEVICE": options.device}) as server:
        server.wait()
        rows = [_pressed(server.port, lesson, presses) for lesson in PAGES]
    slow = max(rows, key=lambda row: row.p50)
    headline = Headline(
        "key press to the picture in Chromium",
        f"p50 {number(slow.p50, 2)} ms, p95 {number(slow.p95, 2)} ms",
        f"{slow.page}; the rerun alone {number(slow.server, 2)} ms",
    )
    note = (
        "From the key press on the slider to the first animation frame after the cells changed; "
        "beside it, the same move over a websocket without a browser, right after."
    )
    return Report((Table("Key press to picture", rows, (note,), shows=note),), (headline,))


def _pressed(port: int, lesson: Lesson, presses: int) -> Row:
    slider, times = in_browser(f"http://{HOST}:{port}/{address(lesson)}", presses)
    alone = asyncio.run(_reruns(port, address(lesson), presses))
    painted = [painted for _, painted in times]
    p50, server = percentile(painted, 50), percentile(alone, 50)
    changed = percentile([changed for changed, _ in times], 50)
    ratio = p50 / server
    return Row(lesson.title, slider, presses, changed, p50, percentile(painted, 95), server, ratio)


async def _reruns(port: int, page: str, count: int) -> list[float]:
    session, opened = await client.Session.open(port, page)
    steps = opened.steps()
    if steps is None:
        raise client.VisitError(f"{page} has no control to move")
    runs = [await session.rerun([steps[turn % 2]]) for turn in range(count + 4)]
    await session.close()
    return [1000 * run.seconds for run in runs[4:]]


def in_browser(url: str, presses: int) -> tuple[str, Sequence[tuple[float, float]]]:
    """Press arrow keys on the first slider of a page that shows a linked grid.

    Returns:
        The slider's name, and for each press the milliseconds until the cells had changed and
        until the frame after that.

    Raises:
        RuntimeError: there is no browser to measure with.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError(
            "this section needs Playwright and Chromium: pip install playwright, then "
            "playwright install chromium"
        ) from None
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--disable-gpu", *(["--no-sandbox"] if _is_root() else [])],
            )
        except Error as error:
            raise RuntimeError(f"Chromium does not start: {error.message}") from None
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(url)
            page.wait_for_selector(PICTURE, timeout=60_000)
            page.wait_for_timeout(1000)  # other parts of the page are drawn after it
            picture = page.locator(PICTURE).first
            thumb = page.get_by_role("slider").first
            name = thumb.get_attribute("aria-label") or "slider"
            there, back = "ArrowRight", "ArrowLeft"
            if thumb.evaluate("thumb => thumb.value === thumb.max"):
                there, back = back, there
            times = []
            for turn in range(presses + 4):  # the first ones compile
                thumb.focus()
                picture.evaluate(f"root => {{ window.measured = ({_WATCH})(root); }}")
                page.keyboard.press(back if turn % 2 else there)
                found = page.evaluate("() => window.measured")
                times.append((found["changed"], found["painted"]))
                page.wait_for_timeout(PAUSE)
            return name, times[4:]
        finally:
            browser.close()


def _is_root() -> bool:
    """Chromium's sandbox does not start for root, as in containers."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
