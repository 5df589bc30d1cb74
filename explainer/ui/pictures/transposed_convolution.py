"""The pictures of the lesson on transposed convolution: four views of one sparse matrix."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explainer.components.linked_grid.scene import Grid, Links, Scene, Steps
from explainer.components.staircase import Step
from explainer.ops import (
    LinearMap,
    SettingError,
    conv,
    four_views,
    largest_difference,
    names,
    number,
    pad,
    same_padding,
    transposed_conv,
    transposed_conv_tf,
    window,
    zero_insertion,
)
from explainer.ops.sizes import Scheme, span
from explainer.ui.pictures import convolution, inputs
from explainer.ui.pictures.parts import (
    CELLS_IN_A_MATRIX,
    chips,
    grid,
    input_terms,
    joined,
    kernel_terms,
    links_of,
    matrix_grid,
    numbers,
    of_one_axis,
    size,
)

Floats = NDArray[np.float64]

PYTORCH, KERAS_SAME, KERAS_VALID = FRAMEWORKS = ("PyTorch", "Keras SAME", "Keras VALID")
VIEWS = ("Overlap-add", "Matrix", "Zero insertion", "Gradient")
CASES = "Cases"
TABS = (*VIEWS, CASES)
"""The four views of the page's settings, and cases of the slides side by side."""

LIMITS: Mapping[str, tuple[int, int]] = {
    "size": (1, 6),
    "kernel": (1, 6),
    "stride": (1, 4),
    "padding": (0, 5),
    "output_padding": (0, 3),
    "dilation": (1, 3),
}
"""The bounds of the sliders."""


def idle(view: str, framework: str) -> frozenset[str]:
    """The settings on which a view does not depend."""
    if view == CASES:
        return frozenset((*LIMITS, "axes", "framework", "letters", "weights", "seed"))
    # Keras chooses the first two, and is shown without the third.
    fixed = () if framework == PYTORCH else ("padding", "output_padding", "dilation")
    return frozenset(fixed)


WORDS_IN_A_MATRIX = 16
"""Rows and columns up to which a matrix shows its numbers; above, only where they stand."""

COLUMNS_BESIDE_A_QUESTION = 21
"""Cells side by side that have readable digits on three quarters of the page."""

COLUMNS_OF_C = 9
"""Columns up to which C shows its numbers beside those of Cᵀ, of two axes."""


def counting(shape: Sequence[int]) -> Floats:
    """1, 2, 3, …: easy to follow through sums."""
    return np.arange(1.0, np.prod(shape) + 1).reshape(tuple(shape))


@dataclass(frozen=True)
class State:
    """The settings of the page; `x` and `w` are the edited numbers of the address, or ""."""

    axes: Literal[1, 2] = 2
    size: int = 2
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    output_padding: int = 0
    dilation: int = 1
    framework: str = PYTORCH
    weights: str = "random"
    seed: int = 41
    letters: bool = False
    x: str = ""
    w: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,) * self.axes

    @property
    def scheme(self) -> Scheme:
        """Keras's padding; of use only where the framework is Keras."""
        return "SAME" if self.framework == KERAS_SAME else "VALID"

    @property
    def dilation_used(self) -> int:
        """Keras is shown without dilation."""
        return self.dilation if self.framework == PYTORCH else 1

    @property
    def input(self) -> Floats:
        return inputs.edited(self.x, counting(self.shape))

    @property
    def kernel_values(self) -> Floats:
        return inputs.weights(self.weights, (self.kernel,) * self.axes, self.seed, self.w)


