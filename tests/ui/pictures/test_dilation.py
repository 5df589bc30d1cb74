"""The pictures of the lesson on dilation, against PyTorch, the maps and the lectures' numbers."""

import base64
import io
import re
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from explainer.components.linked_grid import payload
from explainer.ops import SettingError, holes, layer_maps, reached
from explainer.ops.stacks import CONTEXT_MODULE, CONTEXT_WIDTHS
from explainer.ui.pictures import dilation as pictures
from explainer.ui.pictures import dilation_images as images
from explainer.ui.pictures.dilation import State
from tests.ui.pictures.conftest import run, weights_count_what_they_light


def shown(grid) -> list[float]:
    """The numbers of a grid; what is blank is left out."""
    return [float(text.replace("−", "-")) for text in grid.texts if text]


def places(shape, step: int) -> list[int]:
    """The flat cells that stand `step` apart along every axis."""
    cells = np.arange(np.prod(shape)).reshape(tuple(shape))
    return cells[tuple(slice(None, None, step) for _ in shape)].ravel().tolist()


def together(scene, name: str, cell: int) -> dict[str, set[int]]:
    """What the first group of links joins to a cell, by grid."""
    cells = scene.links[0].cells
    found: dict[str, set[int]] = {other: set() for other in cells}
    for place, own in enumerate(cells[name]):
        if own == cell:
            for other, column in cells.items():
                found[other] |= {column[place]} - {-1}
    return found


# What the lectures say


def test_dilations_1_2_4_see_3_7_15():
    assert [pictures.field((1, 2, 4)[:depth], 3) for depth in (1, 2, 3)] == [3, 7, 15]
    doubling = pictures.growth((1, 2, 4), 3)["1, 2, 4, 8 …"]
    assert doubling == ([9, 18, 27, 36, 45, 54], [3, 7, 15, 31, 63, 127])
    assert pictures.growth((1, 2, 4), 3)["dilation 1"][1] == [3, 5, 7, 9, 11, 13]


def test_dilations_2_2_2_touch_7_of_13_and_1_2_5_all_of_17():
    assert pictures.touched((2, 2, 2), 3) == (0, 2, 4, 6, 8, 10, 12)
    assert pictures.field((2, 2, 2), 3) == 13
    assert pictures.touched((1, 2, 5), 3) == tuple(range(17))
    assert pictures.classes((2, 2, 2)) == 2
    assert pictures.classes((1, 2, 5)) == 1


def test_the_table_of_the_context_module():
    basic, large = (images.context_table(module, 1) for module in pictures.MODULES)
    assert [row.dilation for row in basic] == [1, 1, 2, 4, 8, 16, 1, 1]
    assert [row.field for row in basic] == [3, 5, 9, 17, 33, 65, 67, 67]
    assert [row.kernel for row in basic] == [3] * 7 + [1]
    assert [row.truncated for row in basic] == [True] * 7 + [False]
    assert [row.channels for row in large] == [2, 2, 4, 8, 16, 32, 32, 1]
    assert images.context_weights("basic", 21) == 64 * 21**2
    assert sum(row.weights for row in large) == images.context_weights("large", 1)


@pytest.mark.parametrize(("dilation", "reach"), [(1, 3), (2, 5), (3, 7)])
def test_a_3x3_kernel_with_dilation_1_2_3(dilation, reach):
    scene = pictures.kernel(State(dilation=dilation))
    kernel = scene.grid("kernel")
    assert (kernel.rows, kernel.columns) == (reach, reach)
    assert kernel.marks.count("z") == reach**2 - 9
    assert len(together(scene, "output", 0)["input"]) == 9


# The stack in the address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2,4", (1, 2, 4)),
        (" 1, 2 ", (1, 2)),
        ("16", (16,)),
        ("", None),
        ("1,,2", None),
        ("0,1", None),
        ("17", None),
        ("1,2,3,4,5,6,7,8,9", None),
        ("²", None),
        ("1;2", None),
        ("-1", None),
        ("99999999999999", None),
    ],
)
def test_reading_dilations(text, found):
    assert pictures.read_dilations(text) == found
    assert pictures.usable_dilations(text) is (found is not None)


@pytest.mark.parametrize(
    ("pin", "unit"), [("output:0,2", 2), ("input:0,2", -1), ("output:0,-1", -1), ("", -1)]
)
def test_the_pinned_unit(pin, unit):
    assert pictures.pinned_unit(pin) == unit


# The stack


STACKS = [
    State(),
    State(dilations=(2, 2, 2), cells=15),
    State(dilations=(1, 2, 5), cells=19),
    State(dilations=(3,), cells=12, unit=4),
    State(dilations=(1, 1, 2, 4, 8, 16, 1), cells=67),
    State(dilations=(2, 4), kernel=4, cells=21, unit=1),
    State(dilations=(9, 9), cells=40, colours=False),
]


