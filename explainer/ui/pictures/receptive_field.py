"""The pictures of the lesson on receptive fields."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from explainer.components.photo_field import Box, Circle, Picture, Row
from explainer.ops import Field, Layer, SettingError, conv_size, number, receptive_fields
from explainer.ops.receptive import composed
from explainer.ops.stacks import MOBILENETV2, STACKS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Layers = tuple[Layer, ...]

# This app's network: the trunk is MobileNetV2 with the features at strides 16 and 8 taken from the
# middle of a block, before its stride; a test compares these with the network itself.
_TRUNK = tuple(
    replace(layer, name=f"block {place}" if place else "stem")
    for place, layer in enumerate(MOBILENETV2)
)
KNOWN: dict[str, Layers] = {
    **STACKS,
    "this app, stride 32": (*_TRUNK, Layer(1, name="score")),
    "this app, pool4": (*_TRUNK[:14], Layer(3, padding=1, name="score pool4")),
    "this app, pool3": (*_TRUNK[:7], Layer(3, padding=1, name="score pool3")),
    "two layers": (Layer(3, 2, name="first"), Layer(3, 2, name="second")),
}
"""Every stack that has a name, by name."""

DEFAULT = "VGG16"
OWN = "your stack"

LIMITS: dict[str, tuple[int, int]] = {
    "kernel": (1, 31),
    "stride": (1, 16),
    "padding": (0, 150),
    "dilation": (1, 64),
}
MOST_LAYERS = 40
LONGEST = 300
"""Letters that a stack in the address may have."""

RESULTS = {
    "r": "receptive field: pixels along a side that a unit can see",
    "S": "pixels from one unit to the next",
    "left": "first pixel of unit 0’s field; negative: in the padding",
    "centre": "the middle of unit 0’s field",
}

_LAYER = re.compile(r"(\d{1,3})(?:s(\d{1,2}))?(?:p(\d{1,3}))?(?:d(\d{1,2}))?(?:x(\d{1,2}))?")


# The stack in the address


def written(layers: Sequence[Layer]) -> str:
    """A stack as the address has it: `3p1x2-2s2-7` is twice 3×3 with padding 1, 2×2 by 2, 7×7."""
    parts: list[tuple[str, int]] = []
    for layer in layers:
        text = str(layer.kernel)
        text += f"s{layer.stride}" if layer.stride != 1 else ""
        text += f"p{layer.padding}" if layer.padding else ""
        text += f"d{layer.dilation}" if layer.dilation != 1 else ""
        if parts and parts[-1][0] == text:
            parts[-1] = text, parts[-1][1] + 1
        else:
            parts.append((text, 1))
    return "-".join(text if count == 1 else f"{text}x{count}" for text, count in parts)


@lru_cache(maxsize=256)
def read(text: str) -> Layers | None:
    """The stack that a text stands for, with names; None where it is none within the limits."""
    if len(text) > LONGEST:
        return None
    layers: list[Layer] = []
    for part in text.split("-"):
        found = _LAYER.fullmatch(part)
        if not found:
            return None
        kernel, stride, padding, dilation, count = (
            int(group or default) for group, default in zip(found.groups(), "11011", strict=True)
        )
        numbers = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        if not all(fits(name, value) for name, value in numbers.items()) or count < 1:
            return None
        layers += [Layer(kernel, stride, padding, dilation)] * count
        if len(layers) > MOST_LAYERS:
            return None
    return named(layers)


def readable(text: str) -> bool:
    """Whether a text stands for a stack."""
    return read(text) is not None


def fits(name: str, value: int) -> bool:
    """Whether a number of a layer is within its limits."""
    low, high = LIMITS[name]
    return low <= value <= high


def title(layers: Sequence[Layer]) -> str:
    """The name of a stack; that of the one it was made of, and "edited"; or a plain one."""
    close = _closest(_numbers(layers))
    if close is None:
        return OWN
    name, _ = close
    return name if _numbers(KNOWN[name]) == _numbers(layers) else f"{name}, edited"


def named(layers: Sequence[Layer]) -> Layers:
    """The stack with the names that its layers have in the known stack that it is or was."""
    close = _closest(_numbers(layers))
    names = [f"layer {place}" for place in range(1, len(layers) + 1)]
    if close is not None:
        name, origins = close
        for place, origin in enumerate(origins):
            names[place] = names[place] if origin is None else KNOWN[name][origin].name
    return tuple(replace(layer, name=name) for layer, name in zip(layers, names, strict=True))


Numbers = tuple[tuple[int, int, int, int], ...]
"""Kernel, stride, padding and dilation of each layer."""


def _numbers(layers: Sequence[Layer]) -> Numbers:
    return tuple((each.kernel, each.stride, each.padding, each.dilation) for each in layers)


Origins = tuple[int | None, ...]
"""For each layer the place in a known stack that it comes from; None: it was added."""


@lru_cache(maxsize=256)
def _closest(numbers: Numbers) -> tuple[str, Origins] | None:
    """The known stack of which at most a third, and not all, was changed, added or left out."""
    best: tuple[int, str, Origins] | None = None
    for name, stack in KNOWN.items():
        known = _numbers(stack)
        if 3 * abs(len(known) - len(numbers)) > len(numbers):
            continue
        for origins in _alignments(len(numbers), len(known)):
            count = max(0, len(known) - len(numbers)) + sum(
                origin is None or known[origin] != layer
                for origin, layer in zip(origins, numbers, strict=True)
            )
            if 3 * count <= len(numbers) and (best is None or count < best[0]):
                best = count, name, origins
    return best and best[1:]


def _alignments(length: int, known: int) -> Iterator[Origins]:
    """The ways to make a stack of `length` layers by adding to, or leaving out, at one place."""
    added, left_out = max(0, length - known), max(0, known - length)
    for place in range(min(length, known) + 1 if length != known else 1):
        yield (*range(place), *[None] * added, *range(place + left_out, known))


def with_number(layers: Layers, row: int, name: str, value: int) -> Layers:
    """The stack with one number changed."""
    return (*layers[:row], replace(layers[row], **{name: value}), *layers[row + 1 :])


def with_copy(layers: Layers, row: int) -> Layers:
    """The stack with a layer repeated."""
    return (*layers[: row + 1], *layers[row:])


def without(layers: Layers, row: int) -> Layers:
    """The stack without a layer."""
    return (*layers[:row], *layers[row + 1 :])


# The settings of the page


@dataclass(frozen=True)
class State:
    """The settings of the page.

    Attributes:
        layers: first to act first.
        chosen: the row whose field is drawn; negative ones count from the end.
        height, width: of the photo, in pixels.
        y, x: the place on it.
    """

    layers: Layers = KNOWN[DEFAULT]
    chosen: int = -1
    height: int = 300
    width: int = 451
    y: int = 150
    x: int = 225

    @property
    def row(self) -> int:
        """The chosen row, from 0."""
        last = len(self.layers) - 1
        return last if not 0 <= self.chosen <= last else self.chosen

    @property
    def fields(self) -> tuple[Field, ...]:
        return receptive_fields(self.layers)


def place_of(text: str, height: int, width: int) -> tuple[int, int]:
    """The pixel "row,column" of the address, on the photo; its middle without one."""
    if not usable_place(text):
        return height // 2, width // 2
    y, x = map(int, text.split(","))
    return min(y, height - 1), min(x, width - 1)


def outside(text: str, height: int, width: int) -> str:
    """What to say of a pixel of the address that is not on the photo; "" of one that is."""
    y, x = place_of(text, height, width)
    if not usable_place(text) or (y, x) == tuple(map(int, text.split(","))):
        return ""
    return (
        f"The place {text} in the address lies outside this photo of {height}×{width} pixels; "
        f"the cross stands at {y},{x}."
    )


def usable_place(text: str) -> bool:
    """Whether a text can be a pixel, "row,column"."""
    return bool(re.fullmatch(r"\d{1,4},\d{1,4}", text))


def usable_row(text: str) -> bool:
    """Whether a text can be the number of a layer, counted from 1."""
    return text.isdecimal() and len(text) < 3 and 1 <= int(text) <= MOST_LAYERS


# Which unit, and what it sees


def sizes(size: int, layers: Sequence[Layer]) -> tuple[list[int], SettingError | None]:
    """Units along an axis after every layer, and why it ends early, if a kernel does not fit."""
    found: list[int] = []
    for layer in layers:
        try:
            after = conv_size(
                found[-1] if found else size,
                layer.kernel,
                layer.stride,
                layer.padding,
                layer.dilation,
            )
        except SettingError as error:
            return found, error
        assert isinstance(after, int)
        found.append(after)
    return found, None


def mending(state: State) -> tuple[int, SettingError] | None:
    """The first layer whose kernel does not fit on this photo, and the settings that would."""
    for size in sorted((state.height, state.width)):
        found, error = sizes(size, state.layers)
        if error is not None:
            return len(found), error
    return None


def nearest_unit(field: Field, place: int, units: int) -> int:
    """The unit whose field is centred nearest to a pixel, among those that there are."""
    return max(0, min(units - 1, round((place - field.centre) / field.stride)))


def box(field: Field, units: tuple[int, int]) -> Box:
    """The pixels that the unit (row, column) sees."""
    rows, columns = field.of(units[0]), field.of(units[1])
    return Box(rows.start, columns.start, field.size, field.size)


def inside(box: Box, height: int, width: int) -> float:
    """The share of a box that lies on the photo."""
    rows = min(box.top + box.height, height) - max(box.top, 0)
    columns = min(box.left + box.width, width) - max(box.left, 0)
    return max(rows, 0) * max(columns, 0) / (box.height * box.width)


def rows(state: State) -> list[Row]:
    """The table: every layer with its field, stride, left edge and centre."""
    down, across = sizes(state.height, state.layers)[0], sizes(state.width, state.layers)[0]
    made = []
    for place, (layer, field) in enumerate(zip(state.layers, state.fields, strict=True)):
        numbers = (layer.kernel, layer.stride, layer.padding, layer.dilation)
        results = (
            short(field.size),
            short(field.stride),
            short(field.left),
            short(field.centre),
        )
        if place < min(len(down), len(across)):
            units = (
                nearest_unit(field, state.y, down[place]),
                nearest_unit(field, state.x, across[place]),
            )
            drawn = box(field, units)
            outside = 1 - inside(drawn, state.height, state.width)
            padding = f"; {100 * outside:.0f} % of them padding" if outside > 0.005 else ""
            says = (
                f"{layer.name}: unit ({units[0]}, {units[1]}) of {down[place]}×{across[place]} "
                f"sees {short(field.size)}×{short(field.size)} pixels{padding}"
            )
        else:
            drawn = Box(
                state.y - (field.size - 1) // 2,
                state.x - (field.size - 1) // 2,
                field.size,
                field.size,
            )
            says = (
                f"{layer.name}: no unit on this photo of {state.height}×{state.width}: it would "
                f"see {short(field.size)}×{short(field.size)} pixels"
            )
        made.append(Row(layer.name, numbers, results, drawn, says))
    return made


def short(value: float) -> str:
    """A number of pixels; very large ones as a power of ten."""
    if abs(value) < 1e6:
        return number(value)
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10^{int(exponent)}".replace("-", "−")


MARGIN = 12
"""Pixels around what is shown, so that edges are seen."""


def shown(boxes: Sequence[Box], height: int, width: int, most: int) -> Box:
    """What is drawn: the photo and the boxes, but at most so many pixels around the photo."""
    top = max(-most, min(0, *(box.top for box in boxes)) - MARGIN)
    left = max(-most, min(0, *(box.left for box in boxes)) - MARGIN)
    bottom = max(height, *(box.top + box.height for box in boxes)) + MARGIN
    right = max(width, *(box.left + box.width for box in boxes)) + MARGIN
    bottom, right = min(height + most, bottom), min(width + most, right)
    return Box(top, left, bottom - top, right - left)


def picture(state: State, photo: str) -> Picture:
    """The table of layers, and the chosen one's field on the photo (its address)."""
    table = rows(state)
    return Picture(
        photo,
        state.height,
        state.width,
        (state.y, state.x),
        shown(
            [table[state.row].box, table[-1].box],
            state.height,
            state.width,
            most=max(state.height, state.width),
        ),
        title(state.layers),
        table,
        RESULTS,
        LIMITS,
        state.row,
        most=MOST_LAYERS,
    )


