"""Hostile and unusual files, made here: each gives the right picture or one sentence."""

import builtins
import contextlib
import io
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageCms

from explainer.fcn import photo
from explainer.fcn.photo import Limits, Photo, PhotoError, decode, fit, shrink
from explainer.fcn.room import Room

# Of odd metadata; outside of tests the module under test switches them off itself.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

# 3 rows, 4 columns, no symmetry.
PIXELS: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
SMALL = Image.fromarray(PIXELS)
CAT: NDArray[np.uint8] = skimage.data.chelsea()


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + png_chunk(b"IEND", b"")


def with_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def sentence(data: bytes, **options: object) -> str:
    """The message of the refusal, which has to be one sentence that says what would work."""
    with pytest.raises(PhotoError) as caught:
        decode(data, **options)  # pyright: ignore[reportArgumentType]
    message = str(caught.value)
    assert re.fullmatch(r"[A-Z].*[^.]\.", message)
    assert ". " not in message
    assert "use" in message or "copy it once more" in message or "save it again" in message
    return message


# --- right pictures -----------------------------------------------------------------------------

LOSSLESS = {
    "png": encode(SMALL, "PNG"),
    "bmp": encode(SMALL, "BMP"),
    "webp, lossless": encode(SMALL, "WEBP", lossless=True),
    "png, opaque alpha": encode(SMALL.convert("RGBA"), "PNG"),
}


@pytest.mark.parametrize("data", LOSSLESS.values(), ids=LOSSLESS.keys())
def test_lossless_formats_come_back_exactly(data: bytes) -> None:
    found = decode(data, "a.jpg")
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert found == Photo(found.pixels, "a.jpg", (), (3, 4))
    assert found.pixels.dtype == np.uint8
    assert found.pixels.flags.writeable


def test_jpeg_equals_pillow() -> None:
    data = encode(Image.fromarray(CAT), "JPEG", quality=90)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data).pixels, expected)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_other_modes(mode: str) -> None:
    image = Image.fromarray(CAT).resize((60, 40)).convert(mode)
    found = decode(encode(image, "PNG")).pixels
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


def test_cmyk_jpeg() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = decode(encode(image, "JPEG", quality=100)).pixels
    assert np.abs(red.astype(int) - (255, 0, 0)).max() <= 4


SIXTEEN_BITS = np.array([[0, 128, 129, 257 * 7], [32768, 65535, 65407, 300]], np.uint16)
EIGHT_BITS = np.rint(SIXTEEN_BITS / 257).astype(np.uint8)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    found = decode(encode(Image.fromarray(SIXTEEN_BITS), "PNG")).pixels
    np.testing.assert_array_equal(found, np.repeat(EIGHT_BITS[..., None], 3, 2))


def test_16_bit_grey_png_with_a_transparent_value() -> None:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SIXTEEN_BITS)
    data = raw_png(4, 2, 16, 0, rows, png_chunk(b"tRNS", struct.pack(">H", 300)))
    found = decode(data)
    assert found.pixels[1, 3].tolist() == [255, 255, 255]
    assert found.pixels[0, 3].tolist() == [7, 7, 7]
    assert found.notes == ("Transparent parts are shown on white.",)


def test_16_bit_rgb_png() -> None:
    colours = np.array([[[0, 65535, 257 * 9], [257 * 200, 257 * 3, 0]]], ">u2")
    data = raw_png(2, 1, 16, 2, b"\0" + colours.tobytes())
    assert decode(data).pixels.tolist() == [[[0, 255, 9], [200, 3, 0]]]


def test_transparency_goes_on_white_and_is_noted() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 255, 0, 128
    found = decode(encode(Image.fromarray(rgba), "PNG"))
    assert found.pixels[0, :, 0].tolist() == [0, 255, 127]
    assert found.notes == ("Transparent parts are shown on white.",)


def test_palette_with_transparency() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for kind in ("PNG", "GIF"):
        found = decode(encode(image, kind, transparency=1))
        assert found.pixels.tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
        assert found.notes == ("Transparent parts are shown on white.",)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_show_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    found = decode(data)
    assert (found.pixels == (255, 0, 0)).all()
    assert found.notes == ("The file is an animation: only its first frame is used.",)


def test_further_pictures_of_a_jpeg_are_no_animation() -> None:
    preview = Image.new("RGB", (2, 2))
    found = decode(encode(SMALL, "MPO", save_all=True, append_images=[preview]))
    assert found.size == (3, 4)
    assert found.notes == ()


