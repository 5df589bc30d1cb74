"""The pictures of the lesson on convolution, against the operations, PyTorch and the lectures."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.components.linked_grid import Scene, payload
from explainer.ops import SettingError, number, same_padding
from explainer.ui.pictures import inputs
from explainer.ui.pictures.convolution import (
    FRAMEWORKS,
    VIEWS,
    State,
    build,
    composed_sizes,
    idle,
    of_stack,
    output_size,
    scene,
    snippet,
    staircase,
    tall,
    unused,
)
from explainer.ui.values import written
from tests.ui.pictures.conftest import run, weights_count_what_they_light

STATES = st.builds(
    State,
    axes=st.sampled_from([1, 2]),
    size=st.integers(1, 9),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 3),
    framework=st.sampled_from(FRAMEWORKS),
    weights=st.sampled_from(inputs.KERNELS),
    seed=st.integers(0, 5),
    letters=st.booleans(),
    kernel2=st.integers(1, 4),
    stride2=st.integers(1, 3),
)


def texts(drawn: Scene, name: str) -> list[str]:
    return list(drawn.grid(name).texts)


def shown(drawn: Scene, name: str) -> list[float]:
    return [float(text.replace("−", "-")) for text in texts(drawn, name)]


def by_torch(state: State) -> np.ndarray:
    """What PyTorch makes of a state; TensorFlow's padding is put around by hand."""
    x = torch.tensor(state.input)[None, None]
    w = torch.tensor(state.kernel_values)[None, None]
    padding = state.padding
    if state.framework != "PyTorch":
        padding = 0
        if state.framework == "TF SAME":
            sides = same_padding(state.size, state.kernel, state.stride, state.dilation)
            x = F.pad(x, sides * state.axes)
    convolve = F.conv2d if state.axes == 2 else F.conv1d
    return convolve(x, w, None, state.stride, padding, state.dilation)[0, 0].numpy()


@settings(deadline=None, max_examples=60)
@given(STATES, st.sampled_from(VIEWS))
def test_every_state_has_a_picture_or_names_the_broken_rule(state, view):
    try:
        drawn = scene(state, view)
    except SettingError:
        return
    assert payload(drawn)["views"] == list(VIEWS)
    assert drawn.steps is not None
    weights_count_what_they_light(drawn)
    for name, terms in drawn.terms.items():
        # Blank entries of a large matrix have nothing to say.
        assert all(terms) or (name == "matrix" and len(terms) > 1000), name


@settings(deadline=None, max_examples=60)
@given(STATES)
def test_the_output_is_that_of_pytorch(state):
    try:
        drawn = scene(state, "Window")
    except SettingError:
        with pytest.raises(RuntimeError):
            by_torch(state)
        return
    expected = by_torch(state)
    assert output_size(state) == expected.shape[-1]
    if not state.letters:
        assert texts(drawn, "output") == [number(value) for value in expected.ravel()]


@settings(deadline=None, max_examples=40)
@given(STATES)
def test_the_snippet_gives_the_numbers_of_the_picture(state):
    try:
        expected = build(state)(state.input)
    except SettingError:
        return
    y = run(snippet(state, "Window"))["y"][0, 0].numpy()
    np.testing.assert_allclose(y, expected, atol=1e-5)
    drawn = scene(replace(state, letters=False), "Matrix")
    y = run(snippet(state, "Matrix"))["y"][0, 0].ravel().numpy()
    assert texts(drawn, "output") == [number(value) for value in y.tolist()]


