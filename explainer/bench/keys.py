"""From a key press on a lesson's control to the changed picture, in Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.server import BARE, HOST, serving
from explainer.bench.timing import percentile

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GOAL = 60
"""Milliseconds from the key press to the changed picture that a lesson may take, median."""

PICTURE = ':is([data-role="linked-grid"], [data-role="photo-field"])[data-ready="true"]'
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
PAUSE = 150
"""Milliseconds before the next key: what Streamlit still does then is not part of that one."""

WARMING = 4
"""Presses that do not count: the first ones compile."""

# Nothing that was sent ahead reaches the pictures: they wait for the server.
_NOT_AHEAD = (
    """addEventListener("lookahead", event => event.stopPropagation(), { capture: true })"""
)

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


Times = list[tuple[float, float]]
"""For each press the milliseconds until the picture had changed, and until the frame after."""


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

    @property
    def selector(self) -> str:
        if self.control.startswith("["):
            return self.control
        return f'.st-key-{self.control} input[type="range"]'


CASES = (
    Case("convolution?size=5", "size"),
    Case("convolution?size=4&view=Matrix", "stride"),
    Case("convolution?size=9&view=Two layers", "kernel"),
    Case("convolution?view=Channels", "stride"),
    Case("unpooling", "size"),
    Case("unpooling?view=Interpolation", "stride"),
    Case("transposed_convolution?size=3&kernel=3", "stride"),
    Case("transposed_convolution?size=3&view=Matrix", "padding"),
    Case("transposed_convolution?size=3&view=Gradient", "padding"),
    Case("checkerboard", "kernel"),
    Case("checkerboard?view=Phases", "kernel"),
    Case("dilation?view=Kernel", "dilation"),
    Case("dilation?view=Pooling&cells=13", "kernel"),
    Case("receptive_field", '[data-field="kernel"]', "ArrowUp", "ArrowDown"),
    Case("receptive_field?view=network", "radius"),
)


@dataclass(frozen=True)
class Row:
    """A page whose control one visitor moves, there and back."""

    link: str = column("page")
    control: str = column("control")
    presses: int = column("key presses", brief=False)
    p50: float = column("picture changed, p50, ms", 3)
    p90: float = column("p90, ms", 3)
    painted: float = column("next frame, p50, ms", 3)
    ratio: float = column(f"p50 × the goal of {GOAL} ms", 2)
    server: float = column("answered by the server, p50, ms", 3)
    floor: float = column("that × a bare page", 2)


def measure(options: Options) -> Report:
    """Real key presses in a headless browser at 1280×720.

    Raises:
        RuntimeError: there is no browser to measure with.
    """
    presses = 6 if options.quick else 30
    with (
        serving(environment={"EXPLAINER_DEVICE": options.device}) as server,
        serving(BARE) as bare,
        chromium() as browser,
    ):
        server.wait()
        bare.wait()
        # By turns: the machine is not equally busy all the time.
        found = [
            (
                case,
                pressed(browser, server.port, case, presses),
                pressed(browser, server.port, case, presses // 2, ahead=False),
                pressed(browser, bare.port, Case("?size=5", "size"), presses // 3),
            )
            for case in CASES
        ]
    alone = [time for *_, times in found for time in times]
    floor = percentile([changed for changed, _ in alone], 50)
    rows = [_row(case, times, answers, floor) for case, times, answers, _ in found]
    slow = max(rows, key=lambda row: row.p50)
    rows.append(_row(Case("a bare page: one slider, one picture", "size"), alone, alone, floor))
    headline = Headline(
        "key press to the changed picture in Chromium, the slowest lesson view",
        f"p50 {number(slow.p50, 2)} ms, p90 {number(slow.p90, 2)} ms",
        f"{slow.link}; goal {GOAL} ms, {number(slow.ratio, 2)}×",
    )
    note = (
        "From the key press to the new numbers in the picture, then to the animation frame in "
        "which the browser paints them. The picture is sent ahead where the control is a slider; "
        "what the server answers is measured in turns of their own, in which it is not."
    )
    return Report((Table("Key press to picture", rows, (note,), shows=note),), (headline,))


def _row(case: Case, times: Times, answers: Times, floor: float) -> Row:
    changed = [changed for changed, _ in times]
    painted = percentile([painted for _, painted in times], 50)
    server = percentile([changed for changed, _ in answers], 50)
    p50, name = percentile(changed, 50), case.control.strip("[]").removeprefix("data-field=")
    return Row(
        case.link,
        name.strip('"'),
        len(times),
        p50,
        percentile(changed, 90),
        painted,
        p50 / GOAL,
        server,
        server / floor,
    )


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A headless browser.

    Raises:
        RuntimeError: there is none.
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
            yield browser
        finally:
            browser.close()


def pressed(browser: "Browser", port: int, case: Case, presses: int, ahead: bool = True) -> Times:
    """Press keys on the control of a case.

    Args:
        ahead: whether pictures that were sent ahead are shown.

    Returns:
        For each press the milliseconds until the picture had changed, and until the frame after.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    try:
        if not ahead:
            page.add_init_script(_NOT_AHEAD)
        page.goto(f"http://{HOST}:{port}/{case.link}")
        picture = page.locator(PICTURE).first
        picture.wait_for(timeout=60_000)
        page.wait_for_selector(IDLE)
        times = []
        for turn in range(presses + WARMING):
            page.locator(case.selector).first.focus()
            picture.evaluate(f"root => {{ window.measured = ({_WATCH})(root); }}")
            page.keyboard.press(case.back if turn % 2 else case.there)
            found = page.evaluate("() => window.measured")
            times.append((found["changed"], found["painted"]))
            page.wait_for_timeout(PAUSE)
        return times[WARMING:]
    finally:
        page.close()


def _is_root() -> bool:
    """Chromium's sandbox does not start for root, as in containers."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
