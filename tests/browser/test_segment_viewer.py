"""The linked viewer in a real browser, against the result that it was given."""

import base64
import io
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from scipy import ndimage

from explainer.components import segment_viewer
from explainer.components.segment_viewer.payload import runs_of
from explainer.fcn.result import STRIDES, Segmentation
from explainer.fcn.voc import CLASSES
from tests.browser.conftest import idle, settles

DEMO = Path(__file__).parent / "apps" / "segment_viewer_demo.py"
PANELS = ("photo", "32", "16", "8")
example: Callable[..., tuple[Segmentation, np.ndarray]] = runpy.run_path(str(DEMO))["example"]


class Viewer:
    """What a visitor does with the viewer, and what they see."""

    def __init__(self, page: Page):
        self.page = page
        self.root = page.locator('[data-role="viewer"]')
        expect(self.root).to_have_attribute("data-ready", "true")
        # The choice above, whose code may come later than the viewer's.
        expect(page.get_by_text("portrait", exact=True)).to_be_visible()
        idle(page)

    def stage(self, name: str) -> Locator:
        return self.page.locator(f'[data-panel="{name}"]')

    def tool(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def at(self, panel: str, across: float, down: float) -> tuple[float, float]:
        box = self.stage(panel).bounding_box()
        assert box
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def point(self, panel: str, across: float, down: float) -> tuple[int, int]:
        """Move the pointer to a place (fractions of a panel); the pixel that is probed then."""
        self.page.mouse.move(*self.at(panel, across, down))
        return self.probe()

    def hover(self, panel: str, y: int, x: int, result: Segmentation) -> None:
        """Point at a pixel of the whole photo, which fills its panel."""
        self.point(panel, (x + 0.5) / result.width, (y + 0.5) / result.height)
        assert self.probe() == (y, x)

    def probe(self) -> tuple[int, int]:
        """The pixel that is probed once what was asked for is drawn."""
        self.settle()
        y, x = (self.root.get_attribute("data-probe") or "").split(",")
        return int(y), int(x)

    def zoom(self) -> float:
        return float(self.root.get_attribute("data-zoom") or "nan")

    def settle(self) -> None:
        """Two frames: what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def readout(self, stride: int) -> tuple[str, float]:
        reading = self.page.locator(f'[data-role="readout"] [data-stride="{stride}"]')
        percent = reading.locator(".probability").inner_text().strip("<>%")
        return reading.locator(".name").inner_text(), float(percent) / 100

    def picture(self, panel: str) -> np.ndarray:
        """The panel's canvas, (height, width, 4)."""
        self.settle()
        url: str = self.stage(panel).locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
        png = base64.b64decode(url.partition(",")[2])
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image.convert("RGBA"))

    def colour(self, panel: str, across: float, down: float) -> np.ndarray:
        found = self.picture(panel)
        height, width, _ = found.shape
        return found[int(down * height), int(across * width), :3].astype(int)


def opened(page: Page, serve: Any, shape: str = "normal") -> Viewer:
    page.goto(serve(DEMO, shape=shape))
    return Viewer(page)


@pytest.fixture
def viewer(page: Page, serve: Any) -> Viewer:
    return opened(page, serve)


@pytest.mark.parametrize("panel", PANELS)
def test_hover_reads_class_and_probability_of_every_stride(viewer: Viewer, panel: str):
    result, _ = example()
    random = np.random.default_rng(PANELS.index(panel))
    for y, x in zip(random.integers(0, 240, 6), random.integers(0, 320, 6), strict=True):
        viewer.hover(panel, y, x, result)
        for stride, probabilities in result.probabilities(y, x).items():
            name, probability = viewer.readout(stride)
            assert name == CLASSES[result.labels[stride][y, x]]
            assert probability == pytest.approx(probabilities[CLASSES.index(name)], abs=0.005)


