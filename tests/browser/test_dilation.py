"""The lesson on dilation in a real browser."""

import re
from functools import partial
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from explainer.ops import layer_maps, reached
from explainer.ui.pictures import dilation as pictures
from explainer.ui.pictures.dilation import State
from tests.browser import lesson_page
from tests.browser.conftest import DRAWN, Line, ends_run, idle, settles
from tests.browser.lesson_page import PICTURE, READY, Cells, cell, cells, lit, point

visit = partial(lesson_page.visit, "dilation")

GUESS = f".st-key-guess {READY}"


def columns(lights: dict[str, Cells], grid: str) -> set[int]:
    """The columns of the lit cells of a row."""
    return {column for _, column in lights.get(grid, set())}


@pytest.fixture
def lesson(page: Page, serve: Any) -> Page:
    """The page with dilations 2, 2, 4 on 19 cells: three units in the top row."""
    visit(page, serve(), "dilations=2,2,4&cells=19")
    expect(cells(page, "output")).to_have_count(3)
    return page


def test_a_fresh_server_opens_a_stack_by_link(page: Page, serve: Any, console_errors: list):
    server = serve.fresh()
    visit(page, server.url, "dilations=2,2,4&cells=17")
    expect(cells(page, "input")).to_have_count(17)
    expect(cells(page, "output")).to_have_count(1)
    expect(page.locator('[data-role="formula"]').first).to_contain_text("8 holes")
    assert cells(page, "input").all_inner_texts() == list("10204040504040201")
    assert console_errors == []


def test_a_slider_changes_shape_and_numbers(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "view=Kernel")
    expect(cells(page, "output")).to_have_count(25)
    expect(cells(page, "kernel")).to_have_count(25)
    thumb = page.get_by_role("slider", name="dilation d").first
    thumb.focus()
    thumb.press("ArrowLeft")
    expect(cells(page, "output")).to_have_count(49)
    expect(cells(page, "kernel")).to_have_count(9)
    expected = pictures.kernel(State(dilation=1)).grid("output").texts
    assert cells(page, "output").all_inner_texts() == list(expected)
    expect(page).to_have_url(re.compile(r"dilation=1"))
    lights = point(page, "output", 2, 1)
    A = pictures.built(State(dilation=1))
    assert columns(lights, "input") == {link.input[1] for link in A.reads((2, 1))}
    assert console_errors == []


def answer(page: Page, option: str) -> None:
    """Choose an answer and reveal."""
    page.locator(".st-key-predict").get_by_text(option, exact=True).click()
    reveal = page.get_by_role("button", name="Reveal").first
    expect(reveal).to_be_enabled()
    reveal.click()
    expect(page.get_by_role("button", name="Ask again").first).to_be_visible()


def test_the_kernel_in_question_lights_its_cells_after_the_answer(page: Page, serve: Any):
    visit(page, serve(), "view=Kernel&dilation=3")
    expect(cells(page, "kernel")).to_have_count(49)
    assert set(cells(page, "kernel").all_inner_texts()) == {"?"}
    assert not point(page, "output", 1, 1).get("input")
    strip = page.locator(f"{PICTURE} .strip")
    expect(strip).not_to_contain_text("9 of 49")
    answer(page, "25")
    expect(cells(page, "kernel").first).to_have_text("1")
    assert len(point(page, "output", 1, 1)["input"]) == 9
    page.mouse.move(0, 0)
    expect(strip).to_contain_text("9 of 49")


@pytest.mark.parametrize(
    ("view", "old", "new", "option"),
    [
        ("Resample", "up", "dilated", "where a cell was dropped"),
        ("Pooling", "old", "dense", "the same"),
    ],
)
def test_outputs_that_agree_light_up_together_after_the_answer(
    page: Page, serve: Any, view: str, old: str, new: str, option: str
):
    visit(page, serve(), f"view={view}")
    expect(cells(page, new)).not_to_have_count(0)
    assert set(cells(page, new).all_inner_texts()) == {"?"}
    alone = point(page, new, 0, 4)
    assert columns(alone, "input"), "it can be seen what it reads"
    assert not columns(alone, old)
    answer(page, option)
    expect(cells(page, new).first).not_to_have_text("?")
    assert columns(point(page, new, 0, 4), old) == {4}


def test_a_layer_is_edited_with_the_keyboard(lesson: Page):
    box = lesson.get_by_role("spinbutton", name="layer 3, d").first
    box.fill("1")
    box.press("Enter")
    expect(cells(lesson, "output")).to_have_count(9)
    expect(lesson).to_have_url(re.compile(r"dilations=2(,|%2C)2(,|%2C)1"))
    expect(lesson.locator('[data-role="formula"]').first).to_contain_text("0 holes")


def test_a_unit_lights_exactly_the_cells_that_it_reads(lesson: Page):
    maps = layer_maps(pictures.layers((2, 2, 4), 3), 19)
    for unit in range(3):
        lights = point(lesson, "output", 0, unit)
        assert columns(lights, "input") == set(np.flatnonzero(reached(maps, unit)))
        assert columns(lights, "h1") == set(np.flatnonzero(reached(maps[1:], unit)))
        assert columns(lights, "h2") == set(np.flatnonzero(reached(maps[2:], unit)))
    assert columns(point(lesson, "input", 0, 3), "output") == {1}


def test_hovering_sends_nothing(lesson: Page, ws_frames: list):
    point(lesson, "output", 0, 0)
    sent = len(ws_frames)
    for step in range(50):
        point(lesson, "input", 0, (step * 4) % 19)
    assert len(ws_frames) == sent


