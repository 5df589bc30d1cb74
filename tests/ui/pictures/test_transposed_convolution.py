"""The pictures of transposed convolution, against the operations, PyTorch and the lectures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal
from torch.nn import functional as F

from explainer.components.linked_grid import Scene, Steps, payload
from explainer.ops import SettingError, conv, conv_tf, fractionally_strided_conv, number
from explainer.ui.lesson import has_cell
from explainer.ui.pictures import inputs
from explainer.ui.pictures import transposed_convolution as pictures
from explainer.ui.pictures.transposed_convolution import (
    COMPUTED,
    D1_STRIDE,
    D2_PLAIN,
    D2_STRIDE,
    FRAMEWORKS,
    KERAS_SAME,
    KERAS_VALID,
    LIMITS,
    PYTORCH,
    VIEWS,
    ZEROS,
    State,
    build,
    computed_or_empty,
    disagreement,
    dragged,
    not_an_inverse,
    one_filter_or_several,
    picked,
    prediction,
    scene,
    snippet,
    sources,
    sources_in_words,
    stairs,
    views_of,
    zero_inserted,
)
from tests.ui.pictures.conftest import run, weights_count_what_they_light

STATES = st.builds(
    State,
    axes=st.sampled_from([1, 2]),
    **{name: st.integers(low, high) for name, (low, high) in LIMITS.items()},
    framework=st.sampled_from(FRAMEWORKS),
    weights=st.sampled_from(inputs.KERNELS),
    seed=st.integers(0, 5),
    letters=st.booleans(),
)
FOUR_COPIES = State(size=2, kernel=2, stride=1, padding=0, weights="own", x="0,1;2,3", w="0,1;2,3")
D4_MATRIX = State(size=2, kernel=3, stride=1, padding=0, letters=True)


def texts(drawn: Scene, name: str) -> list[str]:
    return list(drawn.grid(name).texts)


def read(cells: list[str]) -> np.ndarray:
    return np.array([float(text.replace("−", "-") or "nan") for text in cells])


def framed(drawn: Scene, cells: list[str] | None = None) -> np.ndarray:
    """The texts of the output in its frame."""
    grid = drawn.grid("output")
    whole = np.array(cells or grid.texts, object).reshape(-1, grid.columns)
    if grid.frame is None:
        return whole
    row, column, rows, columns = grid.frame
    return whole[row : row + rows, column : column + columns]


def possible(state: State) -> bool:
    try:
        build(state)
    except SettingError:
        return False
    return True


def by_torch(state: State) -> np.ndarray:
    """What PyTorch makes of a state; for Keras the gradient of TensorFlow's convolution."""
    if state.framework != PYTORCH:
        A = conv_tf(
            build(state).A.output_shape, state.kernel_values, state.stride, scheme=state.scheme
        )
        return A.T(state.input)
    transpose = F.conv_transpose2d if state.axes == 2 else F.conv_transpose1d
    y = transpose(
        torch.tensor(state.input)[None, None],
        torch.tensor(state.kernel_values)[None, None],
        stride=state.stride,
        padding=state.padding,
        output_padding=state.output_padding,
        dilation=state.dilation,
    )
    return y[0, 0].numpy()


# Any state


@settings(max_examples=60)
@given(STATES)
def test_a_state_is_impossible_or_drawn_in_four_views(state):
    if not possible(state):
        with pytest.raises(SettingError):
            scene(state, VIEWS[0])
        return
    np.testing.assert_allclose(build(state).A(state.input), by_torch(state), atol=1e-9)
    assert disagreement(state) < 1e-9
    shown = [number(value) for value in by_torch(replace(state, letters=False)).ravel()]
    for view in VIEWS:
        drawn = scene(replace(state, letters=False), view)
        payload(drawn)
        payload(scene(state, view))
        weights_count_what_they_light(drawn)
        if pictures.shown(state, view) != state:
            one = by_torch(pictures.shown(replace(state, letters=False), view))
            assert framed(drawn).ravel().tolist() == [number(value) for value in one.ravel()]
        else:
            assert framed(drawn).ravel().tolist() == shown, view


@settings(max_examples=60)
@given(STATES, st.integers(-3, 12), st.integers(-6, 12))
def test_a_dragged_frame_gives_possible_settings(state, left, right):
    if possible(state) and state.framework == PYTORCH:
        assert possible(replace(state, **dragged(state, left, right)))