def test_hover_marks_the_same_place_in_all_panels(viewer: Viewer):
    result, _ = example()
    viewer.hover("16", 120, 80, result)
    for panel in PANELS:
        ring = viewer.stage(panel).locator(".ring").bounding_box()
        assert ring
        centre = ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2
        assert centre == pytest.approx(viewer.at(panel, 80.5 / 320, 120.5 / 240), abs=1)
    for stride in STRIDES:
        tag = viewer.stage(str(stride)).locator('[data-role="tag"]')
        expect(tag).to_have_text(re.compile(r"^cat \d+%$"))
    expect(viewer.stage("photo").locator('[data-role="tag"]')).to_be_hidden()


def test_hover_does_not_move_the_page(viewer: Viewer):
    before = viewer.root.bounding_box()
    viewer.point("8", 0.3, 0.6)
    assert viewer.root.bounding_box() == before


def test_a_click_pins_the_probe_until_escape(viewer: Viewer):
    viewer.page.mouse.click(*viewer.at("32", 0.3, 0.6))
    pinned = viewer.probe()
    assert viewer.point("8", 0.8, 0.2) == pinned
    viewer.page.keyboard.press("Escape")
    assert viewer.point("8", 0.7, 0.2) != pinned


def test_four_panels_share_a_row_on_a_projector_and_two_on_a_phone(
    viewer: Viewer, open_page: Any, serve: Any
):
    tops = {viewer.at(panel, 0, 0)[1] for panel in PANELS}
    assert len(tops) == 1
    phone = opened(open_page(viewport={"width": 390, "height": 844})[0], serve)
    assert len({phone.at(panel, 0, 0)[1] for panel in PANELS}) == 2
    assert len({phone.at(panel, 0, 0)[0] for panel in PANELS}) == 2


def test_zoom_and_pan_are_the_same_in_all_panels(viewer: Viewer):
    # Without overlay the four canvases show the same photo, so they must be equal.
    slider = viewer.page.get_by_label("Overlay opacity")
    slider.fill("0")
    whole = viewer.picture("photo")
    viewer.page.mouse.move(*viewer.at("32", 0.25, 0.75))
    viewer.page.mouse.wheel(0, -600)
    expect(viewer.root).not_to_have_attribute("data-zoom", "1.00")
    viewer.settle()
    assert viewer.zoom() > 1.5
    zoomed = [viewer.picture(panel) for panel in PANELS]
    assert (zoomed[0] != whole).any()
    for other in zoomed[1:]:
        np.testing.assert_array_equal(other, zoomed[0])

    held = viewer.point("8", 0.5, 0.5)
    viewer.page.mouse.down()
    viewer.page.mouse.move(*viewer.at("8", 0.3, 0.5), steps=4)
    viewer.page.mouse.up()
    panned = [viewer.picture(panel) for panel in PANELS]
    assert (panned[0] != zoomed[0]).any()
    for other in panned[1:]:
        np.testing.assert_array_equal(other, panned[0])
    assert viewer.point("photo", 0.3, 0.5) == pytest.approx(held, abs=1)

    viewer.tool("Whole photo").click()
    np.testing.assert_array_equal(viewer.picture("16"), whole)


def test_double_click_and_buttons_zoom(viewer: Viewer):
    viewer.page.mouse.dblclick(*viewer.at("photo", 0.5, 0.5))
    viewer.settle()
    assert viewer.zoom() == 2
    viewer.tool("Zoom in").click()
    viewer.settle()
    assert viewer.zoom() == 3
    viewer.tool("Zoom out").click()
    viewer.settle()
    assert viewer.zoom() == 2


def test_wheel_over_the_whole_photo_scrolls_the_page_down(viewer: Viewer):
    viewer.page.set_viewport_size({"width": 1280, "height": 400})
    viewer.page.wait_for_function("() => innerHeight === 400")
    viewer.settle()  # laid out anew: now the page can scroll
    before = viewer.at("32", 0.5, 0.5)
    viewer.page.mouse.move(*before)
    viewer.page.mouse.wheel(0, 100)
    scrolled = "[...document.querySelectorAll('*')].some((node) => node.scrollTop > 0)"
    viewer.page.wait_for_function(f"() => {scrolled}")
    assert viewer.zoom() == 1
    assert viewer.at("32", 0.5, 0.5)[1] < before[1]


