"""The other networks in a real browser: exact scores, choosing one, hostile files."""

import base64
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from explainer.components.segment_viewer import payload
from explainer.fcn import published
from explainer.fcn.published import PublishedFCN
from explainer.fcn.resnet import FCNResNet50
from explainer.fcn.result import Run, ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES
from tests.browser.conftest import ROOT, VIEWER, address_on_the_network, idle, shows

SOURCE = ROOT / "explainer/components/segment_viewer/segment_viewer.js"


def made_up(
    name: str, strides: tuple[int, ...], height: int, width: int, seed: int
) -> Segmentation:
    """Random scores where the cells of a network are, as many as it has."""
    with torch.device("meta"):
        photo = torch.empty(1, 3, height, width)
        network = FCNResNet50() if name == published.RESNET else PublishedFCN(name, strides)
        shapes = {stride: found.shape[1:] for stride, found in network(photo).items()}
    random = np.random.default_rng(seed)
    maps = {
        stride: ScoreMap(
            random.normal(0, 5, shape).astype(np.float32), network.lattices[stride], network.fades
        )
        for stride, shape in shapes.items()
    }
    return Segmentation(height, width, CLASSES, maps, {}).without()


def one_pass(name: str, *strides: int) -> Callable[[int, int], Run]:
    return lambda height, width: Run.single(made_up(name, strides, height, width, seed=0))


def three_passes(height: int, width: int) -> Run:
    strides = (32, 16, 8)
    nets = [made_up("fcn-vgg16", strides[: count + 1], height, width, count) for count in range(3)]
    return Run("", "", dict(zip(strides, nets, strict=True)))


RUNS = {
    "VGG16, one pass": one_pass("fcn-vgg16", 32, 16, 8),
    "VGG16, three passes": three_passes,
    "AlexNet": one_pass("fcn-alexnet", 32),
    "GoogLeNet": one_pass("fcn-googlenet", 32),
    "ResNet50": one_pass("fcn-resnet50", 8),
}

# The viewer's own functions, with a door to the two that read scores.
READ = """async ([source, bytes, places]) => {
    const doors = "\\nexport { unpack, decodeScene, interpolated };";
    const script = new Blob([source + doors], { type: "text/javascript" });
    const viewer = await import(URL.createObjectURL(script));
    const data = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
    const { header, part } = viewer.unpack(data);
    const { heads, classes } = await viewer.decodeScene(header, part);
    return places.map(([y, x]) =>
        heads.map(({ scores }) => [...viewer.interpolated(scores, classes.length, y, x)]));
}"""


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("size", [(97, 130), (64, 40)], ids=str)
def test_the_browser_reads_the_scores_that_python_computes(page: Page, name: str, size: Any):
    height, width = size
    run = RUNS[name](height, width)
    data = base64.b64encode(payload(run, np.zeros((height, width, 3), np.uint8))).decode()
    random = np.random.default_rng(1)
    places = [(0, 0), (height - 1, width - 1), (0, width - 1), (13, 12)]
    places += zip(random.integers(0, height, 20), random.integers(0, width, 20), strict=True)
    page.goto("about:blank")
    found = page.evaluate(
        READ, [SOURCE.read_text("utf-8"), data, [[int(y), int(x)] for y, x in places]]
    )
    for (y, x), heads in zip(places, found, strict=True):
        for stride, scores in zip(run.outputs, heads, strict=True):
            result = run.results[stride]
            # What is sent is rounded to int16; beyond that the two agree.
            half = np.abs(result.sums[stride].values).max() / 32767 / 2
            np.testing.assert_allclose(scores, result.logits(y, x)[stride], atol=1.01 * half + 1e-5)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's empty folder of weights."""
    cache = tmp_path / "weights"
    cache.mkdir()
    monkeypatch.setenv("EXPLAINER_CACHE", str(cache))
    return cache


