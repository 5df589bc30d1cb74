"""The pictures of the lesson on convolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

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
    letters,
    names,
    number,
    pad,
    same_padding,
    tf_size,
)
from explainer.ops.sizes import Scheme
from explainer.ui.pictures import inputs
from explainer.ui.pictures.parts import (
    CELLS_IN_A_MATRIX,
    Names,
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
    of_one_axis,
    output_terms,
    padded_grid,
    size,
    steps_by_output,
)

Floats = NDArray[np.float64]

FRAMEWORKS = ("PyTorch", "TF SAME", "TF VALID")
VIEWS = ("Window", "Matrix", "Two layers", "Channels", "1×1 to 21")
WITHOUT_STAIRS = ("Two layers", "1×1 to 21")
"""Views whose output is not that of one convolution of the page's size."""

_SECOND = ("kernel2", "stride2")
_WORDS = ("axes", "letters", "alphabet")
_IDLE = {
    "Window": _SECOND,
    "Matrix": _SECOND,
    "Two layers": (*_WORDS, "padding", "dilation", "framework"),
    "Channels": (*_WORDS, *_SECOND),
    "1×1 to 21": (
        *_WORDS,
        *_SECOND,
        *("size", "kernel", "stride", "padding", "dilation", "framework", "weights"),
    ),
}


def idle(view: str, framework: str) -> frozenset[str]:
    """The settings on which a view does not depend."""
    computed = () if framework == "PyTorch" else ("padding",)  # TensorFlow chooses it
    return frozenset((*_IDLE[view], *computed))


ROWS_OF_WORDS, COLUMNS_OF_WORDS = 16, 36
"""Up to which a matrix shows its numbers; above, only where they stand."""


@dataclass(frozen=True)
class State:
    """The settings of the page; `x` and `w` are the edited numbers of the address, or "".

    Attributes:
        letters: whether names stand in the cells instead of numbers.
        alphabet: whether these are a, b, c …, as in D1, or x11 and w11.
        told: whether the page may say what its question asks.
    """

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
    alphabet: bool = False
    x: str = ""
    w: str = ""
    kernel2: int = 2
    stride2: int = 1
    told: bool = True

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

    @property
    def cell_names(self) -> Names:
        """Of the input's cells."""
        return letters(self.shape) if self.alphabet else names("x", self.shape)

    @property
    def tap_names(self) -> Names:
        """Of the kernel's weights; D1 leaves out the i, which looks like a 1."""
        shape = (self.kernel,) * self.axes
        return letters(shape, skip="i") if self.alphabet else names("w", shape)


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


def check_view(state: State, view: str) -> None:
    """Whether a view has a picture.

    Raises:
        SettingError: it has none; with the values of the page.
    """
    if view == "Two layers":
        _check_layers(state)
    elif view != "1×1 to 21":  # which has settings of its own
        output_size(state)


def _check_layers(state: State) -> None:
    names = ("size", "kernel", "stride", "kernel2")
    n, k, s, k2 = (getattr(state, name) for name in names)
    if k + (k2 - 1) * s > n:
        rule = "must be at least kernel + (kernel2 − 1)·stride, what both read as one kernel"
        values: dict[str, Any] = dict(zip(names, (n, k, s, k2), strict=True))
        raise SettingError("size", rule, values, ())  # what would work depends on the sliders


