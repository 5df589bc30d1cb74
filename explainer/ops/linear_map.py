"""One idea for every operation of the lectures: a sparse matrix between two grids.

A `LinearMap` joins the cells of an input grid to the cells of an output grid. Which cells it joins
(the structure) is kept apart from the weights (the values): a weight of 0 is a link like any
other, and what a cell sees does not depend on what the weights happen to be. Cells are numbered
row by row, as in Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016),
section 4.1.

    >>> from explainer.ops import conv
    >>> A = conv((4, 4), [[0, 1], [2, 3]], stride=2)
    >>> A.equation((0, 1))
    'y12 = w11·x13 + w12·x14 + w21·x23 + w22·x24'
    >>> A.T.output_shape  # the transposed convolution
    (4, 4)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from operator import index
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from explainer.ops.names import factor, grid_size, names, number
from explainer.ops.settings import SettingError, Shape

Cell = SupportsIndex | Sequence[SupportsIndex]
"""A cell of a grid, its row and column counted from 0; on one axis its index alone will do."""

Names = str | NDArray
"""A prefix (x gives x11, x12, …), or an array of strings, one for each cell."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

NO_TAP = -1


@dataclass(frozen=True)
class Link:
    """One output cell that reads one input cell.

    Attributes:
        output: the cell that reads.
        input: the cell that is read.
        tap: the place in the kernel of the weight between them; None where no kernel is shared.
        value: the weight.
        paths: the number of ways from one to the other; above 1 only in compositions.
    """

    output: Shape
    input: Shape
    tap: Shape | None
    value: float
    paths: int


