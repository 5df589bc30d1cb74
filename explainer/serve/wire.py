"""A photo and its answer as bytes. Safetensors both ways: reading them never runs anything.

What is not a tensor stands as JSON in one of them, `about`. Sizes, types and shapes are checked on
both sides, so that a wrong message ends in one sentence and not somewhere in the network.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load, save

from explainer.fcn.engine import Answer
from explainer.fcn.geometry import Lattice, padded_size
from explainer.fcn.result import ScoreMap, Segmentation

Photo = NDArray[np.uint8]
T = TypeVar("T")

MAX_SIDE = 1024
"""Pixels of the longest side of a photo that is served."""

PHOTO_BYTES = 3 * MAX_SIDE**2 + 2**12
"""A message with a photo is at most so long."""

ANSWER_BYTES = 16 * 2**20
"""A message with an answer is at most so long. Three maps of labels, the scores of 21 classes at
strides 32, 16 and 8, and a smaller photo take less than 6 MB."""


class WireError(ValueError):
    """The message cannot be used; it says why."""


def write_photo(photo: Photo, weights: str) -> bytes:
    """A photo, (H, W, 3) uint8, to be segmented with the weights of that sha256."""
    return _write({"photo": photo}, {"weights": weights})


def read_photo(message: bytes) -> tuple[Photo, str]:
    """The photo, and the sha256 of the weights that are to segment it.

    Raises:
        WireError: it holds no photo that is served.
    """

    def read(arrays: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> tuple[Photo, str]:
        photo = arrays["photo"]
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise WireError(f"a photo is (height, width, 3) uint8, not {photo.shape} {photo.dtype}")
        if not 1 <= min(photo.shape[:2]) <= max(photo.shape[:2]) <= MAX_SIDE:
            raise WireError(
                f"a photo has 1 to {MAX_SIDE} pixels a side, not {photo.shape[1]}×{photo.shape[0]}"
            )
        return photo, str(about["weights"])

    return _read(message, PHOTO_BYTES, read)


def write_answer(answer: Answer) -> bytes:
    """An answer of the engine: labels, scores, and the photo if the network saw a smaller one."""
    result = answer.result
    arrays: dict[str, NDArray[Any]] = {}
    for stride, scores in result.scores.items():
        arrays[f"scores.{stride}"] = scores.values
        arrays[f"labels.{stride}"] = result.labels[stride]
    if answer.pixels is not None:
        arrays["pixels"] = answer.pixels
    about = {
        "classes": result.classes,
        "first": {stride: scores.lattice.first for stride, scores in result.scores.items()},
        "timings": dict(result.timings),
        "device": result.device,
        "notes": answer.notes,
    }
    return _write(arrays, about)


def read_answer(message: bytes, photo: Photo) -> Answer:
    """The answer for a photo.

    Raises:
        WireError: it is none, or one for another photo.
    """

    def read(arrays: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> Answer:
        pixels = arrays.get("pixels")
        if pixels is not None and not (
            pixels.dtype == np.uint8
            and pixels.ndim == 3
            and pixels.shape[2] == 3
            and min(pixels.shape) >= 1
            and all(small <= large for small, large in zip(pixels.shape, photo.shape, strict=True))
        ):
            raise WireError(f"the photo shrunk to {pixels.shape} {pixels.dtype}")
        height, width = (photo if pixels is None else pixels).shape[:2]
        classes = tuple(str(name) for name in about["classes"])
        scores, labels = {}, {}
        for key, first in about["first"].items():
            stride = int(key)
            cells = tuple((padded_size(side) - 1) // stride + 1 for side in (height, width))
            values, found = arrays[f"scores.{stride}"], arrays[f"labels.{stride}"]
            _expect(values, np.float32, (len(classes), *cells))
            _expect(found, np.uint8, (height, width))
            if not np.isfinite(values).all() or found.max() >= len(classes):
                raise WireError("scores that are no numbers, or labels of no class")
            scores[stride] = ScoreMap(values, Lattice(stride, _finite(first)))
            labels[stride] = found
        if not scores:
            raise WireError("it has no scores")
        device = re.fullmatch(r"[a-z]+(:\d+)?", about["device"])
        if device is None:
            raise WireError("it does not say on which device it was computed")
        timings = {str(stage): _finite(seconds) for stage, seconds in about["timings"].items()}
        result = Segmentation(height, width, classes, scores, labels, timings, device[0])
        return Answer(result, pixels, tuple(str(note) for note in about["notes"]))

    return _read(message, ANSWER_BYTES, read)


def _write(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> bytes:
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    # Safetensors writes the memory as it lies, whatever the strides are.
    return save({"about": text, **{k: np.ascontiguousarray(v) for k, v in arrays.items()}})


def _read(
    message: bytes,
    limit: int,
    read: Callable[[Mapping[str, NDArray[Any]], dict[str, Any]], T],
) -> T:
    if len(message) > limit:
        raise WireError(f"the message is longer than {limit} bytes")
    try:
        # Copies: PyTorch wants arrays that it could write to.
        arrays = {name: np.array(array) for name, array in load(message).items()}
        return read(arrays, json.loads(arrays["about"].tobytes()))
    except WireError:
        raise
    except safetensors.SafetensorError as error:
        raise WireError(f"the message is not safetensors ({error})") from None
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise WireError(f"the message lacks something ({type(error).__name__}: {error})") from None
    except RecursionError:
        raise WireError("the message is nested too deeply") from None


def _expect(array: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise WireError(
            f"an array is {array.shape} {array.dtype}, not {shape} {np.dtype(dtype).name}"
        )


def _finite(number: Any) -> float:
    if not math.isfinite(number):
        raise WireError(f"{number} is not a finite number")
    return float(number)