# D5's rule


@dataclass(frozen=True)
class Composition:
    """Two layers as one: all before a layer, the layer, and both together."""

    before: Layer
    layer: Layer
    both: Layer


def composition(state: State) -> Composition:
    """All layers before the chosen one as one layer, and the chosen one after it.

    Before the first layer stands the photo itself: kernel 1, stride 1.
    """
    here = state.layers[state.row]
    field = Field() if state.row == 0 else state.fields[state.row - 1]
    name = "the photo" if state.row == 0 else f"all up to {state.layers[state.row - 1].name}"
    before = Layer(field.size, field.stride, -field.left, name=name)
    return Composition(before, here, composed(before, here))


# The real network

STRIDE = 32
"""Of the output whose units the second view looks at: FCN-32s."""


def unit_place(y: int, x: int, height: int, width: int) -> tuple[int, int]:
    """The pixel of the nearest unit of FCN-32s: they sit on every 32nd pixel."""
    units = (
        max(0, min((size - 1) // STRIDE, round(place / STRIDE)))
        for place, size in ((y, height), (x, width))
    )
    return next(units) * STRIDE, next(units) * STRIDE


def network_box(y: int, x: int) -> Box:
    """The field of the trunk's unit at a pixel of `unit_place`."""
    (*_, field) = receptive_fields(KNOWN["this app, stride 32"])
    return box(field, (y // STRIDE, x // STRIDE))


def network_sum() -> tuple[dict[int, int], int]:
    """What the layers at each stride add to the field of the trunk's unit, and that field.

    Returns:
        by stride between the units that they read, the sum of d(k − 1) of its layers; and
        1 + the sum of stride times that.
    """
    layers = KNOWN["this app, stride 32"]
    fields = receptive_fields(layers)
    wider: dict[int, int] = {}
    for layer, before in zip(layers, (Field(), *fields), strict=False):
        wider[before.stride] = wider.get(before.stride, 0) + layer.dilation * (layer.kernel - 1)
    return wider, fields[-1].size


def network_picture(
    photo: str, height: int, width: int, place: tuple[int, int], circles: Sequence[Circle], **more
) -> Picture:
    """The photo with the field of the unit at a place, and circles around it."""
    field = network_box(*place)
    return Picture(
        photo,
        height,
        width,
        place,
        shown([field], height, width, most=120),
        boxes=[field],
        circles=circles,
        **more,
    )


def at_radius(shares: Sequence[float], radius: int) -> float:
    """The share within a radius of a list that has one for every whole radius from 0."""
    return shares[min(radius, len(shares) - 1)]


def curve(
    found: Sequence[float], uniform: Sequence[float], radius: int, guess: int, even: int
) -> "Figure":
    """The share of the influence within a circle against its radius.

    Args:
        found: measured, for every whole radius from 0.
        uniform: had every pixel of the box counted alike.
        radius, even: where each reaches 90 %.
        guess: the student's circle.
    """
    # Takes as long to import as all else that the page needs: only when there is a curve to draw.
    import plotly.graph_objects as go

    last = max(len(found), len(uniform), guess + 1) - 1
    radii = list(range(last + 1))
    kinds = {
        "uniform": (uniform, even, {"color": "#6B7280", "width": 3, "dash": "dash"}),
        "network": (found, radius, {"color": "#009E73", "width": 4}),
    }
    figure = go.Figure()
    for name, (shares, at, line) in kinds.items():
        figure.add_scatter(
            x=radii,
            y=[at_radius(shares, x) for x in radii],
            name=name,
            line=line,
            hovertemplate="%{y:.0%}",
        )
        figure.add_scatter(
            x=[at, at], y=[0, 0.9], mode="lines", line=line, opacity=0.5, hoverinfo="skip"
        )
    figure.add_scatter(
        x=[guess],
        y=[at_radius(found, guess)],
        mode="markers",
        cliponaxis=False,
        marker={"symbol": "circle-open", "size": 14, "color": "#CC79A7", "line": {"width": 4}},
        hoverinfo="skip",
    )
    figure.add_hline(0.9, opacity=0.4, line_width=1)
    font = {"size": 18}
    figure.update_layout(
        margin={"l": 0, "r": 6, "t": 6, "b": 0},
        showlegend=False,
        hovermode="x unified",
        hoverlabel={"font": font},
        xaxis={
            "range": [0, last],
            "tickvals": [0],
            "ticksuffix": " px",
            "tickangle": 0,
            "tickfont": font,
            "showgrid": False,
        },
        yaxis={
            "range": [0, 1.02],
            "tickvals": [0, 0.9],
            "tickformat": ".0%",
            "tickfont": font,
            "showgrid": False,
        },
    )
    # With their radii: as ticks these would stand on one another where they are near.
    for name, at, share in (("network", radius, 0.62), ("uniform", even, 0.08)):
        right = at < last / 2
        figure.add_annotation(
            {"x": at, "y": share, "text": f"{name} {at} px", "font": font, "showarrow": False},
            xanchor="left" if right else "right",
            xshift=6 if right else -6,
            yanchor="middle",
        )
    # A tick there would stand half outside the picture, and Plotly leaves it out.
    figure.add_annotation(
        {"x": last, "y": 0, "text": f"{last} px", "font": font, "showarrow": False},
        xanchor="right",
        yanchor="top",
        yshift=-6,
    )
    return figure


# The code

MOST_FOR_GRADIENT = 100_000
"""Pixels of a field for which the snippet also takes the gradient."""


def snippet(state: State) -> str:
    """The lines that compute field, stride and left edge up to the chosen layer, twice."""
    used = state.layers[: state.row + 1]
    table = "\n".join(
        f"    ({layer.kernel}, {layer.stride}, {layer.padding}, {layer.dilation}),  # {layer.name}"
        for layer in used
    )
    code = f"""\
layers = [  # kernel, stride, padding, dilation
{table}
]
r, S, left = 1, 1, 0
for k, s, p, d in layers:
    r, S, left = r + d * (k - 1) * S, S * s, left - p * S
y = r, S, left
print(f"a unit sees {{r}} pixels, units are {{S}} apart, unit 0 begins at pixel {{left}}")
"""
    if receptive_fields(used)[-1].size > MOST_FOR_GRADIENT:
        return code
    return f"""\
import torch
from torch.nn import functional as F

{code}
# The same from a gradient: which inputs does a unit depend on? One axis, all weights 1.
unit = -(left // S)  # the first one whose field does not begin in the padding
x = torch.zeros(1, 1, left + unit * S + r, dtype=torch.float64, requires_grad=True)
out = x
for k, s, p, d in layers:
    out = F.conv1d(out, torch.ones(1, 1, k, dtype=torch.float64), None, s, p, d)
(gradient,) = torch.autograd.grad(out[0, 0, unit], x)
seen = gradient[0, 0].nonzero().ravel()
print(f"unit {{unit}}: from pixel {{seen[0]}} to pixel {{seen[-1]}}")
"""


def network_snippet(
    file: str, longest: int, place: tuple[int, int], radius: int, average: bool
) -> str:
    """The lines that measure the influence on the real network and run it on the greyed photo."""
    y, x = place
    return f"""\
import math
from pathlib import Path

import skimage

from explainer.fcn.influence import influence, outside_grey
from explainer.fcn.photo import decode
from explainer.fcn.segmenter import Segmenter

file = Path(skimage.__file__).parent / "data" / {file!r}
photo = decode(file.read_bytes(), longest={longest}).pixels
network = Segmenter.load()

found = influence(network, photo, {y}, {x}, stride={STRIDE}, photo_average={average})
print(f"90 % within {{math.ceil(found.radius(0.9))}} pixels, "
      f"{{100 * found.within({radius}):.0f}} % within {radius}")

greyed = network(outside_grey(photo, {y}, {x}, {radius}))
y = int(greyed.labels[{STRIDE}][{y}, {x}])
print(network.classes[found.class_index], "becomes", network.classes[y])
"""
