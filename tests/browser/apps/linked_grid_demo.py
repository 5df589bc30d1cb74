"""The linked grid alone: `?scene=conv|frame|matrix|stack|overlap|predict|compact|ramps|tints`.

Every number and link comes from `explainer.ops`.
"""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explainer.components.linked_grid import (
    LINKED_GRID,
    Grid,
    Links,
    Scene,
    Steps,
    linked_grid,
    message,
)
from explainer.ops import LinearMap, conv, number, transposed_conv

KERNEL = np.array([[0, 1, -1], [2, -0.25, 0], [1, 0, 3]])
SMALL = np.array([[0, 1], [2, 3]])
KEY = "grid"


def whole(shape: tuple[int, ...], seed: int = 3) -> NDArray[np.float64]:
    """Whole numbers from −9 to 9."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


def texts(values: NDArray[np.float64]) -> list[str]:
    return [number(value) for value in values.ravel()]


def conv_map(size: int, stride: int = 1, padding: int = 1) -> LinearMap:
    """3×3 convolution with KERNEL."""
    return conv((size, size), KERNEL, stride, padding)


def conv_links(valid: LinearMap) -> Links:
    """One link for each weight that meets a cell of the padded grid."""
    table = valid.link_table()
    return Links({"output": table["output"], "input": table["input"], "kernel": table["tap"]})


def term(valid: LinearMap, padded: NDArray[np.float64], marks: str, output: int) -> str:
    """The sum of an output cell with chips."""
    places = slice(*valid.starts[output : output + 2])
    read = [("p" if marks[c] == "p" else "x", number(padded.flat[c])) for c in valid.cols[places]]
    parts = [
        f"{{w:{number(weight)}}}·{{{chip}:{text}}}"
        for weight, (chip, text) in zip(valid.values[places], read, strict=True)
    ]
    return f"{{y:{number(valid(padded).flat[output])}}} = {' + '.join(parts)}"


def conv_scene(size: int = 5, stride: int = 1, padding: int = 1) -> Scene:
    """Convolution on the padded grid, with the player building the output."""
    valid, embedding = conv_map(size, stride, padding).factors
    padded = embedding(whole((size, size)))
    result = valid(padded)
    marks = "".join(
        "p" if not arrives else "." if read else "u"
        for arrives, read in zip(embedding.coverage().flat, valid.usage().flat, strict=True)
    )
    side, out = embedding.output_shape[1], valid.output_shape[1]
    return Scene(
        rows=[
            [
                Grid(
                    "input",
                    "input",
                    texts(padded),
                    side,
                    f"input x, {size}×{size}",
                    marks=marks,
                    origin=(padding, padding),
                ),
                "∗",
                Grid("kernel", "kernel", texts(KERNEL), 3, "kernel w, 3×3"),
                "=",
                Grid("output", "output", texts(result), out, f"output y, {out}×{out}"),
            ]
        ],
        links=[conv_links(valid)],
        terms={"output": [term(valid, padded, marks, cell) for cell in range(result.size)]},
        rest="Point at a cell: an output reads a window, an input reaches several outputs.",
        steps=Steps(
            "output",
            list(range(result.size)),
            {"output": [[(cell, text)] for cell, text in enumerate(texts(result))]},
            word="output",
        ),
    )


def matrix_scene() -> Scene:
    """The lectures' 4×16 matrix of a 3×3 kernel on 4×4, with its grids above."""
    layer = conv((4, 4), KERNEL)
    x = whole((4, 4))
    table = layer.link_table()
    entries = [row * 16 + col for row, col in zip(table["output"], table["input"], strict=True)]
    return Scene(
        rows=[
            [
                Grid("input", "input", texts(x), 4, "input x"),
                "∗",
                Grid("kernel", "kernel", texts(KERNEL), 3, "kernel w"),
                "=",
                Grid("output", "output", texts(layer(x)), 2, "output y"),
            ],
            [Grid("matrix", "plain", list(layer.symbols().ravel()), 16, "matrix C, 4×16")],
        ],
        links=[
            Links(
                {
                    "output": table["output"],
                    "input": table["input"],
                    "kernel": table["tap"],
                    "matrix": entries,
                }
            )
        ],
        rest="A row of the matrix for every output, a column for every input.",
    )