@st.composite
def stacks(draw) -> State:
    """Stacks of any length, most of them with room for some units more than one."""
    dilations = draw(st.lists(st.integers(1, 16), min_size=1, max_size=8).map(tuple))
    kernel = draw(st.integers(pictures.FEWEST_TAPS, pictures.MOST_TAPS))
    seen = pictures.field(dilations, kernel)
    assume(seen <= pictures.MOST_CELLS)
    cells = draw(st.integers(max(seen, pictures.FEWEST_CELLS), pictures.MOST_CELLS))
    unit = draw(st.integers(-1, cells - seen + 1))
    return State(dilations, kernel, cells=cells, unit=unit, colours=draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STACKS) | stacks())
def test_the_counts_are_the_gradient_of_a_stack_of_ones(state):
    scene, counts = pictures.stack(state), pictures.stack_counts(state)
    y = run(pictures.snippet(state, "Stack"))["y"].numpy()
    np.testing.assert_array_equal(y, counts)
    assert np.count_nonzero(y) == len(pictures.touched(state.dilations, state.kernel))
    first, last = np.flatnonzero(y)[[0, -1]]
    np.testing.assert_array_equal(shown(scene.grid("input")), y[first : last + 1])


@pytest.mark.parametrize("state", STACKS)
def test_the_links_of_a_stack_are_those_of_its_maps(state):
    scene = pictures.stack(state)
    maps = layer_maps(pictures.layers(state.dilations, state.kernel), state.cells)
    rows = pictures.row_names(len(maps))
    assert [grid.name for grid in scene.grids] == rows[::-1]
    for row, (group, layer) in enumerate(zip(scene.links, maps, strict=True)):
        assert group.lines
        joined = set(zip(group.cells[rows[row + 1]], group.cells[rows[row]], strict=True))
        assert joined == {(link, cell) for link, cell in zip(layer.rows, layer.cols, strict=True)}


@pytest.mark.parametrize("state", STACKS)
def test_the_player_grows_the_field_layer_by_layer(state):
    scene = pictures.stack(state)
    assert scene.steps is not None
    depth = len(state.dilations)
    maps = layer_maps(pictures.layers(state.dilations, state.kernel), state.cells)
    rows = pictures.row_names(depth)
    assert len(scene.steps.cells) == depth
    for row, (lights, says) in enumerate(
        zip(scene.steps.lights, scene.steps.says, strict=True), start=1
    ):
        (unit,) = lights[rows[row]]
        assert set(lights) == set(rows[: row + 1])
        seen = np.flatnonzero(reached(maps[:row], unit))
        np.testing.assert_array_equal(lights["input"], seen)
        wide = pictures.field(state.dilations[:row], state.kernel)
        assert seen[-1] - seen[0] + 1 == wide
        assert f"= {{y:{wide}}} cells" in says
        assert ("no holes" in says) == (not holes(reached(maps[:row], unit)))


def test_cells_of_one_colour_never_meet_those_of_another():
    scene = pictures.stack(State(dilations=(2, 4, 2), cells=24))
    for row in scene.grids:
        assert row.tints == [cell % 2 for cell in range(row.columns)]
    for group in scene.links:
        above, below = group.cells.values()
        assert all(a % 2 == b % 2 for a, b in zip(above, below, strict=True))
    assert all(row.tints is None for row in pictures.stack(State()).grids)
    many = pictures.stack(State(dilations=(9,), cells=30)).grid("input").tints
    assert many is not None
    assert set(many) == {0, -1}
    assert many.count(0) == len(range(5, 30, 9))


def test_what_is_said_of_a_unit_and_of_a_cell():
    terms = pictures.stack(State(dilations=(2, 2, 2), cells=15)).terms
    assert terms["output"][0] == "{y:y1} spans {x:x1} … {x:x13}: 13 cells, touches 7, 6 holes"
    one_hole = pictures.stack(State(dilations=(2,), kernel=2)).terms["output"][0]
    assert one_hole.endswith("3 cells, touches 2, 1 hole")
    assert terms["input"][2] == "{x:x3} reaches {y:y1}, {y:y3}"
    assert terms["input"][1] == "{x:x2} reaches {y:y2}"
    assert pictures.stack(State()).terms["output"][0].endswith("15 cells, touches every one")
    sparse = pictures.stack(State(dilations=(16,), cells=33)).terms
    assert sparse["input"][1] == "{x:x2} reaches no unit of the top row"


def test_an_input_that_is_too_small_says_what_would_fit():
    state = State(dilations=(4, 4), kernel=5, cells=9)
    with pytest.raises(SettingError) as caught:
        pictures.stack(state)
    assert caught.value.parameter == "cells"
    assert caught.value.suggestions == ({"cells": 33}, {"kernel": 2}, {"dilations": "1,1"})
    for change in caught.value.suggestions:
        fixed = dict(change)
        if "dilations" in fixed:
            fixed["dilations"] = pictures.read_dilations(fixed["dilations"])
        assert pictures.stack(replace(state, **fixed))
    with pytest.raises(SettingError) as caught:
        pictures.stack(State(dilations=(16,) * 8, kernel=5, cells=5))
    assert caught.value.suggestions == ({"dilations": "1"},)