@settings(max_examples=60)
@given(STATES)
@example(State(axes=1, size=1, kernel=1, stride=2, padding=0, output_padding=1))
def test_a_prediction_can_be_shown(state):
    if not possible(state):
        return
    asked = prediction(state)
    assert all(getattr(state, name) != to for name, to in asked.then.items())
    assert asked.answer in asked.options
    assert len(set(asked.options)) == len(asked.options)
    after = replace(state, **asked.then)
    assert after != state
    last = build(after).A.coverage()[-1]
    if asked.answer == ZEROS:
        assert not last.any()
        assert not np.any(build(after).A(after.input)[-1])
    elif asked.answer == COMPUTED:
        assert last.any()
    elif asked.answer.isdigit():
        assert int(asked.answer) == build(after).output
    else:
        change = {"2 more": 2, "2 fewer": -2}[asked.answer]
        assert build(after).output == build(state).output + change


@settings(max_examples=60)
@given(STATES)
def test_the_steps_add_up_to_the_output(state):
    state = replace(state, letters=False)
    if not possible(state):
        return
    drawn = scene(state, "Overlap-add")
    assert isinstance(drawn.steps, Steps)
    canvas = ["0"] * len(drawn.grid("output").texts)
    for cell, writes in zip(drawn.steps.cells, drawn.steps.writes["output"], strict=True):
        for place, text in writes:
            canvas[place] = text
        x = np.zeros(state.input.size)
        x[: cell + 1] = state.input.ravel()[: cell + 1]
        assert canvas == [number(v) for v in build(state).drawn(x.reshape(state.shape)).ravel()]
    assert canvas == texts(drawn, "output")


@settings(max_examples=40, deadline=None)
@given(STATES)
def test_the_code_gives_the_numbers_of_the_picture(state):
    if not possible(state):
        return
    for view in VIEWS:
        y = run(snippet(state, view))["y"][0, 0].detach()
        expected = by_torch(pictures.shown(state, view))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "stride", "whole"), [(4, 2, True), (5, 1, True), (5, 2, False), (6, 4, False)]
)
def test_a_large_matrix_is_a_sparsity_picture_a_larger_one_that_of_one_axis(size, stride, whole):
    state = State(size=size, kernel=3, stride=stride, padding=1)
    drawn = scene(state, "Matrix")
    assert (pictures.shown(state, "Matrix") == state) is whole
    assert drawn.flat is not whole
    grids = {grid.name: grid for grid in drawn.grids}
    assert grids["transposed"].compact or not whole
    # A cell pinned in another view is here too, in two axes or by its column.
    assert has_cell(drawn, "output:2,3")
    assert has_cell(drawn, "input:2,1")


@settings(max_examples=60)
@given(STATES)
def test_zero_insertion_is_that_of_the_operations(state):
    if not possible(state) or state.framework != PYTORCH:
        return
    spread, embedding, slid = zero_inserted(state)
    expected = fractionally_strided_conv(
        state.shape,
        state.kernel_values,
        state.stride,
        state.padding,
        state.output_padding,
        state.dilation,
    )
    whole = slid @ embedding @ spread
    assert whole.difference(expected) == 0
    assert whole.taps.tolist() == expected.taps.tolist()


@settings(max_examples=60)
@given(STATES)
def test_output_padding_picks_a_size_that_the_convolution_takes_there(state):
    if not possible(state):
        return
    assert all(step.output >= 1 for step in stairs(state))
    for size, extra in sources(state).items():
        kernel = np.ones(state.kernel)
        if state.framework == PYTORCH:
            A = conv((size,), kernel, state.stride, state.padding, state.dilation)
        else:
            A = conv_tf((size,), kernel, state.stride, scheme=state.scheme)
        assert A.output_shape == (state.size,)
        if extra is not None and extra <= LIMITS["output_padding"][1]:
            changed = picked(state, size)
            assert changed == {"output_padding": extra}
            assert build(replace(state, **changed)).output == size
    assert sources_in_words(state)


# The same cells in every view