@dataclass(frozen=True, eq=False)
class Built:
    """The map of a state, and the canvas on which it is made.

    Attributes:
        A: from the input to the output.
        canvas: cells of the uncropped output along an axis, (n−1)s + d(k−1) + 1.
        drawn: from the input to the canvas, with the empty cells that the frame takes in beyond it.
        left, right: cells that the frame crops on either side of the canvas; `right` is negative
            where the frame reaches beyond it.
    """

    A: LinearMap
    canvas: int
    drawn: LinearMap
    left: int
    right: int

    @property
    def output(self) -> int:
        """Output cells along an axis."""
        return self.A.output_shape[-1]

    @property
    def crop(self) -> LinearMap:
        """From the drawn grid to the output."""
        shape = self.drawn.output_shape
        return window(shape, (self.left,) * len(shape), self.A.output_shape)

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Row, column, rows and columns of the output in the drawn grid."""
        if len(self.A.output_shape) == 1:
            return 0, self.left, 1, self.output
        return self.left, self.left, self.output, self.output


@lru_cache(maxsize=64)
def build(state: State) -> Built:
    """The maps of a state.

    Raises:
        SettingError: the settings are impossible.
    """
    if state.framework == PYTORCH:
        A = transposed_conv(
            state.shape,
            state.kernel_values,
            state.stride,
            state.padding,
            state.output_padding,
            state.dilation,
        )
        left = state.padding
    else:
        A = transposed_conv_tf(state.shape, state.kernel_values, state.stride, state.scheme)
        keras_same = state.framework == KERAS_SAME
        left = same_padding(A.output_shape[0], state.kernel, state.stride)[0] if keras_same else 0
    _, drawn = A.factors
    canvas = drawn.output_shape[0]
    right = canvas - left - A.output_shape[0]
    if right < 0:
        none = (0,) * state.axes
        drawn = pad(drawn.output_shape, none, (-right,) * state.axes) @ drawn
    return Built(A, canvas, drawn, left, right)


@lru_cache(maxsize=64)
def scene(state: State, view: str) -> Scene:
    """The picture of a view.

    Raises:
        SettingError: the settings are impossible.
    """
    drawn = {
        "Overlap-add": overlap,
        "Matrix": matrix,
        "Zero insertion": insertion,
        "Gradient": gradient,
    }[view](state)
    return replace(drawn, views=TABS, view=TABS.index(view))


# What the views share. The cells of input, kernel and output have the same grid, row and column in
# all of them, so that a pinned cell stays pinned.


def _input(state: State, **more: Any) -> Grid:
    texts = names("x", state.shape) if state.letters else None
    own = {"title": f"input x, {size(state.shape)}", "editable": not state.letters}
    return grid("input", "input", state.input, texts, **{**own, **more})


FRACTIONS = {"0.25": "¼", "0.5": "½", "0.75": "¾"}


def _kernel(state: State) -> Grid:
    values = state.kernel_values
    texts = _named("w", values.shape)
    if not state.letters:
        # As D4 writes them; they also take less room.
        texts = [FRACTIONS.get(text, text) for text in numbers(values)]
    title = f"kernel w, {size(values.shape)}"
    return grid("kernel", "kernel", values, texts, title=title, editable=not state.letters)


def _empty(A: LinearMap) -> str:
    """A mark for each output cell: empty where nothing arrives."""
    return "".join(np.where(A.coverage().ravel() == 0, "e", "."))


def _cell_names(built: Built, prefix: str = "y", cropped: str = "") -> list[str]:
    """The names of the drawn cells: y11 … in the frame, and `cropped` around it."""
    moved = built.crop.T.move(names(prefix, built.A.output_shape), cropped)
    return [str(name) for name in moved.ravel()]


def _named(prefix: str, shape: Sequence[int]) -> list[str]:
    return [str(name) for name in names(prefix, shape).ravel()]


def _canvas(state: State, built: Built, drags: bool = False) -> Grid:
    """The canvas with the frame in it, named "output": the frame's first cell is (0, 0)."""
    y = built.drawn(state.input)
    texts = _cell_names(built) if state.letters else None
    if built.A.output_shape == built.drawn.output_shape:
        title = f"output y, {size(built.A.output_shape)}"
    else:
        canvas = size((built.canvas,) * state.axes)
        title = f"output y, {size(built.A.output_shape)}, in the canvas, {canvas}"
    return grid(
        "output",
        "output",
        y,
        texts,
        title=title,
        marks=_empty(built.drawn),
        origin=(built.left if state.axes == 2 else 0, built.left),
        frame=built.frame,
        frame_drags=drags and state.framework == PYTORCH,
    )


def _output(state: State, built: Built, **more: Any) -> Grid:
    """The output alone."""
    return grid(
        "output",
        "output",
        built.A(state.input),
        names("y", built.A.output_shape) if state.letters else None,
        title=f"output y, {size(built.A.output_shape)}",
        marks=_empty(built.A),
        **more,
    )


def _why_cropped(state: State) -> str:
    return "padding" if state.framework == PYTORCH else state.scheme


def _weights(state: State) -> list[str]:
    """How each tap is written in a sum, as a chip."""
    if state.letters:
        return [chips("w", name) for name in _named("w", state.kernel_values.shape)]
    return [chips("w", _bracketed(value)) for value in state.kernel_values.ravel().tolist()]


def _bracketed(value: float) -> str:
    text = number(value)
    return f"({text})" if value < 0 else text


def _sums(state: State, A: LinearMap, labels: Sequence[str]) -> list[str]:
    """For every output cell of a map the sum that makes it; it has no name where it is cropped."""
    x = _named("x", state.shape) if state.letters else map(_bracketed, state.input.ravel().tolist())
    read = [chips("x", text) for text in x]
    weights = _weights(state)
    totals = A(state.input).ravel().tolist()
    terms = []
    for row, name in enumerate(labels):
        start, stop = A.starts[row : row + 2]
        products = [f"{weights[A.taps[at]]}·{read[A.cols[at]]}" for at in range(start, stop)]
        who = f"{chips('y', name)} =" if name else f"{chips('p', 'cropped')} by {_cropper(state)}:"
        total = "" if state.letters else f" = {chips('y', number(totals[row]))}"
        if products:
            terms.append(f"{who} {joined(products)}{total}")
        else:
            terms.append(f"{who} 0: nothing arrives here (a bias would be added)")
    return terms


def _cropper(state: State) -> str:
    return "padding" if state.framework == PYTORCH else state.scheme


def _stamps(state: State, A: LinearMap, labels: Sequence[str]) -> list[str]:
    """For every input cell where it stamps its copy of the kernel."""
    terms = []
    values = state.input.ravel().tolist()
    for cell, (name, value) in enumerate(zip(_named("x", state.shape), values, strict=True)):
        there = [labels[row] for row in A.rows[A.cols == cell]]
        kept = [chips("y", label) for label in there if label]
        who = chips("x", name) if state.letters else f"{chips('x', name)} = {number(value)}"
        factor = name if state.letters else _bracketed(value)
        lost = len(there) - len(kept)
        away = f", {lost} {chips('p', 'cropped')}" if lost else ""
        onto = joined(kept, ", ", 8) if kept else "nothing that is kept"
        terms.append(f"{who} stamps {chips('x', factor)}·{chips('w', 'w')} onto {onto}{away}")
    return terms


def _partial_sums(state: State, A: LinearMap, labels: Sequence[str]) -> list[list[tuple[int, str]]]:
    """For every input cell, one after the other, the output cells that it changes, and to what."""
    canvas = np.zeros(A.shape[0])
    steps = []
    for cell, value in enumerate(state.input.ravel()):
        here = A.cols == cell
        rows = A.rows[here]
        canvas[rows] += A.values[here] * value
        texts = [labels[row] if state.letters else number(float(canvas[row])) for row in rows]
        steps.append([(int(row), text) for row, text in zip(rows, texts, strict=True)])
    return steps


