"""Every view of every lesson in a window of 1280×720 and of 1920×1080, switched by its digit."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from explainer.ui.pictures import (
    checkerboard,
    convolution,
    dilation,
    transposed_convolution,
    unpooling,
)
from tests.browser.conftest import idle, settles

GRID = '[data-role="linked-grid"][data-ready="true"]'
FIELD = '[data-role="photo-field"][data-ready="true"]'
VIEWS = {
    "convolution": convolution.VIEWS,
    "unpooling": unpooling.VIEWS,
    "transposed_convolution": transposed_convolution.TABS,
    "checkerboard": checkerboard.VIEWS,
    "dilation": dilation.VIEWS,
}
SMALL: ViewportSize = {"width": 1280, "height": 720}
LARGE: ViewportSize = {"width": 1920, "height": 1080}


def needs_no_scrolling(page: Page, picture: str) -> None:
    """Sentence, controls, picture, one line of formula and the prediction are in the window."""
    question = page.locator(".st-key-predict")
    for part in (
        page.locator(".st-key-shell_title"),
        page.locator(".st-key-controls"),
        page.locator(picture),
        page.locator('[data-role="formula"] > div'),
        question.locator("p"),
        question.get_by_role("button").last,
    ):
        expect(part.first).to_be_in_viewport(ratio=1)


# Whether a picture has been drawn since; an element that has taken its place is another picture.
SEE = "root => { root.seen = root.dataset.version; }"
CHANGED = "root => root.seen !== root.dataset.version"


def size_of(page: Page) -> list[float]:
    """Width and height of the page's picture."""
    box = page.locator(GRID).first.bounding_box()
    assert box is not None
    return [box["width"], box["height"]]


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_is_whole_without_scrolling_and_grows_with_the_window(
    path: str, open_page: Any, serve: Any
):
    page, records = open_page()
    page.goto(f"{serve().rstrip('/')}/{path}")
    picture = page.locator(GRID).first
    tabs = picture.get_by_role("tab")
    expect(tabs).to_have_count(len(VIEWS[path]))
    idle(page)
    for number, view in enumerate(VIEWS[path], start=1):
        page.set_viewport_size(SMALL)
        before = records.runs
        picture.evaluate(SEE)
        page.keyboard.press(str(number))
        expect(tabs.nth(number - 1)).to_have_attribute("aria-selected", "true")
        expect(tabs.nth(number - 1)).to_contain_text(view)
        if number > 1:  # the first is on the screen already
            records.wait_for_run(page, before)
            # The run that ended may only have asked for the one that draws.
            settles(page, lambda: picture.evaluate(CHANGED), wanted=True)
            idle(page)
        needs_no_scrolling(page, GRID)
        small = size_of(page)
        page.set_viewport_size(LARGE)
        expect(page.locator(GRID).first).to_have_css("--scale", "1.5")
        idle(page)
        needs_no_scrolling(page, GRID)
        wanted = [
            pytest.approx(1.5 * small[0], rel=0.014),
            pytest.approx(1.5 * small[1], rel=0.034),
        ]
        settles(page, lambda: size_of(page), wanted)


@pytest.mark.parametrize("window", [SMALL, LARGE], ids=["720", "1080"])
def test_both_views_of_the_receptive_field_too(window: ViewportSize, page: Page, serve: Any):
    page.set_viewport_size(window)
    page.goto(f"{serve().rstrip('/')}/receptive_field")
    for view, question in (("layers", "Does every pixel"), ("network", "The dashed box")):
        page.locator(FIELD).first.wait_for()
        page.keyboard.press("1" if view == "layers" else "2")
        # The first: that of the last view stays beside it until the run has ended.
        expect(page.locator(".st-key-predict").first).to_contain_text(question)
        idle(page)
        needs_no_scrolling(page, FIELD)


QUESTIONS = [
    *(
        (path, f"view={view}")
        for path in ("convolution", "transposed_convolution")
        for view in VIEWS[path]
    ),
    *(("checkerboard", f"question={question}") for question in ("4×4", "tent", "stack")),
    *(
        ("dilation", f"view={view}") for view in VIEWS["dilation"][1:]
    ),  # the first has cells to click
]


@pytest.mark.parametrize(("path", "query"), QUESTIONS)
def test_an_answer_stands_beside_the_picture_that_shows_why(
    path: str, query: str, page: Page, serve: Any
):
    page.set_viewport_size(SMALL)
    page.goto(f"{serve().rstrip('/')}/{path}?{query}")
    page.locator(GRID).first.wait_for()
    idle(page)
    question = page.locator(".st-key-predict")
    question.locator("label:has(input[type=radio])").first.click()
    reveal = question.get_by_role("button", name="Reveal")
    expect(reveal).to_be_enabled()
    idle(page)
    reveal.click()
    expect(question.get_by_text(re.compile("^(Right|Answer): "))).to_be_visible()
    idle(page)
    needs_no_scrolling(page, GRID)


