"""The lesson on unpooling in a real browser."""

import re
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from explainer.ops import LinearMap
from explainer.ui.pictures.unpooling import State, compute
from tests.browser import lesson_page
from tests.browser.lesson_page import PICTURE, cell, cells, point

visit = partial(lesson_page.visit, "unpooling")

GRIDS = ("input", "total", "first", "maxima", "z", "nearest", "nails", "unpooled")


def read_by(A: LinearMap, place: tuple[int, int]) -> set[tuple[int, ...]]:
    return {link.input for link in A.reads(place)}


def numbers(page: Page, grid: str) -> list[int]:
    return [int(text) for text in cells(page, grid).all_inner_texts()]


@pytest.fixture
def lesson(page: Page, serve: Any) -> Page:
    visit(page, serve())
    expect(cells(page, "unpooled")).to_have_count(16, timeout=120_000)
    return page


def test_a_fresh_server_opens_the_slides_example_by_link(
    page: Page, serve: Any, console_errors: list
):
    visit(page, serve.fresh().url, "size=4&kernel=2&stride=2&z=1,2;3,4")
    expect(cells(page, "unpooled")).to_have_count(16)
    assert numbers(page, "maxima") == [5, 6, 7, 8]
    assert numbers(page, "nearest") == [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]
    assert numbers(page, "nails") == [1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0]
    assert numbers(page, "unpooled") == [0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 4]
    expect(page.get_by_text("12 of 16 values are gone").first).to_be_visible()
    expect(page.locator('[data-role="formula"]').first).to_contain_text("4×4")
    assert console_errors == []


def test_a_slider_changes_shape_and_numbers(lesson: Page, console_errors: list):
    thumb = lesson.get_by_role("slider", name="stride s")
    thumb.focus()
    thumb.press("ArrowLeft")
    expect(cells(lesson, "maxima")).to_have_count(9)
    expect(lesson).to_have_url(re.compile(r"stride=1"))
    now = compute(State(stride=1))
    # Windows overlap: what PyTorch overwrites stands beside what the transpose adds.
    assert numbers(lesson, "unpooled") == now.back["unpooled"].ravel().tolist()
    assert numbers(lesson, "summed") == now.back["summed"].ravel().tolist()
    assert numbers(lesson, "unpooled") != numbers(lesson, "summed")
    assert console_errors == []


def test_each_column_lights_what_it_is_made_of(lesson: Page):
    now = compute(State())
    window = read_by(now.total, (0, 1))
    assert point(lesson, "total", 0, 1) == {
        "total": {(0, 1)},
        "input": window,
        "z": {(0, 1)},
        "nearest": window,
    }
    assert point(lesson, "nails", 2, 0) == {
        "nails": {(2, 0)},
        "z": {(1, 0)},
        "first": {(1, 0)},
        "input": read_by(now.first, (1, 0)),
    }
    (remembered,) = read_by(now.maximum.selection, (0, 0))
    assert point(lesson, "unpooled", *remembered) == {
        "unpooled": {remembered},
        "z": {(0, 0)},
        "maxima": {(0, 0)},
        "input": read_by(now.maximum.windows, (0, 0)),
    }
    lit = point(lesson, "z", 1, 1)
    assert lit["unpooled"] == read_by(now.maximum.selection, (1, 1))
    assert lit["nearest"] == lit["input"] == read_by(now.total, (1, 1))
    assert lit["nails"] == read_by(now.first, (1, 1))
    assert point(lesson, "unpooled", 0, 0) == {"unpooled": {(0, 0)}}


