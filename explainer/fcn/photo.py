"""Untrusted bytes to an upright RGB photo.

Pillow decodes; here stands what it leaves to its caller: which formats are tried, how large a photo
may be, how long a file may keep a decoder busy, and one sentence for each thing that goes wrong.
Nothing is written to disk. A small file can be a photo of hundreds of megabytes: all threads share
`ROOM` for what they decode. TIFF and AVIF are left out on purpose: libtiff prints to the server's
log, and an AVIF can hold a far larger picture than its header says.
"""

import contextlib
import io
import math
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from explainer.fcn.parts import too_many_parts
from explainer.fcn.room import Room, give_back

# Pillow warns about every odd tag: one file could fill the server's log with thousands of lines.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PhotoError(ValueError):
    """The file is no photo that can be used; the message is one sentence for the visitor."""


@dataclass(frozen=True)
class Limits:
    """What is accepted: bytes of the file, pixels of the photo, pixels of its longest side."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 64_000_000
    max_side: int = 20_000


ROOM = Room(Limits().max_pixels)
"""Pixels that are decoded at a time, in the whole process: many small photos, or a huge one alone.

A pixel takes 4 bytes in most files, 8 where a transparent photo keeps its size, 16 in a WebP."""


@dataclass(frozen=True)
class Photo:
    """An upright photo: pixels are (height, width, 3) RGB uint8.

    size is the photo's own (height, width); it is larger than that of the pixels where the photo
    was decoded with `longest`. notes are sentences on what was done to the file, for the visitor.
    """

    pixels: NDArray[np.uint8]
    name: str = "photo"
    notes: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.size == (0, 0):
            height, width = self.pixels.shape[:2]
            object.__setattr__(self, "size", (height, width))


def decode(
    data: bytes, name: str = "photo", limits: Limits | None = None, longest: int | None = None
) -> Photo:
    """The photo in a JPEG, PNG, WebP, GIF or BMP file, told by content, not by name.

    The first picture of the file, upright, in sRGB where the file has a colour profile, on white
    where it is transparent. With longest the pixels are shrunk to at most that many on the longest
    side, as by `shrink`, and large JPEGs are decoded at a fraction of their size, which is several
    times faster; `Photo.size` stays the photo's own.

    Memory stays below 28 bytes for each of limits.max_pixels plus four times the file.

    Raises:
        PhotoError: the file cannot be used, whatever the reason.
        ValueError: longest is below 1.
    """
    if longest is not None and longest < 1:
        raise ValueError(f"longest is {longest}; a photo needs at least 1 pixel on a side")
    limits = limits or Limits()
    try:
        return _decode(data, name, limits, longest)
    except PhotoError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(limits) from None
    except MemoryError:
        raise PhotoError(
            "The photo needs more memory than there is; save a smaller copy and use that."
        ) from None
    except Exception as error:
        # Decoders meet damaged files in many ways (SyntaxError, struct.error, ZeroDivisionError …).
        raise PhotoError(_BROKEN) from error


def shrink(pixels: NDArray[np.uint8], longest: int = 768) -> NDArray[np.uint8]:
    """(H, W, 3) pixels with the longest side at most `longest`: antialiased, never enlarged.

    The aspect is kept, and each side stays at least 1. Photos that are small enough come back
    as they are.

    Raises:
        ValueError: longest is below 1.
    """
    height, width = pixels.shape[:2]
    target = fit((height, width), longest)
    if target == (height, width):
        return pixels
    return np.array(_resized(Image.fromarray(pixels), target))


def fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The (height, width) that `shrink` gives a photo of that (height, width).

    Raises:
        ValueError: longest is below 1.
    """
    if longest < 1:
        raise ValueError(f"longest is {longest}; a photo needs at least 1 pixel on a side")
    height, width = size
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


