"""The bundled network on real photos, and the forms in which it runs."""

import json

import numpy as np
import pytest
import torch
from skimage import data

from explainer.fcn import device as devices
from explainer.fcn.result import Segmentation
from explainer.fcn.segmenter import Segmenter, trunk_dtype
from explainer.fcn.voc import CLASSES
from explainer.fcn.weights import SMALL, WeightsError, load_small, record

CAT = CLASSES.index("cat")
PERSON = CLASSES.index("person")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(device="cpu")


@pytest.fixture(scope="module")
def cat(segmenter) -> Segmentation:
    return segmenter(data.chelsea())


def test_the_cat_is_a_cat(cat):
    assert (cat.height, cat.width) == data.chelsea().shape[:2]
    for stride, shares in cat.shares().items():
        assert shares[CAT] > 0.5, stride
        assert shares[CAT] + shares.get(0, 0) > 0.97, stride
    assert set(cat.timings) == {"forward", "labels"}
    assert cat.device == "cpu"


def test_the_astronaut_is_a_person(segmenter):
    shares = segmenter(data.astronaut()).shares()[8]
    assert max((share, index) for index, share in shares.items() if index)[1] == PERSON


def test_the_rocket_is_nothing(segmenter):
    assert segmenter(data.rocket()).shares()[8][0] > 0.97


def test_a_mirrored_photo_gives_mirrored_labels(segmenter):
    """The trunk is not symmetric, its lattice is: at least 97 % of the pixels agree."""
    photo = data.chelsea()[:289, :449]
    straight, mirrored = segmenter(photo), segmenter(photo[:, ::-1])
    for stride in (32, 16, 8):
        agree = straight.labels[stride] == mirrored.labels[stride][:, ::-1]
        assert agree.mean() > 0.97, stride


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (33, 33), (31, 64), (65, 10)])
def test_any_size(segmenter, size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    result = segmenter(photo)
    for labels in result.labels.values():
        assert labels.shape == size
        assert labels.dtype == np.uint8


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_photo_is_refused(segmenter, pixels):
    with pytest.raises(ValueError, match=r"\(height, width, 3\) uint8"):
        segmenter(pixels)


def test_half_precision_labels_are_those_of_fp32(cat):
    reference = Segmenter(load_small(), "cpu", dtype=torch.float32)(data.chelsea())
    half = Segmenter(load_small(), "cpu", dtype=torch.bfloat16)(data.chelsea())
    for stride in (32, 16, 8):
        assert (reference.labels[stride] == half.labels[stride]).mean() > 0.985, stride


def test_cpu_computes_in_bf16_only_where_the_processor_does(monkeypatch):
    for native in (True, False):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native}, False
        )
        assert trunk_dtype("cpu") == (torch.bfloat16 if native else torch.float32)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_gives_the_labels_of_the_cpu():
    reference = Segmenter(load_small(), "cpu", dtype=torch.float32)(data.chelsea())
    result = Segmenter.load(device="cuda")(data.chelsea())
    assert result.device.startswith("cuda")
    for stride in (32, 16, 8):
        assert (reference.labels[stride] == result.labels[stride]).mean() > 0.985, stride


def test_the_record_names_the_file():
    assert record().sha256 == record(SMALL).sha256
    assert 0.5 < record().mean_iu["32s"] < record().mean_iu["16s"] < record().mean_iu["8s"] < 1
    assert SMALL.stat().st_size < 12e6


def test_altered_bundled_weights_are_refused(tmp_path, monkeypatch):
    copy = tmp_path / SMALL.name
    data = bytearray(SMALL.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    copy.with_suffix(".json").write_text(SMALL.with_suffix(".json").read_text())
    monkeypatch.setattr("explainer.fcn.weights.SMALL", copy)
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_small()


def test_a_file_of_ones_own_is_loaded(tmp_path):
    copy = tmp_path / "own.safetensors"
    copy.write_bytes(SMALL.read_bytes())
    assert isinstance(Segmenter.load(copy, "cpu"), Segmenter)


def test_what_are_no_weights_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        load_small(tmp_path / "nowhere.safetensors")
    (tmp_path / "text.safetensors").write_text(json.dumps({"a": 1}))
    with pytest.raises(WeightsError, match="does not hold this network's weights"):
        load_small(tmp_path / "text.safetensors")
    with pytest.raises(WeightsError, match="is missing"):
        record(tmp_path / "text.safetensors")


def test_the_device_is_the_one_asked_for(monkeypatch):
    monkeypatch.delenv(devices.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.choose() == devices.choose("auto") == devices.choose("cpu") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.choose() == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.choose() == "cuda"
    assert devices.choose("cuda:1") == "cuda:1"
    monkeypatch.setenv(devices.VARIABLE, "cpu")
    assert devices.choose() == "cpu"
    assert devices.choose("cuda") == "cuda"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:7", "mps", "cuda"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="choose"):
        devices.choose(name)
