"""A small drawing for every lesson, made from the operations themselves."""

import base64
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from explainer.ops import (
    bed_of_nails,
    conv,
    layer_maps,
    max_pool,
    max_unpool,
    reached,
    transposed_conv,
)
from explainer.ops.receptive import Layer
from explainer.ui.lessons import (
    CHECKERBOARD,
    CONVOLUTION,
    DILATION,
    RECEPTIVE_FIELD,
    TRANSPOSED_CONVOLUTION,
    UNPOOLING,
    Lesson,
)

CELL = 24
GAP = 44
WIDTH, HEIGHT = 360, 204

# Fill and stroke of a cell; lower case is the role, upper case the same cell lit (VISUAL.md).
COLOURS = {
    "x": ("#C7E0EE", "#0072B2"),
    "X": ("#56B4E9", "#0072B2"),
    "y": ("#C7EAE0", "#009E73"),
    "Y": ("#3DBE96", "#009E73"),
    "w": ("#FAEAC7", "#E69F00"),
    "0": ("#F1F3F5", "#9AA4B2"),
}
SIGN = "#7A828E"
"""Of what stands on the page itself, to be seen in its light and its dark theme."""
CIVIDIS = ("#00224E", "#575D6D", "#A59C74", "#FEE838")

Cells = NDArray[np.str_]
Colours = dict[str, tuple[str, str]]


def svg(*grids: tuple[Cells, NDArray | None], colours: Colours = COLOURS, signs: str = "→→") -> str:
    """Grids side by side as an SVG: the kind of each cell, and the numbers in them if any."""
    cells = max(grid.shape[0] for grid, _ in grids)
    across = sum(grid.shape[1] for grid, _ in grids)
    size = min(CELL, (HEIGHT - 16) / cells, (WIDTH - 16 - GAP * (len(grids) - 1)) / across)
    left = (WIDTH - size * across - GAP * (len(grids) - 1)) / 2
    parts = []
    for place, (grid, numbers) in enumerate(grids):
        top = (HEIGHT - size * grid.shape[0]) / 2
        if place:
            x, y = left - GAP / 2, HEIGHT / 2 + 8
            parts.append(
                f'<text x="{x:.1f}" y="{y}" font-size="24" fill="{SIGN}">{signs[place - 1]}</text>'
            )
        for (row, column), kind in np.ndenumerate(grid):
            x, y = left + column * size, top + row * size
            fill, stroke = colours[str(kind)]
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" '
                f'fill="{fill}" stroke="{stroke}"/>'
            )
            if numbers is not None:
                parts.append(
                    f'<text x="{x + size / 2:.1f}" y="{y + size * 0.68:.1f}" '
                    f'font-size="{size * 0.55:.1f}">{numbers[row, column]:.0f}</text>'
                )
        left += size * grid.shape[1] + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" text-anchor="middle">'
        f"{''.join(parts)}</svg>"
    )


def _lit(kind: str, lit: NDArray) -> Cells:
    return np.where(lit, kind.upper(), kind)


def _one(shape: tuple[int, int], cell: tuple[int, int]) -> NDArray:
    found = np.zeros(shape, bool)
    found[cell] = True
    return found


def _convolution() -> str:
    A = conv((6, 6), np.ones((3, 3)), stride=1)
    cell = (1, 2)
    seen = reached([A], cell)
    return svg((_lit("x", seen), None), (_lit("y", _one((4, 4), cell)), None))


def _dilation() -> str:
    A = conv((7, 7), np.ones((3, 3)), dilation=3)
    return svg((_lit("x", reached([A], (0, 0))), None), (np.array([["Y"]]), None))


def _receptive_field() -> str:
    maps = layer_maps([Layer(3), Layer(3), Layer(3, stride=2)], 13)
    rows = []
    for depth in range(len(maps), -1, -1):
        seen = (
            _one((1, maps[-1].output_shape[0]), (0, 1))[0]
            if depth == len(maps)
            else reached(maps[depth:], 1)
        )
        kinds = _lit("y" if depth else "x", seen)
        side = (13 - len(kinds)) // 2
        rows.append(np.pad(kinds, (side, 13 - len(kinds) - side), constant_values=" "))
        rows.append(np.full(13, " "))
    return svg((np.stack(rows[:-1]), None), colours=COLOURS | {" ": ("none", "none")})


def _unpooling() -> str:
    x = [[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]
    pooled = max_pool(x, 2)
    back = max_unpool([[1, 2], [3, 4]], pooled.positions, (4, 4))
    nails = bed_of_nails((2, 2), 2)([[1, 2], [3, 4]])
    return svg(
        (np.full((2, 2), "x"), np.array([[1, 2], [3, 4]])),
        (np.where(nails > 0, "Y", "0"), nails),
        (np.where(back > 0, "Y", "0"), back),
        signs="→ ",
    )


def _transposed() -> str:
    A = transposed_conv((2, 2), np.ones((3, 3)), stride=2)
    stamp = A.stamp((0, 1)) > 0
    return svg((_lit("x", _one((2, 2), (0, 1))), None), (_lit("y", stamp), A.coverage()))


def _checkerboard() -> str:
    counts = transposed_conv((6, 6), np.ones((3, 3)), stride=2).coverage()[1:8, 1:12]
    shades = {str(count): (CIVIDIS[level], SIGN) for level, count in enumerate((1, 2, 4))}
    shades |= {"4": (CIVIDIS[3], SIGN)}
    return svg((counts.astype(str), None), colours=shades)


DRAWINGS: dict[Lesson, Callable[[], str]] = {
    CONVOLUTION: _convolution,
    DILATION: _dilation,
    RECEPTIVE_FIELD: _receptive_field,
    UNPOOLING: _unpooling,
    TRANSPOSED_CONVOLUTION: _transposed,
    CHECKERBOARD: _checkerboard,
}


def source(lesson: Lesson) -> str:
    """The drawing of a lesson as the source of an image.

    Raises:
        KeyError: there is none.
    """
    return "data:image/svg+xml;base64," + base64.b64encode(DRAWINGS[lesson]().encode()).decode()
