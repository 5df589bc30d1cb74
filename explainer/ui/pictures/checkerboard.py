"""The pictures of the lesson on checkerboards: where copies of a kernel overlap unevenly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explainer.components.linked_grid import Grid, Links, Scene, Steps
from explainer.ops import (
    LinearMap,
    SettingError,
    composed_kernel,
    conv,
    names,
    number,
    phase_counts,
    phase_sums,
    stack_coverage,
    transposed_conv,
    transposed_size,
)
from explainer.ui.pictures import inputs
from explainer.ui.pictures.parts import (
    chips,
    grid,
    joined,
    kernel_terms,
    links_of,
    numbers,
    output_terms,
    size,
)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

VIEWS = ("Coverage", "Phases", "Cures", "Gradient")

IDLE: Mapping[str, frozenset[str]] = {
    "Coverage": frozenset({"photo"}),
    "Phases": frozenset({"layers", "photo"}),
    "Cures": frozenset({"size", "padding", "axes"}),  # photos have a size and two axes
    "Gradient": frozenset({"layers", "photo"}),
}
"""By view the settings on which neither it nor what stands beside it depends."""

BOUNDS: Mapping[str, tuple[int, int]] = {
    "size": (1, 12),
    "kernel": (1, 8),
    "stride": (1, 4),
    "padding": (0, 3),
    "layers": (1, 4),
}
"""The lowest and the highest value of every slider."""

NOISY = "noisy"
WEIGHTS = (*inputs.KERNELS[:-1], NOISY, inputs.OWN)
"""The kernels to choose from; "noisy" is ones plus noise, as no two trained weights are equal."""

NOISE = 0.6

MOST_CELLS = {1: 120, 2: 48}
"""Cells along an axis for which the picture has room, by the number of axes."""

MOST_LINKS = 20_000

BARS_WIDTH, BARS_LEFT, BARS_HEIGHT = 320, 56, 107
"""The picture of the phases' sums: its width, the room for words at its left, and the height of
the bars with half of the numbers above them."""

PHASE_LETTERS = "ABCDEFGHIJKLMNOP"
TINTS = 8

UNEVEN_4X4 = "1,1,1,1;1,2,1,2;1,1,1,1;1,2,1,2"
"""A 4×4 kernel with four taps in every phase at stride 2, and sums that differ: 4, 4, 4, 8."""

Kept = Literal["", "sums", "counts"]
"""Nothing; the sums of the phases, so whether flat stays flat; the counts of stacked layers."""


@dataclass(frozen=True)
class State:
    """The settings of the page; `w` are the edited weights of the address, or "".

    Attributes:
        kept: what is kept back because the open question asks it.
    """

    axes: Literal[1, 2] = 2
    size: int = 4
    kernel: int = 3
    stride: int = 2
    padding: int = 0
    layers: int = 1
    weights: str = "ones"
    seed: int = 0
    w: str = ""
    photo: str = "cat"
    kept: Kept = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,) * self.axes

    @property
    def kernel_values(self) -> Floats:
        return weights(self, (self.kernel,) * self.axes)

    @property
    def sums(self) -> Floats:
        """The sum of the weights in each phase, stride cells along every axis."""
        return phase_sums(self.kernel_values, self.stride)

    @property
    def counts(self) -> Counts:
        """The number of taps in each phase, stride cells along every axis."""
        return phase_counts(self.kernel, self.stride, axes=self.axes)


def weights(state: State, shape: Sequence[int]) -> Floats:
    """The kernel of the state's kind in a shape; own numbers only where they fit."""
    if state.weights == NOISY:
        return noisy(shape, state.seed)
    return inputs.weights(state.weights, shape, state.seed, state.w)


def noisy(shape: Sequence[int], *seed: int) -> Floats:
    """Ones plus noise of standard deviation 0.6, to two places."""
    noise = np.random.default_rng(seed).standard_normal(tuple(shape))
    return np.round(1 + NOISE * noise, 2)


def scene(state: State, view: str) -> Scene:
    """The picture of a view.

    Raises:
        SettingError: the settings are impossible, or the picture has no room for them.
    """
    drawn = {"Coverage": coverage, "Phases": phases, "Cures": cures, "Gradient": gradient}[view]
    return replace(drawn(state), views=VIEWS, view=VIEWS.index(view))


# What there is room for


