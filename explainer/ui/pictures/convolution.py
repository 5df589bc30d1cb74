"""The pictures of the lesson on convolution."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explainer.components.linked_grid import Grid, Links, Scene
from explainer.components.linked_grid.scene import Role
from explainer.components.staircase import Step
from explainer.fcn.voc import CLASSES
from explainer.ops import (
    LinearMap,
    SettingError,
    composed_kernel,
    conv,
    conv_channels,
    conv_size,
    conv_tf,
    kernels,
    names,
    number,
    pad,
    same_padding,
    tf_size,
)
from explainer.ops.sizes import Scheme, span
from explainer.ui.pictures import inputs
from explainer.ui.pictures.parts import (
    chips,
    embedding_of,
    grid,
    input_terms,
    kernel_terms,
    links_of,
    marks_of,
    matrix_grid,
    matrix_terms,
    numbers,
    output_terms,
    padded_grid,
    size,
    steps_by_output,
)

Floats = NDArray[np.float64]

FRAMEWORKS = ("PyTorch", "TF SAME", "TF VALID")
VIEWS = ("Window", "Matrix", "Two layers", "Channels", "1×1 to 21")


@dataclass(frozen=True)
class State:
    """The settings of the page; `x` and `w` are the edited numbers of the address, or ""."""

    axes: Literal[1, 2] = 2
    size: int = 5
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    dilation: int = 1
    framework: str = "PyTorch"
    weights: str = "random"
    seed: int = 0
    letters: bool = False
    x: str = ""
    w: str = ""
    kernel2: int = 3
    stride2: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,) * self.axes

    @property
    def scheme(self) -> Scheme:
        """TensorFlow's scheme; of use only where the framework is TensorFlow."""
        return "SAME" if self.framework == "TF SAME" else "VALID"

    @property
    def input(self) -> Floats:
        return inputs.edited(self.x, inputs.digits(self.shape))

    @property
    def kernel_values(self) -> Floats:
        return inputs.weights(self.weights, (self.kernel,) * self.axes, self.seed, self.w)


@lru_cache(maxsize=64)
def build(state: State) -> LinearMap:
    """The map of a state.

    Raises:
        SettingError: the settings are impossible.
    """
    if state.framework == "PyTorch":
        return conv(state.shape, state.kernel_values, state.stride, state.padding, state.dilation)
    return conv_tf(state.shape, state.kernel_values, state.stride, state.dilation, state.scheme)


def output_size(state: State) -> int:
    """Output cells along an axis.

    Raises:
        SettingError: the settings are impossible.
    """
    if state.framework == "PyTorch":
        found = conv_size(state.size, state.kernel, state.stride, state.padding, state.dilation)
    else:
        found = tf_size(state.size, state.kernel, state.stride, state.dilation, state.scheme)
    assert isinstance(found, int)
    return found


def scene(state: State, view: str) -> Scene:
    """The picture of a view.

    Raises:
        SettingError: the settings are impossible.
    """
    drawn = {
        "Window": window,
        "Matrix": matrix,
        "Two layers": two_layers,
        "Channels": channels,
        "1×1 to 21": one_by_one,
    }[view](state)
    return replace(drawn, views=VIEWS, view=VIEWS.index(view))


# Window and matrix: the same links, another arrangement


def _parts(state: State) -> tuple[LinearMap, list[Grid], dict[str, list[str]]]:
    A = build(state)
    valid, embedding = embedding_of(A)
    x, kernel, marks = state.input, state.kernel_values, marks_of(A)
    padded = embedding(x)
    letters = None
    cell_names = embedding.move(names("x", A.input_shape), "0")
    if state.letters:
        letters = (cell_names, names("w", kernel.shape))
    y = A(x)
    made = names("y", A.output_shape).ravel() if state.letters else None
    drawn = [
        padded_grid(A, x, names("x", A.input_shape) if state.letters else None, editable=True),
        grid(
            "kernel",
            "kernel",
            kernel,
            letters[1] if letters else None,
            title=f"kernel w, {size(kernel.shape)}",
            editable=True,
        ),
        grid("output", "output", y, made, title=f"output y, {size(A.output_shape)}"),
    ]
    terms = {
        "input": input_terms(valid, marks, cell_names),
        "kernel": kernel_terms(A, kernel, state.letters),
        "output": output_terms(valid, padded, letters, marks),
    }
    return valid, drawn, terms


