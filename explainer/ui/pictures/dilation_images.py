"""Dilated stacks on photos: the sub-photos that never mix, and the context module at work."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explainer.ops import Layer, LinearMap, conv
from explainer.ops.kernels import identity
from explainer.ops.receptive import parameters, receptive_fields
from explainer.ops.stacks import CONTEXT_MODULE, CONTEXT_WIDTHS
from explainer.ui import samples
from explainer.ui.pictures import inputs
from explainer.ui.pictures.dilation import (
    State,
    classes,
    dilations_of,
    keeps_black_back,
    listed,
    tensor,
)

Floats = NDArray[np.float64]

PHOTO = (36, 64)
"""Rows and columns of the photo: few enough that a pixel can be seen from the last row."""

CONTEXT_SIDE = 69
"""Cells of the context module's input along an axis: one more than its field on either side."""

MENDED = (1, 2, 5)
BROKEN = (2, 2, 2)


# Photos


@lru_cache(maxsize=16)
def _photo(name: str, shape: tuple[int, int]) -> bytes:
    """The grey levels of the middle of a sample photo, resized to (rows, columns)."""
    rows, columns = shape
    picture = Image.open(io.BytesIO(samples.read(name))).convert("L")
    box = crop(picture.size, shape)
    return picture.resize((columns, rows), Image.Resampling.BOX, box=box).tobytes()