def check_view(state: State, view: str) -> None:
    """Whether a view has a picture.

    Raises:
        SettingError: the settings are impossible, or the picture has no room for them.
    """
    if view == "Cures":
        check_photo(state)
    else:
        check(state if view == "Coverage" else single(state))


def fitted(state: State, view: str) -> State:
    """The state with as many cells of input as a view has room for; as it is where it has none."""
    for cells in range(state.size, 0, -1):
        smaller = replace(state, size=cells)
        try:
            check_view(smaller, view)
        except SettingError:
            continue
        return smaller
    return state


def sizes(state: State) -> list[int]:
    """Cells along an axis after every layer.

    Raises:
        SettingError: a layer is impossible.
    """
    found: list[int] = []
    for _ in range(state.layers):
        here = found[-1] if found else state.size
        after = transposed_size(here, state.kernel, state.stride, state.padding)
        assert isinstance(after, int)
        found.append(after)
    return found


def _crowded(state: State) -> str | None:
    """Why the picture has no room for a state; None where it has."""
    cells, most = sizes(state), MOST_CELLS[state.axes]
    if max(cells) > most:
        return (
            f"the largest grid would have {max(cells)} cells along an axis; "
            f"there is room for {most}"
        )
    reads = (state.size, *cells[:-1])
    links = sum((n * state.kernel) ** state.axes for n in reads)
    if links > MOST_LINKS:
        return f"the picture would have {links} links; there is room for {MOST_LINKS}"
    return None


def check(state: State, crowded: Callable[[State], str | None] = _crowded) -> None:
    """Whether a state can be drawn.

    Args:
        crowded: from a possible state to why there is no room for it, or None.

    Raises:
        SettingError: it cannot; with the nearest settings that can, one control changed.
    """
    try:
        rule, parameter = crowded(state), "layers" if state.layers > 1 else "size"
    except SettingError as error:
        rule, parameter = error.rule, error.parameter
    if rule is None:
        return
    values = {name: getattr(state, name) for name in BOUNDS}
    raise SettingError(parameter, rule, values, _mended(state, crowded))


def _mended(state: State, crowded: Callable[[State], str | None]) -> Iterator[dict[str, Any]]:
    """The nearest value of each control that makes a state possible, nearest first."""
    found = []
    for name, (low, high) in BOUNDS.items():
        now = getattr(state, name)
        for value in sorted(range(low, high + 1), key=lambda value: abs(value - now)):
            try:
                if crowded(replace(state, **{name: value})) is None:
                    found.append((abs(value - now), {name: value}))
                    break
            except SettingError:
                continue
    return (change for _, change in sorted(found, key=lambda pair: pair[0]))


def single(state: State) -> State:
    """The state with one layer: views in which layers are not stacked."""
    return replace(state, layers=1)


@lru_cache(maxsize=64)
def stack(state: State) -> tuple[LinearMap, ...]:
    """The layers' maps, first to act first, each a transposed convolution with the same kernel.

    Raises:
        SettingError: the settings are impossible, or the picture has no room for them.
    """
    check(state)
    maps: list[LinearMap] = []
    for _ in range(state.layers):
        shape = maps[-1].output_shape if maps else state.shape
        maps.append(transposed_conv(shape, state.kernel_values, state.stride, state.padding))
    return tuple(maps)


def pattern(state: State) -> Counts:
    """What the interior of the coverage repeats along one axis, stride^layers counts.

    The first is that of the uncropped output's first cell; in 2-D the pattern is its product with
    itself.
    """
    ones = np.ones(state.kernel)
    strides = [state.stride**layer for layer in range(1, state.layers)]
    kernel = reduce(lambda done, stride: composed_kernel(done, stride, ones), strides, ones)
    return phase_sums(kernel, state.stride**state.layers).astype(np.int64)


# Coverage


