import io
import struct

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn import render
from explainer.fcn.photo import decode
from explainer.fcn.render import (
    class_shares,
    jpeg,
    label_png,
    overlay,
    panel,
    percent,
    png,
    resize_labels,
)
from explainer.fcn.voc import PALETTE

CAT, PERSON = 8, 15


def disc(height: int, width: int, label: int = CAT) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2
    return np.where(inside, label, 0).astype(np.uint8)


# --- label PNG ------------------------------------------------------------------------------------


def test_label_png_is_indexed_with_the_whole_palette() -> None:
    labels = np.array([[0, 8, 255], [15, 20, 1]], np.uint8)
    data = label_png(labels)
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), labels)
    at = data.index(b"PLTE")
    assert struct.unpack(">I", data[at - 4 : at]) == (768,)
    assert data[at + 4 : at + 772] == PALETTE.tobytes()
    assert data[24] == 8  # bits a pixel
    np.testing.assert_array_equal(decode(data).pixels, PALETTE[labels])


def test_label_png_of_another_size() -> None:
    image = Image.open(io.BytesIO(label_png(disc(30, 40), (3024, 4032))))
    assert image.size == (4032, 3024)
    assert set(np.unique(np.asarray(image))) == {0, CAT}


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_labels_enlarge_to_equal_blocks_and_back(factor: int) -> None:
    labels = np.random.default_rng(0).integers(0, 21, (7, 9), np.uint8)
    large = resize_labels(labels, (7 * factor, 9 * factor))
    np.testing.assert_array_equal(large, np.kron(labels, np.ones((factor, factor), np.uint8)))
    np.testing.assert_array_equal(resize_labels(large, (7, 9)), labels)


@pytest.mark.parametrize("new", [(5, 7), (13, 31), (1, 1), (40, 3)])
def test_labels_turn_with_the_picture(new: tuple[int, int]) -> None:
    # Ties (a centre on the border of two pixels) go to the right and below; odd sizes have none.
    labels = np.random.default_rng(1).integers(0, 21, (9, 11), np.uint8)
    expected = [
        [
            labels[int((row + 0.5) * 9 / new[0]), int((column + 0.5) * 11 / new[1])]
            for column in range(new[1])
        ]
        for row in range(new[0])
    ]
    np.testing.assert_array_equal(resize_labels(labels, new), expected)


def test_labels_of_no_size() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        resize_labels(disc(4, 4), (0, 3))


def test_jpeg_is_close_to_the_pixels() -> None:
    photo = skimage.data.chelsea()
    image = Image.open(io.BytesIO(jpeg(photo)))
    assert image.format == "JPEG"
    assert np.abs(np.asarray(image).astype(int) - photo).mean() < 3
    np.testing.assert_array_equal(decode(jpeg(Image.fromarray(photo))).pixels, np.asarray(image))


def test_class_shares() -> None:
    labels = np.array([[0, 0, 8, 8], [8, 15, 8, 8]], np.uint8)
    assert class_shares(labels) == {8: 5 / 8, 0: 2 / 8, 15: 1 / 8}
    assert list(class_shares(labels)) == [8, 0, 15]


def test_specks_and_the_background_are_not_found() -> None:
    labels = np.zeros((20, 50), np.uint8)
    labels[0, :5] = 8
    labels[1, :4] = 15
    assert render.found(labels) == {8: 0.005}
    assert render.found(np.full((2, 2), 255, np.uint8)) == {255: 1.0}


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0.0 %"), (0.0004, "< 0.1 %"), (0.0006, "0.1 %"), (0.1234, "12.3 %"), (1, "100.0 %")],
)
def test_percent(share: float, words: str) -> None:
    assert percent(share) == words


# --- overlay --------------------------------------------------------------------------------------


def test_overlay_colours_objects_and_keeps_the_background() -> None:
    photo = np.full((90, 120, 3), 100, np.uint8)
    labels = disc(90, 120)
    shown = overlay(photo, labels, 0.5)
    assert shown.shape == photo.shape
    assert (shown[:5] == 100).all()
    np.testing.assert_allclose(shown[45, 60], (100 + PALETTE[CAT].astype(int)) / 2, atol=1)
    assert (photo == 100).all()


