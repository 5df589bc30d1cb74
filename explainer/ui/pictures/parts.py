"""The parts of which the scenes of the lesson pages are made: grids, links and terms of a map."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.components.linked_grid.scene import Grid, Links, Role, Scene, Steps
from explainer.ops import LinearMap, names, number
from explainer.ops.names import grid_size

MOST_TERMS = 10
"""Products that a sum on the term strip spells out; the others are counted."""

CELLS_IN_A_MATRIX = 2000
"""Entries that can be told apart; above, the matrix of one axis stands for that of two."""

MOST_ENTRY_TERMS = 1000
"""Entries up to which those without a link have a term of their own."""

Names = NDArray[np.object_]


def size(shape: Sequence[int]) -> str:
    """A shape as titles write it: 5×5, or 5 for one axis."""
    return grid_size(tuple(shape))


def numbers(values: ArrayLike) -> list[str]:
    """The numbers of a grid as they are read, row by row."""
    return [number(value) for value in np.asarray(values, np.float64).ravel()]


def grid(name: str, role: Role, values: ArrayLike, texts: Iterable | None = None, **more: Any):
    """A grid of numbers (one axis: one row); `texts` instead of the numbers, such as letters."""
    values = np.asarray(values, np.float64)
    shown = numbers(values) if texts is None else [str(text) for text in np.ravel(list(texts))]
    return Grid(name, role, shown, columns=values.shape[-1], **more)


def embedding_of(A: LinearMap) -> tuple[LinearMap, LinearMap]:
    """The factors of a padded map: the valid map on the padded grid, and the embedding."""
    valid, embedding = A.factors
    return valid, embedding


def padding_before(embedding: LinearMap) -> tuple[int, int]:
    """Rows and columns of padding before the first cell; no rows on one axis."""
    first = np.unravel_index(embedding.rows[0], embedding.output_shape)
    return (int(first[0]) if len(first) > 1 else 0), int(first[-1])


def marks_of(A: LinearMap) -> str:
    """For each cell of the padded grid: padding, a cell that no window reads, or ordinary."""
    valid, embedding = embedding_of(A)
    padding = embedding.coverage().ravel() == 0
    unused = valid.usage().ravel() == 0
    return "".join(np.where(padding, "p", np.where(unused, "u", ".")))


def padded_texts(A: LinearMap, x: ArrayLike, letters: Names | None = None) -> list[str]:
    """What stands in the padded grid: numbers, or letters with 0 for padding."""
    _, embedding = embedding_of(A)
    if letters is None:
        return numbers(embedding(x))
    return [str(text) for text in embedding.move(letters, "0").ravel()]


def padded_grid(A: LinearMap, x: ArrayLike, letters: Names | None = None, **more: Any) -> Grid:
    """The input of a padded map with its padding around, hatched, named "input"."""
    _, embedding = embedding_of(A)
    return Grid(
        "input",
        "input",
        padded_texts(A, x, letters),
        columns=embedding.output_shape[-1],
        origin=padding_before(embedding),
        **{"title": f"input x, {size(A.input_shape)}", "marks": marks_of(A), **more},
    )


def links_of(
    A: LinearMap,
    output: str = "output",
    input: str = "input",
    kernel: str | None = "kernel",
    matrix: str | None = None,
    **more: Any,
) -> Links:
    """The links of a map between the grids of these names; in `matrix` they are its entries."""
    cells = {output: A.rows.tolist(), input: A.cols.tolist()}
    if kernel is not None and A.kernel_shape:
        cells[kernel] = A.taps.tolist()
    if matrix is not None:
        cells[matrix] = (A.rows * A.shape[1] + A.cols).tolist()
    return Links(cells, **more)


def matrix_grid(
    A: LinearMap,
    letters: bool | Names = False,
    column_marks: str = "",
    name: str = "matrix",
    **more: Any,
) -> Grid:
    """The matrix of a map: a row for each output, a column for each input; blank without a link.

    Args:
        letters: w11 …, or these names of the weights, instead of numbers, where the map has a
            kernel.
        column_marks: the marks of the input's cells, for every row.
    """
    outputs, inputs = A.shape
    shown = np.full(A.shape, "", object)
    if letters is False:
        weights: Any = [number(value) for value in A.values]
    else:
        weights = A.symbols("w" if letters is True else letters)[A.rows, A.cols]
    shown[A.rows, A.cols] = weights
    return Grid(
        name,
        "kernel",
        [str(text) for text in shown.ravel()],
        columns=inputs,
        marks=column_marks * outputs,
        **{"title": f"matrix C, {outputs}×{inputs}", "letter": "C", **more},
    )


def of_one_axis(drawn: Scene, shape: Sequence[int], name: str) -> Scene:
    """The picture of a matrix along one axis, which stands for one too large to draw.

    Args:
        shape: rows and columns of the matrix that it stands for; name: that of the matrix.
    """
    still = [
        [replace(item, editable=False) if isinstance(item, Grid) else item for item in row]
        for row in drawn.rows
    ]
    return replace(
        drawn,
        rows=still,
        flat=True,
        rest=f"{name} has {size(shape)} entries, too many to draw: this is one axis; in 2-D each "
        "entry is such a block",
    )


# The term strip


def chips(role: str, text: object) -> str:
    """Markup for a chip on the term strip; braces cannot be part of a text."""
    return f"{{{role}:{str(text).replace('{', '').replace('}', '')}}}"


def joined(terms: Sequence[str], sign: str = " + ", most: int = MOST_TERMS) -> str:
    """Terms in a row; those beyond `most` are counted."""
    if len(terms) <= most:
        return sign.join(terms)
    return sign.join(terms[: most - 2]) + f"{sign}… {len(terms) - most + 2} more"


def output_terms(
    A: LinearMap,
    x: ArrayLike,
    letters: tuple[Names, Names] | None = None,
    marks: str = "",
    output: str = "y",
    nothing: str = "nothing arrives here",
) -> list[str]:
    """For every output cell the sum that makes it: `y11 = 1·2 + … = 7`, or in letters.

    Args:
        A: the map; for a padded one the valid map on the padded grid.
        x: its input, shape A.input_shape.
        letters: names of the input's cells and of the weights, for sums without numbers.
        marks: of the input's cells; products with padding are on grey.
        output: prefix of the outputs' names.
        nothing: what is said of a cell without links.
    """
    values = np.asarray(x, np.float64).ravel()
    y = names(output, A.output_shape).ravel()
    totals = A(np.asarray(x, np.float64)).ravel()
    if letters is None:
        read = [_bracketed(value) for value in values]
        weights = [_bracketed(value) for value in A.values]
    else:
        read = [str(text) for text in letters[0].ravel()]
        weights = [str(text) for text in letters[1].ravel()[A.taps]]
    terms = []
    for row, (start, stop) in enumerate(zip(A.starts[:-1], A.starts[1:], strict=True)):
        products = [
            chips("w", weights[place])
            + "·"
            + chips("p" if marks and marks[A.cols[place]] in "pz" else "x", read[A.cols[place]])
            for place in range(start, stop)
        ]
        total = "" if letters else f" = {chips('y', number(totals[row]))}"
        left = chips("y", y[row])
        terms.append(f"{left} = {joined(products)}{total}" if products else f"{left}: {nothing}")
    return terms


def input_terms(
    A: LinearMap,
    marks: str = "",
    labels: Names | None = None,
    output: str = "y",
    says: Callable[[str, int], str] | None = None,
) -> list[str]:
    """For every input cell the outputs that read it.

    Args:
        A: the map; for a padded one the valid map on the padded grid.
        marks, labels: of the input's cells; the names x11 … by default.
        output: prefix of the outputs' names.
        says: from a cell's name and the number of its outputs to the words before them.
    """
    y = names(output, A.output_shape).ravel()
    x = (names("x", A.input_shape) if labels is None else labels).ravel()
    order = np.argsort(A.cols, kind="stable")
    ends = np.cumsum(A.usage().ravel())
    terms = []
    for cell, (start, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        mark = marks[cell] if marks else "."
        name = {"p": chips("p", "padding"), "z": chips("p", "inserted 0")}.get(
            mark, chips("x", x[cell])
        )
        count = stop - start
        if not count:
            terms.append(f"{name}: no window reads it")
            continue
        outputs = [chips("y", y[A.rows[place]]) for place in order[start:stop]]
        words = says(name, count) if says else f"{name} is read by "
        terms.append(f"{words}{joined(outputs, ', ')}")
    return terms


def kernel_terms(
    A: LinearMap,
    kernel: ArrayLike,
    letters: bool = False,
    labels: Names | None = None,
    marks: str = "",
) -> list[str]:
    """For every tap of the kernel its weight, and how many pairs of cells it joins.

    Args:
        A: the map whose links are drawn; for a padded one the valid map on the padded grid, so
            that the words count what lights up.
        letters: whether the weights are left out.
        labels: of the taps; the names w11 … by default.
        marks: of the input's cells; pairs with padding or an inserted zero are counted too.
    """
    kernel = np.asarray(kernel, np.float64)
    counts = np.bincount(A.taps, minlength=kernel.size)
    added = np.isin(list(marks or "." * A.shape[1]), ("p", "z"))
    with_added = np.bincount(A.taps[added[A.cols]], minlength=kernel.size)
    what = chips("p", "inserted zeros" if "z" in marks else "padding")
    taps = names("w", kernel.shape) if labels is None else labels
    terms = []
    cells = zip(taps.ravel(), kernel.ravel(), counts, with_added, strict=True)
    for name, value, count, added_count in cells:
        equal = "" if letters else f" = {chips('w', number(value))}"
        pairs = "one pair" if count == 1 else f"{count} pairs"
        of_them = f", {added_count} of them with {what}" if added_count else ""
        terms.append(f"{chips('w', name)}{equal} joins {pairs} of cells{of_them}")
    return terms


def matrix_terms(
    A: LinearMap, output: str = "y", input: Names | None = None, weight: str | Names = "w"
) -> list[str]:
    """For every entry of the matrix the two cells that it joins.

    In a large matrix most entries are blank, and their terms would outweigh the picture: there
    they are "".
    """
    y = names(output, A.output_shape).ravel()
    x = (names("x", A.input_shape) if input is None else input).ravel()
    weights = A.symbols(weight)
    blank = A.shape[0] * A.shape[1] > MOST_ENTRY_TERMS
    terms = [
        "" if blank else f"row {chips('y', y[row])}, column {chips('x', x[column])}: no link, so 0"
        for row in range(A.shape[0])
        for column in range(A.shape[1])
    ]
    for row, column, value in zip(A.rows, A.cols, A.values, strict=True):
        weight = weights[row, column]
        equal = "" if weight == number(value) else f" = {number(value)}"
        terms[row * A.shape[1] + column] = (
            f"row {chips('y', y[row])}, column {chips('x', x[column])}: {chips('w', weight)}{equal}"
        )
    return terms


def _bracketed(value: float) -> str:
    text = number(value)
    return f"({text})" if value < 0 else text


# Steps


def steps_by_output(y: Sequence[str], output: str = "output") -> Steps:
    """The outputs one after the other, each written in its step."""
    cells = list(range(len(y)))
    return Steps(output, cells, {output: [[(cell, y[cell])] for cell in cells]}, word="output")