@lru_cache(maxsize=64)
def coverage(state: State) -> Scene:
    """How many taps land on each cell, layer after layer.

    Raises:
        SettingError: the settings are impossible, or the picture has no room for them.
    """
    maps = stack(state)
    counted = [stack_coverage(maps[: layer + 1]) for layer in range(len(maps))]
    labels = ["input", *(f"layer{layer}" for layer in range(1, len(maps))), "output"]
    x = Grid(
        "input",
        "input",
        ["1"] * maps[0].shape[1],
        columns=maps[0].input_shape[-1],
        title=f"{'x' if state.layers > 1 else 'input x'}, {size(maps[0].input_shape)}",
    )
    layers = [
        _counts_grid(label, counts, layer, state)
        for layer, (label, counts) in enumerate(zip(labels[1:], counted, strict=True), 1)
    ]
    kernel = grid(
        "kernel",
        "kernel",
        state.kernel_values,
        names("w", maps[0].kernel_shape or ()),
        title=f"taps w, {size(maps[0].kernel_shape or ())}",
    )
    lines, alone = state.axes == 1, len(maps) == 1
    links = [
        links_of(A, after, before, "kernel" if alone else None, lines=lines)
        for A, before, after in zip(maps, labels[:-1], labels[1:], strict=True)
    ]
    terms: dict[str, Sequence[str]] = {
        "input": _copies(maps[0]),
        labels[1]: _landings(maps[0], "y" if alone else "h"),
    }
    if alone:
        terms["kernel"] = kernel_terms(maps[0], state.kernel_values, letters=True)
    for place in range(1, len(maps)):
        terms[labels[place + 1]] = _paths(maps[place], counted[place - 1])
    rest, steps = _coverage_rest(state), _stamps(maps, labels[1:])
    if state.kept == "counts" and not alone:
        layers[1:] = [unknown(layer) for layer in layers[1:]]
        rest, steps = PREDICT_COUNTS, None
        for label in labels[2:]:
            terms[label] = [rest] * len(terms[label])
    rows: list[list[Grid | str]]
    if lines:
        rows = [*([[kernel]] if alone else []), [x], *([layer] for layer in layers)]
    else:
        first = [x, "·", kernel, "→"] if alone else [x, "→"]
        rows = [[*first, *(item for layer in layers for item in (layer, "→"))][:-1]]
    return Scene(rows, links, terms, rest, steps)


PREDICT_COUNTS = f"how uneven are the {chips('y', 'counts')}? Predict first"


def _counts_grid(label: str, counts: Counts, layer: int, state: State) -> Grid:
    letter, shape = "y" if layer == state.layers else "h", size(counts.shape)
    if state.axes == 1:
        title = f"{letter}, layer {layer}" if state.layers > 1 else "taps on y"
    else:
        title = f"{letter}, {shape}" if state.layers > 1 else f"taps on each output y, {shape}"
    return Grid(
        label,
        "output",
        numbers(counts),
        columns=counts.shape[-1],
        title=title,
        marks="".join(np.where(counts.ravel() == 0, "e", ".")),
        values=counts.ravel().tolist(),
        ramp="positive",
        letter=letter,
    )


def _copies(A: LinearMap) -> list[str]:
    """For every input cell where its copy of the kernel lands."""
    cells = names("x", A.input_shape).ravel()
    return [
        f"{chips('x', name)} stamps one copy of the kernel: {count} "
        f"{'tap lands' if count == 1 else 'taps land'} on the output"
        for name, count in zip(cells, A.usage().ravel(), strict=True)
    ]


def _landings(A: LinearMap, output: str) -> list[str]:
    """For every output cell the taps that land there."""
    letters = (names("x", A.input_shape), names("w", A.kernel_shape or ()))
    sums = output_terms(
        A, np.ones(A.input_shape), letters, output=output, nothing="no tap lands here"
    )
    return [
        f"{chips('y', count)} {'tap' if count == 1 else 'taps'}: {text}" if count else text
        for count, text in zip(A.coverage().ravel(), sums, strict=True)
    ]


def _paths(A: LinearMap, before: Counts) -> list[str]:
    """For every cell of a later layer the counts of the cells that it reads, and their sum."""
    y, counts = names("y", A.output_shape).ravel(), before.ravel()
    terms = []
    for name, start, stop in zip(y, A.starts[:-1], A.starts[1:], strict=True):
        read = counts[A.cols[start:stop]]
        parts = joined([chips("p", count) for count in read])
        total = chips("y", int(read.sum()))
        terms.append(
            f"{chips('y', name)}: {parts} = {total} paths from the input"
            if len(read)
            else f"{chips('y', name)}: no tap lands here"
        )
    return terms


def _coverage_rest(state: State) -> str:
    k, s = chips("w", f"k = {state.kernel}"), chips("w", f"s = {state.stride}")
    verb = "divides" if state.kernel % state.stride == 0 else "does not divide"
    return f"{s} {verb} {k}: interior {chips('y', repeats(state))}"