def _rest(state: State, outputs: Sequence[int]) -> str:
    inputs_, made = size(state.shape), size(outputs)
    return f"{chips('x', inputs_)} → {chips('y', made)}: point at any cell, or press play"


def window(state: State) -> Scene:
    """Input, kernel and output side by side."""
    valid, (x, kernel, y), terms = _parts(state)
    return Scene(
        [[x, "∗", kernel, "=", y]],
        [links_of(valid)],
        terms,
        _rest(state, valid.output_shape),
        steps_by_output(y.texts),
    )


def matrix(state: State) -> Scene:
    """The matrix beside its input and output: every row is one output."""
    valid, (x, kernel, y), terms = _parts(state)
    marks = "".join("p" if mark == "p" else "." for mark in x.marks)
    drawn = matrix_grid(valid, state.letters, marks)
    labels = np.array(
        ["0" if m == "p" else n for m, n in zip(marks, _cell_names(state), strict=True)], object
    ).reshape(valid.input_shape)
    terms["matrix"] = matrix_terms(valid, input=labels)
    return Scene(
        [[drawn], [kernel, "", x, "→", y]],
        [links_of(valid, matrix="matrix")],
        terms,
        f"y = C x: row by row, each output reads its window; {chips('p', 'hatched')} columns "
        "belong to the padding",
        steps_by_output(y.texts),
    )


def _cell_names(state: State) -> list[str]:
    _, embedding = embedding_of(build(state))
    return [str(name) for name in embedding.move(names("x", state.shape), "0").ravel()]


# Two layers as one


def two_layers(state: State) -> Scene:
    """Two layers along one axis, and the one layer that does the same.

    An input too short for both is made just long enough, so that there is an output to look at.
    """
    first_kernel = inputs.weights(state.weights, (state.kernel,), state.seed)
    second_kernel = inputs.weights(state.weights, (state.kernel2,), state.seed + 1)
    both = composed_kernel(first_kernel, state.stride, second_kernel)
    n = max(state.size, both.size)
    first = conv((n,), first_kernel, state.stride)
    second = conv(first.output_shape, second_kernel, state.stride2)
    one = conv((n,), both, state.stride * state.stride2)
    x = inputs.digits((n,))
    hidden = first(x)
    y = second(hidden)
    rows = [
        [grid("output", "output", y, title="after the second layer, y", letter="y")],
        [grid("hidden", "plain", hidden, title="after the first layer, h", letter="h")],
        [grid("input", "input", x, title=f"input x, {n}")],
        [
            grid("first", "kernel", first_kernel, title="first kernel w′", letter="w′"),
            "",
            grid("second", "kernel", second_kernel, title="second kernel w", letter="w"),
            "",
            grid("both", "kernel", both, title="both as one kernel", letter="v"),
        ],
    ]
    terms = {
        "output": [
            f"{direct}: the composed kernel on x directly" for direct in output_terms(one, x)
        ],
        "hidden": output_terms(first, x, output="h"),
        "input": input_terms(one),
        "first": kernel_terms(first, first_kernel),
        "second": kernel_terms(second, second_kernel),
        "both": kernel_terms(one, both),
    }
    links = [
        links_of(second, "output", "hidden", "second", lines=True),
        links_of(first, "hidden", "input", "first", lines=True),
        links_of(one, "output", "input", "both"),
    ]
    return Scene(
        rows,
        links,
        terms,
        f"kernel {state.kernel} stride {state.stride}, then kernel {state.kernel2} stride "
        f"{state.stride2}: together {chips('w', f'kernel {both.size}')} stride "
        f"{state.stride * state.stride2} (no padding here)",
        steps_by_output(numbers(y)),
    )


# Channels