def _copies(state: State, A: LinearMap, labels: Sequence[str]) -> Steps:
    """The input cells, one after the other, each adding its copy."""
    cells = list(range(state.input.size))
    return Steps("input", cells, {"output": _partial_sums(state, A, labels)}, word="copy")


def _rows(texts: Sequence[str], cells: Sequence[int]) -> Steps:
    """The output cells one after the other."""
    writes = {"output": [[(cell, texts[cell])] for cell in cells]}
    return Steps("output", list(cells), writes, word="output")


# 1: overlap-add


def overlap(state: State) -> Scene:
    """Every input cell stamps a weighted copy of the kernel; copies add up on the canvas."""
    built = build(state)
    A, labels = built.drawn, _cell_names(built)
    terms = {
        "input": _stamps(state, A, labels),
        "kernel": kernel_terms(A, state.kernel_values, state.letters),
        "output": _sums(state, A, labels),
    }
    copies = _separate_copies(state, built)
    links, steps = links_of(A), _copies(state, A, labels)
    first: list[Grid | str] = [_input(state), "·", _kernel(state)]
    canvas = _canvas(state, built, drags=True)
    if not copies:
        return Scene([[*first, "→", canvas]], [links], terms, _frame_in_words(state, built), steps)
    owners = {
        copy.name: np.where(A.cols == i, A.rows, -1).tolist() for i, copy in enumerate(copies)
    }
    writes = {
        copy.name: [
            [(row, copy.texts[row]) for row in A.rows[A.cols == i].tolist()] if step == i else []
            for step in steps.cells
        ]
        for i, copy in enumerate(copies)
    }
    if state.axes == 1:
        rows = [first, *([copy] for copy in copies), [canvas]]
    else:
        added = [item for copy in copies for item in (copy, "+")][:-1]
        rows = [[*first, "→", canvas], added]
    return Scene(
        rows,
        [Links({**links.cells, **owners})],
        terms,
        _frame_in_words(state, built),
        replace(steps, writes={**steps.writes, **writes}),
    )


def _separate_copies(state: State, built: Built) -> list[Grid]:
    """The weighted copies, each alone on the canvas, where there is room for all of them."""
    A = built.drawn
    if state.axes == 2 and (state.size != 2 or A.output_shape[0] > 4):
        return []
    canvas, taps = _canvas(state, built), _named("w", state.kernel_values.shape)
    copies = []
    for cell, name in enumerate(_named("x", state.shape)):
        here = A.cols == cell
        texts = np.full(A.shape[0], "", object)
        if state.letters:
            texts[A.rows[here]] = [f"{name}{taps[tap]}" for tap in A.taps[here]]
        else:
            products = A.values[here] * state.input.flat[cell]
            texts[A.rows[here]] = [number(product) for product in products.tolist()]
        marks = np.full(A.shape[0], "e", object)
        marks[A.rows[here]] = "."
        copies.append(
            replace(
                canvas,
                name=f"copy{cell + 1}",
                texts=texts.tolist(),
                marks="".join(marks),
                title=f"y from {name}",
                frame=None,
            )
        )
    return copies


def _frame_in_words(state: State, built: Built) -> str:
    left, right = chips("p", built.left), chips("p", number(built.right))
    if state.framework == PYTORCH:
        crops = f"padding crops {left} before, padding − output_padding = {right} after"
    else:
        crops = f"{state.scheme} crops {left} before, {right} after"
    return f"canvas {built.canvas}: {crops}, leaves {chips('y', built.output)}"


# 2: the transposed matrix


def matrix(state: State) -> Scene:
    """The convolution's matrix C, and its transpose, which takes the input to the output."""
    built = build(state)
    if (of_one := in_matrix(state)) != state:
        return of_one_axis(matrix(of_one), built.A.shape, "Cᵀ")
    # The canvas with its cropped rows, as the decks show them, where there is room.
    whole = built.drawn.shape[0] <= WORDS_IN_A_MATRIX
    A = built.drawn if whole else built.A
    labels = _cell_names(built) if whole else _named("y", A.output_shape)
    y = _canvas(state, built) if whole else _output(state, built)
    inside = [cell for cell, name in enumerate(labels) if name]
    C, Ct = _pair_of_matrices(state, A, labels)
    weights, x = _kernel(state), _input(state)
    terms = {
        "input": _stamps(state, A, labels),
        "kernel": kernel_terms(A, state.kernel_values, state.letters),
        "output": _sums(state, A, labels),
        **_entries(state, A, labels),
    }
    n_in, n_out = A.shape[1], A.shape[0]
    cells = {
        "output": A.rows.tolist(),
        "input": A.cols.tolist(),
        "kernel": A.taps.tolist(),
        "matrix": (A.cols * n_out + A.rows).tolist(),
        "transposed": (A.rows * n_in + A.cols).tolist(),
    }
    return Scene(
        _beside_matrices(weights, C, Ct, x, y),
        [Links(cells)],
        terms,
        f"{chips('y', 'y')} = Cᵀ{chips('x', 'x')}: a row of Cᵀ makes one output; a column is the "
        "stamp of one input",
        _rows(y.texts, inside),
    )


def _beside_matrices(weights: Grid, C: Grid, Ct: Grid, x: Grid, y: Grid) -> list[list[Grid | str]]:
    """The picture in one row where that leaves room for digits, else in two."""
    if Ct.compact:
        return [[weights, C], [Ct, "·", x, "=", y]]
    # A compact C takes little room.
    across = sum(part.columns for part in (weights, C, Ct, x, y) if not part.compact)
    if y.rows == 1 and across > COLUMNS_BESIDE_A_QUESTION:
        return [[C, "→", Ct], [weights, "", x, "→", y]]
    return [[weights, C, "→", Ct, "·", x, "=", y]]