@pytest.mark.parametrize(
    ("path", "width", "side_by_side"),
    [
        ("convolution", 900, True),
        ("transposed_convolution", 900, True),
        ("transposed_convolution?view=Matrix", 900, False),  # no digits could be read
        ("convolution", 390, False),
    ],
)
def test_a_smaller_window_keeps_grids_side_by_side_while_they_can_be_read(
    path: str, width: int, side_by_side: bool, page: Page, serve: Any
):
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(f"{serve().rstrip('/')}/{path}")
    page.locator(GRID).first.wait_for()
    idle(page)
    kernel, output = (
        page.locator(f'{GRID} .cell[data-grid="{name}"]').first for name in ("kernel", "output")
    )
    ends = kernel.evaluate(
        "one => Math.max(...[...one.parentElement.children].map("
        "cell => cell.getBoundingClientRect().bottom))"
    )
    box = output.bounding_box()
    assert box is not None
    assert (box["y"] < ends) == side_by_side
    digits = float(output.evaluate("one => parseFloat(getComputedStyle(one.firstChild).fontSize)"))
    assert digits >= 15
    if side_by_side:
        expect(page.locator(f'{GRID} .cell[data-grid="output"]').last).to_be_in_viewport(ratio=1)


# What is wrong with a lesson's picture, in words.
FAULTS = """(root) => {
  const faults = [];
  const column = document.querySelector(".st-key-predict").getBoundingClientRect();
  for (const board of root.querySelectorAll(".board")) {
    const box = board.getBoundingClientRect();
    const name = board.dataset.name;
    if (box.left < 0 || box.right > column.left) faults.push(`${name} is too wide`);
    if (board.closest(".item").hasAttribute("data-compact")) continue; // shows where, not what
    for (const cell of board.querySelectorAll(".cell")) {
      const style = getComputedStyle(cell.firstChild);
      const digits = style.opacity === "0" ? 0 : parseFloat(style.fontSize);
      if (cell.textContent && digits < 18) {
        faults.push(`${name}: ${digits} px for "${cell.textContent}"`);
        break;
      }
    }
  }
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide > 0) faults.push(`the page is ${wide} px too wide`);
  return faults;
}"""


def expect_readable(page: Page) -> None:
    """Digits, formula and question of a lesson's picture can be read from the last row."""
    # The first line of the formula: the page stands at its top.
    line = page.locator('[data-role="formula"] > div').first
    expect(line).to_be_in_viewport(ratio=1, timeout=10_000)
    settles(page, lambda: page.locator(GRID).first.evaluate(FAULTS), [])


# Whose pictures are photos or maps of their own, without cells.
WITHOUT_CELLS = {"cures", "context", "its field", "photo", "edges"}


@pytest.mark.parametrize("path", VIEWS)
def test_every_example_is_readable_in_a_small_window(path: str, open_page: Any, serve: Any):
    page, records = open_page(viewport=SMALL)
    page.goto(f"{serve().rstrip('/')}/{path}")
    page.locator(GRID).first.wait_for()
    idle(page)
    buttons = page.locator('.st-key-presets [data-role="button-row"] button')
    expect(buttons.last).to_contain_text("Reset")
    names = [" ".join(text.split()) for text in buttons.all_inner_texts()]
    assert any(name.endswith("Reset") for name in names)
    for place, name in enumerate(names):
        idle(page)
        before, entries = records.runs, page.evaluate("history.length")
        buttons.nth(place).click()
        records.wait_for_run(page, before)
        try:
            assert page.evaluate("history.length") - entries <= 1
            if name not in WITHOUT_CELLS:
                expect(page.locator(f"{GRID} .cell").first).to_be_attached()
            expect_readable(page)
        except AssertionError as fault:
            fault.add_note(f"example {name}")
            raise


@pytest.mark.parametrize(
    "query",
    [
        "size=2&stride=1&view=Matrix",
        "size=3&view=Matrix",
        "size=5&stride=3&view=Matrix",
        "size=6&stride=3&view=Matrix",
        "size=4&view=Zero insertion",
        "size=3&stride=3&view=Zero insertion",
        "size=4&view=Gradient",
    ],
)
def test_a_larger_transposed_convolution_is_readable_too(query: str, page: Page, serve: Any):
    page.set_viewport_size(SMALL)
    page.goto(f"{serve().rstrip('/')}/transposed_convolution?{query}")
    page.locator(GRID).first.wait_for()
    idle(page)
    expect_readable(page)


@pytest.mark.parametrize("layers", [5, 8])
@pytest.mark.parametrize("rest", ["view=Photo&weights=edge", "view=Stack"])
def test_a_stack_of_many_layers_needs_no_second_row_of_controls(
    layers: int, rest: str, page: Page, serve: Any
):
    page.set_viewport_size(SMALL)
    stack = ",".join("1" * layers)
    page.goto(f"{serve().rstrip('/')}/dilation?dilations={stack}&{rest}")
    expect(page.locator(".st-key-controls").get_by_role("spinbutton")).to_have_count(layers)
    idle(page)
    needs_no_scrolling(page, GRID)


def test_where_settings_are_impossible_the_views_stay(page: Page, serve: Any):
    page.goto(f"{serve().rstrip('/')}/transposed_convolution?stride=2&output_padding=3")
    expect(page.locator(".st-key-impossible")).to_contain_text("output_padding")
    tabs = page.locator(GRID).first.get_by_role("tab")
    expect(tabs).to_have_count(len(transposed_convolution.TABS))
    page.keyboard.press("3")
    expect(tabs.nth(2)).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="output_padding = 1").click()
    expect(page.locator(".st-key-impossible")).to_have_count(0)
    expect(tabs.nth(2)).to_have_attribute("aria-selected", "true")
    expect(page.locator('[data-role="formula"]')).to_be_visible()