@pytest.mark.parametrize(
    ("dilations", "kernel", "cells", "offered"),
    [
        ((16, 16, 8), 3, 80, "16,15,8"),  # 81 cells were one too many
        ((1, 2, 4), 3, 14, "1,2,3"),
        ((16, 16), 3, 17, "4,4"),
        ((1, 1, 1), 3, 5, "1,1"),
    ],
)
def test_the_stack_that_is_offered(dilations, kernel, cells, offered):
    with pytest.raises(SettingError) as caught:
        pictures.stack(State(dilations=dilations, kernel=kernel, cells=cells))
    assert {"dilations": offered} in caught.value.suggestions


@settings(max_examples=60, deadline=None)
@given(
    dilations=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    kernel=st.integers(2, 5),
    cells=st.integers(5, 40),
)
def test_no_stack_that_fits_is_nearer_than_the_one_that_is_offered(dilations, kernel, cells):
    """Against all stacks of as many layers with dilations from 1 to 6."""

    def changed(other):
        return sum(abs(a - b) for a, b in zip(dilations, other, strict=True))

    fitting = [
        other
        for other in product(range(1, 7), repeat=len(dilations))
        if pictures.field(other, kernel) <= cells
    ]
    assume(fitting and dilations not in fitting)
    with pytest.raises(SettingError) as caught:
        pictures.stack(State(dilations=dilations, kernel=kernel, cells=cells))
    offered = pictures.read_dilations(caught.value.suggestions[-1]["dilations"])
    assert offered in fitting
    assert changed(offered) == min(map(changed, fitting))


# The prediction


def test_the_cells_to_predict_show_nothing_until_revealed():
    hidden, open_ = pictures.guess(False).grid("guess"), pictures.guess(True).grid("guess")
    assert hidden.markable
    assert set(hidden.texts) == {""}
    assert hidden.tints is None
    assert not open_.markable
    assert shown(open_) == [1, 0, 3, 0, 6, 0, 7, 0, 6, 0, 3, 0, 1]
    assert open_.tints == [0, 1] * 6 + [0]


def test_the_verdict_on_a_prediction():
    right, answer, says = pictures.verdict({0, 2, 4, 6, 8, 10, 12})
    assert right
    assert answer == "7, every second one."
    assert "You found them all" in says
    right, _, says = pictures.verdict(set(range(13)))
    assert not right
    assert "marked 6 that it never sees" in says
    assert "You found 1 of them. Dilations" in pictures.verdict({0})[2]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("guess:0,12", {0, 12}),
        ("guess:13,-1,x", set()),
        ("input:1", set()),
        ("", set()),
        (None, set()),
        ({"guess": 1}, set()),
        ("guess:²", set()),
    ],
)
def test_marks_from_the_browser_are_checked(text, cells):
    assert pictures.read_guess(text) == cells


# One kernel in two dimensions


KERNELS = [
    State(dilation=1),
    State(dilation=2),
    State(dilation=3, weights="random", seed=4),
    State(dilation=2, padding=2, size=6, weights="edge"),
    State(dilation=4, kernel=2, weights="blur"),
    State(dilation=2, weights="own", w="1,2,3;4,5,6;7,8,9", x="1,2;3,4"),
]


