"""The pictures of the lesson on dilation.

Along one axis a stack of layers is drawn as rows of cells, the input below; row l is the output of
layer l. Without padding and with stride 1 unit u of any row begins to see at input cell u, so what
one unit sees, every unit sees, shifted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import Any, Literal

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
MOST_SIZE = 13
MOST_COLOURS = 8
"""Tints that the linked grid can tell apart."""

CELLS_WITH_DIGITS = 30
"""In a wider row cells are too small for digits: the counts are shown as colours."""

CELLS_BESIDE_TITLES = 18
"""In a wider row titles stand above, which many rows have no room for."""


KEPT_BACK = "?"
"""In a cell whose number comes with the answer to the question."""


@dataclass(frozen=True)
class State:
    """The settings of the page; `x` and `w` are the edited numbers of the address, or "".

    Attributes:
        dilations: of every layer of the stack, first layer first.
        kernel: taps along an axis.
        axes: of the views Resample and Pooling.
        cells: of the input of the pictures along one axis.
        unit: the unit of the top row whose paths are counted; -1 for the middle one.
        size: of the input of the pictures along two axes, along each.
        dilation, padding: of the view Kernel; the dilation is also the factor of the view Resample.
        stride: of the pooling layer, and its window.
        up: how the view Resample goes back to the full size.
        colours: whether cells are coloured by index modulo the dilation.
        blackout: whether one of the sub-photos is black.
        signal, start, module, channels: of the context module.
        told: whether the page may say what the question beside the picture asks.
    """

    dilations: tuple[int, ...] = (1, 2, 4)
    kernel: int = 3
    axes: Literal[1, 2] = 1
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
    told: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input of the views Resample and Pooling."""
        return (self.cells,) if self.axes == 1 else (self.size,) * 2

    @property
    def side(self) -> int:
        """Cells of that input along an axis."""
        return self.shape[0]


def scene(state: State, view: str) -> Scene:
    """The picture of a view; of those that are made of photos only what the term strip says.

    Raises:
        SettingError: the settings are impossible.
    """
    drawn = {"Stack": stack, "Kernel": kernel, "Resample": resample, "Pooling": pooling}.get(view)
    shown = drawn(state) if drawn else Scene([], rest=_said(state, view))
    return replace(shown, views=VIEWS, view=VIEWS.index(view))


def check_view(state: State, view: str) -> None:
    """Whether a view has a picture.

    Raises:
        SettingError: it has none.
    """
    checks = {"Stack": checked_field, "Kernel": built, "Pooling": unstrided}
    if view in checks:
        checks[view](state)


def _said(state: State, view: str) -> str:
    if view == "Context":
        seen = f"eight layers see {chips('w', '67×67')} pixels"
        if keeps_context_back(state):
            return f"{seen}: what comes out? Predict first"
        return f"{seen} at full resolution"
    parts, stack_ = classes(state.dilations), chips("w", dilations_of(state.dilations))
    if parts == 1:
        return f"{stack_}: nothing in common, so all mix"
    if not state.told and state.dilations == GUESSED:
        return f"{stack_}: how many outputs notice? Predict first"
    return f"{stack_}: {parts}×{parts} sub-photos that never mix"


def keeps_black_back(state: State, dilations: tuple[int, ...]) -> bool:
    """Whether the question is what these dilations make of the photo, and it is still open."""
    return not state.told and state.blackout and dilations == GUESSED


def keeps_context_back(state: State) -> bool:
    """Whether the context module starts as its question says, and that is still open."""
    return not state.told and state.start == "identity"


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
    """The nearest stack that fits: as little as can be is taken, always from the largest dilation.

    Layers for which there is no room even with dilation 1 are left out.
    """
    room = (state.cells - 1) // (state.kernel - 1)
    found = list(state.dilations[:room])
    while sum(found) > room:
        place = max(range(len(found)), key=lambda layer: (found[layer], layer))
        found[place] -= 1
    return tuple(found)


