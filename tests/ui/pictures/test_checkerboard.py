"""The pictures of the lesson on checkerboards, against the operations, PyTorch and the lectures."""

import base64
import io
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from explainer.components.linked_grid import Scene, payload
from explainer.ops import SettingError, number
from explainer.ui.pictures import checkerboard_cures as photos
from explainer.ui.pictures.checkerboard import (
    BOUNDS,
    IDLE,
    UNEVEN_4X4,
    VIEWS,
    WEIGHTS,
    State,
    bars,
    check_view,
    fitted,
    interior,
    is_flat,
    pattern,
    phase_of,
    repeats,
    scene,
    sizes,
    snippet,
)
from tests.ui.pictures.conftest import run, weights_count_what_they_light

STATES = st.builds(
    State,
    axes=st.sampled_from([1, 2]),
    **{name: st.integers(*bounds) for name, bounds in BOUNDS.items()},
    weights=st.sampled_from(WEIGHTS),
    seed=st.integers(0, 99),
    w=st.sampled_from(["", "1,2,3", UNEVEN_4X4]),
    photo=st.sampled_from(photos.PHOTOS),
)

OWN_4X4 = State(kernel=4, stride=2, weights="own", w=UNEVEN_4X4)
TENT = State(kernel=3, stride=2, weights="tent")


def texts(drawn: Scene, name: str) -> list[str]:
    return list(drawn.grid(name).texts)


def numbers(values) -> list[str]:
    return [number(float(value)) for value in np.asarray(values).ravel()]


def by_torch(state: State, kernel: np.ndarray, layers: int = 1) -> np.ndarray:
    """A flat input of 1 through stacked transposed convolutions, as PyTorch does it."""
    transposed = F.conv_transpose2d if state.axes == 2 else F.conv_transpose1d
    y = torch.ones((1, 1, *state.shape), dtype=torch.float64)
    for _ in range(layers):
        y = transposed(
            y, torch.tensor(kernel)[None, None], stride=state.stride, padding=state.padding
        )
    return y[0, 0].numpy()


# All states


@settings(max_examples=120)
@given(STATES, st.sampled_from(VIEWS))
def test_every_state_has_a_picture_or_names_what_would_work(state, view):
    drawn, changes = None, ()
    try:
        drawn = scene(state, view)
    except SettingError as error:
        changes = error.suggestions
    for change in changes:
        assert change.keys() <= BOUNDS.keys()
        scene(replace(state, **change), view)
    if drawn is None:
        return
    assert payload(drawn)["views"] == list(VIEWS)
    weights_count_what_they_light(drawn)
    for name, terms in drawn.terms.items():
        assert all(terms), name


@pytest.mark.parametrize("axes", [1, 2])
def test_every_stack_has_a_picture_of_some_size_or_one_click_to_one(axes):
    ranges = (range(BOUNDS[name][0], BOUNDS[name][1] + 1) for name in ("kernel", "stride"))
    smaller = 0
    for kernel, stride, layers in product(*ranges, range(1, 5)):
        wanted = State(axes=axes, kernel=kernel, stride=stride, layers=layers)
        drawn = fitted(wanted, "Coverage")
        assert replace(drawn, size=wanted.size) == wanted
        smaller += drawn.size < wanted.size
        ways: list[dict] | None = None
        try:
            check_view(drawn, "Coverage")
        except SettingError as error:
            ways = list(error.suggestions)
        assert ways != [], drawn
    assert smaller > 10


@pytest.mark.parametrize("view", VIEWS)
def test_idle_settings_change_nothing(view):
    now = State(weights="noisy", layers=2)
    others = {"layers": 3, "photo": photos.FLAT, "size": 3, "padding": 1, "axes": 1, "stride": 3}

    def seen(state: State) -> object:
        if view != "Cures":
            return scene(state, view)
        return scene(state, view), photos.panels(state)

    still = {name for name, to in others.items() if seen(replace(now, **{name: to})) == seen(now)}
    assert still == IDLE[view]


@settings(max_examples=60)
@given(STATES)
def test_coverage_counts_what_pytorch_adds_up(state):
    try:
        drawn = scene(state, "Coverage")
    except SettingError:
        return
    ones = np.ones((state.kernel,) * state.axes)
    assert texts(drawn, "output") == numbers(by_torch(state, ones, state.layers))
    assert drawn.steps is not None
    for name, writes in drawn.steps.writes.items():
        assert len(writes) == state.size**state.axes
        last = {cell: text for step in writes for cell, text in step}
        shown = texts(drawn, name)
        # Cells that no copy reaches are not written, and stay 0.
        assert all(shown[cell] == text for cell, text in last.items())
        assert all(text == "0" for cell, text in enumerate(shown) if cell not in last)


