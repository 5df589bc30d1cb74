"""Running the networks of the catalogue, from checkpoints in a folder to outputs."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from explainer.fcn import runs
from explainer.fcn.catalogue import NETWORKS
from explainer.fcn.checkpoints import Prepared
from explainer.fcn.registry import FileError
from explainer.fcn.weights import WeightsError

from .conftest import as_caffemodel, release
from .test_checkpoints import pth, torchvision
from .test_published import vgg_reference

pytestmark = pytest.mark.usefixtures("thin", "unsigned")
load = partial(runs.load, device="cpu", dtype=torch.float32)  # exact, wherever the tests run
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache with the three published nets, thin, each with weights of its own."""
    for stride in (32, 16):
        pth(tmp_path / f"fcn{stride}s_from_caffe.pth", release(stride, seed=stride))
    (tmp_path / "fcn8s-heavy-pascal.caffemodel").write_bytes(as_caffemodel(release(8, seed=8)))
    return tmp_path


def labels_of(stride: int, seed: int, photo: np.ndarray = PHOTO) -> np.ndarray:
    """What the release's net says, and 255 where two classes are as good as equal."""
    batch = Prepared.CAFFE(torch.from_numpy(photo).permute(2, 0, 1)[None])
    with torch.inference_mode():
        scores = vgg_reference(release(stride, seed=seed), batch, stride)[0]
    best, second = scores.topk(2, dim=0).values
    found = scores.argmax(0)
    found[best - second < 1e-4 * scores.abs().max()] = 255
    return found.numpy()


def assert_labels(found: np.ndarray, expected: np.ndarray) -> None:
    sure = expected != 255
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(found[sure], expected[sure])


def test_as_published_each_output_is_that_of_its_own_net(folder):
    runner = load("fcn-vgg16", "as-published", folder=folder)
    assert runner.outputs == (32, 16, 8)
    assert runner.trained
    run = runner(PHOTO)
    for stride in (32, 16, 8):
        assert_labels(run.labels[stride], labels_of(stride, seed=stride))
    assert len({id(result) for result in run.results.values()}) == 3
    assert set(run.results[16].labels) == {32, 16}
    assert run.finest is run.results[8]
    assert (run.height, run.width, run.device) == (40, 57, "cpu")
    assert run.title == "FCN-VGG16, as published"
    assert run.names == {32: "FCN-32s", 16: "FCN-16s", 8: "FCN-8s"}
    assert "trunks differ" in run.says


def test_skips_left_out_is_one_pass_of_the_finest_net(folder):
    run = load("fcn-vgg16", "skips-left-out", folder=folder)(PHOTO)
    assert_labels(run.labels[8], labels_of(8, seed=8))
    assert run.results[32] is run.results[16] is run.results[8]
    assert "ablation" in run.says
    assert list(run.names.values()) == ["FCN-8s without skips", "FCN-8s without pool3", "FCN-8s"]
    # The coarser outputs are those of the coarser nets with these weights.
    state = release(8, seed=8)
    finer = ("score_pool3.weight", "score_pool3.bias", "upscore_pool4.weight", "upscore8.weight")
    coarse = {key: state[key] for key in state if key not in finer}
    path = pth(folder / "mine.pth", coarse)
    bare = load("fcn-vgg16", weights=path)(PHOTO)
    np.testing.assert_array_equal(bare.labels[16], run.labels[16])
    np.testing.assert_array_equal(bare.labels[32], run.labels[32])


def test_times_by_part_of_the_net(folder):
    run = load("fcn-vgg16", "skips-left-out", folder=folder)(PHOTO)
    parts = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]
    assert list(run.timings) == ["prepare", *parts, "scores", "labels"]
    assert all(seconds > 0 for seconds in run.timings.values())
    three = load("fcn-vgg16", "as-published", folder=folder)(PHOTO)
    assert three.timings["fc6"] == pytest.approx(
        sum(result.timings["fc6"] for result in three.results.values())
    )
    assert run.peak is None or run.peak > 0


def test_without_a_mode_the_best_that_is_there(folder, monkeypatch):
    monkeypatch.setenv("EXPLAINER_CACHE", str(folder))
    assert load("fcn-vgg16").title == "FCN-VGG16, as published"
    (folder / "fcn16s_from_caffe.pth").unlink()
    assert load("fcn-vgg16").title == "FCN-VGG16, skips left out"


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(FileError, match=r"FCN-32s are not on this machine: download them \(545 MB"):
        load("fcn-vgg16", "as-published", folder=tmp_path)


