"""The pictures of the lesson on unpooling.

Down: sum (or average) pooling, strided subsampling, max pooling. In between: the rest of the
network, a map z that the visitor can edit. Up: the transposes of the three, applied to z.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from explainer.components.linked_grid import Grid, Links, Scene, Steps
from explainer.ops import (
    LinearMap,
    MaxPooling,
    avg_pool,
    bicubic,
    bilinear,
    max_pool,
    max_unpool,
    names,
    nearest,
    number,
    subsample,
    sum_pool,
)
from explainer.ops.grids import window
from explainer.ui import values
from explainer.ui.pictures import inputs
from explainer.ui.pictures.parts import chips, grid, joined, numbers, output_terms, size

Floats = NDArray[np.float64]

VIEWS = ("Unpooling", "Interpolation")

SLIDE = ((1, 2, 6, 3), (3, 5, 2, 1), (1, 2, 2, 1), (7, 3, 4, 8))
"""The 4×4 input of the lectures' max pooling."""

MOVED = "1,5,6,3;3,2,2,1;1,2,2,1;7,3,4,8"
"""The same with the 5 one cell further up, in exchange for the 2."""

TIES = "1,5,6,3;3,5,2,6;7,2,2,8;7,3,8,4"
"""An input whose every 2×2 window has its maximum twice."""

UNPOOLED = "unpooled"
"""The grid of max unpooling, which a prediction hides."""

POOLED = {"total": "the sums", "first": "subsampling", "maxima": "the maxima"}
BACK = {
    "nearest": "nearest",
    "nails": "bed of nails",
    UNPOOLED: "max unpooling",
    "summed": "max pooling transposed",
}
"""The grids of the pooled and of the unpooled maps, and what the words below the picture call
them."""


@dataclass(frozen=True)
class State:
    """The settings of the page; `x` and `z` are the edited numbers of the address, or "".

    Attributes:
        size: cells of the input along an axis.
        kernel, stride: of the pooling windows; the stride is the factor of the unpooling.
        average: whether the first pooling averages its windows instead of adding them up.
        align_corners: of the bilinear and bicubic interpolation.
    """

    size: int = 4
    kernel: int = 2
    stride: int = 2
    average: bool = False
    align_corners: bool = False
    x: str = ""
    z: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        return (self.size, self.size)

    @property
    def input(self) -> Floats:
        slide = np.array(SLIDE, np.float64)
        start = slide if slide.shape == self.shape else inputs.digits(self.shape)
        return inputs.edited(self.x, start)

    @property
    def overlaps(self) -> bool:
        """Whether neighbouring windows share cells."""
        return self.kernel > self.stride


@dataclass(frozen=True)
class Numbers:
    """Everything that is computed for a state.

    Attributes:
        x, z: the input, and the map after the rest of the network.
        total, first: the linear poolings: sum or average, and the first cell of each window.
        maximum: max pooling at x.
    """

    x: Floats
    z: Floats
    total: LinearMap
    first: LinearMap
    maximum: MaxPooling

    @property
    def pooled(self) -> dict[str, Floats]:
        """The pooled maps by the names of their grids."""
        maps = (self.total(self.x), self.first(self.x), self.maximum.values)
        return dict(zip(POOLED, maps, strict=True))

    @property
    def back(self) -> dict[str, Floats]:
        """What the unpoolings make of z, by the names of their grids."""
        maps = (
            self.total.T(self.z),
            self.first.T(self.z),
            max_unpool(self.z, self.maximum.positions, self.x.shape),
            self.maximum.selection.T(self.z),
        )
        return dict(zip(BACK, maps, strict=True))


@lru_cache(maxsize=64)
def compute(state: State) -> Numbers:
    """The numbers of a state.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    x = state.input
    maximum = max_pool(x, state.kernel, state.stride)
    pooled = maximum.values.shape
    pool = avg_pool if state.average else sum_pool
    # Every stride-th cell, as many as there are windows.
    seen = [(count - 1) * state.stride + 1 for count in pooled]
    return Numbers(
        x,
        inputs.edited(state.z, np.arange(1.0, 1 + maximum.values.size).reshape(pooled)),
        pool(state.shape, state.kernel, state.stride),
        subsample(seen, state.stride) @ window(state.shape, (0, 0), seen),
        maximum,
    )


def pooled_size(state: State) -> int:
    """Cells of the pooled maps along an axis.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    return compute(state).z.shape[0]


