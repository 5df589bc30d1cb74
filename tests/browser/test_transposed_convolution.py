"""The lesson on transposed convolution in a real browser."""

import re
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from explainer.ops import number
from explainer.ui.pictures.transposed_convolution import D1_STRIDE, VIEWS, State, build
from tests.browser import lesson_page
from tests.browser.conftest import idle
from tests.browser.lesson_page import PICTURE, cell, cells, point

visit = partial(lesson_page.visit, "transposed_convolution")

SLIDE = "size=2&kernel=3&stride=2&padding=1&output_padding=1"


def output(state: State) -> list[str]:
    """The numbers of the output, row by row."""
    return [number(value) for value in build(state).A(state.input).ravel()]


def expect_output(page: Page, state: State) -> None:
    """Wait for the numbers of a state in its frame."""
    shape = build(state).A.output_shape
    for place, text in enumerate(output(state)):
        row, column = divmod(place, shape[-1])
        expect(cell(page, "output", row, column)).to_have_text(text)


@pytest.fixture
def lesson(page: Page, serve: Any) -> Page:
    """The slide's example."""
    visit(page, serve(), SLIDE)
    expect(cells(page, "output")).to_have_count(25)
    return page


def show(page: Page, view: str) -> None:
    page.keyboard.press(str(VIEWS.index(view) + 1))
    tab = page.locator(f'{PICTURE} [role="tab"][aria-selected="true"]')
    expect(tab.filter(has_text=view)).to_be_visible()
    mark = {"Matrix": "transposed", "Zero insertion": "spread", "Gradient": "u"}.get(view)
    if mark:
        expect(cells(page, mark).first).to_be_visible()


def test_a_fresh_server_opens_the_slides_example_by_link(
    page: Page, serve: Any, console_errors: list
):
    visit(page, serve.fresh().url, SLIDE)
    expect(cells(page, "output")).to_have_count(25)
    expect_output(page, D1_STRIDE)
    expect(cells(page, "input")).to_have_count(4)
    expect(cells(page, "kernel")).to_have_count(9)
    expect(page.locator(f"{PICTURE} .title").last).to_contain_text("4×4, in the canvas, 5×5")
    expect(page.locator('[data-role="formula"]').first).to_contain_text("4 views differ by 0")
    assert console_errors == []


def test_a_slider_changes_shape_and_numbers(lesson: Page, console_errors: list):
    thumb = lesson.get_by_role("slider", name="stride s")
    thumb.focus()
    thumb.press("ArrowRight")
    state = State(size=2, stride=3, padding=1, output_padding=1)
    expect(cells(lesson, "output")).to_have_count(36)
    expect_output(lesson, state)
    expect(lesson).to_have_url(re.compile(r"stride=3"))
    assert console_errors == []


def test_of_two_keys_in_quick_succession_the_later_counts(open_page: Any, serve: Any):
    page, records = open_page()
    visit(page, serve(), SLIDE)
    before = records.runs
    # In one turn of the browser: nothing has answered the first when the second comes.
    page.evaluate(
        """() => ["2", "1"].forEach((key) => document.body.dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true })))"""
    )
    # The page is idle until the server has begun to answer, and looks as it shall in the end.
    records.wait_for_run(page, before)
    tab = page.locator(f'{PICTURE} [role="tab"][aria-selected="true"]')
    expect(tab).to_contain_text(VIEWS[0])
    expect(cells(page, "output")).to_have_count(25)
    expect(cells(page, "transposed")).to_have_count(0)


@pytest.mark.parametrize("view", VIEWS)
def test_an_output_lights_what_it_reads_in_every_view(lesson: Page, view: str):
    if view != VIEWS[0]:
        show(lesson, view)
    A = build(D1_STRIDE).A
    for target in ((0, 0), (1, 2), (3, 3)):
        lights = point(lesson, "output", *target)
        links = A.reads(target)
        assert lights["input"] == {link.input for link in links}
        if view == "Zero insertion":
            assert len(lights["flipped"]) == len(lights["kernel"]) == 9
        else:
            assert lights["kernel"] == {link.tap for link in links}
        if view == "Matrix":
            row = target[0] * 4 + target[1]
            flat = {link.input[0] * 2 + link.input[1] for link in links}
            assert lights["transposed"] == {(row, column) for column in flat}
            assert lights["matrix"] == {(column, row) for column in flat}