# --- what is tried, what is refused -----------------------------------------------------------

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_KINDS = "JPEG, PNG, WebP, GIF or BMP photo"
_READABLE = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8[79]a|BM", re.DOTALL)
_OTHERS = (
    (rb"....ftyp(hei|hev|mi[af]|msf|avi)", "a HEIC or AVIF picture, which is not supported"),
    (rb"II[*+]\0|MM\0[*+]", "a TIFF picture, which is not supported"),
    (rb"%PDF", "a PDF, not a photo"),
    (rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01\xba", "a video, not a photo"),
    (rb"(?i)(\xef\xbb\xbf)?\s*(?=<)(?!.*<html).*<svg", "an SVG drawing, not a photo"),
    (rb"(\xef\xbb\xbf)?\s*<", "a web page, not a photo"),
)

_BROKEN = (
    "The file is damaged or ends before the picture is complete; "
    "copy it once more, or open it in an image editor and save it again."
)
_TOO_MANY_PARTS = (
    "The file consists of more parts than photos do and would take too long to read; "
    "open it in an image editor and save it again as JPEG or PNG."
)
_FIRST_FRAME = "The file is an animation: only its first frame is used."
_ON_WHITE = "Transparent parts are shown on white."

_SECONDS = 10.0
"""Of the processor for reading a file: photos of 64 megapixels take about 3."""
_MAX_SCANS = 100
"""In a JPEG, previews included: each scan, however few its bytes, is a pass over all pixels."""
_MAX_PROFILE_BYTES = 4 * 2**20
_GAP = 3.0
"""Photos are shrunk by averaging blocks to at least so many times their new size, then bicubic."""
_LARGE = 8_000_000
"""Pixels: of smaller photos malloc keeps little."""
_STRIP = 2**20
"""Pixels that are copied at a time, where a photo must be changed all over."""


class _Timed(io.BytesIO):
    """A file that breaks off when reading it has taken too long.

    Pillow walks through segments, chunks and comments in Python, one `read` after the other, and a
    file can have millions of them.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._end = time.thread_time() + _SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise PhotoError(_BROKEN)
        return super().read(size)


def _checked(data: bytes, limits: Limits) -> bytes:
    """The data for Pillow, if their size and first bytes are those of a photo."""
    if not data:
        raise PhotoError(f"The file is empty; use a {_KINDS}.")
    if len(data) > limits.max_bytes:
        raise PhotoError(
            f"The file is larger than the limit of {limits.max_bytes / 2**20:g} MB; "
            "save a smaller copy, for example as JPEG, and use that."
        )
    if not _READABLE.match(data):
        for magic, what in _OTHERS:
            if re.match(magic, data[:4096], re.DOTALL):
                raise PhotoError(f"The file is {what}; save the photo as JPEG or PNG and use that.")
        raise PhotoError(f"The file is not an image that can be read; use a {_KINDS}.")
    if too_many_parts(data):
        raise PhotoError(_TOO_MANY_PARTS)
    if data.startswith(b"\xff\xd8"):
        if data.count(b"\xff\xda\0") > _MAX_SCANS:
            raise PhotoError(_BROKEN)
        # libjpeg looks a few bytes ahead: without these it would miss the last block of a photo
        # that lacks its end marker. They are too few to make up for anything else that is missing.
        data += bytes(16)
    return data


def _too_large(limits: Limits) -> PhotoError:
    return PhotoError(
        f"The photo is larger than the limit of {limits.max_pixels / 1e6:g} megapixels and "
        f"{limits.max_side} pixels on a side; save a smaller copy and use that."
    )


# --- from the file to pixels ------------------------------------------------------------------

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _decode(data: bytes, name: str, limits: Limits, longest: int | None) -> Photo:
    with Image.open(_Timed(_checked(data, limits)), formats=_FORMATS) as image:
        width, height = image.size
        if width * height > limits.max_pixels or max(width, height) > limits.max_side:
            raise _too_large(limits)
        target = fit((height, width), longest) if longest else (height, width)
        # The further pictures of an MPO, which is a JPEG from a phone, are previews or depth maps.
        animated = image.format != "MPO" and getattr(image, "is_animated", False)
        image.draft(None, (target[1], target[0]))  # JPEG only; nothing at the full size
        cost = _cost(image, width * height)
        with ROOM.hold(cost):
            try:
                with contextlib.closing(image):
                    image.load()
                    profile, orientation = image.info.get("icc_profile"), _orientation(image)
                    pixels, transparent = _pixels(image, target, profile, orientation)
            finally:
                if cost > _LARGE:
                    give_back()
    notes = (_FIRST_FRAME,) * animated + (_ON_WHITE,) * transparent
    size = (width, height) if orientation >= 5 else (height, width)
    return Photo(pixels, name, notes, size)


def _cost(image: Image.Image, whole: int) -> int:
    """The pixels that decoding keeps: of a progressive JPEG all, at a fraction of its size too."""
    return whole if image.info.get("progressive") else image.width * image.height


def _pixels(
    image: Image.Image, size: tuple[int, int], profile: bytes | None, orientation: int
) -> tuple[NDArray[np.uint8], bool]:
    """A loaded picture at (height, width), in sRGB and then upright; whether it was transparent."""
    image, transparent = _reduced(image, size)
    image = _in_srgb(image, profile)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = np.asarray(strip)
    return pixels, transparent


def _orientation(image: Image.Image) -> int:
    """1 to 8 as in EXIF; 1 where that is missing or unreadable.

    ImageOps.exif_transpose would refuse a good picture for its bad metadata.
    """
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        return 1
    return value if value in _UPRIGHT else 1


def _reduced(image: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, bool]:
    """The picture at (height, width), antialiased, as `_flatten` gives it.

    Blocks of whole pixels are averaged first, as `_resized` would, but strip by strip: a copy of
    all the photo without its transparency would take twice as much memory again.
    """
    across, down = (
        max(1, int(side / aim / _GAP)) for side, aim in zip(image.size, size[::-1], strict=True)
    )
    box = (0, 0, image.width / across, image.height / down)
    if _plain(image) and across == down == 1:
        return _resized(image, size, box), False
    flat, transparent = None, False
    for top, strip in _strips(image, down):
        part, some = _flatten(strip)
        transparent |= some
        if flat is None:
            flat = Image.new(part.mode, (math.ceil(box[2]), math.ceil(box[3])))
        flat.paste(part.reduce((across, down)), (0, top // down))
    assert flat is not None, "a picture has rows"
    return _resized(flat, size, box), transparent


def _strips(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Copies of some rows each, from the top, and the first of them; the last may have fewer."""
    rows = multiple * max(1, _STRIP // (image.width * multiple))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _plain(image: Image.Image) -> bool:
    return image.mode in ("L", "RGB", "CMYK") and not image.has_transparency_data


def _flatten(image: Image.Image) -> tuple[Image.Image, bool]:
    """The picture as L, RGB or CMYK without transparency, and whether there was any."""
    if image.mode == "I;16":  # Pillow would clip it, not scale it
        values, hole = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray(np.rint(np.arange(65536) / 257).astype(np.uint8)[values])
        if hole is not None:
            image.putalpha(Image.fromarray(np.where(values == hole, 0, 255).astype(np.uint8)))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha: Any = rgba.getchannel("A").getextrema()
        if alpha[0] == 255:
            return rgba.convert("RGB"), False
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white, True
    return image if _plain(image) else image.convert("RGB"), False


def _resized(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image, or a box of it, at (height, width), antialiased."""
    height, width = size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=_GAP)
    return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in RGB, through its colour profile where that is usable."""
    if profile and len(profile) <= _MAX_PROFILE_BYTES:
        # A broken profile, or one for other colours: the colours as they are beat no photo.
        with contextlib.suppress(ImageCms.PyCMSError):
            pair = io.BytesIO(profile), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, *pair, outputMode="RGB") or image
    return image if image.mode == "RGB" else image.convert("RGB")
