"""The lesson on convolution in a real browser."""

import re
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from explainer.ui.pictures.convolution import State, build
from explainer.ui.pictures.parts import embedding_of
from tests.browser import lesson_page
from tests.browser.conftest import idle
from tests.browser.lesson_page import cell, cells, point

visit = partial(lesson_page.visit, "convolution")


@pytest.fixture
def lesson(page: Page, serve: Any) -> Page:
    visit(page, serve())
    expect(cells(page, "output")).to_have_count(9)
    return page


def test_a_fresh_server_opens_the_slides_example_by_link(
    page: Page, serve: Any, console_errors: list
):
    server = serve.fresh()
    visit(page, server.url, "size=4&kernel=3&stride=2&padding=1")
    expect(cells(page, "output")).to_have_count(4)
    expect(page.locator('[data-role="formula"]').first).to_contain_text("4")
    page.get_by_role("button", name="Show the stairs").click()
    expect(page.locator('[data-role="staircase"][data-shown="4"]')).to_be_visible()
    assert console_errors == []


def test_a_slider_changes_shape_and_numbers(lesson: Page, console_errors: list):
    before = cells(lesson, "output").all_inner_texts()
    thumb = lesson.get_by_role("slider", name="stride s")
    thumb.focus()
    thumb.press("ArrowLeft")
    expect(cells(lesson, "output")).to_have_count(25)
    expect(lesson).to_have_url(re.compile(r"stride=1"))
    assert cells(lesson, "output").all_inner_texts()[:3] != before[:3]
    assert console_errors == []


@pytest.mark.parametrize("target", [(0, 0), (1, 2), (2, 2)])
def test_an_output_lights_what_it_reads(lesson: Page, target: tuple[int, int]):
    A = build(State())
    valid, embedding = embedding_of(A)
    lights = point(lesson, "output", *target)
    expected = {(link.input[0] - 1, link.input[1] - 1) for link in valid.reads(target)}
    assert lights["input"] == expected
    assert len(lights["kernel"]) == 9
    assert embedding.output_shape == (7, 7)


@pytest.mark.parametrize("settings", [(4, 1, 0), (4, 2, 1)])
def test_an_output_lights_its_row_of_the_matrix(
    page: Page, serve: Any, settings: tuple[int, int, int]
):
    size, stride, padding = settings
    visit(page, serve(), f"view=Matrix&size={size}&stride={stride}&padding={padding}")
    A = build(State(size=size, stride=stride, padding=padding))
    valid, embedding = embedding_of(A)
    outputs, padded = valid.output_shape, embedding.output_shape
    expect(cells(page, "matrix")).to_have_count(valid.shape[0] * valid.shape[1])
    for target in ((0, 0), (0, 1), (1, 1)):
        links = valid.reads(target)
        lights = point(page, "output", *target)
        assert lights["output"] == {target}
        assert lights["input"] == {tuple(at - padding for at in link.input) for link in links}
        assert lights["kernel"] == {link.tap for link in links}
        row = target[0] * outputs[1] + target[1]
        entries = {(row, link.input[0] * padded[1] + link.input[1]) for link in links}
        assert lights["matrix"] == entries
        # And the other way: an entry of that row is one link.
        link = links[0]
        lights = point(page, "matrix", row, link.input[0] * padded[1] + link.input[1])
        assert lights["output"] == {target}
        assert lights["kernel"] == {link.tap}
        assert lights["input"] == {tuple(at - padding for at in link.input)}


def test_an_input_lights_the_outputs_that_read_it(lesson: Page):
    A = build(State())
    for target in ((0, 0), (1, 1), (2, 3)):
        lights = point(lesson, "input", *target)
        assert lights["output"] == {link.output for link in A.reaches(target)}


def test_a_weight_lights_every_pair(lesson: Page):
    A = build(State())
    lights = point(lesson, "kernel", 0, 0)
    valid, _ = embedding_of(A)
    links = valid.joined_by((0, 0))
    assert lights["output"] == {link.output for link in links}
    assert lights["input"] == {(link.input[0] - 1, link.input[1] - 1) for link in links}


