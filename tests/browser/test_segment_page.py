"""The first page in a real browser: what a visitor does and sees."""

import base64
import io
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Download, Page, expect

from explainer.ui import samples
from tests.browser.conftest import (
    FIRST_RESULT,
    LINE,
    address_on_the_network,
    idle,
    settles,
    shows,
    upload,
)


def picture(width: int, height: int, kind: str = "PNG", seed: int = 0) -> bytes:
    """A photo-like file: the cat, resized, with a little noise so that no two are the same."""
    with Image.open(io.BytesIO(samples.read("cat"))) as cat:
        pixels = np.asarray(cat.convert("RGB").resize((width, height)), np.int16)
    noise = np.random.default_rng(seed).integers(-3, 4, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of some 70 bytes that claims 50,000×50,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = (50_000).to_bytes(4) * 2 + bytes((8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def file(name: str, data: bytes) -> Any:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


@pytest.fixture
def cat(page: Page, serve: Any) -> Page:
    """The page as a first visit shows it."""
    page.goto(serve())
    shows(page, "chelsea.png")
    return page


HOLD = """
import pathlib, threading, time

run = threading.Thread.run

def held(self):
    if self.name == "start the engine":
        pathlib.Path({held!r}).touch()
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.02)
    run(self)

threading.Thread.run = held
"""


def test_before_the_network_is_there_the_photo_and_the_progress_are(
    serve: Any, page: Page, tmp_path: Path, console_errors: list
):
    go, held = tmp_path / "go", tmp_path / "held"
    # Python imports a module of this name before anything else: here one that holds the network up.
    (tmp_path / "sitecustomize.py").write_text(HOLD.format(go=str(go), held=str(held)))
    page.goto(serve.fresh(path=tmp_path).url)
    expect(page.get_by_role("heading", name="Segment a photo").first).to_be_visible()
    expect(page.locator(".preview img").first).to_be_visible()
    expect(page.locator(".preview-head").filter(has_text="FCN-8s").first).to_be_visible()
    expect(page.get_by_text("Loading the network").first).to_be_visible()
    expect(page.locator(LINE)).to_have_count(0)
    # Never there if no thread of that name starts the engine any more.
    settles(page, held.exists, wanted=True)
    go.touch()
    shows(page, "chelsea.png")
    expect(page.locator(".preview")).to_have_count(0)
    expect(page.get_by_text("Loading the network")).to_have_count(0)
    assert console_errors == []


def test_the_cat_is_found_by_all_three_outputs(cat: Page, console_errors: list, requests: list):
    for name in ("FCN-32s", "FCN-16s", "FCN-8s"):
        expect(cat.locator('[data-role="viewer"]').get_by_text(name).first).to_be_visible()
    legend = cat.locator('[data-role="viewer"]')
    expect(legend.get_by_text("cat", exact=True).first).to_be_visible()
    assert console_errors == []
    here = re.compile(r"^(https?://localhost:\d+/|data:|blob:)")
    assert [url for url in requests if not here.match(url)] == []


def test_title_source_viewer_and_legend_need_no_scrolling(cat: Page):
    for part in (
        cat.get_by_role("heading", name="Segment a photo"),
        cat.locator('[class*="st-key-photo_source"]'),
        cat.locator('[data-role="viewer"]'),
    ):
        box = part.first.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 720


def test_the_tools_share_a_line_beside_the_open_sidebar(cat: Page):
    cat.locator('[data-testid="stExpandSidebarButton"]').click()
    tools = cat.locator(".toolbar > :not([hidden])")
    expect(cat.get_by_role("link", name="Unpooling")).to_be_in_viewport(ratio=1)
    idle(cat)
    middles = tools.evaluate_all(
        """(all) => all.map((tool) => {
            const { top, height } = tool.getBoundingClientRect();
            return top + height / 2;
        })"""
    )
    assert len(middles) == 6
    assert max(middles) - min(middles) < 2


def test_hover_links_the_panels_without_a_message(cat: Page, ws_frames: list):
    box = cat.locator('[data-panel="photo"]').bounding_box()
    assert box is not None
    sent = len(ws_frames)
    for across in (0.3, 0.5, 0.7):
        cat.mouse.move(box["x"] + across * box["width"], box["y"] + 0.5 * box["height"])
        reading = cat.locator('[data-role="readout"] [data-stride="8"] .name')
        expect(reading).to_have_text(re.compile(r"\w+"))
    for stride in (32, 16, 8):
        name = cat.locator(f'[data-role="readout"] [data-stride="{stride}"] .name')
        expect(name).to_have_text("cat")
    assert len(ws_frames) == sent


def test_zoom_stays_when_the_script_runs_again(cat: Page):
    viewer = cat.locator('[data-role="viewer"]')
    box = cat.locator('[data-panel="8"]').bounding_box()
    assert box is not None
    cat.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    cat.mouse.wheel(0, -400)
    expect(viewer).not_to_have_attribute("data-zoom", "1.00")
    zoom = viewer.get_attribute("data-zoom")
    viewer.evaluate("viewer => (viewer.sameAsBefore = true)")
    cat.get_by_role("radio", name="In code").click()
    expect(cat.get_by_text("From the command line").first).to_be_visible()
    idle(cat)
    assert viewer.get_attribute("data-zoom") == zoom
    assert viewer.evaluate("viewer => viewer.sameAsBefore"), "it is not made anew"


def downloaded(page: Page, label: str) -> Download:
    button = page.get_by_role("button", name=label)
    expect(button).to_have_count(1)
    with page.expect_download(timeout=FIRST_RESULT) as started:
        button.click()
    return started.value


def opened(download: Download) -> Image.Image:
    image = Image.open(download.path())
    image.load()
    return image


def test_an_upload_gives_three_outputs_and_files_of_its_own_size(cat: Page, console_errors: list):
    upload(cat, file("big cat.jpg", picture(1600, 1064, "JPEG")))
    shows(cat, "big cat.jpg")
    shows(cat, "segmented at 768×511 on")
    cat.get_by_role("radio", name="Download").click()
    sizes = {}
    for label in ("FCN-8s labels", "FCN-8s overlay", "All three side by side"):
        found = downloaded(cat, label)
        image = opened(found)
        sizes[found.suggested_filename] = (image.mode, image.size)
    assert sizes["big cat.8s.png"] == ("P", (1600, 1064))
    assert sizes["big cat.8s.overlay.png"] == ("RGB", (1600, 1064))
    assert sizes["big cat.png"][1][0] > 4 * 1600
    cat.get_by_role("radio", name="FCN-32s").click()
    expect(cat.get_by_role("button", name="FCN-8s labels")).to_have_count(0)
    assert downloaded(cat, "FCN-32s labels").suggested_filename == "big cat.32s.png"
    assert console_errors == []


def test_a_click_while_the_script_runs_waits_for_the_new_file(
    page: Page, serve: Any, console_errors: list
):
    page.goto(serve(view="Download"))
    shows(page, "chelsea.png")
    for number in range(6):
        width = 120 + 10 * number
        upload(page, file(f"photo{number}.png", picture(width, 80)))
        # As soon as the run that the upload starts is under way: it takes the old files with it.
        # The page's state may never show a short run; what came of it shows that it was there.
        page.wait_for_function(
            """(line) => document.querySelector('.stApp').dataset.testScriptState !== 'notRunning'
                || document.body.textContent.includes(line)""",
            arg=f"segmented at {width}×80 on",
            timeout=FIRST_RESULT,
        )
        found = downloaded(page, "FCN-8s labels")
        shows(page, f"photo{number}.png")
        assert opened(found).size in {(width, 80), (width - 10, 80), (451, 300)}
        assert downloaded(page, "FCN-8s labels").suggested_filename == f"photo{number}.8s.png"
    assert page.locator('[data-testid="stDownloadButtonError"]').count() == 0
    assert console_errors == []


def test_links_open_a_sample_a_size_and_a_view(page: Page, serve: Any, console_errors: list):
    page.goto(serve(photo="rocket", side=384, view="Inside the skips"))
    shows(page, "rocket.jpg")
    shows(page, "segmented at 384×256 on")
    expect(page.get_by_text("exact sum").first).to_be_visible()
    assert console_errors == []


def test_the_address_follows_the_visitor_and_back_goes_back(cat: Page):
    cat.get_by_role("button", name="coffee").click()
    shows(cat, "coffee.png")
    expect(cat).to_have_url(re.compile(r"\?photo=coffee$"))
    cat.get_by_role("button", name="rocket").click()
    shows(cat, "rocket.jpg")
    cat.go_back()
    shows(cat, "coffee.png")
    expect(cat).to_have_url(re.compile(r"\?photo=coffee$"))
    cat.get_by_role("radio", name="384").click()
    shows(cat, "segmented at 384×")
    expect(cat).to_have_url(re.compile("side=384"))
    upload(cat, file("own.png", picture(100, 70)))
    shows(cat, "own.png")
    expect(cat).not_to_have_url(re.compile("photo="))


def test_bad_files_get_a_sentence_and_the_last_result_stays(cat: Page, console_errors: list):
    error = cat.locator('[data-testid="stAlert"]')
    for name, data, sentence in (
        ("empty.jpg", b"", "The file is empty"),
        ("page.png", b"<!doctype html><html></html>", "web page"),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("cut.jpg", picture(300, 200, "JPEG")[:5000], "ends before the picture is complete"),
        ("bomb.png", bomb(), "limit of 64 megapixels"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC"),
    ):
        upload(cat, file(name, data))
        expect(error.filter(has_text=sentence).first).to_be_visible()
        shows(cat, "chelsea.png")
        expect(error).to_have_count(1)
    upload(cat, file("dot.png", picture(1, 1)))
    shows(cat, "dot.png")
    shows(cat, "segmented at 1×1 on")
    expect(error).to_have_count(0)
    assert console_errors == []


PASTE = """([base64, name]) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File([bytes], name, { type: "image/png" }));
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


PASTE_BUTTON = 'button[data-listening="true"]'


def test_a_picture_is_pasted_with_the_keyboard_anywhere(cat: Page):
    expect(cat.locator(PASTE_BUTTON)).to_be_visible()
    for name, width in (("first.png", 90), ("second.png", 80)):
        data = base64.b64encode(picture(width, 60)).decode("ascii")
        cat.evaluate(PASTE, [data, name])
        shows(cat, name)
        shows(cat, f"segmented at {width}×60 on")


def test_a_picture_is_pasted_with_the_button(cat: Page):
    cat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cat.evaluate(
        """async (base64) => {
            const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
            const blob = new Blob([bytes], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        base64.b64encode(picture(70, 60)).decode("ascii"),
    )
    cat.locator(PASTE_BUTTON).click()
    shows(cat, "pasted.png")
    shows(cat, "segmented at 70×60 on")


def test_a_paste_above_the_cap_never_leaves_the_browser(cat: Page, ws_frames: list):
    expect(cat.locator(PASTE_BUTTON)).to_be_visible()
    sent = len(ws_frames)
    cat.evaluate(
        """() => {
            const clipboardData = new DataTransfer();
            const bytes = new Uint8Array(33 * 2 ** 20);
            clipboardData.items.add(new File([bytes], "huge.png", { type: "image/png" }));
            document.body.dispatchEvent(
                new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }"""
    )
    expect(cat.get_by_role("button", name="Larger than 32 MB")).to_be_visible()
    assert len(ws_frames) == sent


def take_photo(page: Page) -> None:
    """Press the camera's button, again where it had no picture: then nothing is taken.

    It has none before its first one, and it starts anew once its width is known.
    """
    video = page.locator('[data-testid="stCameraInput"] video')
    for _ in range(5):
        page.get_by_role("button", name="Take photo").first.click()
        try:
            expect(video).to_have_count(0, timeout=5_000)
        except AssertionError:
            continue
        return
    expect(video).to_have_count(0)


def test_the_camera_takes_a_photo(cat: Page, console_errors: list):
    camera = cat.locator('[data-testid="stCameraInput"]')
    expect(camera).to_have_count(0)
    cat.get_by_role("button", name="Camera").first.click()
    expect(camera.locator("video").first).to_be_visible()
    idle(cat)
    take_photo(cat)
    shows(cat, "camera")
    expect(camera).to_have_count(0)
    assert console_errors == []


def test_where_browsers_refuse_the_camera_the_page_says_why(page: Page, serve: Any):
    host = address_on_the_network()
    if host is None:
        pytest.skip("this machine has no address but the loopback, where browsers allow a camera")
    page.goto(serve.fresh(host=host).url)
    shows(page, "chelsea.png")
    assert page.evaluate("isSecureContext") is False
    page.get_by_role("button", name="Camera").first.click()
    expect(page.get_by_text("Browsers give the camera only to pages").first).to_be_visible()
    expect(page.get_by_text("upload the file").first).to_be_visible()
    idle(page)
    expect(page.locator('[data-testid="stCameraInput"]')).to_have_count(0)


def test_no_visitor_sees_anothers_photo(cat: Page, open_page: Any, serve: Any):
    upload(cat, file("secret garden.png", picture(640, 426, seed=7)))
    shows(cat, "secret garden.png")
    cat.get_by_role("radio", name="Inside the skips").click()
    other, records = open_page()
    received: list[bytes] = []
    other.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived",
            lambda frame: received.append(frame.encode() if isinstance(frame, str) else frame),
        ),
    )
    other.goto(serve())
    shows(other, "chelsea.png")
    other.get_by_role("button", name="coffee").click()
    shows(other, "coffee.png")
    everything = b"".join(received)
    assert b"600\xc3\x97400" in everything, "the coffee, so that the search can find something"
    assert b"secret garden" not in everything
    assert b"640x426" not in everything
    assert b"640\xc3\x97426" not in everything
    shows(cat, "secret garden.png")
    assert records.errors == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_ink_follows_the_visitors_colour_scheme(open_page: Any, serve: Any, color_scheme: str):
    page, _ = open_page(color_scheme=color_scheme)
    page.goto(serve())
    shows(page, "chelsea.png")
    colours = page.evaluate(
        """() => [getComputedStyle(document.querySelector("h1")).color,
                  getComputedStyle(document.querySelector(".stApp")).backgroundColor]"""
    )
    assert (
        colours
        == {
            "light": ["rgb(17, 17, 17)", "rgb(255, 255, 255)"],
            "dark": ["rgb(245, 245, 245)", "rgb(18, 22, 28)"],
        }[color_scheme]
    )


def test_a_phone_needs_no_sideways_scrolling(open_page: Any, serve: Any):
    page, _ = open_page(viewport={"width": 390, "height": 844})
    page.goto(serve())
    shows(page, "chelsea.png")
    widths = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]
