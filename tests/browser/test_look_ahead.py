"""Pictures sent ahead, in a real browser: they follow a slider before the server answers."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from explainer.ui.pictures.convolution import State, scene
from tests.browser.conftest import Line, Servers, idle, settles
from tests.browser.lesson_page import PICTURE, address, cells

FORMULA = '[data-role="formula"]'

# Writes down what the picture shows after each change, until it is read: cells of the input.
_RECORD = """root => {
  window.shown = [];
  const count = () => root.querySelectorAll('[data-grid="input"][role="gridcell"]').length;
  new MutationObserver(() => window.shown.push(count()))
    .observe(root, { attributes: true, attributeFilter: ["data-version"] });
}"""
# Counts frames without a single cell.
_WATCH = """root => {
  window.blanks = 0;
  const look = () => {
    if (!root.querySelector(".cell")) window.blanks++;
    requestAnimationFrame(look);
  };
  look();
}"""


@pytest.fixture
def patient(serve: Servers, tmp_path: Path) -> str:
    """A server that sends what these tests need ahead, however slow this machine is."""
    raise_limits = (
        "from explainer.ui import lesson\nlesson.AHEAD_S, lesson.AHEAD_CHARACTERS = 0.5, 10**9\n"
    )
    (tmp_path / "sitecustomize.py").write_text(raise_limits)
    return serve.fresh(path=tmp_path).url


def outputs(size: int, **more: Any) -> list[str]:
    """The numbers of the output, from the maps."""
    return list(scene(State(size=size, **more), "Window").grid("output").texts)


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name)


def answered(page: Page, formula: str) -> None:
    """Wait for the server's own answer, which the picture does not wait for."""
    expect(page.locator(FORMULA).first).to_contain_text(formula)
    idle(page)


def opened(page: Page, base: str, query: str = "") -> None:
    page.goto(address("convolution", base, query))
    expect(page.locator(PICTURE)).to_be_visible()
    idle(page)


def test_the_picture_changes_before_the_server_has_answered(
    page: Page, patient: str, line: Line, console_errors: list
):
    opened(page, patient, "size=5&stride=1")
    formula = page.locator(FORMULA).inner_text()
    line.held = True
    slider(page, "size n").press("ArrowRight")
    expect(cells(page, "output")).to_have_text(outputs(6, stride=1))
    # And back, for which nothing new is needed; then another slider.
    slider(page, "size n").press("ArrowLeft")
    expect(cells(page, "output")).to_have_text(outputs(5, stride=1))
    slider(page, "kernel k").press("ArrowLeft")
    expect(cells(page, "output")).to_have_text(outputs(5, stride=1, kernel=2))
    # The answers come later than the pictures, and are held.
    settles(page, lambda: bool(line.waiting), wanted=True)
    assert page.locator(FORMULA).inner_text() == formula
    version = page.locator(PICTURE).get_attribute("data-version")
    line.release()
    answered(page, "2 − 1")
    expect(cells(page, "output")).to_have_text(outputs(5, stride=1, kernel=2))
    assert page.locator(PICTURE).get_attribute("data-version") == version
    assert not console_errors


def test_what_holds_no_longer_is_not_shown(page: Page, serve: Servers, line: Line):
    """Another slider has moved since: what was sent for the first would be wrong."""
    opened(page, serve(), "size=5&stride=1")
    line.held = True
    slider(page, "size n").press("ArrowRight")
    expect(cells(page, "output")).to_have_text(outputs(6, stride=1))
    slider(page, "stride s").press("ArrowRight")
    page.wait_for_timeout(300)
    expect(cells(page, "output")).to_have_text(outputs(6, stride=1))
    line.release()
    expect(cells(page, "output")).to_have_text(outputs(6, stride=2))


def test_an_answer_that_the_slider_has_passed_does_not_take_the_picture_back(
    page: Page, patient: str, line: Line
):
    opened(page, patient, "size=5")
    slider(page, "size n").press("ArrowRight")
    answered(page, "6 + 2")  # with all values of this slider
    page.locator(PICTURE).evaluate(_RECORD)
    line.held = True
    for size in (7, 8):
        slider(page, "size n").press("ArrowRight")
        expect(cells(page, "output")).to_have_text(outputs(size))
    settles(page, lambda: bool(line.waiting), wanted=True)
    # The answers come one after the other, first that for 7.
    while line.waiting:
        line.send(line.waiting.pop(0))
        page.wait_for_timeout(5)
    line.release()
    answered(page, "8 + 2")
    drawn = page.evaluate("window.shown")
    assert drawn == sorted(drawn), drawn
    expect(cells(page, "output")).to_have_text(outputs(8))


def test_the_picture_follows_a_slider_that_is_dragged(
    page: Page, patient: str, ws_frames: list, console_errors: list
):
    opened(page, patient, "size=5")
    slider(page, "size n").press("ArrowRight")
    answered(page, "6 + 2")
    ws_frames.clear()
    track = page.locator(".st-key-size [data-testid=stSliderThumbValue]").bounding_box()
    assert track
    x, y = track["x"] + track["width"] / 2, track["y"] + track["height"] + 4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y, steps=3)
    expect(slider(page, "size n")).not_to_have_value("6")
    idle(page)  # the last of the moves has reached the slider too
    size = int(slider(page, "size n").input_value())
    expect(cells(page, "output")).to_have_text(outputs(size))
    assert not ws_frames
    page.mouse.up()
    expect(page.locator(FORMULA).first).to_contain_text(f"{size} + 2")
    expect(cells(page, "output")).to_have_text(outputs(size))
    assert not console_errors


def test_an_example_that_moves_sliders_shows_only_what_the_server_draws(page: Page, serve: Servers):
    opened(page, serve(), "size=6&stride=1")
    slider(page, "size n").press("ArrowLeft")
    answered(page, "5 + 2")
    expect(cells(page, "output")).to_have_text(outputs(5, stride=1))
    page.locator(PICTURE).evaluate(_RECORD)
    page.get_by_role("button", name="stride 2", exact=True).click()
    answered(page, "/2⌋")
    expect(cells(page, "output")).to_have_text(outputs(4, stride=2))
    assert len(set(page.evaluate("window.shown"))) == 1


@pytest.mark.parametrize("query", ["size=3&view=Matrix", "size=5"])
def test_quick_presses_neither_break_the_connection_nor_blank_the_picture(
    page: Page, serve: Servers, console_errors: list, query: str
):
    opened(page, serve(), query)
    page.locator(PICTURE).evaluate(_WATCH)
    thumb = slider(page, "size n")
    for turn in range(6):
        for key in ["ArrowRight"] * 4 + ["ArrowLeft"] * 4:
            thumb.press(key)
            page.wait_for_timeout(20 + 10 * (turn % 4))
    idle(page)
    assert not console_errors
    assert page.evaluate("window.blanks") == 0