def _pair_of_matrices(state: State, A: LinearMap, labels: Sequence[str]) -> tuple[Grid, Grid]:
    """C, whose transpose this is, and Cᵀ, with the rows of cropped cells hatched."""
    marks = "".join("." if name else "p" for name in labels)
    n_out, n_in = A.shape
    # A sparsity picture shows where a weight stands, even one that is 0.
    compact = max(n_out, n_in) > WORDS_IN_A_MATRIX
    letters = state.letters or compact
    C = matrix_grid(
        A.T,
        letters,
        column_marks=marks,
        title=f"C, {n_in}×{n_out}",
        # Of two axes both cannot be read: Cᵀ takes the height, and C would take the width.
        compact=compact or (state.axes == 2 and n_out > COLUMNS_OF_C),
    )
    Ct = matrix_grid(
        A,
        letters,
        name="transposed",
        title=f"Cᵀ, {n_out}×{n_in}",
        letter="Cᵀ",
        compact=compact,
    )
    rows = "".join(mark * n_in for mark in marks)
    return C, replace(Ct, marks=rows, transposes=C.name)


def _entries(state: State, A: LinearMap, labels: Sequence[str]) -> dict[str, list[str]]:
    """For every entry of C and Cᵀ what it joins."""
    x, w = _named("x", state.shape), _named("w", state.kernel_values.shape)
    rows = [_chip_of(label) for label in labels]
    columns = [chips("x", name) for name in x]
    # In a large matrix most cells are empty, and their texts would outweigh the picture.
    blank = max(len(rows), len(columns)) > WORDS_IN_A_MATRIX
    said = [["" if blank else f"{r}, {c}: no link, so 0" for c in columns] for r in rows]
    for row, column, tap, value in zip(A.rows, A.cols, A.taps, A.values.tolist(), strict=True):
        worth = "" if state.letters else f" = {number(value)}"
        said[row][column] = (
            f"{rows[row]} reads {columns[column]} through {chips('w', w[tap])}{worth}"
        )
    return {
        "transposed": [text for row in said for text in row],
        "matrix": [row[column] for column in range(len(columns)) for row in said],
    }


def _chip_of(name: str) -> str:
    return chips("y", name) if name else chips("p", "a cropped cell")


def in_matrix(state: State) -> State:
    """The state whose matrix is drawn: that of one axis where two make it too large."""
    outputs, inputs_ = build(state).A.shape
    # It is drawn twice.
    if state.axes == 1 or 2 * outputs * inputs_ <= CELLS_IN_A_MATRIX:
        return state
    return replace(state, axes=1, x="", w="")


# 3: zero insertion


def insertion(state: State) -> Scene:
    """Zeros between the inputs, then a convolution with stride 1 and the flipped kernel."""
    built = build(state)
    spread, embedding, slid = zero_inserted(state)
    placed = embedding @ spread
    around = state.dilation_used * (state.kernel - 1) - built.left
    y = _output(state, built)
    spread_grid = _spread(state, placed, embedding)
    zeros = np.array([mark != "." for mark in spread_grid.marks])
    met = np.bincount(slid.rows, zeros[slid.cols], slid.shape[0]).astype(int)
    sums = _sums(state, built.A, _named("y", built.A.output_shape))
    taps = kernel_terms(slid, state.kernel_values, state.letters, marks=spread_grid.marks)
    weights = _kernel(state)
    terms = {
        "input": [
            f"{chips('x', name)} stands {state.stride} cells from its neighbour: a step of the "
            f"window is 1/{state.stride} of a step of the input"
            if state.stride > 1
            else f"{chips('x', name)}: stride 1 puts nothing in between"
            for name in _named("x", state.shape)
        ],
        "kernel": taps,
        "flipped": taps[::-1],
        "output": [
            f"{sum_}; {count} of {state.kernel_values.size} taps meet {chips('p', 'zeros')}"
            for sum_, count in zip(sums, met, strict=True)
        ],
        "spread": [
            {
                "z": f"{chips('p', '0')} put in between the inputs",
                "p": f"{chips('p', '0')} around: d(k − 1) − padding = {around} before the first",
                ".": f"{chips('x', text)} of the input",
            }[mark]
            for mark, text in zip(spread_grid.marks, spread_grid.texts, strict=True)
        ],
    }
    sources = np.full(zeros.size, -1)
    sources[placed.rows] = placed.cols
    places = list(range(state.kernel_values.size))
    flipped_taps = (places[-1] - slid.taps).tolist()
    links = [
        Links(
            {
                "output": slid.rows.tolist(),
                "spread": slid.cols.tolist(),
                "flipped": flipped_taps,
            }
        ),
        Links({"input": sources.tolist(), "spread": list(range(zeros.size))}),
        Links({"kernel": places, "flipped": places[::-1]}),
    ]
    # In the strict sense, unlike the layer of that name.
    slides = "convolution ∗ slides the flipped w"
    rest = (
        f"{slides}, 1 cell of the output for 1/{state.stride} cell of the input: a “fractional "
        "stride”"
        if state.stride > 1
        else f"{slides}; stride 1: nothing is put in between the inputs"
    )
    flipped = replace(
        weights,
        name="flipped",
        texts=weights.texts[::-1],
        title="flipped w",
        editable=False,
    )
    x = _input(state)
    across = sum(part.columns for part in (x, spread_grid, weights, flipped, y))
    before: list[Grid | str] = [x, "→", spread_grid]
    after: list[Grid | str] = ["∗", weights, "↻", flipped, "=", y]
    return Scene(
        [before, after] if across > COLUMNS_BESIDE_A_QUESTION else [[*before, *after]],
        links,
        terms,
        rest,
        _rows(y.texts, range(len(y.texts))),
    )


