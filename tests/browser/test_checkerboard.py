"""The lesson on checkerboards in a real browser."""

import re
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from explainer.ops import transposed_conv
from explainer.ui.pictures.checkerboard import State
from tests.browser import lesson_page
from tests.browser.conftest import idle, settles
from tests.browser.lesson_page import PICTURE, cell, cells, point

visit = partial(lesson_page.visit, "checkerboard")

A = transposed_conv((4, 4), State().kernel_values, 2)


def move(page: Page, slider: str, key: str) -> None:
    thumb = page.get_by_role("slider", name=slider).first
    thumb.focus()
    thumb.press(key)


@pytest.fixture
def lesson(page: Page, serve: Any) -> Page:
    visit(page, serve())
    expect(cells(page, "output")).to_have_count(81, timeout=120_000)
    return page


def test_a_fresh_server_opens_the_slides_example_by_link(
    page: Page, serve: Any, console_errors: list
):
    server = serve.fresh()
    visit(page, server.url, "axes=1-D&size=8&kernel=3&stride=2")
    expect(cells(page, "output")).to_have_count(17)
    assert cells(page, "output").all_inner_texts() == ["1", *["1", "2"] * 7, "1", "1"]
    expect(page.locator('[data-role="phase-bars"]').first).to_be_visible()
    assert console_errors == []


def test_a_slider_changes_shape_and_numbers(lesson: Page, console_errors: list):
    expect(cell(lesson, "output", 2, 2)).to_have_text("4")
    expect(cell(lesson, "output", 3, 3)).to_have_text("1")
    move(lesson, "kernel k", "ArrowRight")
    expect(cells(lesson, "output")).to_have_count(100)
    expect(cell(lesson, "output", 3, 3)).to_have_text("4")
    expect(lesson).to_have_url(re.compile(r"kernel=4"))
    assert console_errors == []


def test_layers_stack(lesson: Page):
    move(lesson, "layers", "ArrowRight")
    expect(cells(lesson, "layer1")).to_have_count(81)
    expect(cells(lesson, "output")).to_have_count(19 * 19)
    # Later layers light what they read, and on through to the input.
    lights = point(lesson, "output", 8, 8)
    assert lights["layer1"] == {(3, 3), (3, 4), (4, 3), (4, 4)}
    assert lights["input"]


@pytest.mark.parametrize("target", [(2, 2), (3, 3), (8, 0)])
def test_an_output_lights_the_taps_that_land_there(lesson: Page, target: tuple[int, int]):
    lights = point(lesson, "output", *target)
    links = A.reads(target)
    assert lights["input"] == {link.input for link in links}
    assert lights["kernel"] == {link.tap for link in links}


def test_an_input_lights_its_copy(lesson: Page):
    for target in ((0, 0), (2, 3)):
        lights = point(lesson, "input", *target)
        assert lights["output"] == {link.output for link in A.reaches(target)}


def test_a_phase_lights_its_taps_and_its_cells(page: Page, serve: Any):
    visit(page, serve(), "view=Phases&weights=tent")
    expect(cells(page, "sums")).to_have_count(4)
    assert cells(page, "sums").all_inner_texts() == ["1"] * 4
    lights = point(page, "sums", 0, 1)
    assert lights["kernel"] == {(0, 1), (2, 1)}
    rows, columns = range(2, 8, 2), range(1, 8, 2)
    assert lights["output"] == {(row, col) for row in rows for col in columns}


def test_hovering_sends_nothing(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    for step in range(50):
        cell(lesson, "output", step % 9, (step * 4) % 9).hover()
    assert len(ws_frames) == sent


def test_copies_are_stamped_one_after_the_other(lesson: Page, ws_frames: list):
    lesson.get_by_role("button", name="overlap in 1-D").click()
    expect(cells(lesson, "output")).to_have_count(17)
    idle(lesson)
    sent = len(ws_frames)
    forward = lesson.get_by_role("button", name="step forward").first
    forward.click()
    forward.click()
    expect(lesson.locator(f'{PICTURE}[data-step="2"]').first).to_be_visible()
    shown = [text.strip() for text in cells(lesson, "output").all_inner_texts()]
    assert shown == ["1", "1", "2", "1", "1"] + [""] * 12
    assert len(ws_frames) == sent


def test_a_weight_typed_into_the_kernel_makes_a_pattern(page: Page, serve: Any):
    visit(page, serve(), "view=Phases&weights=tent")
    expect(cells(page, "sums")).to_have_count(4)
    cell(page, "kernel", 1, 1).dblclick()
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(cell(page, "sums", 1, 1)).to_have_text("3")
    expect(cell(page, "output", 3, 3)).to_have_text("3")
    expect(page).to_have_url(re.compile(r"weights=own"))


def test_the_keyboard_alone_walks_the_grid_pins_and_switches_views(
    lesson: Page, console_errors: list
):
    cell(lesson, "output", 0, 0).focus()
    lesson.keyboard.press("ArrowRight")
    expect(cell(lesson, "output", 0, 1)).to_have_attribute("data-active", "self")
    lesson.keyboard.press("Enter")
    expect(lesson).to_have_url(re.compile(r"pin=output"))
    lesson.keyboard.press("4")
    expect(cells(lesson, "gradient")).to_have_count(81)
    expect(cell(lesson, "gradient", 2, 2)).to_have_text("4")
    lesson.keyboard.press("3")
    expect(lesson.locator('[data-role="cures"] img').nth(5)).to_be_visible()
    lesson.keyboard.press("1")
    expect(cells(lesson, "output")).to_have_count(81)
    assert console_errors == []


def test_the_photos_show_every_pixel_in_whole_pixels(page: Page, serve: Any):
    visit(page, serve(), "view=Cures&weights=noisy")
    photos = page.locator('[data-role="cures"] img')
    expect(photos.nth(5)).to_be_visible()
    loaded = "all => all.every(one => one.complete && one.naturalWidth > 0)"
    settles(page, lambda: photos.evaluate_all(loaded), wanted=True)
    for place, pixels in enumerate([48] + [96] * 5):
        box = photos.nth(place).bounding_box()
        assert box is not None
        assert box["width"] % pixels == 0
        assert box["width"] == 2 * box["height"]


def test_a_prediction_leads_to_the_picture_that_tells(lesson: Page):
    lesson.get_by_text("flat", exact=True).first.click()
    reveal = lesson.get_by_role("button", name="Reveal").first
    expect(reveal).to_be_enabled()
    reveal.click()
    expect(lesson.get_by_text("Answer: with a pattern").first).to_be_visible()
    expect(cells(lesson, "sums")).to_have_count(4)
    assert cells(lesson, "sums").all_inner_texts() == ["4", "4", "4", "8"]


def test_too_many_cells_offer_a_way_out(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "kernel=5&layers=4&size=12")
    expect(page.get_by_text("there is room for 48").first).to_be_visible()
    page.get_by_role("button", name="layers = 1").first.click()
    expect(cells(page, "output")).to_have_count(27 * 27)
    assert console_errors == []
