"""The pictures of the lesson on dilation.

Along one axis a stack of layers is drawn as rows of cells, the input below; row l is the output of
layer l. Without padding and with stride 1 unit u of any row begins to see at input cell u, so what
one unit sees, every unit sees, shifted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.components.linked_grid import Grid, Links, Scene, Steps
from explainer.ops import (
    Layer,
    LinearMap,
    SettingError,
    conv,
    effective_field,
    layer_maps,
    max_pool,
    names,
    nearest_unpool,
    number,
    reached,
    receptive_fields,
    subsample,
    tent_upsampling,
    zero_insertion,
)
from explainer.ops.grids import window
from explainer.ops.receptive import parameters, without_stride
from explainer.ops.sizes import span
from explainer.ui.pictures import inputs
from explainer.ui.pictures.parts import (
    chips,
    embedding_of,
    grid,
    input_terms,
    joined,
    kernel_terms,
    links_of,
    marks_of,
    numbers,
    output_terms,
    padded_grid,
    size,
    steps_by_output,
)

Floats = NDArray[np.float64]

VIEWS = ("Stack", "Kernel", "Resample", "Pooling", "Photo", "Context")
UPSAMPLINGS = ("nails", "nearest", "bilinear")
STARTS = ("identity", "average", "random")
SIGNALS = ("impulse", "photo", "signed photo")
MODULES = ("basic", "large")

MOST_LAYERS = 8
MOST_DILATION = 16
FEWEST_CELLS, MOST_CELLS = 5, 80
FEWEST_TAPS, MOST_TAPS = 2, 5
MOST_COLOURS = 8
"""Tints that the linked grid can tell apart."""

CELLS_WITH_DIGITS = 30
"""In a wider row cells are too small for digits: the counts are shown as colours."""

CELLS_BESIDE_TITLES = 18
"""In a wider row titles stand above, which many rows have no room for."""


@dataclass(frozen=True)
class State:
    """The settings of the page; `x` and `w` are the edited numbers of the address, or "".

    Attributes:
        dilations: of every layer of the stack, first layer first.
        kernel: taps along an axis.
        cells: of the input along one axis, in the views Stack, Resample and Pooling.
        unit: the unit of the top row whose paths are counted; -1 for the middle one.
        size, dilation, padding: of the two-dimensional convolution; the dilation is also the
            factor of the view Resample.
        stride: of the pooling layer, and its window.
        up: how the view Resample goes back to the full size.
        colours: whether cells are coloured by index modulo the dilation.
        blackout: whether one of the sub-photos is black.
        signal, start, module, channels: of the context module.
    """

    dilations: tuple[int, ...] = (1, 2, 4)
    kernel: int = 3
    cells: int = 17
    unit: int = -1
    size: int = 9
    dilation: int = 2
    padding: int = 0
    stride: int = 2
    up: str = "nails"
    weights: str = "ones"
    seed: int = 0
    letters: bool = False
    colours: bool = True
    photo: str = "cat"
    blackout: bool = True
    signal: str = "photo"
    start: str = "identity"
    module: str = "basic"
    channels: int = 21
    x: str = ""
    w: str = ""


def scene(state: State, view: str) -> Scene:
    """The picture of a view; of those that are made of photos only what the term strip says.

    Raises:
        SettingError: the settings are impossible.
    """
    drawn = {"Stack": stack, "Kernel": kernel, "Resample": resample, "Pooling": pooling}.get(view)
    shown = drawn(state) if drawn else Scene([], rest=_said(state, view))
    return replace(shown, views=VIEWS, view=VIEWS.index(view))


def _said(state: State, view: str) -> str:
    if view == "Context":
        return f"eight layers see {chips('w', '67×67')} pixels at full resolution"
    parts = classes(state.dilations)
    if parts == 1:
        return f"{chips('w', dilations_of(state.dilations))}: nothing in common, so all mix"
    return f"{chips('w', dilations_of(state.dilations))}: {parts}×{parts} sub-photos that never mix"


def pinned_unit(pin: str) -> int:
    """The unit of the top row that is pinned, or -1."""
    name, _, place = pin.partition(":")
    column = place.rpartition(",")[2]
    return int(column) if name == "output" and column.isdecimal() else -1


# The stack in the address


def read_dilations(text: str) -> tuple[int, ...] | None:
    """The dilations that a text such as "1,2,4" stands for; None where it stands for none."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST_LAYERS or not all(part.isdecimal() and len(part) < 4 for part in parts):
        return None
    found = tuple(map(int, parts))
    return found if all(1 <= dilation <= MOST_DILATION for dilation in found) else None