def _spread(state: State, placed: LinearMap, embedding: LinearMap) -> Grid:
    """The input with zeros in between and around."""
    marks = np.full(embedding.shape[0], "p", object)
    marks[embedding.rows] = "z"
    marks[placed.rows] = "."
    return grid(
        "spread",
        "input",
        placed(state.input),
        placed.move(names("x", state.shape), "0") if state.letters else None,
        title=f"with zeros, {size(embedding.output_shape)}",
        marks="".join(marks),
    )


def zero_inserted(state: State) -> tuple[LinearMap, LinearMap, LinearMap]:
    """The three maps of which the second reading is made, in the order in which they act.

    Zeros between the cells; d(k−1) cells around, less what the frame crops; the flipped kernel
    with stride 1, its taps named as in the kernel itself.

    Raises:
        SettingError: the settings are impossible.
    """
    built = build(state)
    spread = zero_insertion(state.shape, state.stride)
    reach = span(state.kernel, state.dilation_used) - 1
    embedding = pad(
        spread.output_shape,
        (reach - built.left,) * state.axes,
        (reach - built.right,) * state.axes,
    )
    kernel = np.flip(state.kernel_values)
    slid, _ = conv(embedding.output_shape, kernel, 1, 0, state.dilation_used).factors
    return spread, embedding, replace(slid, taps=kernel.size - 1 - slid.taps)


# 4: the gradient of the convolution


def gradient(state: State) -> Scene:
    """The convolution that this transposes, and its gradient by its input."""
    built = build(state)
    A, C = built.drawn, built.drawn.T
    labels = _cell_names(built)
    canvas = _canvas(state, built)
    marks = "".join(
        "p" if not label else "u" if mark == "e" else "."
        for label, mark in zip(labels, canvas.marks, strict=True)
    )
    forward = built.crop.T(7 * counting(built.A.output_shape) % 10)
    u = grid(
        "u",
        "input",
        forward,
        _cell_names(built, "u", "0") if state.letters else None,
        title=f"forward: input u, {size(built.A.output_shape)}",
        marks=marks,
        origin=canvas.origin,
        letter="u",
    )
    v_names = _named("v", state.shape)
    v = grid(
        "v",
        "output",
        C(forward),
        v_names if state.letters else None,
        title="output v = C u",
        letter="v",
    )
    y = replace(canvas, title="y = ∂L/∂u")
    x = _input(state, title="backward: x = ∂L/∂v")
    terms = {
        "u": _readers(A, _cell_names(built, "u"), v_names),
        "v": _forward_sums(state, C, u, v),
        "input": [
            f"{chips('x', name)} = ∂L/∂{read} goes back to every u that {read} has read, times "
            f"the {chips('w', 'weight')} between them"
            for name, read in zip(_named("x", state.shape), v_names, strict=True)
        ],
        "kernel": kernel_terms(C, state.kernel_values, state.letters, marks=marks),
        "output": [
            f"∂L/∂u{label[1:]}: {term}" if label else term
            for term, label in zip(_sums(state, A, labels), labels, strict=True)
        ],
    }
    outputs, cells = A.rows.tolist(), A.cols.tolist()
    links = Links(
        {"output": outputs, "input": cells, "kernel": A.taps.tolist(), "u": outputs, "v": cells}
    )
    return Scene(
        [[u, "⋆", _kernel(state), "=", v], [y, "←", x]],
        [links],
        terms,
        "cross-correlation ⋆: w is not flipped. The same weights carry ∂L/∂v back: "
        f"{chips('y', 'y')} = Cᵀ{chips('x', 'x')}",
        _copies(state, A, labels),
    )


def _forward_sums(state: State, C: LinearMap, u: Grid, v: Grid) -> list[str]:
    """For every output of the convolution the sum that makes it."""
    weights = _weights(state)
    read = [
        chips("p" if mark == "p" else "x", f"({text})" if text.startswith("−") else text)
        for mark, text in zip(u.marks, u.texts, strict=True)
    ]
    terms = []
    for row, name in enumerate(_named("v", state.shape)):
        start, stop = C.starts[row : row + 2]
        products = [f"{weights[C.taps[at]]}·{read[C.cols[at]]}" for at in range(start, stop)]
        total = "" if state.letters else f" = {chips('y', v.texts[row])}"
        terms.append(f"{chips('y', name)} = {joined(products)}{total}")
    return terms


def _readers(A: LinearMap, labels: Sequence[str], readers: Sequence[str]) -> list[str]:
    """For every cell of the convolution's input which of its outputs read it."""
    terms = []
    for row, label in enumerate(labels):
        who = chips("x", label) if label else chips("p", "padding")
        by = [chips("y", readers[column]) for column in A.cols[A.starts[row] : A.starts[row + 1]]]
        terms.append(
            f"{who} is read by {joined(by, ', ')}" if by else f"{who}: no window reads it (floor)"
        )
    return terms


# The four computations


def views_of(state: State) -> dict[str, Floats]:
    """The output computed in four ways that share no step.

    Raises:
        SettingError: the settings are impossible.
    """
    x, w = state.input, state.kernel_values
    if state.framework == PYTORCH:
        return four_views(x, w, state.stride, state.padding, state.output_padding, state.dilation)
    # Keras crops differently on both sides: the same frame is cut out of every view's canvas.
    built = build(state)
    beyond = max(-built.right, 0)
    cut = (slice(built.left, built.left + built.output),) * state.axes
    return {name: canvas[cut] for name, canvas in four_views(x, w, state.stride, 0, beyond).items()}