@lru_cache(maxsize=64)
def scene(state: State, view: str) -> Scene:
    """The picture of a view.

    Raises:
        SettingError: the settings are impossible.
    """
    check_view(state, view)
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
    x, kernel, marks = state.input, state.kernel_values, told_marks(state, A)
    cell_names, taps = embedding.move(state.cell_names, "0"), state.tap_names
    y = A(x)
    drawn = [
        padded_grid(
            A,
            x,
            state.cell_names if state.letters else None,
            marks=marks,
            editable=not state.letters,
        ),
        grid(
            "kernel",
            "kernel",
            kernel,
            taps if state.letters else None,
            title=f"kernel w, {size(kernel.shape)}",
            editable=not state.letters,
        ),
        grid(
            "output",
            "output",
            y,
            names("y", A.output_shape) if state.letters else None,
            title=f"output y, {size(A.output_shape)}",
        ),
    ]
    shown = (cell_names, taps) if state.letters else None
    terms = {
        "input": input_terms(valid, marks, cell_names),
        "kernel": kernel_terms(valid, kernel, state.letters, taps, marks),
        "output": output_terms(valid, embedding(x), shown, marks),
    }
    return valid, drawn, terms


def keeps_back(state: State) -> bool:
    """Whether these are the two cases of the page's question, and it is still open."""
    taps = (state.kernel, state.stride, state.dilation) == (3, 2, 1)
    bare = state.framework == "TF VALID" or (state.framework == "PyTorch" and state.padding == 0)
    return not state.told and taps and bare and state.size in (5, 6)


def told_marks(state: State, A: LinearMap) -> str:
    """The marks of the padded input; where they are the question's answer, all cells look read."""
    marks = marks_of(A)
    return marks.replace("u", ".") if keeps_back(state) else marks


def _rest(state: State, outputs: Sequence[int]) -> str:
    inputs_, made = size(state.shape), size(outputs)
    return f"{chips('x', inputs_)} → {chips('y', made)}: point at any cell, or press play"


def window(state: State) -> Scene:
    """Input, kernel and output side by side."""
    valid, (x, kernel, y), terms = _parts(state)
    return Scene(
        [[x, "⋆", kernel, "=", y]],
        [links_of(valid)],
        terms,
        _rest(state, valid.output_shape),
        steps_by_output(y.texts),
    )


def matrix(state: State) -> Scene:
    """The matrix beside its input and output: every row is one output.

    Where it is too large to draw, that of one axis, whose pattern it repeats.
    """
    valid, embedding = embedding_of(build(state))
    if (drawn := in_matrix(state)) != state:
        return of_one_axis(matrix(drawn), valid.shape, "C")
    _, (x, kernel, y), terms = _parts(state)
    marks = "".join("p" if mark == "p" else "." for mark in x.marks)
    taps = state.tap_names
    rest = "y = C x: row by row, each output reads its window"
    # A sparsity picture shows where a weight stands, even one that is 0 or in the padding.
    compact = valid.shape[0] > ROWS_OF_WORDS or valid.shape[1] > COLUMNS_OF_WORDS
    if compact:
        C = matrix_grid(valid, taps, compact=True)
    else:
        C = matrix_grid(valid, taps if state.letters else False, marks)
        if "p" in marks:
            rest += f"; {chips('p', 'hatched')} columns belong to the padding"
    terms["matrix"] = matrix_terms(valid, input=embedding.move(state.cell_names, "0"), weight=taps)
    return Scene(
        [
            [C],
            [kernel, "", x, "→", y],
        ],
        [links_of(valid, matrix="matrix")],
        terms,
        rest,
        steps_by_output(y.texts),
    )


def in_matrix(state: State) -> State:
    """The state whose matrix is drawn: that of one axis where two make it too large."""
    outputs, inputs_ = embedding_of(build(state))[0].shape
    if outputs * inputs_ <= CELLS_IN_A_MATRIX:
        return state
    return replace(state, axes=1, x="", w="")


# Two layers as one


@dataclass(frozen=True)
class TwoLayers:
    """Two layers along one axis without padding, and their kernels as one.

    Attributes:
        x: the input.
        first, second, both: the kernels.
    """

    x: Floats
    first: Floats
    second: Floats
    both: Floats