def repeats(state: State) -> str:
    """The pattern of the interior in words: 4, 2 / 2, 1; where it is long, its extremes."""
    row = pattern(state)
    whole = np.multiply.outer(row, row) if state.axes == 2 else row[None]
    if whole.min() == whole.max():
        return str(whole.flat[0])
    if len(row) <= (4 if state.axes == 2 else 9):
        return " / ".join(", ".join(map(str, line)) for line in whole)
    return f"{whole.min()} … {whole.max()}"


def _stamps(maps: Sequence[LinearMap], labels: Sequence[str]) -> Steps:
    """One copy after the other: each input cell adds its taps to what has landed already."""
    inputs_ = maps[0].shape[1]
    writes: dict[str, list[list[tuple[int, str]]]] = {label: [] for label in labels}
    landed = [np.zeros(A.shape[0], np.int64) for A in maps]
    for cell in range(inputs_):
        paths = np.zeros(inputs_, np.int64)
        paths[cell] = 1
        for place, (A, label) in enumerate(zip(maps, labels, strict=True)):
            paths = A.structure @ paths
            landed[place] += paths
            touched = np.flatnonzero(paths)
            writes[label].append([(int(at), str(landed[place][at])) for at in touched])
    return Steps("input", list(range(inputs_)), writes, word="copy")


# Phases


@lru_cache(maxsize=64)
def phases(state: State) -> Scene:
    """The kernel in its phases, the sum of each, and what a flat input becomes.

    Raises:
        SettingError: the settings are impossible, or the picture has no room for them.
    """
    state = single(state)
    (A,) = stack(state)
    kernel, sums = state.kernel_values, state.sums
    flat = A(np.ones(A.input_shape))
    taps = phase_of(kernel.shape, state.stride)
    cells = phase_of(A.output_shape, state.stride, state.padding)
    inside = interior(state)
    drawn = grid(
        "kernel",
        "kernel",
        kernel,
        title=f"kernel w, {size(kernel.shape)}",
        tints=_tints(taps),
        editable=True,
    )
    summed = grid(
        "sums",
        "output",
        sums,
        title="phase sums Σ",
        tints=_tints(np.arange(sums.size)),
        letter="Σ",
    )
    output = grid(
        "output",
        "output",
        flat,
        title=f"flat input of 1: output y, {size(A.output_shape)}",
        tints=_tints(np.where(inside, cells, -1)),
    )
    terms: dict[str, Sequence[str]] = {
        "kernel": [
            f"{chips('w', name)} = {chips('w', number(value))} is in phase {PHASE_LETTERS[phase]}: "
            + _phase_sum(state, int(phase))
            for name, value, phase in zip(
                names("w", kernel.shape).ravel(), kernel.ravel(), taps, strict=True
            )
        ],
        "sums": [
            f"phase {PHASE_LETTERS[phase]}: {_phase_sum(state, phase)}"
            for phase in range(sums.size)
        ],
        "output": [
            text if whole else f"{text} (border: not the whole phase)"
            for text, whole in zip(_flat_terms(A), inside, strict=True)
        ],
    }
    links = [
        Links(
            {
                "output": A.rows.tolist(),
                "kernel": A.taps.tolist(),
                "sums": np.where(inside[A.rows], cells[A.rows], -1).tolist(),
            }
        ),
        Links(
            {
                "kernel": list(range(kernel.size)),
                "sums": taps.tolist(),
            }
        ),
    ]
    rest = _phases_rest(state, bool(inside.any()))
    if state.kept == "sums":
        summed, output, rest = unknown(summed), unknown(output), PREDICT_FLAT
        terms = {name: [PREDICT_FLAT] * len(said) for name, said in terms.items()}
    if state.axes == 1:
        rows: list[list[Grid | str]] = [[drawn, "→", summed], [output]]
    else:
        rows = [[drawn, "→", summed, "→", output]]
    return Scene(rows, links, terms, rest)


PREDICT_FLAT = f"does {chips('y', 'flat')} stay flat? Predict first"


def unknown(drawn: Grid) -> Grid:
    """A grid whose numbers would tell the answer to the open question."""
    return replace(drawn, texts=["?"] * len(drawn.texts), values=None, ramp=None)