def places(state: State) -> frozenset[int]:
    """The flat cells to which max unpooling puts values.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    return frozenset(compute(state).maximum.positions.ravel().tolist())


def gone(state: State) -> tuple[int, int]:
    """How many values of the input max pooling loses, and how many there are.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    cells = state.size**2
    return cells - len(places(state)), cells


def maxima_as_z(state: State) -> str:
    """The max-pooled map as the text for z: as if the rest of the network changed nothing.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    return values.written(compute(state).maximum.values.tolist())


# What a student predicts


def guessed(marks: str, state: State) -> frozenset[int]:
    """The cells of max unpooling that a student has marked, of "unpooled:0,5"; others are ignored.

    The text comes from the browser, so nothing in it is believed.
    """
    cells: set[int] = set()
    for part in marks[: 8 * state.size**2 + 64].split(";"):
        name, _, places_ = part.rpartition(":")
        if name == UNPOOLED:
            cells |= {int(place) for place in places_.split(",") if place.isdecimal()}
    return frozenset(cell for cell in cells if cell < state.size**2)


def verdict(state: State, guess: frozenset[int]) -> tuple[bool, str, str]:
    """Whether a prediction is right, the answer, and what there is to see now.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    truth = places(state)
    lost, cells = gone(state)
    answer = "where the maxima were."
    why = f"Zeros elsewhere: {lost} of {cells} values are gone."
    if state.x == MOVED and not changes(state).keys() & POOLED.keys():
        why += " The 5 moved, and no pooled map has noticed."
    if guess == truth:
        return True, answer, f"All {len(truth)} are right. {why}"
    wrong = len(guess - truth)
    off = f", and {wrong} {'is' if wrong == 1 else 'are'} wrong" if wrong else ""
    return False, answer, f"{len(guess & truth)} of {len(truth)} are right{off}. {why}"


# The picture of pooling and unpooling


@lru_cache(maxsize=64)
def scene(state: State, view: str = VIEWS[0], hidden: bool = False) -> Scene:
    """The picture of a view.

    Args:
        hidden: whether a student predicts the cells of max unpooling: then nothing tells them.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    drawn = interpolation(state) if view == VIEWS[1] else unpooling(state, hidden)
    return replace(drawn, views=VIEWS, view=VIEWS.index(view))


def unpooling(state: State, hidden: bool = False) -> Scene:
    """The poolings above, the unpoolings below, and the map z before them.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    now = compute(state)
    changed = {} if hidden else changes(state)
    chosen = [] if hidden else sorted(places(state))
    titles = _titles(state)
    if not state.overlaps:
        del titles["summed"]
    if hidden:
        titles.pop("summed", None)
        titles[UNPOOLED] = "max unpooling?"
    marks = _marks(now)
    shown = {"input": now.x, **now.pooled, "z": now.z, **now.back}

    def made(name: str, **more) -> Grid:
        role = "input" if name in ("input", "z") else "output"
        return grid(
            name,
            role,
            shown[name],
            title=titles[name],
            marks=marks.get(name, ""),
            changed=changed.get(name, ()),
            **more,
        )

    def way_back(name: str) -> Grid:
        if hidden and name == UNPOOLED:
            blank = [""] * now.x.size
            return Grid(name, "output", blank, now.x.shape[1], title=titles[name], markable=True)
        return made(name, bright=chosen if name in (UNPOOLED, "summed") else ())

    down = [made(name, letter="p") for name in POOLED]
    up = [way_back(name) for name in BACK if name in titles]
    rows = [
        [made("input", bright=chosen, editable=True), "→", *down],
        [made("z", letter="z", editable=True), "→", *up],
    ]
    drawn = {item.name for row in rows for item in row if isinstance(item, Grid)}
    terms = {
        "input": _input_terms(now, hidden),
        "total": _total_terms(state, now),
        "first": _first_terms(now),
        "maxima": _maxima_terms(now, hidden),
        "z": _z_terms(state, now, hidden),
        "nearest": _nearest_terms(state, now),
        "nails": _nails_terms(now),
        UNPOOLED: ["will a value of z stand here?"] * now.x.size
        if hidden
        else _unpooled_terms(now),
        "summed": _summed_terms(now),
    }
    return Scene(
        rows,
        _links(now, [name for name in (UNPOOLED, "summed") if name in drawn and not hidden]),
        {name: lines for name, lines in terms.items() if name in drawn},
        "to which cells will max unpooling put the values of z? Click them"
        if hidden
        else _rest(state, changed),
        None if hidden else _steps(now, drawn),
    )


