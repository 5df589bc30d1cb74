"""The paper's networks against the release, written down here once more as plain functions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn.geometry import PIXELS, Lattice
from explainer.fcn.labels import label_maps
from explainer.fcn.network import fuse
from explainer.fcn.published import (
    DEFINITIONS,
    Conv,
    Inception,
    PublishedFCN,
    aligned,
    figures,
    initialise,
    path,
    work,
)
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.ops.receptive import receptive_fields
from explainer.ops.sizes import conv_size, pool_size, transposed_size
from explainer.ops.stacks import STACKS

from .conftest import dense, release

NAMES = tuple(DEFINITIONS)


def meta(name: str = "fcn-vgg16", strides: tuple[int, ...] | None = None) -> PublishedFCN:
    with torch.device("meta"):
        return PublishedFCN(name, strides)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_the_paper(name):
    here, paper = figures(name), DEFINITIONS[name].paper
    assert round(here.parameters / 1e6) == paper.parameters / 1e6
    assert (here.conv_layers, here.field, here.stride) == (
        paper.conv_layers,
        paper.field,
        paper.stride,
    )


@pytest.mark.parametrize(
    ("name", "stack", "last"),
    [("fcn-vgg16", "VGG16", 404), ("fcn-alexnet", "AlexNet", 355), ("fcn-googlenet", "", 715)],
)
def test_receptive_fields(name, stack, last):
    fields = receptive_fields(path(name))
    assert fields[-1].size == last
    if stack:
        # Pointwise layers see nothing new; the stacks leave them out.
        sizes = dict.fromkeys(field.size for field in fields)
        assert list(sizes) == list(dict.fromkeys(f.size for f in receptive_fields(STACKS[stack])))


@pytest.mark.parametrize(
    ("name", "strides", "offsets"),
    [
        ("fcn-vgg16", (32,), {"final": 19}),
        ("fcn-vgg16", (32, 16), {"pool4": 5, "final": 27}),
        ("fcn-vgg16", (32, 16, 8), {"pool4": 5, "pool3": 9, "final": 31}),
        ("fcn-alexnet", (32,), {"final": 18}),
    ],
)
def test_crop_offsets_are_those_of_the_release(name, strides, offsets):
    assert meta(name, strides).offsets == offsets


@pytest.mark.parametrize("name", NAMES)
def test_crop_offsets_by_trying_them_all(name):
    """Of all offsets, the one that puts every map where its receptive fields are centred."""
    network = meta(name)
    layers = path(name)
    centres = dict(zip((layer.name for layer in layers), receptive_fields(layers), strict=True))
    taps = DEFINITIONS[name].taps
    kernels = network.upsampling_kernels()
    # Where the coarse map's cells sit, and its stride; the score layers are pointwise.
    place, stride = centres[taps[32][0]].centre, 32
    for fine, kernel in zip((*network.strides[1:], None), kernels.values(), strict=True):
        field = centres[taps[fine][0]] if fine else receptive_fields(())
        first, step = (field.centre, field.stride) if fine else (0, 1)  # pyright: ignore
        fitting = [
            offset
            for offset in range(200)
            # The tent's middle, on the fine map after the crop, is where the coarse cell sits.
            if first + step * ((kernel - 1) / 2 + (offset if fine else -offset)) == place
        ]
        assert fitting == [network.offsets[taps[fine][0] if fine else "final"]]
        if fine:
            place, stride = first + step * fitting[0], step
    assert stride == network.strides[-1]


def test_a_map_that_begins_too_late_is_refused():
    with pytest.raises(ValueError, match="no cell of"):
        aligned(Lattice(32, -40), Lattice(16, 0))


def sizes(name: str, side: int) -> dict[str, int]:
    """Cells after every layer, by the arithmetic of `explainer.ops`."""
    found = {}
    for layer in path(name):
        pooled = layer.name.startswith("pool")
        arithmetic = pool_size if pooled else conv_size
        extra = {"ceil_mode": True} if pooled else {}
        cells = arithmetic(side, layer.kernel, layer.stride, layer.padding, **extra)  # pyright: ignore
        assert isinstance(cells, int)
        side = found[layer.name] = cells
    return found


def transposed(cells: int, kernel: int, stride: int) -> int:
    found = transposed_size(cells, kernel, stride)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_size_fits(name):
    network = meta(name)
    taps = DEFINITIONS[name].taps
    kernels = list(network.upsampling_kernels().values())
    # All repeats every 32 pixels.
    for side in (*range(1, 100), *range(480, 520), 1000, 1100):
        found = sizes(name, side)
        cells = found[taps[32][0]]
        if name == "fcn-vgg16":
            assert cells == -(-(side + 198) // 32) - 6
        for fine, kernel in zip(network.strides[1:], kernels, strict=False):
            cells = transposed(cells, kernel, 2)
            assert network.crops[fine].offset + cells <= found[taps[fine][0]], side
        up = transposed(cells, kernels[-1], network.strides[-1])
        assert network.offsets["final"] + side <= up, side


def test_sizes_at_500():
    found = sizes("fcn-vgg16", 500)
    assert (found["pool3"], found["pool4"], found["fc7"]) == (88, 44, 16)
    scores = meta()(torch.empty(1, 3, 500, 500, device="meta"))
    assert {s: tuple(m.shape) for s, m in scores.items()} == {
        32: (1, 21, 16, 16),
        16: (1, 21, 34, 34),
        8: (1, 21, 70, 70),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (28, 30), (33, 500), (61, 29), (375, 500), (511, 1)])
def test_the_network_has_these_sizes(name, size):
    network = meta(name)
    scores = network(torch.empty(1, 3, *size, device="meta"))
    cells = tuple(sizes(name, side)[DEFINITIONS[name].taps[32][0]] for side in size)
    assert scores[32].shape[2:] == cells
    assert network.output(scores, *size).shape == (1, 21, *size)


def test_work_at_500():
    cost = work("fcn-vgg16", 500, 500)
    assert cost.total == pytest.approx(180.9e9, rel=1e-3)
    share = {part: count / cost.total for part, count in cost.multiply_adds.items()}
    assert share["conv3"] + share["conv4"] == pytest.approx(0.5, abs=0.01)
    assert share["fc6"] == pytest.approx(0.145, abs=0.01)
    assert cost.weights == figures("fcn-vgg16").parameters + 21 * (512 + 256) + 42
    # The largest maps are conv1's: 64 channels of 698×698, in and out.
    assert cost.memory(2) == 2 * (cost.weights + 2 * 64 * 698**2)


def vgg_reference(state: dict[str, Tensor], photo: Tensor, stride: int) -> Tensor:
    """The release's FCN-32s, -16s or -8s, line by line, with its numbers."""

    def conv(x: Tensor, name: str, padding: int = 1) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)

    def up(x: Tensor, name: str, step: int) -> Tensor:
        return F.conv_transpose2d(x, state[f"{name}.weight"], stride=step)

    x, pools = photo, {}
    for block, convs in enumerate((2, 2, 3, 3, 3), start=1):
        for place in range(1, convs + 1):
            first = (block, place) == (1, 1)
            x = F.relu(conv(x, f"conv{block}_{place}", 100 if first else 1))
        x = pools[block] = F.max_pool2d(x, 2, 2, ceil_mode=True)
    x = F.relu(conv(F.relu(conv(x, "fc6", 0)), "fc7", 0))
    x = conv(x, "score_fr", 0)
    height, width = photo.shape[2:]
    if stride == 32:
        return up(x, "upscore", 32)[..., 19 : 19 + height, 19 : 19 + width]
    x = up(x, "upscore2", 2)
    h, w = x.shape[2:]
    x = x + conv(pools[4], "score_pool4", 0)[..., 5 : 5 + h, 5 : 5 + w]
    if stride == 16:
        return up(x, "upscore16", 16)[..., 27 : 27 + height, 27 : 27 + width]
    x = up(x, "upscore_pool4", 2)
    h, w = x.shape[2:]
    x = x + conv(pools[3], "score_pool3", 0)[..., 9 : 9 + h, 9 : 9 + w]
    return up(x, "upscore8", 8)[..., 31 : 31 + height, 31 : 31 + width]