def phase_of(shape: Sequence[int], stride: int, offset: int = 0) -> Counts:
    """The flat phase of every cell: (row + offset) mod stride, (column + offset) mod stride."""
    along = [(np.arange(n) + offset) % stride for n in shape]
    place = np.zeros(tuple(shape), np.int64)
    for axis, phase in enumerate(along):
        sides = [-1 if other == axis else 1 for other in range(len(shape))]
        place = place * stride + phase.reshape(sides)
    return place.ravel()


def interior(state: State) -> NDArray[np.bool_]:
    """Which output cells of one layer get every tap of their phase, flat."""
    (A,) = stack(single(state))
    cells = phase_of(A.output_shape, state.stride, state.padding)
    return A.coverage().ravel() == state.counts.ravel()[cells]


def is_flat(state: State) -> bool:
    """Whether a flat input stays flat in the interior of one layer: all phase sums are equal."""
    return bool(np.ptp(state.sums) < 1e-9)


def _tints(phases_: NDArray) -> list[int]:
    """A tint for each phase; there are eight, so the ninth looks like the first."""
    return [int(phase) % TINTS if phase >= 0 else -1 for phase in phases_]


def _phase_sum(state: State, phase: int) -> str:
    kernel = state.kernel_values
    members = np.flatnonzero(phase_of(kernel.shape, state.stride) == phase)
    values = kernel.ravel()[members]
    if not len(members):
        return "no tap, so its cells stay 0"
    parts = joined([chips("w", number(value)) for value in values])
    total = chips("y", number(float(values.sum())))
    return f"{parts} = {total}" if len(members) > 1 else f"{parts} alone"


def _flat_terms(A: LinearMap) -> list[str]:
    """For every output cell the weights that land there, each times 1."""
    y = names("y", A.output_shape).ravel()
    values = A(np.ones(A.input_shape)).ravel()
    terms = []
    for name, value, start, stop in zip(y, values, A.starts[:-1], A.starts[1:], strict=True):
        parts = joined([chips("w", number(weight)) for weight in A.values[start:stop]])
        left = chips("y", name)
        terms.append(
            f"{left} = {parts} = {chips('y', number(value))}"
            if stop > start
            else f"{left}: no tap lands here"
        )
    return terms


def _phases_rest(state: State, has_interior: bool) -> str:
    if not has_interior:
        return "the input is so small that every output lies at the border: take a larger size"
    if is_flat(state):
        return (
            f"every phase sums to {chips('y', number(float(state.sums.flat[0])))}: flat stays flat"
        )
    sums = state.sums.ravel()
    listed = ", ".join(number(value) for value in sums)
    if sums.size > 4:
        listed = f"{number(float(sums.min()))} … {number(float(sums.max()))}"
    return f"on a flat input the interior prints the sums: {chips('y', listed)}"


def bars(state: State) -> str:
    """The sum of each phase as a bar, with its letter and its number of taps, as SVG."""
    sums, counts = state.sums.ravel(), state.counts.ravel()
    slot = (BARS_WIDTH - BARS_LEFT) / len(sums)
    upright = slot < 44  # no room for numbers side by side
    room = 52 if upright else 22
    most, least = max(0.0, float(sums.max())), min(0.0, float(sums.min()))
    tallest = BARS_HEIGHT - room // 2
    scale = tallest / ((most - least) or 1.0)
    zero = room + scale * most
    letters = room + tallest + (room if least < 0 else 0) + 20
    drawn = [
        f'<text x="0" y="{letters}" class="left">phase</text>',
        f'<text x="0" y="{letters + 22}" class="left">taps</text>',
        f'<line x1="{BARS_LEFT}" x2="{BARS_WIDTH}" y1="{zero:.1f}" y2="{zero:.1f}" class="zero"/>',
    ]
    for place, (total, count) in enumerate(zip(sums.tolist(), counts, strict=True)):
        middle, tall = BARS_LEFT + slot * (place + 0.5), scale * abs(total)
        wide = min(44.0, slot * 0.8)
        top = zero - tall if total >= 0 else zero
        end = top - 5 if total >= 0 else top + tall + (5 if upright else 18)
        at = f'x="{middle:.1f}" y="{end:.1f}" class="sum"'
        if upright:
            across, side = f"{middle + 6:.1f}", "rising" if total >= 0 else "falling"
            at = (
                f'x="{across}" y="{end:.1f}" class="sum {side}" '
                f'transform="rotate(-90 {across} {end:.1f})"'
            )
        drawn.append(
            f'<rect x="{middle - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" '
            f'height="{max(tall, 1):.1f}" fill="url(#phase{place % TINTS})" class="bar"/>'
            f"<text {at}>{number(round(total, 2))}</text>"
            f'<text x="{middle:.1f}" y="{letters}">{PHASE_LETTERS[place]}</text>'
            f'<text x="{middle:.1f}" y="{letters + 22}">{count}</text>'
        )
    spoken = "; ".join(
        f"phase {letter}: {count} taps, sum {number(round(total, 2))}"
        for letter, count, total in zip(PHASE_LETTERS, counts, sums.tolist(), strict=False)
    )
    return (
        f'<svg class="phase-bars" data-role="phase-bars" role="img" aria-label="{spoken}" '
        f'viewBox="0 0 {BARS_WIDTH} {letters + 28}" xmlns="http://www.w3.org/2000/svg">'
        f"<defs>{''.join(_patterns())}</defs>{''.join(drawn)}</svg>"
    )