def test_opacity_fades_the_overlay_to_the_bare_photo(viewer: Viewer):
    slider = viewer.page.get_by_label("Overlay opacity")
    slider.fill("100")
    np.testing.assert_array_equal(viewer.colour("8", 0.25, 0.65), [64, 0, 0])  # VOC's cat
    np.testing.assert_array_equal(viewer.colour("8", 0.98, 0.02), [0, 0, 0])
    slider.fill("50")
    half = viewer.colour("8", 0.25, 0.65)
    slider.fill("0")
    photo = viewer.colour("photo", 0.25, 0.65)
    np.testing.assert_array_equal(viewer.picture("8"), viewer.picture("photo"))
    np.testing.assert_allclose(half, (photo + np.array([64, 0, 0])) / 2, atol=3)


def test_wipe_compares_two_chosen_pictures(viewer: Viewer):
    viewer.page.get_by_label("Overlay opacity").fill("100")
    viewer.tool("Wipe").click()
    expect(viewer.stage("32")).to_be_hidden()
    viewer.page.get_by_label("Picture on the left").select_option("Photo")
    viewer.page.get_by_label("Picture on the right").select_option("FCN-8s")
    divider = viewer.page.get_by_role("slider", name="Wipe divider")
    cat = (0.25, 0.65)
    assert viewer.colour("wipe", *cat).sum() > 150  # left of the divider: the photo
    divider.focus()
    viewer.page.keyboard.press("Home")
    np.testing.assert_array_equal(viewer.colour("wipe", *cat), [64, 0, 0])
    viewer.page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "2")

    viewer.page.mouse.move(*viewer.at("wipe", 0.02, 0.2))
    viewer.page.mouse.down()
    viewer.page.mouse.move(*viewer.at("wipe", 0.6, 0.2), steps=4)
    viewer.page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "60")
    assert viewer.colour("wipe", *cat).sum() > 150
    viewer.tool("Wipe").click()
    expect(viewer.stage("32")).to_be_visible()


def test_legend_shows_the_shares_and_isolates_a_class(viewer: Viewer):
    result, _ = example()
    dog, cat = CLASSES.index("dog"), CLASSES.index("cat")
    row = viewer.page.locator(f'[data-class="{dog}"]')
    shares = [result.shares()[stride][dog] for stride in STRIDES]
    assert row.locator("td").all_inner_texts() == [f"{100 * share:.1f}%" for share in shares]
    rows = viewer.page.locator('[data-role="legend"] tbody tr')
    assert rows.last.get_attribute("data-class") == "0"

    in_cat = viewer.colour("8", 0.2, 0.6)
    in_dog = viewer.colour("8", 0.6, 0.75)
    row.hover()
    expect(viewer.root).to_have_attribute("data-isolated", str(dog))
    assert abs(viewer.colour("8", 0.2, 0.6) - in_cat).max() > 40
    np.testing.assert_array_equal(viewer.colour("8", 0.6, 0.75), in_dog)
    viewer.point("photo", 0.5, 0.5)
    expect(viewer.root).to_have_attribute("data-isolated", "")

    viewer.tool("dog").click()
    viewer.point("photo", 0.4, 0.5)
    expect(viewer.root).to_have_attribute("data-isolated", str(dog))
    expect(viewer.tool("dog")).to_have_attribute("aria-pressed", "true")
    viewer.page.keyboard.press("Escape")
    expect(viewer.root).to_have_attribute("data-isolated", "")

    viewer.tool("cat").press("Enter")
    expect(viewer.root).to_have_attribute("data-isolated", str(cat))


