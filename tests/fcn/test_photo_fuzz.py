"""Damaged real photos: nothing but a photo or the documented error, in bounded time and memory."""

import io
import resource
import struct
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import skimage.data
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from explainer.fcn.photo import Limits, PhotoError, decode, fit

# Of odd metadata; outside of tests the module under test switches them off itself.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

LIMITS = Limits(max_bytes=2**20, max_pixels=1_000_000, max_side=4000)
SECONDS = 2.0
"""Of the processor for a file of at most 1 megapixel; most take a few milliseconds."""
PYTHON_BYTES = 40e6
"""Of Python and numpy at once while one file is decoded: 28 bytes a pixel, and the file."""
RESIDENT_BYTES = 700e6
"""By which the whole process may grow in the test, the decoders' own memory included."""

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _seeds() -> list[bytes]:
    cat = Image.fromarray(skimage.data.chelsea()).resize((113, 75))
    coffee = Image.fromarray(skimage.data.coffee()).resize((90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    alpha = cat.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(cat.size))
    grey = Image.fromarray(skimage.data.camera()[::8, ::8].astype(np.uint16) * 257)
    frames = {"save_all": True, "append_images": [coffee.resize(cat.size)], "duration": 40}
    plans = [
        (cat, "JPEG", {"exif": exif, "icc_profile": PROFILE, "comment": b"hello"}),
        (cat, "JPEG", {"progressive": True, "restart_marker_blocks": 4}),
        (cat.convert("CMYK"), "JPEG", {}),
        (cat, "PNG", {"icc_profile": PROFILE, "exif": exif}),
        (alpha.quantize(32), "PNG", {}),
        (grey, "PNG", {}),
        (cat, "PNG", frames),
        (cat, "GIF", frames | {"comment": b"hello", "transparency": 3}),
        (cat, "WEBP", {"exif": exif, "icc_profile": PROFILE}),
        (alpha, "WEBP", {"lossless": True}),
        (cat, "WEBP", frames),
        (cat, "BMP", {}),
        (cat.quantize(16), "BMP", {}),
    ]
    seeds = []
    for image, kind, options in plans:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        seeds.append(stream.getvalue())
    return seeds


SEEDS = _seeds()
INTERESTING = [
    struct.pack(order + code, value)
    for order in "<>"
    for code, values in {
        "B": (0, 1, 127, 128, 255),
        "H": (0, 1, 32767, 65535),
        "I": (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 4001, 60_000),
    }.items()
    for value in values
]


def _repaired(data: bytes) -> bytes:
    """A PNG with the checksums of its chunks made right, so that the damage is looked at."""
    fixed, position = bytearray(data), 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(data):
            break
        fixed[end : end + 4] = zlib.crc32(data[position + 4 : end]).to_bytes(4)
        position = end + 4
    return bytes(fixed)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real file after a few bit flips, overwritten numbers, cuts, repeats and splices."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        # The first bytes hold the headers: half of the damage goes there.
        reach = len(data) if draw(st.booleans()) else min(len(data), 200)
        at = draw(st.integers(0, max(0, reach - 1)))
        match draw(st.sampled_from(("flip", "number", "cut", "drop", "repeat", "splice", "noise"))):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "number":
                number = draw(st.sampled_from(INTERESTING))
                data[at : at + len(number)] = number
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 40))]
            case "repeat":
                part = data[at : at + draw(st.integers(1, 200))]
                data[at:at] = part * draw(st.integers(1, 50))
            case "splice":
                other = draw(st.sampled_from(SEEDS))
                start = draw(st.integers(0, len(other) - 1))
                data[at:] = other[start:]
            case "noise":
                data[at : at + 16] = draw(st.binary(max_size=16))
    return _repaired(bytes(data)) if draw(st.booleans()) else bytes(data)


def check(data: bytes, longest: int | None) -> bool:
    """Decodes within the bounds; whether it gave a photo."""
    photo, message = None, "."
    tracemalloc.start()
    began = time.thread_time()
    try:
        photo = decode(data, "photo", LIMITS, longest)
    except PhotoError as error:
        message = str(error)
    finally:
        seconds = time.thread_time() - began
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert message.endswith(".")
    assert seconds < SECONDS
    assert peak < PYTHON_BYTES
    if photo is None:
        return False
    height, width = photo.size
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.ndim == 3
    assert photo.pixels.shape[2] == 3
    assert 1 <= height * width <= LIMITS.max_pixels
    assert max(height, width) <= LIMITS.max_side
    expected = photo.size if longest is None else fit(photo.size, longest)
    assert photo.pixels.shape[:2] == expected
    return True


@given(data=damaged(), longest=st.sampled_from((None, 1, 40)))
@settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(data=b"", longest=None)
def _throw(data: bytes, longest: int | None) -> None:
    OUTCOMES.append(check(data, longest))


OUTCOMES: list[bool] = []


def test_damaged_photos(capfd: pytest.CaptureFixture[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    OUTCOMES.clear()
    _throw()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < RESIDENT_BYTES
    # The damage is neither harmless nor always fatal: both ways through the decoder are tried.
    assert 0.05 < np.mean(OUTCOMES) < 0.95
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_the_seeds_are_good(seed: int) -> None:
    assert check(SEEDS[seed], None)


def test_every_cut_of_a_header() -> None:
    for seed in SEEDS:
        for length in range(0, min(len(seed), 400), 7):
            assert not check(seed[:length], None)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_noise(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"):
        check(start + data, None)
