"""Networks of the paper that are thin enough to compute with, and files of weights to read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from torch import Tensor

from explainer.fcn import published
from explainer.fcn.published import DEFINITIONS, PublishedFCN, initialise, vgg16
from explainer.fcn.registry import CHECKPOINTS

WIDTHS, HIDDEN = (2, 3, 4, 5, 6), 7


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """FCN-VGG16 with the names, kernels and strides of the real one, and a few channels."""
    definition = replace(
        DEFINITIONS["fcn-vgg16"],
        build=lambda: vgg16(WIDTHS, HIDDEN),
        taps={32: ("fc7", HIDDEN), 16: ("pool4", WIDTHS[3]), 8: ("pool3", WIDTHS[2])},
    )
    monkeypatch.setitem(published.DEFINITIONS, "fcn-vgg16", definition)  # pyright: ignore


@pytest.fixture
def unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic weights cannot have the checksums of the real ones."""
    for key, checkpoint in list(CHECKPOINTS.items()):
        files = tuple(replace(file, checksums=()) for file in checkpoint.files)
        monkeypatch.setitem(CHECKPOINTS, key, replace(checkpoint, files=files))  # pyright: ignore


def tent(size: int) -> Tensor:
    """The release's bilinear kernel, as its net surgery fills it in."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    away = 1 - abs(np.arange(size) - centre) / factor
    return torch.from_numpy(np.outer(away, away)).float()


def dense(size: int, classes: int = 21) -> Tensor:
    """Upsampling weights (classes, classes, size, size) as the release has them."""
    weight = torch.zeros(classes, classes, size, size)
    weight[range(classes), range(classes)] = tent(size)
    return weight


FINAL = {32: ("upscore", 64), 16: ("upscore16", 32), 8: ("upscore8", 16)}


def release(stride: int = 8, seed: int = 0, name: str = "fcn-vgg16") -> dict[str, Tensor]:
    """Random weights of a network as it was released, upsampling included, by the names there."""
    strides = tuple(s for s in (32, 16, 8) if s >= stride)
    network = PublishedFCN(name, strides)
    initialise(network, seed)
    generator = torch.Generator().manual_seed(seed)
    found = {
        key: torch.randn(value.shape, generator=generator) / 10 if key.endswith("bias") else value
        for key, value in network.state_dict().items()
    }
    if stride <= 16:
        found["upscore2.weight"] = dense(4)
    if stride <= 8:
        found["upscore_pool4.weight"] = dense(4)
    final, size = FINAL[stride]
    found[f"{final}.weight"] = dense(63 if name == "fcn-alexnet" else size)
    return found


# Caffe's messages, by protobuf itself: an oracle that shares nothing with the reader.


def _messages() -> dict[str, type]:
    file = descriptor_pb2.FileDescriptorProto(
        name="caffe_test.proto", package="caffe", syntax="proto2"
    )
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(called: str, /, **fields: tuple[int, int, bool, str]) -> None:
        described = file.message_type.add(name=called)
        for field, (number, kind, repeated, typename) in fields.items():
            added = described.field.add(
                name=field,
                number=number,
                type=kind,  # pyright: ignore
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
            )
            if typename:
                added.type_name = f".caffe.{typename}"
            if repeated and kind in (kinds.TYPE_FLOAT, kinds.TYPE_INT64, kinds.TYPE_DOUBLE):
                added.options.packed = True

    message("BlobShape", dim=(1, kinds.TYPE_INT64, True, ""))
    message(
        "BlobProto",
        num=(1, kinds.TYPE_INT32, False, ""),
        channels=(2, kinds.TYPE_INT32, False, ""),
        height=(3, kinds.TYPE_INT32, False, ""),
        width=(4, kinds.TYPE_INT32, False, ""),
        data=(5, kinds.TYPE_FLOAT, True, ""),
        diff=(6, kinds.TYPE_FLOAT, True, ""),
        shape=(7, kinds.TYPE_MESSAGE, False, "BlobShape"),
        double_data=(8, kinds.TYPE_DOUBLE, True, ""),
    )
    message(
        "LayerParameter",
        name=(1, kinds.TYPE_STRING, False, ""),
        type=(2, kinds.TYPE_STRING, False, ""),
        bottom=(3, kinds.TYPE_STRING, True, ""),
        loss_weight=(5, kinds.TYPE_FLOAT, True, ""),
        blobs=(7, kinds.TYPE_MESSAGE, True, "BlobProto"),
        phase=(10, kinds.TYPE_INT32, False, ""),
    )
    message(
        "V1LayerParameter",
        bottom=(2, kinds.TYPE_STRING, True, ""),
        name=(4, kinds.TYPE_STRING, False, ""),
        type=(5, kinds.TYPE_INT32, False, ""),
        blobs=(6, kinds.TYPE_MESSAGE, True, "BlobProto"),
        blobs_lr=(7, kinds.TYPE_FLOAT, True, ""),
    )
    message(
        "NetParameter",
        name=(1, kinds.TYPE_STRING, False, ""),
        layers=(2, kinds.TYPE_MESSAGE, True, "V1LayerParameter"),
        force_backward=(5, kinds.TYPE_BOOL, False, ""),
        layer=(100, kinds.TYPE_MESSAGE, True, "LayerParameter"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore
    return message_factory.GetMessageClassesForFiles([file.name], pool)


MESSAGES = _messages()


def caffemodel(
    layers: dict[str, tuple[np.ndarray, ...]], *, v1: bool = False, old_shape: bool = False
) -> bytes:
    """A .caffemodel with these blobs, and all the other things that such files have."""
    net = MESSAGES["caffe.NetParameter"](name="net", force_backward=True)
    for name, blobs in layers.items():
        layer = net.layers.add() if v1 else net.layer.add()
        layer.name = name
        layer.bottom.append("data")
        layer.type = 4 if v1 else "Convolution"
        if v1:
            layer.blobs_lr.extend([1, 2])
        else:
            layer.phase, layer.loss_weight[:] = 1, [0.5]
        for array in blobs:
            blob = layer.blobs.add()
            blob.data.extend(array.ravel().tolist())
            if old_shape:
                axes = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = axes
            else:
                blob.shape.dim.extend(array.shape)
    return net.SerializeToString()


def as_caffemodel(state: dict[str, Tensor], **options: bool) -> bytes:
    """A state dict of PyTorch as a .caffemodel."""
    layers: dict[str, tuple[np.ndarray, ...]] = {"relu": ()}
    for key, value in state.items():
        name = key.rpartition(".")[0]
        layers[name] = (*layers.get(name, ()), value.numpy())
    return caffemodel(layers, **options)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Writes bytes to a file of that name."""

    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