@pytest.mark.parametrize("state", KERNELS)
def test_a_dilated_kernel(state):
    scene = pictures.kernel(state)
    x = torch.tensor(pictures.input_values(state))[None, None]
    w = torch.tensor(pictures.kernel_values(state))[None, None]
    y = F.conv2d(x, w, padding=state.padding, dilation=state.dilation)
    np.testing.assert_allclose(shown(scene.grid("output")), y.ravel(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(run(pictures.snippet(state, "Kernel"))["y"], y, rtol=1e-6)
    taps = scene.grid("kernel")
    spread = np.array(shown(taps)).reshape(taps.rows, taps.columns)
    np.testing.assert_allclose(
        spread[:: state.dilation, :: state.dilation], w[0, 0], rtol=1e-3, atol=1e-4
    )


def test_each_tap_of_the_spread_kernel_stands_where_it_reads():
    scene = pictures.kernel(State(dilation=2))
    for tap, cell in ((0, 0), (2, 2), (4, 4), (10, 18), (24, 40)):
        pairs = zip(*(scene.links[0].cells[n] for n in ("output", "kernel", "input")), strict=True)
        assert (0, tap, cell) in set(pairs)
    assert {tap for tap in scene.links[0].cells["kernel"]} == {0, 2, 4, 10, 12, 14, 20, 22, 24}
    assert "inserted zero" in scene.terms["kernel"][1]


def test_letters_stand_for_numbers():
    scene = pictures.kernel(State(letters=True))
    assert scene.grid("kernel").texts[:3] == ["w11", "0", "w12"]
    assert scene.grid("output").texts[0] == "y11"


@pytest.mark.parametrize("state", [State(dilation=d, padding=p) for d in (2, 3, 4) for p in (0, 1)])
def test_an_output_has_the_colour_of_the_cells_that_it_reads(state):
    scene = pictures.kernel(state)
    y, x = scene.grid("output").tints, scene.grid("input").tints
    assert y is not None
    assert x is not None
    cells = scene.links[0].cells
    marks = scene.grid("input").marks
    for output, source in zip(cells["output"], cells["input"], strict=True):
        assert marks[source] == "p" or x[source] == y[output]


def test_the_tap_under_a_click():
    state = State(dilation=2)
    assert pictures.kernel_tap(state, 4, 2) == (2, 1)
    for place in ((1, 0), (0, 3), (5, 0), (-2, 0)):
        assert pictures.kernel_tap(state, *place) is None


# Downsampling, convolution, upsampling


RESAMPLED = [
    State(cells=13),
    State(cells=12, dilation=3, up="nearest", weights="random"),
    State(cells=14, dilation=3, up="bilinear"),
    State(cells=9, dilation=1),
    State(cells=6, dilation=6, up="bilinear"),
    State(axes=2, size=6),
    State(axes=2, size=7, dilation=3, up="nearest", weights="random"),
    State(axes=2, size=8, dilation=3, up="bilinear", weights="edge"),
    State(axes=2, size=1, dilation=2, weights="own", w="1,2,3;4,5,6;7,8,9"),
]


@pytest.mark.parametrize("state", RESAMPLED)
def test_down_convolve_up_agrees_with_dilation_where_a_cell_was_kept(state):
    scene, names = pictures.resample(state), run(pictures.snippet(state, "Resample"))
    near = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
    near(shown(scene.grid("up")), names["up"].ravel())
    near(shown(scene.grid("dilated")), names["y"].ravel())
    near(shown(scene.grid("small")), names["small"].ravel())
    kept = places(state.shape, state.dilation)
    assert pictures.computed(state) == (names["small"].numel(), names["y"].numel())
    dilated, up = shown(scene.grid("dilated")), shown(scene.grid("up"))
    np.testing.assert_allclose([up[cell] for cell in kept], [dilated[cell] for cell in kept])
    if state.dilation > 1:
        assert list(scene.grid("dilated").bright) == kept


def test_a_cell_lights_its_own_path_only():
    scene = pictures.resample(State(cells=13))
    assert together(scene, "dilated", 3) == {
        "up": set(),
        "small": set(),
        "down": set(),
        "input": {1, 3, 5},
        "dilated": {3},
    }
    even = together(scene, "up", 4)
    assert even["input"] == even["down"] == {2, 4, 6}
    assert even["small"] == even["dilated"] == {4}
    assert together(scene, "up", 3)["input"] == set()
    assert together(scene, "input", 3)["dilated"] == {1, 3, 5}
    assert together(scene, "input", 3)["down"] == set()


def test_what_is_said_of_the_ways_up():
    nails = pictures.resample(State(cells=5)).terms["up"]
    assert "no value is computed here" in nails[1]
    nearest = pictures.resample(State(cells=5, up="nearest")).terms["up"]
    assert nearest[1] == "{y:u2}: a copy of {y:v1}"
    assert "the dilated convolution has the same" in nearest[2]
    bilinear = pictures.resample(State(cells=5, up="bilinear")).terms["up"]
    assert bilinear[1].startswith("{y:u2} = {w:0.5}·")


# Without the stride


@pytest.mark.parametrize(
    "state",
    [
        State(cells=13),
        State(cells=14, weights="random"),
        State(cells=20, stride=3, kernel=4),
        State(cells=8, stride=4, kernel=2),
        State(axes=2, size=8),
        State(axes=2, size=9, kernel=2, stride=3, weights="random"),
        State(axes=2, size=13, kernel=5, weights="blur"),
    ],
)
def test_without_the_stride_the_old_outputs_stay(state):
    scene, names = pictures.pooling(state), run(pictures.snippet(state, "Pooling"))
    near = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3)
    near(shown(scene.grid("old")), names["old"].ravel())
    near(shown(scene.grid("dense")), names["y"].ravel())
    dense, kept = shown(scene.grid("dense")), places(names["y"].shape[2:], state.stride)
    assert [dense[cell] for cell in kept] == shown(scene.grid("old"))
    assert list(scene.grid("dense").bright) == kept


def test_an_old_output_lights_the_same_cells_on_both_sides():
    scene = pictures.pooling(State(cells=13))
    lit = together(scene, "old", 2)
    assert lit["pooled"] == lit["dense_pooled"] == {2, 4, 6}
    assert lit["input"] == {2, 3, 4, 5, 6, 7}
    assert lit["dense"] == {2}
    between = together(scene, "dense", 3)
    assert between["old"] == set()
    assert between["dense_pooled"] == {3, 5, 7}


@pytest.mark.parametrize("state", [State(axes=2, size=6), State(axes=2, size=7, dilation=3)])
def test_along_two_axes_a_cell_lights_its_own_path_only(state):
    scene, d = pictures.resample(state), state.dilation
    A = pictures.resampled(state).dilated
    kept = places(state.shape, d)
    for output in range(A.shape[0]):
        row = slice(*A.starts[output : output + 2])
        lit = together(scene, "dilated", output)
        assert lit["input"] == set(A.cols[row].tolist())
        assert lit["kernel"] == set(A.taps[row].tolist())
        # The other way computes only the kept ones, from kept ones.
        assert lit["small"] == ({kept.index(output)} if output in kept else set())
        assert lit["down"] == ({kept.index(c) for c in lit["input"]} if output in kept else set())


def test_along_two_axes_without_the_stride():
    scene = pictures.pooling(State(axes=2, size=8))
    lit = together(scene, "old", 3)
    q = {row * 7 + column for row in (2, 4, 6) for column in (2, 4, 6)}
    assert lit["dense_pooled"] == q
    assert lit["pooled"] == {5, 6, 7, 9, 10, 11, 13, 14, 15}
    assert lit["input"] == {r * 8 + c for r in range(2, 8) for c in range(2, 8)}
    assert lit["dense"] == {8}
    assert lit["kernel"] == set(range(9))
    assert together(scene, "dense", 4)["old"] == set()
    assert scene.terms["old"][3].endswith("and {y:v33} is the same")
    assert scene.terms["dense"][4].endswith(": new")


def test_a_pooling_that_does_not_fit():
    with pytest.raises(SettingError) as caught:
        pictures.pooling(State(cells=9, stride=4, kernel=3))
    assert caught.value.suggestions == ({"cells": 12}, {"kernel": 2})
    with pytest.raises(SettingError) as caught:
        pictures.pooling(State(axes=2, size=3, stride=4, kernel=4))
    assert caught.value.parameter == "size"
    assert caught.value.suggestions == ({"size": 8, "kernel": 2},)


@pytest.mark.parametrize(
    ("view", "axes", "shapes"),
    [
        ("Kernel", 1, {"x": {(9, 9)}, "w": {(4, 4)}}),
        ("Resample", 1, {"x": {(17,)}, "w": {(3,)}}),
        ("Resample", 2, {"x": {(9, 9)}, "w": {(3, 3)}}),
        ("Pooling", 2, {"x": {(9, 9)}, "w": {(4, 4)}}),
        # What a view does not show counts where another one does.
        ("Photo", 1, {"x": {(9, 9), (17,)}, "w": {(4, 4)}}),
        ("Stack", 1, {"x": {(9, 9), (17,)}, "w": {(4, 4), (3,), (4,)}}),
        ("Context", 2, {"x": {(9, 9)}, "w": {(4, 4), (3, 3)}}),
    ],
)
def test_for_which_grids_edited_numbers_are(view, axes, shapes):
    state = State(axes=axes, kernel=4, x="1", w="2", weights="own")
    found = pictures.edited(state, view)
    assert {name: set(fitting) for name, (_, fitting) in found.items()} == shapes
    assert {name: text for name, (text, _) in found.items()} == {"x": "1", "w": "2"}
    assert all(not text for text, _ in pictures.edited(State(), view).values())


# On a photo


def test_a_dilated_stack_treats_each_sub_photo_alone():
    x = images.grey("cat", images.PHOTO)
    w = np.arange(9.0).reshape(3, 3)
    whole = images.through(x, (2, 4), w)
    for row in range(2):
        for column in range(2):
            alone = images.through(x[row::2, column::2], (1, 2), w)
            np.testing.assert_allclose(whole[row::2, column::2], alone)


@pytest.mark.parametrize(
    ("dilations", "changed", "other"),
    [((2, 2, 2), 0.25, 1.0), ((1, 2, 5), 1.0, 0.25), ((4,), 1 / 16, 9 / 16), ((1, 2, 4), 1.0, 1.0)],
)
def test_how_many_outputs_notice_a_black_sub_photo(dilations, changed, other):
    state = State(dilations=dilations)
    dark, plain = images.photo(state), images.photo(replace(state, blackout=False))
    count = dark.photo.size
    assert dark.changed == changed * count
    differ = ~np.isclose(dark.y, plain.y, rtol=0, atol=1e-12)
    assert differ.sum() == dark.changed
    assert dark.other_changed == pytest.approx(other * count, rel=0.06)  # padding at the border


def test_the_photo_is_shown_with_its_sub_photos():
    html = images.photo_html(State(dilations=(2, 2, 2)))
    assert html.count("<img") == 6
    assert "<b>2, 2, 2</b>: it reaches 576 of 2304" in html
    assert "<b>1, 2, 5</b>: it reaches 2304 of 2304" in html
    assert "orange" not in html
    edges = images.photo_html(State(dilations=(4,), weights="edge", blackout=False))
    assert "orange" in edges
    assert "<b>after dilation 4</b>" in edges


@pytest.mark.parametrize(
    ("view", "dilations", "says"),
    [
        ("Photo", (2, 4), "{w:dilations 2, 4}: 2×2 sub-photos that never mix"),
        ("Photo", (1, 2), "{w:dilations 1, 2}: nothing in common, so all mix"),
        ("Context", (1,), "eight layers see {w:67×67} pixels at full resolution"),
    ],
)
def test_what_is_said_above_photos(view, dilations, says):
    assert pictures.scene(State(dilations=dilations), view).rest == says


def test_sub_photos_lie_side_by_side():
    x = np.arange(12.0).reshape(3, 4)
    expected = [
        [0, 2, 9, 1, 3],
        [8, 10, 9, 9, 11],
        [9, 9, 9, 9, 9],
        [4, 6, 9, 5, 7],
        [9, 9, 9, 9, 9],
    ]
    sheet = images.parted(x, 2)
    np.testing.assert_array_equal(np.nan_to_num(sheet, nan=9), expected)
    png = images.image(sheet, 11, signed=False).partition(",")[2]
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("LA")
    levels, alpha = np.moveaxis(np.asarray(picture), -1, 0)
    np.testing.assert_array_equal(alpha, np.where(np.isnan(sheet), 0, 255))
    np.testing.assert_array_equal(levels[alpha > 0], np.round(sheet[alpha > 0] / 11 * 255))


def test_a_photo_keeps_its_proportions():
    assert images.crop((400, 100), (50, 50)) == (150, 0, 250, 100)
    assert images.crop((100, 400), (50, 100)) == (0, 175, 100, 225)


@pytest.mark.parametrize(
    "state",
    [
        State(),
        State(dilations=(2, 2, 2), weights="blur", blackout=False),
        State(dilations=(3,), kernel=2, weights="random", photo="astronaut"),
    ],
)
def test_the_lines_for_a_photo(state):
    y = run(images.snippet(state, "Photo"))["y"][0, 0].numpy()
    np.testing.assert_allclose(y, images.photo(state).y, rtol=1e-6)


# The context module


def test_the_field_of_an_impulse_grows_as_the_table_says():
    outputs = images.context("impulse", "average", "cat", 0)
    widths = [int((y.max(0) > 0).sum()) for y in outputs]
    assert widths == [1, 3, 5, 9, 17, 33, 65, 67, 67]
    assert [int((y > 0).sum()) for y in outputs] == [width**2 for width in widths]


@pytest.mark.parametrize("signal", pictures.SIGNALS)
@pytest.mark.parametrize("start", pictures.STARTS)
def test_the_context_module_is_the_one_of_pytorch(signal, start):
    outputs = images.context(signal, start, "cat", 3)
    x = torch.tensor(outputs[0])[None, None]
    for place, layer in enumerate(CONTEXT_MODULE):
        w = torch.tensor(images.context_kernel(layer, start, 3 + place))[None, None]
        x = F.conv2d(x, w, padding=layer.padding, dilation=layer.dilation)
        x = x if place == 7 else F.relu(x)
        np.testing.assert_allclose(outputs[place + 1], x[0, 0], atol=1e-12)


def test_the_identity_start_leaves_what_is_not_negative():
    photo = images.context("photo", "identity", "cat", 0)
    np.testing.assert_array_equal(photo[-1], photo[0])
    signed = images.context("signed photo", "identity", "cat", 0)
    assert signed[0].min() < 0
    np.testing.assert_array_equal(signed[-1], np.maximum(signed[0], 0))


@pytest.mark.parametrize(
    "state",
    [
        State(signal=signal, start=start, module=module, seed=2)
        for signal, start, module in (
            ("impulse", "average", "large"),
            ("photo", "identity", "large"),
            ("signed photo", "random", "basic"),
            ("signed photo", "random", "large"),
        )
    ],
)
def test_the_lines_for_the_context_module(state):
    names = run(images.snippet(state, "Context"))
    expected = images.context(state.signal, state.start, state.photo, state.seed)[-1]
    y = names["y"][0, 0].detach().numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-7)
    assert names["widths"] == CONTEXT_WIDTHS[state.module]


