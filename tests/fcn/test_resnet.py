"""torchvision's FCN-ResNet50, against its definition written once more with batch norm as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn import checkpoints, runs
from explainer.fcn.catalogue import NETWORKS
from explainer.fcn.checkpoints import Prepared, load
from explainer.fcn.published import RESNET, figures, path, work
from explainer.fcn.registry import CHECKPOINTS
from explainer.fcn.resnet import EXPANSION, GROUPS, FCNResNet50, folded, torchvision_names
from explainer.fcn.weights import WeightsError
from explainer.ops.receptive import receptive_fields

State = dict[str, Tensor]
THIN = 8
AUXILIARY = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
"""Parameters of the classifier that torchvision uses in training only."""


def state_of(network: FCNResNet50, seed: int = 0) -> State:
    """A checkpoint of torchvision's names and shapes, with random numbers."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    state: State = {}
    for layer, (source, norm) in torchvision_names(network).items():
        shape = tuple(network.get_submodule(layer).weight.shape)  # pyright: ignore
        state[f"{source}.weight"] = random(*shape, scale=(2 / np.prod(shape[1:])) ** 0.5)
        outputs = shape[0]
        if norm is None:
            state[f"{source}.bias"] = random(outputs)
            continue
        state[f"{norm}.weight"] = 1 + random(outputs, scale=0.2)
        state[f"{norm}.bias"] = random(outputs, scale=0.2)
        state[f"{norm}.running_mean"] = random(outputs, scale=0.2)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(outputs, generator=generator)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    state["aux_classifier.4.bias"] = random(21)
    return state