def test_a_long_legend_scrolls_in_its_own_box(page: Page, serve: Any):
    viewer = opened(page, serve, "many")
    found = page.locator('[data-role="found"]')
    rows = page.locator('[data-role="legend"] tbody tr')
    assert rows.count() == 10
    box = found.bounding_box()
    first, second, last = (rows.nth(index).bounding_box() for index in (0, 1, -1))
    assert box
    assert first
    assert second
    assert last
    end = box["y"] + box["height"]
    assert second["y"] + second["height"] <= end <= 720
    assert last["y"] >= end
    # A row cut in two tells that there are more.
    assert (end - first["y"]) % first["height"] == pytest.approx(first["height"] / 2, abs=2)
    found.evaluate("box => box.scrollTo(0, box.scrollHeight)")
    viewer.settle()
    last = rows.last.bounding_box()
    assert last
    assert end - last["height"] - 1 <= last["y"] <= end - last["height"] + 1
    page.set_viewport_size({"width": 1280, "height": 1000})
    expect(found).to_have_css("max-height", "none")


def test_a_portrait_leaves_room_for_the_legend(page: Page, serve: Any):
    opened(page, serve, "portrait")
    second = page.locator('[data-role="legend"] tbody tr').nth(1).bounding_box()
    assert second
    assert second["y"] + second["height"] <= 720


NAMES = """
    window.names = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const half = this.measureText(text).width / 2;
        const { a, d } = this.getTransform();
        const { width, height } = this.canvas;
        window.names.push([text, x - half, x + half, y, width / a, height / d]);
        return draw.call(this, text, x, y);
    };
"""


def test_names_stay_inside_their_panel(page: Page, serve: Any):
    page.add_init_script(NAMES)
    viewer = opened(page, serve, "many")
    page.mouse.move(*viewer.at("8", 0.98, 0.5))
    page.mouse.wheel(0, -300)
    expect(viewer.root).not_to_have_attribute("data-zoom", "1.00")
    viewer.settle()
    names = page.evaluate("names")
    assert {name for name, *_ in names} >= {"potted plant", "tv/monitor", "dining table"}
    for _, left, right, y, width, height in names:
        assert 0 <= left < right <= width
        assert 0 < y < height


