"""The linked grid in a real browser, against the maps of `explainer.ops` that it shows."""

import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from explainer.ops import LinearMap, number
from tests.browser.conftest import idle, settles

DEMO = Path(__file__).parent / "apps" / "linked_grid_demo.py"
APP = runpy.run_path(str(DEMO))

Cells = set[tuple[int, int]]


class Picture:
    """What a visitor does with a picture, and what they see."""

    def __init__(self, page: Page):
        self.page = page
        self.root = page.locator('[data-role="linked-grid"]').first
        expect(self.root).to_have_attribute("data-ready", "true")
        # Below the picture: nothing above it will move any more, but for fonts that come in.
        expect(page.get_by_text("log:").first).to_be_visible()
        page.evaluate("() => document.fonts.ready.then(() => undefined)")
        self.settle()

    def settle(self) -> None:
        """Two frames: the browser has noticed what is under the pointer."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def cell(self, grid: str, row: int, col: int) -> Locator:
        place = f'[data-grid="{grid}"][data-row="{row}"][data-col="{col}"]'
        return self.page.locator(place).first

    def board(self, title: str) -> Locator:
        return self.page.get_by_role("grid", name=title, exact=True).first

    @property
    def strip(self) -> Locator:
        return self.page.locator(".strip").first

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=re.compile(f"^{name}")).first

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def point(self, grid: str, row: int, col: int) -> None:
        """Point at a cell; it is the active one then."""
        cell = self.cell(grid, row, col)
        for _ in range(5):
            cell.hover()
            self.settle()
            # Where the page moved under the pointer meanwhile, point again.
            if cell.get_attribute("data-active") == "self":
                break
        expect(cell).to_have_attribute("data-active", "self")

    def lit(self, grid: str) -> Cells:
        """Row and column of the active cells of a grid."""
        cells = self.root.evaluate(
            """(root, grid) => [...root.querySelectorAll(`[data-grid="${grid}"][data-active]`)].map(
                 (cell) => [Number(cell.dataset.row), Number(cell.dataset.col)])""",
            grid,
        )
        return {(row, col) for row, col in cells}

    def texts(self, grid: str) -> list[str]:
        return self.page.locator(f'[data-grid="{grid}"]').all_text_contents()

    def changes(self, act: Callable[[], Any]) -> None:
        """Do something that makes Python send another picture, and wait for it."""
        version = self.root.get_attribute("data-version") or ""
        act()
        expect(self.root).not_to_have_attribute("data-version", version)

    def logged(self, text: str) -> None:
        """Python has heard of it."""
        expect(self.page.get_by_text(f"log: {text}", exact=True).first).to_be_visible()

    def style(self, cell: Locator, name: str) -> str:
        return cell.evaluate("(cell, name) => getComputedStyle(cell).getPropertyValue(name)", name)


def opened(page: Page, serve: Any, scene: str = "conv", **query: object) -> Picture:
    page.goto(serve(DEMO, scene=scene, **query))
    picture = Picture(page)
    idle(page)  # sizes follow the letters' font and what stands above, which come late
    return picture


@pytest.fixture
def conv(page: Page, serve: Any) -> Picture:
    return opened(page, serve)


def places(cells: Iterable[Sequence[int]], origin: int = 0) -> Cells:
    """Cells as rows and columns; those of one axis are in row 0."""
    pairs = ((0, *cell)[-2:] for cell in cells)
    return {(row - origin, col - origin) for row, col in pairs}


def valid_part(size: int = 5, stride: int = 1, padding: int = 1) -> LinearMap:
    return APP["conv_map"](size, stride, padding).factors[0]


# What is linked


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (2, 0)])
def test_hover_lights_exactly_what_the_map_joins(page: Page, serve: Any, stride, padding):
    picture = opened(page, serve, stride=stride, padding=padding)
    layer = valid_part(5, stride, padding)
    rows, cols = layer.output_shape
    for output in {(0, 0), (rows - 1, cols - 1), (rows // 2, 0)}:
        picture.point("output", *output)
        links = layer.reads(output)
        assert picture.lit("output") == {output}
        assert picture.lit("input") == places((link.input for link in links), padding)
        assert picture.lit("kernel") == {link.tap for link in links}
    for tap in ((0, 0), (1, 2)):
        picture.point("kernel", *tap)
        links = layer.joined_by(tap)
        assert picture.lit("kernel") == {tap}
        assert picture.lit("input") == places((link.input for link in links), padding)
        assert picture.lit("output") == {link.output for link in links}
    for cell in ((0, 0), (2, 2), (3, 1)):
        picture.point("input", cell[0] - padding, cell[1] - padding)
        links = layer.reaches(cell)
        assert picture.lit("input") == places([cell], padding)
        assert picture.lit("output") == {link.output for link in links}
        assert picture.lit("kernel") == {link.tap for link in links}


def test_links_go_on_through_a_stack_in_both_directions(page: Page, serve: Any):
    picture = opened(page, serve, "stack")
    first, second, third = APP["stack_maps"]()
    picture.point("layer3", 0, 1)
    seen = (third @ second).reads((1,))
    assert picture.lit("layer1") == places(link.input for link in seen)
    seen = (third @ second @ first).reads((1,))
    assert picture.lit("layer0") == places(link.input for link in seen)
    picture.point("layer0", 0, 4)
    reached = (second @ first).reaches((4,))
    assert picture.lit("layer2") == places(link.output for link in reached)
    lines = picture.page.locator(".lit-lines").first
    below, between = (
        {link.output for link in first.reaches((4,))},
        {link.output for link in reached},
    )
    count = len(below) + sum(len(second.reaches(cell)) for cell in below)
    count += sum(len(third.reaches(cell)) for cell in between)
    assert (lines.get_attribute("d") or "").count("M") == count


def test_a_matrix_row_is_linked_to_its_cell(page: Page, serve: Any):
    picture = opened(page, serve, "matrix")
    picture.point("output", 1, 0)
    assert picture.lit("matrix") == {(2, col) for col in (4, 5, 6, 8, 9, 10, 12, 13, 14)}
    picture.point("matrix", 1, 6)
    assert picture.lit("input") == {(1, 2)}
    assert picture.lit("kernel") == {(1, 1)}
    picture.point("matrix", 0, 3)
    assert picture.lit("input") == set()
    assert picture.texts("matrix")[:4] == ["w11", "w12", "w13", "0"]


def test_hover_dims_the_rest_and_leaving_ends_it(conv: Picture):
    conv.point("output", 1, 1)
    expect(conv.cell("output", 1, 1)).to_have_css("opacity", "1")
    expect(conv.cell("input", 4, 4)).to_have_css("opacity", "0.35")
    conv.page.mouse.move(2, 2)
    expect(conv.root).not_to_have_attribute("data-lit", "")
    expect(conv.cell("input", 4, 4)).to_have_css("opacity", "1")
    assert conv.lit("input") == set()


def test_the_term_strip_spells_out_the_sum(conv: Picture):
    rest = "Point at a cell: an output reads a window, an input reaches several outputs."
    expect(conv.strip).to_have_text(rest)
    conv.point("output", 0, 0)
    layer = valid_part()
    total = conv.cell("output", 0, 0).text_content()
    assert (conv.strip.text_content() or "").startswith(f"{total} = ")
    assert conv.strip.locator('[data-chip="w"]').all_text_contents() == [
        number(link.value) for link in layer.reads((0, 0))
    ]
    assert conv.strip.locator('[data-chip="p"]').count() == 5
    conv.point("kernel", 1, 1)
    expect(conv.strip).to_have_text("kernel w, row 2, column 2: −0.25")


# Drawing


def test_roles_and_names_for_screen_readers(conv: Picture):
    assert conv.board("input x, 5×5").get_by_role("row").count() == 7
    assert conv.board("kernel w, 3×3").get_by_role("gridcell").count() == 9
    assert conv.board("input x, 5×5").get_by_role("gridcell").count() == 49
    name = conv.cell("input", -1, 1).get_attribute("aria-label")
    assert name == "input x, row 0, column 2: 0, padding"
    assert conv.cell("input", 0, 0).get_attribute("aria-label") == "input x, row 1, column 1: 6"
    assert conv.page.locator('.cell[tabindex="0"]').count() == 3
    assert conv.strip.get_attribute("role") == "status"


def test_padding_and_unused_cells_are_hatched(page: Page, serve: Any):
    picture = opened(page, serve, size=6, stride=2, padding=0)
    for cell, kind in (((5, 0), "u"), ((0, 5), "u"), ((4, 4), None)):
        assert picture.cell("input", *cell).get_attribute("data-mark") == kind
    assert picture.style(picture.cell("input", 5, 0), "background-image").count("gradient") == 2
    assert picture.style(picture.cell("input", 0, 0), "background-image") == "none"


@pytest.mark.parametrize(
    ("scheme", "fill", "ring"),
    [
        ("light", "rgb(199, 224, 238)", "rgb(213, 94, 0)"),
        ("dark", "rgb(38, 69, 89)", "rgb(240, 228, 66)"),
    ],
)
def test_colours_follow_the_theme(open_page: Any, serve: Any, scheme, fill, ring):
    picture = opened(open_page(color_scheme=scheme)[0], serve)
    expect(picture.cell("input", 0, 0)).to_have_css("background-color", fill)
    picture.point("input", 0, 0)
    expect(picture.page.locator(".ring").first).to_have_css("stroke", ring)


def test_a_change_of_theme_is_noticed(conv: Picture):
    expect(conv.root).to_have_attribute("data-theme", "light")
    conv.root.evaluate("root => root.style.setProperty('--st-background-color', '#12161C')")
    expect(conv.root).to_have_attribute("data-theme", "dark")


def test_ramps_have_their_ends_and_zero_is_white(page: Page, serve: Any):
    picture = opened(page, serve, "ramps")
    colours = [
        picture.style(picture.cell("signed", row, col), "background-color")
        for row, col in ((0, 0), (3, 3), (6, 6))
    ]
    assert colours == ["rgb(0, 114, 178)", "rgb(255, 255, 255)", "rgb(213, 94, 0)"]
    assert picture.style(picture.cell("positive", 6, 6), "background-color") == "rgb(254, 232, 56)"
    assert picture.style(picture.cell("positive", 1, 1), "color") == "rgb(255, 255, 255)"
    assert picture.style(picture.cell("positive", 6, 6), "color") == "rgb(17, 17, 17)"


@pytest.mark.parametrize("scene", ["conv", "frame", *APP["SCENES"]])
def test_every_scene_fits_the_projector(
    page: Page, serve: Any, scene: str, console_errors: list[str]
):
    picture = opened(page, serve, scene)
    sizes = picture.root.evaluate(
        """root => {
          const width = document.documentElement.clientWidth;
          const cells = [...root.querySelectorAll(".board[data-digits] .cell")];
          return {
            bottom: root.getBoundingClientRect().bottom,
            inside: [...root.querySelectorAll(".board")].every((board) => {
              const box = board.getBoundingClientRect();
              return box.left >= 0 && box.right <= width;
            }),
            overflow: cells.filter((cell) => cell.firstChild.offsetWidth > cell.offsetWidth).length,
            smallest: Math.min(
              99, ...cells.map((cell) => parseFloat(getComputedStyle(cell).fontSize))),
          };
        }"""
    )
    assert sizes["inside"]
    assert sizes["bottom"] <= 720 - 46  # a line of formula fits below
    assert sizes["overflow"] == 0
    assert sizes["smallest"] >= (15 if scene == "matrix" else 16)
    assert console_errors == []


def test_small_cells_have_a_lens(page: Page, serve: Any):
    picture = opened(page, serve, "ramps")
    assert picture.page.locator('[data-grid="large"]').count() == 256
    picture.point("large", 3, 3)
    lens = picture.page.locator(".lens").first
    expect(lens).to_be_visible()
    assert lens.text_content() == picture.cell("large", 3, 3).text_content()
    picture.point("positive", 3, 3)
    expect(lens).to_be_hidden()


def test_numbers_that_are_too_long_are_written_in_short(page: Page, serve: Any):
    picture = opened(page, serve)
    cell, strip = picture.cell("output", 0, 0), picture.strip

    def with_output(text: str) -> None:
        picture.root.evaluate(
            """(root, text) => {
              const data = structuredClone(root.picture.data);
              data.rows[0][4].texts[0] = text;
              data.steps.writes.output[0] = [[0, text]];
              data.short = {"399920004": "4.0e8", "3999200": "4.0e6"};
              data.terms = {};
              root.picture.update(data);
            }""",
            text,
        )

    with_output("3999200")
    expect(cell).to_have_text("3999200")  # there is room
    with_output("399920004")
    expect(cell).to_have_text("4.0e8")
    expect(cell).to_have_attribute("aria-label", "output y, row 1, column 1: 399920004")
    expect(picture.board("output y, 5×5")).to_have_attribute("data-digits", "")
    expect(picture.cell("output", 0, 1)).to_have_text(re.compile(r"^−?\d+(\.\d+)?$"))
    assert cell.evaluate("cell => cell.firstChild.offsetWidth <= cell.clientWidth")
    picture.point("output", 0, 0)
    expect(page.locator(".lens").first).to_have_text("399920004")
    expect(strip).to_have_text("output y, row 1, column 1: 399920004")
    page.mouse.move(2, 2)
    picture.button("step forward").click()
    expect(cell).to_have_text("4.0e8")
    picture.button("show everything").click()
    with_output("7")
    expect(cell).to_have_text("7")


def test_texts_are_never_html(page: Page, serve: Any):
    picture = opened(page, serve, "predict")
    picture.page.evaluate("() => { window.broken = false; }")
    evil = '<img src=x onerror="window.broken = true">'
    picture.root.evaluate(
        """(root, evil) => {
          const data = structuredClone(root.picture.data);
          data.rest = `${evil}{x:${evil.replace(/[{}]/g, "")}}`;
          data.rows[0][0].texts[0] = evil;
          data.rows[0][0].title = evil;
          root.picture.update(data);
        }""",
        evil,
    )
    assert picture.cell("input", 0, 0).text_content() == evil
    assert picture.root.locator("img").count() == 0
    assert picture.page.evaluate("() => window.broken") is False


# Pins


def test_a_pin_reaches_python_and_survives_reruns(conv: Picture):
    conv.changes(lambda: conv.cell("output", 1, 2).click())
    conv.logged("pin output:1,2")
    expect(conv.root).to_have_attribute("data-pin", "output:1,2")
    conv.page.mouse.move(2, 2)
    expect(conv.root).to_have_attribute("data-source", "pin")
    slider = conv.page.get_by_role("slider", name="size").first
    slider.focus()
    conv.changes(lambda: conv.key("ArrowRight"))
    expect(conv.cell("output", 1, 2)).to_have_attribute("data-active", "self")
    expect(conv.root).to_have_attribute("data-source", "pin")
    conv.changes(lambda: conv.key("ArrowLeft"))
    conv.point("output", 0, 0)
    conv.page.mouse.move(2, 2)
    expect(conv.cell("output", 1, 2)).to_have_attribute("data-active", "self")
    conv.page.evaluate("() => document.activeElement.blur()")
    conv.changes(lambda: conv.key("Escape"))
    conv.logged("pin")
    expect(conv.root).to_have_attribute("data-pin", "")
    assert conv.lit("output") == set()


def test_a_pin_that_the_scene_lacks_is_not_shown_and_comes_back(page: Page, serve: Any):
    picture = opened(page, serve, size=5)
    picture.changes(lambda: picture.cell("output", 4, 4).click())
    slider = picture.page.get_by_role("slider", name="size").first
    slider.focus()
    picture.page.mouse.move(2, 2)
    picture.changes(lambda: picture.key("ArrowLeft"))
    expect(picture.root).to_have_attribute("data-pin", "")
    assert picture.lit("output") == set()
    picture.changes(lambda: picture.key("ArrowRight"))
    expect(picture.root).to_have_attribute("data-pin", "output:4,4")


def test_the_same_cell_can_be_pinned_freed_and_pinned_again(conv: Picture):
    cell = conv.cell("output", 0, 1)
    for text in ("pin output:0,1", "pin", "pin output:0,1"):
        conv.changes(cell.click)
        conv.logged(text)


# The player


def test_steps_build_the_output(conv: Picture, ws_frames: list[str | bytes]):
    final = conv.texts("output")
    ws_frames.clear()
    conv.button("step forward").click()
    expect(conv.root).to_have_attribute("data-step", "1")
    assert conv.texts("output") == [final[0]] + [""] * 24
    scrub = conv.page.get_by_label("step", exact=True).first
    scrub.fill("8")
    expect(conv.root).to_have_attribute("data-step", "8")
    assert conv.texts("output") == final[:8] + [""] * 17
    expect(conv.page.get_by_text("8/25", exact=True).first).to_be_visible()
    expect(scrub).to_have_attribute("aria-valuetext", "output 8 of 25")
    conv.page.mouse.move(2, 2)
    layer = valid_part()
    assert conv.lit("input") == places((link.input for link in layer.reads((1, 2))), 1)
    scrub.focus()
    conv.key("ArrowLeft")
    expect(conv.root).to_have_attribute("data-step", "7")
    conv.button("show everything").click()
    expect(conv.root).not_to_have_attribute("data-step", re.compile("."))
    assert conv.texts("output") == final
    # Back to the last step, and forward again to everything.
    conv.button("step back").click()
    expect(conv.root).to_have_attribute("data-step", "25")
    conv.button("step forward").click()
    expect(conv.root).not_to_have_attribute("data-step", re.compile("."))
    assert ws_frames == []


NOTE_STEPS = """(root) => {
    root.steps = [];
    const note = () => root.steps.push(root.getAttribute("data-step"));
    new MutationObserver(note).observe(root, { attributeFilter: ["data-step"] });
}"""


def test_playing_ends_with_everything_at_full_strength(
    page: Page, serve: Any, ws_frames: list[str | bytes]
):
    picture = opened(page, serve, "overlap")
    final = picture.texts("output")
    assert final == ["0", "0", "1", "0", "4", "6", "4", "12", "9"]
    page.wait_for_function("() => document.readyState === 'complete'")
    ws_frames.clear()
    page.get_by_label("speed").first.select_option("× 4")
    picture.root.evaluate(NOTE_STEPS)
    picture.button("play").click()
    settles(page, lambda: picture.root.evaluate("root => root.steps"), ["1", "2", "3", "4", None])
    expect(picture.button("play")).to_be_visible()
    dim = "root => [...root.querySelectorAll('.cell')].some((c) => getComputedStyle(c).opacity < 1)"
    settles(page, lambda: picture.root.evaluate(dim), wanted=False)
    expect(picture.strip).to_have_attribute("aria-live", "polite")
    assert picture.texts("output") == final
    assert ws_frames == []


def test_overlap_adds_up_step_by_step(page: Page, serve: Any):
    picture = opened(page, serve, "overlap")
    page.get_by_label("step", exact=True).first.fill("3")
    expect(picture.root).to_have_attribute("data-step", "3")
    # 1·[[0,1],[2,3]] on the right, then 2·[[0,1],[2,3]] below (lecture D1).
    assert picture.texts("output") == ["0", "0", "1", "0", "4", "3", "4", "6", ""]
    assert picture.lit("output") == {(1, 0), (1, 1), (2, 0), (2, 1)}


def test_fifty_hovers_and_playing_send_nothing(conv: Picture, ws_frames: list[str | bytes]):
    assert ws_frames  # the connection is watched
    ws_frames.clear()
    for i in range(50):
        conv.cell("input" if i % 2 else "output", i % 5, (i // 5) % 5).hover()
    # Slow: a step stays until somebody has looked.
    conv.page.get_by_label("speed").first.select_option("× ¼")
    conv.root.focus()
    conv.key("Space")
    expect(conv.root).to_have_attribute("data-step", "2")
    conv.key("Space")
    conv.page.get_by_label("step", exact=True).first.fill("20")
    expect(conv.root).to_have_attribute("data-step", "20")
    assert ws_frames == []


def test_reduced_motion_only_cuts(open_page: Any, serve: Any):
    for motion, moves in (("reduce", False), ("no-preference", True)):
        picture = opened(open_page(reduced_motion=motion)[0], serve)
        picture.root.evaluate(
            """root => {
              window.moved = false;
              const animate = Element.prototype.animate;
              Element.prototype.animate = function (...args) {
                window.moved = true;
                return animate.apply(this, args);
              };
            }"""
        )
        picture.button("step forward").click()
        expect(picture.root).to_have_attribute("data-step", "1")
        assert picture.page.evaluate("() => window.moved") is moves


def test_off_screen_it_pauses(page: Page, serve: Any):
    picture = opened(page, serve)
    picture.button("play").click()
    expect(picture.root).to_have_attribute("data-step", re.compile("."))
    picture.root.evaluate("root => { root.style.marginTop = '3000px'; }")
    expect(picture.page.locator('[data-state="play"]').first).to_be_attached()


# The keyboard alone


def test_by_keyboard_alone(conv: Picture, console_errors: list[str]):
    conv.cell("output", 0, 0).focus()
    conv.key("ArrowRight", "ArrowDown")
    expect(conv.cell("output", 1, 1)).to_have_attribute("data-active", "self")
    assert conv.lit("input") == {(row, col) for row in (0, 1, 2) for col in (0, 1, 2)}
    conv.key("End")
    expect(conv.cell("output", 1, 4)).to_be_focused()
    conv.changes(lambda: conv.key("Enter"))
    conv.logged("pin output:1,4")
    expect(conv.cell("output", 1, 4)).to_be_focused()
    conv.key("Shift+Tab")
    expect(conv.cell("kernel", 0, 0)).to_be_focused()
    expect(conv.cell("kernel", 0, 0)).to_have_attribute("data-active", "self")
    conv.key("Tab")
    expect(conv.cell("output", 1, 4)).to_be_focused()
    conv.changes(lambda: conv.key("Escape"))
    conv.logged("pin")
    conv.button("step forward").focus()
    conv.key("ArrowRight")
    expect(conv.root).to_have_attribute("data-step", "1")
    conv.key("?")
    expect(conv.page.get_by_role("note", name="keys").first).to_be_visible()
    conv.key("Escape")
    expect(conv.page.get_by_role("note", name="keys")).to_have_count(0)
    assert console_errors == []


def test_digits_choose_a_view_but_not_while_typing(
    page: Page, serve: Any, ws_frames: list[str | bytes], console_errors: list[str]
):
    picture = opened(page, serve, "overlap")
    tabs = page.get_by_role("tab")
    expect(tabs.first).to_have_attribute("aria-selected", "true")
    picture.key("3")
    picture.logged("view 2")
    picture.cell("input", 0, 0).focus()
    picture.key("2")
    picture.logged("view 1")
    menu = page.get_by_role("combobox").first
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    ws_frames.clear()
    page.keyboard.type("4")
    expect(menu).to_have_value("4")
    page.keyboard.press("Backspace")
    page.keyboard.press("Escape")
    picture.point("input", 0, 0)
    assert ws_frames == []
    # Closed again, it takes no text, although it still has the focus.
    expect(menu).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("4")
    picture.logged("view 3")
    assert console_errors == []


def test_a_slider_that_was_clicked_leaves_the_picture_its_keys(
    conv: Picture, console_errors: list[str]
):
    # Slow: the first step stays until somebody has looked.
    conv.page.get_by_label("speed").first.select_option("× ¼")
    conv.changes(conv.cell("output", 1, 2).click)
    conv.page.mouse.move(2, 2)
    slider = conv.page.get_by_role("slider", name="size").first
    box = slider.bounding_box()
    assert box
    conv.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(slider).to_be_focused()
    conv.key("?")
    keys = conv.page.get_by_role("note", name="keys")
    expect(keys.first).to_be_visible()
    conv.key("Escape")
    expect(keys).to_have_count(0)
    expect(conv.root).to_have_attribute("data-pin", "output:1,2")
    conv.changes(lambda: conv.key("Escape"))
    conv.logged("pin")
    conv.key("Space")
    expect(conv.root).to_have_attribute("data-step", "1")
    expect(conv.button("pause")).to_be_visible()
    conv.key("Space")
    expect(conv.button("play")).to_be_visible()
    # Its arrows are the slider's own.
    step = conv.root.get_attribute("data-step") or ""
    conv.changes(lambda: conv.key("ArrowRight"))
    expect(conv.root).to_have_attribute("data-step", step)
    assert console_errors == []


def test_where_text_is_typed_keys_are_text(conv: Picture):
    conv.changes(conv.cell("output", 1, 2).click)
    conv.page.get_by_role("combobox").first.focus()
    conv.page.keyboard.type("? ")
    expect(conv.page.get_by_role("note", name="keys")).to_have_count(0)
    expect(conv.root).not_to_have_attribute("data-step", re.compile("."))
    conv.key("Escape")
    expect(conv.root).to_have_attribute("data-pin", "output:1,2")


# Editing, marking, dragging


def test_a_number_is_typed_in_its_cell(page: Page, serve: Any):
    picture = opened(page, serve, "predict")
    picture.cell("edited", 0, 1).dblclick()
    editor = page.locator(".editor").first
    expect(editor).to_be_focused()
    editor.fill("7.5")
    picture.changes(lambda: picture.key("Enter"))
    picture.logged("edit 0,1 7.5")
    expect(picture.cell("edited", 0, 1)).to_have_text("7.5")
    expect(picture.cell("edited", 0, 1)).to_be_focused()
    picture.key("ArrowDown", "7", "F2", "-", "3")
    picture.changes(lambda: picture.key("Enter"))
    picture.logged("edit 1,1 -3")
    picture.key("F2", "9", "Escape")
    expect(page.locator(".editor")).to_have_count(0)
    expect(picture.cell("edited", 1, 1)).to_have_text("−3")


def test_no_number_is_typed_in_an_inserted_zero(page: Page, serve: Any):
    picture = opened(page, serve, "predict")
    editor = page.locator(".editor")
    for way in (picture.cell("inserted", 0, 1).dblclick, lambda: picture.key("F2")):
        way()
        expect(picture.cell("inserted", 0, 1)).to_be_focused()
        expect(editor).to_have_count(0)
    picture.cell("inserted", 0, 0).dblclick()
    expect(editor).to_be_focused()


def test_a_double_click_edits_and_leaves_the_pin_as_it_was(page: Page, serve: Any):
    picture = opened(page, serve, "predict")
    editor = page.locator(".editor")
    picture.changes(lambda: picture.cell("input", 1, 2).click())
    for target, marked in (((0, 1), "1"), ((1, 0), "1,4")):
        # Another line in the log: that of the pin below is the answer to this double click.
        picture.changes(picture.cell("guess", *target).click)
        picture.logged(f"mark guess:{marked}")
        picture.cell("edited", *target).dblclick()
        expect(editor).to_be_focused()
        expect(picture.root).to_have_attribute("data-pin", "input:1,2")
        picture.logged("pin input:1,2")
        picture.key("Escape")
        expect(editor).to_have_count(0)
    # A cell that is pinned itself stays so.
    picture.changes(lambda: picture.cell("edited", 0, 0).click())
    picture.logged("pin edited:0,0")
    picture.settle()
    page.wait_for_timeout(600)  # else the browser counts the next two clicks on
    picture.cell("edited", 0, 0).dblclick()
    expect(editor).to_be_focused()
    expect(picture.root).to_have_attribute("data-pin", "edited:0,0")


def test_predictions_are_marked_and_taken_back(page: Page, serve: Any):
    picture = opened(page, serve, "predict")
    picture.changes(lambda: picture.cell("guess", 1, 1).click())
    picture.logged("mark guess:5")
    picture.cell("guess", 0, 2).focus()
    picture.changes(lambda: picture.key("Space"))
    picture.logged("mark guess:2,5")
    expect(picture.cell("guess", 0, 2)).to_have_attribute("data-marked", "")
    expect(picture.cell("guess", 0, 2)).to_have_attribute("aria-selected", "true")
    picture.changes(lambda: picture.cell("guess", 1, 1).click())
    picture.logged("mark guess:2")
    expect(picture.root).to_have_attribute("data-pin", "")


def test_the_edges_of_a_frame_are_dragged_and_snap(page: Page, serve: Any):
    picture = opened(page, serve, "frame")
    handle = page.get_by_role("slider", name="left edge of the frame").first
    box, pitch = handle.bounding_box(), picture.cell("output", 0, 1).bounding_box()
    assert box
    assert pitch
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 1.2 * pitch["width"], y, steps=4)
    expect(picture.cell("output", 2, 1)).to_have_attribute("data-outside", "")
    picture.changes(page.mouse.up)
    picture.logged("frame " + str({"grid": "output", "left": 2, "right": 0}))
    right = page.get_by_role("slider", name="right edge of the frame").first
    right.focus()
    picture.changes(lambda: picture.key("ArrowLeft"))
    picture.logged("frame " + str({"grid": "output", "left": 2, "right": 1}))


# Other windows


def test_a_phone_stacks_the_grids_and_a_tap_pins(open_page: Any, serve: Any):
    page, _ = open_page(viewport={"width": 400, "height": 800}, has_touch=True)
    picture = opened(page, serve)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    boxes = [
        picture.board(name).bounding_box()
        for name in ("input x, 5×5", "kernel w, 3×3", "output y, 5×5")
    ]
    tops = [box["y"] for box in boxes if box]
    assert len(tops) == 3
    assert tops == sorted(tops)
    picture.cell("output", 1, 1).scroll_into_view_if_needed()
    picture.changes(picture.cell("output", 1, 1).tap)
    picture.logged("pin output:1,1")
    expect(picture.cell("input", 0, 0)).to_have_attribute("data-active", "linked")


def test_a_large_projector_has_larger_cells(open_page: Any, serve: Any):
    sizes = []
    for width, height in ((1280, 720), (1920, 1080)):
        page, _ = open_page(viewport={"width": width, "height": height})
        box = opened(page, serve, size=4).cell("kernel", 0, 0).bounding_box()
        assert box
        sizes.append(box["height"])
    assert sizes == [48, 72]


def test_shapes_change_without_a_trace_of_the_old_ones(page: Page, serve: Any):
    picture = opened(page, serve, size=5)
    picture.changes(picture.cell("output", 1, 1).click)
    page.mouse.move(2, 2)
    slider = page.get_by_role("slider", name="size").first
    slider.focus()
    for key, size in (("ArrowRight", 6), ("ArrowLeft", 5), ("ArrowLeft", 4)):
        picture.changes(lambda key=key: picture.key(key))
        scene = APP["conv_scene"](size)
        for grid in scene.grids:
            assert picture.texts(grid.name) == list(grid.texts)
        layer = valid_part(size)
        assert picture.lit("output") == {(1, 1)}
        assert picture.lit("input") == places((x.input for x in layer.reads((1, 1))), 1)
        assert picture.lit("kernel") == {x.tap for x in layer.reads((1, 1))}