def stack_maps(size: int = 13) -> list[LinearMap]:
    """Three 3-tap layers, dilations 1, 2, 2, on one axis, input first."""
    maps: list[LinearMap] = []
    for dilation in (1, 2, 2):
        maps.append(conv((size,), np.ones(3), dilation=dilation))
        (size,) = maps[-1].output_shape
    return maps


def stack_scene() -> Scene:
    """One-row grids with lines, the last layer on top."""
    maps = stack_maps()
    shapes = [maps[0].input_shape, *(layer.output_shape for layer in maps)]
    values = [np.arange(1.0, shapes[0][0] + 1)]
    for layer in maps:
        values.append(layer(values[-1]))
    grids = [
        Grid(
            f"layer{place}",
            "input" if place == 0 else "output",
            texts(value),
            value.size,
            "input x" if place == 0 else f"layer {place}",
            letter="x" if place == 0 else "y",
        )
        for place, value in enumerate(values)
    ]
    links = []
    for place, layer in enumerate(maps):
        table = layer.link_table()
        cells = {f"layer{place + 1}": table["output"], f"layer{place}": table["input"]}
        links.append(Links(cells, lines=True))
    return Scene(
        rows=[[grid] for grid in reversed(grids)],
        links=links,
        rest="Point at the top: what it sees grows from layer to layer.",
    )


def frame_scene(left: int = 1, right: int = 0) -> Scene:
    """The uncropped canvas of a transposed convolution, 2×2 → 5×5, with its crop."""
    full = transposed_conv((2, 2), np.ones((3, 3)), stride=2)
    x = np.array([[1.0, 2], [3, 4]])
    table = full.link_table()
    width = 5 - left - right
    return Scene(
        rows=[
            [
                Grid("input", "input", texts(x), 2, "input x, 2×2"),
                "→",
                Grid(
                    "output",
                    "output",
                    texts(full(x)),
                    5,
                    "uncropped output y, 5×5",
                    marks="".join("." if hit else "e" for hit in full.coverage().flat),
                    frame=(left, left, width, width),
                    frame_drags=True,
                ),
            ]
        ],
        links=[Links({"output": table["output"], "input": table["input"]})],
        rest=f"padding {left} on the left, {right} on the right",
    )


def overlap_scene() -> Scene:
    """Overlap-add: every step stamps a weighted copy of the kernel."""
    x = np.array([[0.0, 1], [2, 3]])
    up = transposed_conv((2, 2), SMALL)
    canvas = np.zeros((3, 3))
    writes = []
    for cell in np.ndindex(2, 2):
        canvas += up.stamp(cell, float(x[cell]))
        reached = [int(np.ravel_multi_index(link.output, (3, 3))) for link in up.reaches(cell)]
        writes.append([(place, number(canvas.flat[place])) for place in reached])
    table = up.link_table()
    return Scene(
        rows=[
            [
                Grid("input", "input", texts(x), 2, "input x, 2×2"),
                "∗",
                Grid("kernel", "kernel", texts(SMALL), 2, "kernel w, 2×2"),
                "→",
                Grid("output", "output", texts(up(x)), 3, "output y, 3×3"),
            ]
        ],
        links=[Links({"output": table["output"], "input": table["input"], "kernel": table["tap"]})],
        rest="Every input stamps a copy of the kernel; where copies overlap they add up.",
        steps=Steps("input", range(4), {"output": writes}, word="copy"),
        views=["overlap-add", "matrix", "zero insertion", "gradient"],
        view=0,
    )


def predict_scene() -> Scene:
    """Remembered positions, a grid to mark and one to edit."""
    x = np.array([1, 2, 6, 3, 3, 5, 2, 1, 1, 2, 2, 1, 7, 3, 4, 8.0])
    return Scene(
        rows=[
            [
                Grid("input", "input", texts(x), 4, "input x", bright=[2, 5, 12, 15]),
                Grid("guess", "output", ["?"] * 16, 4, "your prediction y", markable=True),
                Grid("edited", "input", texts(_edited()), 2, "input z", editable=True, letter="z"),
                Grid(
                    "inserted",
                    "input",
                    ["1", "0", "2", "0", "0", "0", "3", "0", "4"],
                    3,
                    "zeros inserted",
                    marks=".z.zzz.z.",
                    editable=True,
                ),
            ]
        ],
        rest="Mark the cells that stay.",
    )