_FILLS = ("a9d3ee", "f6e48f", "eebfd8", "b9dfae", "d9c8f0", "fbcfa8", "d5d9de", "9fdcd3")
_STROKES = (
    "",
    "M4 0V8",
    "M0 4H8",
    "M4 0V8M0 4H8",
    "M0 8L8 0",
    "M0 0L8 8",
    "M0 8L8 0M0 0L8 8",
    "M4 2A2 2 0 1 0 4 6A2 2 0 1 0 4 2",
)


def _patterns() -> Iterator[str]:
    """The eight fills of the linked grid's phases, as SVG patterns."""
    for place, (fill, stroke) in enumerate(zip(_FILLS, _STROKES, strict=True)):
        yield (
            f'<pattern id="phase{place}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<rect width="8" height="8" fill="#{fill}"/>'
            f'<path d="{stroke}" stroke="#111" stroke-opacity="0.4" fill="none"/></pattern>'
        )


# The gradient of a strided convolution


@lru_cache(maxsize=64)
def gradient(state: State) -> Scene:
    """The gradient that a strided convolution sends back to its input, from a flat one above.

    Raises:
        SettingError: the settings are impossible, or the picture has no room for them.
    """
    state = single(state)
    shape = stack(state)[0].output_shape
    A = conv(shape, state.kernel_values, state.stride, state.padding).T
    upstream = np.ones(A.input_shape)
    arrived = A(upstream)
    kernel = state.kernel_values
    above = grid(
        "upstream",
        "output",
        upstream,
        title=f"gradient at the output y, {size(A.input_shape)}",
        letter="",
    )
    weights_ = grid("kernel", "kernel", kernel, title=f"kernel w, {size(kernel.shape)}")
    below = Grid(
        "gradient",
        "input",
        numbers(arrived),
        columns=shape[-1],
        title="gradient at the input x" + (f", {size(shape)}" if state.axes == 2 else ""),
        values=arrived.ravel().tolist(),
        ramp="signed" if arrived.min() < 0 else "positive",
        letter="",
    )
    if state.axes == 1:
        above = replace(above, title="∂L/∂y")
        below = replace(below, title="∂L/∂x")
        weights_ = replace(weights_, title="kernel w")
    if state.kept == "sums":
        below = unknown(below)
    links = [links_of(A, "gradient", "upstream", "kernel", lines=state.axes == 1)]
    read = A.coverage().ravel()
    x = names("x", shape).ravel()
    terms: dict[str, Sequence[str]] = {
        "gradient": [
            f"{chips('x', name)} is read by {count} {'output' if count == 1 else 'outputs'}: "
            f"gradient {text.partition(' = ')[2]}"
            if count
            else f"{chips('x', name)} is read by no output: no gradient, so it never learns"
            for name, count, text in zip(x, read, _flat_terms(A), strict=True)
        ],
        "upstream": [
            f"{chips('y', name)} read {count} inputs and sends each its gradient 1 times the weight"
            for name, count in zip(
                names("y", A.input_shape).ravel(), A.usage().ravel(), strict=True
            )
        ],
        "kernel": kernel_terms(A, kernel),
    }
    rows: list[list[Grid | str]] = (
        [[weights_], [above], [below]] if state.axes == 1 else [[above, "·", weights_, "→", below]]
    )
    pattern_ = "flat" if is_flat(state) else "a checkerboard"
    rest = f"{chips('y', 'flat')} above gives {chips('x', pattern_)} below: the same transpose"
    steps = _gradient_steps(A)
    if state.kept == "sums":
        rest, steps = PREDICT_FLAT, None
        terms["gradient"] = [rest] * len(x)
    return Scene(rows, links, terms, rest, steps)