def usable_dilations(text: str) -> bool:
    """Whether a text stands for the dilations of a stack."""
    return read_dilations(text) is not None


def written(dilations: Sequence[int]) -> str:
    """The text for the address."""
    return ",".join(map(str, dilations))


def listed(dilations: Sequence[int]) -> str:
    """The dilations as they are read: 1, 2, 4."""
    return ", ".join(map(str, dilations))


def dilations_of(dilations: Sequence[int]) -> str:
    """The dilations in a sentence: "dilation 4", "dilations 1, 2, 4"."""
    return f"dilation{'' if len(dilations) == 1 else 's'} {listed(dilations)}"


# What a stack sees


def layers(dilations: Sequence[int], kernel: int) -> tuple[Layer, ...]:
    """The layers of a stack without padding, first layer first."""
    return tuple(Layer(kernel, dilation=dilation) for dilation in dilations)


@lru_cache(maxsize=256)
def touched(dilations: tuple[int, ...], kernel: int) -> tuple[int, ...]:
    """The cells that a unit of the last layer reads, counted from the first that it spans."""
    if not dilations:
        return (0,)
    stack = layers(dilations, kernel)
    maps = layer_maps(stack, receptive_fields(stack)[-1].size)
    return tuple(np.flatnonzero(reached(maps, 0)).tolist())


def field(dilations: Sequence[int], kernel: int) -> int:
    """Cells from the first to the last that a unit of the last layer can see."""
    return receptive_fields(layers(dilations, kernel))[-1].size


def classes(dilations: Sequence[int]) -> int:
    """Cells whose index differs modulo this number never meet: the greatest common divisor."""
    return gcd(*dilations)


def checked_field(state: State) -> int:
    """The field of the whole stack.

    Raises:
        SettingError: the input has fewer cells.
    """
    seen = field(state.dilations, state.kernel)
    if seen <= state.cells:
        return seen
    mended: list[dict[str, Any]] = [{"cells": seen}] if seen <= MOST_CELLS else []
    fewer = [k for k in range(FEWEST_TAPS, state.kernel)]
    fitting = [k for k in fewer if field(state.dilations, k) <= state.cells]
    mended += [{"kernel": k} for k in fitting[-1:]]
    mended.append({"dilations": written(_narrower(state))})
    raise SettingError(
        "cells",
        "must be at least 1 + Σ d(k − 1), the cells that the stack spans",
        {
            "cells": state.cells,
            "kernel": state.kernel,
            "dilations": listed(state.dilations),
            "span": seen,
        },
        mended,
    )


def _narrower(state: State) -> tuple[int, ...]:
    """The stack with its largest dilations halved, then its last layers left out, until it fits."""
    found = list(state.dilations)
    while field(found, state.kernel) > state.cells:
        largest = max(found)
        if largest == 1:
            found.pop()
        else:
            found[found.index(largest)] = largest // 2
    return tuple(found)


# The stack


def stack(state: State) -> Scene:
    """A row of cells for every layer, and how many paths lead from each to one unit of the top.

    Raises:
        SettingError: the input has fewer cells than the stack spans.
    """
    return _stack(state.dilations, state.kernel, state.cells, chosen_unit(state), state.colours)


def chosen_unit(state: State) -> int:
    """The unit of the top row whose paths are counted.

    Raises:
        SettingError: the input has fewer cells than the stack spans.
    """
    outputs = state.cells - checked_field(state) + 1
    return state.unit if 0 <= state.unit < outputs else (outputs - 1) // 2


@lru_cache(maxsize=64)
def _stack(dilations: tuple[int, ...], kernel: int, cells: int, unit: int, colours: bool) -> Scene:
    maps = layer_maps(layers(dilations, kernel), cells)
    depth = len(maps)
    names_ = row_names(depth)
    shared = classes(dilations)
    titled = cells <= CELLS_BESIDE_TITLES or depth < 5
    shaded = cells > CELLS_WITH_DIGITS and not (colours and shared > 1)
    grids, terms = [], {}
    for row in range(depth + 1):
        here = maps[row - 1].output_shape[0] if row else cells
        paths = path_counts(maps, row, unit)
        seen = np.flatnonzero(paths)
        inside = range(int(seen[0]), int(seen[-1]) + 1)
        title = "input x" if not row else f"{_letter(row, depth)}, d = {dilations[row - 1]}"
        grids.append(
            Grid(
                names_[row],
                "output" if row else "input",
                [number(paths[cell]) if cell in inside else "" for cell in range(here)],
                columns=here,
                title=title if titled else "",
                letter=_letter(row, depth),
                tints=_tints(np.arange(here) % shared, shared, unit % shared) if colours else None,
                values=paths.tolist() if shaded else None,
                ramp="positive" if shaded else None,
            )
        )
        terms[names_[row]] = (
            _unit_terms(dilations[:row], kernel, _letter(row, depth), here)
            if row
            else _cell_terms(dilations, kernel, cells, cells - field(dilations, kernel) + 1)
        )
    links = [
        links_of(maps[row], names_[row + 1], names_[row], None, lines=True) for row in range(depth)
    ]
    top = f"{_letter(depth, depth)}{unit + 1}"
    return Scene(
        [[row] for row in reversed(grids)],
        links,
        terms,
        f"paths to {chips('y', top)} are counted; 0 is a hole: play by layer",
        _growth(maps, dilations, kernel, unit),
    )