def _edited() -> NDArray[np.float64]:
    return np.array(st.session_state.get("edited", [1.0, 2.0, 3.0, -0.25]))


def compact_scene() -> Scene:
    """2048 small cells: a band matrix."""
    layer = conv((64,), np.ones(33))
    structure = layer.dense()
    return Scene(
        rows=[
            [
                Grid(
                    "matrix",
                    "kernel",
                    texts(structure),
                    64,
                    "matrix C, 32×64",
                    compact=True,
                )
            ]
        ],
        rest="Small cells are read through the lens.",
    )


def ramp_scene() -> Scene:
    """Both ramps, with padding on one of them, and a 16×16 grid without digits."""
    values = np.round(np.linspace(-2, 2, 49), 2)
    ring = "".join("p" if r in (0, 6) or c in (0, 6) else "." for r in range(7) for c in range(7))
    return Scene(
        rows=[
            [
                Grid(
                    "signed",
                    "plain",
                    texts(values),
                    7,
                    "signed",
                    values=values.tolist(),
                    ramp="signed",
                ),
                Grid(
                    "positive",
                    "output",
                    texts(np.arange(49.0)),
                    7,
                    "counts y",
                    marks=ring,
                    values=np.arange(49.0).tolist(),
                    ramp="positive",
                ),
                Grid("large", "input", texts(whole((16, 16))), 16, "input x, 16×16"),
            ]
        ]
    )


def tints_scene() -> Scene:
    """All eight tints, and cells that no window reads."""
    unused = "..u" + "." * 9 + "uuuu"
    phases = list(range(8)) * 8
    return Scene(
        rows=[
            [
                Grid("phases", "input", texts(whole((8, 8))), 8, "input x", tints=phases),
                Grid(
                    "unused",
                    "input",
                    texts(whole((4, 4))),
                    4,
                    "the cells of x that no window reads are hatched",
                    marks=unused,
                ),
            ]
        ]
    )


SCENES = {
    "matrix": matrix_scene,
    "stack": stack_scene,
    "overlap": overlap_scene,
    "predict": predict_scene,
    "compact": compact_scene,
    "ramps": ramp_scene,
    "tints": tints_scene,
}


def _edit() -> None:
    sent = message(KEY, "edit")
    values = list(_edited())
    try:
        values[sent["row"] * 2 + sent["col"]] = float(sent["text"].replace("−", "-"))
    except ValueError:
        return
    st.session_state.edited = values
    st.session_state.log = f"edit {sent['row']},{sent['col']} {sent['text']}"


def _keep(event: str) -> None:
    st.session_state[f"got_{event}"] = message(KEY, event)
    st.session_state.log = f"{event} {message(KEY, event)}"


def main() -> None:
    st.set_page_config(layout="wide")
    st.html("<style>.stMainBlockContainer { padding: 0.9rem 2rem 2rem; max-width: 122rem }</style>")
    LINKED_GRID.code()
    names = ["conv", "frame", *SCENES]
    chosen = st.selectbox("scene", names, key="scene", bind="query-params")
    if chosen == "conv":
        one, two, three = st.columns(3)
        size = one.slider("size", 3, 9, 5, key="size", bind="query-params")
        stride = two.slider("stride", 1, 3, 1, key="stride", bind="query-params")
        padding = three.slider("padding", 0, 2, 1, key="padding", bind="query-params")
        scene = conv_scene(size, stride, padding)
    elif chosen == "frame":
        frame = st.session_state.get("got_frame") or {"left": 1, "right": 0}
        scene = frame_scene(max(0, frame["left"]), max(0, frame["right"]))
    else:
        scene = SCENES[chosen]()
    linked_grid(
        scene,
        key=KEY,
        pin=st.session_state.get("got_pin") or "",
        marks=st.session_state.get("got_mark") or "",
        on={
            "edit": _edit,
            "pin": lambda: _keep("pin"),
            "mark": lambda: _keep("mark"),
            "view": lambda: _keep("view"),
            "frame": lambda: _keep("frame"),
        },
    )
    st.text(f"log: {st.session_state.get('log', '')}")


if __name__ == "__main__":
    main()