def _titles(state: State) -> dict[str, str]:
    copies = "nearest" if state.kernel == state.stride else "copies"
    if state.average:
        copies += f" ÷ {state.kernel**2}"
    if state.overlaps:
        copies += ", summed"
    return {
        "input": f"input x, {size(state.shape)}",
        "total": "average pooling" if state.average else "sum pooling",
        "first": "subsampling",
        "maxima": "max pooling",
        "z": "network: z" if state.overlaps else "rest of network: z",
        "nearest": copies,
        "nails": "bed of nails",
        UNPOOLED: "max_unpool2d" if state.overlaps else "max unpooling",
        "summed": "max, summed",
    }


def _marks(now: Numbers) -> dict[str, str]:
    """By grid: cells that no window reads, cells that nothing reaches, and zeros in between."""
    windows, selection = now.maximum.windows, now.maximum.selection
    marks = {
        "input": np.where(windows.usage().ravel() == 0, "u", "."),
        "nearest": np.where(now.total.usage().ravel() == 0, "e", "."),
        "nails": np.where(now.first.usage().ravel() == 0, "z", "."),
        UNPOOLED: np.where(selection.usage().ravel() == 0, "z", "."),
    }
    marks["summed"] = marks[UNPOOLED]
    return {name: "".join(row) for name, row in marks.items()}