def row_names(depth: int) -> list[str]:
    """The grids of a stack: input, h1, h2 …, output."""
    return ["input", *(f"h{row}" for row in range(1, depth)), "output"]


def _letter(row: int, depth: int) -> str:
    return "x" if not row else "y" if row == depth else f"h{row}"


def path_counts(maps: Sequence[LinearMap], row: int, unit: int) -> Floats:
    """How many paths lead from every cell of a row to one unit of the top row."""
    if row == len(maps):
        return np.eye(maps[-1].output_shape[0])[unit]
    return effective_field(maps[row:], unit)


def _tints(residues: NDArray[np.intp], count: int, chosen: int) -> list[int] | None:
    """A tint for each residue class; where they are too many, for one of them only."""
    if count == 1:
        return None
    if count <= MOST_COLOURS:
        return residues.tolist()
    return np.where(residues == chosen, 0, -1).tolist()


def _unit_terms(dilations: tuple[int, ...], kernel: int, letter: str, count: int) -> list[str]:
    """For every unit of a layer what it spans and what of it it touches."""
    offsets = touched(dilations, kernel)
    wide = offsets[-1] + 1
    missing = wide - len(offsets)
    if missing:
        rest = f"touches {len(offsets)} of them, {missing} are holes"
    else:
        rest = "touches every one"
    return [
        f"{chips('y', f'{letter}{unit + 1}' if letter == 'y' else f'{letter}·{unit + 1}')} spans "
        f"{chips('x', f'x{unit + 1}')} … {chips('x', f'x{unit + wide}')}: {wide} cells, {rest}"
        for unit in range(count)
    ]


def _cell_terms(dilations: tuple[int, ...], kernel: int, cells: int, outputs: int) -> list[str]:
    """For every input cell the units of the top row that it reaches."""
    offsets = set(touched(dilations, kernel))
    terms = []
    for cell in range(cells):
        units = [unit for unit in range(outputs) if cell - unit in offsets]
        reach = joined([chips("y", f"y{unit + 1}") for unit in units], ", ", 8)
        terms.append(
            f"{chips('x', f'x{cell + 1}')} reaches {reach}"
            if units
            else f"{chips('x', f'x{cell + 1}')} reaches no unit of the top row"
        )
    return terms


