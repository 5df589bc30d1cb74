"""What a visitor sees before Streamlit's own code has come."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import settles, shows

FRONT = "#front"
CODE = "**/static/js/*.js"
FILES = re.compile(r"/static/|/_stcore/")
PAINTED = """() => performance.getEntriesByName("first-contentful-paint").length > 0"""


class Hold:
    """Holds requests up until they are let go."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.open = False

    def __call__(self, route: Route) -> None:
        if self.open:
            route.continue_()
        else:
            self.routes.append(route)

    def let_go(self) -> None:
        self.open = True
        for route in self.routes:
            route.continue_()


@pytest.fixture
def held(page: Page) -> Hold:
    """Streamlit's code, held up on its way to the page."""
    hold = Hold()
    page.route(CODE, lambda route: hold(route))
    return hold


def test_it_is_drawn_before_any_other_file_has_come(page: Page, serve: Any):
    hold = Hold()
    page.route(FILES, lambda route: hold(route))
    page.goto(serve(), wait_until="commit")
    page.wait_for_function(PAINTED)
    settles(page, lambda: any(".css" in one.request.url for one in hold.routes), wanted=True)
    hold.let_go()
    shows(page, "chelsea.png")
    # The style sheet that came late counts.
    sheet = page.locator('head link[rel="stylesheet"]').first
    expect(sheet).to_have_attribute("media", "all")


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize(
    ("place", "title"), [("", "Segment a photo"), ("/checkerboard", "Checkerboard")]
)
def test_the_words_are_there_at_once_and_stay_in_their_place(
    place: str,
    title: str,
    width: int,
    held: Hold,
    page: Page,
    serve: Any,
    console_errors: list,
):
    page.set_viewport_size({"width": width, "height": 720 if width < 1920 else 1080})
    page.goto(serve().rstrip("/") + place, wait_until="commit")
    words = page.locator(f"{FRONT} p")
    expect(words.first).to_have_text(title)
    expect(page.get_by_role("progressbar", name="The page is loading")).to_be_visible()
    expect(page).to_have_title(title)
    # The style sheet of all pages stands at the end, behind the words.
    page.wait_for_function("() => document.readyState !== 'loading'")
    page.evaluate("document.fonts.ready")
    before = [words.nth(number).bounding_box() for number in (0, 1)]
    held.let_go()
    expect(page.get_by_role("heading", level=1).first).to_have_text(title)
    expect(page.locator(FRONT)).to_have_count(0)
    real = page.locator(".st-key-shell_title")
    for box, own in zip(before, (real.locator("h1"), real.locator("p")), strict=True):
        after = own.bounding_box()  # at once, before the page is complete
        assert box is not None
        assert after is not None
        assert [after["x"], after["y"]] == pytest.approx([box["x"], box["y"]], abs=3)
    assert console_errors == []


@pytest.mark.parametrize(
    ("scheme", "colour"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 22, 28)")]
)
def test_it_has_the_colours_of_the_page(scheme: Any, colour: str, open_page: Any, serve: Any):
    page, _ = open_page(color_scheme=scheme)
    hold = Hold()  # else it may be gone before anybody has looked
    page.route(CODE, lambda route: hold(route))
    page.goto(serve(), wait_until="commit")
    expect(page.locator(FRONT)).to_have_css("background-color", colour)
    hold.let_go()
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    expect(page.locator(".stApp")).to_have_css("background-color", colour)


def test_an_address_that_is_no_page_is_streamlits(page: Page, serve: Any):
    page.goto(serve().rstrip("/") + "/nowhere", wait_until="commit")
    expect(page.get_by_text("Page not found").first).to_be_visible()
    expect(page.locator(FRONT)).to_have_count(0)


def test_where_the_server_cannot_be_reached_that_is_told(page: Page, serve: Any):
    page.route("**/_stcore/**", lambda route: route.abort())
    page.goto(serve(), wait_until="commit")
    expect(page.get_by_role("dialog").first).to_be_visible()
    expect(page.locator(FRONT)).to_have_count(0)