def changes(state: State) -> dict[str, list[int]]:
    """By grid the cells that editing x has changed; grids without any are left out.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    now, before = compute(state), compute(replace(state, x=""))
    pairs = [("input", now.x, before.x)]
    pairs += [(name, now.pooled[name], before.pooled[name]) for name in POOLED]
    pairs += [(name, now.back[name], before.back[name]) for name in BACK]
    cells = {name: np.flatnonzero(here != there).tolist() for name, here, there in pairs}
    return {name: flat for name, flat in cells.items() if flat}


def _rest(state: State, changed: dict[str, list[int]]) -> str:
    """What the strip says while nothing is pointed at."""
    if changed:
        words = {"input": "x", **POOLED, **BACK}
        if state.average:
            words["total"] = "the averages"
        del words["summed"]
        moved = [word for name, word in words.items() if name in changed]
        stayed = [word for name, word in words.items() if name not in changed]
        if not changed.keys() & POOLED.keys():
            stayed = ["the pooled maps", *(word for word in stayed if word in BACK.values())]
        same = f". As before: {', '.join(stayed)}" if stayed else ""
        return f"dotted cells have changed: {', '.join(moved)}{same}"
    if state.overlaps:
        return (
            "windows overlap: where two chose the same cell, the transpose adds their values, "
            "PyTorch’s max_unpool2d overwrites"
        )
    if state.kernel < state.stride:
        return "the windows leave gaps: what lies there is never read, and nothing is put back"
    return "below each pooling its transpose; filled: where the maxima were"


# Links and steps


def _links(now: Numbers, maxima: Sequence[str]) -> list[Links]:
    """Input to pooled; and pooled, z and unpooled. All poolings share a group each time: pointing
    at one column's cell then lights the others only where it is z or x that they share.

    Args:
        maxima: the grids of max unpooling that may be lit.
    """
    selection = now.maximum.selection
    linear = {"total": now.total, "first": now.first}
    # Max pooling compares all cells of a window.
    down = [
        {"input": A.cols, name: A.rows}
        for name, A in (linear | {"maxima": now.maximum.windows}).items()
    ]
    up = [
        {name: A.rows, "z": A.rows, back: A.cols}
        for (name, A), back in zip(linear.items(), ("nearest", "nails"), strict=True)
    ]
    up.append(
        {"maxima": selection.rows, "z": selection.rows} | dict.fromkeys(maxima, selection.cols)
    )
    return [_group(down), _group(up)]


def _group(parts: Iterable[dict[str, NDArray[np.intp]]]) -> Links:
    """One group of links from several, which lack (-1) the grids of the others."""
    parts = list(parts)
    cells: dict[str, list[int]] = {name: [] for part in parts for name in part}
    for part in parts:
        count = len(next(iter(part.values())))
        for name, column in cells.items():
            column += part[name].tolist() if name in part else [-1] * count
    return Links(cells)


def _steps(now: Numbers, drawn: Iterable[str]) -> Steps:
    """Window by window: what is pooled, and where the value of z goes."""
    windows = range(now.z.size)
    writes: dict[str, list[list[tuple[int, str]]]] = {}
    for name, pooled in now.pooled.items():
        writes[name] = [[write] for write in enumerate(numbers(pooled))]
    ways = {"nearest": now.total, "nails": now.first, "summed": now.maximum.selection}
    # Max unpooling starts each cell anew: it overwrites. The transposes add to what is there.
    ways[UNPOOLED] = now.maximum.selection
    for name, A in ways.items():
        if name not in drawn:
            continue
        cells = np.zeros(now.x.size)
        writes[name] = [[(cell, "0") for cell in range(now.x.size)], *([] for _ in windows[1:])]
        for place in windows:
            links = slice(*A.starts[place : place + 2])
            reached = A.cols[links]
            before = 0 if name == UNPOOLED else cells[reached]
            cells[reached] = before + A.values[links] * now.z.flat[place]
            writes[name][place] += zip(reached.tolist(), numbers(cells[reached]), strict=True)
    return Steps("z", list(windows), writes, word="window")


# Terms


def _cell(prefix: str, shape: Sequence[int]) -> list[str]:
    return names(prefix, shape).ravel().tolist()


def _compared(now: Numbers, row: int) -> list[str]:
    """The values in a window, as chips."""
    windows = now.maximum.windows
    cells = windows.cols[windows.starts[row] : windows.starts[row + 1]]
    return [chips("x", number(now.x.flat[cell])) for cell in cells]


def _input_terms(now: Numbers, hidden: bool) -> list[str]:
    windows, chosen = now.maximum.windows, now.maximum.positions.ravel()
    pooled = _cell("p", now.z.shape)
    terms = []
    for cell, name in enumerate(_cell("x", now.x.shape)):
        value = f"{chips('x', name)} = {chips('x', number(now.x.flat[cell]))}"
        readers = [chips("y", pooled[row]) for row in windows.rows[windows.cols == cell]]
        won = [chips("y", pooled[row]) for row in np.flatnonzero(chosen == cell)]
        if not readers:
            terms.append(f"{value}: no window reads it, so it is gone")
        elif hidden:
            terms.append(f"{value}, in the window of {joined(readers, ', ')}")
        elif won:
            terms.append(f"{value}, the maximum of {joined(won, ', ')}: its place is remembered")
        else:
            terms.append(f"{value}, not the maximum of its window: gone after max pooling")
    return terms


def _total_terms(state: State, now: Numbers) -> list[str]:
    pooled = now.pooled["total"].ravel()
    terms = []
    for row, name in enumerate(_cell("p", now.z.shape)):
        added = joined(_compared(now, row))
        if state.average:
            added = f"({added}) / {state.kernel**2}"
        terms.append(f"{chips('y', name)} = {added} = {chips('y', number(pooled[row]))}")
    return terms


def _first_terms(now: Numbers) -> list[str]:
    x = _cell("x", now.x.shape)
    return [
        f"{chips('y', name)} = {chips('x', x[cell])} = {chips('y', number(now.x.flat[cell]))}: "
        "the first cell of the window, the others are skipped"
        for name, cell in zip(_cell("p", now.z.shape), now.first.cols, strict=True)
    ]


def _maxima_terms(now: Numbers, hidden: bool) -> list[str]:
    x, windows = _cell("x", now.x.shape), now.maximum.windows
    terms = []
    for row, name in enumerate(_cell("p", now.z.shape)):
        largest, cell = now.maximum.values.flat[row], now.maximum.positions.flat[row]
        compared = joined(_compared(now, row), ", ")
        text = f"{chips('y', name)} = max({compared}) = {chips('y', number(largest))}"
        if not hidden:
            in_window = now.x.flat[windows.cols[windows.starts[row] : windows.starts[row + 1]]]
            tie = ", the first of equals" if np.sum(in_window == largest) > 1 else ""
            text += f", at {chips('x', x[cell])}{tie}"
        terms.append(text)
    return terms


def _z_terms(state: State, now: Numbers, hidden: bool) -> list[str]:
    x, cells = _cell("x", now.x.shape), state.kernel**2
    block = "its one cell" if cells == 1 else f"all {cells} cells of its window"
    terms = []
    for place, name in enumerate(_cell("z", now.z.shape)):
        value = f"{chips('x', name)} = {chips('x', number(now.z.flat[place]))}"
        there = chips("x", x[now.maximum.positions.flat[place]])
        remembered = "" if hidden else f"; or where the maximum was, {there}"
        terms.append(f"{value} goes to {block}; or to the first{remembered}")
    return terms


def _nearest_terms(state: State, now: Numbers) -> list[str]:
    up, made = now.total.T, now.back["nearest"].ravel()
    z, y = _cell("z", now.z.shape), _cell("y", now.x.shape)
    terms = []
    for row, name in enumerate(y):
        cells = up.cols[up.starts[row] : up.starts[row + 1]]
        left, total = chips("y", name), chips("y", number(made[row]))
        if not len(cells):
            terms.append(f"{left} = {total}: no window reaches it")
            continue
        added = joined([chips("x", z[cell]) for cell in cells])
        if state.average:
            added = f"({added})" if len(cells) > 1 else added
            added += f" / {state.kernel**2}"
        overlap = ": here windows overlap, and the transpose adds" if len(cells) > 1 else ""
        terms.append(f"{left} = {added} = {total}{overlap}")
    return terms


def _nails_terms(now: Numbers) -> list[str]:
    nails, z = now.first.T, _cell("z", now.z.shape)
    terms = []
    for row, name in enumerate(_cell("y", now.x.shape)):
        cells = nails.cols[nails.starts[row] : nails.starts[row + 1]]
        if len(cells):
            value = chips("y", number(now.z.flat[cells[0]]))
            said = f"{chips('x', z[cells[0]])} = {value}: a nail in the first cell of its window"
        else:
            said = f"{chips('p', '0')}: no nail here"
        terms.append(f"{chips('y', name)} = {said}")
    return terms


def _unpooled_terms(now: Numbers) -> list[str]:
    z, selection = _cell("z", now.z.shape), now.maximum.selection
    terms = []
    for cell, name in enumerate(_cell("y", now.x.shape)):
        rows = selection.rows[selection.cols == cell]
        if not len(rows):
            lost = chips("x", number(now.x.flat[cell]))
            terms.append(
                f"{chips('y', name)} = {chips('p', '0')}: no maximum was here, {lost} is gone"
            )
            continue
        last, kept = chips("y", number(now.z.flat[rows[-1]])), chips("x", number(now.x.flat[cell]))
        text = (
            f"{chips('y', name)} = {chips('x', z[rows[-1]])} = {last}: here was the maximum {kept}"
        )
        if len(rows) > 1:
            others = joined([chips("x", z[row]) for row in rows[:-1]], ", ")
            text = (
                f"{chips('y', name)} = {chips('x', z[rows[-1]])} = {last} has overwritten {others}"
            )
        terms.append(text)
    return terms


def _summed_terms(now: Numbers) -> list[str]:
    z, selection, made = _cell("z", now.z.shape), now.maximum.selection, now.back["summed"].ravel()
    terms = []
    for cell, name in enumerate(_cell("y", now.x.shape)):
        rows = selection.rows[selection.cols == cell]
        added = joined([chips("x", z[row]) for row in rows])
        if len(rows):
            text = f"{added} = {chips('y', number(made[cell]))}"
            if len(rows) > 1:
                text += ": the transpose, max pooling’s gradient, adds"
        else:
            text = f"{chips('p', '0')}: no maximum was here"
        terms.append(f"{chips('y', name)} = {text}")
    return terms


# Fixed interpolation


def enlarged(state: State) -> dict[str, LinearMap]:
    """The fixed interpolations of z, by the names of their grids: each stride times as large.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    shape = compute(state).z.shape
    larger = [count * state.stride for count in shape]
    return {
        "nearest": nearest(shape, larger),
        "bilinear": bilinear(shape, larger, state.align_corners),
        "bicubic": bicubic(shape, larger, state.align_corners),
    }