def test_the_table_as_html():
    html = images.context_html("impulse", "average", "cat", 0, "large", 21)
    assert html.count("<img") == 9
    assert "67×67" in html
    assert images.grouped(15422 * 21**2) in html


# Any settings


STATES = st.builds(
    State,
    dilations=st.lists(st.integers(1, 16), min_size=1, max_size=4).map(tuple),
    kernel=st.integers(2, 5),
    axes=st.sampled_from([1, 2]),
    cells=st.integers(5, 80),
    unit=st.integers(-1, 30),
    size=st.integers(1, 13),
    dilation=st.integers(1, 6),
    padding=st.integers(0, 6),
    stride=st.integers(2, 4),
    up=st.sampled_from(pictures.UPSAMPLINGS),
    weights=st.sampled_from(("ones", "edge", "random", "own")),
    seed=st.integers(0, 99),
    letters=st.booleans(),
    colours=st.booleans(),
    x=st.sampled_from(("", "1,2,3", "-1.5,2;3,4")),
)


@settings(max_examples=60, deadline=None)
@given(STATES, st.sampled_from(pictures.VIEWS))
def test_any_settings_give_a_picture_or_say_what_would(state, view):
    error = None
    try:
        scene = pictures.scene(state, view)
    except SettingError as impossible:
        error = impossible
    if error is not None:
        event(f"impossible in {view}")
        assert error.suggestions
        return
    assert scene.views[scene.view] == view
    assert payload(scene)["rest"] == scene.rest != ""
    weights_count_what_they_light(scene)
    for grid in scene.grids:
        assert len(scene.terms[grid.name]) == len(grid.texts)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize(
    ("view", "answer"), [("Resample", "filled places agree"), ("Pooling", "the old ones filled")]
)
def test_what_the_question_asks_is_told_when_it_has_been_answered(axes, view, answer):
    state = State(axes=axes)
    assert answer in pictures.scene(state, view).rest
    kept_back = pictures.scene(replace(state, told=False), view).rest
    assert answer not in kept_back
    assert kept_back.lower().endswith("predict first")