def test_the_student_clicks_the_cells_and_then_sees(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "dilations=2,2,2&cells=15&pin=output:0,1")
    expect(cells(page, "output")).to_have_count(3)
    assert not "".join(cells(page, "input").all_inner_texts())
    lights = point(page, "output", 0, 1)
    assert columns(lights, "input") == set(), "the question asks which it reads"
    guess = cells(page, pictures.GUESS_GRID, GUESS)
    expect(guess).to_have_count(13)
    reveal = page.get_by_role("button", name="Reveal").first
    expect(reveal).to_be_disabled()
    for column in (0, 1, 2):
        cell(page, pictures.GUESS_GRID, 0, column, GUESS).click()
    expect(page.locator(f"{GUESS} [data-marked]")).to_have_count(3)
    expect(reveal).to_be_enabled()
    reveal.click()
    expect(page.get_by_text("You found 2 of them, and marked 1").first).to_be_visible()
    expect(cells(page, "output")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"pin=output"))
    expect(guess).to_have_text(list("1030607060301"))
    assert columns(lit(page), "input") == {0, 2, 4, 6, 8, 10, 12}
    assert console_errors == []


def test_a_late_answer_takes_no_mark_back(page: Page, serve: Any, line: Line):
    visit(page, serve(), "dilations=2,2,2&cells=15&pin=output:0,1")
    marked = page.locator(f"{GUESS} [data-marked]")
    line.held = True
    cell(page, pictures.GUESS_GRID, 0, 0, GUESS).click()
    expect(marked).to_have_count(1)
    settles(page, lambda: any(map(ends_run, line.waiting)), wanted=True)
    answer, line.waiting = line.waiting, []
    cell(page, pictures.GUESS_GRID, 0, 2, GUESS).click()
    expect(marked).to_have_count(2)
    for message in answer:
        line.send(message)
    expect(page.get_by_role("button", name="Reveal").first).to_be_enabled()  # it has come
    page.evaluate(DRAWN)
    expect(marked).to_have_count(2)
    line.release()
    idle(page)
    expect(marked).to_have_count(2)


def test_the_keyboard_alone_is_enough(lesson: Page):
    maps = layer_maps(pictures.layers((2, 2, 4), 3), 19)
    cell(lesson, "output", 0, 0).focus()
    lesson.keyboard.press("ArrowRight")
    expect(cell(lesson, "output", 0, 1)).to_have_attribute("data-active", "self")
    assert columns(lit(lesson), "input") == set(np.flatnonzero(reached(maps, 1)))
    lesson.keyboard.press("ArrowLeft")
    lesson.keyboard.press("Enter")
    expect(lesson).to_have_url(re.compile(r"pin=output"))
    expect(cell(lesson, "input", 0, 0)).to_have_text(
        "1"
    )  # the paths to the pinned unit are counted
    lesson.keyboard.press("Escape")
    expect(cell(lesson, "input", 0, 0)).to_have_text("")
    lesson.keyboard.press("2")
    expect(cells(lesson, "kernel")).to_have_count(25)
    lesson.keyboard.press("3")
    expect(cells(lesson, "dilated")).to_have_count(19)
    lesson.keyboard.press("4")
    expect(cells(lesson, "dense")).to_have_count(14)
    lesson.keyboard.press("6")
    expect(lesson.locator('[data-role="context"] .kept')).to_have_count(8)


def test_the_player_goes_layer_by_layer(lesson: Page):
    forward = lesson.get_by_role("button", name=re.compile("step forward")).first
    for wide, holes in ((5, 2), (9, 4), (17, 8)):
        forward.click()
        strip = lesson.locator(f"{PICTURE} .strip")
        expect(strip).to_contain_text(f"{wide} cells, {holes} of them holes")
    assert columns(lit(lesson), "input") == {1, 3, 5, 7, 9, 11, 13, 15, 17}
    assert columns(lit(lesson), "output") == {1}


def test_the_layers_of_a_high_stack_have_cells_of_one_size(page: Page, serve: Any):
    visit(page, serve(), "dilations=1,1,1,1,1,1,1,10&cells=40")
    expect(cells(page, "output")).to_have_count(6)
    widths = page.locator(f"{PICTURE} .cell").evaluate_all(
        "cells => [...new Set(cells.map((cell) => cell.offsetWidth))]"
    )
    assert len(widths) == 1
    assert widths[0] >= 16


@pytest.mark.parametrize(
    ("query", "role", "pictures_"),
    [("view=Photo&dilations=2,2,4", "photos", 6), ("view=Context&start=average", "context", 9)],
)
def test_photos_open_by_link(
    page: Page, serve: Any, console_errors: list, query: str, role: str, pictures_: int
):
    visit(page, serve(), query)
    images = page.locator(f'[data-role="{role}"] img')
    expect(images).to_have_count(pictures_)
    loaded = "all => all.every(one => one.complete && one.naturalWidth > 30)"
    settles(page, lambda: images.evaluate_all(loaded), wanted=True)
    expect(page.get_by_role("button", name="Reveal").first).to_be_visible()
    assert console_errors == []


@pytest.mark.parametrize("view", ["Resample", "Pooling"])
def test_the_row_has_the_size_of_these_axes(view: str, page: Page, serve: Any):
    visit(page, serve(), f"view={view}")
    row = page.locator(".st-key-controls")
    for axes, shown, hidden in (
        ("2-D", "input size", "input cells n"),
        ("1-D", "input cells n", "input size"),
    ):
        row.get_by_role("radio", name=axes).click()
        expect(row.get_by_role("slider", name=shown)).to_be_visible()
        expect(row.get_by_role("slider", name=hidden)).to_have_count(0)
