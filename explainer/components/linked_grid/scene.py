"""What a linked grid shows, as plain data: grids of cells, and the links between them.

Nothing here is specific to an operation. A convolution, a pooling, a matrix, a stack of layers: all
are grids whose cells are joined. Python computes every number, text and link; the browser draws
them and looks them up.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from explainer.ops import brief

Role = Literal["input", "kernel", "output", "plain"]
Mark = Literal[".", "p", "z", "u", "e"]
"""A cell is ordinary, padding, an inserted zero, unused (no window reads it), or empty (nothing
arrives there)."""

ROLE_LETTERS: Mapping[str, str] = {"input": "x", "kernel": "w", "output": "y"}


@dataclass(frozen=True)
class Grid:
    """A grid of cells.

    Attributes:
        name: unique in the scene; cells carry it as `data-grid`.
        role: decides the colour (VISUAL.md).
        texts: what stands in each cell, row by row.
        columns: cells in a row.
        title: above the grid, e.g. "input x, 5×5".
        marks: a `Mark` for each cell, in one string; "" where all are ordinary.
        origin: row and column, in the drawn grid, of the cell that counts as (0, 0): the padding
            before it has negative `data-row` and `data-col`.
        values: a number for each cell, where the fill shows it.
        ramp: "positive" (0 … largest, cividis) or "signed" (−largest … largest), for `values`.
        tints: a small number for each cell that picks one of several fills (phases, residue
            classes), with a pattern of its own; -1 for none.
        bright: cells that stand out while nothing is pointed at, such as remembered positions.
        changed: cells with a dotted border, such as those that an edit has changed.
        editable: whether a number can be typed in a cell (double click, F2); never in
            padding and inserted zeros.
        markable: whether a click makes and takes away the student's mark (predictions).
        frame: row, column, rows and columns, in drawn cells, of a dashed frame (a crop); it may
            reach beyond the grid.
        frame_drags: whether the frame's left and right edges can be dragged.
        compact: small cells without digits, whatever the size (a sparsity picture, an image).
        letter: before row and column in the name that a screen reader says; the role's by default.
        transposes: the grid of which this is the transpose: when this one appears, its entries
            come over from there.
    """

    name: str
    role: Role
    texts: Sequence[str]
    columns: int
    title: str = ""
    marks: str = ""
    origin: tuple[int, int] = (0, 0)
    values: Sequence[float] | None = None
    ramp: Literal["positive", "signed"] | None = None
    tints: Sequence[int] | None = None
    bright: Sequence[int] = ()
    changed: Sequence[int] = ()
    editable: bool = False
    markable: bool = False
    frame: tuple[int, int, int, int] | None = None
    frame_drags: bool = False
    compact: bool = False
    letter: str = ""
    transposes: str = ""

    def __post_init__(self) -> None:
        cells = len(self.texts)
        if self.columns < 1 or cells % self.columns:
            raise ValueError(f"{cells} texts do not fill rows of {self.columns} cells")
        for what in (self.marks, self.values, self.tints):
            if what is not None and len(what) not in (0, cells):
                raise ValueError(f"{self.name} has {cells} cells and {len(what)} marks or values")
        if set(self.marks) - set(get_args(Mark)):
            raise ValueError(f"marks are {get_args(Mark)}, not {self.marks!r}")
        if self.values is not None and not all(map(math.isfinite, self.values)):
            raise ValueError(f"a value of {self.name} is not a finite number")
        for what in (self.bright, self.changed):
            if len(what) and not 0 <= min(what) <= max(what) < cells:
                raise ValueError(f"{self.name} has {cells} cells, but not all of {list(what)}")

    @property
    def rows(self) -> int:
        return len(self.texts) // self.columns


@dataclass(frozen=True)
class Links:
    """Cells that belong together, one link a place: the same place in every list.

    Attributes:
        cells: by grid, the flat drawn cell of each link, -1 for none. A convolution has one link
            for each weight that meets a cell: its output, its input, its tap in the kernel.
        lines: whether active links are drawn as lines between cells (stacked one-row grids).
    """

    cells: Mapping[str, Sequence[int]]
    lines: bool = False

    def __post_init__(self) -> None:
        if len({len(column) for column in self.cells.values()}) > 1:
            raise ValueError("every link needs a place in every list of cells")


@dataclass(frozen=True)
class Steps:
    """The picture as it is built, cell by cell, when it is played or scrubbed.

    Attributes:
        grid: the grid through which the steps walk: outputs (convolution), inputs (overlap-add).
        cells: the active cell of every step.
        writes: by grid, for every step the (cell, text) that appear in it; a later text replaces
            an earlier one. Grids named here start empty and end with their own texts.
        word: what a step is, for the player: "output", "copy", "layer".
        lights: for every step, by grid, the cells that are lit instead of those linked to the
            active one; empty to follow the links.
        says: for every step what the term strip says instead of the active cell's term.
    """

    grid: str
    cells: Sequence[int]
    writes: Mapping[str, Sequence[Sequence[tuple[int, str]]]] = field(default_factory=dict)
    word: str = "step"
    lights: Sequence[Mapping[str, Sequence[int]]] = ()
    says: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, writes in self.writes.items():
            if len(writes) != len(self.cells):
                raise ValueError(f"{len(self.cells)} steps, but {len(writes)} writes for {name}")
        for what in (self.lights, self.says):
            if what and len(what) != len(self.cells):
                raise ValueError(f"{len(self.cells)} steps, but {len(what)} lights or texts")

    def touched(self) -> Iterator[tuple[str, list[int]]]:
        """By grid, the cells that steps make active, write or light."""
        yield self.grid, list(self.cells)
        for lit in self.lights:
            yield from ((name, list(cells)) for name, cells in lit.items())
        for name, writes in self.writes.items():
            yield name, [cell for step in writes for cell, _ in step]


@dataclass(frozen=True)
class Scene:
    """A whole picture.

    Attributes:
        rows: from top to bottom, each from left to right: grids, and signs between them
            ("∗", "⋆", "=", "→", "+").
        links: groups of links. Pointing at a cell lights what its links hold in every other grid,
            and goes on from there through the other groups (pooled → pooled → unpooled), but from
            a kernel, whose weights meet everything, only to the same weights elsewhere (a group of
            nothing but kernels). A grid is lit by the nearest groups only.
        terms: by grid, what the term strip says for each of its cells: text in which
            `{x:…}`, `{w:…}`, `{y:…}`, `{p:…}` are chips in the colours of input, kernel, output
            and padding.
        rest: what the term strip says while nothing is pointed at.
        steps: how the picture is played; None for no player.
        views: labels of the pictures between which keys 1–4 switch; the tabs above the picture.
        view: the one that this scene is.
        flat: whether it shows one axis in place of two: a pinned cell is then found by its column.
    """

    rows: Sequence[Sequence[Grid | str]]
    links: Sequence[Links] = ()
    terms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rest: str = ""
    steps: Steps | None = None
    views: Sequence[str] = ()
    view: int = 0
    flat: bool = False

    def __post_init__(self) -> None:
        sizes = {grid.name: len(grid.texts) for grid in self.grids}
        if len(sizes) != len(self.grids):
            raise ValueError("every grid of a scene needs a name of its own")
        for group in self.links:
            for name, cells in group.cells.items():
                if name not in sizes:
                    raise ValueError(f"links name the grid {name!r}, which the scene lacks")
                if len(cells) and not -1 <= min(cells) <= max(cells) < sizes[name]:
                    raise ValueError(f"a link leaves the grid {name!r}")
        for name, terms in self.terms.items():
            if sizes.get(name) != len(terms):
                raise ValueError(f"terms for {name!r} do not fit its {sizes.get(name)} cells")
        for name, cells in self.steps.touched() if self.steps else ():
            if name not in sizes:
                raise ValueError(f"steps name the grid {name!r}, which the scene lacks")
            if cells and not 0 <= min(cells) <= max(cells) < sizes[name]:
                raise ValueError(f"a step leaves the grid {name!r}")
        if self.views and not 0 <= self.view < len(self.views):
            raise ValueError(f"view {self.view} is none of the {len(self.views)}")

    @property
    def grids(self) -> list[Grid]:
        return [item for row in self.rows for item in row if isinstance(item, Grid)]

    def grid(self, name: str) -> Grid:
        """The grid of this name.

        Raises:
            KeyError: the scene has no such grid.
        """
        for grid in self.grids:
            if grid.name == name:
                return grid
        raise KeyError(name)


_WORTH_IT = 2
"""Characters that a short form must save."""
_LONG = len("1.0e5") + _WORTH_IT


def short_forms(scene: Scene) -> dict[str, str]:
    """The numbers of a scene that are long, and how they are written where they do not fit."""
    texts = {text for grid in scene.grids for text in grid.texts if len(text) >= _LONG}
    for steps in scene.steps.writes.values() if scene.steps else ():
        texts.update(text for step in steps for _, text in step if len(text) >= _LONG)
    found = {}
    for text in texts:
        try:
            short = brief(float(text.replace("−", "-")))
        except ValueError:  # no number
            continue
        if len(short) + _WORTH_IT <= len(text):
            found[text] = short
    return found


def payload(scene: Scene) -> dict[str, Any]:
    """The scene as JSON values, without what is empty, for the browser."""
    return {
        "rows": [
            [item if isinstance(item, str) else _grid(item) for item in row] for row in scene.rows
        ],
        "links": [
            {
                "cells": {
                    name: [int(cell) for cell in cells] for name, cells in group.cells.items()
                },
                "lines": group.lines,
            }
            for group in scene.links
        ],
        "short": short_forms(scene),
        "terms": {name: list(terms) for name, terms in scene.terms.items()},
        "rest": scene.rest,
        "steps": scene.steps
        and {
            "grid": scene.steps.grid,
            "cells": [int(cell) for cell in scene.steps.cells],
            "writes": {
                name: [[[int(cell), text] for cell, text in step] for step in steps]
                for name, steps in scene.steps.writes.items()
            },
            "word": scene.steps.word,
            "lights": [
                {name: [int(cell) for cell in cells] for name, cells in step.items()}
                for step in scene.steps.lights
            ],
            "says": list(scene.steps.says),
        },
        "views": list(scene.views),
        "view": scene.view,
        "flat": scene.flat,
    }


def _grid(grid: Grid) -> dict[str, Any]:
    given = {
        "name": grid.name,
        "role": grid.role,
        "texts": list(grid.texts),
        "columns": grid.columns,
        "title": grid.title,
        "marks": grid.marks,
        "origin": list(grid.origin),
        "values": None if grid.values is None else [float(value) for value in grid.values],
        "ramp": grid.ramp,
        "tints": None if grid.tints is None else [int(tint) for tint in grid.tints],
        "bright": [int(cell) for cell in grid.bright],
        "changed": [int(cell) for cell in grid.changed],
        "editable": grid.editable,
        "markable": grid.markable,
        "frame": None if grid.frame is None else list(grid.frame),
        "frame_drags": grid.frame_drags,
        "compact": grid.compact,
        "letter": grid.letter or ROLE_LETTERS.get(grid.role, ""),
        "transposes": grid.transposes,
    }
    return {name: value for name, value in given.items() if value not in (None, "", [], False)}
