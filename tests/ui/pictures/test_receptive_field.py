"""The pictures of the lesson on receptive fields: the lectures, the operations, PyTorch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from explainer.components.photo_field import Box, Circle, payload
from explainer.fcn.network import SkipHead, small_fcn
from explainer.ops import Layer, layer_maps, reached, receptive_fields
from explainer.ui.pictures import receptive_field as pictures
from explainer.ui.pictures.receptive_field import KNOWN, State
from tests.ui.pictures.conftest import run

LAYERS = st.builds(
    Layer,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 3),
)
STACKS = st.lists(LAYERS, min_size=1, max_size=6).map(tuple)
STATES = st.builds(
    State,
    layers=STACKS.map(pictures.named),
    chosen=st.integers(-1, 5),
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    y=st.integers(0, 0),
    x=st.integers(0, 0),
)


def fields_of(name: str) -> dict[str, int]:
    """Layer names and field sizes, as the table shows them."""
    return {row.name: int(row.results[0]) for row in pictures.rows(State(KNOWN[name]))}


def test_the_numbers_of_the_lectures():
    vgg = fields_of("VGG16")
    assert [vgg[f"pool{n}"] for n in range(1, 6)] == [6, 16, 44, 100, 212]
    assert vgg["fc6"] == fields_of("FCN-VGG16")["fc6"] == 404
    assert fields_of("AlexNet")["fc6"] == 355
    googlenet = fields_of("GoogLeNet")
    assert (googlenet["inception 5b"], googlenet["pool5"]) == (715, 907)
    context = pictures.rows(State(KNOWN["context module"]))
    assert [int(row.results[0]) for row in context] == [3, 5, 9, 17, 33, 65, 67, 67]
    for name in ("AlexNet", "VGG16", "GoogLeNet"):
        assert pictures.rows(State(KNOWN[name]))[-1].results[1] == "32"


def test_this_apps_network_is_the_network_of_this_app():
    """The stacks of the page against the modules that run."""
    network = small_fcn()

    def layers(module: nn.Module) -> list[Layer]:
        return [
            Layer(conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.dilation[0])
            for conv in module.modules()
            if isinstance(conv, nn.Conv2d) and conv.kernel_size[0] > 1
        ]

    trunk = layers(network.trunk)
    assert pictures.named(trunk) == pictures.named(KNOWN["MobileNetV2"])
    tapped = {stride: block for block, stride in network.trunk.taps.items()}  # pyright: ignore
    expected: dict[int, list[Layer]] = {32: [*trunk, Layer(1)]}
    for stride, block in tapped.items():
        head = network.heads[str(stride)]
        assert isinstance(head, SkipHead)
        # The stem, the blocks before the tapped one, and the head's depthwise layer.
        expected[stride] = [*trunk[: block + 1], *layers(head)]
    for name, stride, size in (
        ("this app, stride 32", 32, 491),
        ("this app, pool4", 16, 299),
        ("this app, pool3", 8, 75),
    ):
        assert pictures.written(KNOWN[name]) == pictures.written(expected[stride])
        field = receptive_fields(KNOWN[name])[-1]
        assert (field.size, field.stride) == (size, stride)
        assert field.centre == network.lattices[stride].first


@pytest.mark.parametrize("row", range(19))
def test_a_network_with_a_layer_more_or_less_keeps_its_names(row):
    names = [layer.name for layer in KNOWN["VGG16"]]
    less = pictures.without(KNOWN["VGG16"], row)
    more = pictures.with_copy(KNOWN["VGG16"], row)
    assert pictures.title(less) == pictures.title(more) == "VGG16, edited"
    # Among equal neighbours which one went cannot be told.
    kept = [layer.name for layer in pictures.named(less)]
    assert len(set(kept)) == 18
    assert set(kept) < set(names)
    assert sorted(kept, key=names.index) == kept
    added = [layer.name for layer in pictures.named(more)]
    assert [name for name in added if name in names] == names
    assert len(added) == 20


@given(STACKS)
def test_a_stack_comes_back_from_the_address(stack):
    text = pictures.written(stack)
    back = pictures.read(text)
    assert back is not None
    assert pictures.written(back) == text
    assert [layer.name for layer in back] == [layer.name for layer in pictures.named(stack)]


@pytest.mark.parametrize("name", KNOWN)
def test_known_stacks_keep_their_names(name):
    text = pictures.written(KNOWN[name])
    assert len(text) < 100
    assert pictures.read(text) == KNOWN[name]
    assert pictures.title(KNOWN[name]) == name


def test_an_edited_network_keeps_its_names():
    edited = pictures.with_number(KNOWN["VGG16"], 18, "kernel", 1)
    assert pictures.title(edited) == "VGG16, edited"
    assert pictures.named(edited)[18].name == "fc6"
    assert len(pictures.without(KNOWN["VGG16"], 0)) == 18
    assert pictures.title([Layer(4)]) == pictures.OWN
    assert pictures.named([Layer(4)])[0].name == "layer 1"
    assert len(pictures.with_copy(KNOWN["VGG16"], 3)) == 20


@pytest.mark.parametrize(
    "text",
    ["", "3-", "x", "0", "3s0", "3d0", "99", "3s17", "3p151", "3d65", "3x41", "3x0", "3;5", "3 3"],
)
def test_what_is_no_stack(text):
    assert not pictures.readable(text)


def test_what_is_too_long_for_the_address():
    assert not pictures.readable("-".join(["3p1"] * 100))
    assert pictures.readable("3x40")


@settings(max_examples=80)
@given(STATES)
def test_every_state_has_a_picture(state):
    drawn = pictures.picture(state, "photo")
    data = payload(drawn)
    assert len(data["rows"]) == len(state.layers)
    assert 0 <= data["chosen"] < len(state.layers)
    for row, field in zip(drawn.rows, state.fields, strict=True):
        assert row.box.width == row.box.height == field.size
        assert row.results[0] == pictures.short(field.size)
    found = pictures.mending(state)
    missing = [row for row in drawn.rows if "no unit" in row.says]
    assert bool(missing) == (found is not None)
    if found is not None:
        # The offer makes the layer fit, for the side that failed.
        row, error = found
        assert drawn.rows[row] == missing[0]
        assert error.suggestions


@settings(max_examples=80)
@given(stack=STACKS, place=st.integers(0, 119))
def test_the_box_is_what_the_maps_reach(stack, place):
    """Along one axis: the drawn box holds all that the unit sees, and no unit is nearer."""
    units, error = pictures.sizes(120, stack)
    if error is not None:
        return
    field = receptive_fields(stack)[-1]
    unit = pictures.nearest_unit(field, place, units[-1])
    box = pictures.box(field, (unit, unit))
    seen = np.flatnonzero(reached(layer_maps(stack, 120), unit))
    assert all(box.top <= pixel < box.top + box.height for pixel in seen)
    away = [abs(place - field.centre - other * field.stride) for other in range(units[-1])]
    assert away[unit] == min(away)


def test_the_line_below_the_picture():
    *_, last = pictures.rows(State(KNOWN["VGG16"]))
    assert last.says == "fc6: unit (1, 4) of 3×8 sees 404×404 pixels; 26 % of them padding"
    assert last.box == Box(-58, 38, 404, 404)
    outside = 1 - pictures.inside(last.box, 300, 451)
    assert outside == pytest.approx(1 - 300 / 404, abs=0.01)
    far = pictures.rows(State(pictures.named([Layer(3, 3)] * 9)))[-1]
    assert "no unit on this photo of 300×451" in far.says


@given(STATES)
def test_two_layers_as_one(state):
    found = pictures.composition(state)
    field = state.fields[state.row]
    assert found.both.kernel == field.size
    assert found.both.stride == field.stride
    assert found.both.padding == -field.left


def test_the_slides_rule():
    found = pictures.composition(State(KNOWN["two layers"]))
    assert (found.before.kernel, found.before.stride) == (3, 2)
    assert (found.both.kernel, found.both.stride) == (7, 4)
    assert pictures.composition(State(chosen=0)).before.name == "the photo"


@settings(max_examples=60)
@given(STATES)
def test_the_code_gives_the_numbers_of_the_table(state):
    made = run(pictures.snippet(state))
    field = state.fields[state.row]
    assert made["y"] == (field.size, field.stride, field.left)
    seen, unit = made["seen"], made["unit"]
    assert (int(seen[0]), int(seen[-1])) == (field.of(unit)[0], field.of(unit)[-1])


@pytest.mark.parametrize("name", KNOWN)
def test_the_code_of_the_known_networks(name):
    made = run(pictures.snippet(State(KNOWN[name])))
    assert made["y"][0] == receptive_fields(KNOWN[name])[-1].size
    assert made["seen"][-1] - made["seen"][0] + 1 == made["y"][0]


def test_the_code_of_an_enormous_stack_is_arithmetic_only():
    state = State(pictures.named([Layer(9, 9)] * 12))
    assert "torch" not in pictures.snippet(state)
    assert run(pictures.snippet(state))["y"][0] == state.fields[-1].size
    assert pictures.rows(state)[-1].results[0] == "2.8·10^11"
    assert max(map(abs, payload(pictures.picture(state, ""))["rows"][-1]["box"])) < 10_000


def test_places():
    assert pictures.place_of("", 300, 451) == (150, 225)
    assert pictures.place_of("10,20", 300, 451) == (10, 20)
    assert pictures.place_of("9999,9999", 300, 451) == (299, 450)
    for text in ("1", "a,b", "1,2,3", "-1,4", "12345,1"):
        assert not pictures.usable_place(text)
    for text, usable in {"1": True, "40": True, "0": False, "41": False, "x": False}.items():
        assert pictures.usable_row(text) is usable


@pytest.mark.parametrize(
    ("y", "x", "unit"), [(150, 225, (160, 224)), (0, 0, (0, 0)), (299, 450, (288, 448))]
)
def test_units_of_the_network_sit_on_every_32nd_pixel(y, x, unit):
    assert pictures.unit_place(y, x, 300, 451) == unit
    box = pictures.network_box(*unit)
    assert (box.top + 245, box.left + 245) == unit
    assert box.height == 491
    drawn = pictures.network_picture("", 300, 451, unit, [Circle(9, "guess")])
    assert drawn.boxes == [box]


def test_the_curve_shows_both_shares_and_where_they_reach_90_percent():
    found, even = [min(1, n / 50) for n in range(101)], [n / 100 for n in range(101)]
    drawn = pictures.curve(found, even, 45, 140, 90).to_dict()
    network, uniform = (
        next(line for line in drawn["data"] if line.get("name") == name)
        for name in ("network", "uniform")
    )
    assert list(network["x"]) == list(uniform["x"]) == list(range(141))
    assert list(network["y"]) == pytest.approx(found + [1] * 40)
    assert list(uniform["y"]) == pytest.approx(even + [1] * 40)
    said = {note["text"]: note["x"] for note in drawn["layout"]["annotations"]}
    assert said == {"network 45 px": 45, "uniform 90 px": 90, "140 px": 140}
    (guess,) = (line for line in drawn["data"] if line.get("mode") == "markers")
    assert (guess["x"][0], guess["y"][0]) == (140, 1)
    assert pictures.at_radius(found, 25) == 0.5
    assert pictures.at_radius(found, 1000) == 1


@pytest.mark.parametrize(
    ("file", "place", "radius", "average"),
    [("chelsea.png", (160, 224), 130, False), ("astronaut.png", (256, 256), 60, True)],
)
def test_the_code_of_the_network_runs(file, place, radius, average):
    code = pictures.network_snippet(file, 512, place, radius, average)
    made = run(code)
    # As on the page: the smallest whole radius that holds 90 %.
    least = next(radius for radius in range(512) if made["found"].within(radius) >= 0.9)
    assert f"90 % within {least} pixels" in made["printed"]
    assert made["found"].mass.sum() == pytest.approx(1)
    assert made["y"] in range(21)
    assert torch.is_grad_enabled()


def test_the_sum_over_the_strides_is_the_field_of_the_network():
    wider, size = pictures.network_sum()
    assert wider == {1: 2, 2: 4, 4: 4, 8: 6, 16: 14, 32: 6}
    assert size == 1 + sum(stride * add for stride, add in wider.items()) == 491