# The way that is shown, the one that is asked for, and the grid that is common to both.
WAYS = {
    "Resample": (("up", "small", "down"), ("dilated",)),
    "Pooling": (("old", "pooled"), ("dense_pooled", "dense")),
}


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("view", WAYS)
def test_before_the_answer_nothing_compares_the_outputs_of_both_ways(view, axes):
    told = pictures.scene(State(axes=axes, size=8), view)
    open_ = pictures.scene(State(axes=axes, size=8, told=False), view)
    shown_way, asked_way = WAYS[view]
    asked = asked_way[-1]
    assert set(open_.grid(asked).texts) == {"?"}
    assert not any(drawn.bright for drawn in open_.grids)
    for name in shown_way:
        assert open_.grid(name).texts == told.grid(name).texts
    said = " ".join(term for terms in open_.terms.values() for term in terms)
    assert not any(word in said for word in ("the same", "as before", ": new", "dilated kernel"))
    # No cell lights cells of both ways, yet either way is linked as it was.
    cells = open_.links[0].cells
    for one, other in product(shown_way, asked_way):
        assert all(min(pair) < 0 for pair in zip(cells[one], cells[other], strict=True))
    for cell in range(len(open_.grid(asked).texts)):
        assert together(open_, asked, cell)["input"] == together(told, asked, cell)["input"]