@pytest.mark.parametrize("kernel", ["kernel", "flipped"])
def test_a_weight_lights_what_it_meets_flipped_or_not(lesson: Page, kernel: str):
    show(lesson, "Zero insertion")
    row, column = (0, 1) if kernel == "kernel" else (2, 1)
    lights = point(lesson, kernel, row, column)
    assert lights["kernel"] == {(0, 1)}
    assert lights["flipped"] == {(2, 1)}
    assert len(lights["output"]) == 16
    assert len(lights["spread"]) == 16
    assert lights["input"] == {link.input for link in build(D1_STRIDE).A.joined_by((0, 1))}


def test_an_input_lights_its_stamp(lesson: Page):
    drawn = build(D1_STRIDE).drawn
    for target in ((0, 0), (1, 0)):
        lights = point(lesson, "input", *target)
        # The canvas counts from the frame: its first row and column are -1.
        expected = {
            (row - 1, column - 1) for row, column in (link.output for link in drawn.reaches(target))
        }
        assert lights["output"] == expected
        assert len(lights["kernel"]) == 9


def test_the_pinned_cell_stays_from_view_to_view(lesson: Page):
    cell(lesson, "output", 1, 2).click()
    expect(lesson).to_have_url(re.compile(r"pin=output"))
    lesson.mouse.move(2, 2)
    for view in (*VIEWS[1:], VIEWS[0]):
        show(lesson, view)
        expect(cell(lesson, "output", 1, 2)).to_have_attribute("data-active", "self")
        expect(cell(lesson, "output", 1, 2)).to_have_text("16")


@pytest.mark.parametrize(
    ("query", "row"),
    [("size=4", 2), ("size=5&kernel=5", 0)],
    ids=["a sparsity picture", "one axis stands for two"],
)
def test_in_a_large_matrix_too(query: str, row: int, page: Page, serve: Any):
    visit(page, serve(), f"{query}&pin=output:2,3")
    show(page, "Matrix")
    expect(cell(page, "output", row, 3)).to_have_attribute("data-active", "self")
    expect(page.get_by_text("nothing is pinned")).to_have_count(0)
    show(page, "Overlap-add")
    expect(cell(page, "output", 2, 3)).to_have_attribute("data-active", "self")


def test_views_are_switched_from_the_keyboard_while_a_cell_has_the_focus(
    lesson: Page, console_errors: list
):
    for grid, place in (("output", (1, 2)), ("input", (0, 1))):
        cell(lesson, grid, *place).focus()
        for view in (*VIEWS[1:], VIEWS[0]):
            show(lesson, view)
            # The cell is there in every view, and the keyboard goes on from it.
            expect(cell(lesson, grid, *place)).to_be_focused()
            expect(cell(lesson, grid, *place)).to_have_attribute("data-active", "self")
    # One that the next view lacks takes the focus with it.
    show(lesson, "Matrix")
    cell(lesson, "matrix", 0, 0).focus()
    show(lesson, "Overlap-add")
    expect(cells(lesson, "matrix")).to_have_count(0)
    expect(cell(lesson, "output", 0, 0)).not_to_have_attribute("data-active", "self")
    assert console_errors == []


def test_keys_go_to_the_picture_after_an_example_but_not_past_a_popover(
    lesson: Page, console_errors: list
):
    picture = lesson.locator(PICTURE)
    lesson.get_by_role("button", name="Reset").click()
    expect(lesson).not_to_have_url(re.compile(r"output_padding=1"))  # the answer has begun
    idle(lesson)
    cell(lesson, "output", 1, 1).click()
    expect(lesson).to_have_url(re.compile(r"pin=output"))
    keys = lesson.get_by_role("note", name="keys")
    lesson.get_by_role("button", name="Share").click()
    popover = lesson.get_by_role("dialog", name="Share")
    expect(popover.locator("img")).to_be_visible()
    # Its ground has the focus nowhere: the keys are the popover's all the same.
    popover.locator("img").click()
    lesson.keyboard.press("?")
    lesson.keyboard.press("Escape")
    expect(popover).to_have_count(0)
    expect(keys).to_have_count(0)
    expect(picture).to_have_attribute("data-pin", "output:1,1")
    lesson.get_by_role("button", name="Reset").focus()
    lesson.keyboard.press("?")
    expect(keys).to_be_visible()
    lesson.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    lesson.keyboard.press("Escape")
    expect(picture).to_have_attribute("data-pin", "")
    expect(lesson).not_to_have_url(re.compile(r"pin="))
    assert console_errors == []