def layers(state: State) -> TwoLayers:
    """What the view "Two layers" is made of; edited numbers count where they fit."""
    first = inputs.weights(state.weights, (state.kernel,), state.seed, state.w)
    # Only the first kernel can be edited: the second stays the random one that it was at first. The
    # next seed would make it 0, 0 with the page's defaults.
    kind = "random" if state.weights == inputs.OWN else state.weights
    second = inputs.weights(kind, (state.kernel2,), state.seed + 2)
    both = composed_kernel(first, state.stride, second)
    x = inputs.edited(state.x, inputs.digits((state.size,)))
    return TwoLayers(x, first, second, both)


Shape = tuple[int, ...]


def edited(state: State, view: str) -> dict[str, tuple[str, list[Shape]]]:
    """The edited numbers of the address, and the shapes of the grids of a view that show them.

    Where it has none, those of the other views: there they are of use.
    """
    made = layers(state)
    alone = {"x": state.shape, "w": state.kernel_values.shape}
    one_axis = {"x": made.x.shape, "w": made.first.shape}
    stacked = [tall(grid).shape for grid in stacks(state)]
    shapes: dict[str, dict[str, Shape]] = {
        "Window": alone,
        "Matrix": alone,
        "Two layers": one_axis,
        "Channels": {"x": stacked[0], "w": stacked[1]},
        "1×1 to 21": {"x": tall(_features(state)).shape},
    }
    texts = {"x": state.x, "w": inputs.own(state.weights, state.w)}
    found: dict[str, tuple[str, list[Shape]]] = {}
    for name, text in texts.items():
        everywhere = [here[name] for here in shapes.values() if name in here]
        found[name] = text, [shapes[view][name]] if name in shapes[view] else everywhere
    return found


