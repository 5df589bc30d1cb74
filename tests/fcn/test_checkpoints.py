"""Files of weights in every form, with the names and (where it matters) the sizes of real ones."""

import math
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn.checkpoints import (
    TORCHVISION_VGG16,
    Prepared,
    bilinear_on_the_diagonal,
    load,
    read,
    untrained,
)
from explainer.fcn.published import PublishedFCN
from explainer.fcn.weights import WeightsError

from .conftest import WIDTHS, as_caffemodel, caffemodel, dense, release
from .test_published import vgg_reference

Write = Callable[[str, bytes], Path]
State = dict[str, Tensor]


def pth(path: Path, state: object, legacy: bool = False) -> Path:
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path


def as_file(form: str, state: State, folder: Path) -> Path:
    path = folder / form
    if form.startswith("caffemodel"):
        options = {"v1": "v1" in form, "old_shape": "old" in form}
        path.write_bytes(as_caffemodel(state, **options))
    elif form == "safetensors":
        save_file(state, path)
    elif form == "training":
        pth(path, {"epoch": 3, "model_state_dict": {f"module.{k}": v for k, v in state.items()}})
    else:
        pth(path, state, legacy="legacy" in form)
    return path


FORMS = ["caffemodel", "caffemodel v1", "caffemodel v1 old", "safetensors", "pth", "pth legacy"]


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("form", [*FORMS, "training"])
def test_reading_is_equal_to_writing(form, stride, tmp_path):
    state = release(stride, seed=stride)
    loaded = load(as_file(form, state, tmp_path))
    assert loaded.trained
    assert loaded.prepared is Prepared.CAFFE
    assert loaded.network.strides == tuple(s for s in (32, 16, 8) if s >= stride)
    assert not loaded.network.training
    found = loaded.network.state_dict()
    # The dense bilinear upsampling was recognised, and the depthwise one takes its place.
    assert found.keys() == {key for key in state if not key.startswith("upscore")}
    for key, value in found.items():
        assert torch.equal(value, state[key]), key


def test_alexnet(tmp_path):
    state = release(32, name="fcn-alexnet")
    path = as_file("safetensors", state, tmp_path)
    found = load(path, "fcn-alexnet").network.state_dict()
    path.unlink()  # pytest keeps the folders of three runs
    assert all(torch.equal(value, state[key]) for key, value in found.items())


@pytest.mark.usefixtures("thin")
def test_dtype_of_the_trunk(tmp_path):
    state = release()
    network = load(as_file("pth", state, tmp_path), dtype=torch.bfloat16).network
    assert torch.equal(network.get_parameter("fc6.weight"), state["fc6.weight"].bfloat16())
    assert torch.equal(network.score_layer(16).weight, state["score_pool4.weight"])
    for weights in network.parameters():
        assert not weights.requires_grad


def torchvision(state: State) -> State:
    """A thin ImageNet classifier in torchvision's names, its linear layers linear."""
    found = {}
    for theirs, ours in TORCHVISION_VGG16.items():
        weight = state[f"{ours}.weight"]
        found[f"{theirs}.weight"] = weight.flatten(1) if "classifier" in theirs else weight
        found[f"{theirs}.bias"] = state[f"{ours}.bias"]
    hidden = found["classifier.3.bias"].numel()
    found["classifier.6.weight"], found["classifier.6.bias"] = torch.ones(9, hidden), torch.ones(9)
    return found


@pytest.mark.usefixtures("thin")
def test_the_vgg16_of_torchvision(tmp_path):
    state = release()
    classifier = torchvision(state)
    loaded = load(pth(tmp_path / "vgg16.pth", classifier))
    assert not loaded.trained
    assert loaded.prepared is Prepared.TORCHVISION
    for key, value in loaded.network.state_dict().items():
        if key.startswith("score"):
            assert value.isfinite().all()
        else:
            assert torch.equal(value, state[key])
    # On a photo that fills one window fc7 is what the classifier's linear layers give.
    features = torch.rand(1, WIDTHS[-1], 7, 7)
    with torch.inference_mode():
        found = loaded.network.get_submodule("fc7")(loaded.network.get_submodule("fc6")(features))
    linear = features.flatten(1)
    for layer in ("classifier.0", "classifier.3"):
        linear = F.relu(
            F.linear(linear, classifier[f"{layer}.weight"], classifier[f"{layer}.bias"])
        )
    torch.testing.assert_close(found[..., 0, 0], linear)


