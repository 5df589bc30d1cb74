"""What the viewer needs of a result, small enough to send to the browser with every new photo."""

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn.geometry import Lattice
from explainer.fcn.result import STRIDES, ScoreMap, Segmentation
from explainer.fcn.voc import PALETTE

JPEG_QUALITY = 90


def payload(result: Segmentation, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """A photo and its segmentation as plain JSON values.

    The label maps and the lattices' own labels are exact. The scores are what each stride adds,
    rounded to multiples of `scale` (so wrong by at most scale/2): the browser interpolates and
    sums them for any pixel, which gives every class's probability without asking the server.

    Args:
        result: the segmentation of the photo.
        pixels: the photo at the size that was segmented, shape (height, width, 3), RGB.

    Returns:
        `photo` (id, height, width, jpeg), `classes` (name and colour by class index), `heads` (for
        strides 32, 16, 8: `labels`, `cells`, `added`) and `legend` (class and its share under each
        head, largest share under FCN-8s first, background last). Arrays are row-major, compressed
        by zlib and written in base64.

    Raises:
        ValueError: pixels are not uint8 of shape (result.height, result.width, 3).
    """
    expected = (result.height, result.width, 3)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"pixels must be uint8 of shape {expected}, the photo as it was segmented, "
            f"not {pixels.dtype} of shape {pixels.shape}"
        )
    return {
        "photo": {
            "id": f"{result.width}x{result.height}-{zlib.crc32(pixels.tobytes()):08x}",
            "height": result.height,
            "width": result.width,
            "jpeg": _jpeg(pixels),
        },
        "classes": [
            {"name": name, "color": PALETTE[index].tolist()}
            for index, name in enumerate(result.classes)
        ],
        "heads": [_head(result, stride) for stride in STRIDES],
        "legend": _legend(result),
    }


def _head(result: Segmentation, stride: int) -> dict[str, Any]:
    total, added = result.sums[stride], result.scores[stride]
    scale = float(np.abs(added.values).max()) / 32767 or 1.0
    return {
        "stride": stride,
        "labels": _pack(result.labels[stride].astype(np.uint8, copy=False)),
        "cells": {
            **_placing(total),
            "labels": _pack(total.values.argmax(0).astype(np.uint8)),
        },
        "added": {
            **_placing(added),
            "scale": scale,
            "values": _pack(np.rint(added.values / scale).astype("<i2")),
        },
    }


def _placing(score_map: ScoreMap) -> dict[str, float]:
    lattice: Lattice = score_map.lattice
    _, rows, cols = score_map.values.shape
    return {"stride": lattice.stride, "first": lattice.first, "rows": rows, "cols": cols}


def _legend(result: Segmentation) -> list[dict[str, Any]]:
    shares = result.shares()
    found = sorted({index for head in shares.values() for index, share in head.items() if share})
    rows = [
        {"index": index, "shares": [shares[stride].get(index, 0.0) for stride in STRIDES]}
        for index in found
    ]
    return sorted(rows, key=lambda row: (row["index"] == 0, -row["shares"][-1], row["index"]))


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return _text(buffer.getvalue())


def _pack(array: NDArray[Any]) -> str:
    # Level 1: a third larger than level 9 at most, and ten times faster.
    return _text(zlib.compress(array.tobytes(), 1))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
