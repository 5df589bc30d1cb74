"""Pictures of a segmentation: indexed label PNGs, overlays, and the panel of all three outputs."""

import io
import unicodedata
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from explainer.fcn.catalogue import output_name
from explainer.fcn.voc import CLASSES, PALETTE

BACKGROUND = 0
LEAST_SHARE = 0.005


def png(picture: Image.Image | NDArray[np.uint8]) -> bytes:
    """The picture, an image or (H, W, 3) RGB uint8 pixels, as the bytes of a PNG file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    stream = io.BytesIO()
    # Photos hardly compress, and the higher levels take three times as long.
    image.save(stream, "PNG", compress_level=1 if image.mode == "RGB" else 6)
    return stream.getvalue()


def jpeg(picture: Image.Image | NDArray[np.uint8], quality: int = 90) -> bytes:
    """The picture, an RGB image or (H, W, 3) RGB uint8 pixels, as the bytes of a JPEG file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def label_png(labels: NDArray[np.uint8], size: tuple[int, int] | None = None) -> bytes:
    """An indexed PNG whose pixel values are the (H, W) labels, with the VOC palette.

    With size, (height, width), the labels are resized to it: see `resize_labels`.
    """
    resized = labels if size is None else resize_labels(labels, size)
    image = Image.fromarray(np.ascontiguousarray(resized))
    image.putpalette(PALETTE.tobytes())  # turns the grey image into an indexed one
    return png(image)


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) labels at size (height, width): each pixel takes the label nearest to its centre.

    Raises:
        ValueError: a side of size is below 1.
    """
    if min(size) < 1:
        raise ValueError(f"size is {size}; a label map needs at least 1 pixel on a side")
    # Centre i + ½ of n new pixels lies at (i + ½)·N/n of N old ones; integers keep it exact.
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns]


def class_shares(labels: NDArray[np.uint8]) -> dict[int, float]:
    """The share of the pixels, above 0 to 1, of every label that occurs, the largest first."""
    # Pillow counts bytes as they are; numpy would need eight bytes for each.
    counts = np.array(Image.fromarray(np.ascontiguousarray(labels)).histogram())
    found = sorted(np.flatnonzero(counts).tolist(), key=lambda label: (-counts[label], label))
    return {label: float(counts[label] / labels.size) for label in found}


def found(labels: NDArray[np.uint8]) -> dict[int, float]:
    """The classes, but for the background, that a photo shows, with their share; the largest first.

    A class on less than `LEAST_SHARE` of the pixels is a speck that nobody would call found.
    """
    return {
        label: share
        for label, share in class_shares(labels).items()
        if label != BACKGROUND and share >= LEAST_SHARE
    }


def overlay(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], opacity: float = 0.55
) -> NDArray[np.uint8]:
    """(H, W, 3) photo with the classes in their colours over it, and outlines between them.

    Labels of another size than the photo are resized to it. The background keeps the photo's
    colours. An outline is the full class colour on the object's side and white on the background's,
    so that it stands out on dark and bright photos; it is 1 pixel wide on each side up to a
    longest side of 960, and grows in proportion.

    Raises:
        ValueError: opacity is not between 0 and 1.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; it lies between 0 and 1")
    size = pixels.shape[0], pixels.shape[1]
    if labels.shape != size:
        labels = resize_labels(labels, size)
    photo = Image.fromarray(np.ascontiguousarray(pixels))
    indexed = Image.fromarray(np.ascontiguousarray(labels))
    indexed.putpalette(PALETTE.tobytes())
    colours = indexed.convert("RGB")
    strength = np.full(256, round(255 * opacity), np.uint8)
    strength[BACKGROUND] = 0
    edge = _edges(labels, max(1, round(max(size) / 640)))
    mask = strength[labels]
    mask[edge] = 255
    if opacity == 0:
        mask[:] = 0
    else:
        colours.paste("white", mask=Image.fromarray(edge & (labels == BACKGROUND)))
    photo.paste(colours, mask=Image.fromarray(mask))
    return np.array(photo)