@settings(max_examples=60)
@given(STATES)
def test_the_interior_of_a_flat_input_prints_the_phase_sums(state):
    try:
        drawn = scene(state, "Phases")
    except SettingError:
        return
    y = by_torch(state, state.kernel_values)
    assert texts(drawn, "output") == numbers(y)
    w, s = state.kernel_values, state.stride
    if state.axes == 2:
        sums = [w[i::s, j::s].sum() for i in range(s) for j in range(s)]
    else:
        sums = [w[i::s].sum() for i in range(s)]
    assert texts(drawn, "sums") == numbers(sums)
    inside, phases = interior(state), phase_of(y.shape, s, state.padding)
    np.testing.assert_allclose(y.ravel()[inside], np.array(sums)[phases[inside]], atol=1e-9)
    tints = drawn.grid("output").tints
    assert tints is not None
    assert [tint >= 0 for tint in tints] == inside.tolist()


@settings(max_examples=60)
@given(STATES)
def test_the_gradient_of_a_strided_convolution_is_the_same_pattern(state):
    try:
        drawn = scene(state, "Gradient")
    except SettingError:
        return
    assert texts(drawn, "gradient") == texts(scene(state, "Phases"), "output")
    y = run(snippet(replace(state, layers=1), "Gradient"))["y"][0, 0].numpy()
    expected = by_torch(state, state.kernel_values)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@settings(max_examples=40)
@given(STATES)
def test_the_snippets_give_the_numbers_of_the_pictures(state):
    try:
        coverage, phases = scene(state, "Coverage"), scene(state, "Phases")
    except SettingError:
        return
    y = run(snippet(state, "Coverage"))["y"][0, 0]
    assert texts(coverage, "output") == numbers(y)
    names = run(snippet(state, "Phases"))
    np.testing.assert_allclose(
        names["y"][0, 0].numpy(), by_torch(state, state.kernel_values), atol=1e-6
    )
    np.testing.assert_allclose(
        np.ravel([float(value) for value in np.ravel(names["sums"])]),
        state.sums.ravel(),
        atol=1e-6,
    )
    assert texts(phases, "sums") == numbers(state.sums)


@settings(max_examples=60)
@given(STATES)
def test_the_pattern_is_what_the_interior_repeats(state):
    state = replace(state, axes=1, padding=0, size=6)
    if max(sizes(state)) > 3000:
        return
    row = by_torch(state, np.ones(state.kernel), state.layers).astype(int)
    period = state.stride**state.layers
    repeated = pattern(state)
    assert len(repeated) == period
    reach = -(-sizes(replace(state, size=1))[-1] // period)
    start, end = (reach - 1) * period, state.size * period
    if reach <= 3:
        inside = row[start:end]
        assert inside.tolist() == np.tile(repeated, state.size)[: len(inside)].tolist()


# The lectures' numbers


def test_the_one_dimensional_picture_of_stride_2_and_kernel_3():
    drawn = scene(State(axes=1, size=8, kernel=3, stride=2), "Coverage")
    assert texts(drawn, "output") == ["1", *["1", "2"] * 7, "1", "1"]
    assert drawn.steps is not None
    assert drawn.steps.word == "copy"
    assert drawn.steps.writes["output"][0] == [(0, "1"), (1, "1"), (2, "1")]
    assert drawn.steps.writes["output"][1] == [(2, "2"), (3, "1"), (4, "1")]
    assert drawn.links[0].lines


def test_the_two_dimensional_interior_repeats_4_2_2_1():
    state = State(size=4, kernel=3, stride=2)
    counts = np.array(texts(scene(state, "Coverage"), "output"), int).reshape(9, 9)
    assert counts[2:7, 2:7].tolist() == [[4, 2, 4, 2, 4], [2, 1, 2, 1, 2]] * 2 + [[4, 2, 4, 2, 4]]
    assert repeats(state) == "4, 2 / 2, 1"


@pytest.mark.parametrize(("kernel", "stride"), [(k, s) for k in range(1, 9) for s in range(1, 5)])
def test_counts_are_even_exactly_where_the_stride_divides_the_kernel(kernel, stride):
    counts = State(kernel=kernel, stride=stride).counts
    assert (np.ptp(counts) == 0) == (kernel % stride == 0)


def test_the_tent_is_uneven_and_flat():
    assert TENT.kernel_values.tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]
    assert TENT.counts.ravel().tolist() == [4, 2, 2, 1]
    assert TENT.sums.ravel().tolist() == [1, 1, 1, 1]
    assert is_flat(TENT)
    y = np.array(texts(scene(TENT, "Phases"), "output"), float)
    assert set(y[interior(TENT)]) == {1.0}


def test_a_4x4_of_even_counts_has_a_pattern():
    assert OWN_4X4.counts.ravel().tolist() == [4, 4, 4, 4]
    assert OWN_4X4.sums.ravel().tolist() == [4, 4, 4, 8]
    assert not is_flat(OWN_4X4)
    y = np.array(texts(scene(OWN_4X4, "Phases"), "output"), float)
    assert set(y[interior(OWN_4X4)]) == {4.0, 8.0}


def test_two_layers_multiply_their_patterns():
    state = State(axes=1, size=5, kernel=3, stride=2, layers=2)
    assert sorted(pattern(state)) == [1, 2, 3, 3]
    assert repeats(replace(state, axes=2)).startswith("9, 6, 9, 3")