def interpolation(state: State) -> Scene:
    """The map z beside its three enlargements.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    now, maps = compute(state), enlarged(state)
    made = {name: A(now.z) for name, A in maps.items()}
    lowest = min(y.min() for y in made.values())
    drawn = [
        Grid(
            name,
            "output",
            numbers(y.round(2)),
            columns=y.shape[1],
            title=name,
            values=y.ravel().tolist(),
            ramp="positive" if lowest >= 0 else "signed",
        )
        for name, y in made.items()
    ]
    start = grid("z", "input", now.z, title=f"z, {size(now.z.shape)}", letter="z", editable=True)
    letters = _cell("z", now.z.shape)
    terms: dict[str, list[str]] = {name: output_terms(A, now.z) for name, A in maps.items()}
    terms["nearest"] = [
        f"{chips('y', name)} = {chips('x', letters[cell])} = "
        f"{chips('y', number(now.z.flat[cell]))}: the nearest cell"
        for name, cell in zip(
            _cell("y", maps["nearest"].output_shape), maps["nearest"].cols, strict=True
        )
    ]
    terms["z"] = [
        f"{chips('x', name)} = {chips('x', number(now.z.flat[cell]))} has a part in "
        + ", ".join(f"{A.usage().flat[cell]} cells of {map_}" for map_, A in maps.items())
        for cell, name in enumerate(letters)
    ]
    return Scene(
        [[start, "→", *drawn]],
        [_group({"z": A.cols, name: A.rows} for name, A in maps.items())],
        terms,
        "fixed weights, nothing is learned: each output copies one cell of z, or mixes 4 or 16",
    )


# The code


def snippet(state: State, view: str = VIEWS[0]) -> str:
    """PyTorch lines that give the numbers of a view.

    Raises:
        SettingError: the kernel is larger than the input.
    """
    now = compute(state)
    lines = ["import torch", "import torch.nn.functional as F", ""]
    if state.overlaps and view != VIEWS[1]:
        lines += [
            "# With several threads any of the values that max_unpool2d puts into a cell may win."
        ]
        lines += ["torch.set_num_threads(1)", ""]
    if view == VIEWS[1]:
        lines += [_tensor("z", now.z), ""]
        return "\n".join(lines + _interpolation_code(state, now))
    lines += [_tensor("x", now.x), _tensor("z", now.z) + "  # after the rest of the network", ""]
    return "\n".join(lines + _pooling_code(state) + [""] + _unpooling_code(state, now))


def _tensor(name: str, cells: Floats) -> str:
    shown = np.array2string(cells, separator=", ", threshold=10_000, max_line_width=88)
    return f"{name} = torch.tensor({shown})[None, None]"


def _every(state: State) -> str:
    """The index of the first cells of all windows."""
    seen = (pooled_size(state) - 1) * state.stride + 1
    # Where the last step would reach beyond the windows, the slice must end with them.
    last = "" if seen + state.stride > state.size else str(seen)
    one = f":{last}:{state.stride}"
    return f"..., {one}, {one}"


def _pooling_code(state: State) -> list[str]:
    k, s = state.kernel, state.stride
    divisor = "" if state.average else ", divisor_override=1"
    return [
        f"total = F.avg_pool2d(x, {k}, stride={s}{divisor})",
        f"first = x[{_every(state)}]",
        f"maxima, places = F.max_pool2d(x, {k}, stride={s}, return_indices=True)",
    ]


def _unpooling_code(state: State, now: Numbers) -> list[str]:
    k, s, n = state.kernel, state.stride, state.size
    if k == s and n % s == 0 and not state.average:
        copies = f'nearest = F.interpolate(z, scale_factor={s}, mode="nearest")'
    else:
        # The transpose of the pooling; output_padding brings the input's size back.
        more = n - ((now.z.shape[0] - 1) * s + k)
        ones = f"torch.ones(1, 1, {k}, {k})" + (f" / {k * k}" if state.average else "")
        copies = f"nearest = F.conv_transpose2d(z, {ones}, stride={s}, output_padding={more})"
    lines = [
        copies,
        "nails = torch.zeros_like(x)",
        f"nails[{_every(state)}] = z",
        f"unpooled = F.max_unpool2d(z, places, {k}, stride={s}, output_size=({n}, {n}))",
    ]
    shown = "total, first, maxima, nearest, nails, unpooled"
    if state.overlaps:
        lines += [
            "",
            "# The transpose is max pooling's gradient: it adds where max_unpool2d overwrites.",
            "x.requires_grad_()",
            f"F.max_pool2d(x, {k}, stride={s}).backward(z)",
            "summed = x.grad",
        ]
        shown += ", summed"
    return [*lines, "", f"for y in ({shown}):", "    print(y[0, 0])"]


def _interpolation_code(state: State, now: Numbers) -> list[str]:
    larger = tuple(count * state.stride for count in now.z.shape)
    align = f", align_corners={state.align_corners}"
    return [
        f'nearest = F.interpolate(z, size={larger}, mode="nearest")',
        f'bilinear = F.interpolate(z, size={larger}, mode="bilinear"{align})',
        f'bicubic = F.interpolate(z, size={larger}, mode="bicubic"{align})',
        "",
        "for y in (nearest, bilinear, bicubic):",
        "    print(y[0, 0])",
    ]