@pytest.mark.parametrize("state", [D1_STRIDE, D2_STRIDE, D2_PLAIN, D4_MATRIX, State(size=3)])
def test_a_cell_has_the_same_place_in_all_views(state):
    """So that a pinned cell stays pinned."""
    for name in ("input", "kernel", "output"):
        places = []
        for view in VIEWS:
            grid = scene(state, view).grid(name)
            row, column = grid.origin
            places.append(
                {
                    (cell // grid.columns - row, cell % grid.columns - column): text
                    for cell, text in enumerate(grid.texts)
                }
            )
        kept = set.intersection(*(set(found) for found in places))
        assert len(kept) >= np.prod(
            {"input": state.shape, "output": build(state).A.output_shape}.get(
                name, state.kernel_values.shape
            )
        )
        for cell in kept:
            assert len({found[cell] for found in places}) == 1, (name, cell)


@pytest.mark.parametrize("state", [D1_STRIDE, State(size=3, dilation=2), D2_STRIDE])
@pytest.mark.parametrize("view", VIEWS)
def test_an_output_is_linked_to_the_inputs_it_reads(state, view):
    drawn, built = scene(state, view), build(state)
    grid = drawn.grid("output")
    for cell in np.ndindex(built.A.output_shape):
        row, column = ((0, *cell) if len(cell) == 1 else cell)[-2:]
        top, left = grid.origin
        found = {(row + top) * grid.columns + column + left}
        name = "output"
        for group in drawn.links:
            # From the output to the spread cells, and on to the inputs.
            if name in group.cells and "input" not in group.cells and "spread" in group.cells:
                pairs = zip(group.cells[name], group.cells["spread"], strict=True)
                found, name = {there for here, there in pairs if here in found}, "spread"
        joined = next(g for g in drawn.links if name in g.cells and "input" in g.cells)
        pairs = zip(joined.cells[name], joined.cells["input"], strict=True)
        read_ = {there for here, there in pairs if here in found and there >= 0}
        expected = {
            int(np.ravel_multi_index(link.input, state.shape)) for link in built.A.reads(cell)
        }
        assert read_ == expected


# The lectures


def test_four_copies_of_d1():
    drawn = scene(FOUR_COPIES, "Overlap-add")
    assert read(texts(drawn, "output")).reshape(3, 3).tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    copies = [[text for text in texts(drawn, f"copy{i}") if text] for i in (1, 2, 3, 4)]
    assert copies == [["0"] * 4, list("0123"), list("0246"), list("0369")]
    assert drawn.steps is not None
    assert drawn.steps.writes["output"][1] == [(1, "0"), (2, "1"), (4, "2"), (5, "3")]


def test_the_example_of_d1_with_stride_two():
    built = build(D1_STRIDE)
    assert (built.output, built.canvas, built.left, built.right) == (4, 5, 1, 0)
    assert build(replace(D1_STRIDE, output_padding=0)).output == 3
    assert np.all(built.A.coverage()[-1] > 0)
    drawn = scene(D1_STRIDE, "Overlap-add").grid("output")
    assert drawn.frame == (1, 1, 4, 4)
    assert drawn.frame_drags
    assert "e" not in drawn.marks
    assert drawn.title == "output y, 4×4, in the canvas, 5×5"


def test_in_one_dimension_every_copy_has_its_row():
    state = State(axes=1, size=2, kernel=3, stride=2, padding=0, letters=True)
    drawn = scene(state, "Overlap-add")
    assert texts(drawn, "copy1") == ["x1w1", "x1w2", "x1w3", "", ""]
    assert texts(drawn, "copy2") == ["", "", "x2w1", "x2w2", "x2w3"]
    assert drawn.terms["output"][2] == "{y:y3} = {w:w3}·{x:x1} + {w:w1}·{x:x2}"


def test_the_matrix_of_d4():
    drawn = scene(D4_MATRIX, "Matrix")
    transposed = drawn.grid("transposed")
    assert (transposed.rows, transposed.columns) == (16, 4)
    first = [f"w{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3)]
    column = [transposed.texts[row * 4] for row in range(16)]
    assert [text for text in column if text] == first
    assert (drawn.grid("matrix").rows, drawn.grid("matrix").columns) == (4, 16)
    # Cᵀ is what is read: there is no room for the numbers of both.
    assert drawn.grid("matrix").compact
    assert not transposed.compact
    flipped = np.array(transposed.texts, object).reshape(16, 4).T.ravel()
    assert texts(drawn, "matrix") == flipped.tolist()
    # x22 = w22·z11 + w21·z12 + w12·z21 + w11·z22
    assert drawn.terms["output"][5] == (
        "{y:y22} = {w:w22}·{x:x11} + {w:w21}·{x:x12} + {w:w12}·{x:x21} + {w:w11}·{x:x22}"
    )


def test_the_two_matrices_of_d2():
    plain = scene(D2_PLAIN, "Matrix").grid("transposed")
    assert (plain.rows, plain.columns) == (6, 4)
    assert plain.marks == "p" * 4 + "." * 16 + "p" * 4
    assert list(plain.texts[8:12]) == ["w3", "w2", "w1", ""]
    strided = scene(D2_STRIDE, "Matrix").grid("transposed")
    assert list(strided.texts) == [
        *["w1", "", "w2", "", "w3", "w1", "", "w2", "", "w3"],
        *["", ""],
    ]
    empty = scene(D2_STRIDE, "Overlap-add").grid("output")
    assert empty.marks == ".....e"
    assert "nothing arrives" in scene(D2_STRIDE, "Overlap-add").terms["output"][-1]


def test_one_filter_or_several():
    drawn = one_filter_or_several()
    plain, strided = drawn.grid("one"), drawn.grid("two")
    assert set(plain.tints or ()) == {-1, 0}
    assert set(strided.tints or ()) == {-1, 0, 1}
    assert strided.texts[-2:] == ["0", "0"]
    # With stride 1 it is the convolution with the flipped kernel.
    A = build(replace(D2_PLAIN, padding=0)).A
    assert conv((4,), np.flip(D2_PLAIN.kernel_values), padding=2).difference(A) == 0


def test_the_bilinear_filter_of_d4():
    state = State(size=3, kernel=3, stride=2, padding=1, weights="tent")
    tent = [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]
    assert state.kernel_values.tolist() == tent
    x = torch.tensor(state.input)[None, None]
    expected = F.interpolate(x, size=(5, 5), mode="bilinear", align_corners=True)[0, 0]
    drawn = scene(state, "Zero insertion")
    np.testing.assert_allclose(read(texts(drawn, "output")), expected.ravel(), atol=1e-9)
    assert drawn.grid("spread").marks == "p" * 7 + "p.z.z.p" + "pzzzzzp" + (
        "p.z.z.p" + "pzzzzzp" + "p.z.z.p" + "p" * 7
    )


def test_it_is_not_an_inverse():
    drawn = not_an_inverse()
    assert texts(drawn, "v") == ["37", "47", "67", "77"]
    back = [[37, 121, 94], [178, 500, 342], [201, 499, 308]]
    printed = [[148, 299, 141], [342, 640, 278], [134, 221, 77]]
    assert read(texts(drawn, "back")).reshape(3, 3).tolist() == back
    assert read(texts(drawn, "printed")).reshape(3, 3).tolist() == printed
    state = State(
        size=2, kernel=2, stride=1, padding=0, weights="own", x="37,47;67,77", w="1,2;3,4"
    )
    assert read(texts(scene(state, "Gradient"), "output")).reshape(3, 3).tolist() == back


@pytest.mark.parametrize(
    ("framework", "stride", "size", "crop"),
    [(KERAS_VALID, 1, 4, (0, 0)), (KERAS_VALID, 2, 5, (0, 0)), (KERAS_SAME, 2, 4, (0, 1))],
)
def test_keras_of_d3(framework, stride, size, crop):
    built = build(State(framework=framework, size=2, kernel=3, stride=stride))
    assert (built.output, built.left, built.right) == (size, *crop)


def test_the_cases_light_the_same_cell_and_the_same_weight():
    both = computed_or_empty().links[0].cells
    columns = {name: computed_or_empty().grid(name).columns for name in ("computed", "empty")}
    for one, other in zip(both["computed"], both["empty"], strict=True):
        if one >= 0:
            assert divmod(one, columns["computed"]) == divmod(other, columns["empty"])
    assert {cell for cell in both["computed"] if cell >= 0} == set(range(25))
    for drawn in (computed_or_empty(), not_an_inverse()):
        weights_count_what_they_light(drawn)
    flipped = not_an_inverse()
    (same,) = (group.cells for group in flipped.links if set(group.cells) == {"kernel", "flipped"})
    texts_ = {name: flipped.grid(name).texts for name in same}
    pairs = list(zip(same["kernel"], same["flipped"], strict=True))
    assert len(pairs) == 4
    assert all(texts_["kernel"][one] == texts_["flipped"][other] for one, other in pairs)
    for name, places in (("kernel", range(4)), ("flipped", range(3, -1, -1))):
        named = ("w11", "w12", "w21", "w22")
        assert all(w in flipped.terms[name][at] for w, at in zip(named, places, strict=True))


def test_computed_and_empty_side_by_side():
    drawn = computed_or_empty()
    assert drawn.grid("computed").frame == (1, 1, 4, 4)
    assert "e" not in drawn.grid("computed").marks
    empty = drawn.grid("empty")
    assert empty.frame == (0, 0, 6, 6)
    assert empty.marks[-6:] == "eeeeee"
    assert list(empty.texts[-6:]) == ["0"] * 6


def test_what_is_asked_beside_the_cases():
    """The answers on the page: with stride 3 and kernel 3 padding 2 is enough; three filters."""
    asked = State(size=3, kernel=3, stride=3, output_padding=2)
    x = torch.ones(1, 1, 3, 3)
    empty = [
        bool((F.conv_transpose2d(x, x, stride=3, padding=p, output_padding=2) == 0).any())
        for p in range(4)
    ]
    assert empty == [True, True, False, False]
    A = build(replace(asked, axes=1, output_padding=0, padding=0)).A
    assert len({tuple(A.taps[A.rows == row]) for row in range(A.shape[0])}) == 3


# The frame, the stairs, the predictions of these examples


def test_the_frame_of_d1_can_be_dragged_to_d2_and_back():
    assert dragged(D1_STRIDE, 0, 0) == {"padding": 0, "output_padding": 0}
    assert dragged(D1_STRIDE, 1, 1) == {"padding": 1, "output_padding": 0}
    assert dragged(replace(D1_STRIDE, padding=0), 1, 1) == {"padding": 1, "output_padding": 1}
    beyond = replace(D1_STRIDE, padding=0, output_padding=0)
    assert dragged(beyond, 0, -1) == {"padding": 0, "output_padding": 1}
    assert dragged(D1_STRIDE, 9, 9)["padding"] <= LIMITS["padding"][1]


def test_the_stairs_of_d1():
    assert sources(D1_STRIDE) == {3: 0, 4: 1}
    assert sources_in_words(D1_STRIDE) == (
        "The convolution takes 3 and 4 cells all to 2; output_padding 1 goes back to 4."
    )
    assert picked(D1_STRIDE, 3) == {"output_padding": 0}
    assert picked(D1_STRIDE, 5) == {}
    assert {step.size: step.output for step in stairs(D1_STRIDE)}[4] == 2


def test_the_prediction_leads_from_d1_to_d2():
    first = prediction(replace(D1_STRIDE, output_padding=0))
    assert (first.answer, first.then) == (COMPUTED, {"output_padding": 1})
    second = prediction(D1_STRIDE)
    assert (second.answer, second.then) == (ZEROS, {"padding": 0})
    third = prediction(replace(D1_STRIDE, padding=0))
    assert (third.answer, third.then) == (COMPUTED, {"padding": 1})
    plain = prediction(D4_MATRIX)
    assert (plain.answer, plain.then) == ("2 fewer", {"padding": 1})


def test_where_kernels_leave_gaps_the_last_row_may_be_one():
    gap = prediction(State(size=3, kernel=1, stride=3, padding=2, output_padding=0))
    assert gap.then == {"output_padding": 1}
    assert gap.answer == ZEROS
    assert "gap" in gap.why


def test_the_views_of_keras_are_cut_from_the_same_canvas():
    state = State(framework=KERAS_SAME, size=3, kernel=2, stride=3)
    assert {view.shape for view in views_of(state).values()} == {(9, 9)}
    assert disagreement(state) == 0


def values(drawn: Scene, name: str) -> np.ndarray:
    """The numbers of a grid."""
    found = drawn.grid(name)
    cells = [float(text.replace("−", "-")) for text in found.texts]
    return np.reshape(cells, (-1, found.columns))


def sign_before(drawn: Scene, name: str) -> str:
    row = next(row for row in drawn.rows if drawn.grid(name) in row)
    return str(row[row.index(drawn.grid(name)) - 1])


def test_the_signs_are_those_of_scipy():
    """∗ flips the kernel beside it, ⋆ does not."""
    state = D1_STRIDE
    spread = scene(state, "Zero insertion")
    w, y = values(spread, "kernel"), values(spread, "output")
    assert sign_before(spread, "kernel") == "∗"
    assert np.allclose(signal.convolve2d(values(spread, "spread"), w, mode="valid"), y)
    forward = scene(state, "Gradient")
    slid = signal.correlate2d(values(forward, "u"), w, mode="valid")
    assert sign_before(forward, "kernel") == "⋆"
    assert np.allclose(slid[:: state.stride, :: state.stride], values(forward, "v"))
    slide = not_an_inverse()
    assert sign_before(slide, "kernel") == "⋆"
    slid = signal.correlate2d(values(slide, "input"), values(slide, "kernel"), mode="valid")
    assert np.allclose(slid, values(slide, "v"))
