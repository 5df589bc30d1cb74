"""Weights from files of other projects, in the names and shapes of `explainer.fcn.published`.

Read are a .caffemodel (`explainer.fcn.caffemodel`), a .pth of PyTorch and .safetensors, told by
content. Nothing in a file is run: of a .pth (`explainer.fcn.pth`) only tensors and what holds them
are understood, and everything else is refused.

Understood are the names of the authors' release, which the PyTorch conversions share, those of
torchvision's VGG16, an ImageNet classifier whose linear layers become convolutions, and those of
its FCN-ResNet50, whose batch norm is folded into the convolutions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from explainer.fcn.caffemodel import CaffemodelError, read_caffemodel
from explainer.fcn.geometry import Upsampling
from explainer.fcn.pth import PthError, read_pth
from explainer.fcn.published import (
    CLASSES,
    DEFINITIONS,
    RESNET,
    SCORES,
    AnyFCN,
    PublishedFCN,
    build,
    initialise,
)
from explainer.fcn.registry import one_line
from explainer.fcn.resnet import FCNResNet50, folded, torchvision_names
from explainer.fcn.weights import WeightsError

Values = Mapping[str, Tensor | NDArray[np.float32]]

TORCHVISION_VGG16 = {
    **{
        f"features.{place}": f"conv{block}_{conv}"
        for block, places in enumerate(
            ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)), start=1
        )
        for conv, place in enumerate(places, start=1)
    },
    "classifier.0": "fc6",
    "classifier.3": "fc7",
}
"""torchvision's names of the layers of VGG16, and the release's."""

PYTORCH = (".pth", ".pt", ".safetensors")
"""How the names of files end that are told by their first bytes."""

FINAL_UPSCORES = ("upscore", "upscore8", "upscore16")


class Prepared(Enum):
    """What weights expect of the photo."""

    CAFFE = "BGR minus the mean of ImageNet, 0 to 255"
    TORCHVISION = "RGB, 0 to 1, minus the mean and divided by the standard deviation of ImageNet"

    def __call__(self, photos: Tensor) -> Tensor:
        """Photos (N, 3, H, W) uint8 RGB as fp32 for the network."""
        if self is Prepared.CAFFE:
            mean = torch.tensor([104.00698793, 116.66876762, 122.67891434])
            return photos.flip(1).float() - mean.to(photos.device)[:, None, None]
        mean = torch.tensor([0.485, 0.456, 0.406]).to(photos.device)[:, None, None]
        deviation = torch.tensor([0.229, 0.224, 0.225]).to(photos.device)[:, None, None]
        return (photos.float() / 255 - mean) / deviation


@dataclass(frozen=True)
class Loaded:
    """A network with the weights of a file.

    Attributes:
        network: in evaluation mode, without gradients; trunk in the dtype asked for, score layers
            fp32.
        prepared: what it expects of the photo.
        trained: whether the score layers came from the file. Without, the trunk alone is trained,
            the score layers are random, and the labels mean nothing.
    """

    network: AnyFCN
    prepared: Prepared
    trained: bool

    @property
    def stride(self) -> int | None:
        """Of the output that the score layers were trained for; None where they were not."""
        return self.network.strides[-1] if self.trained else None


def read(path: Path) -> Values:
    """The tensors in a file by name, on disk until they are used.

    Raises:
        WeightsError: no such file, or none that holds weights.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from None
    try:
        if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
            raise WeightsError(
                "it is a web page: what was saved is not the file but a page about it"
            )
        if head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[1:2] <= b"\x05"):
            return read_pth(path)
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
            return load_file(path)
        return {
            f"{layer}.{part}": blob
            for layer, blobs in read_caffemodel(path).items()
            for part, blob in zip(("weight", "bias"), blobs, strict=False)
        }
    except CaffemodelError as error:
        reason = one_line(str(error))
        if size and path.suffix in PYTORCH:
            reason = (
                f"its content is no {path.suffix} file's: it must be one that PyTorch or "
                "safetensors wrote, or a .caffemodel"
            )
        raise WeightsError(f"{path.name} cannot be used: {reason}") from None
    except (WeightsError, PthError) as error:
        raise WeightsError(f"{path.name} cannot be used: {one_line(str(error))}") from None
    except Exception as error:
        # safetensors and the system each raise errors of their own for a damaged file.
        reason = one_line(str(error)) or type(error).__name__
        raise WeightsError(f"{path.name} is damaged, or cut short ({reason})") from None


