"""The frame of the pages in a real browser: the sidebar, the examples and their help."""

import re
from pathlib import PurePath
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from explainer.ui.lessons import LESSONS, Lesson
from tests.browser.conftest import Servers, idle, settles
from tests.browser.lesson_page import PICTURE, address, visit


@pytest.fixture
def lesson(page: Page, serve: Servers) -> Page:
    visit("convolution", page, serve(), "stride=1")
    return page


def help_of(button: Locator) -> str:
    """What the stylesheet draws beside a button."""
    content = button.evaluate("one => getComputedStyle(one, '::after').content")
    return content.removesuffix(' / ""').strip('"')


def test_the_sidebar_leads_everywhere_within_the_session(lesson: Page, console_errors: list):
    lesson.get_by_role("slider", name="size n").focus()
    lesson.keyboard.press("ArrowRight")
    expect(lesson).to_have_url(re.compile("size=6"))
    # The browser writes the address; what the server has answered it also remembers.
    expect(lesson.locator('[data-role="formula"]').first).to_contain_text("6 + 2")
    lesson.get_by_test_id("stExpandSidebarButton").click()
    sockets: list[str] = []
    lesson.on("websocket", lambda socket: sockets.append(socket.url))
    entries = lesson.get_by_test_id("stSidebar")
    entries.get_by_role("link", name="Unpooling").click()
    expect(lesson.get_by_role("heading", name="Unpooling", level=1)).to_be_visible()
    expect(lesson).to_have_url(re.compile("/unpooling$"))
    # Back to what was left there: the session is the same.
    entries.get_by_role("link", name=re.compile(r"Convolution$")).first.click()
    expect(lesson.get_by_role("heading", name="Convolution", level=1)).to_be_visible()
    expect(lesson.get_by_role("slider", name="size n")).to_have_value("6")
    expect(lesson).to_have_url(re.compile("size=6&stride=1"))
    entries.get_by_role("link", name="Segment a photo").click()
    expect(lesson.get_by_role("heading", name="Segment a photo", level=1)).to_be_visible()
    assert not sockets
    assert not console_errors


def test_a_page_that_is_taken_up_again_gets_its_address_in_one_piece(page: Page, serve: Servers):
    visit("dilation", page, serve(), "view=Kernel&dilation=3&kernel=4&size=11")
    ways = page.get_by_test_id("stMain").get_by_test_id("stPageLink-NavLink")
    ways.last.click()
    expect(page.get_by_role("heading", name="Receptive field", level=1)).to_be_visible()
    idle(page)
    page.evaluate(
        """() => {
          window.pushed = [];
          const push = history.pushState;
          history.pushState = function (state, title, url) {
            const { pathname, search } = new URL(url, location.href);
            window.pushed.push(pathname + search);
            return push.apply(this, arguments);
          };
        }"""
    )
    ways.first.click()
    expect(page.get_by_role("heading", name="Dilation", level=1)).to_be_visible()
    expect(page).to_have_url(re.compile("size=11"))
    idle(page)
    found, path, search = page.evaluate("[window.pushed, location.pathname, location.search]")
    # Streamlit's own for the page, and all of its settings at once: no state in between. (In a
    # browser under load the settings may come before the page.)
    assert {url.partition("?")[2] for url in found} <= {"", search.removeprefix("?")}
    assert 1 <= len(found) <= 2
    assert path.endswith("/dilation")


@pytest.mark.parametrize("view", ["", "&view=Matrix"])
def test_back_and_forward_show_what_was_there(
    page: Page, serve: Servers, console_errors: list, view: str
):
    visit("convolution", page, serve(), f"size=9&kernel=4{view}")
    size = page.get_by_role("slider", name="size n")
    onwards = page.get_by_test_id("stMain").get_by_test_id("stPageLink-NavLink").last
    onwards.click()
    expect(page.get_by_role("heading", name="Dilation", level=1)).to_be_visible()
    idle(page)
    page.go_back()
    expect(page.get_by_role("heading", name="Convolution", level=1)).to_be_visible()
    idle(page)
    expect(size).to_have_value("9")
    expect(page).to_have_url(re.compile("size=9&kernel=4"))
    if view:
        expect(page).to_have_url(re.compile("view=Matrix"))
    expect(page.locator('[data-role="formula"]').first).to_contain_text("(4 − 1)")
    page.go_forward()
    expect(page.get_by_role("heading", name="Dilation", level=1)).to_be_visible()
    idle(page)
    page.go_back()
    expect(size).to_have_value("9")
    assert not console_errors