def test_choosing_a_network_by_keyboard(
    page: Page, serve: Any, own_cache: Path, console_errors: list
):
    page.goto(serve.fresh().url + "/?side=384&view=The+network")
    shows(page, "chelsea.png")
    expect(page.locator(".panels figure")).to_have_count(4)
    page.get_by_role("combobox", name="Network").focus()
    page.keyboard.type("GoogLe")
    page.keyboard.press("Enter")
    expect(page.get_by_text("FCN-GoogLeNet, untrained").first).to_be_visible()
    shows(page, "FCN-GoogLeNet")
    assert "network=fcn-googlenet" in page.url
    assert "mode=untrained" in page.url
    # Only the panels that there are, each as wide as half the page.
    expect(page.locator(".panels figure")).to_have_count(2)
    expect(page.locator(".panels figcaption strong")).to_have_text(["Photo", "FCN-GoogLeNet"])
    expect(page.locator("[data-role=legend] thead th")).to_have_text(
        ["Share of the photo", "FCN-GoogLeNet"]
    )
    page.locator('[data-panel="32"]').hover()
    expect(page.locator(f"{VIEWER}:not([data-probe=''])")).to_have_count(1)
    reading = page.locator('[data-role="readout"] [data-stride="32"] .probability')
    expect(reading).to_have_text(re.compile(r"^\d+\.\d%$"))
    # The link opens the same again.
    page.goto(page.url)
    shows(page, "FCN-GoogLeNet")
    page.get_by_role("combobox", name="Network").focus()
    page.keyboard.type("Mobile")
    page.keyboard.press("Enter")
    expect(page.locator(".panels figure")).to_have_count(4)
    shows(page, "chelsea.png")
    assert "network" not in page.url.partition("?")[2].replace("The+network", "")
    assert console_errors == []


class Trap:
    """A pickle that would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_hostile_file_is_refused_and_nothing_is_kept(
    page: Page, serve: Any, own_cache: Path, tmp_path: Path
):
    trapped, hostile = tmp_path / "trapped", tmp_path / "hostile.pth"
    hostile.write_bytes(pickle.dumps({"inception_3a.one.weight": Trap(trapped)}, protocol=2))
    page.goto(
        serve.fresh().url + "/?side=384&network=fcn-googlenet&mode=untrained&view=The+network"
    )
    shows(page, "FCN-GoogLeNet")
    page.get_by_text("Use a file that I have").click()
    page.get_by_role("textbox", name="Path").fill(str(hostile))
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(has_text="hostile.pth")
    expect(alert.first).to_contain_text("holds more than weights")
    idle(page)
    assert not trapped.exists()
    assert list(own_cache.iterdir()) == []
    expect(page.locator(f'{VIEWER}[data-ready="true"]')).to_have_count(1)


def test_a_stranger_may_not_change_the_machine(page: Page, serve: Any, own_cache: Path):
    host = address_on_the_network()
    if host is None:
        pytest.skip("this machine has no address on a network")
    server = serve.fresh(host=host)
    page.goto(f"{server.url}/?side=384&network=fcn-vgg16&view=The+network")
    shows(page, "chelsea.png")
    expect(page.get_by_text("not on the machine that serves this page").first).to_be_visible()
    expect(page.get_by_role("button", name="Download")).to_have_count(0)
    expect(page.get_by_text("Use a file that I have")).to_have_count(0)
    assert str(own_cache) not in page.content()


def test_the_weights_are_offered_with_their_size_on_the_machine_itself(
    page: Page, serve: Any, own_cache: Path
):
    page.goto(serve.fresh().url + "/?side=384&network=fcn-vgg16&view=The+network")
    shows(page, "chelsea.png")
    expect(page.get_by_text("3 files, 1623 MB").first).to_be_visible()
    expect(page.get_by_role("button", name="Download 1623 MB")).to_be_visible()
    assert list(own_cache.iterdir()) == [], "nothing is downloaded unasked"