def load(path: Path, name: str = "fcn-vgg16", dtype: torch.dtype = torch.float32) -> Loaded:
    """A network with a file's weights: with the score layers that the file has.

    Args:
        path: of the file.
        name: of the network.
        dtype: of the trunk.

    Raises:
        WeightsError: no such file, damaged, or of another network.
    """
    values = read(path)
    if name == RESNET:
        return _resnet(path, values, dtype)
    definition = DEFINITIONS[name]
    prepared = Prepared.CAFFE
    if "features.0.weight" in values:
        prepared = Prepared.TORCHVISION
        values = _renamed(values)
    strides = tuple(s for s in definition.taps if f"{SCORES[s]}.weight" in values)
    trained = bool(strides)
    try:
        if trained and strides != tuple(definition.taps)[: len(strides)]:
            raise WeightsError("a finer score layer is there without the coarser ones")
        with torch.device("meta"):
            network = PublishedFCN(name, strides or None)
        scores = {SCORES[stride] for stride in network.strides}
        state: dict[str, Tensor] = {}
        for key, wanted in network.state_dict().items():
            if key.split(".")[0] not in scores:
                state[key] = _fitting(values, key, tuple(wanted.shape)).to(dtype)
            elif trained:
                state[key] = _fitting(values, key, tuple(wanted.shape))
        learned = _learned(values, network) if trained else {}
        _fold_scales(values, state)
    except WeightsError as error:
        raise WeightsError(
            f"{path.name} does not hold the weights of {definition.title}: {error}"
        ) from None
    network.load_state_dict(state, assign=True, strict=trained)
    for key, weight in learned.items():
        network.learned[key] = nn.Parameter(weight)
    if not trained:
        for layer in map(network.score_layer, network.strides):
            initialise(layer.to_empty(device="cpu"))
    return Loaded(_ready(network), prepared, trained)