def test_names_and_shapes_of_the_real_classifier():
    with torch.device("meta"):
        state = PublishedFCN().state_dict()
    shapes = {
        f"{theirs}.{part}": tuple(state[f"{ours}.{part}"].shape)
        for theirs, ours in TORCHVISION_VGG16.items()
        for part in ("weight", "bias")
    }
    places = {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28}
    assert {name for name in TORCHVISION_VGG16 if name.startswith("features")} == {
        f"features.{place}" for place in places
    }
    assert shapes["features.0.weight"] == (64, 3, 3, 3)
    assert shapes["features.28.weight"] == (512, 512, 3, 3)
    assert shapes["classifier.0.weight"] == (4096, 512, 7, 7)
    assert shapes["classifier.3.weight"] == (4096, 4096, 1, 1)


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_learned_upsampling_is_kept(stride, tmp_path):
    state = release(stride)
    final = next(key for key in state if key.startswith("upscore") and "2" not in key[7:8])
    for key in (key for key in state if key.startswith("upscore")):
        state[key] = state[key] + 0.01 * torch.randn_like(state[key])
    assert final in state
    network = load(as_file("pth", state, tmp_path)).network
    assert isinstance(network, PublishedFCN)
    assert set(network.learned) == set(network.upsampling_kernels())
    photo = 50 * torch.randn(1, 3, 40, 33)
    with torch.inference_mode():
        expected = vgg_reference(state, photo, stride)
        found = network.output(network(photo), 40, 33)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.usefixtures("thin")
def test_one_layer_of_one_class_is_enough_to_keep_it(tmp_path):
    state = release(8)
    state["upscore_pool4.weight"][3, 3, 1, 1] += 0.01
    network = load(as_file("pth", state, tmp_path)).network
    assert set(network.learned) == {"upscore_pool4"}
    assert torch.equal(network.learned["upscore_pool4"], state["upscore_pool4.weight"])


@pytest.mark.usefixtures("thin")
def test_depthwise_upsampling(tmp_path):
    state = release(32)
    each = torch.arange(21)
    state["upscore.weight"] = dense(64)[each, each][:, None].contiguous()
    assert not load(as_file("pth", state, tmp_path)).network.learned
    state["upscore.weight"][2, 0, 9, 9] += 1
    learned = load(as_file("pth", state, tmp_path)).network.learned["upscore"]
    assert torch.equal(learned[each, each], state["upscore.weight"][:, 0])
    learned[each, each] = 0
    assert not learned.any()


@pytest.mark.parametrize("size", [4, 16, 32, 63, 64])
def test_bilinear_on_the_diagonal(size):
    weight = dense(size)
    assert bilinear_on_the_diagonal(weight)
    for change in ((0, 0, 1, 2), (4, 5, 0, 0)):
        other = weight.clone()
        other[change] += 1e-4
        assert not bilinear_on_the_diagonal(other)
    assert not bilinear_on_the_diagonal(weight.roll(1, dims=0))


@pytest.mark.usefixtures("thin")
def test_the_at_once_net_scales_its_skips(tmp_path):
    plain, scaled = release(8), release(8)
    scaled["scale_pool4.weight"] = torch.full((WIDTHS[3],), 0.01)
    scaled["scale_pool3.weight"] = torch.full((WIDTHS[2],), 0.0001)
    network = load(as_file("caffemodel", scaled, tmp_path)).network
    for stride, name, factor in ((16, "pool4", 0.01), (8, "pool3", 0.0001)):
        expected = plain[f"score_{name}.weight"] * factor
        torch.testing.assert_close(network.score_layer(stride).weight.data, expected)
    assert torch.equal(network.score_layer(16).bias, plain["score_pool4.bias"])  # pyright: ignore


def without(state: State, *keys: str) -> State:
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: without(s, "conv3_2.weight"), "conv3_2.weight is missing"),
        (lambda s: without(s, "score_pool4.bias"), "score_pool4.bias is missing"),
        (lambda s: without(s, "score_pool4.weight"), "finer score layer"),
        (lambda s: s | {"fc7.weight": torch.zeros(3, 7, 1, 1)}, "fc7.weight has shape"),
        (
            lambda s: s | {"score_fr.weight": torch.zeros(60, 7, 1, 1)},
            r"shape \(60, 7, 1, 1\), not",
        ),
        (lambda s: s | {"fc6.bias": torch.full((7,), math.nan)}, "infinite or undefined"),
        (lambda s: s | {"upscore4.weight": dense(4)}, "an upsampling that the network has not"),
        (lambda s: s | {"upscore8.weight": dense(4)}, "upscore8.weight has shape"),
        (lambda s: {"layer1.0.conv1.weight": torch.zeros(2)}, "conv1_1.weight is missing"),
    ],
)
def test_weights_of_another_network(change, words, tmp_path):
    path = as_file("pth", change(release(8)), tmp_path)
    with pytest.raises(
        WeightsError, match=f"pth does not hold the weights of FCN-VGG16: .*{words}"
    ):
        load(path)


class Harmful:
    """What a pickle can do when it is opened without care."""

    ran = False

    def __reduce__(self):
        return os.mkdir, (os.environ["HARM"],)


