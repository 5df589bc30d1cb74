"""The lesson on receptive fields in a real browser."""

import re
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from explainer.ui.pictures import receptive_field as pictures
from explainer.ui.pictures.receptive_field import KNOWN, State
from tests.browser import lesson_page
from tests.browser.conftest import idle

visit = partial(lesson_page.visit, "receptive_field")

PICTURE = '[data-role="photo-field"][data-ready="true"]'
VGG = pictures.rows(State())


def row(page: Page, place: int) -> Locator:
    return page.locator(f'{PICTURE} tr[data-row="{place}"]')


def result(page: Page, place: int, name: str = "r") -> Locator:
    return row(page, place).locator(f'[data-result="{name}"]')


def number(page: Page, place: int, name: str) -> Locator:
    return row(page, place).locator(f'input[data-field="{name}"]')


def strip(page: Page) -> Locator:
    return page.locator(f'{PICTURE} [data-role="strip"]')


def drawn(page: Page) -> list[float]:
    """Left, top, width and height of the field that stands out on the photo."""
    active = page.locator(f"{PICTURE} rect.field.active")
    expect(active).to_have_count(1)
    return active.evaluate(
        "box => ['x', 'y', 'width', 'height'].map((name) => Number(box.getAttribute(name)))"
    )


def box(place: int) -> list[float]:
    """The same from Python."""
    found = VGG[place].box
    return [found.left, found.top, found.width, found.height]


@pytest.fixture
def lesson(page: Page, serve: Any) -> Page:
    visit(page, serve())
    expect(result(page, 18)).to_have_text("404")
    return page


def test_a_fresh_server_opens_the_slides_example_by_link(
    page: Page, serve: Any, console_errors: list
):
    server = serve.fresh()
    visit(page, server.url, "layers=" + pictures.written(KNOWN["AlexNet"]))
    expect(result(page, 8)).to_have_text("355")
    expect(page.locator('[data-role="formula"]').first).to_contain_text("355")
    expect(strip(page)).to_contain_text("355×355")
    assert console_errors == []


def test_a_layer_lights_its_field(lesson: Page):
    assert drawn(lesson) == box(18)
    for place in (0, 5, 16):
        result(lesson, place).hover()
        expect(strip(lesson)).to_have_text(VGG[place].says)
        assert drawn(lesson) == box(place)
    lesson.mouse.move(5, 5)
    expect(strip(lesson)).to_have_text(VGG[18].says)