@pytest.mark.parametrize(("layers", "ratio"), [(1, 2), (2, 3), (3, 5), (4, 8)])
def test_every_layer_makes_it_more_uneven(layers, ratio):
    counts = pattern(State(kernel=3, stride=2, layers=layers))
    assert counts.max() == ratio * counts.min()


def test_links_of_the_phases_are_those_of_the_operation():
    drawn = scene(TENT, "Phases")
    cells = drawn.links[0].cells
    taps = {t for y, t in zip(cells["output"], cells["kernel"], strict=True) if y == 2 * 9 + 2}
    sums = {t for y, t in zip(cells["output"], cells["sums"], strict=True) if y == 2 * 9 + 2}
    assert (taps, sums) == ({0, 2, 6, 8}, {0})
    assert drawn.grid("kernel").tints == [0, 1, 0, 2, 3, 2, 0, 1, 0]


def test_the_bars_say_sums_and_taps():
    assert "phase A: 4 taps, sum 1; phase B: 2 taps, sum 1" in bars(TENT)
    assert bars(TENT).count('class="bar"') == 4
    tall = [float(h) for h in re.findall(r'height="([\d.]+)" fill="url', bars(OWN_4X4))]
    assert tall[0] == tall[1] == tall[2] == pytest.approx(tall[3] / 2, abs=0.1)
    assert bars(State(stride=4, kernel=1)).count('class="bar"') == 16


def test_too_many_layers_are_refused_with_what_would_work():
    with pytest.raises(SettingError) as raised:
        scene(State(size=12, layers=4), "Coverage")
    assert raised.value.parameter == "layers"
    assert {"layers": 2} in raised.value.suggestions or {"layers": 1} in raised.value.suggestions
    with pytest.raises(SettingError) as raised:
        scene(State(stride=4, layers=4), "Cures")
    assert {"layers": 2} in raised.value.suggestions


# The cures

PHOTO_STATES = st.builds(
    State,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    layers=st.integers(1, 2),
    weights=st.sampled_from(WEIGHTS),
    seed=st.integers(0, 9),
    w=st.sampled_from(["", "0,0,0;0,0,0;0,0,0"]),
    photo=st.sampled_from(photos.PHOTOS),
)


@settings(max_examples=25)
@given(PHOTO_STATES)
def test_the_snippet_enlarges_the_photo_as_the_picture_does(state):
    y = run(photos.snippet(state))["y"]
    x = photos.small_photo(state)
    factor = state.stride**state.layers
    for method in photos.METHODS:
        expected = photos.enlarge(x, state, method)
        assert expected.shape == (3, x.shape[1] * factor, x.shape[2] * factor)
        np.testing.assert_allclose(y[method][:, 0].numpy(), expected, atol=1e-6, err_msg=method)


@settings(max_examples=40)
@given(PHOTO_STATES)
def test_resizing_and_icnr_keep_flat_flat_whatever_the_weights(state):
    for method in ("resize", "icnr"):
        assert np.ptp(photos.flat_response(state, method)) < 1e-9


@settings(max_examples=40)
@given(PHOTO_STATES)
def test_a_transposed_convolution_keeps_flat_flat_where_its_phase_sums_are_equal(state):
    state = replace(state, layers=1)
    response = photos.flat_response(state, "transposed")
    assert (np.ptp(response) < 1e-6) == is_flat(state)
    if not photos.sums_to_zero(state.kernel_values):
        assert response.mean() == pytest.approx(1)


def test_a_divisible_kernel_cures_ones_and_not_noise():
    assert photos.divisible_size(State(kernel=3, stride=2)) == 4
    ones, noise = State(kernel=3, stride=2), State(kernel=3, stride=2, weights="noisy")
    assert np.ptp(photos.flat_response(ones, "transposed")) > 1
    assert np.ptp(photos.flat_response(ones, "divisible")) < 1e-9
    assert np.ptp(photos.flat_response(noise, "divisible")) > 0.3


def test_sub_pixel_from_a_random_start_has_a_pattern_too():
    shown = {panel.method: panel for panel in photos.panels(State(weights="noisy"))}
    flat = {method: panel.flat for method, panel in shown.items()}
    assert flat == {
        "photo": None,
        "transposed": False,
        "divisible": False,
        "resize": True,
        "sub-pixel": False,
        "icnr": True,
    }
    assert shown["transposed"].note.startswith("flat becomes ")


def test_the_panels_are_the_pixels_that_were_computed():
    state = State(weights="tent", photo="astronaut")
    panel = next(p for p in photos.panels(state) if p.method == "resize")
    data = base64.b64decode(panel.source.removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    expected = photos.enlarge(photos.small_photo(state), state, "resize").transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels, np.round(np.clip(expected, 0, 1) * 255))
    assert pixels.shape == (48, 96, 3)
    assert photos.panels_html(photos.panels(state)).count("<figure") == 6


def test_weights_that_sum_to_0_say_so():
    notes = [panel.note for panel in photos.panels(State(weights="edge"))]
    assert any("sum to 0" in note for note in notes)