# What each orientation says of the stored picture; the inverse brings it upright.
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),  # upright after a turn to the right
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_shown_upright(kind: str, orientation: int) -> None:
    blocks = np.kron(PIXELS, np.ones((16, 16, 1), np.uint8))
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](blocks)))
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encode(stored, kind, exif=with_exif(orientation), **options.get(kind, {}))
    found = decode(data)
    assert found.size == (48, 64)
    assert np.abs(found.pixels.astype(int) - blocks).max() <= (12 if kind == "JPEG" else 0)
    smaller = decode(data, longest=32)
    assert smaller.pixels.shape == (24, 32, 3)
    assert smaller.size == (48, 64)


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_unreadable_exif_is_ignored(exif: bytes) -> None:
    np.testing.assert_array_equal(decode(encode(SMALL, "PNG", exif=exif)).pixels, PIXELS)


def test_colour_profile_is_applied() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # sRGB with its red and blue primaries exchanged: tags are found by name in the profile's table.
    exchanged = srgb.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    shown = decode(encode(red, "PNG", icc_profile=exchanged)).pixels[0, 0]
    assert shown[2] > 250
    assert shown[:2].max() < 5
    for useless in (lab, srgb[:200], b"nonsense", b""):
        assert decode(encode(red, "PNG", icc_profile=useless)).pixels[0, 0].tolist() == [255, 0, 0]
    assert (
        np.abs(decode(encode(SMALL, "PNG", icc_profile=srgb)).pixels - PIXELS.astype(int)).max() < 2
    )