def _growth(maps: Sequence[LinearMap], dilations: tuple[int, ...], kernel: int, unit: int) -> Steps:
    """Layer by layer the cone of the unit below the one in question."""
    depth = len(maps)
    names_ = row_names(depth)
    lights, says = [], []
    before = 1
    for row in range(1, depth + 1):
        middle = unit + sum(d * (kernel - 1) // 2 for d in dilations[row:])
        cells = {names_[row]: [middle]}
        for lower in range(row):
            cells[names_[lower]] = np.flatnonzero(reached(maps[lower:row], middle)).tolist()
        lights.append(cells)
        wide, d = field(dilations[:row], kernel), dilations[row - 1]
        holes = wide - len(touched(dilations[:row], kernel))
        says.append(
            f"layer {row}: {before} + {chips('w', d)}·({chips('w', kernel)} − 1) = "
            f"{chips('y', wide)} cells" + (f", {holes} of them holes" if holes else ", no holes")
        )
        before = wide
    return Steps("output", [unit] * depth, word="layer", lights=lights, says=says)


def stack_counts(state: State) -> Floats:
    """Paths from every input cell to the unit in question.

    Raises:
        SettingError: the input has fewer cells than the stack spans.
    """
    unit = chosen_unit(state)
    return path_counts(layer_maps(layers(state.dilations, state.kernel), state.cells), 0, unit)


# The prediction: which of 13 cells do dilations 2, 2, 2 touch?

GUESSED = (2, 2, 2)
GUESS_TAPS = 3
GUESS_CELLS = field(GUESSED, GUESS_TAPS)
GUESS_GRID = "guess"


@lru_cache(maxsize=2)
def guess(revealed: bool) -> Scene:
    """A row of cells to click; once revealed with the paths that lead from each to the unit."""
    cells = range(GUESS_CELLS)
    maps = layer_maps(layers(GUESSED, GUESS_TAPS), GUESS_CELLS)
    paths = path_counts(maps, 0, 0)
    drawn = Grid(
        GUESS_GRID,
        "input",
        numbers(paths) if revealed else [""] * GUESS_CELLS,
        columns=GUESS_CELLS,
        title=f"paths from x1 … x{GUESS_CELLS}" if revealed else f"input x1 … x{GUESS_CELLS}",
        tints=[cell % classes(GUESSED) for cell in cells] if revealed else None,
        markable=not revealed,
    )
    terms = [
        f"{chips('x', f'x{cell + 1}')}: "
        + (f"{number(paths[cell])} paths" if revealed else "touched or not?")
        for cell in cells
    ]
    rest = "0 paths: a hole" if revealed else "click, then reveal"
    return Scene([[drawn]], [], {GUESS_GRID: terms}, rest)


def read_guess(text: object) -> set[int]:
    """The cells that the student marked; what comes from the browser is checked."""
    name, _, cells = text.partition(":") if isinstance(text, str) else ("", "", "")
    found = {int(cell) for cell in cells.split(",")[:GUESS_CELLS] if cell.isdecimal()}
    return {cell for cell in found if cell < GUESS_CELLS} if name == GUESS_GRID else set()


def verdict(marked: set[int]) -> tuple[bool, str]:
    """Whether the prediction is right, and what to say."""
    truth = set(touched(GUESSED, GUESS_TAPS))
    right, wrong = len(marked & truth), len(marked - truth)
    says = f"It touches {len(truth)} of the {GUESS_CELLS} cells that it spans: every second one. "
    if marked == truth:
        return True, says + "You found them all. Dilations 1, 2, 5 leave no hole."
    found = f"You found {right} of them"
    found += f", and marked {wrong} that it never sees." if wrong else "."
    return False, says + found + " Dilations 1, 2, 5 leave no hole."


# One dilated kernel in two dimensions


@lru_cache(maxsize=64)
def build(
    size_: int, padding: int, dilation: int, weights: str, kernel: int, seed: int, w: str
) -> LinearMap:
    """The map of the two-dimensional dilated convolution.

    Raises:
        SettingError: the settings are impossible.
    """
    values = inputs.weights(weights, (kernel, kernel), seed, w)
    return conv((size_, size_), values, 1, padding, dilation)


def built(state: State) -> LinearMap:
    """The map of the view Kernel.

    Raises:
        SettingError: the settings are impossible.
    """
    return build(
        *(state.size, state.padding, state.dilation),
        *(state.weights, state.kernel, state.seed, state.w),
    )


def kernel_values(state: State) -> Floats:
    """The weights of the view Kernel."""
    return inputs.weights(state.weights, (state.kernel,) * 2, state.seed, state.w)


def input_values(state: State) -> Floats:
    """The input of the view Kernel."""
    return inputs.edited(state.x, inputs.digits((state.size,) * 2))


@lru_cache(maxsize=64)
def kernel(state: State) -> Scene:
    """Input, kernel with its gaps, output.

    Raises:
        SettingError: the settings are impossible.
    """
    A = built(state)
    valid, embedding = embedding_of(A)
    x, w, marks, d = input_values(state), kernel_values(state), marks_of(A), state.dilation
    y = A(x)
    cell_names = embedding.move(names("x", A.input_shape), "0")
    letters = (cell_names, names("w", w.shape)) if state.letters else None
    spread = zero_insertion(w.shape, d)
    texts = spread.move(np.array(letters[1] if letters else _texts(w), object), "0")
    gaps = np.where(spread.coverage() == 0, "z", ".")
    taps = spread.rows[np.argsort(spread.cols)]
    reach = span(state.kernel, d)
    weights = Grid(
        "kernel",
        "kernel",
        [str(text) for text in texts.ravel()],
        columns=reach,
        title=f"kernel w, {size(w.shape)}" + (f", spans {size((reach, reach))}" if d > 1 else ""),
        marks="".join(gaps.ravel()) if d > 1 else "",
        editable=True,
    )
    colours = state.colours and d > 1
    # Counted so that the class of the input's corner is 0, whatever the padding.
    row, col = ((np.arange(n) - state.padding) % d for n in valid.input_shape)
    out_row, out_col = ((np.arange(n) - state.padding) % d for n in valid.output_shape)
    kernel_says = kernel_terms(valid, w, state.letters)
    gap = "an inserted zero: the cell under it is not read"
    taken = dict(zip(taps.tolist(), kernel_says, strict=True))
    cells = links_of(valid).cells
    return Scene(
        [
            [
                padded_grid(
                    A,
                    x,
                    names("x", A.input_shape) if letters else None,
                    editable=True,
                    tints=_tints_2d(row, col, d, marks) if colours else None,
                ),
                "∗",
                weights,
                "=",
                grid(
                    "output",
                    "output",
                    y,
                    names("y", A.output_shape) if letters else None,
                    title=f"output y, {size(A.output_shape)}",
                    tints=_tints_2d(out_row, out_col, d) if colours else None,
                ),
            ]
        ],
        [Links({**cells, "kernel": taps[valid.taps].tolist()})],
        {
            "input": input_terms(valid, marks, cell_names),
            "kernel": [taken.get(cell, gap) for cell in range(reach * reach)],
            "output": output_terms(valid, embedding(x), letters, marks),
        },
        f"{w.size} taps, {d} {'cell' if d == 1 else 'cells'} apart, span "
        f"{chips('w', size((reach, reach)))} and read {w.size} of {reach * reach} cells",
        steps_by_output(
            numbers(y) if not letters else [str(n) for n in names("y", y.shape).ravel()]
        ),
    )


def _texts(values: Floats) -> NDArray[np.object_]:
    return np.array(numbers(values), object).reshape(values.shape)


def _tints_2d(
    row: NDArray[np.intp], col: NDArray[np.intp], dilation: int, marks: str = ""
) -> list[int]:
    """A tint for each of the d² classes; with nine, one has none, with more, only one has."""
    residues = np.add.outer(row * dilation, col).ravel()
    count = dilation**2
    if count > MOST_COLOURS + 1:
        tints = np.where(residues == 0, 0, -1)
    else:
        tints = residues - (count > MOST_COLOURS)
    padding = np.array(list(marks or "." * residues.size)) == "p"
    return np.where(padding, -1, tints).tolist()


def kernel_tap(state: State, row: int, column: int) -> tuple[int, int] | None:
    """The tap at a place of the spread kernel; None for an inserted zero."""
    d = state.dilation
    inside = 0 <= row <= d * (state.kernel - 1) and 0 <= column <= d * (state.kernel - 1)
    return (row // d, column // d) if inside and row % d == column % d == 0 else None


# Downsample, convolve, upsample; and the dilated convolution, which computes the rest too


def row_input(state: State) -> Floats:
    """The input of the views along one axis."""
    return inputs.edited(state.x, np.resize(inputs.digits((16, 16)), state.cells))


def row_weights(state: State, taps: int) -> Floats:
    """The weights of the views along one axis."""
    return inputs.weights(state.weights, (taps,), state.seed, state.w)


RESAMPLED_TAPS = 3


@dataclass(frozen=True)
class Resampled:
    """Both ways from the same input, along one axis.

    Attributes:
        down, small, up: the maps to the small grid, on it, and back to the full size.
        dilated: the dilated convolution.
    """

    down: LinearMap
    small: LinearMap
    up: LinearMap
    dilated: LinearMap


def resampled(state: State) -> Resampled:
    """The maps of the view Resample; the small convolution is padded to keep its size."""
    n, d = state.cells, state.dilation
    w = row_weights(state, RESAMPLED_TAPS)
    down = subsample((n,), d)
    small = conv(down.output_shape, w, padding=1)
    if state.up == "nails":
        up = down.T
    else:
        if state.up == "nearest":
            larger = nearest_unpool(down.output_shape, d)
        else:
            larger = tent_upsampling(down.output_shape, d, align_corners=True)
        up = window(larger.output_shape, (0,), (n,)) @ larger
    return Resampled(down, small, up, conv((n,), w, padding=d, dilation=d))


@lru_cache(maxsize=64)
def resample(state: State) -> Scene:
    """Rows: down, convolved, up again; the input; the dilated convolution. All drawn in place."""
    maps, x = resampled(state), row_input(state)
    n, d = state.cells, state.dilation
    place = maps.down.cols
    small = maps.down(x)
    convolved = maps.small(small)
    up = maps.up(convolved)
    dilated = maps.dilated(x)
    w = row_weights(state, RESAMPLED_TAPS)
    empty = "z" if state.up == "nails" else "e"
    nothing = "".join("." if count else empty for count in maps.up.coverage())
    rows = [
        [
            grid(
                "up",
                "output",
                up,
                title=f"↑{d}",
                letter="u",
                bright=place.tolist() if d > 1 else (),
                marks=nothing,
            )
        ],
        [_in_place("small", convolved, place, n, f"{RESAMPLED_TAPS} taps", "output", "v")],
        [_in_place("down", small, place, n, f"↓{d}", "output", "z")],
        [grid("input", "input", x, title="input x", editable=True)],
        [
            grid(
                "dilated",
                "output",
                dilated,
                title=f"y, d = {d}",
                bright=place.tolist() if d > 1 else (),
            )
        ],
    ]
    terms = {
        "up": _up_terms(maps, convolved, place, state.up),
        "small": _placed_terms(output_terms(maps.small, small, output="v"), place, n),
        "down": _placed_terms(
            [
                f"{chips('y', f'z{i + 1}')} = {chips('x', f'x{cell + 1}')} = {number(value)}"
                for i, (cell, value) in enumerate(zip(place, small.tolist(), strict=True))
            ],
            place,
            n,
        ),
        "input": _kept_terms(x, place, d),
        "dilated": output_terms(maps.dilated, x),
    }
    return Scene(
        rows,
        [_resample_links(maps, place)],
        terms,
        f"weights {chips('w', ', '.join(numbers(w)))}: the {len(place)} filled places agree, the "
        f"dilated convolution computes {n} of {n}"
        if d > 1
        else "dilation 1: nothing is left out, and both ways agree everywhere",
    )


def _in_place(
    name: str,
    values: ArrayLike,
    place: NDArray[np.intp],
    count: int,
    title: str,
    role: Any,
    letter: str,
) -> Grid:
    """A smaller row, every cell drawn where it comes from, and nothing in between."""
    texts = [""] * count
    for cell, text in zip(place.tolist(), numbers(values), strict=True):
        texts[cell] = text
    here = set(place.tolist())
    marks = "".join("." if cell in here else "e" for cell in range(count))
    return Grid(name, role, texts, columns=count, title=title, marks=marks, letter=letter)


def _placed_terms(terms: Sequence[str], place: NDArray[np.intp], count: int) -> list[str]:
    placed = ["nothing here: this place was left out"] * count
    for cell, term in zip(place.tolist(), terms, strict=True):
        placed[cell] = term
    return placed


def _kept_terms(x: Floats, place: NDArray[np.intp], d: int) -> list[str]:
    kept = set(place.tolist())
    return [
        f"{chips('x', f'x{cell + 1}')} = {number(value)} is "
        + ("kept" if cell in kept else "thrown away by downsampling; the dilated kernel reads it")
        for cell, value in enumerate(x.tolist())
    ]


def _up_terms(maps: Resampled, values: Floats, place: NDArray[np.intp], how: str) -> list[str]:
    terms = output_terms(maps.up, values, output="u", nothing="no value is computed here")
    if how == "bilinear":
        return terms
    copies = []
    for cell, term in enumerate(terms):
        links = maps.up.reads(cell)
        source = links[0].input[0] if links else -1
        if source < 0:
            copies.append(term)
        elif cell in place:
            copies.append(
                f"{chips('y', f'u{cell + 1}')} = {chips('y', f'v{source + 1}')} = "
                f"{number(float(values[source]))}: the dilated convolution has the same"
            )
        else:
            copies.append(f"{chips('y', f'u{cell + 1}')}: a copy of {chips('y', f'v{source + 1}')}")
    return copies


def _resample_links(maps: Resampled, place: NDArray[np.intp]) -> Links:
    """Whole paths in one group, so that a cell lights its own path and no other.

    (In a group for each step light would go from the input on to every other output.)
    """
    found: list[tuple[int, int, int, int, int]] = []
    kept = {int(cell): i for i, cell in enumerate(place)}
    copies = [[link.output[0] for link in maps.up.reaches(i)] for i in range(len(place))]
    for output, source in zip(maps.small.rows.tolist(), maps.small.cols.tolist(), strict=True):
        cell, read = int(place[output]), int(place[source])
        found += [(up, cell, read, read, cell if up == cell else -1) for up in copies[output]]
    found += [
        (-1, -1, -1, source, output)
        for output, source in zip(
            maps.dilated.rows.tolist(), maps.dilated.cols.tolist(), strict=True
        )
        if output not in kept
    ]
    columns = [list(column) for column in zip(*found, strict=True)]
    return Links(
        dict(zip(("up", "small", "down", "input", "dilated"), columns, strict=True)), lines=True
    )


# A pooling layer without its stride


@dataclass(frozen=True)
class Unstrided:
    """A pooling layer and a convolution after it, with the stride and without.

    Attributes:
        pooled, y: with the stride; dense_pooled, dense: without, the convolution dilated.
        first, second, dense_first, dense_second: the maps; those of pooling are its windows.
        place: where in the dense output every old one is.
        stack, dense_stack: the layers.
    """

    pooled: Floats
    y: Floats
    dense_pooled: Floats
    dense: Floats
    first: LinearMap
    second: LinearMap
    dense_first: LinearMap
    dense_second: LinearMap
    place: NDArray[np.intp]
    stack: tuple[Layer, ...]
    dense_stack: tuple[Layer, ...]


def unstrided(state: State) -> Unstrided:
    """Both networks at the same input.

    Raises:
        SettingError: the input has fewer cells than one output sees.
    """
    s, k = state.stride, state.kernel
    seen = s * k
    if state.cells < seen:
        fitting = state.cells // s
        mended: list[dict[str, Any]] = [{"cells": seen}]
        if fitting >= FEWEST_TAPS:
            mended.append({"kernel": fitting})
        raise SettingError(
            "cells",
            "must be at least stride · kernel, which one output sees",
            {"cells": state.cells, "stride": s, "kernel": k},
            mended,
        )
    stack = (Layer(s, s, name="pool"), Layer(k, name="conv"))
    dense = without_stride(stack, 0)
    x, w = row_input(state), row_weights(state, k)
    old, new = (max_pool(x, pool[0].kernel, pool[0].stride) for pool in (stack, dense))
    second = conv(old.values.shape, w)
    dense_second = conv(new.values.shape, w, dilation=dense[1].dilation)
    y = second(old.values)
    return Unstrided(
        old.values,
        y,
        new.values,
        dense_second(new.values),
        old.windows,
        second,
        new.windows,
        dense_second,
        np.arange(len(y)) * s,
        stack,
        dense,
    )


@lru_cache(maxsize=64)
def pooling(state: State) -> Scene:
    """Above the input: pooling with its stride. Below: without, and what follows dilated.

    Raises:
        SettingError: the input has fewer cells than one output sees.
    """
    both, x, s = unstrided(state), row_input(state), state.stride
    dense, pooled = len(both.dense), len(both.dense_pooled)
    rows = [
        [_in_place("old", both.y, both.place, dense, "y, stride on", "output", "y")],
        [
            _in_place(
                "pooled",
                both.pooled,
                np.arange(len(both.pooled)) * s,
                pooled,
                f"max {s}, s = {s}",
                "output",
                "p",
            )
        ],
        [grid("input", "input", x, title="input x", editable=True)],
        [grid("dense_pooled", "output", both.dense_pooled, title=f"max {s}, s = 1", letter="q")],
        [
            grid(
                "dense",
                "output",
                both.dense,
                title=f"v, d = {both.dense_stack[1].dilation}",
                letter="v",
                bright=both.place.tolist(),
            )
        ],
    ]
    old_places = np.arange(len(both.pooled)) * s
    terms = {
        "old": _placed_terms(
            [
                f"{term}, and {chips('y', f'v{place + 1}')} is the same"
                for term, place in zip(
                    output_terms(both.second, both.pooled), both.place, strict=True
                )
            ],
            both.place,
            dense,
        ),
        "pooled": _placed_terms(_max_terms(both.first, both.pooled, x, "p"), old_places, pooled),
        "input": input_terms(both.dense_first, output="q"),
        "dense_pooled": _max_terms(both.dense_first, both.dense_pooled, x, "q"),
        "dense": [
            term + (": as before" if cell in both.place else ": new")
            for cell, term in enumerate(
                output_terms(both.dense_second, both.dense_pooled, output="v")
            )
        ],
    }
    return Scene(
        rows,
        [_pooling_links(both, s)],
        terms,
        f"above: {len(both.y)} outputs with stride {s}; below: {chips('y', dense)} without it, the "
        f"{len(both.y)} old ones (filled) among them",
    )


def _max_terms(windows: LinearMap, values: Floats, x: Floats, letter: str) -> list[str]:
    terms = []
    for cell, value in enumerate(values.tolist()):
        read = [chips("x", number(x[link.input[0]])) for link in windows.reads(cell)]
        terms.append(
            f"{chips('y', f'{letter}{cell + 1}')} = max({', '.join(read)}) = "
            f"{chips('y', number(value))}"
        )
    return terms


def _pooling_links(both: Unstrided, s: int) -> Links:
    """Whole paths in one group, as in `_resample_links`."""
    found: list[tuple[int, int, int, int, int]] = []
    for output, source in zip(both.second.rows.tolist(), both.second.cols.tolist(), strict=True):
        found += [
            (output * s, source * s, link.input[0], source * s, output * s)
            for link in both.first.reads(source)
        ]
    old = set(both.place.tolist())
    for output, source in zip(
        both.dense_second.rows.tolist(), both.dense_second.cols.tolist(), strict=True
    ):
        if output not in old:
            found += [
                (-1, -1, link.input[0], source, output) for link in both.dense_first.reads(source)
            ]
    columns = [list(column) for column in zip(*found, strict=True)]
    return Links(
        dict(zip(("old", "pooled", "input", "dense_pooled", "dense"), columns, strict=True)),
        lines=True,
    )


# Parameters against field

CHART_LAYERS = 6


def growth(dilations: Sequence[int], taps: int) -> dict[str, tuple[list[int], list[int]]]:
    """For three stacks, layer by layer, weights (two-dimensional, one channel) and field.

    "doubling" has dilations 1, 2, 4 …, "dilation 1" none, "this stack" those given.
    """
    stacks = {
        "1, 2, 4, 8 …": tuple(2**layer for layer in range(CHART_LAYERS)),
        "dilation 1": (1,) * CHART_LAYERS,
        "this stack": tuple(dilations),
    }
    return {
        name: (
            [parameters(layers(stack[:depth], taps)) for depth in range(1, len(stack) + 1)],
            [found.size for found in receptive_fields(layers(stack, taps))],
        )
        for name, stack in stacks.items()
    }


# The code


def snippet(state: State, view: str) -> str:
    """The lines of PyTorch that give the numbers of a view of this module."""
    return {"Stack": _stack_code, "Kernel": _kernel_code, "Resample": _resample_code}.get(
        view, _pooling_code
    )(state)


_IMPORTS = "import torch\nimport torch.nn.functional as F\n\n"


def tensor(values: ArrayLike) -> str:
    """Numbers as code for a tensor with a batch and a channel of one."""
    text = np.array2string(
        np.asarray(values, np.float64), separator=", ", threshold=10_000, max_line_width=88
    )
    return f"torch.tensor({text})[None, None]"


def _stack_code(state: State) -> str:
    return f"""{_IMPORTS}\
x = torch.zeros(1, 1, {state.cells}, requires_grad=True)
h = x
for dilation in {state.dilations}:
    h = F.conv1d(h, torch.ones(1, 1, {state.kernel}), dilation=dilation)
h[0, 0, {chosen_unit(state)}].backward()  # one unit of the top row
assert x.grad is not None
y = x.grad[0, 0]  # paths to it from every input cell
print(y)
print(int((y > 0).sum()), "cells are touched")"""


def _kernel_code(state: State) -> str:
    return f"""{_IMPORTS}\
x = {tensor(input_values(state))}
w = {tensor(kernel_values(state))}
y = F.conv2d(x, w, padding={state.padding}, dilation={state.dilation})
print(y[0, 0])"""


def _resample_code(state: State) -> str:
    n, d = state.cells, state.dilation
    up = {
        "nails": f"up = torch.zeros_like(x)\nup[..., ::{d}] = small",
        "nearest": f"up = small.repeat_interleave({d}, -1)[..., :{n}]",
        "bilinear": f"""\
size = (small.shape[-1] - 1) * {d} + 1
up = F.interpolate(small, size=size, mode="linear", align_corners=True)
up = F.pad(up, (0, {n} - size))""",
    }[state.up]
    return f"""{_IMPORTS}\
x = {tensor(row_input(state))}
w = {tensor(row_weights(state, RESAMPLED_TAPS))}
small = F.conv1d(x[..., ::{d}], w, padding=1)
{up}
y = F.conv1d(x, w, padding={d}, dilation={d})
print(up[0, 0])
print(y[0, 0])
assert torch.allclose(y[..., ::{d}], small)  # the same numbers, and those in between"""


def _pooling_code(state: State) -> str:
    s = state.stride
    return f"""{_IMPORTS}\
x = {tensor(row_input(state))}
w = {tensor(row_weights(state, state.kernel))}
old = F.conv1d(F.max_pool1d(x, {s}, stride={s}), w)
y = F.conv1d(F.max_pool1d(x, {s}, stride=1), w, dilation={s})
print(old[0, 0])
print(y[0, 0])
assert torch.allclose(y[..., ::{s}], old)  # no weight has changed"""
