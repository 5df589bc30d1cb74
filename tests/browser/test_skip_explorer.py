"""The picture of the skips in a real browser: what is drawn and read is what Python says."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Position, expect

from explainer.fcn.result import Segmentation
from explainer.ui.inside_skips import telling_pixel
from tests.browser.conftest import idle

SCRIPT = Path(__file__).parent / "apps" / "skip_explorer_demo.py"
DEMO = runpy.run_path(str(SCRIPT))
CAT = DEMO["CAT"]
LEDGER = '[data-role="ledger"]'


@pytest.fixture(scope="module")
def result() -> Segmentation:
    return DEMO["demo_result"]()


def drawn(page: Page) -> None:
    """Wait until what the last run of the script sent is on the screen, pictures included."""
    ready = page.locator('.skips[data-ready="true"]')
    expect(ready).to_have_count(1)
    idle(page)
    expect(ready).to_have_count(1)


@pytest.fixture
def skips(page: Page, serve: Callable[..., str]) -> Page:
    page.goto(serve(SCRIPT, photo="cat"))
    drawn(page)
    return page


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def pinned(page: Page) -> tuple[int, int]:
    """The pinned pixel (y, x) as the address tells it, once it is drawn too."""
    page.wait_for_url(re.compile("pixel="))
    found = re.search(r"pixel=(\d+)(?:,|%2C)(\d+)", page.url)
    assert found, page.url
    drawing = page.locator(f'.skips[data-ready="true"][data-pixel="{found[1]},{found[2]}"]')
    expect(drawing).to_have_count(1)
    idle(page)
    return int(found[1]), int(found[2])


def check_ledger(page: Page, result: Segmentation, pixel: tuple[int, int]) -> None:
    """Total, parts and every cell's contribution are those of `result.ledger`."""
    exact = result.ledger(*pixel, CAT)
    line = page.locator(LEDGER)
    total = number(line.locator(".total").inner_text())
    assert total == pytest.approx(exact.total, abs=0.0051)
    terms = re.findall(r"([=+−]) (−?[0-9.]+) (stride 32|pool4|pool3)", line.inner_text())
    values = [number(value) * (-1 if sign == "−" else 1) for sign, value, _ in terms]
    assert values == pytest.approx([part.value for part in exact.parts], abs=0.0101)
    assert sum(values) == pytest.approx(total, abs=1e-9)
    rows = page.locator(".ledger .row")
    cells = [cell for part in exact.parts for cell in part.cells]
    assert rows.count() == len(cells)
    for i, cell in enumerate(cells):
        row = rows.nth(i)
        assert row.get_attribute("data-cell") == f"{cell.stride},{cell.row},{cell.col}"
        shown = number(row.locator(".number").inner_text().removeprefix("= "))
        assert shown == pytest.approx(cell.contribution, abs=0.0101)


def at(frame: Locator, across: float, down: float) -> Position:
    """A place in a frame as Playwright's position, in shares of its size."""
    box = frame.bounding_box()
    assert box
    return {"x": across * box["width"], "y": down * box["height"]}


def picture(page: Page, name: str) -> str:
    """What a map's canvas shows, as a data URL."""
    return page.locator(f'[data-map="{name}"] canvas').evaluate("canvas => canvas.toDataURL()")


def test_opens_with_a_telling_ledger(skips: Page, result: Segmentation) -> None:
    for name in ("score-32", "sum-16", "score-16", "sum-8", "score-8", "output", "photo"):
        expect(skips.locator(f'[data-map="{name}"]')).to_be_visible()
    pixel = telling_pixel(result, CAT)
    check_ledger(skips, result, pixel)
    expect(skips.locator('[data-role="verdicts"]')).to_have_text("32s background → 8s cat")
    assert "1 of 21 × 15 × 19" in skips.locator(".score-16 figcaption").inner_text()


def test_fits_the_projector(skips: Page) -> None:
    top = skips.locator(".flow").bounding_box()
    strip = skips.locator(".strip").bounding_box()
    assert top
    assert strip
    assert strip["y"] + strip["height"] - top["y"] <= 560
    assert skips.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize(
    ("name", "across", "down"), [("score-32", 0.31, 0.42), ("sum-8", 0.7, 0.2), ("photo", 0.5, 0.8)]
)
def test_a_click_pins_the_pixel_there(
    skips: Page, result: Segmentation, name: str, across: float, down: float
) -> None:
    frame = skips.locator(f'[data-map="{name}"]')
    frame.click(position=at(frame, across, down))
    pixel = pinned(skips)
    # 9 × 7 strides of 32 and half a cell on every side
    assert pixel == pytest.approx((down * 256 - 16, across * 320 - 16), abs=2)
    check_ledger(skips, result, pixel)
    assert "photo=cat" in skips.url