def test_hovering_sends_nothing(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    for step in range(50):
        result(lesson, step * 7 % 19).hover()
    lesson.locator(f'{PICTURE} [data-role="stage"]').hover()
    assert len(ws_frames) == sent


def test_a_number_changes_fields_and_address(lesson: Page, console_errors: list):
    kernel = number(lesson, 0, "kernel")
    kernel.focus()
    kernel.press("ArrowUp")
    kernel.press("Tab")
    expect(result(lesson, 0)).to_have_text("4")
    expect(result(lesson, 18)).to_have_text("405")
    expect(lesson.get_by_text("VGG16, edited: layer").first).to_be_visible()
    expect(lesson).to_have_url(re.compile("layers=4p1-"))
    number(lesson, 1, "stride").fill("0")
    number(lesson, 1, "stride").press("Enter")
    expect(
        lesson.get_by_text("The stride must be a whole number from 1 to 16").last
    ).to_be_visible()
    expect(number(lesson, 1, "stride")).to_have_value("1")
    number(lesson, 1, "stride").fill("1e1")
    number(lesson, 1, "stride").press("Enter")
    expect(number(lesson, 1, "stride")).to_have_value("10")
    assert console_errors == []


def test_layers_come_and_go(lesson: Page):
    row(lesson, 18).hover()
    row(lesson, 18).get_by_role("button", name="remove fc6").click()
    expect(result(lesson, 17)).to_have_text("212")
    expect(row(lesson, 18)).to_have_count(0)
    row(lesson, 17).get_by_role("button", name=re.compile("repeat")).click()
    expect(result(lesson, 18)).to_have_text("244")


def test_a_click_on_the_photo_moves_the_place(lesson: Page):
    photo = lesson.locator(f"{PICTURE} image").first
    photo.click(position={"x": 10, "y": 10}, force=True)
    expect(lesson).to_have_url(re.compile(r"place=\d+(%2C|,)\d+"))
    found = re.search(r"place=(\d+)(?:%2C|,)(\d+)", lesson.url)
    assert found
    place = int(found[1]), int(found[2])
    assert max(place) < 40
    state = State(y=place[0], x=place[1])
    expect(strip(lesson)).to_have_text(pictures.rows(state)[18].says)
    corner = pictures.rows(state)[18].box
    assert drawn(lesson) == [corner.left, corner.top, 404, 404]


def test_the_keyboard_alone(lesson: Page, ws_frames: list):
    name = row(lesson, 18).get_by_role("button", name="fc6", exact=False).first
    name.focus()
    sent = len(ws_frames)
    lesson.keyboard.press("ArrowLeft")
    expect(strip(lesson)).to_have_text(VGG[17].says)
    lesson.keyboard.press("ArrowUp")
    expect(strip(lesson)).to_have_text(VGG[16].says)
    assert len(ws_frames) == sent
    lesson.keyboard.press("Enter")
    expect(lesson.locator('[data-role="formula"]').first).to_contain_text("conv5_3")
    expect(lesson).to_have_url(re.compile("layer=17"))
    stage = lesson.locator(f'{PICTURE} [data-role="stage"]')
    stage.focus()
    for _ in range(2):
        lesson.keyboard.press("ArrowRight")
    lesson.keyboard.press("Enter")
    expect(lesson).to_have_url(re.compile("place=150(%2C|,)257"))


def test_digits_switch_the_views_but_not_while_a_number_is_typed(lesson: Page):
    kernel = number(lesson, 18, "kernel")
    kernel.click()
    lesson.keyboard.press("2")
    lesson.keyboard.press("Escape")
    expect(row(lesson, 18)).to_be_visible()
    lesson.locator(f'{PICTURE} [data-role="stage"]').focus()
    lesson.keyboard.press("2")
    expect(lesson).to_have_url(re.compile("view=network"))
    expect(lesson.get_by_text("Size the circle")).to_be_visible()
    idle(lesson)  # until then the picture of the last view is there too, and hears the keys
    lesson.keyboard.press("?")
    keys = lesson.get_by_role("note", name="keys")
    expect(keys).to_contain_text("another view")
    lesson.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    lesson.keyboard.press("1")
    expect(row(lesson, 18)).to_be_visible()


def test_keys_go_to_the_table_after_an_example(lesson: Page, console_errors: list):
    stage = lesson.locator(f'{PICTURE} [data-role="stage"]')
    stage.focus()
    lesson.keyboard.press("?")
    keys = lesson.get_by_role("note", name="keys")
    expect(keys).to_be_visible()
    lesson.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    stage.blur()
    lesson.keyboard.press("Space")
    expect(lesson.get_by_role("button", name="Play")).to_contain_text("Pause")
    lesson.get_by_role("button", name="Reset").focus()
    lesson.keyboard.press("Escape")
    expect(lesson.get_by_role("button", name="Play")).to_contain_text("▶ Play")
    expect(strip(lesson)).to_have_text(VGG[18].says)
    assert console_errors == []


def test_it_plays_layer_by_layer(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    lesson.get_by_role("button", name="Play").click()
    # A busy machine may look after the third layer only: each is there for 0.7 s.
    expect(lesson.get_by_text(re.compile(r"layer ([3-9]|1[0-8]) of 19"))).to_be_visible()
    lesson.get_by_role("button", name="Play").click()
    expect(lesson.get_by_text("layer 19 of 19")).to_be_visible()
    assert len(ws_frames) == sent


def test_a_preset_shows_its_table(lesson: Page, console_errors: list):
    lesson.get_by_role("button", name="GoogLeNet").click()
    expect(result(lesson, 15)).to_have_text("907")
    expect(result(lesson, 14)).to_have_text("715")
    lesson.get_by_role("button", name="Context").click()
    expect(result(lesson, 7)).to_have_text("67")
    lesson.get_by_role("button", name="Reset").click()
    expect(result(lesson, 18)).to_have_text("404")
    assert console_errors == []


def test_on_a_phone_the_table_shows_all_its_columns(page: Page, serve: Any):
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, serve())
    cut = """(scroll) => [scroll, ...scroll.querySelectorAll("input")]
        .filter((part) => part.scrollWidth > part.clientWidth).length"""
    assert page.locator(f"{PICTURE} .scroll").evaluate(cut) == 0


def test_the_circle_the_reveal_and_the_grey(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "view=network")
    ring = page.locator(f'{PICTURE} [data-ring="guess"]')
    expect(ring).to_have_attribute("r", "200")
    stage = page.locator(f'{PICTURE} [data-role="stage"]')
    stage.focus()
    page.keyboard.press("-")
    expect(ring).to_have_attribute("r", "195")
    expect(page).to_have_url(re.compile("radius=195"))
    thumb = page.get_by_role("slider", name="Your circle")
    expect(thumb).to_have_value("195")
    thumb.focus()
    thumb.press("ArrowLeft")
    expect(ring).to_have_attribute("r", "194")
    expect(page).to_have_url(re.compile("radius=194"))
    idle(page)
    # Drag the circle's edge from its leftmost point half-way to the cross.
    found = ring.bounding_box()
    assert found
    middle = found["y"] + found["height"] / 2
    page.mouse.move(found["x"] + 1, middle)
    page.mouse.down()
    page.mouse.move(found["x"] + found["width"] / 4, middle, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"radius=(9|10)\d"))
    expect(page.locator(f'{PICTURE} [data-ring="found"]')).to_have_count(0)
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator(".js-plotly-plot").last).to_be_visible(timeout=120_000)
    expect(page.locator(f'{PICTURE} [data-ring="found"]')).to_have_count(1)
    note = page.locator(".js-plotly-plot .annotation-text").first
    expect(note).to_have_css("font-size", "18px")
    page.set_viewport_size({"width": 1920, "height": 1080})
    expect(note).to_have_css("font-size", re.compile(r"26\.9|27"))
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator(f"{PICTURE} image.heat")).to_have_count(1)
    page.get_by_text("Grey out what is outside").click()
    expect(page.get_by_text(re.compile("the label (survives|is lost)")).last).to_be_visible()
    expect(page.locator(f"{PICTURE} image.heat")).to_have_count(0)
    assert console_errors == []


def test_a_bad_link_gets_a_notice_and_the_default(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "layers=3;rm&radius=5000")
    expect(result(page, 18)).to_have_text("404")
    expect(page.get_by_text("The link gives layers").first).to_be_visible()
    expect(page.get_by_text("The link asks for radius").first).to_be_visible()
    assert console_errors == []
