"""The gradient of a score: finite differences, where it must vanish, and what it sums to."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from explainer.fcn.influence import (
    GREY,
    Influence,
    distances,
    influence,
    outside_grey,
    radius_of,
    scores_at,
)
from explainer.fcn.network import small_fcn
from explainer.fcn.segmenter import Segmenter
from explainer.fcn.voc import CLASSES
from explainer.ops import receptive_fields
from explainer.ops.stacks import MOBILENETV2

CAT = CLASSES.index("cat")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(device="cpu")


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return data.chelsea()


@pytest.fixture(scope="module")
def own_window(segmenter, cat) -> Influence:
    return influence(segmenter, cat, 160, 160, photo_average=False)


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_finite_differences(stride):
    """Random weights everywhere, also where training starts from zero, in float64."""
    torch.manual_seed(3)
    network = small_fcn().double().eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        fan_in = parameter[0].numel() if name.endswith("weight") else 200
        parameter.normal_(0, (2 / fan_in) ** 0.5)
    photo = torch.rand(3, 30, 33, dtype=torch.float64) * 255
    place = 13, 22
    photo.requires_grad_()
    score = scores_at(network, photo, *place, stride)[CAT]
    (gradient,) = torch.autograd.grad(score, photo)
    step = 1e-4
    for pixel in [(0, 13, 22), (2, 29, 32)]:
        up, down = photo.detach().clone(), photo.detach().clone()
        up[pixel] += step
        down[pixel] -= step
        difference = (
            scores_at(network, up, *place, stride)[CAT]
            - scores_at(network, down, *place, stride)[CAT]
        )
        assert gradient[pixel].item() == pytest.approx(difference.item() / (2 * step), rel=1e-5)


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_the_scores_are_those_of_the_segmentation(segmenter, cat, stride):
    with torch.inference_mode():
        network = Segmenter.load(device="cpu").network.float()
        photo = torch.from_numpy(cat.astype(np.float32)).permute(2, 0, 1)
        found = scores_at(network, photo, 141, 77, stride).numpy()
    expected = segmenter(cat).logits(141, 77)[stride]
    np.testing.assert_allclose(found, expected, atol=0.2)  # bf16 where the processor has it


def test_the_mass_is_a_share(segmenter, cat, own_window):
    for found in (own_window, influence(segmenter, cat, 160, 160)):
        assert found.class_index == CAT
        assert found.mass.shape == cat.shape[:2]
        assert found.mass.min() >= 0
        assert found.mass.sum() == pytest.approx(1)
        assert found.within(1000) == pytest.approx(1)


def test_without_the_average_only_the_field_counts(segmenter):
    """491 pixels around the unit, exactly; with the average over the photo, all of it."""
    photo = np.asarray(Image.fromarray(data.chelsea()).resize((640, 420)))
    (*_, field) = receptive_fields(MOBILENETV2)
    rows, columns = field.of(3), field.of(4)
    assert (field.size, field.of(3)[245]) == (491, 96)
    held = influence(segmenter, photo, 96, 128, photo_average=False).mass
    inside = np.zeros(held.shape, bool)
    inside[: rows.stop, : columns.stop] = True
    assert held[~inside].max() == 0
    assert held[rows.stop - 1].max() > 0 or held[rows.stop - 2].max() > 0
    whole = influence(segmenter, photo, 96, 128).mass
    assert whole[~inside].sum() > 0.1


def test_the_box_is_not_uniform(cat, own_window):
    """The misconception: 90 % lies well inside the circle that a uniform box would need."""
    uniform = radius_of(np.ones(cat.shape[:2]), 160, 160)
    assert own_window.radius() < 0.7 * uniform
    assert own_window.within(own_window.radius()) == pytest.approx(0.9, abs=0.005)
    assert own_window.radius(0.5) < own_window.radius(0.9) < own_window.radius(0.99)


def test_nothing_shared_changes(segmenter, cat):
    before = {name: value.clone() for name, value in segmenter.network.state_dict().items()}
    labels = segmenter(cat).labels[8]
    influence(segmenter, cat, 10, 10, photo_average=False)
    for name, value in segmenter.network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])
    assert not any(parameter.requires_grad for parameter in segmenter.network.parameters())
    assert not any(module._forward_pre_hooks for module in segmenter.network.modules())
    np.testing.assert_array_equal(segmenter(cat).labels[8], labels)


def test_inside_inference_mode_of_the_caller(segmenter, cat, own_window):
    with torch.no_grad():
        again = influence(segmenter, cat, 160, 160, photo_average=False)
    np.testing.assert_allclose(again.mass, own_window.mass, atol=1e-7)


def test_another_class(segmenter, cat):
    found = influence(segmenter, cat, 0, 0, class_index=0, stride=8)
    assert (found.class_index, found.stride) == (0, 8)


def test_places_and_classes_that_are_not_there(segmenter, cat):
    with pytest.raises(IndexError, match="outside a photo of 300×451"):
        influence(segmenter, cat, 300, 0)
    with pytest.raises(IndexError, match="no class 21"):
        influence(segmenter, cat, 0, 0, class_index=21)


def test_distances_and_radius():
    away = distances((3, 4), 1, 1)
    assert away[1, 1] == 0
    assert away[1, 3] == 2
    assert away[2, 2] == pytest.approx(2**0.5)
    mass = np.zeros((5, 5))
    mass[2, 2], mass[2, 4] = 0.8, 0.2
    assert radius_of(mass, 2, 2, 0.8) == 0
    assert radius_of(mass, 2, 2, 0.9) == 2
    assert radius_of(np.zeros((4, 4)), 0, 0) == 0


def test_grey_outside():
    photo = np.full((9, 9, 3), 7, np.uint8)
    masked = outside_grey(photo, 4, 4, 2)
    assert photo.max() == 7
    assert (masked == 7).all(2).sum() == 13  # lattice points in a circle of radius 2
    assert set(np.unique(masked)) == {7, GREY}


def test_the_label_survives_the_grey(segmenter, cat, own_window):
    masked = outside_grey(cat, 160, 160, own_window.radius())
    assert segmenter(masked).labels[32][160, 160] == CAT
