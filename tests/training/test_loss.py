"""The terms of the loss."""

import pytest
import torch
from torch.nn import functional as F

from explainer.fcn.geometry import PIXELS, Lattice
from explainer.fcn.network import STRIDES, upsample
from explainer.fcn.voc import IGNORE
from explainer.training.loss import Weights, at_stride, loss, lovasz_softmax

NO_TEACHER = torch.zeros(2, 21, 9, 9)


@pytest.mark.parametrize(("stride", "fine"), [(32, 4), (16, 4), (8, 4), (8, 8), (8, 16), (32, 16)])
def test_scores_are_read_where_the_output_has_them(stride, fine):
    sums = torch.randn(2, 3, 64 // stride + 1, 96 // stride + 1)
    full = upsample(sums, Lattice(stride), PIXELS)
    torch.testing.assert_close(at_stride(sums, stride, fine), full[..., ::fine, ::fine])


def test_lovasz_is_one_minus_iu_of_hard_predictions():
    """On certain predictions the extension takes the value of the set function."""
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (500,))
    predicted = torch.where(torch.rand(500) < 0.3, torch.randint(0, 3, (500,)), labels)
    scores = F.one_hot(predicted, 3).float() * 200
    expected = []
    for index in range(3):
        both = ((labels == index) & (predicted == index)).sum()
        either = ((labels == index) | (predicted == index)).sum()
        expected.append(1 - both / either)
    torch.testing.assert_close(lovasz_softmax(scores, labels), torch.stack(expected).mean())


def test_lovasz_of_nothing_is_zero():
    assert lovasz_softmax(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0


def _sums(side: int = 65) -> dict[int, torch.Tensor]:
    torch.manual_seed(1)
    return {
        stride: torch.randn(2, 21, side // stride + 1, side // stride + 1, requires_grad=True)
        for stride in STRIDES
    }


def test_cross_entropy_is_that_of_the_full_size_output_on_every_fourth_pixel():
    sums = _sums()
    labels = torch.randint(0, 21, (2, 65, 65))
    labels[:, :20] = IGNORE
    total, log = loss(sums, labels, NO_TEACHER, Weights(teacher=0))
    expected = 0.0
    for stride, weight in ((32, 0.5), (16, 0.5), (8, 1.0)):
        full = upsample(sums[stride], Lattice(stride), PIXELS)[..., ::4, ::4]
        entropy = F.cross_entropy(full, labels[:, ::4, ::4], ignore_index=IGNORE)
        assert log[f"{stride}s"] == pytest.approx(float(entropy.detach()), rel=1e-4)
        expected += weight * float(entropy.detach())
    assert float(total.detach()) == pytest.approx(expected, rel=1e-4)


def test_the_teacher_counts_only_where_it_agrees_with_the_label():
    sums = _sums()
    labels = torch.full((2, 65, 65), 3)
    wrong = torch.zeros(2, 21, 9, 9)
    wrong[:, 4] = 1
    with_wrong, _ = loss(sums, labels, wrong, Weights(teacher=1))
    without, _ = loss(sums, labels, NO_TEACHER, Weights(teacher=0))
    assert with_wrong.item() == pytest.approx(without.item())
    right = wrong.roll(-1, 1)
    with_right, _ = loss(sums, labels, right, Weights(teacher=1))
    # One-hot probabilities: the divergence is the cross-entropy with that class.
    added = sum(
        weight
        * float(F.cross_entropy(at_stride(sums[stride].detach(), stride, 8), labels[:, ::8, ::8]))
        for stride, weight in ((32, 0.5), (16, 0.5), (8, 1.0))
    )
    assert (with_right - without).item() == pytest.approx(added, rel=1e-4)


def test_beyond_the_photo_the_teacher_is_silent():
    sums = _sums()
    labels = torch.full((2, 65, 65), IGNORE)
    labels[:, 0, 0] = 3
    labels[:, 4, 4] = 3
    with_teacher, _ = loss(sums, labels, NO_TEACHER, Weights(teacher=1))
    without, _ = loss(sums, labels, NO_TEACHER, Weights(teacher=0))
    assert with_teacher.item() == pytest.approx(without.item())


def test_gradients_reach_every_output():
    sums = _sums()
    labels = torch.randint(0, 21, (2, 65, 65))
    loss(sums, labels, NO_TEACHER, Weights(lovasz=0.5))[0].backward()
    for scores in sums.values():
        assert scores.grad is not None
        assert scores.grad.abs().sum() > 0