def test_hovering_and_playing_send_nothing(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    for step in range(50):
        cell(lesson, "unpooled", step % 4, (step * 3) % 4).hover()
    lesson.locator(f'{PICTURE} [data-do="forward"]').click()
    expect(lesson.locator(f"{PICTURE}[data-step='1']")).to_have_count(1)
    assert len(ws_frames) == sent


def test_moving_the_5_moves_max_unpooling_alone(lesson: Page):
    before = {name: numbers(lesson, name) for name in GRIDS}
    lesson.get_by_role("button", name="Move the 5", exact=True).click()
    expect(cell(lesson, "unpooled", 0, 1)).to_have_text("1")
    after = {name: numbers(lesson, name) for name in GRIDS}
    assert {name for name in GRIDS if before[name] != after[name]} == {"input", "unpooled"}
    marked = lesson.locator(f"{PICTURE} [data-grid][data-changed]")
    assert {
        one["grid"] for one in marked.evaluate_all("all => all.map(c => ({...c.dataset}))")
    } == {
        "input",
        "unpooled",
    }


def test_a_prediction_is_clicked_committed_and_revealed(lesson: Page, console_errors: list):
    lesson.get_by_role("button", name="Move the 5, and predict").click()
    expect(cell(lesson, "unpooled", 1, 1)).to_have_text("")
    for place, count in (((0, 1), 1), ((0, 2), 2), ((1, 1), 3)):
        cell(lesson, "unpooled", *place).click()
        expect(lesson.get_by_role("button", name=f"Reveal ({count} marked)").first).to_be_visible()
    lesson.get_by_role("button", name="Reveal (3 marked)").first.click()
    expect(lesson.get_by_text("2 of 4 are right, and 1 is wrong").first).to_be_visible()
    expect(cell(lesson, "unpooled", 0, 1)).to_have_text("1")
    expect(cell(lesson, "unpooled", 1, 1)).to_have_attribute("data-marked", "")
    assert console_errors == []


def test_the_keyboard_alone_predicts_edits_and_switches_views(lesson: Page):
    start = lesson.get_by_role("button", name="Predict for these numbers").first
    start.focus()
    start.press("Enter")
    expect(cell(lesson, "unpooled", 1, 1)).to_have_text("")
    cell(lesson, "unpooled", 0, 0).focus()
    lesson.keyboard.press("ArrowRight")
    lesson.keyboard.press("Space")
    reveal = lesson.get_by_role("button", name="Reveal (1 marked)").first
    expect(reveal).to_be_visible()
    reveal.focus()
    reveal.press("Enter")
    expect(lesson.get_by_text("0 of 4 are right, and 1 is wrong").first).to_be_visible()
    cell(lesson, "z", 0, 0).focus()
    lesson.keyboard.press("F2")
    lesson.keyboard.type("9")
    lesson.keyboard.press("Enter")
    expect(cell(lesson, "unpooled", 1, 1)).to_have_text("9")
    expect(lesson).to_have_url(re.compile(r"z=9"))
    # A digit chooses the view wherever no number is being typed, in this grid too.
    cell(lesson, "z", 0, 0).focus()
    lesson.keyboard.press("2")
    expect(cells(lesson, "bicubic")).to_have_count(16)
    expect(lesson).to_have_url(re.compile(r"view=Interpolation"))


def test_every_example_shows_its_picture(lesson: Page, console_errors: list):
    lesson.get_by_role("button", name="interpolation", exact=True).click()
    expect(cells(lesson, "bilinear")).to_have_count(16)
    expect(cell(lesson, "bilinear", 0, 1)).to_have_text("1.25")
    for label, grid, row, col in (
        ("max unpooling", "unpooled", 1, 1),
        ("bed of nails", "nails", 0, 2),
        ("nearest", "nearest", 0, 2),
    ):
        lesson.get_by_role("button", name=label, exact=True).click()
        expect(cell(lesson, grid, row, col)).to_have_attribute("data-pinned", "")
    lesson.get_by_role("button", name="Reset").click()
    expect(lesson.locator(f"{PICTURE} [data-pinned]")).to_have_count(0)
    assert console_errors == []


def test_a_bad_link_gets_a_notice_and_the_default(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "size=99&z=%3Cscript%3E")
    expect(cells(page, "unpooled")).to_have_count(16)
    expect(page.get_by_text("The link asks for size").first).to_be_visible()
    expect(page.get_by_text("The link gives z").first).to_be_visible()
    assert console_errors == []