@pytest.mark.parametrize(("width", "height"), [(1, 1), (10_000, 8), (8, 10_000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_extreme_sizes(kind: str, width: int, height: int) -> None:
    data = encode(Image.new("RGB", (width, height), (200, 0, 0)), kind)
    found = decode(data)
    assert found.pixels.shape == (height, width, 3)
    small = decode(data, longest=768)
    assert small.pixels.shape[:2] == fit((height, width), 768)
    assert small.size == (height, width)
    assert np.abs(small.pixels.astype(int) - (200, 0, 0)).max() < 4


def test_the_extension_does_not_matter() -> None:
    np.testing.assert_array_equal(decode(encode(SMALL, "PNG"), "photo.jpg").pixels, PIXELS)


def test_what_follows_a_jpeg_is_left_out() -> None:
    data = encode(SMALL, "JPEG")
    np.testing.assert_array_equal(decode(data + os.urandom(5000)).pixels, decode(data).pixels)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_blocks": 3}])
def test_a_jpeg_without_its_end_marker_is_complete(options: dict[str, int]) -> None:
    data = encode(Image.fromarray(CAT), "JPEG", **options)
    assert data.endswith(b"\xff\xd9")
    np.testing.assert_array_equal(decode(data[:-2]).pixels, decode(data).pixels)
    sentence(data[:-100])


# --- refusals -----------------------------------------------------------------------------------

PNG, JPEG, GIF = encode(SMALL, "PNG"), encode(Image.fromarray(CAT), "JPEG"), encode(SMALL, "GIF")
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'
HUGE_BMP = bytearray(encode(SMALL, "BMP"))
struct.pack_into("<ii", HUGE_BMP, 18, 50_000, 50_000)
HUGE_GIF = GIF[:6] + struct.pack("<HH", 50_000, 50_000) + GIF[10:]
FRAME = GIF.index(b",", 13 + 3 * 2 ** ((GIF[10] & 7) + 1))
FAR_FRAME_GIF = GIF[: FRAME + 1] + struct.pack("<4H", 50_000, 50_000, 4, 3) + GIF[FRAME + 9 :]
START = JPEG.index(b"\xff\xc0")
HUGE_JPEG = JPEG[: START + 5] + struct.pack(">HH", 50_000, 50_000) + JPEG[START + 9 :]
FLAT_JPEG = JPEG[: START + 5] + struct.pack(">HH", 0, 451) + JPEG[START + 9 :]
HUGE_WEBP = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x4f\xc3\0" * 2
SCAN = JPEG.index(b"\xff\xda")
MANY_SCANS = JPEG[:SCAN] + JPEG[SCAN : SCAN + 20] * 200 + b"\xff\xd9"

REFUSED: dict[str, tuple[bytes, str]] = {
    "zero bytes": (b"", "empty"),
    "one byte": (b"\xff", "not an image"),
    "text": (b"hello, I am a photo" * 20, "not an image"),
    "zeros": (bytes(10_000), "not an image"),
    "SVG dressed as PNG": (SVG, "SVG"),
    "SVG after a comment": (b"  <!-- x -->" * 9 + b"<SVG></SVG>", "SVG"),
    "HTML dressed as PNG": (b"\xef\xbb\xbf<!DOCTYPE html><html><svg/></html>", "web page"),
    "unclosed comments": (b"<!-- -->" * 50_000, "web page"),
    "PDF": (b"%PDF-1.7\n" + bytes(100), "PDF"),
    "MP4": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100), "video"),
    "WebM": (b"\x1aE\xdf\xa3" + bytes(100), "video"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST" + bytes(100), "video"),
    "HEIC": (HEIC, "HEIC"),
    "HEIC by its second brand": (HEIC.replace(b"ftypheic", b"ftypmif1"), "HEIC"),
    "HEIC or AVIF": (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(50), "AVIF"),
    "TIFF": (encode(SMALL, "TIFF"), "TIFF"),
    "ZIP": (b"PK\x03\x04" + bytes(50), "not an image"),
    "bomb, PNG": (raw_png(50_000, 50_000, 8, 2, b""), "limit of 64 megapixels"),
    "bomb, BMP": (bytes(HUGE_BMP), "limit of 64 megapixels"),
    "bomb, GIF": (HUGE_GIF, "limit of 64 megapixels"),
    "bomb, GIF by its frame": (FAR_FRAME_GIF, "limit of 64 megapixels"),
    "bomb, JPEG": (HUGE_JPEG, "limit of 64 megapixels"),
    "bomb, WebP": (HUGE_WEBP, "limit of 64 megapixels"),
    "10001×10000": (raw_png(10_001, 10_000, 8, 2, b""), "limit of 64 megapixels"),
    "too long a side": (raw_png(20_001, 1, 8, 2, b""), "20000 pixels on a side"),
    "no width": (raw_png(0, 5, 8, 2, b""), "damaged"),
    "JPEG without height": (FLAT_JPEG, "damaged"),
    "JPEG of 200 scans": (MANY_SCANS, "damaged"),
    "JPEG without a picture": (b"\xff\xd8\xff\xd9", "damaged"),
    "PNG without pixels": (PNG[:33] + png_chunk(b"IEND", b""), "damaged"),
    "GIF without pixels": (GIF[:FRAME] + b";", "damaged"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_a_sentence_at_once(data: bytes, words: str) -> None:
    tracemalloc.start()
    began = time.thread_time()
    message = sentence(data, name="photo.png")
    seconds = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert words in message
    assert seconds < 2  # of the processor, traced; most take less than a millisecond
    assert peak < 4 * len(data) + 40e6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_truncated(kind: str, share: float) -> None:
    data = encode(Image.fromarray(CAT), kind)
    message = sentence(data[: int(share * len(data))])
    assert "ends before the picture is complete" in message


def test_limits() -> None:
    data = encode(SMALL, "PNG")
    assert "limit of 0.000" in sentence(data, limits=Limits(max_bytes=len(data) - 1))
    assert decode(data, limits=Limits(max_bytes=len(data))).size == (3, 4)
    assert "limit of 1.1e-05 megapixels" in sentence(data, limits=Limits(max_pixels=11))
    assert decode(data, limits=Limits(max_pixels=12)).size == (3, 4)
    assert "3 pixels on a side" in sentence(data, limits=Limits(max_side=3))
    assert "larger than the limit of 32 MB" in sentence(bytes(32 * 2**20 + 1))


def test_a_failing_allocation_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(photo, "_reduced", fail)
    assert "memory" in sentence(PNG)


# --- cost ---------------------------------------------------------------------------------------


def within(seconds: float, data: bytes) -> Photo:
    """The photo; fails where decoding takes longer, or needs more than 64 MB of Python memory."""
    tracemalloc.start()
    began = time.thread_time()
    found = decode(data)
    spent = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < seconds
    assert peak < 64e6
    return found


def exif_bomb() -> bytes:
    """A JPEG with 5000 tags that each claim the same 60 kB: 300 MB if they were read."""
    tags = b"".join(struct.pack("<HHII", tag, 7, 59_000, 8) for tag in range(1, 5000))
    bomb = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 4999) + tags + bytes(4)
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(bomb) + 2) + bomb + JPEG[2:]


EXIF_BOMB = exif_bomb()


def test_a_bomb_in_exif_costs_nothing() -> None:
    np.testing.assert_array_equal(within(2, EXIF_BOMB).pixels, decode(JPEG).pixels)


RUNS_BMP = (
    b"BM"
    + struct.pack("<IHHI", 4_001_078, 0, 0, 1078)
    + struct.pack("<IiiHHIIiiII", 40, 4000, 4000, 1, 8, 1, 4_000_000, 0, 0, 256, 0)
    + bytes(1024)
    + b"\1\5" * 2_000_000
)
ENDLESS = {
    "JPEG segments": JPEG[:2] + b"\xff\xfe\0\x02" * 3_000_000 + JPEG[2:],
    "pieces of EXIF": JPEG[:2]
    + (b"\xff\xe1" + struct.pack(">H", 600) + b"Exif\0\0" + bytes(592)) * 30_000
    + JPEG[2:],
    "PNG chunks": PNG[:33] + png_chunk(b"tEXt", b"") * 1_000_000 + PNG[33:],
    "blocks of a GIF comment": GIF[:FRAME] + b"!\xfe" + b"\x01x" * 5_000_000 + b"\0" + GIF[FRAME:],
    "GIF comments after the picture": GIF[:-1] + b"!\xfe\x01x\0" * 2_000_000 + b";",
    "bytes between JPEG segments": JPEG[:2] + b"\xff" * 5_000_000 + JPEG[2:],
    "resources of Photoshop": JPEG[:2]
    + (
        b"\xff\xed"
        + struct.pack(">H", 12_016)
        + b"Photoshop 3.0\0"
        + b"8BIM".ljust(12, b"\0") * 1000
    )
    * 100
    + JPEG[2:],
    "bytes after a GIF's picture": GIF[:-1] + b"\1" * 5_000_000 + b";",
    "blocks of a GIF's picture": GIF[:-2] + b"\1\0" * 2_000_000 + b"\0;",
    "runs of a BMP": RUNS_BMP,
}


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_file_of_too_many_parts_is_not_given_to_pillow(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
    began = time.thread_time()
    assert "more parts than photos do" in sentence(data)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize("kind", ["JPEG segments", "blocks of a GIF comment", "runs of a BMP"])
def test_a_file_that_keeps_pillow_busy_is_given_up(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ENDLESS[kind]
    monkeypatch.setattr(photo, "too_many_parts", lambda data: False)
    monkeypatch.setattr(photo, "_SECONDS", 0.3)
    began = time.thread_time()
    sentence(data)
    assert time.thread_time() - began < 2


def test_draft_keeps_the_size_of_the_photo() -> None:
    large = Image.fromarray(CAT).resize((4032, 3024))
    data = encode(large, "JPEG", quality=90)
    found = decode(data, longest=768)
    full = decode(data)
    assert found.size == full.size == (3024, 4032)
    assert found.pixels.shape == (576, 768, 3)
    away = np.abs(found.pixels.astype(int) - shrink(full.pixels))
    assert 0 < away.mean() < 1  # not the same, so that it was decoded at a fraction


# --- shrink -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((3024, 4032), 768, (576, 768)),
        ((4032, 3024), 768, (768, 576)),
        ((768, 768), 768, (768, 768)),
        ((10, 20), 768, (10, 20)),
        ((8, 10_000), 768, (1, 768)),
        ((10_000, 1), 100, (100, 1)),
        ((1, 1), 1, (1, 1)),
    ],
)
def test_fit(size: tuple[int, int], longest: int, expected: tuple[int, int]) -> None:
    assert fit(size, longest) == expected
    assert shrink(np.zeros((*size, 3), np.uint8), longest).shape == (*expected, 3)


def test_shrink_is_antialiased() -> None:
    checkerboard = np.indices((512, 512)).sum(0) % 2 * 255
    pixels = np.repeat(checkerboard[..., None], 3, 2).astype(np.uint8)
    assert np.abs(shrink(pixels, 100).astype(int) - 127.5).max() < 12


def test_shrink_keeps_small_photos() -> None:
    np.testing.assert_array_equal(shrink(PIXELS, 4), PIXELS)


@pytest.mark.parametrize("longest", [0, -5])
def test_longest_below_1(longest: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        shrink(PIXELS, longest)
    with pytest.raises(ValueError, match="at least 1"):
        decode(PNG, longest=longest)


# --- traces -------------------------------------------------------------------------------------


def test_nothing_is_written_or_logged(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"opened {arguments}")

    caplog.set_level("WARNING")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    files = [
        encode(Image.fromarray(CAT), kind, **options)
        for kind, options in (
            ("PNG", {}),
            ("JPEG", {"progressive": True}),
            ("WEBP", {}),
            ("GIF", {}),
            ("BMP", {}),
        )
    ]
    eight_megabytes = encode(Image.effect_noise((2900, 2900), 90), "PNG")
    assert len(eight_megabytes) > 7.5e6
    decode(eight_megabytes)  # once before, for what is imported late
    files += [eight_megabytes, *(data for data, _ in REFUSED.values())]
    files += [data[: len(data) // 2] for data in files[:5]]
    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    outcomes, causes = [], []
    for data in files:
        try:
            outcomes.append(decode(data))
        except PhotoError as error:
            causes.append(str(error.__cause__))
    monkeypatch.undo()
    assert len(outcomes) == 6
    assert not [cause for cause in causes if "opened" in cause]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_odd_metadata_are_not_logged(tmp_path: Path) -> None:
    hundred_megapixels = raw_png(10_000, 10_000, 8, 2, b"")
    for name, data in (("odd", EXIF_BOMB), ("large", hundred_megapixels)):
        (tmp_path / name).write_bytes(data)
    code = (
        "import sys, pathlib\n"
        "from explainer.fcn.photo import PhotoError, decode\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        decode(pathlib.Path(name).read_bytes())\n"
        "    except PhotoError as error:\n"
        "        print(error)\n"
    )
    # pytest has warning filters of its own, hence another process.
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "odd", tmp_path / "large"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "limit of 64 megapixels" in ran.stdout
    assert ran.stderr == ""


def test_pillow_settings_are_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(PNG)
    sentence(REFUSED["bomb, PNG"][0])
    assert before == Image.MAX_IMAGE_PIXELS


# --- memory -------------------------------------------------------------------------------------

HALF = np.where(np.arange(len(CAT)) < len(CAT) // 2, 255, 0).astype(np.uint8)[:, None]
FEW_ROWS = {
    "transparent": Image.fromarray(np.dstack([CAT, CAT[..., 0]])),
    "opaque": Image.fromarray(CAT).convert("RGBA"),
    "half opaque": Image.fromarray(np.dstack([CAT, np.maximum(CAT[..., 0], HALF)])),
    "palette": Image.fromarray(CAT).convert("P"),
    "grey": Image.fromarray(CAT).convert("L"),
    "photo": Image.fromarray(CAT),
}


@pytest.mark.parametrize("longest", [None, 20, 47, 140, 200])
@pytest.mark.parametrize("image", FEW_ROWS.values(), ids=FEW_ROWS.keys())
def test_a_photo_flattened_in_strips_is_as_flattened_at_once(
    image: Image.Image, longest: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo, "_STRIP", 5 * image.width)
    rgba = image.convert("RGBA")
    whole = Image.new("RGB", rgba.size, "white")
    whole.paste(rgba, mask=rgba)
    height, width = fit((image.height, image.width), longest or image.width)
    expected = whole.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    data = encode(image, "PNG")
    np.testing.assert_array_equal(decode(data, longest=longest).pixels, np.asarray(expected))


def test_decoding_waits_for_room_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(Room):
        held: list[int] = []  # noqa: RUF012

        @contextlib.contextmanager
        def hold(self, amount: int):
            self.held.append(amount)
            with super().hold(amount):
                yield

    monkeypatch.setattr(photo, "ROOM", Watched(12))
    large = Image.fromarray(CAT).resize((1600, 1200))
    decode(PNG)
    sentence(PNG[: len(PNG) - 30])
    decode(PNG)
    decode(encode(large, "JPEG"), longest=400)  # decoded at a quarter
    decode(encode(large, "JPEG", progressive=True), longest=400)  # has all coefficients at once
    assert Watched.held == [12, 12, 12, 400 * 300, 1600 * 1200]


def test_what_a_large_photo_took_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr(photo, "give_back", lambda: given_back.append(True))
    decode(PNG)
    assert not given_back
    large = encode(Image.new("L", (3000, 3000)), "PNG")
    decode(large, longest=20)
    sentence(large[:-200], longest=20)
    assert len(given_back) == 2


MEASURED = """
import sys, threading
from explainer.fcn import photo

def kilobytes(name):
    return int(open("/proc/self/status").read().split(name)[1].split()[0])

data = open(sys.argv[1], "rb").read()
photo.ROOM = photo.Room(4_000_000)
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
before = kilobytes("VmRSS:")
decode = lambda: photo.decode(data, longest=256)
threads = [threading.Thread(target=decode) for _ in range(int(sys.argv[2]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(1024 * (kilobytes("VmHWM:") - before) / 16e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("together", [1, 6])
def test_huge_flat_photos_take_one_after_the_other_what_one_takes(
    root: Path, tmp_path: Path, together: int
) -> None:
    """Bytes a pixel, of the whole process: 4 for the photo, and a little for the rest."""
    huge = tmp_path / "huge.png"
    huge.write_bytes(encode(Image.new("RGBA", (4000, 4000), (200, 30, 40, 128)), "PNG"))
    command = [sys.executable, "-c", MEASURED, str(huge), str(together)]
    ran = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    assert float(ran.stdout) < (8 if together == 1 else 14)  # of which what malloc keeps