# Counts the entries that move for the 600 ms in which C turns into its transpose.
COUNT_MOVES = """
    window.moves = [];
    const animate = Element.prototype.animate;
    Element.prototype.animate = function (frames, options) {
      if (options.duration === 600) window.moves.push(frames[0].transform);
      return animate.call(this, frames, options);
    };
"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_matrix_turns_into_its_transpose(open_page: Any, serve: Any, motion: Any):
    page, records = open_page(reduced_motion=motion)
    page.add_init_script(COUNT_MOVES)
    visit(page, serve(), SLIDE)
    expect(cells(page, "output")).to_have_count(25)
    show(page, "Matrix")
    expect(cells(page, "transposed")).to_have_count(64)
    # Every link comes over from its mirror image, or, with reduced motion, is there at once.
    links = len(build(D1_STRIDE).A.cols)
    assert len(page.evaluate("window.moves")) == (links if motion == "no-preference" else 0)
    assert records.errors == []


def test_scrubbing_shows_partial_sums_and_sends_nothing(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    scrub = lesson.locator(f'{PICTURE} .player input[type="range"]')
    scrub.focus()
    scrub.press("Home")
    # The first copy alone, cropped at its first row and column.
    expect(cell(lesson, "output", 0, 0)).to_have_text("1")
    expect(cell(lesson, "output", 2, 2)).to_have_text("")
    scrub.press("ArrowRight")
    drawn = build(D1_STRIDE).drawn
    two = number((drawn.stamp((0, 0), 1) + drawn.stamp((0, 1), 2))[1, 2])
    expect(cell(lesson, "output", 0, 1)).to_have_text(two)
    assert len(ws_frames) == sent


def test_hovering_sends_nothing(lesson: Page, ws_frames: list):
    sent = len(ws_frames)
    for step in range(50):
        cell(lesson, "output", step % 4, (step * 3) % 4).hover()
    assert len(ws_frames) == sent


def test_the_frame_is_dragged_by_keyboard(lesson: Page):
    """From D1's case to one crop more, and beyond the canvas to D2's."""
    right = lesson.get_by_role("slider", name="right edge")
    right.focus()
    right.press("ArrowLeft")
    expect(lesson).not_to_have_url(re.compile(r"output_padding=1"))
    expect_output(lesson, State(size=2, output_padding=0))
    left = lesson.get_by_role("slider", name="left edge")
    left.focus()
    left.press("ArrowLeft")
    expect(lesson).to_have_url(re.compile(r"padding=0"))


def test_a_menu_that_has_closed_leaves_the_digits_to_the_views(page: Page, serve: Any):
    visit(page, serve(), "view=Cases")
    menu = page.get_by_role("combobox", name="Side by side")
    menu.click()
    page.get_by_role("option", name="not an inverse").click()
    expect(page).to_have_url(re.compile("more="))
    idle(page)
    show(page, VIEWS[0])


# Texts of cells that a handle of the frame covers, with the knob at its upper end.
COVERED = """(root) => {
  const meets = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const drawn = [...root.querySelectorAll(".handle")].flatMap((handle) => {
    const bar = handle.getBoundingClientRect();
    const size = parseFloat(getComputedStyle(handle, "::before").width);
    const x = bar.x + bar.width / 2;
    return [bar, new DOMRect(x - size / 2, bar.y - size / 2, size, size)];
  });
  const texts = [...root.querySelectorAll(".cell > span")].filter((text) => {
    const range = document.createRange();
    range.selectNodeContents(text);
    const { x, y, width, height } = range.getBoundingClientRect();
    const digits = new DOMRect(x, y + height / 4, width, height / 2); // not the line's whole height
    return width && drawn.some((box) => meets(box, digits));
  });
  return [drawn.length, ...texts.map((text) => text.textContent)];
}"""

NO_INVERSE = "size=2&kernel=2&stride=1&padding=0&weights=own&x=37,47;67,77&w=1,2;3,4"


@pytest.mark.parametrize("query", ["", NO_INVERSE, "size=6", "axes=1-D&size=6&kernel=5", "size=1"])
def test_the_handles_of_the_frame_cover_no_digits(query: str, page: Page, serve: Any):
    visit(page, serve(), query)
    assert page.locator(PICTURE).first.evaluate(COVERED) == [4]


def test_the_frame_is_dragged_by_a_thin_edge(lesson: Page):
    """From two pixels beside the bar, to one crop more."""
    right = lesson.get_by_role("slider", name="right edge").bounding_box()
    pitch = cell(lesson, "output", 0, 0).bounding_box()
    assert right
    assert pitch
    x, y = right["x"] + right["width"] + 2, right["y"] + right["height"] / 2
    lesson.mouse.move(x, y)
    lesson.mouse.down()
    lesson.mouse.move(x - pitch["width"], y, steps=4)
    lesson.mouse.up()
    expect(lesson).not_to_have_url(re.compile(r"output_padding=1"))
    expect_output(lesson, State(size=2, output_padding=0))


def test_a_number_typed_into_a_cell_reaches_the_picture(lesson: Page):
    first = cell(lesson, "kernel", 0, 0)
    first.focus()
    lesson.keyboard.press("F2")
    lesson.keyboard.type("5")
    lesson.keyboard.press("Enter")
    expect(cell(lesson, "kernel", 0, 0)).to_have_text("5")
    expect(lesson).to_have_url(re.compile(r"weights=own"))


def test_letters_are_not_edited(page: Page, serve: Any):
    visit(page, serve(), f"{SLIDE}&letters=true")
    expect(cell(page, "kernel", 0, 0)).to_have_text("w11")
    cell(page, "kernel", 0, 0).dblclick()
    expect(page).to_have_url(re.compile(r"pin=kernel"))
    cell(page, "input", 0, 0).focus()
    page.keyboard.press("F2")
    expect(page.locator(".editor")).to_have_count(0)


def test_the_prediction_answers_by_keyboard(lesson: Page, console_errors: list):
    radio = lesson.get_by_role("radio", name="zeros")
    radio.focus()
    radio.press(" ")
    reveal = lesson.get_by_role("button", name="Reveal")
    expect(reveal).to_be_enabled()
    reveal.press("Enter")
    expect(lesson.get_by_text("reaches beyond the canvas").first).to_be_visible()
    expect(cells(lesson, "output")).to_have_count(36)
    expect(cell(lesson, "output", 5, 5)).to_have_attribute("data-mark", "e")
    assert console_errors == []


def test_examples_show_their_pictures(lesson: Page, console_errors: list):
    lesson.get_by_role("button", name="16×4").click()
    expect(cells(lesson, "transposed")).to_have_count(64)
    expect(cell(lesson, "transposed", 0, 0)).to_have_text("w11")
    lesson.get_by_role("button", name="four copies").click()
    expect(cells(lesson, "copy4")).to_have_count(9)
    expect(cell(lesson, "output", 2, 1)).to_have_text("12")
    lesson.get_by_role("button", name="Reset").click()
    expect(cells(lesson, "copy4")).to_have_count(0)
    expect_output(lesson, State())
    assert console_errors == []


def test_an_example_of_two_cases_shows_them_in_the_window(lesson: Page):
    lesson.set_viewport_size({"width": 1280, "height": 720})
    idle(lesson)
    lesson.get_by_role("button", name="no inverse").click()
    expect(cells(lesson, "printed")).to_have_count(9)
    assert cells(lesson, "printed").all_inner_texts()[:3] == ["148", "299", "141"]
    for grid in ("input", "v", "back", "printed"):
        expect(cells(lesson, grid).last).to_be_in_viewport(ratio=1)
    expect(lesson).to_have_url(re.compile(r"weights=own"))
    idle(lesson)
    show(lesson, "Overlap-add")
    expect(cell(lesson, "output", 0, 1)).to_have_text("121")


def test_n_and_k_stand_in_one_row_with_the_other_sliders(lesson: Page):
    lesson.set_viewport_size({"width": 1280, "height": 720})
    row = lesson.locator(".st-key-controls")
    names = ("size n", "kernel k", "stride s", "padding p", "output_padding")
    tracks = [row.get_by_role("group", name=name, exact=True).bounding_box() for name in names]
    settings = row.get_by_role("button", name="All settings").bounding_box()
    assert settings
    for track in tracks:
        assert track
        assert track["width"] > 70
        assert settings["y"] < track["y"] + track["height"] / 2 < settings["y"] + settings["height"]


def test_a_bad_link_gets_a_notice_and_the_default(page: Page, serve: Any, console_errors: list):
    visit(page, serve(), "size=99&output_padding=x")
    expect_output(page, State())
    expect(page.get_by_text("The link asks for size").first).to_be_visible()
    expect(page.get_by_text("The link asks for output_padding").first).to_be_visible()
    assert console_errors == []
