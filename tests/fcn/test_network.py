"""The network is aligned to the pixel, whatever the size of the photo."""

import pytest
import torch
from torch import nn

from explainer.fcn.geometry import PIXELS, Lattice
from explainer.fcn.mobilenet import MobileNetV2
from explainer.fcn.network import (
    FCN,
    STRIDES,
    ContextHead,
    SkipHead,
    fuse,
    pad,
    small_fcn,
    upsample,
)


class LinearTrunk(nn.Module):
    """Five 3×3 convolutions of stride 2, padding 1, one kernel for all; features: their maps."""

    def __init__(self, kernel: torch.Tensor):
        super().__init__()
        self.kernel = nn.Parameter(kernel[None, None], requires_grad=False)
        self.lattices = {2**n: Lattice(2**n) for n in (3, 4, 5)}
        lattice = PIXELS
        for _ in range(5):
            lattice = lattice.through(3, 2, 1)
        assert lattice == self.lattices[32]

    def forward(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        features = {}
        for n in range(1, 6):
            x = nn.functional.conv2d(x, self.kernel, stride=2, padding=1)
            features[2**n] = x
        return features


class Only(nn.Module):
    """A score head that is the identity or zero."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@pytest.mark.parametrize("source", STRIDES)
def test_a_ramp_comes_back_unchanged_from_each_head(source):
    """Averages over centred windows do not change a ramp, and aligned upsampling must not."""
    height, width = 8 * 32 + 1, 9 * 32 + 1
    ramp = (
        3 * torch.arange(height, dtype=torch.float64)[:, None]
        - 2 * torch.arange(width, dtype=torch.float64)
        + 7
    )
    trunk = LinearTrunk(torch.full((3, 3), 1 / 9, dtype=torch.float64))
    network = FCN(trunk, {stride: Only(float(stride == source)) for stride in STRIDES})
    scores = network(ramp[None, None])
    sums = fuse(scores, network.lattices)
    # Zero padding reaches only the outermost cells of the coarsest map.
    inner = (..., slice(32, -32), slice(32, -32))
    for stride in STRIDES:
        output = upsample(sums[stride], network.lattices[stride], PIXELS)
        expected = ramp[None, None] if stride <= source else torch.zeros_like(output)
        torch.testing.assert_close(output[inner], expected[inner])


def test_mirrored_photos_give_mirrored_scores_when_the_kernels_are_symmetric():
    torch.manual_seed(0)
    kernel = torch.randn(3, 3, dtype=torch.float64)
    trunk = LinearTrunk(kernel + kernel.flip(1))
    network = FCN(trunk, {stride: Only(1.0) for stride in STRIDES})
    photo = torch.randn(1, 1, 97, 129, dtype=torch.float64)
    sums, mirrored = (fuse(network(x), network.lattices) for x in (photo, photo.flip(3)))
    for stride in STRIDES:
        torch.testing.assert_close(sums[stride].flip(3), mirrored[stride])


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 32), (34, 97), (500, 375)])
def test_maps_of_any_size_fit_together(size):
    network = small_fcn(5).eval()
    with torch.inference_mode():
        photos = pad(torch.randn(2, 3, *size))
        scores = network(photos)
        sums = fuse(scores, network.lattices)
    for stride in STRIDES:
        rows, columns = ((side - 1) // stride + 1 for side in photos.shape[-2:])
        assert scores[stride].shape == sums[stride].shape == (2, 5, rows, columns)
        # The last cell sits on the last pixel of the padded photo: at or beyond the photo's.
        assert (rows - 1) * stride >= size[0] - 1
        assert (columns - 1) * stride >= size[1] - 1


def test_unpadded_photos_are_refused_with_the_rule():
    network = small_fcn(2)
    with pytest.raises(ValueError, match=r"pad the photo to 32·n \+ 1 pixels"):
        fuse(network(torch.zeros(1, 3, 64, 64)), network.lattices)


def test_the_trunks_cells_sit_on_pixels():
    assert MobileNetV2().lattices == {stride: Lattice(stride) for stride in (8, 16, 32)}


def test_the_dilated_trunk_gives_the_strided_ones_cells_and_those_between():
    """Removing a stride and dilating what follows: denser output, no retraining (decks D2, D4)."""
    torch.manual_seed(0)
    strided, dilated = MobileNetV2().double().eval(), MobileNetV2(dilated=True).double().eval()
    dilated.load_state_dict(strided.state_dict())
    photo = torch.randn(1, 3, 161, 193, dtype=torch.float64)
    with torch.inference_mode():
        coarse, dense = strided(photo)[32], dilated(photo)[32]
    assert dense.shape[-2:] == (11, 13)
    torch.testing.assert_close(dense[..., ::2, ::2], coarse)


def test_skips_start_at_zero_so_that_the_net_begins_as_the_coarser_one():
    head = SkipHead(6, 4, 3)
    assert (head(torch.randn(1, 6, 5, 5)) == 0).all()


def test_the_context_head_sees_the_whole_photo():
    head = ContextHead(4, 8, 3).eval()
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    head(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad[0, :, -1, -1] != 0).any()


def test_parameters_fit_the_budget():
    assert sum(weight.numel() for weight in small_fcn().parameters()) * 2 < 12e6