@lru_cache(maxsize=64)
def disagreement(state: State) -> float:
    """The largest difference between the four computations."""
    return largest_difference(views_of(state))


# Which sizes a convolution takes to this one


def base_size(state: State) -> int:
    """The output size without output_padding, (n−1)s − 2p + d(k−1) + 1, even below 1."""
    reach = span(state.kernel, state.dilation)
    return (state.size - 1) * state.stride - 2 * state.padding + reach


def sources(state: State) -> dict[int, int | None]:
    """The sizes that the convolution takes to `size` cells, and the output_padding that picks each.

    None where no output_padding can pick it.

    Raises:
        SettingError: the settings are impossible.
    """
    steps = stairs(state)
    if state.framework != PYTORCH:
        return {step.size: None for step in steps if step.output == state.size}
    base, most = base_size(state), max(state.stride, state.dilation)
    return {
        step.size: step.size - base if 0 <= step.size - base < most else None
        for step in steps
        if step.output == state.size
    }


def sources_in_words(state: State) -> str:
    """Which sizes the convolution takes to this input's, and which of them this output is.

    Raises:
        SettingError: the settings are impossible.
    """
    found = sources(state)
    here = build(state).output
    if here not in found:
        return (
            f"output_padding {state.output_padding} is not below the stride: the convolution would "
            f"take {here} cells to more than {state.size}."
        )
    if len(found) == 1:
        return f"The convolution takes only {here} cells to {state.size}: nothing to choose."
    sizes = [str(size) for size in found]
    listed = f"{', '.join(sizes[:-1])} and {sizes[-1]}"
    if state.framework != PYTORCH:
        which = f"Keras {state.scheme} goes back to {here}"
    else:
        which = f"output_padding {state.output_padding} goes back to {here}"
    return f"The convolution takes {listed} cells all to {state.size}; {which}."


@lru_cache(maxsize=64)
def stairs(state: State) -> tuple[Step, ...]:
    """Input and output sizes of the convolution that is transposed here, around this output.

    Raises:
        SettingError: the settings are impossible.
    """
    here = build(state).output
    forward = convolution.State(
        axes=1,
        kernel=state.kernel,
        stride=state.stride,
        padding=state.padding,
        dilation=state.dilation_used,
        framework=state.framework.replace("Keras", "TF"),
    )
    low = max(1, here - 2 * state.stride - 2)
    return tuple(convolution.staircase(forward, low, here + 2 * state.stride + 1))


def picked(state: State, output: int) -> dict[str, int]:
    """The change of settings with which the output gets this size, as far as output_padding can.

    Empty where it cannot.
    """
    if state.framework != PYTORCH:
        return {}
    wanted = output - base_size(state)
    return {"output_padding": wanted} if _possible(replace(state, output_padding=wanted)) else {}


def dragged(state: State, left: int, right: int) -> dict[str, int]:
    """The settings for a frame that was dragged, made possible.

    Args:
        left: cells from the drawn grid's left edge to the frame's.
        right: cells from the frame's right edge to the grid's; negative beyond it.
    """
    built = build(state)
    beyond = max(-built.right, 0)
    low, high = LIMITS["padding"]
    padding = min(max(left, low), high)
    room = min(max(state.stride, state.dilation) - 1, LIMITS["output_padding"][1])
    extra = min(max(padding - (right - beyond), 0), room)
    while padding > 0 and not _possible(replace(state, padding=padding, output_padding=extra)):
        padding -= 1
    return {"padding": padding, "output_padding": extra}


def not_there(state: State, left: int, right: int) -> str:
    """Why the frame cannot stand where it was dragged, or "" if it can; as for `dragged`."""
    found, beyond = dragged(state, left, right), max(-build(state).right, 0)
    padding, extra = found["padding"], found["output_padding"]
    if (padding, padding - extra) == (left, right - beyond):
        return ""
    return (
        "The frame crops padding on the left, padding − output_padding on the right; "
        f"output_padding < {max(state.stride, state.dilation)}."
    )


def _possible(state: State) -> bool:
    """Whether the settings are possible, and the sliders reach them."""
    if any(not low <= getattr(state, name) <= high for name, (low, high) in LIMITS.items()):
        return False
    try:
        build(state)
    except SettingError:
        return False
    return True


# The prediction


@dataclass(frozen=True)
class Prediction:
    """A question about the next setting.

    Attributes:
        text, options, answer, why: as in `lesson.Question`.
        then: the settings that show the answer.
    """

    text: str
    options: tuple[str, ...]
    answer: str
    why: str
    then: Mapping[str, Any]


ZEROS = "zeros"
COMPUTED = "sums, like the others"
REPEATED = "a repeated {}"


def prediction(state: State) -> Prediction:
    """What to ask at these settings: the next thing that the misconception gets wrong.

    Raises:
        SettingError: the settings are impossible.
    """
    build(state)
    if state.framework != PYTORCH:
        return _about_keras(state)
    p, extra = state.padding, state.output_padding
    last = "cell" if state.axes == 1 else "row"
    changes: list[dict[str, int]] = []
    if extra == 0:
        changes.append({"output_padding": 1})
    else:
        changes.append({"padding": extra - 1 if p >= extra else extra})
    for change in changes:
        if _possible(replace(state, **change)):
            return _about_last(state, change, last)
    return _about_padding(state, last)