def test_hover_reads_all_maps_without_a_message(
    skips: Page, result: Segmentation, ws_frames: list[str | bytes]
) -> None:
    assert ws_frames  # the connection is watched
    ws_frames.clear()
    frame = skips.locator('[data-map="sum-16"]')
    for step in range(12):
        frame.hover(position=at(frame, 0.2 + 0.05 * step, 0.3 + 0.03 * step))
    skips.wait_for_timeout(300)
    assert ws_frames == []
    y, x = map(int, skips.locator(".where b").inner_text().split(","))
    read = {
        name: number(skips.locator(f'[data-value="{name}"] b').inner_text())
        for name in ("score-32", "score-16", "sum-16", "score-8", "sum-8", "output")
    }
    for stride in (32, 16, 8):
        row, col = int(y / stride + 0.5), int(x / stride + 0.5)
        cell = result.scores[stride].values[CAT, row, col]
        assert read[f"score-{stride}"] == pytest.approx(cell, abs=0.0051)
    assert read["output"] == pytest.approx(result.logits(y, x)[8][CAT], abs=0.01)
    for panel in ("score-32", "output", "photo"):
        assert skips.locator(f'[data-map="{panel}"] path.cross').first.get_attribute("d")


def test_hovering_a_row_highlights_its_cell_in_the_pictures_and_back(skips: Page) -> None:
    row = skips.locator(".ledger .row").first
    cell = row.get_attribute("data-cell")
    row.hover()
    for panel in ("score-32", "photo", "lens"):
        expect(skips.locator(f'[data-map="{panel}"] [data-cell="{cell}"]')).to_have_class(
            re.compile("hot")
        )
    outline = skips.locator(f'[data-map="score-32"] [data-cell="{cell}"] rect').last
    outline.scroll_into_view_if_needed()
    drawn = outline.bounding_box()
    assert drawn
    skips.mouse.move(drawn["x"] + 2, drawn["y"] + 2)
    expect(row).to_have_class(re.compile("hot"))
    skips.mouse.move(5, 5)
    expect(row).not_to_have_class(re.compile("hot"))


def test_removing_a_skip_changes_picture_words_and_labels(
    skips: Page, result: Segmentation
) -> None:
    before = picture(skips, "output")
    labels = skips.locator('[data-map="photo"] img.labels').get_attribute("src")
    skips.get_by_role("button", name="remove stride 32, the whole map").last.click()
    words = skips.locator('[data-role="words"] span')
    expect(words).to_contain_text("Without stride 32 ")
    drawn(skips)
    share = 100 * np.mean(result.labels[8] != result.without(strides=(32,)).labels[8])
    expect(words).to_contain_text(f"{share:.1f} % of the pixels get another label")
    assert picture(skips, "output") != before
    assert skips.locator('[data-map="photo"] img.labels').get_attribute("src") != labels
    for role in ("before", "after", "changes"):
        expect(skips.locator(f'[data-role="{role}"]')).to_be_visible()
    expect(skips.locator(f"{LEDGER} .chip.gone")).to_have_text("0.00 stride 32")
    skips.get_by_role("button", name="Put everything back").click()
    expect(words).to_have_count(0)
    drawn(skips)
    assert picture(skips, "output") == before


def test_without_stride_32_its_output_is_a_tie(skips: Page) -> None:
    buttons = skips.locator(".ledger .part header button")
    expect(buttons).to_have_text(["remove this map", "remove this skip", "remove this skip"])
    verdicts = skips.locator('[data-role="verdicts"]')
    expect(verdicts).not_to_contain_text("tie")
    buttons.first.click()
    expect(verdicts).to_contain_text("32s tie → 8s ")
    expect(buttons).to_have_text(["put back", "remove this skip", "remove this skip"])
    buttons.nth(1).click()
    expect(buttons.nth(1)).to_have_text("put back")
    buttons.nth(2).click()
    expect(verdicts).to_have_text("32s tie → 8s tie")
    expect(skips.locator('[data-role="other"] .lead')).to_have_text("tie with:")