def crop(size: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box of the proportions of a shape in the middle: left, top, right, bottom."""
    width, height = size
    rows, columns = shape
    wide = min(width, height * columns // rows)
    high = min(height, width * rows // columns)
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def grey(name: str, shape: tuple[int, int]) -> Floats:
    """A sample photo as numbers from 0 to 1, (rows, columns)."""
    levels = np.frombuffer(_photo(name, shape), np.uint8)
    return levels.reshape(shape).astype(np.float64) / 255


# The stack on a photo


def lattice(dilations: Sequence[int]) -> int:
    """Into how many sub-photos, along an axis, a photo is parted: the stack's own, or else two."""
    return max(classes(dilations), 2)


def compared(dilations: Sequence[int]) -> tuple[int, ...]:
    """The stack that is shown beside another one of as many layers."""
    if len(dilations) != len(MENDED):
        return (1,) * len(dilations)
    return BROKEN if tuple(dilations) == MENDED else MENDED


def blackened(x: Floats, parts: int) -> Floats:
    """The photo whose first sub-photo, every parts-th pixel of every parts-th row, is black."""
    dark = x.copy()
    dark[::parts, ::parts] = 0
    return dark


def parted(x: Floats, parts: int) -> Floats:
    """The sub-photos beside one another, with a line of NaN between them."""
    rows, columns = (-(-n // parts) for n in x.shape)
    sheet = np.full(((rows + 1) * parts - 1, (columns + 1) * parts - 1), np.nan)
    for row in range(parts):
        for column in range(parts):
            part = x[row::parts, column::parts]
            top, left = row * (rows + 1), column * (columns + 1)
            sheet[top : top + part.shape[0], left : left + part.shape[1]] = part
    return sheet


@lru_cache(maxsize=32)
def _layer(shape: tuple[int, int], kernel: int, dilation: int) -> LinearMap:
    """A padded layer on a grid, with weights 1; its structure serves every kernel."""
    return conv(shape, np.ones((kernel, kernel)), 1, dilation * (kernel - 1) // 2, dilation)


def through(x: Floats, dilations: Sequence[int], w: Floats) -> Floats:
    """The output of a stack of padded layers that share a kernel, without truncation."""
    for dilation in dilations:
        x = _layer((x.shape[0], x.shape[1]), w.shape[0], dilation).with_kernel(w)(x)
    return x


def photo_weights(state: State) -> Floats:
    """The kernel of every layer of the stack."""
    return inputs.weights(state.weights, (state.kernel,) * 2, state.seed, state.w)


@dataclass(frozen=True)
class OnPhoto:
    """What a stack does to a photo.

    Attributes:
        parts: sub-photos along an axis.
        photo: the input, one sub-photo of it black if so set.
        own, other: the dilations of the two stacks.
        y, other_y: what they make of the photo.
        changed, other_changed: outputs that notice whether the sub-photo is black.
    """

    parts: int
    photo: Floats
    own: tuple[int, ...]
    other: tuple[int, ...]
    y: Floats
    other_y: Floats
    changed: int
    other_changed: int


@lru_cache(maxsize=16)
def on_photo(
    name: str, dilations: tuple[int, ...], blackout: bool, weights: bytes, taps: int
) -> OnPhoto:
    """A photo through a stack and through another one; `weights` are the bytes of the kernel."""
    w = np.frombuffer(weights).reshape(taps, taps)
    parts, other = lattice(dilations), compared(dilations)
    plain = grey(name, PHOTO)
    x = blackened(plain, parts) if blackout else plain
    return OnPhoto(
        parts,
        x,
        dilations,
        other,
        through(x, dilations, w),
        through(x, other, w),
        *(_noticing(plain.shape, parts, stack, taps) for stack in (dilations, other)),
    )


def _noticing(shape: tuple[int, ...], parts: int, dilations: tuple[int, ...], taps: int) -> int:
    """How many outputs a stack joins to the first sub-photo, whatever the weights."""
    seen = np.zeros(shape)
    seen[::parts, ::parts] = 1
    for dilation in dilations:
        layer = _layer((seen.shape[0], seen.shape[1]), taps, dilation)
        seen = (layer(seen) > 0).astype(np.float64)
    return int(seen.sum())


def photo(state: State) -> OnPhoto:
    """The view Photo of a state."""
    w = photo_weights(state)
    return on_photo(state.photo, state.dilations, state.blackout, w.tobytes(), state.kernel)


# The context module


@lru_cache(maxsize=16)
def context(signal: str, start: str, photo_name: str, seed: int) -> tuple[Floats, ...]:
    """The input of the context module and the output of each of its layers, (69, 69) each.

    One channel. Every layer but the last is followed by a truncation, max(·, 0).
    """
    side = (CONTEXT_SIDE, CONTEXT_SIDE)
    if signal == "impulse":
        x = identity(side)
    else:
        x = grey(photo_name, side)
        x = x - x.mean() if signal == "signed photo" else x
    outputs = [x]
    for place, layer in enumerate(CONTEXT_MODULE):
        A = _layer(side, layer.kernel, layer.dilation)
        y = A.with_kernel(context_kernel(layer, start, seed + place))(outputs[-1])
        outputs.append(y if place == len(CONTEXT_MODULE) - 1 else np.maximum(y, 0))
    return tuple(outputs)


def context_kernel(layer: Layer, start: str, seed: int) -> Floats:
    """The weights with which a layer starts; random ones as He et al. (2015) scale them."""
    shape = (layer.kernel, layer.kernel)
    if start == "identity":
        return identity(shape)
    if start == "average":
        return np.full(shape, 1 / layer.kernel**2)
    return np.random.default_rng(seed).normal(0, 2**0.5 / layer.kernel, shape)


@dataclass(frozen=True)
class ContextRow:
    """A column of the table of the context module: one layer of it."""

    kernel: int
    dilation: int
    truncated: bool
    field: int
    channels: int
    weights: int


def context_table(module: str, channels: int) -> tuple[ContextRow, ...]:
    """The table of Yu & Koltun, with the channels of a module for C classes."""
    widths = [multiple * channels for multiple in CONTEXT_WIDTHS[module]]
    fields = receptive_fields(CONTEXT_MODULE)
    return tuple(
        ContextRow(
            layer.kernel,
            layer.dilation,
            place < len(CONTEXT_MODULE) - 1,
            fields[place].size,
            widths[place + 1],
            parameters([layer], widths[place : place + 2]),
        )
        for place, layer in enumerate(CONTEXT_MODULE)
    )


def context_weights(module: str, channels: int) -> int:
    """Weights of the whole module."""
    return sum(row.weights for row in context_table(module, channels))


# As HTML

BLUE, WHITE, ORANGE = np.array([[0, 114, 178], [255, 255, 255], [213, 94, 0]], np.float64)


def image(values: Floats, most: float, signed: bool) -> str:
    """Numbers as a PNG inside an address: 0 … most in greys, or −most … most in blue to orange.

    Where there is no number (NaN) one sees through, to the page of whichever theme.
    """
    share = np.nan_to_num(np.clip(values / (most or 1), -1, 1))
    if signed:
        towards = np.where(share[..., None] < 0, BLUE, ORANGE)
        pixels = WHITE + (towards - WHITE) * np.abs(share)[..., None]
    else:
        pixels = 255 * np.maximum(share, 0)
    picture = Image.fromarray(np.round(pixels).astype(np.uint8))
    if np.isnan(values).any():
        picture.putalpha(Image.fromarray(np.where(np.isnan(values), 0, 255).astype(np.uint8)))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


@lru_cache(maxsize=32)
def photo_html(state: State) -> str:
    """The photo and what two stacks make of it, each with its sub-photos below."""
    both = photo(state)
    w = photo_weights(state)
    signed = bool(w.min() < 0)
    parts, pixels = both.parts, both.photo.size
    black = ": one sub-photo is black" if state.blackout else ""
    figures = [_figure(both.photo, 1, False, parts, f"<b>photo</b>{black}", "the photo")]
    for y, stack, changed in (
        (both.y, both.own, both.changed),
        (both.other_y, both.other, both.other_changed),
    ):
        if keeps_black_back(state, stack):
            figures.append(_kept_back(y.shape, f"<b>after {dilations_of(stack)}</b>: predict"))
            continue
        most = float(np.abs(y).max()) if signed else float(w.sum()) ** len(stack)
        reach = f"<b>{listed(stack)}</b>: it reaches {changed} of {pixels}"
        says = reach if state.blackout and state.told else f"<b>after {dilations_of(stack)}</b>"
        alt = f"the photo after {dilations_of(stack)}"
        figures.append(_figure(y, most, signed, parts, says, alt))
    below = f"below each: its {parts}×{parts} sub-photos, by index modulo {parts}" + (
        "; blue is negative, orange positive" if signed else ""
    )
    return f'<div class="photos" data-role="photos">{"".join(figures)}<p>{below}</p></div>'


def _figure(values: Floats, most: float, signed: bool, parts: int, caption: str, alt: str) -> str:
    """A picture under its caption (HTML), and below it its sub-photos."""
    sheet = parted(values, parts)
    rows, columns = values.shape
    # The lines between sub-photos make the sheet no higher, however many there are.
    return (
        f'<figure style="--aspect: {columns}/{rows}"><figcaption>{caption}</figcaption>'
        f'<img src="{image(values, most, signed)}" alt="{html.escape(alt)}">'
        f'<img src="{image(sheet, most, signed)}" alt="the sub-photos of {html.escape(alt)}">'
        "</figure>"
    )


_KEPT_BACK = '<div class="kept">?</div>'
"""In place of a picture that would tell the answer."""


def _kept_back(shape: tuple[int, ...], caption: str) -> str:
    """The place of a figure that would tell the answer."""
    rows, columns = shape
    return (
        f'<figure style="--aspect: {columns}/{rows}"><figcaption>{caption}</figcaption>'
        f"{_KEPT_BACK}{_KEPT_BACK}</figure>"
    )


@lru_cache(maxsize=32)
def context_html(
    signal: str,
    start: str,
    photo_name: str,
    seed: int,
    module: str,
    channels: int,
    told: bool = True,
) -> str:
    """The context module as the paper's table, with what every layer makes of the input.

    Args:
        told: whether it is shown what the layers make of it, which the question may ask.
    """
    outputs = context(signal, start, photo_name, seed)
    rows = context_table(module, channels)
    pictures = []
    for place, values in enumerate(outputs):
        if place and not told:
            pictures.append(_KEPT_BACK)
            continue
        signed = bool(values.min() < 0)
        most = float(np.abs(values).max())
        # The tails of an impulse's answer are tiny: their fourth root can be seen.
        shown = np.sign(values) * np.abs(values) ** 0.25 if signal == "impulse" else values
        most = most**0.25 if signal == "impulse" else most
        alt = "input" if not place else f"output of layer {place}"
        pictures.append(f'<img src="{image(shown, most, signed)}" alt="{alt}">')

    def line(head: str, first: str, cells: Sequence[object]) -> str:
        body = "".join(f"<td>{cell}</td>" for cell in (first, *cells))
        return f'<tr><th scope="row">{head}</th>{body}</tr>'

    count = context_weights(module, channels)
    lines = [
        line("layer", "input", [f"<b>{place}</b>" for place in range(1, len(rows) + 1)]),
        line("output", pictures[0], pictures[1:]),
        line("kernel", "", [f"{row.kernel}×{row.kernel}" for row in rows]),
        line("dilation", "", [row.dilation for row in rows]),
        line("truncated", "", ["max(·, 0)" if row.truncated else "no" for row in rows]),
        line("field", "", [f"<b>{row.field}×{row.field}</b>" for row in rows]),
        line("channels", str(channels), [row.channels for row in rows]),
        line("weights", grouped(count), [grouped(row.weights) for row in rows]),
    ]
    return f'<table class="context" data-role="context">{"".join(lines)}</table>'


def grouped(count: int) -> str:
    """A large count with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


# The code


def snippet(state: State, view: str) -> str:
    """The lines of PyTorch that give the numbers of a view of this module."""
    return _context_code(state) if view == "Context" else _photo_code(state)


def _photo_lines(name: str, shape: tuple[int, int]) -> str:
    sample = samples.SAMPLES[name]
    size = Image.open(io.BytesIO(samples.read(name))).size
    return f"""\
file = Path(skimage.__file__).parent / "data" / "{sample.file}"
photo = Image.open(file).convert("L")
photo = photo.resize({shape[::-1]}, Image.Resampling.BOX, box={crop(size, shape)})
x = torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8).double() / 255
x = x.reshape(1, 1, {shape[0]}, {shape[1]})"""


_PHOTO_IMPORTS = """\
from pathlib import Path

import skimage
import torch"""


def _photo_code(state: State) -> str:
    parts, k = lattice(state.dilations), state.kernel
    black = f"x[..., ::{parts}, ::{parts}] = 0  # one sub-photo black\n" if state.blackout else ""
    return f"""{_PHOTO_IMPORTS}
import torch.nn.functional as F
from PIL import Image

{_photo_lines(state.photo, PHOTO)}
{black}w = {tensor(photo_weights(state))}.double()
y = x
for d in {state.dilations}:
    y = F.conv2d(y, w, padding=d * {k - 1} // 2, dilation=d)
print(y[0, 0])"""


def _context_code(state: State) -> str:
    taps = [(layer.kernel, layer.dilation) for layer in CONTEXT_MODULE]
    if state.signal == "impulse":
        imports = "import torch"
        side, middle = CONTEXT_SIDE, CONTEXT_SIDE // 2
        signal = f"""\
x = torch.zeros(1, 1, {side}, {side}, dtype=torch.float64)
x[..., {middle}, {middle}] = 1"""
    else:
        imports = _PHOTO_IMPORTS + "\nfrom PIL import Image"
        signal = _photo_lines(state.photo, (CONTEXT_SIDE, CONTEXT_SIDE))
        signal += "\nx = x - x.mean()" if state.signal == "signed photo" else ""
    start = {
        "identity": "w = torch.zeros(k, k)\n    w[k // 2, k // 2] = 1",
        "average": "w = torch.full((k, k), 1 / k**2)",
        "random": f"w = np.random.default_rng({state.seed} + place).normal(0, 2**0.5 / k, (k, k))\n"
        "    w = torch.from_numpy(w)",
    }[state.start]
    numpy = "import numpy as np\n" if state.start == "random" else ""
    return f"""{numpy}{imports}
from torch import nn

layers = {taps}  # kernel, dilation
widths = {CONTEXT_WIDTHS[state.module]}  # channels, in multiples of C; here C = 1
modules = []
for place, (k, d) in enumerate(layers):
    before, after = widths[place : place + 2]
    conv = nn.Conv2d(before, after, k, padding=d * (k - 1) // 2, dilation=d, bias=False)
    {start}
    conv.double().weight.data[:] = w / after  # every channel gets an equal share
    modules += [conv, nn.ReLU()]
context = nn.Sequential(*modules[:-1])  # no truncation after the last layer

{signal}
y = context(x)
print(y[0, 0])"""