def _about_last(state: State, change: Mapping[str, int], last: str) -> Prediction:
    after = replace(state, **change)
    built = build(after)
    edge = built.A.coverage()[-1]
    p, extra = after.padding, after.output_padding
    repeated = REPEATED.format(last)
    if np.any(edge > 0):
        answer = COMPUTED
        why = (
            f"The canvas has {built.canvas} cells along an axis. padding {p} cuts {p} off at both "
            f"ends, output_padding {extra} gives {extra} of them back at the far end: it crops "
            "less, it fills nothing in."
        )
    elif built.right < 0:
        answer = ZEROS
        why = (
            f"The canvas has {built.canvas} cells along an axis, and output_padding {extra} "
            f"exceeds padding {p}: the frame reaches beyond the canvas, where nothing arrives. "
            "Only then does output_padding show zeros (plus the bias, if there is one)."
        )
    else:
        answer = ZEROS
        why = (
            "The frame ends inside the canvas, in a gap between two copies of the kernel: nothing "
            "arrives there, as in every gap."
        )
    moves = [f"{name} goes from {getattr(state, name)} to {to}" for name, to in change.items()]
    kept = "" if "output_padding" in change else f" output_padding stays {extra}."
    text = f"Now {' and '.join(moves)}.{kept} What will the last {last} of the output hold?"
    return Prediction(text, (ZEROS, COMPUTED, repeated), answer, why, change)


def _about_padding(state: State, last: str) -> Prediction:
    larger, smaller, same = "2 more", "2 fewer", "as many"
    options = (larger, smaller, same)
    p = state.padding
    if _possible(replace(state, padding=p + 1)):
        change, answer = {"padding": p + 1}, smaller
    elif p > 0 and _possible(replace(state, padding=p - 1)):
        change, answer = {"padding": p - 1}, larger
    else:
        wanted = {"stride": 2, "output_padding": 1}
        change = {name: to for name, to in wanted.items() if getattr(state, name) != to}
        return _about_last(state, change or {"output_padding": 0}, last)
    text = (
        f"Now padding goes from {p} to {change['padding']}. How many {last}s will the output have?"
    )
    why = (
        "In a transposed convolution padding takes away: it is the padding of the convolution that "
        "this transposes, so here it is cropped, on both sides."
    )
    return Prediction(text, options, answer, why, change)


def _about_keras(state: State) -> Prediction:
    other = KERAS_VALID if state.framework == KERAS_SAME else KERAS_SAME
    n, k, s = state.size, state.kernel, state.stride
    after = replace(state, framework=other)
    right = build(after).output
    guesses = sorted({n * s, (n - 1) * s + max(k, s), (n - 1) * s + 1, n + 2, right})[:4]
    options = tuple(str(guess) for guess in sorted({*guesses, right}))
    why = (
        f"SAME gives n·s = {n * s}, whatever the kernel."
        if other == KERAS_SAME
        else f"VALID keeps the whole canvas, (n − 1)s + max(k, s) = {right}: nothing is cropped."
    )
    text = f"Now {other} instead. How many cells along an axis will come out?"
    return Prediction(text, options, str(right), why, {"framework": other})


# Cases side by side


D1_STRIDE = State(size=2, kernel=3, stride=2, padding=1, output_padding=1)
D2_STRIDE = State(axes=1, size=2, kernel=3, stride=2, padding=0, output_padding=1, letters=True)
D2_PLAIN = State(axes=1, size=4, kernel=3, stride=1, padding=1, letters=True)


@lru_cache(maxsize=1)
def computed_or_empty() -> Scene:
    """The same output_padding twice: with padding 1 (D1), and without (as in D2's matrix)."""
    computed, empty = D1_STRIDE, replace(D1_STRIDE, padding=0)
    grids, drawn, terms = [], {}, {}
    for name, state, title in (
        ("computed", computed, "D1: y with padding 1"),
        ("empty", empty, "as in D2: y with padding 0"),
    ):
        built = build(state)
        canvas = _canvas(state, built)
        grids.append(replace(canvas, name=name, title=f"{title}, {size(built.A.output_shape)}"))
        drawn[name] = built.drawn
        labels = _cell_names(built)
        terms[name] = _sums(state, built.drawn, labels)
        # Both stamp alike; the larger canvas keeps all.
        terms["input"] = _stamps(state, built.drawn, labels)
        terms["kernel"] = kernel_terms(built.drawn, state.kernel_values)
    return Scene(
        [
            [
                _still(_input(computed, title="input x")),
                "·",
                _still(_kernel(computed)),
                "→",
                grids[0],
                grids[1],
            ]
        ],
        [_on_both(drawn["computed"], drawn["empty"])],
        terms,
        "output_padding 1 twice: it crops less, or it reaches beyond the canvas, where nothing is",
    )


def _on_both(computed: LinearMap, empty: LinearMap) -> Links:
    """The links of two canvases of which the second is larger: the same cell lights in both.

    (In a group for each, light would go from an output to its inputs and on to all their stamps.)
    """
    rows, columns = computed.output_shape
    row, column = np.divmod(empty.rows, empty.output_shape[1])
    inside = (row < rows) & (column < columns)
    return Links(
        {
            **links_of(empty, output="empty").cells,
            "computed": np.where(inside, row * columns + column, -1).tolist(),
        }
    )


def _still(drawn: Grid) -> Grid:
    return replace(drawn, editable=False)


