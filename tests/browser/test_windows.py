"""Words stand whole and apart in windows that are smaller or larger than the projector."""

from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from explainer.ui.lessons import LESSONS
from explainer.ui.pictures.checkerboard import WEIGHTS
from tests.browser.conftest import idle
from tests.browser.lesson_page import PICTURE

# Of some elements the texts of those that hide a part of it.
CUT = """all => all.filter(one => one.scrollWidth > one.clientWidth)
    .map(one => one.value ?? one.textContent)"""


@pytest.mark.parametrize("width", [390, 700, 900, 1280])
def test_the_cards_of_the_overview_show_their_titles(width: int, page: Page, serve: Any):
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(f"{serve().rstrip('/')}/overview")
    titles = page.locator('[class*="st-key-card"] [data-testid="stPageLink"] span:has(> div p)')
    expect(titles).to_have_count(len(LESSONS))
    idle(page)
    assert titles.evaluate_all(CUT) == []


@pytest.mark.parametrize("width", [700, 900, 1280])
def test_menu_and_questions_of_the_checkerboard_show_their_words(
    width: int, page: Page, serve: Any
):
    page.set_viewport_size({"width": width, "height": 720})
    longest = max(WEIGHTS, key=len)
    page.goto(f"{serve().rstrip('/')}/checkerboard?weights={longest}")
    page.locator(PICTURE).first.wait_for()
    menu = page.locator(".st-key-weights input").first
    expect(menu).to_have_value(longest)
    idle(page)
    assert menu.evaluate_all(CUT) == []
    questions = page.locator(".st-key-question .stButtonGroup > div:has(> button)")
    expect(questions).to_have_count(1)
    assert questions.evaluate_all(CUT) == []


@pytest.mark.parametrize("view", ["Stack", "Photo"])
def test_the_numbers_of_a_stack_grow_with_the_window(view: str, page: Page, serve: Any):
    def lefts_and_widths() -> list[tuple[float, float]]:
        idle(page)
        boxes = [label.bounding_box() for label in labels.all()]
        return [(box["x"], box["width"]) for box in boxes if box is not None]

    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{serve().rstrip('/')}/dilation?view={view}&dilations=1,1,1,1,1,1,1,1")
    labels = page.locator(".st-key-controls .stNumberInput label p")
    expect(labels).to_have_count(8)
    small = lefts_and_widths()
    page.set_viewport_size({"width": 1920, "height": 1080})
    large = lefts_and_widths()
    for (left, width), (large_left, large_width) in zip(small, large, strict=True):
        assert large_left == pytest.approx(1.5 * left, abs=2)
        assert large_width == pytest.approx(1.5 * width, abs=2)
    for (left, width), (after, _) in pairwise(large):
        assert after - left - width > 12, "labels run together"