@dataclass(frozen=True, eq=False, repr=False)
class LinearMap:
    """A linear map from the cells of one grid to the cells of another.

    Attributes:
        input_shape: cells of the input grid along each axis.
        output_shape: cells of the output grid along each axis.
        structure: (outputs, inputs), sparse; the number of paths of every link, never 0.
        values: (links,) the weights, in the order of `structure.data`; 0 is a weight.
        taps: (links,) the flat place in the kernel of each weight; `NO_TAP` without a kernel.
        kernel_shape: the grid of the kernel that the links share, or None.
        factors: the maps of which this one is the product, the last to act first, as one writes
            it: a padded convolution is (valid map on the padded grid, embedding), a transposed one
            (crop, map to the uncropped canvas). Empty where it is not a product.
    """

    input_shape: Shape
    output_shape: Shape
    structure: sparse.csr_array
    values: Floats
    taps: Indices
    kernel_shape: Shape | None = None
    factors: tuple["LinearMap", ...] = ()

    @classmethod
    def from_links(
        cls,
        input_shape: Sequence[int],
        output_shape: Sequence[int],
        rows: Indices,
        cols: Indices,
        values: Floats,
        *,
        taps: Indices | None = None,
        kernel_shape: Shape | None = None,
        paths: NDArray[np.int64] | None = None,
        factors: tuple["LinearMap", ...] = (),
    ) -> "LinearMap":
        """The map with these links; several between the same two cells are added up.

        Args:
            rows, cols: (links,) flat output and input cells.
            values, taps, paths: (links,) as in the class; no taps by default, and one path.
        """
        inputs, outputs = int(np.prod(input_shape)), int(np.prod(output_shape))
        taps = np.full(len(rows), NO_TAP, np.intp) if taps is None else taps
        paths = np.ones(len(rows), np.int64) if paths is None else paths
        keys = rows.astype(np.int64) * inputs + cols
        if not np.all(keys[1:] > keys[:-1]):
            keys, first, group = np.unique(keys, return_index=True, return_inverse=True)
            values = np.bincount(group, values, len(keys)).astype(np.float64)
            totals = np.zeros(len(keys), np.int64)
            np.add.at(totals, group, paths)
            rows, cols, taps, paths = rows[first], cols[first], taps[first], totals
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=outputs))])
        structure = sparse.csr_array((paths, cols, starts), shape=(outputs, inputs))
        return cls(
            tuple(input_shape),
            tuple(output_shape),
            structure,
            np.asarray(values, np.float64),
            taps,
            kernel_shape,
            factors,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix: the numbers of output and of input cells."""
        return int(np.prod(self.output_shape)), int(np.prod(self.input_shape))

    # The links, as arrays and one by one

    @cached_property
    def rows(self) -> Indices:
        """(links,) the flat output cell of each link."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.starts))

    @cached_property
    def cols(self) -> Indices:
        """(links,) the flat input cell of each link."""
        return np.asarray(self.structure.indices, np.intp)

    @property
    def paths(self) -> NDArray[np.int64]:
        """(links,) the number of paths of each link."""
        return np.asarray(self.structure.data, np.int64)

    @cached_property
    def starts(self) -> Indices:
        """(outputs + 1,) where the links of each output cell start, and the last ones end."""
        return np.asarray(self.structure.indptr, np.intp)

    def reads(self, cell: Cell) -> tuple[Link, ...]:
        """What an output cell reads: inputs, taps and weights, inputs in order.

        Raises:
            IndexError: the output grid has no such cell.
        """
        row = flat_cell(cell, self.output_shape)
        return self._links(range(*self.starts[row : row + 2]))

    def reaches(self, cell: Cell) -> tuple[Link, ...]:
        """Where an input cell is read: outputs, taps and weights, outputs in order.

        Raises:
            IndexError: the input grid has no such cell.
        """
        return self._links(np.flatnonzero(self.cols == flat_cell(cell, self.input_shape)))

    def joined_by(self, tap: Cell) -> tuple[Link, ...]:
        """Every pair of cells between which one weight of the kernel stands.

        Raises:
            IndexError: the kernel has no such place, or the map no kernel.
        """
        return self._links(np.flatnonzero(self.taps == flat_cell(tap, self.kernel_shape or ())))

    def _links(self, places: Sequence[int] | Indices) -> tuple[Link, ...]:
        return tuple(
            Link(
                _cell(self.rows[place], self.output_shape),
                _cell(self.cols[place], self.input_shape),
                self._tap(place),
                float(self.values[place]),
                int(self.paths[place]),
            )
            for place in places
        )

    def _tap(self, place: int) -> Shape | None:
        return _cell(self.taps[place], self.kernel_shape) if self.kernel_shape else None

    def link_table(self) -> dict[str, list]:
        """All links as lists of equal length, ready for JSON: output, input, tap (flat), value."""
        return {
            "output": self.rows.tolist(),
            "input": self.cols.tolist(),
            "tap": self.taps.tolist(),
            "value": self.values.tolist(),
        }

    # What the map does

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """(outputs, inputs) the values, sparse; links with weight 0 are stored."""
        return sparse.csr_array((self.values, self.cols, self.starts), self.shape)

    def __call__(self, x: ArrayLike) -> Floats:
        """Apply the map to a grid, or to many, stacked in front: (…, *input) to (…, *output).

        Raises:
            ValueError: the last axes of x are not the input grid.
        """
        x = np.asarray(x, np.float64)
        _require(x.shape[x.ndim - len(self.input_shape) :], self.input_shape, "the input")
        many = x.shape[: x.ndim - len(self.input_shape)]
        flat = self.matrix @ x.reshape(int(np.prod(many)), self.shape[1]).T
        return flat.T.reshape(*many, *self.output_shape)

    def __matmul__(self, inner: "LinearMap") -> "LinearMap":
        """The map that applies `inner` first and then this one: `(A @ B)(x)` is `A(B(x))`."""
        return compose(self, inner)

    @cached_property
    def T(self) -> "LinearMap":
        """The transpose, from the output grid to the input grid: every link the other way round.

        It carries gradients backwards: for y = A(x) and a loss L, ∂L/∂x = A.T(∂L/∂y).
        """
        order = np.lexsort((self.rows, self.cols))
        return LinearMap.from_links(
            self.output_shape,
            self.input_shape,
            self.cols[order],
            self.rows[order],
            self.values[order],
            taps=self.taps[order],
            kernel_shape=self.kernel_shape,
            paths=self.paths[order],
            factors=tuple(part.T for part in reversed(self.factors)),
        )

    def stamp(self, cell: Cell, value: float = 1.0) -> Floats:
        """What one input cell alone gives, shape output_shape: `value` copies of its column.

        The stamps of all cells of x, added up, are A(x): overlap-add.

        Raises:
            IndexError: the input grid has no such cell.
        """
        x = np.zeros(self.input_shape)
        x.flat[flat_cell(cell, self.input_shape)] = value
        return self(x)

    def coverage(self) -> NDArray[np.int64]:
        """How many paths end on each output cell, shape output_shape; 0 where nothing arrives."""
        return np.asarray(self.structure.sum(axis=1), np.int64).reshape(self.output_shape)

    def usage(self) -> NDArray[np.int64]:
        """How many paths leave each input cell, shape input_shape; 0 where it is never read."""
        return np.asarray(self.structure.sum(axis=0), np.int64).reshape(self.input_shape)

    def with_kernel(self, kernel: ArrayLike) -> "LinearMap":
        """The same structure with the weights of another kernel.

        Raises:
            ValueError: this kernel has not the shape of the map's own, or the map has none.
        """
        kernel = np.asarray(kernel, np.float64)
        _require(kernel.shape, self.kernel_shape, "the kernel")
        parts = tuple(
            part.with_kernel(kernel) if part.kernel_shape == kernel.shape else part
            for part in self.factors
        )
        return replace(self, values=kernel.ravel()[self.taps], factors=parts)

    def kernel_gradient(self, x: ArrayLike, upstream: ArrayLike) -> Floats:
        """∂L/∂kernel, shape kernel_shape, from the input x and upstream = ∂L/∂A(x).

        A weight meets many pairs of cells: its gradient is the sum over all of them.

        Raises:
            ValueError: x or upstream has not the shape of its grid, or the map has no kernel.
        """
        x, upstream = np.asarray(x, np.float64), np.asarray(upstream, np.float64)
        _require(x.shape, self.input_shape, "the input")
        _require(upstream.shape, self.output_shape, "the upstream gradient")
        if not self.kernel_shape:
            raise ValueError("this map has no kernel, so there is no gradient for one")
        pairs = upstream.ravel()[self.rows] * x.ravel()[self.cols]
        weights = int(np.prod(self.kernel_shape))
        totals = np.bincount(self.taps, pairs, weights).astype(np.float64)
        return totals.reshape(self.kernel_shape)

    def difference(self, other: "LinearMap") -> float:
        """The largest difference between two entries of the matrices; 0 for the same map.

        Raises:
            ValueError: the maps are not between the same grids.
        """
        _require(other.input_shape, self.input_shape, "the other map's input")
        _require(other.output_shape, self.output_shape, "the other map's output")
        return float(abs(self.matrix - other.matrix).max())

    # Selections: 0/1 maps that only move cells (padding, cropping, zero insertion, permutations)

    @cached_property
    def is_selection(self) -> bool:
        """Whether the map has no kernel and moves every cell to one place at most."""
        return self.kernel_shape is None and bool(
            np.all(self.values == 1) and np.all(self.coverage() <= 1) and np.all(self.usage() <= 1)
        )

    def move(self, cells: NDArray, empty: object) -> NDArray:
        """Move anything that stands in the cells (names, say) as a selection moves the numbers.

        Returns an array of output_shape, with `empty` where no cell arrives.

        Raises:
            ValueError: the map is not a selection, or `cells` has not the shape of the input.
        """
        if not self.is_selection:
            raise ValueError("only a selection (padding, cropping, permuting) moves names")
        _require(cells.shape, self.input_shape, "the grid of names")
        moved = np.full(self.output_shape, empty, cells.dtype)
        moved.flat[self.rows] = cells.ravel()[self.cols]
        return moved

    # For reading

    def dense(self) -> Floats:
        """(outputs, inputs) the matrix with all its zeros."""
        return self.matrix.toarray()

    def symbols(self, weight: Names = "w", empty: str = "0") -> NDArray[np.object_]:
        """(outputs, inputs) the matrix in letters: w11 where tap (0, 0) stands, `empty` for none.

        Links without a tap show their number.
        """
        grid = np.full(self.shape, empty, object)
        grid[self.rows, self.cols] = self._weights(weight)
        return grid

    def equation(
        self,
        cell: Cell,
        x: ArrayLike | None = None,
        *,
        output: Names = "y",
        weight: Names = "w",
        input: Names = "x",
    ) -> str:
        """The sum that makes an output cell: `y12 = w11·x12 + …`, or with numbers when x is given.

        Raises:
            IndexError: the output grid has no such cell.
            ValueError: x or an array of names has not the shape of its grid.
        """
        row = flat_cell(cell, self.output_shape)
        name = _named(output, self.output_shape, "the names of the output")[row]
        places = slice(*self.starts[row : row + 2])
        if x is None:
            weights = self._weights(weight)[places]
            cells = _named(input, self.input_shape, "the names of the input")[self.cols[places]]
            total = ""
        else:
            x = np.asarray(x, np.float64)
            _require(x.shape, self.input_shape, "the input")
            read = x.ravel()[self.cols[places]]
            weights, cells = map(factor, self.values[places]), map(factor, read)
            total = f" = {number(float(self.values[places] @ read))}"
        terms = [f"{w}·{c}" for w, c in zip(weights, cells, strict=True)]
        return f"{name} = {' + '.join(terms)}{total}" if terms else f"{name} = 0"

    def destinations(
        self, cell: Cell, *, output: Names = "y", weight: Names = "w", input: Names = "x"
    ) -> str:
        """Where an input cell goes: `x22 → y11: w22·x22, y12: w21·x22, …`.

        Raises:
            IndexError: the input grid has no such cell.
            ValueError: an array of names has not the shape of its grid.
        """
        col = flat_cell(cell, self.input_shape)
        name = _named(input, self.input_shape, "the names of the input")[col]
        outputs = _named(output, self.output_shape, "the names of the output")
        weights = self._weights(weight)
        places = np.flatnonzero(self.cols == col)
        terms = [f"{outputs[self.rows[p]]}: {weights[p]}·{name}" for p in places]
        return f"{name} → {', '.join(terms) or 'nowhere'}"

    def _weights(self, weight: Names) -> NDArray[np.object_]:
        """(links,) the name of each weight, or its number where no kernel is shared."""
        if self.kernel_shape:
            return _named(weight, self.kernel_shape, "the names of the weights")[self.taps]
        return np.array([factor(value) for value in self.values], object)

    def __repr__(self) -> str:
        kernel = f", kernel {grid_size(self.kernel_shape)}" if self.kernel_shape else ""
        return (
            f"LinearMap({grid_size(self.input_shape)} → {grid_size(self.output_shape)}, "
            f"{len(self.values)} links{kernel})"
        )


def compose(*maps: LinearMap) -> LinearMap:
    """The product of maps, the last to act first, as one writes it: compose(A, B)(x) is A(B(x)).

    The structure is the product of the structures, so links stay where weights are 0 or cancel.
    Taps survive where all maps but one are selections.

    Raises:
        SettingError: the grids between two maps differ, or there is no map.
    """
    check_chain(maps[::-1])
    product = maps[0]
    for inner in maps[1:]:
        product = _product(product, inner)
    return replace(product, factors=maps) if len(maps) > 1 else product


def check_chain(maps: Sequence[LinearMap]) -> None:
    """Whether maps can act one after the other, first to act first.

    Raises:
        SettingError: the grids between two maps differ, or there is no map.
    """
    if not maps:
        raise SettingError("maps", "must be at least one map", {"maps": 0}, [{"maps": 1}])
    for first, then in pairwise(maps):
        if first.output_shape != then.input_shape:
            raise SettingError(
                "input_shape",
                "must be the output_shape of the map that acts before",
                {"input_shape": then.input_shape, "output_shape": first.output_shape},
                [{"input_shape": first.output_shape}, {"output_shape": then.input_shape}],
            )


def _product(outer: LinearMap, inner: LinearMap) -> LinearMap:
    """Join every link of `outer` with the links of `inner` that end where it starts."""
    starts, counts = inner.starts[outer.cols], np.diff(inner.starts)[outer.cols]
    left = np.repeat(np.arange(len(outer.cols)), counts)
    right = np.arange(len(left)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    taps, kernel_shape = None, None
    if inner.is_selection:
        taps, kernel_shape = outer.taps[left], outer.kernel_shape
    elif outer.is_selection:
        taps, kernel_shape = inner.taps[right], inner.kernel_shape
    return LinearMap.from_links(
        inner.input_shape,
        outer.output_shape,
        outer.rows[left],
        inner.cols[right],
        outer.values[left] * inner.values[right],
        taps=taps,
        kernel_shape=kernel_shape,
        paths=outer.paths[left] * inner.paths[right],
    )


@dataclass(frozen=True)
class Axis:
    """The links along one axis, of which a map on several axes is the product.

    Attributes:
        inputs, outputs: cells along the axis; taps: weights of the kernel along it.
        rows, cols: (links,) output and input cell.
        tap: (links,) the place in the kernel.
    """

    inputs: int
    outputs: int
    taps: int
    rows: Indices
    cols: Indices
    tap: Indices


def from_axes(axes: Sequence[Axis], kernel: Floats) -> LinearMap:
    """The map whose links are all combinations of the axes' links, with the kernel's weights.

    Args:
        kernel: an array with as many weights as the axes have taps in all, in their order.
    """
    inputs, outputs = tuple(axis.inputs for axis in axes), tuple(axis.outputs for axis in axes)
    grid = np.meshgrid(*(np.arange(len(axis.rows)) for axis in axes), indexing="ij")

    def flat(parts: Sequence[Indices], shape: Sequence[int]) -> Indices:
        places = [part[at].ravel() for part, at in zip(parts, grid, strict=True)]
        return np.ravel_multi_index(places, tuple(shape))

    taps = flat([axis.tap for axis in axes], [axis.taps for axis in axes])
    return LinearMap.from_links(
        inputs,
        outputs,
        flat([axis.rows for axis in axes], outputs),
        flat([axis.cols for axis in axes], inputs),
        kernel.ravel()[taps],
        taps=taps,
        kernel_shape=kernel.shape,
    )


def gather(input_shape: Sequence[int], source: NDArray) -> LinearMap:
    """The map whose every output cell is a copy of one input cell.

    Args:
        source: the flat input cell that each output cell copies, -1 for none; its shape is the
            output's.
    """
    rows = np.flatnonzero(source.ravel() >= 0)
    return LinearMap.from_links(
        input_shape, source.shape, rows, source.ravel()[rows], np.ones(len(rows))
    )


def flat_cell(cell: Cell, shape: Shape) -> int:
    """The number of a cell, counted row by row.

    Raises:
        IndexError: the grid has no such cell.
    """
    where = tuple(map(index, cell if isinstance(cell, Iterable) else (cell,)))
    inside = len(where) == len(shape) and all(
        0 <= place < size for place, size in zip(where, shape, strict=True)
    )
    if not (shape and inside):
        grid = f"a grid of {grid_size(shape)} cells" if shape else "a map without a kernel"
        raise IndexError(f"there is no cell {', '.join(map(str, where))} in {grid}")
    return int(np.ravel_multi_index(where, shape))


def _cell(flat: int, shape: Shape) -> Shape:
    return tuple(int(place) for place in np.unravel_index(flat, shape))


def _named(what: Names, shape: Shape, owner: str) -> NDArray:
    grid = names(what, shape) if isinstance(what, str) else what
    _require(grid.shape, shape, owner)
    return grid.ravel()


def _require(shape: Sequence[int], expected: Sequence[int] | None, what: str) -> None:
    if expected is None:
        raise ValueError(f"this map has no kernel, so {what} cannot be set")
    if tuple(shape) != tuple(expected):
        raise ValueError(
            f"{what} must have {grid_size(tuple(expected))} cells, "
            f"not {grid_size(tuple(shape)) or 'none'}"
        )