def two_layers(state: State) -> Scene:
    """Two layers along one axis, and the one layer that does the same."""
    made = layers(state)
    x, first_kernel, second_kernel, both = made.x, made.first, made.second, made.both
    n = x.size
    first = conv((n,), first_kernel, state.stride)
    second = conv(first.output_shape, second_kernel, state.stride2)
    one = conv((n,), both, state.stride * state.stride2)
    hidden = first(x)
    y = second(hidden)
    rows = [
        [grid("output", "output", y, title="after the second layer, y", letter="y")],
        [grid("hidden", "plain", hidden, title="after the first layer, h", letter="h")],
        [grid("input", "input", x, title=f"input x, {n}", editable=True)],
        [
            grid(
                "kernel",
                "kernel",
                first_kernel,
                title="first kernel w′",
                letter="w′",
                editable=True,
            ),
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
        "kernel": kernel_terms(first, first_kernel),
        "second": kernel_terms(second, second_kernel),
        "both": kernel_terms(one, both),
    }
    links = [
        links_of(second, "output", "hidden", "second", lines=True),
        links_of(first, "hidden", "input", "kernel", lines=True),
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

CHANNELS = 3


def channels(state: State) -> Scene:
    """Three input channels, a kernel each, and the sum over all of them."""
    x, kernel = stacks(state)
    before, after = _padding(state)
    embedding = pad(x.shape, (0, before, before), (0, after, after))
    valid = conv_channels(
        embedding.output_shape, kernel[None], state.stride, dilation=state.dilation
    )
    A = valid @ embedding
    padded = embedding(x)
    marks = told_marks(state, A)
    y = A(x)[0]
    drawn: dict[str, list[Grid]] = {"input": [], "kernel": []}
    cells = {"output": valid.rows.tolist()}
    terms: dict[str, list[str]] = {}
    for c in range(CHANNELS):
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
                editable=True,
            )
        )
        title = f"kernel {c + 1}"
        drawn["kernel"].append(
            grid(f"kernel{c + 1}", "kernel", kernel[c], title=title, editable=True)
        )
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
    alone = np.arange(CHANNELS)[:, None, None]
    parts = np.stack([A(x * (alone == c))[0].ravel() for c in range(CHANNELS)]).T
    terms["output"] = [
        f"{chips('y', name)} = "
        + " + ".join(chips("x", number(part)) for part in column)
        + f" = {chips('y', number(column.sum()))}: one sum from each channel"
        for name, column in zip(names("y", y.shape).ravel(), parts, strict=True)
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


def stacks(state: State) -> tuple[Floats, Floats]:
    """Three input channels (3, n, n) and a kernel for each (3, k, k), with the edited numbers."""
    shape = (state.kernel,) * 2
    kind = "ones" if state.weights == inputs.OWN else state.weights
    kernel = np.stack([inputs.weights(kind, shape, state.seed + c) for c in range(CHANNELS)])
    own = inputs.own(state.weights, state.w)
    return _edited(state.x, _stacked(state.size)), _edited(own, kernel)


def channels_of(state: State, view: str) -> dict[str, Floats]:
    """The numbers of a view that are edited in a grid a channel, by that grid's name without it."""
    x, kernel = stacks(state)
    found = {"Channels": {"input": x, "kernel": kernel}, "1×1 to 21": {"input": _features(state)}}
    return found.get(view, {})


def tall(stack: Floats) -> Floats:
    """Channels one below the other, (C, H, W) as (C·H, W): so they stand in the address."""
    return stack.reshape(-1, stack.shape[-1])


def _edited(text: str, stack: Floats) -> Floats:
    return inputs.edited(text, tall(stack)).reshape(stack.shape)


def of_stack(what: Mapping[str, Any], heights: Mapping[str, int]) -> dict[str, Any]:
    """An "edit" message from one channel, such as row 0 of "input2", as one from all, one below the
    other: row H of "input".

    Args:
        what: the browser's message, of which nothing is believed; others come back as they are.
        heights: by the name of a grid the rows of one channel.
    """
    grid, row = str(what.get("grid")), what.get("row")
    name, channel = grid[:-1], grid[-1:]
    known = name in heights and channel in map(str, range(1, CHANNELS + 1))
    if not (known and isinstance(row, int) and 0 <= row < heights[name]):
        return dict(what)
    return {**what, "grid": name, "row": (int(channel) - 1) * heights[name] + row}


def _padding(state: State) -> tuple[int, int]:
    """Cells of padding before and after, along each axis."""
    if state.framework == "PyTorch":
        return state.padding, state.padding
    if state.framework == "TF VALID":
        return 0, 0
    return same_padding(state.size, state.kernel, state.stride, state.dilation)


def _stacked(side: int) -> Floats:
    """Three channels of digits, (3, side, side)."""
    digits = inputs.digits((side + CHANNELS - 1, side))
    return np.stack([digits[channel : channel + side] for channel in range(CHANNELS)])


PLACES = 3
"""Cells along an axis of the view "1×1 to 21"."""


def _features(state: State) -> Floats:
    """Three features at every place, (3, 3, 3), with the edited numbers."""
    return _edited(state.x, _stacked(PLACES))


def class_weights(state: State) -> Floats:
    """What each of three features says for each of 21 classes, (21, 3)."""
    return kernels.random((len(CLASSES), 3), state.seed)


def one_by_one(state: State) -> Scene:
    """At every place three features become 21 scores by a 1×1 convolution, the largest wins."""
    side = PLACES
    features = _features(state)
    kernel = class_weights(state)
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
        "output": [_verdict(scores[:, p]) for p in places],
        "kernel": [
            f"{chips('w', number(kernel[c, f]))}: what feature {f + 1} says for {CLASSES[c]}"
            for f in range(3)
            for c in classes
        ],
    }
    drawn = [
        grid(f"input{c + 1}", "input", features[c], title=f"feature {c + 1}", editable=True)
        for c in range(CHANNELS)
    ]
    weights = _shaded("kernel", "kernel", kernel.T, "weights Wᵀ, 3×21")
    score_grid = _shaded("scores", "plain", scores.T, "scores, 9 places × 21 classes")
    output = grid("output", "output", labels.reshape(side, side), title="label: the largest")
    return Scene(
        [[*drawn, "⋆", weights, "→", output], [score_grid]],
        [Links(cells), Links(weighed)],
        terms,
        "at every place the same 3×21 weights: a classifier for each pixel is a 1×1 convolution",
        steps_by_output(numbers(labels)),
    )