def test_as_computed_shows_the_cells(viewer: Viewer):
    result, _ = example()
    viewer.tool("As computed").click()
    expect(viewer.tool("As computed")).to_have_attribute("aria-pressed", "true")
    counts = {32: "11 × 9 = 99 cells", 16: "21 × 17 = 357 cells", 8: "41 × 33 = 1353 cells"}
    for stride, text in counts.items():
        expect(viewer.page.locator(f'[data-count="{stride}"]')).to_have_text(text)
    for y, x in ((100, 150), (7, 300), (239, 319), (143, 95)):
        viewer.hover("32", y, x, result)
        for stride in STRIDES:
            row, col = (y + stride // 2) // stride, (x + stride // 2) // stride
            scores = result.sums[stride].values[:, row, col].astype(float)
            probabilities = np.exp(scores - scores.max())
            name, probability = viewer.readout(stride)
            assert name == CLASSES[scores.argmax()]
            assert probability == pytest.approx(1 / probabilities.sum(), abs=0.005)
            reading = viewer.page.locator(f'[data-role="readout"] [data-stride="{stride}"]')
            expect(reading.locator(".others")).to_have_text(f"cell in row {row}, column {col}")


def test_a_pressed_button_stays_readable_under_the_pointer(viewer: Viewer):
    button = viewer.tool("As computed")
    button.click()
    button.hover()
    expect(button).to_have_attribute("aria-pressed", "true")
    ink, ground = (
        np.array([int(part) for part in re.findall(r"\d+", text)[:3]])
        for text in button.evaluate(
            "button => [getComputedStyle(button).color, getComputedStyle(button).backgroundColor]"
        )
    )
    assert abs(ink - ground).max() > 128


def test_as_computed_draws_each_cell_in_one_colour(viewer: Viewer):
    result, _ = example()
    viewer.page.get_by_label("Overlay opacity").fill("100")
    viewer.tool("As computed").click()
    picture = viewer.picture("32").astype(int)[..., :3]
    height, width, _ = picture.shape
    winners = result.sums[32].values.argmax(0)
    row, col = np.argwhere(winners == CLASSES.index("cat"))[0]
    # A quarter of a cell off the centre: clear of borders and outlines.
    y = (32 * row + np.array([-8, 8])) * height // result.height
    x = (32 * col + np.array([-8, 8])) * width // result.width
    np.testing.assert_allclose(picture[y][:, x].reshape(-1, 3), [[64, 0, 0]] * 4, atol=2)


def test_everything_works_by_keyboard(viewer: Viewer):
    press = viewer.page.keyboard.press
    viewer.tool("Keys").focus()
    press("Tab")
    expect(viewer.stage("photo")).to_be_focused()
    press("ArrowRight")
    viewer.settle()
    assert viewer.probe() == (120, 161)
    press("Shift+ArrowUp")
    viewer.settle()
    assert viewer.probe() == (110, 161)
    live = viewer.page.locator('[data-role="live"]')
    expect(live).to_have_text(re.compile(r"^x 161, y 110: FCN-32s \D+ .*%, FCN-16s .*, FCN-8s "))

    press("+")
    press("+")
    viewer.settle()
    assert viewer.zoom() == 2.25
    for _ in range(12):
        press("Shift+ArrowLeft")  # the view follows the probe
    ring = viewer.stage("photo").locator(".ring")
    viewer.settle()
    box = ring.bounding_box()
    assert box
    assert viewer.probe() == (110, 41)
    assert viewer.at("photo", 0, 0)[0] <= box["x"] <= viewer.at("photo", 1, 0)[0]
    press("-")
    viewer.settle()
    assert viewer.zoom() == 1.5
    press("0")
    viewer.settle()
    assert viewer.zoom() == 1

    press("l")
    expect(viewer.tool("As computed")).to_have_attribute("aria-pressed", "true")
    press("?")
    expect(viewer.page.locator('[data-role="keys"]')).to_be_visible()
    press("Escape")
    expect(viewer.page.locator('[data-role="keys"]')).to_be_hidden()
    press("w")
    expect(viewer.stage("wipe")).to_be_focused()
    press("w")
    expect(viewer.stage("photo")).to_be_focused()


def test_fingers_probe_and_pinch(open_page: Any, serve: Any):
    page, _ = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    viewer = opened(page, serve)
    page.touchscreen.tap(*viewer.at("16", 0.25, 0.5))
    expect(viewer.root).not_to_have_attribute("data-probe", "")
    assert viewer.probe() == pytest.approx((120, 80), abs=2)
    devtools = page.context.new_cdp_session(page)
    y = viewer.at("16", 0, 0.5)[1]

    def touch(kind: str, *across: float) -> None:
        points = [{"x": viewer.at("16", x, 0)[0], "y": y, "id": i} for i, x in enumerate(across)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.4, 0.6)
    for spread in (0.15, 0.2, 0.25, 0.3):
        touch("touchMove", 0.5 - spread, 0.5 + spread)
    touch("touchEnd")
    settles(page, viewer.zoom, wanted=pytest.approx(3, rel=0.1))


def test_nothing_is_sent_to_the_server(viewer: Viewer, ws_frames: list[str | bytes]):
    ws_frames.clear()
    for step in range(50):
        viewer.point(PANELS[step % 4], 0.01 + 0.0195 * step, 0.99 - 0.0195 * step)
    viewer.page.mouse.wheel(0, -300)
    viewer.page.mouse.dblclick(*viewer.at("8", 0.5, 0.5))
    viewer.page.get_by_label("Overlay opacity").fill("30")
    viewer.tool("As computed").click()
    viewer.tool("Wipe").click()
    viewer.tool("cat").click()
    viewer.page.wait_for_timeout(300)
    assert ws_frames == []


def test_a_new_result_for_the_same_photo_keeps_the_view(viewer: Viewer):
    changed, _ = example("changed")
    viewer.page.mouse.dblclick(*viewer.at("8", 0.5, 0.5))
    viewer.page.get_by_label("Overlay opacity").fill("30")
    y, x = viewer.point("8", 0.4, 0.4)
    before = viewer.readout(8)
    viewer.page.get_by_text("changed", exact=True).click()
    expect(viewer.page.locator("[data-stride='8'] .probability")).not_to_have_text(
        f"{100 * before[1]:.1f}%"
    )
    assert (viewer.probe(), viewer.zoom()) == ((y, x), 2)
    expect(viewer.page.get_by_label("Overlay opacity")).to_have_value("30")
    name, probability = viewer.readout(8)
    expected = changed.probabilities(y, x)[8]
    assert probability == pytest.approx(expected[CLASSES.index(name)], abs=0.005)

    viewer.page.get_by_text("portrait", exact=True).click()
    expect(viewer.root).to_have_attribute("data-probe", "")
    assert viewer.zoom() == 1


@pytest.mark.parametrize("shape", ["portrait", "wide", "strip", "dot"])
def test_unusual_shapes(page: Page, serve: Any, console_errors: list[str], shape: str):
    result, _ = example(shape)
    viewer = opened(page, serve, shape)
    y, x = viewer.point("8", 0.5, 0.5)
    assert (y, x) == pytest.approx((result.height // 2, result.width // 2), abs=1)
    for stride, probabilities in result.probabilities(y, x).items():
        name, probability = viewer.readout(stride)
        assert probability == pytest.approx(probabilities[CLASSES.index(name)], abs=0.005)
    viewer.tool("As computed").click()
    viewer.tool("Wipe").click()
    viewer.settle()
    assert viewer.picture("wipe").any()
    assert console_errors == []


def test_console_stays_clean(viewer: Viewer, console_errors: list[str]):
    viewer.point("8", 0.5, 0.5)
    viewer.tool("Wipe").click()
    viewer.page.get_by_text("portrait", exact=True).click()
    expect(viewer.page.locator('[data-count="photo"]')).to_have_text("270 × 480")
    assert console_errors == []


def test_follows_the_dark_theme(open_page: Any, serve: Any):
    viewer = opened(open_page(color_scheme="dark")[0], serve)
    expect(viewer.root).to_have_attribute("data-theme", "dark")


def test_an_old_browser_gets_a_sentence(page: Page, serve: Any):
    page.add_init_script("delete window.createImageBitmap")
    page.goto(serve(DEMO))
    sentence = page.get_by_role("alert").filter(has_text="lacks createImageBitmap")
    expect(sentence.first).to_be_visible()


@pytest.mark.parametrize("seed", range(6))
def test_names_stand_where_their_class_is_widest(page: Page, seed: int):
    """Against SciPy's distance, in city blocks, to the nearest pixel of anything else."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(1, 40, 2)
    labels = np.kron(rng.integers(0, 4, (rows, cols)), np.ones((seed + 1, 3))).astype(np.uint8)
    source = (Path(segment_viewer.__file__).parent / "segment_viewer.js").read_text("utf-8")
    page.add_script_tag(content=source.replace("export default ", ""))
    ends, values = runs_of(labels)
    spots = page.evaluate(
        "([bytes, shape]) => createLayer(Uint8Array.from(bytes), shape).spots",
        [
            list(ends.astype("<u4").tobytes() + values.tobytes()),
            {"rows": labels.shape[0], "cols": labels.shape[1], "stride": 1, "first": 0},
        ],
    )
    assert {spot["label"] for spot in spots} == set(labels.flat) - {0}
    assert [spot["room"] for spot in spots] == sorted((s["room"] for s in spots), reverse=True)
    for spot in spots:
        inside = np.pad(labels == spot["label"], 1)
        room = np.asarray(ndimage.distance_transform_cdt(inside, "taxicab"))[1:-1, 1:-1]
        assert room[spot["row"], spot["col"]] == spot["room"] == room.max()