def _gradient_steps(A: LinearMap) -> Steps:
    """One output after the other sends its gradient back."""
    arrived = np.zeros(A.shape[0])
    writes = []
    for cell in range(A.shape[1]):
        stamp = A.stamp(np.unravel_index(cell, A.input_shape)).ravel()  # type: ignore[arg-type]
        arrived += stamp
        reached = np.unique(A.rows[A.cols == cell])
        writes.append([(int(at), number(float(arrived[at]))) for at in reached])
    return Steps("upstream", list(range(A.shape[1])), {"gradient": writes}, word="output")


# Cures


def cures(state: State) -> Scene:
    """The words above the photos; the photos are `panels`.

    Raises:
        SettingError: the layers enlarge too much for the photos.
    """
    check_photo(state)
    factor = state.stride**state.layers
    return Scene(
        [], rest=f"enlarged {chips('y', f'×{factor}')} in five ways; below each: what flat becomes"
    )


def check_photo(state: State) -> None:
    """Whether the photos can be drawn.

    Raises:
        SettingError: they would be enlarged more than 32 times.
    """

    def crowded(here: State) -> str | None:
        factor = here.stride**here.layers
        return f"stride^layers = {factor}; the photos have room for 32" if factor > 32 else None

    check(state, crowded)


# The formula and the code


def verdict(state: State) -> str:
    """Whether the stride divides the kernel, in words."""
    k, s = state.kernel, state.stride
    return f"even, because {s} divides {k}" if k % s == 0 else f"uneven: {s} does not divide {k}"


def _array(values: NDArray) -> str:
    return np.array2string(values, separator=", ", threshold=10_000, max_line_width=88)


def snippet(state: State, view: str) -> str:
    """The lines of PyTorch that give the numbers of a view, in `y`; "Cures" has its own."""
    return {"Coverage": _coverage_code, "Phases": _phases_code, "Gradient": _gradient_code}[view](
        state
    )


def _coverage_code(state: State) -> str:
    dims = state.axes
    shape = ", ".join(map(str, (1, 1, *state.shape)))
    taps = ", ".join(map(str, (1, 1, *(state.kernel,) * dims)))
    call = f"F.conv_transpose{dims}d(y, w, stride={state.stride}, padding={state.padding})"
    return f"""\
import torch
import torch.nn.functional as F

y = torch.ones({shape})
w = torch.ones({taps})  # ones: every tap counts once
for layer in range({state.layers}):
    y = {call}
print(y[0, 0].int())
"""


def _phases_code(state: State) -> str:
    dims, s = state.axes, state.stride
    shape = ", ".join(map(str, (1, 1, *state.shape)))
    if dims == 2:
        phases_ = (
            f"[[w[0, 0, i::{s}, j::{s}].sum().item() for j in range({s})] for i in range({s})]"
        )
    else:
        phases_ = f"[w[0, 0, i::{s}].sum().item() for i in range({s})]"
    return f"""\
import torch
import torch.nn.functional as F

x = torch.ones({shape}, dtype=torch.float64)  # flat
w = torch.tensor({_array(state.kernel_values)}, dtype=torch.float64)[None, None]
y = F.conv_transpose{dims}d(x, w, stride={s}, padding={state.padding})
sums = {phases_}
print(y[0, 0], sums)
"""


def _gradient_code(state: State) -> str:
    dims = state.axes
    shape = ", ".join(map(str, (1, 1, *stack(single(state))[0].output_shape)))
    return f"""\
import torch
import torch.nn.functional as F

x = torch.zeros({shape}, dtype=torch.float64, requires_grad=True)
w = torch.tensor({_array(state.kernel_values)}, dtype=torch.float64)[None, None]
F.conv{dims}d(x, w, stride={state.stride}, padding={state.padding}).sum().backward()
y = x.grad  # the sum's gradient is 1 at every output
print(y[0, 0])
"""