def _verdict(scores: Floats) -> str:
    """Which class the argmax takes, in words."""
    best, second = np.argsort(-scores, kind="stable")[:2].tolist()
    label, other = chips("y", CLASSES[best]), CLASSES[second]
    most, next_most = float(scores[best]), float(scores[second])
    if most == next_most:
        return f"{label} and {other} tie with {number(most)}: argmax takes the first"
    return f"{label} wins with {number(most)}, before {other} with {number(next_most)}"


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


# The staircase, the code


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


def snippet(state: State, view: str = VIEWS[0]) -> str:
    """The lines of PyTorch that give the numbers of a view, in `y`; TensorFlow's padding by hand.

    Raises:
        SettingError: the settings are impossible.
    """
    code = {"Two layers": _layers_code, "Channels": _channels_code, "1×1 to 21": _classes_code}
    state = in_matrix(state) if view == "Matrix" else state
    return "\n".join(code.get(view, _window_code)(state))


_IMPORTS = ["import torch", "import torch.nn.functional as F", ""]


def _tensor(name: str, values: Floats, place: str = "[None, None]") -> str:
    shown = np.array2string(values, separator=", ", threshold=10_000, max_line_width=88)
    return f"{name} = torch.tensor({shown}){place}"


def _convolved(state: State, dims: int) -> list[str]:
    """The lines from x and w to y."""
    lines, padding = [], state.padding
    if state.framework == "TF SAME":
        pads = ", ".join([", ".join(map(str, _padding(state)))] * dims)
        lines.append(f"x = F.pad(x, ({pads}))  # SAME: the odd cell of padding goes after")
    if state.framework != "PyTorch":
        padding = 0
    call = f"F.conv{dims}d(x, w, stride={state.stride}, padding={padding}, "
    lines += [f"y = {call}dilation={state.dilation})", "print(y[0, 0])"]
    return [*lines, f"# {size((output_size(state),) * dims)}"]


def _window_code(state: State) -> list[str]:
    arrays = [_tensor("x", state.input), _tensor("w", state.kernel_values)]
    return [*_IMPORTS, *arrays, *_convolved(state, state.axes)]


def _layers_code(state: State) -> list[str]:
    made, s1, s2 = layers(state), state.stride, state.stride2
    return [
        *_IMPORTS,
        _tensor("x", made.x),
        _tensor("first", made.first),
        _tensor("second", made.second),
        f"y = F.conv1d(F.conv1d(x, first, stride={s1}), second, stride={s2})",
        "print(y[0, 0])",
        "",
        "# Every tap of the second kernel places a copy of the first:",
        f"both = F.conv_transpose1d(second, first, stride={s1})",
        "print(both[0, 0])",
        f"torch.testing.assert_close(F.conv1d(x, both, stride={s1 * s2}), y)",
    ]


def _channels_code(state: State) -> list[str]:
    x, kernel = stacks(state)
    return [
        *_IMPORTS,
        _tensor("x", x, "[None]  # three channels"),
        _tensor("w", kernel, "[None]  # a kernel for each"),
        *_convolved(state, 2),
    ]


def _classes_code(state: State) -> list[str]:
    return [
        *_IMPORTS,
        _tensor("x", _features(state), "[None]  # three features at every place"),
        _tensor("w", class_weights(state), "[:, :, None, None]  # 21 classes"),
        "scores = F.conv2d(x, w)",
        "y = scores.argmax(1, keepdim=True)  # of equal scores PyTorch may name any",
        "print(y[0, 0])",
    ]


def composed_sizes(state: State) -> tuple[int, int]:
    """Kernel and stride of both layers as one, by D5's rule."""
    return state.kernel + (state.kernel2 - 1) * state.stride, state.stride * state.stride2
