"""A kind of component whose code the page has once, in a real browser."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import idle

DEMO = Path(__file__).parent / "apps" / "once_demo.py"


def words(page: Page, *texts: str) -> None:
    expect(page.locator('[data-role="words"]')).to_have_text(list(texts))


def switch(page: Page, name: str) -> None:
    page.locator("label").filter(has_text=name).first.click()


def test_places_wait_for_the_code_and_share_it(open_page: Any, serve):
    page, records = open_page()
    page.goto(serve.server(DEMO).url)
    words(page, "", "")
    idle(page)
    # A change while they wait is what they show.
    before = records.runs
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    records.wait_for_run(page, before)  # else one run could bring the change and the code
    words(page, "", "")
    expect(page.get_by_test_id("stSliderThumbValue")).to_have_text("2")
    switch(page, "code")
    words(page, "first 2", "second 2")
    for place in page.locator('[data-role="words"]').all():
        expect(place).to_have_css("color", "rgb(1, 2, 3)")
    assert page.evaluate("() => document.drawings") == 2
    page.keyboard.press("Tab")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    words(page, "first 3", "second 3")
    page.locator('[data-role="words"]').nth(1).click()
    expect(page.get_by_text("tapped: second")).to_be_visible()


def test_a_place_ends_as_its_kind_says(page: Page, serve):
    page.goto(serve.server(DEMO).url)
    switch(page, "code")
    words(page, "first 1", "second 1")
    idle(page)
    before = page.evaluate("() => document.endings ?? 0")
    switch(page, "places")
    expect(page.locator('[data-role="words"]')).to_have_count(0)
    page.wait_for_function(f"() => document.endings === {before} + 2")


def test_a_place_that_is_gone_before_the_code_comes_draws_nothing(page: Page, serve):
    page.goto(serve.server(DEMO).url)
    words(page, "", "")
    switch(page, "places")
    expect(page.locator('[data-role="words"]')).to_have_count(0)
    switch(page, "code")
    page.wait_for_function("() => document['explainer words']")
    assert page.evaluate("() => document.drawings ?? 0") == 0