def test_a_checkpoint_of_another_output(folder):
    pth(folder / "fcn16s_from_caffe.pth", release(8))
    with pytest.raises(WeightsError, match=r"fcn16s_from_caffe\.pth does not hold .* FCN-16s"):
        load("fcn-vgg16", "as-published", folder=folder)


def test_the_imagenet_trunk(folder):
    pth(folder / "vgg16-397923af.pth", torchvision(release()))
    runner = load("fcn-vgg16", "imagenet-trunk", folder=folder)
    assert not runner.trained
    run = runner(PHOTO)
    assert "labels mean nothing" in run.says
    assert run.labels[8].shape == (40, 57)
    assert run.name(32) == "FCN-32s", "random scores are nobody's ablation"


@pytest.mark.parametrize("network", ["fcn-vgg16", "fcn-googlenet"])
def test_untrained(network):
    runner = load(network, "untrained")
    assert not runner.trained
    assert runner.outputs == NETWORKS[network].outputs
    run = runner(PHOTO)
    assert "labels mean nothing" in run.says
    again = load(network, "untrained")(PHOTO)
    for stride in runner.outputs:
        assert run.labels[stride].shape == (40, 57)
        np.testing.assert_array_equal(run.labels[stride], again.labels[stride])
    shares = run.finest.shares()
    assert set(shares) == set(runner.outputs)
    ledger = run.finest.ledger(3, 50, 2)
    assert ledger.total == pytest.approx(run.finest.logits(3, 50)[min(runner.outputs)][2])


@pytest.mark.parametrize(("stride", "words"), [(32, "In one pass.$"), (8, "leave its skips out")])
def test_a_file_of_ones_own(stride, words, tmp_path):
    weights = pth(tmp_path / "mine.pth", release(stride, seed=1))
    runner = load("fcn-vgg16", weights=weights, folder=tmp_path)
    assert runner.title == "FCN-VGG16, mine.pth"
    run = runner(PHOTO)
    assert_labels(run.labels[stride], labels_of(stride, seed=1))
    with pytest.raises(ValueError, match=words):
        raise ValueError(run.says)
    assert run.name(stride) == f"FCN-{stride}s"
    assert all("without" in run.name(coarser) for coarser in run.outputs[:-1])


def test_a_trunk_of_ones_own(tmp_path):
    weights = pth(tmp_path / "mine.pth", torchvision(release()))
    runner = load("fcn-vgg16", weights=weights)
    assert not runner.trained
    assert "No score layers" in runner.says


def test_learned_upsampling_has_one_output(tmp_path):
    state = release(8, seed=2)
    torch.manual_seed(0)
    state["upscore8.weight"] += 0.05 * torch.randn_like(state["upscore8.weight"])
    runner = load("fcn-vgg16", weights=pth(tmp_path / "l.pth", state))
    assert runner.outputs == (8,)
    assert runner.says == "In one pass.", "there is no output that leaves a skip out"
    run = runner(PHOTO)
    batch = Prepared.CAFFE(torch.from_numpy(PHOTO).permute(2, 0, 1)[None])
    with torch.inference_mode():
        scores = vgg_reference(state, batch, 8)[0].numpy()
    atol = 1e-4 * np.abs(scores).max()
    np.testing.assert_allclose(run.finest.scores[8].values, scores, atol=atol)
    np.testing.assert_allclose(run.finest.logits(20, 30)[8], scores[:, 20, 30], atol=atol)
    np.testing.assert_array_equal(run.labels[8], run.finest.scores[8].values.argmax(0))


def test_the_bundled_network():
    run = load()(PHOTO)
    assert set(run.labels) == {32, 16, 8}
    assert run.title == "FCN-MobileNetV2"


@pytest.mark.parametrize("pixels", [PHOTO[..., :1], PHOTO.astype(float), PHOTO[:0], PHOTO[:, :, 0]])
def test_what_is_no_photo(pixels):
    with pytest.raises(ValueError, match="a photo is"):
        load("fcn-vgg16", "untrained")(pixels)


def test_in_the_fastest_form(folder):
    fast = runs.load("fcn-vgg16", "skips-left-out", device="cpu", folder=folder)(PHOTO)
    exact = load("fcn-vgg16", "skips-left-out", folder=folder)(PHOTO)
    scale = np.abs(exact.finest.scores[32].values).max()
    np.testing.assert_allclose(
        fast.finest.scores[32].values, exact.finest.scores[32].values, atol=0.03 * scale
    )


def test_no_such_device():
    with pytest.raises(ValueError, match="no device 'tpu'"):
        runs.load("fcn-vgg16", "untrained", device="tpu")
