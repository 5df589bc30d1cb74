"""The files to keep, and the code that makes the same."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from explainer.fcn.photo import decode, fit
from explainer.fcn.result import Run
from explainer.fcn.segmenter import Segmenter
from explainer.fcn.voc import PALETTE
from explainer.ui import downloads, samples
from explainer.ui.segment_page import prepare
from explainer.ui.segment_views import own_size
from explainer.ui.snippets import command_line, python_lines
from explainer.ui.visit import Encoded, Shown


@pytest.fixture(scope="module")
def shown() -> Shown:
    """The cat on its side, 600×902 as stored, turned upright by its EXIF: 902×600."""
    cat = Image.open(io.BytesIO(samples.read("cat"))).resize((902, 600))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    buffer = io.BytesIO()
    cat.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", exif=exif)
    photo = prepare(Encoded("cat.jpg", buffer.getvalue()), 384)
    return Shown(photo, Run.single(Segmenter.load(device="cpu")(photo.pixels)))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_labels_are_indexed_with_the_voc_palette_at_the_photos_size(shown, stride):
    image = opened(downloads.label_file(shown, stride))
    assert image.mode == "P"
    assert image.size == (902, 600)
    palette = image.getpalette()
    assert palette is not None
    assert palette[: 21 * 3] == PALETTE[:21].ravel().tolist()
    small = shown.result.labels[stride]
    assert small.shape == (255, 384)
    assert set(np.unique(np.asarray(image))) == set(np.unique(small))
    shares = np.bincount(np.asarray(image).ravel(), minlength=21) / (902 * 600)
    assert np.abs(shares - np.bincount(small.ravel(), minlength=21) / small.size).max() < 0.01


def test_overlay_is_the_upright_photo_with_colours(shown):
    image = opened(downloads.overlay_file(shown, 8))
    assert image.size == (902, 600)
    labels = np.asarray(opened(downloads.label_file(shown, 8)))
    photo = np.asarray(Image.open(io.BytesIO(samples.read("cat"))).resize((902, 600)), float)
    inside = np.abs(np.asarray(image, float) - photo)
    assert inside[labels == 0].mean() < 10, "background keeps the photo's colours"
    assert inside[labels != 0].mean() > 20


def test_the_panel_holds_photo_and_overlays_at_their_own_size(shown):
    sheet = np.asarray(opened(downloads.panel_file(shown)))
    pictures = [decode(shown.photo.encoded.data).pixels]
    pictures += [
        np.asarray(opened(downloads.overlay_file(shown, stride))) for stride in (32, 16, 8)
    ]
    for picture in pictures:
        height, width = picture.shape[:2]
        rows, columns = sheet.shape[0] - height + 1, sheet.shape[1] - width + 1
        corners = np.argwhere((sheet[:rows, :columns, :] == picture[0, 0]).all(2)).tolist()
        assert any(
            (sheet[row : row + height, column : column + width] == picture).all()
            for row, column in corners
        )


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (3024, 4032), (4000, 6000), (8000, 8000), (3, 20_000)]
)
def test_four_large_pictures_are_shrunk_to_what_a_file_can_hold(height, width):
    side = downloads.panel_side(height, width)
    small = fit((height, width), side)
    fits = 4 * height * width <= downloads.PANEL_PIXELS
    assert (small == (height, width)) is fits
    assert 4 * small[0] * small[1] <= 1.001 * downloads.PANEL_PIXELS
    says = own_size(height, width)
    assert f"own size, {width}×{height}" in says
    assert ("side by side" in says) is not fits
    assert fits or f"{side} pixels on the longest side" in says


def test_names_are_quoted():
    assert command_line("a cat's.jpg", 768) == (
        "python -m explainer.fcn 'a cat'\"'\"'s.jpg' --out out"
    )
    assert command_line("cat.jpg", 384).endswith(" --out out --longest 384")
    assert Encoded("C:\\photos\\my.cat.jpg", b"").stem == "my.cat"
    assert Encoded("../../.jpg", b"").stem == ".jpg"


@pytest.mark.slow
def test_the_command_line_gives_the_same_labels(shown, tmp_path, root):
    (tmp_path / "cat.jpg").write_bytes(shown.photo.encoded.data)
    command = command_line("cat.jpg", 384).replace("python", sys.executable, 1)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, env=environment)
    for stride in (32, 16, 8):
        written = (tmp_path / "out" / f"cat.{stride}s.png").read_bytes()
        same = np.asarray(opened(written)) == np.asarray(
            opened(downloads.label_file(shown, stride))
        )
        assert same.mean() > 0.999


def test_the_lines_of_python_give_the_same_labels(shown, tmp_path, monkeypatch):
    (tmp_path / "it's a cat.jpg").write_bytes(shown.photo.encoded.data)
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(python_lines("it's a cat.jpg", 384), scope)
    for stride in (32, 16, 8):
        assert (scope["result"].labels[stride] == shown.result.labels[stride]).mean() > 0.999
