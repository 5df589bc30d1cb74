"""What the viewer needs of a result, small enough to send to the browser with every new photo."""

import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explainer.fcn.render import jpeg
from explainer.fcn.result import Run
from explainer.fcn.voc import PALETTE


def payload(run: Run, pixels: NDArray[np.uint8]) -> bytes:
    """A photo and its segmentations as one block of bytes.

    The label maps and the lattices' own labels are exact. The scores are those of each output on
    its own lattice, the coarser strides' already added, rounded to multiples of `scale` (so wrong
    by at most scale/2). From them to the pixel is one bilinear interpolation, whatever the kernels
    before: the browser does it for any pixel, which gives every class's probability without asking
    the server.

    Streamlit sends bytes as they are; in JSON the same would need base64 and be written and read
    twice, which took longer than all the rest of the page.

    Args:
        run: the outputs for the photo.
        pixels: the photo at the size that was segmented, shape (height, width, 3), RGB.

    Returns:
        The length of a header (4 bytes, little-endian), the header (JSON), then the arrays. The
        header has `id` (of everything in it and after it), `photo` (id, height, width, jpeg),
        `classes` (name and colour by class index), `heads` (for each output, coarse to fine:
        `stride`, `name`, `labels`, and `cells` with where they sit, their labels and scores) and
        `legend` (class and its share under each head, largest share under the finest first,
        background last). It names an array by its first byte after the header and its
        length in bytes. Score maps are little-endian int16, label maps runs (see `runs_of`), all
        row-major.

    Raises:
        ValueError: pixels are not uint8 of shape (run.height, run.width, 3).
    """
    expected = (run.height, run.width, 3)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"pixels must be uint8 of shape {expected}, the photo as it was segmented, "
            f"not {pixels.dtype} of shape {pixels.shape}"
        )
    arrays = _Arrays()
    runs = {stride: runs_of(run.results[stride].labels[stride]) for stride in run.outputs}
    header = {
        "photo": {
            "id": f"{run.width}x{run.height}-{zlib.crc32(pixels.tobytes()):08x}",
            "height": run.height,
            "width": run.width,
            "jpeg": arrays.add(jpeg(pixels)),
        },
        "classes": [
            {"name": name, "color": PALETTE[index].tolist()}
            for index, name in enumerate(run.classes)
        ],
        "heads": [_head(run, stride, runs[stride], arrays) for stride in run.outputs],
        "legend": _legend(runs, len(run.classes)),
    }
    body = b"".join(arrays.parts)
    everything = zlib.crc32(body, zlib.crc32(json.dumps(header).encode()))
    text = json.dumps({"id": f"{everything:08x}", **header}).encode()
    return struct.pack("<I", len(text)) + text + body


class _Arrays:
    """Arrays one behind the other."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._length = 0

    def add(self, data: bytes) -> list[int]:
        """Append; where it begins, and its length."""
        place = [self._length, len(data)]
        self.parts.append(data)
        self._length += len(data)
        return place


Runs = tuple[NDArray[np.uint32], NDArray[np.uint8]]


def runs_of(labels: NDArray[np.uint8]) -> Runs:
    """A label map as runs of one label, row after row: where each ends, and its label.

    Outlines are short, so that this is smaller than what zlib makes of a map, and ten times faster.
    """
    flat = np.ascontiguousarray(labels, np.uint8).ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    return ends.astype(np.uint32), flat[ends - 1]


def _packed(runs: Runs) -> bytes:
    """All ends, 4 bytes each, then all labels."""
    ends, labels = runs
    return ends.astype("<u4").tobytes() + labels.tobytes()


def _head(run: Run, stride: int, runs: Runs, arrays: _Arrays) -> dict[str, Any]:
    total = run.results[stride].sums[stride]
    scale = float(np.abs(total.values).max()) / 32767 or 1.0
    winners = total.values.argmax(0).astype(np.uint8)
    _, rows, cols = total.values.shape
    return {
        "stride": stride,
        "name": run.name(stride),
        "labels": arrays.add(_packed(runs)),
        "cells": {
            "stride": total.lattice.stride,
            "first": total.lattice.first,
            "fades": total.fades,
            "rows": rows,
            "cols": cols,
            "labels": arrays.add(_packed(runs_of(winners))),
            "scale": scale,
            "values": arrays.add(np.rint(total.values / scale).astype("<i2").tobytes()),
        },
    }


def _legend(runs: dict[int, Runs], classes: int) -> list[dict[str, Any]]:
    shares = {}
    for stride, (ends, labels) in runs.items():
        counts = np.bincount(labels, np.diff(ends, prepend=0), minlength=classes)
        shares[stride] = counts / ends[-1]
    found = np.flatnonzero(sum(shares.values())).tolist()
    rows = [
        {"index": index, "shares": [float(shares[stride][index]) for stride in runs]}
        for index in found
    ]
    return sorted(rows, key=lambda row: (row["index"] == 0, -row["shares"][-1], row["index"]))