def channels(state: State) -> Scene:
    """Three input channels, a kernel each, and the sum over all of them.

    Raises:
        SettingError: the settings are impossible.
    """
    side = (state.size,) * 2
    x = np.stack(
        [inputs.digits((side[0] + 2, side[1]))[shift : shift + side[0]] for shift in range(3)]
    )
    kernel = np.stack(
        [inputs.weights(state.weights, (state.kernel,) * 2, state.seed + c) for c in range(3)]
    )
    before, after = _padding(state)
    embedding = pad(x.shape, (0, before, before), (0, after, after))
    valid = conv_channels(
        embedding.output_shape, kernel[None], state.stride, dilation=state.dilation
    )
    A = valid @ embedding
    padded = embedding(x)
    marks = marks_of(A)
    y = A(x)[0]
    drawn: dict[str, list[Grid]] = {"input": [], "kernel": []}
    cells = {"output": valid.rows.tolist()}
    terms: dict[str, list[str]] = {}
    for c in range(3):
        count = padded[c].size
        drawn["input"].append(
            Grid(
                f"input{c + 1}",
                "input",
                numbers(padded[c]),
                columns=padded.shape[2],
                title=f"channel {c + 1}",
                marks=marks[c * count : (c + 1) * count],
                origin=(before, before),
            )
        )
        drawn["kernel"].append(grid(f"kernel{c + 1}", "kernel", kernel[c], title=f"kernel {c + 1}"))
        for name, flat, size_ in (
            ("input", valid.cols, count),
            ("kernel", valid.taps, kernel[c].size),
        ):
            inside = flat // size_ == c
            cells[f"{name}{c + 1}"] = np.where(inside, flat % size_, -1).tolist()
        terms[f"kernel{c + 1}"] = [
            f"{chips('w', name)} = {chips('w', number(value))} of channel {c + 1}"
            for name, value in zip(
                names("w", kernel[c].shape).ravel(), kernel[c].ravel(), strict=True
            )
        ]
    # What each channel adds: the input with the other channels at 0.
    parts = np.stack([A(x * (np.arange(3) == c)[:, None, None])[0] for c in range(3)])
    terms["output"] = [
        f"{chips('y', name)} = "
        + " + ".join(chips("x", number(part)) for part in column)
        + f" = {chips('y', number(column.sum()))}: one sum from each channel"
        for name, column in zip(names("y", y.shape).ravel(), parts.reshape(3, -1).T, strict=True)
    ]
    output = grid("output", "output", y, title=f"y, the sum, {size(y.shape)}")
    w = drawn["kernel"]
    return Scene(
        [drawn["input"], [w[0], "+", w[1], "+", w[2], "=", output]],
        [Links(cells)],
        terms,
        f"one output channel reads all input channels: 3·{size(kernel[0].shape)} = "
        f"{chips('w', kernel.size)} weights",
        steps_by_output(numbers(y)),
    )


def _padding(state: State) -> tuple[int, int]:
    """Cells of padding before and after, along each axis."""
    if state.framework == "PyTorch":
        return state.padding, state.padding
    if state.framework == "TF VALID":
        return 0, 0
    return same_padding(state.size, state.kernel, state.stride, state.dilation)


def _stacked(side: int) -> Floats:
    """Three channels of digits, (3, side, side)."""
    tall = inputs.digits((side + 2, side))
    return np.stack([tall[channel : channel + side] for channel in range(3)])


def one_by_one(state: State) -> Scene:
    """At every place three features become 21 scores by a 1×1 convolution, the largest wins."""
    side = 3
    features = _stacked(side)
    kernel = kernels.random((len(CLASSES), 3), state.seed)
    A = conv_channels(features.shape, kernel[:, :, None, None])
    scores = A(features).reshape(len(CLASSES), -1)
    labels = scores.argmax(0)
    places = np.arange(side * side)
    classes = np.arange(len(CLASSES))
    # A link for every class at every place: its score, its three features and the label there.
    place, cls = (every.ravel() for every in np.meshgrid(places, classes, indexing="ij"))
    cells = {f"input{c + 1}": place.tolist() for c in range(3)}
    cells |= {"scores": (place * len(classes) + cls).tolist(), "output": place.tolist()}
    # And one for every weight of a class, which is the same at all places.
    tap, column = (every.ravel() for every in np.meshgrid(range(3), classes, indexing="ij"))
    weighed = {
        "kernel": np.tile(tap * len(classes) + column, len(places)).tolist(),
        "scores": (
            np.repeat(places, tap.size) * len(classes) + np.tile(column, len(places))
        ).tolist(),
    }
    terms: dict[str, list[str]] = {
        "scores": [
            f"{CLASSES[c]} at place {p + 1}: "
            + " + ".join(
                f"{chips('w', number(kernel[c, f]))}·{chips('x', number(features[f].flat[p]))}"
                for f in range(3)
            )
            + f" = {chips('y', number(scores[c, p]))}"
            for p in places
            for c in classes
        ],
        "output": [
            f"{chips('y', CLASSES[order[0]])} wins with {number(scores[order[0], p])}, before "
            f"{CLASSES[order[1]]} with {number(scores[order[1], p])}"
            for p in places
            for order in [np.argsort(-scores[:, p], kind="stable")]
        ],
        "kernel": [
            f"{chips('w', number(kernel[c, f]))}: what feature {f + 1} says for {CLASSES[c]}"
            for f in range(3)
            for c in classes
        ],
    }
    drawn = [
        grid(f"input{c + 1}", "input", features[c], title=f"feature {c + 1}") for c in range(3)
    ]
    weights = _shaded("kernel", "kernel", kernel.T, "weights, 3×21")
    score_grid = _shaded("scores", "plain", scores.T, "scores, 9 places × 21 classes")
    output = grid("output", "output", labels.reshape(side, side), title="label: the largest")
    return Scene(
        [[*drawn, "∗", weights, "→", output], [score_grid]],
        [Links(cells), Links(weighed)],
        terms,
        "at every place the same 3×21 weights: a classifier for each pixel is a 1×1 convolution",
        steps_by_output(numbers(labels)),
    )