def test_outlines_are_white_outside_and_the_class_colour_inside() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 10:] = CAT
    row = overlay(np.full((20, 20, 3), 100, np.uint8), labels, 0.5)[7]
    assert row[8].tolist() == [100, 100, 100]
    assert row[9].tolist() == [255, 255, 255]
    assert row[10].tolist() == PALETTE[CAT].tolist()
    assert row[11].tolist() != PALETTE[CAT].tolist()


def test_outlines_grow_with_the_photo() -> None:
    def white(size: int) -> int:
        labels = np.zeros((4, size), np.uint8)
        labels[:, size // 2 :] = CAT
        shown = overlay(np.zeros((4, size, 3), np.uint8), labels)
        return int((shown[0] == 255).all(1).sum())

    assert [white(size) for size in (10, 768, 1280, 4000)] == [1, 1, 2, 6]


def test_outlines_go_around_a_single_pixel() -> None:
    labels = np.zeros((2000, 2000), np.uint8)
    labels[1000, 1000] = CAT
    shown = overlay(np.zeros((2000, 2000, 3), np.uint8), labels)
    assert shown[1000, 1000].tolist() == PALETTE[CAT].tolist()
    assert (shown[1000, 997:1000] == 255).all()
    assert (shown[1001:1004, 1000] == 255).all()


def test_overlay_resizes_labels() -> None:
    photo = skimage.data.chelsea()
    np.testing.assert_array_equal(
        overlay(photo, disc(30, 45)), overlay(photo, resize_labels(disc(30, 45), (300, 451)))
    )


def test_opacity_from_nothing_to_everything() -> None:
    photo, labels = skimage.data.chelsea(), disc(300, 451)
    np.testing.assert_array_equal(overlay(photo, labels, 0), photo)
    inside = overlay(photo, labels, 1)[labels == CAT]
    assert (inside == PALETTE[CAT]).all()
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            overlay(photo, labels, wrong)


# --- panel ----------------------------------------------------------------------------------------


def labels_of(height: int, width: int) -> dict[int, NDArray[np.uint8]]:
    return {stride: disc(height, width) for stride in (8, 32, 16)}


def columns_of(sheet: Image.Image, colour: NDArray[np.uint8]) -> list[int]:
    """Where runs of a colour begin in the row through the middle of the pictures."""
    row = (np.asarray(sheet)[300] == colour).all(1).astype(int)
    return np.flatnonzero(np.diff(row) == 1).tolist()


def test_panel_has_the_photo_and_three_outputs_in_a_row() -> None:
    photo = np.full((300, 400, 3), (10, 200, 30), np.uint8)
    sheet = panel(photo, labels_of(300, 400), "caption", opacity=1)
    assert sheet.mode == "RGB"
    assert sheet.width == 2400
    assert sheet.getpixel((5, 5)) == (255, 255, 255)
    discs = columns_of(sheet, PALETTE[CAT])
    assert len(discs) == 3
    assert len(set(np.diff(discs))) == 1  # equally spaced
    # The photo itself is left of them, unmarked.
    assert sheet.getpixel((discs[0] - int(np.diff(discs)[0]) + 40, 300)) == (10, 200, 30)


def test_the_largest_stride_comes_first() -> None:
    labels = {8: disc(300, 400, 1), 16: disc(300, 400, 2), 32: disc(300, 400, 3)}
    sheet = panel(np.full((300, 400, 3), 9, np.uint8), labels, opacity=1)
    starts = [columns_of(sheet, PALETTE[label])[0] for label in (3, 2, 1)]
    assert starts == sorted(starts)


def test_the_legend_lists_what_any_output_found() -> None:
    photo = np.full((300, 400, 3), 200, np.uint8)
    one = labels_of(300, 400)
    none = {stride: np.zeros((300, 400), np.uint8) for stride in one}
    other = one | {32: disc(300, 400, PERSON)}

    def chips(labels: dict[int, NDArray[np.uint8]], label: int) -> bool:
        sheet = np.asarray(panel(photo, labels))
        return bool((sheet[-140:] == PALETTE[label]).all(2).any())

    assert chips(one, CAT)
    assert not chips(none, CAT)
    assert not chips(one, PERSON)
    assert chips(other, CAT)
    assert chips(other, PERSON)


def test_all_classes_and_the_void_fit_into_the_legend() -> None:
    labels = np.arange(22, dtype=np.uint8).repeat(4)[None].repeat(60, 0)
    labels[labels == 21] = 255
    sheet = np.asarray(panel(np.zeros((60, 88, 3), np.uint8), {8: labels}))
    for label in range(1, 21):
        assert (sheet[-600:] == PALETTE[label]).all(2).any()


@pytest.mark.parametrize(
    ("height", "width"),
    [(300, 451), (451, 300), (90, 200), (2, 600), (600, 2), (60, 200), (600, 800)],
)
def test_pictures_of_their_own_size_are_the_pixels_themselves(height: int, width: int) -> None:
    random = np.random.default_rng(height)
    photo = random.integers(1, 250, (height, width, 3), np.uint8)
    labels = {stride: disc(height, width, stride // 2) for stride in (32, 16, 8)}
    sheet = np.asarray(panel(photo, labels, "a caption", own_size=True))
    pictures = [photo, *(overlay(photo, labels[stride]) for stride in (32, 16, 8))]
    places = [found(sheet, picture) for picture in pictures]
    assert len(set(places)) == 4
    assert places == sorted(places)  # from left to right, then downwards
    assert (sheet[:, :8] == 255).all()
    assert (sheet[:, -8:] == 255).all()  # nothing runs over the margin


def test_long_names_keep_narrow_pictures_apart() -> None:
    photo = np.random.default_rng(0).integers(1, 250, (300, 90, 3), np.uint8)
    labels = {stride: disc(300, 90, stride // 2) for stride in (32, 16, 8)}
    names = {32: "FCN-8s without skips", 16: "FCN-8s without pool3", 8: "FCN-8s"}
    short, long = (
        np.asarray(panel(photo, labels, own_size=True, names=given)) for given in (None, names)
    )
    steps = [
        found(sheet, overlay(photo, labels[16]))[1] - found(sheet, overlay(photo, labels[32]))[1]
        for sheet in (short, long)
    ]
    assert steps[1] > 1.5 * steps[0]
    assert (long[:, -8:] == 255).all()


def found(sheet: NDArray[np.uint8], picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Where (row, column) a picture lies in a sheet, pixel by pixel."""
    height, width = picture.shape[:2]
    rows, columns = (
        side + 1 - own for side, own in zip(sheet.shape, (height, width), strict=False)
    )
    corner = (sheet[:rows, :columns] == picture[0, 0]).all(2)
    for row, column in np.argwhere(corner).tolist():
        if (sheet[row : row + height, column : column + width] == picture).all():
            return row, column
    raise AssertionError("the picture is not there")


@pytest.mark.parametrize(
    ("height", "width"), [(640, 300), (1, 1), (8, 10_000), (10_000, 8), (200, 600), (480, 640)]
)
def test_any_shape_gives_a_readable_sheet(height: int, width: int) -> None:
    photo = np.zeros((height, width, 3), np.uint8)
    sheet = panel(photo, labels_of(height, width), "word " * 100)
    assert sheet.width == 2400
    assert 300 < sheet.height < 2400
    assert (np.asarray(sheet)[:, -20:] == 255).all()  # nothing runs over the margin


def test_captions_grow_the_sheet_and_survive_any_text() -> None:
    photo, labels = np.zeros((300, 400, 3), np.uint8), labels_of(300, 400)
    heights = [
        panel(photo, labels, text).height
        for text in ("", "one line", "many words " * 40, "日本語 café ×\n\0\u202e" + "x" * 5000)
    ]
    empty, one, many, odd = heights
    assert empty < one <= odd < many


def test_accents_are_drawn_as_letters() -> None:
    photo, labels = np.zeros((30, 40, 3), np.uint8), labels_of(30, 40)
    np.testing.assert_array_equal(
        np.asarray(panel(photo, labels, "Café 3×4")), np.asarray(panel(photo, labels, "Cafe 3x4"))
    )


def test_a_panel_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one output"):
        panel(np.zeros((3, 4, 3), np.uint8), {})


def test_png_keeps_pixels() -> None:
    photo = skimage.data.chelsea()
    np.testing.assert_array_equal(decode(png(photo)).pixels, photo)
    np.testing.assert_array_equal(decode(png(Image.fromarray(photo))).pixels, photo)