# The stack


def stack(state: State) -> Scene:
    """A row of cells for every layer, and how many paths lead from each to one unit of the top.

    Raises:
        SettingError: the input has fewer cells than the stack spans.
    """
    unit, told = chosen_unit(state), not keeps_back(state)
    return _stack(state.dilations, state.kernel, state.cells, unit, state.colours and told, told)


def keeps_back(state: State) -> bool:
    """Whether the stack is that of the question about its cells, and that is still open."""
    return not state.told and (state.dilations, state.kernel) == (GUESSED, GUESS_TAPS)


def chosen_unit(state: State) -> int:
    """The unit of the top row whose paths are counted.

    Raises:
        SettingError: the input has fewer cells than the stack spans.
    """
    outputs = state.cells - checked_field(state) + 1
    return state.unit if 0 <= state.unit < outputs else (outputs - 1) // 2


@lru_cache(maxsize=64)
def _stack(
    dilations: tuple[int, ...], kernel: int, cells: int, unit: int, colours: bool, told: bool
) -> Scene:
    """Until it is told which cells are read, they are neither numbered nor coloured nor joined."""
    maps = layer_maps(layers(dilations, kernel), cells)
    depth = len(maps)
    names_ = row_names(depth)
    shared = classes(dilations)
    titled = cells <= CELLS_BESIDE_TITLES or depth < 5
    shaded = told and cells > CELLS_WITH_DIGITS and not (colours and shared > 1)
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
                [number(paths[cell]) if told and cell in inside else "" for cell in range(here)],
                columns=here,
                title=title if titled else "",
                letter=_letter(row, depth),
                tints=_tints(np.arange(here) % shared, shared, unit % shared) if colours else None,
                values=paths.tolist() if shaded else None,
                ramp="positive" if shaded else None,
            )
        )
        terms[names_[row]] = (
            _unit_terms(dilations[:row], kernel, _letter(row, depth), here, told)
            if row
            else _cell_terms(dilations, kernel, cells, cells - field(dilations, kernel) + 1, told)
        )
    links = [
        links_of(maps[row], names_[row + 1], names_[row], None, lines=True) for row in range(depth)
    ]
    if not told:
        links = [Links({}, lines=True)]  # the room for lines stays
    top = chips("y", f"{_letter(depth, depth)}{unit + 1}")
    holes = field(dilations, kernel) > len(touched(dilations, kernel))
    return Scene(
        [[row] for row in reversed(grids)],
        links,
        terms,
        f"paths to {top} are counted: " + ("a 0 in row x is a hole" if holes else "play by layer")
        if told
        else f"which cells does {top} read? Predict first",
        _growth(maps, dilations, kernel, unit, told),
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


def _unit_terms(
    dilations: tuple[int, ...], kernel: int, letter: str, count: int, told: bool
) -> list[str]:
    """For every unit of a layer what it spans and, where it is told, what of it it touches."""
    offsets = touched(dilations, kernel)
    wide = offsets[-1] + 1
    missing = wide - len(offsets)
    if not told:
        rest = ""
    elif missing:
        rest = f", touches {len(offsets)}, {missing} hole{'' if missing == 1 else 's'}"
    else:
        rest = ", touches every one"
    return [
        f"{chips('y', f'{letter}{unit + 1}' if letter == 'y' else f'{letter}·{unit + 1}')} spans "
        f"{chips('x', f'x{unit + 1}')} … {chips('x', f'x{unit + wide}')}: {wide} cells{rest}"
        for unit in range(count)
    ]


def _cell_terms(
    dilations: tuple[int, ...], kernel: int, cells: int, outputs: int, told: bool
) -> list[str]:
    """For every input cell the units of the top row that it reaches, where it is told."""
    if not told:
        return [f"{chips('x', f'x{cell + 1}')}: read or not?" for cell in range(cells)]
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


def _growth(
    maps: Sequence[LinearMap], dilations: tuple[int, ...], kernel: int, unit: int, told: bool
) -> Steps:
    """Layer by layer the cone of the unit below the one in question; untold, the unit alone."""
    depth = len(maps)
    names_ = row_names(depth)
    lights, says = [], []
    before = 1
    for row in range(1, depth + 1):
        middle = unit + sum(d * (kernel - 1) // 2 for d in dilations[row:])
        cells = {names_[row]: [middle]}
        for lower in range(row if told else 0):
            cells[names_[lower]] = np.flatnonzero(reached(maps[lower:row], middle)).tolist()
        lights.append(cells)
        wide, d = field(dilations[:row], kernel), dilations[row - 1]
        holes = wide - len(touched(dilations[:row], kernel))
        says.append(
            f"layer {row}: {before} + {chips('w', d)}·({chips('w', kernel)} − 1) = "
            f"{chips('y', wide)} cells"
            + ("" if not told else f", {holes} of them holes" if holes else ", no holes")
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


def verdict(marked: set[int]) -> tuple[bool, str, str]:
    """Whether the prediction is right, the answer, and what to say."""
    truth = set(touched(GUESSED, GUESS_TAPS))
    right, wrong = len(marked & truth), len(marked - truth)
    answer, cure = f"{len(truth)}, every second one.", "Dilations 1, 2, 5 leave no hole."
    if marked == truth:
        return True, answer, f"You found them all. {cure}"
    found = f"You found {right} of them"
    found += f", and marked {wrong} that it never sees." if wrong else "."
    return False, answer, f"{found} {cure}"


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


ASKED_DILATION, ASKED_TAPS = 3, 3
"""Of the kernel in the view's question: how many cells does it read?"""


def keeps_kernel_back(state: State) -> bool:
    """Whether the kernel is that of the question, and that is still open."""
    return not state.told and (state.dilation, state.kernel) == (ASKED_DILATION, ASKED_TAPS)


@lru_cache(maxsize=64)
def kernel(state: State) -> Scene:
    """Input, kernel with its gaps, output; the kernel in question without what tells its taps.

    Raises:
        SettingError: the settings are impossible.
    """
    return _without_taps(_kernel(state), state) if keeps_kernel_back(state) else _kernel(state)


def _without_taps(scene: Scene, state: State) -> Scene:
    """The view Kernel, where nothing says which of the spanned cells are read."""
    x, w, y = (scene.grid(name) for name in ("input", "kernel", "output"))
    drawn: dict[str, Grid] = {
        "input": replace(x, tints=None, marks=x.marks.replace("u", ".")),
        "kernel": replace(w, texts=[KEPT_BACK] * len(w.texts), marks="", editable=False),
        "output": replace(y, tints=None),
    }
    reach = span(state.kernel, state.dilation)
    return replace(
        scene,
        rows=[
            [
                drawn.get(item.name, item) if isinstance(item, Grid) else item
                for item in scene.rows[0]
            ]
        ],
        links=[],
        terms={
            "input": ["is it read? Predict first"] * len(x.texts),
            "kernel": ["a weight or a gap? Predict first"] * len(w.texts),
            "output": [f"it spans {chips('x', size((reach, reach)))} cells"] * len(y.texts),
        },
        rest=f"{size((state.kernel,) * 2)} taps span {chips('w', size((reach, reach)))}: "
        "how many are read? Predict first",
    )


def _kernel(state: State) -> Scene:
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
        editable=not state.letters,
    )
    colours = state.colours and d > 1
    # Counted so that the class of the input's corner is 0, whatever the padding.
    row, col = ((np.arange(n) - state.padding) % d for n in valid.input_shape)
    out_row, out_col = ((np.arange(n) - state.padding) % d for n in valid.output_shape)
    kernel_says = kernel_terms(valid, w, state.letters, marks=marks)
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
                    editable=not state.letters,
                    tints=_tints_2d(row, col, d, marks) if colours else None,
                ),
                "⋆",
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
        + chips("w", size((reach, reach)))
        + (f" and read {w.size} of {reach * reach} cells" if state.told else ""),
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


def kernel_tap(state: State, row: object, column: object) -> tuple[int, int] | None:
    """The tap at a place of the spread kernel; None for an inserted zero, and for no place."""
    d = state.dilation
    if not (isinstance(row, int) and isinstance(column, int)):
        return None
    inside = 0 <= row <= d * (state.kernel - 1) and 0 <= column <= d * (state.kernel - 1)
    return (row // d, column // d) if inside and row % d == column % d == 0 else None


# Downsample, convolve, upsample; and the dilated convolution, which computes the rest too


def signal(state: State) -> Floats:
    """The input of the views Resample and Pooling, shape state.shape."""
    digits = inputs.digits((16, 16))
    start = (
        np.resize(digits, state.cells) if state.axes == 1 else digits[: state.size, : state.size]
    )
    return inputs.edited(state.x, start)


def signal_weights(state: State, taps: int) -> Floats:
    """The weights of these views, taps along every axis."""
    return inputs.weights(state.weights, (taps,) * state.axes, state.seed, state.w)


RESAMPLED_TAPS = 3


def taps(state: State, view: str) -> int:
    """Taps of the kernel along an axis, in the views Resample and Pooling."""
    return RESAMPLED_TAPS if view == "Resample" else state.kernel


Shape = tuple[int, ...]


def edited(state: State, view: str) -> dict[str, tuple[str, list[Shape]]]:
    """The edited numbers of the address, and the shapes of the grids of a view that show them.

    Where it has none, those of the other views: there they are of use.
    """
    square = (state.kernel,) * 2
    small = {name: (taps(state, name),) * state.axes for name in ("Resample", "Pooling")}
    shapes: dict[str, dict[str, Shape]] = {
        "x": {"Kernel": (state.size,) * 2} | dict.fromkeys(small, state.shape),
        "w": {"Kernel": square, "Photo": square} | small,
    }
    texts = {"x": state.x, "w": inputs.own(state.weights, state.w)}
    return {
        name: (text, [shapes[name][view]] if view in shapes[name] else [*shapes[name].values()])
        for name, text in texts.items()
    }


@dataclass(frozen=True)
class Resampled:
    """Both ways from the same input.

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
    shape, d = state.shape, state.dilation
    w = signal_weights(state, RESAMPLED_TAPS)
    down = subsample(shape, d)
    small = conv(down.output_shape, w, padding=1)
    if state.up == "nails":
        up = down.T
    else:
        if state.up == "nearest":
            larger = nearest_unpool(down.output_shape, d)
        else:
            larger = tent_upsampling(down.output_shape, d, align_corners=True)
        up = window(larger.output_shape, (0,) * state.axes, shape) @ larger
    return Resampled(down, small, up, conv(shape, w, padding=d, dilation=d))


def computed(state: State) -> tuple[int, int]:
    """How many outputs are computed by the way down and up, and by the dilated convolution."""
    return (-(-state.side // state.dilation)) ** state.axes, state.side**state.axes


def keeps_dilated_back(state: State) -> bool:
    """Whether it is still open where the dilated convolution differs."""
    return not state.told and state.dilation > 1


@lru_cache(maxsize=64)
def resample(state: State) -> Scene:
    """Down, convolved, up again; and the dilated convolution, whose numbers come with the answer.

    Along one axis they are rows, the input between them, and every cell is drawn in its place;
    along two the first way goes from left to right, and the dilated convolution stands below.
    """
    maps, x, d = resampled(state), signal(state), state.dilation
    place = maps.down.cols
    small = maps.down(x)
    convolved = maps.small(small)
    w = signal_weights(state, RESAMPLED_TAPS)
    empty = "z" if state.up == "nails" else "e"
    nothing = "".join("." if count else empty for count in maps.up.coverage().ravel())
    told = not keeps_dilated_back(state)
    kept = place.tolist() if told and d > 1 else ()
    spread = _Places(state.shape, place)
    drawn = {
        "up": grid(
            "up",
            "output",
            maps.up(convolved),
            title=f"↑{d}",
            letter="u",
            bright=kept,
            marks=nothing,
        ),
        "small": spread.draw(
            "small", convolved, "= z ⋆ w" if state.axes == 2 else f"{RESAMPLED_TAPS} taps", "v"
        ),
        "down": spread.draw("down", small, f"↓{d}", "z"),
        "input": grid("input", "input", x, title="input x", editable=True),
        "dilated": grid(
            "dilated",
            "output",
            maps.dilated(x),
            None if told else [KEPT_BACK] * x.size,
            title=f"y, d = {d}",
            bright=kept,
        ),
    }
    cells = _named("x", state.shape)
    terms = {
        "up": _up_terms(maps, convolved, state.up, told),
        "small": spread.terms(output_terms(maps.small, small, output="v")),
        "down": spread.terms(
            [
                f"{chips('y', name)} = {chips('x', cells[cell])} = {number(value)}"
                for name, cell, value in zip(
                    _named("z", small.shape), place, small.ravel().tolist(), strict=True
                )
            ]
        ),
        "input": _kept_terms(x, place, told),
        "dilated": output_terms(maps.dilated, x)
        if told
        else [
            f"{chips('y', name)}: as in u, or another? Predict first"
            for name in _named("y", x.shape)
        ],
    }
    if d == 1:
        rest = "dilation 1: nothing is left out, and both ways agree everywhere"
    else:
        rest = (
            f"{len(place)} filled places agree; y computes the rest"
            if told
            else "where does y differ from u? Predict first"
        )
    if state.axes == 1:
        rest = f"weights {chips('w', ', '.join(numbers(w)))}: {rest}" if d > 1 else rest
        rows: list[list[Grid | str]] = [[one] for one in drawn.values()]
    else:
        drawn["kernel"] = _weights_grid(w)
        terms["kernel"] = _weights_terms(w)
        way = (drawn[name] for name in ("input", "down", "small", "up"))
        rows = [
            [item for one in way for item in (one, "→")][:-1],
            [drawn["kernel"], "", drawn["dilated"]],
        ]
    return Scene(rows, [_resample_links(maps, spread, list(drawn), told)], terms, rest)


def _weights_terms(w: Floats) -> list[str]:
    """For every weight its value; it is joined to other cells on each of the two ways."""
    return [
        f"{chips('w', name)} = {chips('w', number(value))}: one weight, on both ways"
        for name, value in zip(_named("w", w.shape), w.ravel().tolist(), strict=True)
    ]


def _named(prefix: str, shape: Sequence[int]) -> list[str]:
    return names(prefix, shape).ravel().tolist()


def _weights_grid(w: Floats) -> Grid:
    return grid("kernel", "kernel", w, title="w", editable=True)


@dataclass(frozen=True)
class _Places:
    """A smaller grid beside a larger one, of which it has some cells.

    Along one axis it is drawn as wide as the larger one, every cell where it comes from.

    Attributes:
        shape: of the larger grid.
        cells: the flat cells of the larger grid that the smaller one has.
    """

    shape: tuple[int, ...]
    cells: NDArray[np.intp]

    @property
    def in_place(self) -> bool:
        return len(self.shape) == 1

    def drawn(self, cell: int) -> int:
        """Where a cell of the smaller grid is drawn, flat."""
        return int(self.cells[cell]) if self.in_place else cell

    def draw(self, name: str, values: Floats, title: str, letter: str) -> Grid:
        """The smaller grid."""
        if not self.in_place:
            return grid(name, "output", values, title=title, letter=letter)
        texts, here = [""] * self.shape[0], set(self.cells.tolist())
        for cell, text in zip(self.cells.tolist(), numbers(values), strict=True):
            texts[cell] = text
        marks = "".join("." if cell in here else "e" for cell in range(self.shape[0]))
        return Grid(name, "output", texts, len(texts), title=title, marks=marks, letter=letter)

    def terms(self, terms: Sequence[str]) -> list[str]:
        """What is said of every drawn cell."""
        if not self.in_place:
            return list(terms)
        placed = ["nothing here: this place was left out"] * self.shape[0]
        for cell, term in zip(self.cells.tolist(), terms, strict=True):
            placed[cell] = term
        return placed


def _kept_terms(x: Floats, place: NDArray[np.intp], told: bool) -> list[str]:
    kept = set(place.tolist())
    dropped = "thrown away by downsampling" + ("; the dilated kernel reads it" if told else "")
    return [
        f"{chips('x', name)} = {number(value)} is " + ("kept" if cell in kept else dropped)
        for cell, (name, value) in enumerate(
            zip(_named("x", x.shape), x.ravel().tolist(), strict=True)
        )
    ]


def _up_terms(maps: Resampled, values: Floats, how: str, told: bool) -> list[str]:
    terms = output_terms(maps.up, values, output="u", nothing="no value is computed here")
    if how == "bilinear":
        return terms
    u, v = _named("u", maps.up.output_shape), _named("v", values.shape)
    kept = set(maps.down.cols.tolist())
    copies = []
    for cell, term in enumerate(terms):
        sources = _read(maps.up, cell)
        if not sources:
            copies.append(term)
            continue
        (source,) = sources
        if cell in kept:
            copies.append(
                f"{chips('y', u[cell])} = {chips('y', v[source])} = "
                + number(float(values.flat[source]))
                + (": the dilated convolution has the same" if told else "")
            )
        else:
            copies.append(f"{chips('y', u[cell])}: a copy of {chips('y', v[source])}")
    return copies


def _resample_links(maps: Resampled, spread: _Places, drawn: Sequence[str], told: bool) -> Links:
    """Whole paths in one group, so that a cell lights its own path and no other.

    (In a group for each step light would go from the input on to every other output.)

    Args:
        told: whether outputs that agree light up together.
    """
    found: list[tuple[int, int, int, int, int, int]] = []
    place = spread.cells.tolist()
    shared = set(place) if told else set()
    copies = [maps.up.rows[maps.up.cols == source].tolist() for source in range(len(place))]
    for output, source, tap in _links(maps.small):
        cell, read = place[output], place[source]
        small, down = spread.drawn(output), spread.drawn(source)
        found += [
            (up, small, down, read, cell if up == cell and told else -1, tap)
            for up in copies[output]
        ]
    found += [
        (-1, -1, -1, source, output, tap)
        for output, source, tap in _links(maps.dilated)
        if output not in shared
    ]
    return _columns(("up", "small", "down", "input", "dilated", "kernel"), found, drawn)


def _links(A: LinearMap) -> Iterator[tuple[int, int, int]]:
    """Output, input and tap of every link of a padded convolution whose taps meet the input."""
    return zip(A.rows.tolist(), A.cols.tolist(), A.taps.tolist(), strict=True)


def _columns(order: Sequence[str], found: Sequence[tuple[int, ...]], drawn: Sequence[str]) -> Links:
    """Links from whole paths, for the grids that are drawn; lines between rows of cells."""
    columns = dict(zip(order, map(list, zip(*found, strict=True)), strict=True))
    cells = {name: column for name, column in columns.items() if name in drawn}
    return Links(cells, lines="kernel" not in drawn)


# A pooling layer without its stride


@dataclass(frozen=True)
class Unstrided:
    """A pooling layer and a convolution after it, with the stride and without.

    Attributes:
        pooled, y: with the stride; dense_pooled, dense: without, the convolution dilated.
        first, second, dense_first, dense_second: the maps; those of pooling are its windows.
        pooled_place, place: where in the dense grids every old cell is, flat.
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
    pooled_place: NDArray[np.intp]
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
    if state.side < seen:
        name, most = ("cells", MOST_CELLS) if state.axes == 1 else ("size", MOST_SIZE)
        mended: list[dict[str, Any]] = [{name: seen}] if seen <= most else []
        if state.side // s >= FEWEST_TAPS:
            mended.append({"kernel": state.side // s})
        elif not mended:
            mended.append({name: s * FEWEST_TAPS, "kernel": FEWEST_TAPS})
        raise SettingError(
            name,
            "must be at least stride · kernel, which one output sees",
            {name: state.side, "stride": s, "kernel": k},
            mended,
        )
    stack = (Layer(s, s, name="pool"), Layer(k, name="conv"))
    dense = without_stride(stack, 0)
    x, w = signal(state), signal_weights(state, k)
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
        _every(old.values.shape, new.values.shape, s),
        _every(y.shape, dense_second.output_shape, s),
        stack,
        dense,
    )


def _every(small: Sequence[int], large: Sequence[int], step: int) -> NDArray[np.intp]:
    """The flat cells of a large grid that stand `step` apart, as many as a small one has."""
    return np.ravel_multi_index(tuple(step * np.indices(tuple(small))), tuple(large)).ravel()


@lru_cache(maxsize=64)
def pooling(state: State) -> Scene:
    """Pooling with its stride, and without it, what follows dilated: its numbers are the answer.

    Along one axis above and below the input, every cell in its place; along two to its left and
    to its right.

    Raises:
        SettingError: the input has fewer cells than one output sees.
    """
    both, x, s, told = unstrided(state), signal(state), state.stride, state.told
    dense, dilation = both.dense, both.dense_stack[1].dilation
    old = _Places(dense.shape, both.place)
    pooled = _Places(both.dense_pooled.shape, both.pooled_place)
    drawn = {
        "old": old.draw("old", both.y, "y, stride on", "y"),
        "pooled": pooled.draw("pooled", both.pooled, f"max {s}, s = {s}", "p"),
        "input": grid("input", "input", x, title="input x", editable=True),
        "dense_pooled": grid(
            "dense_pooled", "output", both.dense_pooled, title=f"max {s}, s = 1", letter="q"
        ),
        "dense": grid(
            "dense",
            "output",
            dense,
            None if told else [KEPT_BACK] * dense.size,
            title=f"v, d = {dilation}",
            letter="v",
            bright=both.place.tolist() if told else (),
        ),
    }
    v, as_before = _named("v", dense.shape), set(both.place.tolist())
    terms = {
        "old": old.terms(
            [
                f"{term}, and {chips('y', v[place])} is the same" if told else term
                for term, place in zip(
                    output_terms(both.second, both.pooled), both.place, strict=True
                )
            ]
        ),
        "pooled": pooled.terms(_max_terms(both.first, both.pooled, x, "p")),
        "input": input_terms(both.dense_first, output="q"),
        "dense_pooled": _max_terms(both.dense_first, both.dense_pooled, x, "q"),
        "dense": [
            term + (": as before" if cell in as_before else ": new")
            for cell, term in enumerate(
                output_terms(both.dense_second, both.dense_pooled, output="v")
            )
        ]
        if told
        else [f"{chips('y', name)}: as in y, or another? Predict first" for name in v],
    }
    where = ("above", "below") if state.axes == 1 else ("left", "right")
    rows: list[list[Grid | str]] = [[one] for one in drawn.values()]
    if state.axes == 2:
        w = signal_weights(state, state.kernel)
        drawn["kernel"] = _weights_grid(w)
        terms["kernel"] = _weights_terms(w)
        order = ("old", "←", "pooled", "←", "input", "→", "dense_pooled", "→", "dense")
        rows = [[drawn.get(item, item) for item in order], [drawn["kernel"]]]
    return Scene(
        rows,
        [_pooling_links(both, old, pooled, list(drawn), told)],
        terms,
        f"{where[0]}: {both.y.size} outputs with stride {s}; {where[1]} {chips('y', dense.size)}"
        + (", the old ones filled" if told else ": predict first"),
    )


def _max_terms(windows: LinearMap, values: Floats, x: Floats, letter: str) -> list[str]:
    terms = []
    named = _named(letter, values.shape)
    for cell, (name, value) in enumerate(zip(named, values.ravel().tolist(), strict=True)):
        compared = [chips("x", number(x.flat[at])) for at in _read(windows, cell)]
        terms.append(
            f"{chips('y', name)} = max({joined(compared, ', ', 16)}) = {chips('y', number(value))}"
        )
    return terms


def _pooling_links(
    both: Unstrided, old: _Places, pooled: _Places, drawn: Sequence[str], told: bool
) -> Links:
    """Whole paths in one group, as in `_resample_links`."""
    found: list[tuple[int, int, int, int, int, int]] = []
    for output, source, tap in _links(both.second):
        place = int(both.pooled_place[source]) if told else -1
        same = int(both.place[output]) if told else -1
        found += [
            (old.drawn(output), pooled.drawn(source), cell, place, same, tap)
            for cell in _read(both.first, source)
        ]
    kept = set(both.place.tolist()) if told else set()
    for output, source, tap in _links(both.dense_second):
        if output not in kept:
            found += [
                (-1, -1, cell, source, output, tap) for cell in _read(both.dense_first, source)
            ]
    order = ("old", "pooled", "input", "dense_pooled", "dense", "kernel")
    return _columns(order, found, drawn)


def _read(A: LinearMap, row: int) -> list[int]:
    """The flat input cells that a flat output cell reads."""
    return A.cols[A.starts[row] : A.starts[row + 1]].tolist()


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


def _slices(step: int, axes: int) -> str:
    """The index of every step-th cell along the last axes."""
    return ", ".join(["...", *[f"::{step}"] * axes])


def _resample_code(state: State) -> str:
    n, d, axes = state.side, state.dilation, state.axes
    every = _slices(d, axes)
    sides = ", ".join(f"-{axis}" for axis in range(axes, 0, -1))
    repeats = "".join(f".repeat_interleave({d}, {side})" for side in sides.split(", "))
    crop = ", ".join(["...", *[f":{n}"] * axes])
    pads = ", ".join([f"0, {n} - size"] * axes)
    up = {
        "nails": f"up = torch.zeros_like(x)\nup[{every}] = small",
        "nearest": f"up = small{repeats}[{crop}]",
        "bilinear": f"""\
size = (small.shape[-1] - 1) * {d} + 1
up = F.interpolate(small, size=size, mode="{"bi" * (axes - 1)}linear", align_corners=True)
up = F.pad(up, ({pads}))""",
    }[state.up]
    return f"""{_IMPORTS}\
x = {tensor(signal(state))}
w = {tensor(signal_weights(state, RESAMPLED_TAPS))}
small = F.conv{axes}d(x[{every}], w, padding=1)
{up}
y = F.conv{axes}d(x, w, padding={d}, dilation={d})
print(up[0, 0])
print(y[0, 0])""" + (
        ""
        if keeps_dilated_back(state)
        else f"\nassert torch.allclose(y[{every}], small)  # the same numbers, and those in between"
    )


def _pooling_code(state: State) -> str:
    s, axes = state.stride, state.axes
    return f"""{_IMPORTS}\
x = {tensor(signal(state))}
w = {tensor(signal_weights(state, state.kernel))}
old = F.conv{axes}d(F.max_pool{axes}d(x, {s}, stride={s}), w)
y = F.conv{axes}d(F.max_pool{axes}d(x, {s}, stride=1), w, dilation={s})
print(old[0, 0])
print(y[0, 0])""" + (
        f"\nassert torch.allclose(y[{_slices(s, axes)}], old)  # no weight has changed"
        if state.told
        else ""
    )