def test_hovering_sends_nothing(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    for step in range(50):
        cell(lesson, "input", step % 5, (step * 3) % 5).hover()
    assert len(ws_frames) == sent


def test_a_pin_goes_into_the_address_and_stays_when_a_setting_changes(lesson: Page):
    cell(lesson, "output", 1, 1).click()
    expect(lesson).to_have_url(re.compile(r"pin=output"))
    thumb = lesson.get_by_role("slider", name="stride s")
    thumb.focus()
    thumb.press("ArrowLeft")
    expect(cells(lesson, "output")).to_have_count(25)
    expect(cell(lesson, "output", 1, 1)).to_have_attribute("data-pinned", "")
    # What the pointer rests on comes before the pin: away with it.
    lesson.mouse.move(1, 1)
    expect(cell(lesson, "output", 1, 1)).to_have_attribute("data-active", "self")


def test_the_stairs_choose_the_size(lesson: Page):
    lesson.get_by_role("button", name="Show the stairs").click()
    stairs = lesson.locator('[data-role="staircase"] svg')
    stairs.focus()
    stairs.press("ArrowRight")
    expect(lesson).to_have_url(re.compile(r"size=6"))
    expect(lesson.locator('[data-role="staircase"][data-shown="6"]')).to_be_visible()


def test_a_number_typed_into_a_cell_reaches_the_picture(lesson: Page):
    first = cell(lesson, "kernel", 0, 0)
    first.click()
    first.dblclick()
    lesson.keyboard.type("5")
    lesson.keyboard.press("Enter")
    expect(cell(lesson, "kernel", 0, 0)).to_have_text("5")
    expect(lesson).to_have_url(re.compile(r"weights=own"))


def test_the_keyboard_alone_switches_views_and_walks_the_grid(lesson: Page):
    cell(lesson, "output", 0, 0).focus()
    lesson.keyboard.press("ArrowRight")
    expect(cell(lesson, "output", 0, 1)).to_have_attribute("data-active", "self")
    lesson.keyboard.press("2")
    expect(cells(lesson, "matrix").first).to_be_visible()
    expect(lesson).to_have_url(re.compile(r"view=Matrix"))


def test_a_digit_switches_views_on_a_cell_that_can_be_edited_and_is_typed_in_its_editor(
    lesson: Page,
):
    cell(lesson, "kernel", 0, 0).focus()
    lesson.keyboard.press("2")
    expect(cells(lesson, "matrix").first).to_be_visible()
    cell(lesson, "kernel", 0, 1).focus()
    lesson.keyboard.press("F2")
    lesson.keyboard.type("4")
    expect(lesson.locator(".editor").first).to_have_value("4")
    lesson.keyboard.press("Enter")
    expect(cell(lesson, "kernel", 0, 1)).to_have_text("4")
    expect(lesson).to_have_url(re.compile(r"view=Matrix"))
    lesson.keyboard.press("?")
    expect(lesson.get_by_role("note", name="keys").first).to_contain_text("F2")


def tab_to(page: Page, what: str) -> None:
    """Press Tab until what has the focus matches a selector."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("what => document.activeElement.matches(what)", what):
            return
    raise AssertionError(f"no Tab leads to {what}")


def test_the_question_is_answered_by_keyboard_alone(lesson: Page, console_errors: list):
    tab_to(lesson, ".st-key-predict input[type=radio]")
    lesson.keyboard.press("Space")
    grows, stays = (lesson.get_by_role("radio", name=name) for name in ("grows", "stays"))
    expect(grows).to_be_checked()
    lesson.keyboard.press("ArrowRight")
    expect(stays).to_be_checked()
    expect(lesson.get_by_role("button", name="Reveal")).to_be_enabled()
    tab_to(lesson, ".st-key-predict button")
    lesson.keyboard.press("Enter")
    expect(lesson.get_by_text("the sixth cell is never read").first).to_be_visible()
    expect(lesson).to_have_url(re.compile("size=6"))
    expect(cells(lesson, "output")).to_have_count(4)
    assert console_errors == []


def test_a_number_is_typed_into_two_layers(page: Page, serve: Any):
    visit(page, serve(), "view=Two layers")
    others = cells(page, "second").all_inner_texts()
    cell(page, "kernel", 0, 1).dblclick()
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    expect(cell(page, "kernel", 0, 1)).to_have_text("5")
    expect(page).to_have_url(re.compile(r"weights=own"))
    assert cells(page, "second").all_inner_texts() == others


def test_a_number_is_typed_into_a_channel(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "view=Channels")
    others = [cells(page, f"input{channel}").all_inner_texts() for channel in (1, 3)]
    cell(page, "input2", 0, 1).dblclick()
    page.keyboard.type("−7")
    page.keyboard.press("Enter")
    expect(cell(page, "input2", 0, 1)).to_have_text("−7")
    expect(page).to_have_url(re.compile(r"x="))
    idle(page)
    assert [cells(page, f"input{channel}").all_inner_texts() for channel in (1, 3)] == others
    assert console_errors == []


def test_every_example_shows_its_picture(lesson: Page, console_errors: list):
    lesson.get_by_role("button", name="4×16").click()
    expect(cells(lesson, "matrix")).to_have_count(64)
    expect(cell(lesson, "matrix", 0, 0)).to_have_text("w11")
    lesson.get_by_role("button", name="2×6").click()
    expect(cells(lesson, "matrix")).to_have_count(12)
    lesson.get_by_role("button", name="Reset").click()
    expect(cells(lesson, "matrix")).to_have_count(0)
    expect(cells(lesson, "output")).to_have_count(9)
    assert console_errors == []


def test_a_bad_link_gets_a_notice_and_the_default(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "size=99&kernel=x")
    expect(cells(page, "output")).to_have_count(9)
    expect(page.get_by_text("The link asks for size").first).to_be_visible()
    expect(page.get_by_text("The link asks for kernel").first).to_be_visible()
    assert console_errors == []


def test_share_gives_link_and_qr_code(page: Page, serve: Any):
    visit(page, serve(), "size=6")
    expect(cells(page, "output")).to_have_count(9)
    page.get_by_role("button", name="Share").click()
    expect(page.locator("img.qr")).to_be_visible()
    expect(page.get_by_text("/convolution?size=6")).to_be_visible()


def test_an_example_stays_when_a_view_is_chosen_before_its_answer(lesson: Page):
    example = lesson.locator('.st-key-presets [data-role="button-row"] button')
    example.filter(has_text="4×16").evaluate(
        """(button) => {
          button.click();
          const key = { key: "2", code: "Digit2", bubbles: true };
          document.body.dispatchEvent(new KeyboardEvent("keydown", key));
        }"""
    )
    expect(lesson).to_have_url(
        re.compile(r"size=4&stride=1&padding=0&letters=true&view=Matrix$"), timeout=20_000
    )
    idle(lesson)
    expect(lesson.get_by_role("slider", name="size n")).to_have_value("4")
    expect(cells(lesson, "matrix")).to_have_count(4 * 16)


def test_the_answer_says_to_drag_along_stairs_that_are_in_sight(lesson: Page):
    lesson.get_by_text("stays", exact=True).click()
    idle(lesson)
    lesson.get_by_role("button", name="Reveal").click()
    expect(lesson.get_by_text("Drag along the stairs").first).to_be_visible()
    stairs = lesson.locator('[data-role="staircase"][data-shown="6"]')
    expect(stairs).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_stairs_take_the_place_that_was_kept_for_them(width: int, lesson: Page):
    lesson.set_viewport_size({"width": width, "height": width * 9 // 16})
    question = lesson.locator(".st-key-predict")
    lesson.locator(".st-key-stairs_kept").wait_for()
    idle(lesson)
    before = question.bounding_box()
    lesson.get_by_role("button", name="Show the stairs").click()
    lesson.locator('[data-role="staircase"][data-ready="true"] svg').wait_for()
    idle(lesson)
    after = question.bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=2)


def test_padding_has_no_number_of_its_own(page: Page, serve: Any):
    visit(page, serve(), "padding=1")
    cell(page, "input", -1, -1).dblclick()
    expect(page).to_have_url(re.compile(r"pin=input"))
    page.keyboard.press("F2")
    expect(page.locator(".editor")).to_have_count(0)
    cell(page, "input", 0, 0).dblclick()
    expect(page.locator(".editor")).to_be_focused()