def test_removing_a_cell_updates_the_sum(skips: Page, result: Segmentation) -> None:
    y, x = telling_pixel(result, CAT)
    row = skips.locator(".ledger .row").first
    cell = tuple(map(int, (row.get_attribute("data-cell") or "").split(",")))
    row.get_by_role("button").click()
    expect(skips.locator(".ledger .row.gone")).to_have_count(1)
    drawn(skips)
    changed = result.without(cells=[(cell[0], cell[1], cell[2])])
    total = number(skips.locator(f"{LEDGER} .total").inner_text())
    assert total == pytest.approx(changed.logits(y, x)[8][CAT], abs=0.006)
    # The keyboard stays on the button, which now puts the cell back.
    skips.keyboard.press("Enter")
    expect(skips.locator(".ledger .row.gone")).to_have_count(0)
    drawn(skips)
    check_ledger(skips, result, (y, x))


def test_two_fast_removals_both_count(skips: Page) -> None:
    skips.locator(".ledger").evaluate(
        "ledger => [0, 1].forEach((n) => ledger.querySelectorAll('.row button')[n].click())"
    )
    expect(skips.locator(".ledger .row.gone")).to_have_count(2)


def test_an_answer_to_an_older_click_undoes_no_newer_one(skips: Page) -> None:
    asked, cells = skips.locator(".skips").evaluate(
        """host => {
            const { explorer } = host;
            const asked = [];
            explorer.send = (event, what) => asked.push(what.cells);
            const cells = [...host.querySelectorAll(".row")].map((row) => row.dataset.cell);
            const click = (cell) => host.querySelector(`[data-remove="${cell}"]`).click();
            click(cells[0]);
            click(cells[1]);
            explorer.update({ ...explorer.data, removedCells: [cells[0]] });
            click(cells[2]);
            explorer.update({ ...explorer.data, removedCells: cells.slice(0, 3) });
            explorer.update({ ...explorer.data, removedCells: [] });
            click(cells[3]);
            return [asked, cells];
        }"""
    )
    assert asked == [sorted(cells[:1]), sorted(cells[:2]), sorted(cells[:3]), cells[3:4]]


def test_by_keyboard_alone(skips: Page, result: Segmentation) -> None:
    frame = skips.locator('[data-map="score-16"]')
    for _ in range(40):
        skips.keyboard.press("Tab")
        if frame.evaluate("element => element.getRootNode().activeElement === element"):
            break
    expect(frame).to_be_focused()
    start = telling_pixel(result, CAT)
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        skips.keyboard.press(key)
    expect(skips.locator(".live")).to_contain_text("score-16")
    skips.keyboard.press("Enter")
    there = pinned(skips)
    assert there == pytest.approx((start[0] + 16, start[1] + 32), abs=1)
    check_ledger(skips, result, there)
    skips.keyboard.press("Escape")
    expect(skips.locator(".where b")).to_have_text(f"{start[0]}, {start[1]}")
    expect(skips).not_to_have_url(re.compile("pixel="))


def test_own_scale_redraws_without_a_message(skips: Page, ws_frames: list[str | bytes]) -> None:
    before = picture(skips, "score-8")
    ws_frames.clear()
    skips.locator('[data-role="scale"]').click()
    expect(skips.locator('[data-role="scale"]')).to_have_attribute("aria-pressed", "true")
    assert picture(skips, "score-8") != before
    assert ws_frames == []


def test_a_link_opens_class_and_pixel(
    page: Page, serve: Callable[..., str], console_errors: list[str]
) -> None:
    page.goto(serve(SCRIPT, skip_class="dog", pixel="40,60"))
    drawn(page)
    expect(page.locator(f"{LEDGER} .name")).to_have_text("dog")
    expect(page.locator(".where b")).to_have_text("40, 60")
    assert console_errors == []


@pytest.mark.parametrize("width", [390, 720])
def test_narrow_windows_stack(
    open_page: Callable[..., tuple[Page, object]], serve: Callable[..., str], width: int
) -> None:
    page, _ = open_page(viewport={"width": width, "height": 844}, has_touch=True)
    page.goto(serve(SCRIPT))
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator('[data-map="photo"]').tap()
    page.wait_for_url(re.compile("pixel="))