def _shaded(name: str, role: Role, values: Floats, title: str) -> Grid:
    """A grid of signed numbers as colours."""
    return Grid(
        name,
        role,
        numbers(values),
        columns=values.shape[1],
        title=title,
        values=values.ravel().tolist(),
        ramp="signed",
        compact=True,
    )


# The formula, the staircase, the code


def formula_parts(state: State) -> tuple[str, dict[str, int]]:
    """Which formula holds for a framework, and its numbers."""
    if state.framework == "PyTorch":
        return "floor", {
            "n": state.size,
            "p": state.padding,
            "d": state.dilation,
            "k": state.kernel,
            "s": state.stride,
        }
    if state.framework == "TF SAME":
        return "same", {"n": state.size, "s": state.stride}
    return "valid", {"n": state.size, "d": state.dilation, "k": state.kernel, "s": state.stride}


def staircase(state: State, low: int, high: int) -> list[Step]:
    """For every size of the input the output's, and the windows along one axis.

    Sizes for which the settings are impossible are left out.
    """
    steps = []
    for n in range(low, high + 1):
        here = replace(state, size=n, axes=1, x="", w="", weights="ones")
        try:
            A = build(here)
        except SettingError:
            continue
        valid, embedding = embedding_of(A)
        marks = marks_of(A)
        before = int(embedding.rows[0])
        windows = [
            [int(cell) - before for cell in valid.cols[start:stop]]
            for start, stop in zip(valid.starts[:-1], valid.starts[1:], strict=True)
        ]
        steps.append(Step(n, A.output_shape[0], windows, marks, before))
    return steps


def unused(state: State) -> int:
    """Cells of the input along an axis that no window reads."""
    A = build(replace(state, axes=1, x="", w="", weights="ones"))
    return marks_of(A).count("u")


def snippet(state: State) -> str:
    """PyTorch or TensorFlow's arithmetic in PyTorch: the lines that give the numbers."""
    dims = state.axes
    x = np.array2string(state.input, separator=", ", threshold=10_000, max_line_width=88)
    w = np.array2string(state.kernel_values, separator=", ", threshold=10_000, max_line_width=88)
    lines = ["import torch", "import torch.nn.functional as F", ""]
    lines += [f"x = torch.tensor({x})[None, None]", f"w = torch.tensor({w})[None, None]"]
    padding = str(state.padding)
    if state.framework == "TF SAME":
        before, after = same_padding(state.size, state.kernel, state.stride, state.dilation)
        pads = ", ".join([f"{before}, {after}"] * dims)
        lines.append(f"x = F.pad(x, ({pads}))  # SAME: the odd cell of padding goes after")
        padding = "0"
    elif state.framework == "TF VALID":
        padding = "0"
    lines.append(
        f"y = F.conv{dims}d(x, w, stride={state.stride}, padding={padding}, "
        f"dilation={state.dilation})"
    )
    lines += ["print(y[0, 0])", f"# {size((output_size(state),) * dims)}"]
    return "\n".join(lines)


def first_composed(state: State) -> str:
    """D5's rule with the numbers of the page."""
    k = state.kernel + (state.kernel2 - 1) * state.stride
    return (
        f"{state.kernel} + ({state.kernel2} − 1)·{state.stride} = {k}, stride "
        f"{state.stride}·{state.stride2} = {state.stride * state.stride2}"
    )


def reach(state: State) -> int:
    """Cells that a window spans along an axis."""
    return span(state.kernel, state.dilation)