@pytest.mark.parametrize("up", pictures.UPSAMPLINGS)
@pytest.mark.parametrize("dilation", [2, 3])
def test_no_other_way_up_tells_where_the_dilated_convolution_differs(up, dilation):
    scene = pictures.resample(State(up=up, dilation=dilation, told=False))
    assert set(scene.grid("dilated").texts) == {"?"}


def test_with_dilation_1_nothing_is_kept_back():
    state = State(dilation=1)
    assert pictures.resample(replace(state, told=False)) == pictures.resample(state)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("view", WAYS)
def test_the_code_asserts_what_agrees_when_the_question_has_been_answered(view, axes):
    state = State(axes=axes, size=8)
    assert "assert" in pictures.snippet(state, view)
    kept_back = pictures.snippet(replace(state, told=False), view)
    assert "assert" not in kept_back
    assert run(kept_back)["printed"] == run(pictures.snippet(state, view))["printed"]


def test_before_the_answer_the_kernel_in_question_shows_what_it_spans_alone():
    state = State(dilation=3, letters=True, told=False)
    scene = pictures.kernel(state)
    taps = scene.grid("kernel")
    assert (len(taps.texts), taps.columns) == (49, 7)
    assert set(taps.texts) == {"?"}
    assert not taps.marks
    assert not taps.editable
    assert all(drawn.tints is None for drawn in scene.grids)
    assert not scene.links
    for name, said in scene.terms.items():
        assert len(set(said)) == 1, f"{name} tells its cells apart"
    assert scene.rest == "3×3 taps span {w:7×7}: how many are read? Predict first"
    answered = pictures.kernel(replace(state, told=True))
    assert answered.rest.endswith("read 9 of 49 cells")
    assert answered.grid("kernel").marks.count("z") == 40