def with_weights(state: dict[str, Tensor], name: str, strides: tuple[int, ...]) -> PublishedFCN:
    network = PublishedFCN(name, strides)
    own = {key: value for key, value in state.items() if not key.startswith("upscore")}
    network.load_state_dict(own)
    return network.eval()


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("size", [(1, 1), (37, 60), (71, 33)])
def test_equal_to_the_release(stride, size):
    height, width = size
    state = release(stride, seed=3)
    strides = tuple(s for s in (32, 16, 8) if s >= stride)
    network = with_weights(state, "fcn-vgg16", strides)
    photo = 100 * torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = vgg_reference(state, photo, stride)
        scores = network(photo)
        scale = float(expected.abs().max())
        torch.testing.assert_close(
            network.output(scores, height, width), expected, rtol=0, atol=1e-5 * scale
        )
        # The score maps and their lattices alone say the same: labels, and scores at a pixel.
        sums = {s: found[0] for s, found in fuse(scores, network.lattices).items()}
        labels = label_maps(sums, height, width, network.lattices)[stride]
        best, second = expected[0].topk(2, dim=0).values
        sure = best - second > 1e-4 * scale
        assert sure.float().mean() > 0.9
        assert torch.equal(labels[sure].long(), expected[0].argmax(0)[sure])
    maps = {s: ScoreMap(scores[s][0].numpy(), network.lattices[s]) for s in scores}
    result = Segmentation(height, width, tuple(map(str, range(21))), maps, {})
    for y, x in {(0, 0), (height - 1, width - 1), (height // 2, width // 3)}:
        truth = expected[0, :, y, x].numpy()
        np.testing.assert_allclose(result.logits(y, x)[stride], truth, atol=1e-5 * scale)
        ledger = result.ledger(y, x, 5)
        assert ledger.total == pytest.approx(float(truth[5]), abs=1e-5 * scale)
        assert all(1 <= len(part.cells) <= 9 for part in ledger.parts)


@pytest.mark.parametrize("size", [(20, 33), (30, 29)])  # the second needs the map's last row
@pytest.mark.parametrize("learned", [False, True])
def test_alexnet_is_the_release(size, learned):
    height, width = size
    state = release(32, name="fcn-alexnet")
    network = with_weights(state, "fcn-alexnet", (32,))
    upscore = dense(63)
    if learned:
        upscore += torch.randn(upscore.shape, generator=torch.Generator().manual_seed(2)) / 20
        network.learned["upscore"] = torch.nn.Parameter(upscore, requires_grad=False)
    photo = 100 * torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))

    def conv(x: Tensor, name: str, **settings: Any) -> Tensor:
        return F.relu(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **settings))

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def norm(x: Tensor) -> Tensor:
        # Caffe: x / (1 + α/n · Σ of squares over n neighbouring channels)^β.
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return x / (1 + 1e-4 / 5 * squares) ** 0.75

    with torch.inference_mode():
        x = norm(pool(conv(photo, "conv1", stride=4, padding=100)))
        x = norm(pool(conv(x, "conv2", padding=2, groups=2)))
        x = conv(conv(x, "conv3", padding=1), "conv4", padding=1, groups=2)
        x = pool(conv(x, "conv5", padding=1, groups=2))
        x = conv(conv(x, "fc6"), "fc7")
        x = F.conv2d(x, state["score_fr.weight"], state["score_fr.bias"])
        x = F.conv_transpose2d(x, upscore, stride=32)
        x = x[..., 18 : 18 + height, 18 : 18 + width]
        found = network.output(network(photo), height, width)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5 * float(x.abs().max()))