def untrained(
    name: str = "fcn-vgg16",
    strides: tuple[int, ...] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Loaded:
    """A network with random weights, to see shapes and times."""
    network = build(name, strides)
    initialise(network)
    network.to(dtype)
    for stride in network.strides:
        network.score_layer(stride).float()
    prepared = Prepared.TORCHVISION if name == RESNET else Prepared.CAFFE
    return Loaded(_ready(network), prepared, False)


def _ready(network: AnyFCN) -> AnyFCN:
    return network.eval().requires_grad_(False)


def _resnet(path: Path, values: Values, dtype: torch.dtype) -> Loaded:
    """torchvision's FCN-ResNet50; the auxiliary classifier, used in training only, is left out.

    Raises:
        WeightsError: the file holds something else.
    """
    with torch.device("meta"):
        network = FCNResNet50()
    state: dict[str, Tensor] = {}
    try:
        for layer, (source, norm) in torchvision_names(network).items():
            module = network.get_submodule(layer)
            assert isinstance(module, nn.Conv2d)
            weight = _fitting(values, f"{source}.weight", tuple(module.weight.shape))
            outputs = (len(weight),)
            if norm is None:
                bias = _fitting(values, f"{source}.bias", outputs)
            else:
                parts = ("weight", "bias", "running_mean", "running_var")
                read_norm = {part: _fitting(values, f"{norm}.{part}", outputs) for part in parts}
                if (read_norm["running_var"] < 0).any():
                    raise WeightsError(f"{norm}.running_var has negative numbers")
                weight, bias = folded(weight, read_norm)
            kept = torch.float32 if layer == "score" else dtype
            state |= {f"{layer}.weight": weight.to(kept), f"{layer}.bias": bias.to(kept)}
    except WeightsError as error:
        raise WeightsError(
            f"{path.name} does not hold the weights of FCN-ResNet50: {error}"
        ) from None
    network.load_state_dict(state, assign=True)
    return Loaded(_ready(network), Prepared.TORCHVISION, True)


def _renamed(values: Values) -> dict[str, Tensor | NDArray[np.float32]]:
    """torchvision's VGG16 in the names of the release; its last layer is left out."""
    return {
        f"{TORCHVISION_VGG16[layer]}.{part}": value
        for layer, part, value in (
            (*name.rpartition(".")[::2], value) for name, value in values.items()
        )
        if layer in TORCHVISION_VGG16
    }


def _fitting(values: Values, key: str, shape: tuple[int, ...]) -> Tensor:
    """A file's tensor in the shape wanted, fp32, checked.

    Linear layers (outputs, inputs) become convolutions; Caffe's oldest files have four axes
    everywhere, the first of them 1.

    Raises:
        WeightsError: it is missing, of another shape, or has infinite or undefined numbers.
    """
    if key not in values:
        raise WeightsError(f"{key} is missing")
    given = tuple(values[key].shape)
    plain = given
    while len(plain) > 1 and plain[0] == 1 != shape[0]:
        plain = plain[1:]
    linear = len(plain) == 2 and plain == (shape[0], int(np.prod(shape[1:])))
    if plain != shape and not linear:
        raise WeightsError(f"{key} has shape {given}, not {shape}")
    tensor = _tensor(values[key]).reshape(shape)
    # Not isfinite(): its copies would double the memory that the largest layer needs.
    if not all(bound.isfinite() for bound in tensor.aminmax()):
        raise WeightsError(f"{key} has infinite or undefined numbers")
    return tensor


def _tensor(value: Tensor | NDArray[np.float32]) -> Tensor:
    """A copy in memory, fp32."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value, np.float32))
    return value.to(torch.float32, copy=True)


def _fold_scales(values: Values, state: dict[str, Tensor]) -> None:
    """The at-once net scales pool4 and pool3 before their score layers: W(s·x) = (W·s)x."""
    for stride, name in SCORES.items():
        key = f"scale_{name.removeprefix('score_')}.weight"
        weight = f"{name}.weight"
        if stride != 32 and weight in state and key in values:
            state[weight] *= _fitting(values, key, (state[weight].shape[1],))[:, None, None]


def _learned(values: Values, network: PublishedFCN) -> dict[str, Tensor]:
    """The file's upsampling weights that are not the fixed bilinear ones, dense, by name."""
    found: dict[str, Tensor] = {}
    sizes = network.upsampling_kernels()
    for key in values:
        name, _, part = key.rpartition(".")
        if not name.startswith("upscore") or part != "weight":
            continue
        ours = "upscore" if name in FINAL_UPSCORES else name
        if ours not in sizes:
            raise WeightsError(f"it has an upsampling that the network has not, {name}")
        size = sizes[ours]
        if tuple(values[key].shape) == (CLASSES, 1, size, size):
            weight = torch.zeros(CLASSES, CLASSES, size, size)
            each = torch.arange(CLASSES)
            weight[each, each] = _fitting(values, key, (CLASSES, 1, size, size))[:, 0]
        else:
            weight = _fitting(values, key, (CLASSES, CLASSES, size, size))
        if not bilinear_on_the_diagonal(weight):
            found[ours] = weight
    return found


def bilinear_on_the_diagonal(weight: Tensor) -> bool:
    """Whether dense weights (C, C, k, k) interpolate every class bilinearly and mix none.

    Such a layer is the depthwise one with one tent for all classes, at C times its work.
    """
    size = weight.shape[-1]
    tent = Upsampling(size, (size + 1) // 2, 0).tent(weight.device)
    fixed = torch.zeros_like(weight)
    classes = torch.arange(len(weight))
    fixed[classes, classes] = torch.outer(tent, tent)
    return torch.allclose(weight, fixed, rtol=0, atol=1e-6)