def reference(state: State, x: Tensor) -> Tensor:
    """torchvision's network, as its documentation and the papers describe it: full-size scores."""
    height, width = x.shape[-2:]

    def conv(x: Tensor, name: str, norm: str, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        x = F.conv2d(x, weight, None, stride, padding, dilation)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"])

    x = F.relu(conv(x, "backbone.conv1", "backbone.bn1", 2))
    x = F.max_pool2d(x, 3, 2, 1)
    dilations = {1: [1] * 3, 2: [1] * 4, 3: [1, 2, 2, 2, 2, 2], 4: [2, 4, 4]}
    for group, blocks in dilations.items():
        for place, dilation in enumerate(blocks):
            at = f"backbone.layer{group}.{place}"
            stride = 2 if (group, place) == (2, 0) else 1
            y = F.relu(conv(x, f"{at}.conv1", f"{at}.bn1"))
            y = F.relu(conv(y, f"{at}.conv2", f"{at}.bn2", stride, dilation))
            y = conv(y, f"{at}.conv3", f"{at}.bn3")
            if place == 0:
                x = conv(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            x = F.relu(y + x)
    x = F.relu(conv(x, "classifier.0", "classifier.1"))
    x = F.conv2d(x, state["classifier.4.weight"], state["classifier.4.bias"])
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> FCNResNet50:
    """With the names, kernels, strides and dilations of the real one, and a few channels."""
    monkeypatch.setattr(checkpoints, "FCNResNet50", lambda: FCNResNet50(THIN))
    return FCNResNet50(THIN)


@pytest.fixture
def file(thin: FCNResNet50, tmp_path: Path) -> Path:
    mine = tmp_path / "mine.pth"
    torch.save(state_of(thin), mine)
    return mine


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def expected(state: State, pixels: np.ndarray) -> Tensor:
    """Scores at every pixel, the photo padded to multiples of 8 with the mean."""
    batch = Prepared.TORCHVISION(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    height, width = pixels.shape[:2]
    padded = F.pad(batch, (0, -width % 8, 0, -height % 8))
    with torch.inference_mode():
        return reference(state, padded)[0, :, :height, :width]


@pytest.mark.parametrize("size", [(64, 48), (8, 8), (37, 51), (1, 9)])
def test_scores_labels_and_probabilities_are_torchvisions(file, thin, size):
    pixels = photo(*size)
    scores = expected(state_of(thin), pixels)
    run = runs.load(RESNET, weights=file, device="cpu", dtype=torch.float32)(pixels)
    assert run.outputs == (8,)
    assert run.name(8) == "FCN-ResNet50"
    atol = 1e-4 * float(scores.abs().max())
    ys, xs = {0, size[0] // 2, size[0] - 1}, {0, 3, size[1] // 3, size[1] - 1}
    for y in ys:
        for x in xs:
            found = run.finest.logits(y, x)[8]
            np.testing.assert_allclose(found, scores[:, y, x].numpy(), atol=atol)
            ledger = run.finest.ledger(y, x, 3)
            assert ledger.total == pytest.approx(float(scores[3, y, x]), abs=atol)
    best, second = scores.topk(2, dim=0).values
    sure = (best - second > 2 * atol).numpy()
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(run.labels[8][sure], scores.argmax(0).numpy()[sure])


def test_folding_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 3, 3, 3, generator=generator)
    norm = {
        "weight": torch.tensor([1.0, -2, 0, 0.5, 3]),
        "bias": torch.randn(5, generator=generator),
        "running_mean": torch.randn(5, generator=generator),
        "running_var": torch.tensor([1.0, 0, 2, 1e-3, 9]),
    }
    x = torch.randn(1, 3, 9, 9, generator=generator)
    statistics = norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"]
    separate = F.batch_norm(F.conv2d(x, weight), *statistics)
    torch.testing.assert_close(F.conv2d(x, *folded(weight, norm)), separate, rtol=1e-4, atol=1e-3)


def test_parameters_are_those_of_torchvisions_table():
    """35,322,218 with the auxiliary classifier; folding leaves one number of a norm's two."""
    network = FCNResNet50()
    norms = sum(
        network.get_submodule(layer).bias.numel()  # pyright: ignore
        for layer, (_, norm) in torchvision_names(network).items()
        if norm
    )
    assert figures(RESNET).parameters + norms + AUXILIARY == 35_322_218


def test_field_stride_and_depth():
    found = figures(RESNET)
    assert found.stride == 8
    assert found.conv_layers == 1 + 3 * sum(group[0] for group in GROUPS) + 2
    # 7/2 and 3/2, then each 3×3 adds twice its dilation in cells of the stride it works at.
    field = 7 + 2 * 2 + 4 * (3 * 2 + 2) + 8 * 2 * (3 + 1 + 5 * 2 + 2 + 2 * 4 + 1)
    assert found.field == field
    assert receptive_fields(path(RESNET))[-1].size == field


def test_multiply_adds_are_near_torchvisions():
    """152.7 billion in its table, at 520×520, the auxiliary classifier included."""
    here = work(RESNET, 520, 520)
    cells = (520 // 8) ** 2
    auxiliary = cells * (1024 * 256 * 9 + 256 * 21)
    assert (here.total + auxiliary) / 1e9 == pytest.approx(152.717, rel=0.01)
    assert list(here.multiply_adds) == [
        "conv1", "layer1", "layer2", "layer3", "layer4", "head", "scores",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda s: s.pop("classifier.4.bias"), r"classifier\.4\.bias is missing"),
        (lambda s: s.update({"backbone.conv1.weight": torch.zeros(2, 2)}), "has shape"),
        (lambda s: s["backbone.bn1.running_var"].fill_(-1), "negative"),
        (lambda s: s["backbone.bn1.bias"].fill_(torch.nan), "infinite or undefined"),
    ],
)
def test_a_file_of_something_else(thin, tmp_path, damage, says):
    state = state_of(thin)
    damage(state)
    other = tmp_path / "other.pth"
    torch.save(state, other)
    with pytest.raises(WeightsError, match=rf"other\.pth does not hold .* FCN-ResNet50.*{says}"):
        load(other, RESNET)


@pytest.mark.slow
def test_a_checkpoint_of_the_true_shapes(tmp_path):
    network = FCNResNet50()
    state = state_of(network)
    assert state["backbone.layer4.2.conv3.weight"].shape == (512 * EXPANSION, 512, 1, 1)
    assert state["classifier.0.weight"].shape == (512, 2048, 3, 3)
    assert state["classifier.4.weight"].shape == (21, 512, 1, 1)
    whole = tmp_path / CHECKPOINTS[RESNET].files[0].name
    torch.save(state, whole)
    size = CHECKPOINTS[RESNET].files[0].size
    # The real file has the auxiliary classifier too, 9.5 MB.
    assert whole.stat().st_size == pytest.approx(size - 4 * AUXILIARY, rel=0.01)
    pixels = photo(40, 48)
    run = runs.load(RESNET, weights=whole, device="cpu", dtype=torch.float32)(pixels)
    whole.unlink()  # pytest keeps the folders of three runs
    scores = expected(state, pixels)
    atol = 1e-3 * float(scores.abs().max())
    np.testing.assert_allclose(run.finest.logits(20, 31)[8], scores[:, 20, 31].numpy(), atol=atol)


def test_untrained_runs_and_says_so():
    run = runs.load(RESNET, "untrained", device="cpu")(photo(30, 20))
    assert not run.trained
    assert set(NETWORKS[RESNET].modes) == {"as-published", "untrained"}
    assert run.labels[8].shape == (30, 20)
    assert list(run.timings)[:2] == ["prepare", "conv1"]