def test_inception_joins_four_branches():
    torch.manual_seed(0)
    module = Inception(6, 2, (3, 4), (2, 3), 5).eval()
    x = torch.randn(1, 6, 9, 8)
    pooled = F.max_pool2d(x, 3, 1, 1)
    with torch.inference_mode():
        found = module(x)
        expected = torch.cat(
            (
                module.one(x),
                module.three(module.three_reduce(x)),
                module.five(module.five_reduce(x)),
                F.relu(F.conv2d(pooled, module.pool_proj.weight, module.pool_proj.bias)),
            ),
            1,
        )
    assert torch.equal(found, expected)
    assert found.shape == (1, module.outputs, 9, 8)


@pytest.mark.parametrize("kernel", [7, 6])
def test_a_linear_layer_is_a_convolution(kernel):
    """fc6 of VGG16 and AlexNet: on one window the same, on a larger map the same on each window."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(5 * kernel**2, 11)
    conv = Conv(5, 11, kernel)
    conv.load_state_dict({"weight": linear.weight.view(11, 5, kernel, kernel), "bias": linear.bias})
    features = torch.randn(1, 5, kernel + 2, kernel + 1)
    with torch.inference_mode():
        found = conv(features)
        assert found.shape == (1, 11, 3, 2)
        for row in range(3):
            for column in range(2):
                window = features[..., row : row + kernel, column : column + kernel]
                expected = F.relu(linear(window.flatten(1)))
                torch.testing.assert_close(found[..., row, column], expected)


@pytest.mark.usefixtures("thin")
def test_a_net_made_by_hand():
    """Class 1 wins where the brightest red in a block of 8×8, interpolated, is above 100."""
    network = PublishedFCN()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.zero_()
                assert module.bias is not None
                module.bias.zero_()
        for stage in network.stages:
            if isinstance(stage.block, Conv) and stage.name.startswith("conv"):
                stage.block.weight[0, 0, 1, 1] = 1  # hands the first channel on
        network.score_layer(8).weight[1, 0] = 1
        network.score_layer(32).bias[0] = 100  # type: ignore
    height, width = 61, 90
    red = torch.zeros(height, width)
    red[16, 24], red[40:50, 60:80] = 250, 180
    photo = torch.zeros(1, 3, height, width)
    photo[0, 0] = red
    # Block j of pool3 covers the pixels 8j − 99 … 8j − 92; outside the photo is zero.
    padded = np.zeros((height + 200, width + 200))
    padded[99 : 99 + height, 99 : 99 + width] = red
    rows, columns = (side // 8 for side in padded.shape)
    blocks = padded[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).max((1, 3))
    centres = 8 * np.arange(max(rows, columns)) - 95.5
    across = np.array([np.interp(np.arange(width), centres[:columns], row) for row in blocks])
    bright = np.array([np.interp(np.arange(height), centres[:rows], c) for c in across.T]).T
    with torch.inference_mode():
        scores = network(photo)
        full = network.output(scores, height, width)[0]
        sums = {s: found[0] for s, found in fuse(scores, network.lattices).items()}
        labels = label_maps(sums, height, width, network.lattices)
    np.testing.assert_allclose(full[1], bright, atol=1e-3)
    expected = bright > full[0].numpy()
    clear = abs(bright - full[0].numpy()) > 1e-3
    assert (expected[16, 24], expected[45, 70], expected[30, 40]) == (True, True, False)
    np.testing.assert_array_equal(labels[8].numpy()[clear], expected[clear])
    assert not labels[16].any()
    assert not labels[32].any()


def test_offsets_are_in_the_lattices():
    lattices = meta().lattices
    assert {s: lattice.first for s, lattice in lattices.items()} == {32: 12.5, 16: -11.5, 8: -23.5}
    assert lattices[32].pixel(1) == 44.5
    assert PIXELS.pixel(lattices[8].cell(7.0)) == 3.8125


def test_strides_that_a_network_has_not():
    for name, strides in (("fcn-alexnet", (32, 16)), ("fcn-vgg16", (16,)), ("fcn-vgg16", (32, 8))):
        with pytest.raises(ValueError, match="coarse to fine"):
            meta(name, strides)


@pytest.mark.usefixtures("thin")
def test_random_weights_are_the_same_for_a_seed():
    first, again, other = PublishedFCN(), PublishedFCN(), PublishedFCN()
    for network, seed in ((first, 1), (again, 1), (other, 2)):
        initialise(network, seed)
    assert torch.equal(first.score_layer(8).weight, again.score_layer(8).weight)
    assert not torch.equal(first.score_layer(8).weight, other.score_layer(8).weight)