@lru_cache(maxsize=1)
def not_an_inverse() -> Scene:
    """D2's example: a convolution, its transpose, and what the deck prints."""
    x, w = counting((3, 3)), counting((2, 2))
    C = conv((3, 3), w)
    v = C(x)
    printed = transposed_conv((2, 2), np.flip(w))
    grids = [
        grid("input", "input", x, title="input x"),
        grid("kernel", "kernel", w, title="kernel w"),
        grid("v", "output", v, title="v = C x", letter="v"),
        grid("back", "output", C.T(v), title="b = Cᵀ v", letter="b"),
        grid("flipped", "kernel", np.flip(w), title="flipped w"),
        grid("printed", "output", printed(v), title="d, what D2 prints", letter="d"),
    ]
    x_, w_, v_, back, flipped, shown = grids
    taps = names("w", w.shape)
    terms = {
        "input": input_terms(C, output="v"),
        "kernel": kernel_terms(C, w),
        "flipped": kernel_terms(printed, np.flip(w), labels=np.flip(taps)),
        "v": _plain_sums(C, x, "v"),
        "back": _plain_sums(C.T, v, "b"),
        "printed": _plain_sums(printed, v, "d"),
    }
    return Scene(
        [[x_, "⋆", w_, "=", v_], [back, "", shown, "←", flipped]],
        [
            links_of(C, "v", "input"),
            links_of(C.T, "back", "v"),
            links_of(printed, "printed", "v", "flipped"),
            Links({"kernel": list(range(w.size)), "flipped": list(range(w.size))[::-1]}),
        ],
        terms,
        "Cᵀ brings the shape back, not the numbers: neither 3×3 result is 1 … 9",
    )


def _plain_sums(A: LinearMap, x: Floats, prefix: str) -> list[str]:
    """For every output cell the sum that makes it, in numbers."""
    values, totals = x.ravel().tolist(), A(x).ravel().tolist()
    terms = []
    for row, name in enumerate(_named(prefix, A.output_shape)):
        products = [
            f"{chips('w', number(A.values[at]))}·{chips('x', number(values[A.cols[at]]))}"
            for at in range(A.starts[row], A.starts[row + 1])
        ]
        terms.append(f"{chips('y', name)} = {joined(products)} = {chips('y', number(totals[row]))}")
    return terms


@lru_cache(maxsize=1)
def one_filter_or_several() -> Scene:
    """D2's two transposed matrices: with stride 1 every row is the same filter, else not."""
    grids, terms = [], {}
    for name, state in (("one", D2_PLAIN), ("two", D2_STRIDE)):
        A = build(state).drawn
        texts = A.symbols().ravel().tolist()
        phases = np.full(A.shape, -1)
        phases[A.rows, A.cols] = A.rows % state.stride
        outputs, cells = A.shape
        grids.append(
            Grid(
                name,
                "plain",
                texts,
                columns=cells,
                title=f"stride {state.stride}: Cᵀ, {size(A.shape)}",
                tints=phases.ravel().tolist(),
                letter="Cᵀ",
            )
        )
        terms[name] = [
            _row_in_words(state, row, A.symbols()[row].tolist())
            for row in range(outputs)
            for _ in range(cells)
        ]
    return Scene(
        [grids],
        [],
        terms,
        "stride 1: one filter, w3 w2 w1, in every row; stride 2: even rows and odd rows hold "
        "different taps",
    )


def _row_in_words(state: State, row: int, entries: Sequence[str]) -> str:
    taps = " ".join(chips("w", entry) for entry in entries if entry != "0")
    if not taps:
        return f"row {row + 1}: nothing arrives, the last row of zeros in D2"
    if state.stride == 1:
        return f"row {row + 1}: {taps}, cut from the one filter w3 w2 w1"
    return f"row {row + 1}: {taps}, phase {row % state.stride + 1} of {state.stride}"


SIDE_BY_SIDE: Mapping[str, Callable[[], Scene]] = {
    "computed or empty": computed_or_empty,
    "not an inverse": not_an_inverse,
    "one filter or several": one_filter_or_several,
}


def cases(name: str) -> Scene:
    """A picture of `SIDE_BY_SIDE`, as one of the page's views."""
    return replace(SIDE_BY_SIDE[name](), views=TABS, view=TABS.index(CASES))


# The code


def shown(state: State, view: str) -> State:
    """The state whose numbers a view shows."""
    return in_matrix(state) if view == "Matrix" else state


def snippet(state: State, view: str = VIEWS[0]) -> str:
    """Lines of PyTorch that give the numbers of a view.

    Raises:
        SettingError: the settings are impossible.
    """
    state = shown(state, view)
    built = build(state)
    name = f"conv_transpose{state.axes}d"
    lines = [
        "import torch",
        "import torch.nn.functional as F",
        "",
        f"x = torch.tensor({_literal(state.input)})[None, None]",
        f"w = torch.tensor({_literal(state.kernel_values)})[None, None]",
    ]
    if state.framework == PYTORCH:
        keywords = {
            "stride": state.stride,
            "padding": state.padding,
            "output_padding": state.output_padding,
            "dilation": state.dilation,
        }
        settings = ", ".join(f"{key}={value}" for key, value in keywords.items())
        forward = ", ".join(
            f"{key}={value}" for key, value in keywords.items() if key != "output_padding"
        )
        first = ", ".join(["...", *[f":{state.size}"] * state.axes])
        lines += [
            f"y = F.{name}(x, w, {settings})",
            "print(y[0, 0])",
            "",
            "# The same as the gradient of the convolution by its input:",
            "u = torch.zeros_like(y, requires_grad=True)",
            f"v = F.conv{state.axes}d(u, w, {forward})[{first}]",
            "v.backward(x)",
            "torch.testing.assert_close(u.grad, y)",
        ]
    else:
        beyond = max(-built.right, 0)
        stop = built.left + built.output
        cut = ", ".join(["...", *[f"{built.left}:{stop}"] * state.axes])
        scheme = state.scheme.lower()
        lines += [
            f"# As keras.layers.Conv{state.axes}DTranspose(1, {state.kernel}, "
            f'strides={state.stride}, padding="{scheme}") crops:',
            f"y = F.{name}(x, w, stride={state.stride}, output_padding={beyond})[{cut}]",
            "print(y[0, 0])",
        ]
    return "\n".join(lines)


def _literal(values: Floats) -> str:
    return np.array2string(values, separator=", ", threshold=10_000, max_line_width=88)