@settings(deadline=None, max_examples=60)
@given(STATES, st.sampled_from(VIEWS[2:]))
def test_the_other_views_have_lines_that_give_their_numbers(state, view):
    try:
        drawn = scene(state, view)
    except SettingError:
        return
    names = run(snippet(state, view))
    y = names["y"][0, 0].numpy()
    if view == "1×1 to 21":
        scores = names["scores"].reshape(21, -1).T.ravel()
        np.testing.assert_allclose(drawn.grid("scores").values or [], scores)
        labels = scores.reshape(9, 21).numpy()
        here = [int(text) for text in texts(drawn, "output")]
        assert np.array_equal(labels[range(9), here], labels[range(9), y.ravel()])
    else:
        assert shown(drawn, "output") == pytest.approx(y.ravel(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_edited_numbers_of_channels_count_in_picture_and_lines(framework: str):
    x = np.arange(27.0).reshape(3, 3, 3)
    w = np.array([[[1.0, 2], [3, 4]], [[0, 0], [0, 0]], [[0, 0], [0, -1.5]]])
    state = State(size=3, kernel=2, stride=1, framework=framework, weights="own")
    state = replace(state, x=written(tall(x).tolist()), w=written(tall(w).tolist()))
    drawn = scene(state, "Channels")
    assert texts(drawn, "kernel3") == ["0", "0", "0", "−1.5"]
    y = run(snippet(state, "Channels"))["y"]
    padding = {"PyTorch": 1, "TF VALID": 0, "TF SAME": (0, 1)}[framework]
    padded = np.pad(x, ((0, 0), *[padding if framework == "TF SAME" else (padding,) * 2] * 2))
    expected = F.conv2d(torch.tensor(padded)[None], torch.tensor(w)[None])
    np.testing.assert_allclose(y.numpy(), expected.numpy())
    assert shown(drawn, "output") == expected.ravel().tolist()
    # Three features at 3×3 places are as many numbers.
    assert texts(scene(state, "1×1 to 21"), "input2") == [str(number) for number in range(9, 18)]
    features = run(snippet(state, "1×1 to 21"))["x"]
    np.testing.assert_array_equal(features[0].numpy(), x)


@settings(deadline=None, max_examples=40)
@given(STATES)
def test_every_output_of_channels_is_told_as_a_sum_from_each(state):
    try:
        drawn = scene(state, "Channels")
    except SettingError:
        return
    names = run(snippet(state, "Channels"))
    x, w = names["x"], names["w"]
    padding = state.padding if state.framework == "PyTorch" else 0  # the lines have padded x
    parts = [
        F.conv2d(x[:, c : c + 1], w[:, c : c + 1], None, state.stride, padding, state.dilation)
        for c in range(3)
    ]
    for place, told in enumerate(drawn.terms["output"]):
        each = [number(part.ravel()[place].item()) for part in parts]
        total = texts(drawn, "output")[place]
        assert told.partition(" = ")[2] == (
            " + ".join(f"{{x:{part}}}" for part in each)
            + f" = {{y:{total}}}: one sum from each channel"
        )


HEIGHTS = {"input": 4, "kernel": 2}


@pytest.mark.parametrize(
    ("grid", "row", "of_all"),
    [
        ("input1", 0, ("input", 0)),
        ("input3", 3, ("input", 11)),
        ("kernel2", 1, ("kernel", 3)),
        # Not one that the page has sent.
        ("input2", 4, ("input2", 4)),
        ("input2", -1, ("input2", -1)),
        ("input4", 0, ("input4", 0)),
        ("input", 0, ("input", 0)),
        ("output1", 0, ("output1", 0)),
        ("kernel1", "0", ("kernel1", "0")),
        (None, None, (None, None)),
    ],
)
def test_a_channels_row_in_all_of_them(grid: Any, row: Any, of_all: tuple[Any, Any]):
    found = of_stack({"grid": grid, "row": row, "col": 1, "text": "5"}, HEIGHTS)
    assert found == {"grid": of_all[0], "row": of_all[1], "col": 1, "text": "5"}


def test_edited_numbers_count_in_two_layers_where_they_fit():
    state = State(axes=1, size=7, kernel=2, stride=2, weights="own", w="1,-1", x="1,2,3,4,5,6,7")
    drawn = scene(state, "Two layers")
    assert texts(drawn, "kernel") == ["1", "−1"]
    assert texts(drawn, "input") == list("1234567")
    assert texts(drawn, "hidden") == ["−1"] * 3
    assert texts(scene(replace(state, x="1,2"), "Two layers"), "input") != list("1234567")


@pytest.mark.parametrize("padding", [0, 1])
def test_the_matrix_explains_hatching_where_there_is_any(padding: int):
    drawn = scene(State(size=4, stride=1, padding=padding), "Matrix")
    assert ("p" in drawn.grid("matrix").marks) == bool(padding)
    assert ("hatched" in drawn.rest) == bool(padding)


def test_the_letters_of_d1():
    state = State(size=5, kernel=3, stride=1, padding=0, letters=True, alphabet=True)
    drawn = scene(state, "Window")
    assert "".join(texts(drawn, "input")) == "abcdefghijklmnopqrstuvwxy"
    assert "".join(texts(drawn, "kernel")) == "abcdefghj"
    assert drawn.terms["output"][0].startswith("{y:y11} = {w:a}·{x:a} + {w:b}·{x:b} + {w:c}·{x:c}")
    matrix = scene(state, "Matrix")
    assert matrix.grid("matrix").texts[:6] == ["a", "b", "c", "", "", "d"]
    assert matrix.terms["matrix"][0] == "row {y:y11}, column {x:a}: {w:a} = 2"
    assert "{w:j} joins" in drawn.terms["kernel"][8]
    padded = scene(replace(state, padding=1), "Window")
    assert texts(padded, "input")[:9] == ["0"] * 8 + ["a"]


def test_a_matrix_that_is_too_large_is_that_of_one_axis():
    state = State(size=12, kernel=3, stride=1, padding=1)
    drawn = scene(state, "Matrix")
    assert (drawn.grid("matrix").rows, drawn.grid("matrix").columns) == (12, 14)
    assert drawn.rest.startswith("C has 144×196 entries, too many to draw")
    assert not any(grid.editable for grid in drawn.grids)
    fits = scene(replace(state, size=10, stride=2, padding=0), "Matrix").grid("matrix")
    assert (fits.rows, fits.columns) == (16, 100)
    # Its numbers would not be readable: it says where they stand, in the padding too.
    assert fits.compact
    assert not fits.marks


def test_the_slides_examples():
    assert output_size(State(size=4, kernel=3, stride=1, padding=1)) == 4
    assert output_size(State(size=4, kernel=3, stride=2, padding=1)) == 2
    matrix = scene(State(size=4, stride=1, padding=0, letters=True), "Matrix").grid("matrix")
    assert (matrix.rows, matrix.columns) == (4, 16)
    assert matrix.texts[:12] == [
        *("w11", "w12", "w13", ""),
        *("w21", "w22", "w23", ""),
        *("w31", "w32", "w33", ""),
    ]
    for stride, rows in ((1, 4), (2, 2)):
        state = State(axes=1, size=4, kernel=3, stride=stride, padding=1, letters=True)
        matrix = scene(state, "Matrix").grid("matrix")
        assert (matrix.rows, matrix.columns) == (rows, 6)
        assert matrix.marks[:6] == "p....p"
        # x y z in every row, where the slide prints x y x.
        for row in range(rows):
            shown = matrix.texts[row * 6 : (row + 1) * 6]
            assert [text for text in shown if text] == ["w1", "w2", "w3"]


def test_the_formula_of_two_layers():
    state = State(size=12, kernel=3, stride=2, kernel2=3, stride2=1)
    assert composed_sizes(state) == (7, 2)
    drawn = scene(state, "Two layers")
    assert drawn.grid("both").columns == 7
    first, second = (
        torch.tensor([float(t.replace("−", "-")) for t in texts(drawn, name)])
        for name in ("kernel", "second")
    )
    x = torch.tensor(inputs.digits((12,)), dtype=torch.float32)
    hidden = F.conv1d(x[None, None], first[None, None], stride=2)
    y = F.conv1d(hidden, second[None, None])
    assert texts(drawn, "output") == [number(value) for value in y[0, 0].tolist()]


@given(STATES)
@settings(deadline=None, max_examples=60)
def test_two_layers_are_drawn_for_just_this_size_or_refused_as_by_pytorch(state):
    x, first, second = (torch.ones(1, 1, n) for n in (state.size, state.kernel, state.kernel2))
    try:
        drawn = scene(state, "Two layers")
    except SettingError:
        with pytest.raises(RuntimeError):
            F.conv1d(F.conv1d(x, first, stride=state.stride), second, stride=state.stride2)
        return
    y = F.conv1d(F.conv1d(x, first, stride=state.stride), second, stride=state.stride2)
    assert drawn.grid("input").columns == state.size
    assert drawn.grid("output").columns == y.shape[-1]


def test_two_layers_open_with_kernels_that_are_not_all_zeros():
    drawn = scene(State(), "Two layers")
    assert all(set(texts(drawn, name)) != {"0"} for name in ("kernel", "second", "output"))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_channels_are_summed_as_in_pytorch(framework):
    state = State(size=6, kernel=3, stride=2, padding=1, framework=framework)
    drawn = scene(state, "Channels")

    def numbers(name: str) -> torch.Tensor:
        grid = drawn.grid(name)
        values = [float(text.replace("−", "-")) for text in grid.texts]
        return torch.tensor(values).reshape(grid.rows, grid.columns)

    x = torch.stack([numbers(f"input{c}") for c in (1, 2, 3)])
    w = torch.stack([numbers(f"kernel{c}") for c in (1, 2, 3)])
    expected = F.conv2d(x[None], w[None], stride=2)[0, 0]
    assert torch.equal(numbers("output"), expected)


def test_the_label_is_the_largest_of_21_scores():
    drawn = scene(State(seed=3), "1×1 to 21")
    scores = np.array(drawn.grid("scores").values).reshape(9, 21)
    assert texts(drawn, "output") == [str(label) for label in scores.argmax(1)]


def test_the_sixth_cell_goes_unread():
    state = State(size=6, kernel=3, stride=2, padding=0)
    assert (output_size(state), unused(state)) == (2, 1)
    assert (output_size(State(size=5, padding=0)), unused(State(size=5, padding=0))) == (2, 0)
    drawn = scene(State(size=6, kernel=3, stride=2, padding=0, axes=1), "Window")
    assert drawn.grid("input").marks == ".....u"
    assert drawn.terms["input"][5].endswith("no window reads it")


def test_the_stairs_have_plateaus_as_wide_as_the_stride():
    steps = staircase(State(kernel=3, stride=3, padding=0), 1, 12)
    assert [step.size for step in steps] == list(range(3, 13))
    assert [step.output for step in steps] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert [step.marks.count("u") for step in steps] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    padded = staircase(State(kernel=3, stride=2, padding=1), 4, 4)[0]
    assert padded.windows == [[-1, 0, 1], [1, 2, 3]]
    assert (padded.before, padded.marks) == (1, "p....p")


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("view", VIEWS)
def test_idle_settings_are_those_that_change_nothing(view, framework):
    now = State(size=12, kernel=3, stride=2, padding=1, framework=framework)
    shown = scene(now, view)
    others = {
        "size": (7,),
        "kernel": (2,),
        "stride": (1,),
        "padding": (0, 2),
        "dilation": (2,),
        "axes": (1,),
        "framework": tuple(other for other in FRAMEWORKS if other != framework),
        "letters": (True,),
        "weights": ("ones",),
        "seed": (5,),
        "kernel2": (3,),
        "stride2": (3,),
    }
    still = {
        name
        for name, values in others.items()
        if all(scene(replace(now, **{name: value}), view) == shown for value in values)
    }
    # Which letters they are changes what is seen where there are letters.
    assert idle(view, framework) - {"alphabet"} == still