def test_cells_that_the_kernel_in_question_leaves_out_are_hatched_after_the_answer():
    marks = {
        told: pictures.kernel(State(dilation=3, size=7, told=told)).grid("input").marks
        for told in (False, True)
    }
    assert marks[True].count("u") == 49 - 9
    assert not marks[False].strip(".")


@pytest.mark.parametrize("change", [{"dilation": 2}, {"dilation": 1}, {"kernel": 2}])
def test_other_kernels_are_shown_but_not_counted_before_the_answer(change):
    state = State(**{"dilation": 3, "told": False} | change)
    kept_back, told = (pictures.kernel(replace(state, told=told)) for told in (False, True))
    assert replace(kept_back, rest=told.rest) == told
    assert "read" in told.rest
    assert "read" not in kept_back.rest


LINE = {"Stack": 48}
"""Characters that the strip has room for in one line at 1280×720, where it is narrower than 62."""


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("dilations", [(1, 2, 4), (2, 2, 2)])
@pytest.mark.parametrize("view", pictures.VIEWS)
def test_the_strip_is_one_line(view, dilations, axes, told):
    state = State(dilations=dilations, axes=axes, dilation=3, told=told)
    scene = pictures.scene(state, view)
    pinned = scene.terms["output"][:1] if view == "Stack" else []
    for said in (scene.rest, *pinned):
        assert len(re.sub(r"{\w:(.*?)}", r"\1", said)) <= LINE.get(view, 62), said


@pytest.mark.parametrize("signal", pictures.SIGNALS)
@pytest.mark.parametrize(("start", "kept"), [("identity", 8), ("average", 0), ("random", 0)])
def test_before_the_answer_the_context_module_shows_its_input_alone(signal, start, kept):
    state = State(signal=signal, start=start, told=False)
    assert pictures.keeps_context_back(state) is bool(kept)
    assert not pictures.keeps_context_back(replace(state, told=True))
    drawn = images.context_html(signal, start, "cat", 0, "basic", 21, not kept)
    assert (drawn.count("?"), drawn.count("<img")) == (kept, 9 - kept)
    assert 'alt="input"' in drawn
    assert "67×67" in drawn
    says = pictures.scene(state, "Context").rest
    assert says.endswith("Predict first" if kept else "at full resolution")


@pytest.mark.parametrize(
    ("dilations", "says"),
    [((2, 2, 4), "a 0 in row x is a hole"), ((1, 2, 4), "play by layer")],
)
def test_holes_are_spoken_of_where_there_are_some(dilations, says):
    rest = pictures.stack(State(dilations=dilations)).rest
    assert rest.endswith(f"are counted: {says}")


QUESTIONED = State(dilations=(2, 2, 2), cells=15, told=False)


def test_before_the_answer_the_stack_in_question_shows_its_spans_alone():
    scene = pictures.scene(QUESTIONED, "Stack")
    assert [len(row.texts) for row in scene.grids] == [3, 7, 11, 15]
    assert all(set(row.texts) == {""} and row.tints is None for row in scene.grids)
    assert not any(group.cells for group in scene.links)
    assert scene.steps is not None
    assert scene.steps.lights == [{"h1": [5]}, {"h2": [3]}, {"output": [1]}]
    said = [*scene.steps.says, scene.rest, *(t for terms in scene.terms.values() for t in terms)]
    assert not any(word in text for text in said for word in ("hole", "touches", "reaches"))
    assert scene.steps.says[-1].endswith("= {y:13} cells")


@pytest.mark.parametrize("change", [{"dilations": (2, 2, 4), "cells": 19}, {"kernel": 2}])
def test_other_stacks_are_told_before_the_answer(change):
    state = replace(QUESTIONED, **change)
    assert pictures.scene(state, "Stack") == pictures.scene(replace(state, told=True), "Stack")


@pytest.mark.parametrize(("dilations", "kept"), [((2, 2, 2), 1), ((1, 2, 5), 1), ((4,), 0)])
def test_before_the_answer_the_photo_in_question_is_kept_back(dilations, kept):
    state = State(dilations=dilations, weights="blur", told=False)
    drawn = images.photo_html(state)
    assert (drawn.count("?"), drawn.count("<img")) == (2 * kept, 6 - 2 * kept)
    for blackout in (True, False):
        says = pictures.scene(replace(state, blackout=blackout), "Photo").rest
        assert ("never mix" in says) is (dilations == (4,))
    assert images.photo_html(replace(state, blackout=False)).count("<img") == 6


def test_photos_tell_how_far_black_reaches_when_the_question_has_been_answered():
    state = State(dilations=(2, 2, 2), weights="blur")
    assert "it reaches" in images.photo_html(state)
    assert "it reaches" not in images.photo_html(replace(state, told=False))
