"""The pictures of the lesson on unpooling, against the operations, PyTorch and the lectures."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.components.linked_grid import Scene, payload
from explainer.ops import SettingError, bed_of_nails, max_pool, nearest_unpool, number
from explainer.ui.pictures.unpooling import (
    BACK,
    MOVED,
    POOLED,
    SLIDE,
    TIES,
    UNPOOLED,
    VIEWS,
    State,
    changes,
    compute,
    enlarged,
    gone,
    guessed,
    maxima_as_z,
    places,
    pooled_size,
    scene,
    snippet,
    verdict,
)
from explainer.ui.values import written
from tests.ui.pictures.conftest import run


@st.composite
def states(draw) -> State:
    """Settings, some of them impossible, with the usual numbers or with edited ones (and ties)."""
    size, kernel, stride = (draw(st.integers(low, 6)) for low in (2, 1, 1))
    state = State(size, kernel, stride, draw(st.booleans()), draw(st.booleans()))
    few = st.integers(-3, 6)
    x = z = ""
    if draw(st.booleans()):
        row = st.lists(few, min_size=size, max_size=size)
        x = written(draw(st.lists(row, min_size=size, max_size=size)))
    if kernel <= size and draw(st.booleans()):
        side = pooled_size(state)
        row = st.lists(few, min_size=side, max_size=side)
        z = written(draw(st.lists(row, min_size=side, max_size=side)))
    return State(size, kernel, stride, state.average, state.align_corners, x, z)


def texts(drawn: Scene, name: str) -> list[list[str]]:
    grid = drawn.grid(name)
    return np.reshape(list(grid.texts), (grid.rows, grid.columns)).tolist()


def shown(drawn: Scene, name: str) -> list[list[float]]:
    return [[float(text.replace("−", "-")) for text in row] for row in texts(drawn, name)]


def names_of(drawn: Scene) -> set[str]:
    return {grid.name for grid in drawn.grids}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Where windows overlap, PyTorch's threads race for who writes last."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# The lectures' numbers


def test_the_slides_numbers():
    drawn = scene(State())
    assert shown(drawn, "input") == [list(row) for row in SLIDE]
    assert shown(drawn, "maxima") == [[5, 6], [7, 8]]
    assert shown(drawn, "z") == [[1, 2], [3, 4]]
    assert shown(drawn, "nearest") == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert shown(drawn, "nails") == [[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4]
    assert shown(drawn, UNPOOLED) == [[0, 0, 2, 0], [0, 1, 0, 0], [0] * 4, [3, 0, 0, 4]]
    assert drawn.grid("input").bright == drawn.grid(UNPOOLED).bright == [2, 5, 12, 15]
    assert gone(State()) == (12, 16)


def test_the_interpolations_of_the_slides_map():
    drawn = scene(State(), "Interpolation")
    assert shown(drawn, "nearest") == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert shown(drawn, "bilinear")[0] == [1, 1.25, 1.75, 2]
    assert drawn.terms["nearest"][2] == "{y:y13} = {x:z12} = {y:2}: the nearest cell"


def test_moving_the_5_moves_max_unpooling_alone():
    moved = State(x=MOVED)
    assert compute(moved).x[0, 1] == 5
    assert changes(moved) == {"input": [1, 5], UNPOOLED: [1, 5], "summed": [1, 5]}
    drawn = scene(moved)
    assert drawn.grid(UNPOOLED).changed == [1, 5]
    for name in (*POOLED, "z", "nearest", "nails"):
        assert not drawn.grid(name).changed, name
        assert texts(drawn, name) == texts(scene(State()), name)
    assert drawn.rest.endswith("As before: the pooled maps, nearest, bed of nails")
    assert changes(State()) == {}


def test_max_unpooling_the_maxima_is_not_the_input():
    z = maxima_as_z(State())
    assert z == "5,6;7,8"
    assert shown(scene(State(z=z)), UNPOOLED) == [[0, 0, 6, 0], [0, 5, 0, 0], [0] * 4, [7, 0, 0, 8]]


# Against PyTorch and the operations


@settings(deadline=None, max_examples=60)
@given(states(), st.sampled_from(VIEWS), st.booleans())
def test_every_state_has_a_picture_or_names_the_broken_rule(state, view, hidden):
    try:
        drawn = scene(state, view, hidden)
    except SettingError:
        assert state.kernel > state.size
        return
    assert payload(drawn)["views"] == list(VIEWS)
    assert names_of(drawn) == set(drawn.terms)
    for name, terms in drawn.terms.items():
        assert all(terms), name


@settings(deadline=None, max_examples=60)
@given(states())
def test_the_numbers_are_those_of_pytorch(state):
    x = torch.tensor(state.input, requires_grad=True)
    k, s = state.kernel, state.stride
    try:
        now, drawn = compute(state), scene(state)
    except SettingError:
        return
    maxima, indices = F.max_pool2d(x[None, None], k, s, return_indices=True)
    z = torch.tensor(now.z)[None, None]
    maxima.backward(z)
    unpooled = F.max_unpool2d(z, indices, k, s, output_size=state.shape)
    total = F.avg_pool2d(x[None, None], k, s, divisor_override=None if state.average else 1)
    assert x.grad is not None
    expected = {
        "total": total[0, 0].detach(),
        "maxima": maxima[0, 0].detach(),
        UNPOOLED: unpooled[0, 0],
        "summed": x.grad,
    }
    for name, values in expected.items():
        if name != "summed" or state.overlaps:
            assert np.ravel(texts(drawn, name)).tolist() == [
                number(value) for value in values.ravel().tolist()
            ]
        np.testing.assert_allclose((now.pooled | now.back)[name], values.numpy(), atol=1e-12)
    assert places(state) == set(indices.ravel().tolist())
    assert ("summed" in names_of(drawn)) is (k > s)


@settings(deadline=None, max_examples=60)
@given(states())
def test_every_unpooling_is_the_transpose_of_its_pooling(state):
    """<A x, z> = <x, Aᵀ z> for the numbers of the picture."""
    try:
        now = compute(state)
    except SettingError:
        return
    for down, up in (("total", "nearest"), ("first", "nails"), ("maxima", "summed")):
        below, above = np.sum(now.pooled[down] * now.z), np.sum(now.x * now.back[up])
        assert below == pytest.approx(above, abs=1e-9)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_where_windows_tile_they_are_the_operations_of_the_lectures(stride):
    state = State(size=6, kernel=stride, stride=stride)
    now = compute(state)
    side = (6 // stride,) * 2
    assert (now.back["nearest"] == nearest_unpool(side, stride)(now.z)).all()
    assert (now.back["nails"] == bed_of_nails(side, stride)(now.z)).all()
    assert (now.back[UNPOOLED] == now.back["summed"]).all()


@settings(deadline=None, max_examples=40)
@given(states())
def test_the_interpolations_are_those_of_pytorch(state):
    try:
        drawn, maps = scene(state, "Interpolation"), enlarged(state)
    except SettingError:
        return
    z = compute(state).z
    larger = z.shape[0] * state.stride
    for mode in ("nearest", "bilinear", "bicubic"):
        align = {} if mode == "nearest" else {"align_corners": state.align_corners}
        expected = F.interpolate(torch.tensor(z)[None, None], (larger, larger), mode=mode, **align)
        np.testing.assert_allclose(maps[mode](z), expected[0, 0].numpy(), atol=1e-6)
        np.testing.assert_allclose(shown(drawn, mode), expected[0, 0].numpy(), atol=0.006)


@settings(deadline=None, max_examples=60)
@given(states(), st.sampled_from(VIEWS))
def test_the_snippet_gives_the_numbers_of_the_picture(state, view):
    try:
        code, now = snippet(state, view), compute(state)
    except SettingError:
        return
    left = run(code)
    expected = now.pooled | now.back
    if not state.overlaps:
        del expected["summed"]
    if view == "Interpolation":
        expected = {name: A(now.z) for name, A in enlarged(state).items()}
    for name, values in expected.items():
        np.testing.assert_allclose(left[name][0, 0].detach().numpy(), values, atol=1e-4)


# Links, steps, words


def linked(drawn: Scene, group: int, source: str, cell: int, target: str) -> set[int]:
    """The cells of a grid that a group of links joins to one cell of another."""
    cells = drawn.links[group].cells
    pairs = zip(cells[source], cells[target], strict=True)
    return {there for here, there in pairs if here == cell and there >= 0}


@pytest.mark.parametrize("state", [State(), State(stride=1), State(size=7, kernel=2, stride=3)])
def test_links_are_those_of_the_operations(state):
    drawn, pooling = scene(state), max_pool(state.input, state.kernel, state.stride)
    for row in range(pooling.values.size):
        window = {
            int(np.ravel_multi_index(link.input, state.shape))
            for link in pooling.windows.reads(np.unravel_index(row, pooling.values.shape))
        }
        place = {int(pooling.positions.flat[row])}
        for name in ("total", "maxima"):
            assert linked(drawn, 0, name, row, "input") == window
        assert linked(drawn, 0, "first", row, "input") == {min(window)}
        assert linked(drawn, 1, "z", row, "nearest") == window
        assert linked(drawn, 1, "z", row, "nails") == {min(window)}
        assert linked(drawn, 1, "z", row, UNPOOLED) == place
        assert linked(drawn, 1, "z", row, "maxima") == {row}
        # A column's cell does not light the columns beside it.
        assert linked(drawn, 1, "nearest", min(window), UNPOOLED) == set()


@settings(deadline=None, max_examples=40)
@given(states())
def test_playing_ends_with_the_numbers_of_the_picture(state):
    try:
        drawn = scene(state)
    except SettingError:
        return
    assert drawn.steps is not None
    assert set(drawn.steps.writes) == names_of(drawn) - {"input", "z"}
    for name, steps in drawn.steps.writes.items():
        final = dict(write for step in steps for write in step)
        assert [final[cell] for cell in sorted(final)] == list(drawn.grid(name).texts), name


def test_while_windows_overlap_sum_and_overwrite_are_both_there():
    state = State(stride=1)
    drawn, now = scene(state), compute(state)
    assert now.back[UNPOOLED][1, 1] == 5
    assert now.back["summed"][1, 1] == 1 + 4 + 5
    assert drawn.terms[UNPOOLED][5] == "{y:y22} = {x:z22} = {y:5} has overwritten {x:z11}, {x:z21}"
    assert drawn.terms["summed"][5].startswith("{y:y22} = {x:z11} + {x:z21} + {x:z22} = {y:10}")
    assert "overwrites" in drawn.rest
    assert drawn.grid("nearest").title == "copies, summed"


def test_gaps_and_rest_cells_are_marked():
    drawn = scene(State(size=7, kernel=2, stride=3))
    assert drawn.grid("input").marks[:7] == "..u..uu"
    assert drawn.grid("nearest").marks[:7] == "..e..ee"
    assert "gaps" in drawn.rest
    assert "no window reads it" in drawn.terms["input"][2]
    assert "no window reaches it" in drawn.terms["nearest"][2]
    assert scene(State(size=5)).grid("nails").marks[:5] == ".z.zz"


def test_of_equal_values_the_first_is_remembered():
    state = State(x="4,4,1,1;4,2,1,1;0,0,2,3;0,0,3,3")
    assert places(state) == {0, 2, 8, 11}
    assert "the first of equals" in scene(state).terms["maxima"][0]
    assert "the first of equals" not in scene(State()).terms["maxima"][0]


def test_the_average_divides_on_the_way_back_too():
    drawn = scene(State(average=True))
    assert shown(drawn, "total") == [[2.75, 3], [3.25, 3.75]]
    assert shown(drawn, "nearest")[0] == [0.25, 0.25, 0.5, 0.5]
    assert drawn.grid("nearest").title == "nearest ÷ 4"
    assert drawn.terms["nearest"][0] == "{y:y11} = {x:z11} / 4 = {y:0.25}"
    assert "the averages" in scene(State(average=True, x="9" + MOVED[1:])).rest


# Predictions


def test_a_prediction_leaves_no_trace_of_the_answer():
    for state in (State(x=MOVED), State(stride=1)):
        drawn = scene(state, hidden=True)
        hidden = drawn.grid(UNPOOLED)
        assert hidden.markable
        assert set(hidden.texts) == {""}
        assert not hidden.marks
        assert "summed" not in names_of(drawn)
        assert len(set(drawn.terms[UNPOOLED])) == 1
        assert all(UNPOOLED not in group.cells for group in drawn.links)
        assert drawn.steps is None
        assert not any(grid.bright or grid.changed for grid in drawn.grids)
        told = [*drawn.terms["input"], *drawn.terms["maxima"], *drawn.terms["z"]]
        assert not any("remembered" in term or ", at " in term for term in told)
        assert not any("where the maximum" in term for term in told)


def test_a_prediction_is_judged():
    moved = State(x=MOVED)
    right, answer, text = verdict(moved, frozenset({1, 2, 12, 15}))
    assert right
    assert answer == "where the maxima were."
    assert "12 of 16 values are gone" in text
    assert "no pooled map has noticed" in text
    right, _, text = verdict(State(), frozenset({1, 2, 12}))
    assert not right
    assert text.startswith("2 of 4 are right, and 1 is wrong.")
    assert "noticed" not in text
    assert verdict(State(), frozenset({2}))[2].startswith("1 of 4 are right. ")


@given(st.text(max_size=40) | st.from_regex(r"unpooled:[\d,]{0,20}(;input:\d)?", fullmatch=True))
def test_marks_from_the_browser_are_not_believed(marks):
    assert guessed(marks, State()) <= set(range(16))


def test_marks_are_read():
    assert guessed("unpooled:0,5,15,16,99;input:3", State()) == {0, 5, 15}
    assert guessed("", State()) == set()


# Numbers in the address


def test_numbers_for_another_size_are_not_shown():
    now = compute(State(size=5, x=MOVED, z="1,2;3,5"))
    assert now.x[0, 1] != 5
    assert now.z[1, 1] == 5


def test_of_equal_values_the_first_is_remembered_as_in_pytorch():
    state = State(x=TIES)
    places = torch.nn.functional.max_pool2d(
        torch.tensor(state.input)[None, None], 2, return_indices=True
    )[1]
    assert compute(state).maximum.positions.tolist() == places[0, 0].tolist() == [[1, 2], [8, 11]]
    terms = scene(state).terms["maxima"]
    assert all(term.endswith("the first of equals") for term in terms)


def test_all_grids_have_words():
    now = compute(State())
    assert now.pooled.keys() == POOLED.keys()
    assert now.back.keys() == BACK.keys()