def test_back_leads_from_example_to_example(page: Page, serve: Servers, console_errors: list):
    """No state in between, although an example sets many controls."""
    visit("convolution", page, serve(), "size=7")
    examples = page.locator('.st-key-presets [data-role="button-row"] button')
    size = page.get_by_role("slider", name="size n")
    shapes = page.locator(f"{PICTURE} .title")
    steps = []
    for name in ("4×6", "stride 2", "Reset"):
        steps.append((page.url, size.input_value(), shapes.all_inner_texts()))
        examples.filter(has_text=re.compile(name)).first.click()
        settles(page, lambda: shapes.all_inner_texts() != steps[-1][2], wanted=True)
        idle(page)
    for url, value, titles in reversed(steps):
        page.go_back()
        expect(page).to_have_url(url)
        expect(size).to_have_value(value)
        settles(page, shapes.all_inner_texts, titles)
        idle(page)
    assert not console_errors


def test_the_keyboard_skips_the_closed_sidebar(lesson: Page):
    lesson.evaluate("() => document.activeElement.blur()")
    sidebar = "() => document.activeElement.closest('[data-testid=stSidebar]') !== null"
    for _ in range(4):
        lesson.keyboard.press("Tab")
        assert not lesson.evaluate(sidebar)


def test_an_example_tells_what_it_is_and_keeps_the_focus(lesson: Page, console_errors: list):
    example = lesson.get_by_role("button", name="2×6", exact=True)
    assert help_of(example) == "none"
    example.hover()
    assert help_of(example) == "D2: the same with stride 2: a 2×6 matrix"
    example.focus()
    lesson.keyboard.press("Enter")
    expect(lesson).to_have_url(re.compile("view=Matrix"))
    idle(lesson)
    expect(example).to_be_focused()
    last = lesson.get_by_role("button", name="two layers", exact=True)
    last.hover()
    box = last.evaluate("one => ({ right: getComputedStyle(one, '::after').right })")
    assert box["right"] == "0px"  # help does not leave the window
    assert lesson.evaluate("document.documentElement.scrollWidth") <= 1280
    assert not console_errors


def test_what_an_example_sets_behind_all_settings_stays(open_page: Any, serve: Servers):
    lesson, records = open_page()
    visit("convolution", lesson, serve(), "stride=1")
    second = lesson.locator('[data-grid="input"][role="gridcell"]').nth(8)
    settings = lesson.get_by_role("button", name="All settings")
    letters = lesson.get_by_role("switch", name="Letters").or_(
        lesson.get_by_role("checkbox", name="Letters")
    )
    before = records.runs
    settings.click()  # from now on the browser has values of its own for what is in there
    records.wait_for_run(lesson, before)  # its answer would open what Escape has just closed
    expect(letters.first).to_be_visible()
    lesson.keyboard.press("Escape")
    expect(letters.first).to_be_hidden()
    lesson.get_by_role("button", name="letters", exact=True).click()
    expect(second).to_have_text("i")
    idle(lesson)
    before = records.runs
    lesson.get_by_role("slider", name="size n").focus()
    lesson.keyboard.press("ArrowLeft")
    expect(lesson).to_have_url(re.compile("letters=true.*size=4"))
    records.wait_for_run(lesson, before)  # the browser writes the address, before any answer
    expect(second).to_have_text("i")
    # What the visitor changes in there counts, when it is closed too.
    before = records.runs
    settings.click()
    records.wait_for_run(lesson, before)  # until then the server takes it for closed
    expect(letters.first).to_be_checked()
    lesson.get_by_text("Letters", exact=True).click()
    expect(second).to_have_text(re.compile(r"\d"))
    lesson.keyboard.press("Escape")
    expect(letters.first).to_be_hidden()
    lesson.get_by_role("slider", name="size n").focus()
    lesson.keyboard.press("ArrowRight")
    expect(lesson).not_to_have_url(re.compile("letters=true|size=4"))
    idle(lesson)
    expect(second).to_have_text(re.compile(r"\d"))
    assert not records.errors


def test_reset_resets_what_has_moved_behind_all_settings(page: Page, serve: Servers):
    visit("dilation", page, serve())
    page.get_by_role("button", name="↓ conv ↑", exact=True).click()
    expect(page).to_have_url(re.compile("size=6"))
    idle(page)
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(page).to_have_url(re.compile("/dilation$"))
    idle(page)
    page.get_by_role("button", name="All settings").click()
    expect(page.get_by_role("slider", name="input size")).to_have_value("9")


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda lesson: lesson.title)
def test_the_shared_link_is_that_of_the_page(lesson: Lesson, page: Page, serve: Servers):
    name = PurePath(lesson.path).stem
    visit(name, page, serve())
    page.get_by_role("button", name="Share").click()
    shared = page.get_by_test_id("stCode").filter(has_text="http")
    expect(shared).to_have_text(address(name, serve()))
    expect(page.locator("img.qr")).to_be_visible()
    idle(page)
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile("view="))
    expect(shared).to_have_text(page.url)


def test_a_link_that_no_qr_code_holds_is_given_without(
    page: Page, serve: Servers, console_errors: list
):
    visit("convolution", page, serve(), "x=" + ",".join(["%C2%BC"] * 400))
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_text("Too long for a QR code")).to_be_visible()
    expect(page.get_by_test_id("stCode").filter(has_text="http")).to_contain_text("%C2%BC")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert console_errors == []