@pytest.mark.parametrize("legacy", [True, False])
def test_no_code_in_a_file_is_run(legacy, tmp_path, monkeypatch):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    path = pth(tmp_path / "evil.pth", {"conv1_1.weight": Harmful()}, legacy)
    with pytest.raises(WeightsError, match=r"evil\.pth cannot be used: it holds more than weights"):
        load(path)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Harmful(), protocol))
        with pytest.raises(WeightsError, match=r"evil\.pth"):
            load(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("form", FORMS)
def test_cut_files(form, tmp_path):
    path = as_file(form, release(8), tmp_path)
    data = path.read_bytes()
    for end in (0, 3, 9, 200, len(data) // 3, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(WeightsError, match=path.name):
            load(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><title>Google Drive - Virus scan warning</title>", "web page"),
        (b"\n <HTML>", "web page"),
        (b"just text", "cannot be used"),
        (b"PK\x03\x04 and then nothing", "damaged"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{ no json", "cannot be used|damaged"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{ no jso", "damaged"),
        (caffemodel({"conv": (np.ones(1, np.float32),)}), "conv1_1.weight is missing"),
    ],
)
def test_other_files(data, words, written: Write):
    with pytest.raises(WeightsError, match=words):
        load(written("file", data))


@pytest.mark.parametrize("data", [b"just text", b"\x89PNG\r\n\x1a\n" + bytes(100)])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_the_wrong_content_under_a_name(data, suffix, written: Write):
    says = f"its content is no {suffix} file's: it must be one that PyTorch or safetensors wrote"
    with pytest.raises(WeightsError, match=says):
        load(written(f"file{suffix}", data))


def test_what_a_file_says_stays_one_short_line(written: Write):
    name = "a\n\x1b[31m" + "b" * 200
    data = caffemodel({name: (np.ones(1, np.float32),)})
    with pytest.raises(WeightsError) as caught:
        load(written("file.caffemodel", data + data))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, torch.zeros(3)])
def test_a_pth_without_weights_by_name(content, tmp_path):
    with pytest.raises(WeightsError, match="no weights by name"):
        read(pth(tmp_path / "x.pth", content))


def test_no_file(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        load(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="cannot read"):
        load(tmp_path)


def test_photos_as_the_weights_expect_them():
    photo = torch.tensor([[255, 0, 10]], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert Prepared.CAFFE(photo).flatten().tolist() == pytest.approx(
        [10 - 104.00698793, 0 - 116.66876762, 255 - 122.67891434], abs=1e-4
    )
    assert Prepared.TORCHVISION(photo).flatten().tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, -0.456 / 0.224, (10 / 255 - 0.406) / 0.225], abs=1e-5
    )


@pytest.mark.usefixtures("thin")
def test_untrained():
    loaded = untrained(dtype=torch.bfloat16)
    assert not loaded.trained
    assert loaded.network.get_parameter("conv1_1.weight").dtype == torch.bfloat16
    assert loaded.network.score_layer(8).weight.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("form", ["safetensors", "caffemodel", "pth", "pth legacy"])
def test_memory_at_full_size(form, tmp_path):
    """538 MB on disk become 269 in bf16, and on the way at most one layer more in fp32."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in PublishedFCN().state_dict().items()}
    path = tmp_path / form
    if form == "caffemodel":
        write_caffemodel(path, {key: tuple(shape) for key, shape in shapes.items()})
    else:
        as_file(form, {key: torch.full(shape, 0.5) for key, shape in shapes.items()}, tmp_path)
    assert path.stat().st_size == pytest.approx(134_362_751 * 4, rel=1e-3)
    before, most, done = anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        loaded = load(path, dtype=torch.bfloat16)
    finally:
        done.set()
        watcher.join()
        path.unlink()  # pytest keeps the folders of three runs
    largest = 4096 * 512 * 49 * 4
    assert most - before < 134_362_751 * 2 + largest + 100e6
    assert all((weights == 0.5).all() for weights in loaded.network.parameters())


def anonymous() -> int:
    """Bytes of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def write_caffemodel(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """As `as_caffemodel`, without a Python number for each of 134 million: every number is 0.5."""

    def number(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    with path.open("wb") as file:
        for name in dict.fromkeys(key.rpartition(".")[0] for key in shapes):
            blobs = []
            for part in ("weight", "bias"):
                shape = shapes[f"{name}.{part}"]
                dims = b"".join(map(number, shape))
                count = 4 * math.prod(shape)
                head = b"\x3a" + number(len(dims) + 2) + b"\x0a" + number(len(dims)) + dims
                head += b"\x2a" + number(count)
                blobs.append((b"\x3a" + number(len(head) + count) + head, count))
            named = b"\x0a" + number(len(name)) + name.encode()
            size = len(named) + sum(len(head) + count for head, count in blobs)
            file.write(b"\xa2\x06" + number(size) + named)
            for head, count in blobs:
                file.write(head)
                file.write(np.full(count // 4, 0.5, "<f4").tobytes())