def _edges(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Whether a pixel has one of another label within `width` pixels in its row or column."""
    edge = np.zeros(labels.shape, bool)
    for distance in range(1, width + 1):
        for part, turned in ((edge, labels), (edge.T, labels.T)):
            differ = turned[distance:] != turned[:-distance]
            part[distance:] |= differ
            part[:-distance] |= differ
    return edge


# --- the panel: sizes in pixels of a picture that is 2400 wide, shown at 1600 or more -------------

_WIDTH, _MARGIN, _GUTTER, _TALLEST = 2400, 56, 28, 1000
_TITLE, _LEGEND, _CAPTION = 44, 36, 30
_PICTURE = 640
"""The root of a picture's area at which type and margins have just these sizes."""
_LEAST = 0.5
"""Type is never smaller than this share of its size: small photos get wide margins instead."""
_INK, _GREY, _LINE = "#111111", "#5b6270", "#c9ced6"


def panel(
    pixels: NDArray[np.uint8],
    labels_by_stride: Mapping[int, NDArray[np.uint8]],
    caption: str = "",
    opacity: float = 0.55,
    own_size: bool = False,
    names: Mapping[int, str] | None = None,
) -> Image.Image:
    """The photo and the outputs side by side, with titles, the classes found and a caption.

    The outputs come with the largest stride first; the legend has the share of the pixels of each
    class in the one with the smallest. Very wide photos are stacked in two columns or one. The
    pictures are fitted into a sheet 2400 pixels wide; with own_size each has the size of `pixels`,
    and type and margins grow along. `names` are the outputs' by stride; without them they are
    FCN-32s, FCN-16s, FCN-8s.

    Raises:
        ValueError: labels_by_stride is empty.
    """
    if not labels_by_stride:
        raise ValueError("labels_by_stride is empty; the panel needs at least one output")
    height, width = pixels.shape[:2]
    outputs = sorted(labels_by_stride.items(), reverse=True)
    count = 1 + len(outputs)
    columns = count if width < 2.2 * height else min(2, count) if width < 6 * height else 1
    unit = max(_LEAST, (width * height) ** 0.5 / _PICTURE) if own_size else 1.0
    margin, gutter = round(_MARGIN * unit), round(_GUTTER * unit)
    title, line = round(_TITLE * unit), round(1.4 * _CAPTION * unit)
    names = names or {stride: output_name(stride) for stride in labels_by_stride}
    room = max(5 * title, *(round(_font(title).getlength(name)) for name in names.values()))
    if own_size:
        shown, cell = (width, height), max(width, room)
        inner = max(columns * cell + (columns - 1) * gutter, 20 * title)
    else:
        inner = _WIDTH - 2 * margin
        cell = (inner - (columns - 1) * gutter) // columns
        scale = min(cell / width, _TALLEST / height)
        shown = max(1, round(width * scale)), max(1, round(height * scale))
        # Narrow photos: the columns come closer, but a title always has room.
        cell = min(cell, max(shown[0], room))
    photo = Image.fromarray(np.ascontiguousarray(pixels))
    if photo.size != shown:
        photo = photo.resize(shown, Image.Resampling.LANCZOS)
    above = title + round(20 * unit)
    row_height = above + shown[1] + gutter
    legend = _legend(labels_by_stride, names[min(labels_by_stride)], inner, unit)
    lines = _wrapped(_drawable(caption), _font(round(_CAPTION * unit)), inner)
    bottom = margin + -(-count // columns) * row_height + legend.height
    space = round(16 * unit)
    total = bottom + (space + len(lines) * line if lines else 0) + margin
    sheet = Image.new("RGB", (inner + 2 * margin, total), "white")
    draw = ImageDraw.Draw(sheet)
    left = (sheet.width - columns * cell - (columns - 1) * gutter) // 2
    frame = round(unit) or 1
    pictures = [("Photo", None), *((names[stride], labels) for stride, labels in outputs)]
    for index, (text, labels) in enumerate(pictures):
        x = left + index % columns * (cell + gutter)
        y = margin + index // columns * row_height
        draw.text((x, y), text, _INK, _font(title), anchor="lt")
        y += above
        picture = photo
        if labels is not None:
            picture = Image.fromarray(overlay(np.asarray(photo), labels, opacity))
        sheet.paste(picture, (x, y))
        corners = (x - frame, y - frame, x + shown[0] + frame - 1, y + shown[1] + frame - 1)
        draw.rectangle(corners, outline=_LINE, width=frame)
    sheet.paste(legend, (margin, bottom - legend.height))
    for index, text in enumerate(lines):
        place = margin, bottom + space + index * line
        draw.text(place, text, _GREY, _font(round(_CAPTION * unit)), anchor="lt")
    return sheet


def percent(share: float) -> str:
    """A share of 0 to 1 in words: "12.3 %", and "< 0.1 %" for what is there but hardly."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _legend(
    labels_by_stride: Mapping[int, NDArray[np.uint8]], name: str, width: int, unit: float
) -> Image.Image:
    finest = min(labels_by_stride)
    shares = class_shares(labels_by_stride[finest])
    for labels in labels_by_stride.values():
        for label in class_shares(labels):
            shares.setdefault(label, 0.0)  # only at a coarser stride
    objects = [label for label in shares if label != BACKGROUND and label < len(CLASSES)]
    font, small = _font(round(_LEGEND * unit)), _font(round(_CAPTION * unit))
    chip, line, gap = round(_LEGEND * unit), round(1.7 * _LEGEND * unit), round(14 * unit)
    entries = [(CLASSES[label], shares[label], tuple(PALETTE[label])) for label in objects]
    heading = f"Share of the pixels, {name}"
    if not entries:
        heading = f"None of the {len(CLASSES) - 1} classes found"
    places, x, y = [], round(small.getlength(heading)) + chip, 0
    for name, share, colour in entries:
        text = f"{name}  {percent(share)}"
        needed = chip + gap + round(font.getlength(text))
        if x + needed > width:
            x, y = 0, y + line
        places.append((x, y, colour, text))
        x += needed + 2 * chip
    image = Image.new("RGB", (width, y + line), "white")
    draw = ImageDraw.Draw(image)
    middle = line // 2
    draw.text((0, middle), heading, _GREY, small, anchor="lm")
    for x, y, colour, text in places:
        top = y + middle - chip // 2
        draw.rounded_rectangle((x, top, x + chip, top + chip), chip // 6, colour, _INK)
        draw.text((x + chip + gap, y + middle), text, _INK, font, anchor="lm")
    return image


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _drawable(text: str) -> str:
    """The text in characters that the font has: letters without accents, "?" for what remains."""
    plain = unicodedata.normalize("NFKD", text).replace("×", "x")
    unknown = _glyph("\uffff")
    shown = {
        character: "?" if _glyph(character) == unknown else character
        for character in set(plain)
        if not unicodedata.combining(character)
    }
    return "".join(shown.get(character, "") for character in plain)


def _glyph(character: str) -> bytes:
    # Pillow's types leave out that the mask is a sequence of bytes.
    return bytes(_font(_CAPTION).getmask(character))  # pyright: ignore[reportArgumentType]


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    """The words of the text in lines of at most that width; longer words are cut."""
    lines: list[str] = []
    for word in text.split():
        if font.getlength(word) > width:
            while font.getlength(word + "…") > width:
                word = word[: len(word) * 9 // 10]
            word += "…"
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
