"""Reads the weights of a .caffemodel, without Caffe.

The file is one protobuf message, `NetParameter` of Caffe's caffe.proto. Of its hundreds of fields
a few carry weights: field 100 (`layer`: name 1, blobs 7) or, in older files, field 2 (`layers`:
name 4, blobs 6). A blob's numbers are field 5 (packed floats), its shape field 7, in older files
the fields 1 to 4. Everything else is skipped. Nothing in the file is run, the numbers stay on disk
until they are used, and whatever a file claims, reading it takes time and memory in proportion to
its true size at most.
"""

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Blobs = Mapping[str, tuple[NDArray[np.float32], ...]]

MOST_BYTES = 2**31
"""Larger messages protobuf itself does not allow."""

MOST_LAYERS = 2000
MOST_BLOBS = 16
MOST_AXES = 8
MOST_NAME = 256
MOST_FIELDS = 100_000
"""Fields of all messages. Packed floats are one field; a net has some thousands."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


class CaffemodelError(ValueError):
    """The file is no .caffemodel that can be read; the message says why."""


def read_caffemodel(path: Path) -> Blobs:
    """The blobs of every layer that has some, by the layer's name.

    For a convolution these are the weights (outputs, inputs / groups, rows, columns) and the
    biases. The arrays are views of the file on disk: copy what is kept, and keep the file.

    Raises:
        CaffemodelError: it is empty, cut short, or no such file.
        OSError: it cannot be opened.
    """
    size = path.stat().st_size
    if size == 0:
        raise CaffemodelError("the file is empty")
    if size > MOST_BYTES:
        raise CaffemodelError("the file is larger than a .caffemodel can be, 2 GiB")
    reader = _Reader(np.memmap(path, np.uint8, "r").view(np.ndarray))
    found: dict[str, tuple[NDArray[np.float32], ...]] = {}
    for number, kind, value in reader.fields(0, size):
        if number not in (100, 2) or kind != _BYTES:
            continue
        name, blobs = reader.layer(*value, *((1, 7) if number == 100 else (4, 6)))
        if not blobs:
            continue
        if name in found:
            raise CaffemodelError(f"two layers are called {name!r}")
        if len(found) == MOST_LAYERS:
            raise CaffemodelError(f"it has more than {MOST_LAYERS} layers with weights")
        found[name] = blobs
    if not found:
        raise CaffemodelError("there is no layer with weights in it")
    return found


class _Reader:
    """The messages in a file, bounded."""

    def __init__(self, data: NDArray[np.uint8]):
        self.data = data
        self.left = MOST_FIELDS

    def layer(
        self, start: int, end: int, name_field: int, blobs_field: int
    ) -> tuple[str, tuple[NDArray[np.float32], ...]]:
        name = ""
        blobs = []
        for number, kind, value in self.fields(start, end):
            if kind != _BYTES:
                continue
            if number == name_field:
                name = self.text(*value)
            elif number == blobs_field:
                if len(blobs) == MOST_BLOBS:
                    raise CaffemodelError(f"layer {name!r} has more than {MOST_BLOBS} blobs")
                blobs.append(self.blob(*value))
        return name, tuple(blobs)

    def text(self, start: int, end: int) -> str:
        if end - start > MOST_NAME:
            raise CaffemodelError("the name of a layer is too long")
        try:
            return self.data[start:end].tobytes().decode()
        except UnicodeDecodeError:
            raise CaffemodelError("the name of a layer is no text") from None

    def blob(self, start: int, end: int) -> NDArray[np.float32]:
        numbers: NDArray[np.float32] | None = None
        shape: list[int] | None = None
        old_shape = [1, 1, 1, 1]
        is_old = False
        for number, kind, value in self.fields(start, end):
            if number == 5 and kind == _BYTES and numbers is None:
                first, last = value
                if (last - first) % 4:
                    raise CaffemodelError("the numbers of a blob are cut")
                numbers = self.data[first:last].view("<f4")
            elif number in (5, 8):
                raise CaffemodelError("the numbers of a blob are not one run of single precision")
            elif number == 7 and kind == _BYTES:
                shape = self.shape(*value)
            elif number in (1, 2, 3, 4) and kind == _VARINT:
                old_shape[number - 1] = value[0]
                is_old = True
        if numbers is None:
            raise CaffemodelError("a blob has no numbers")
        if shape is None:
            shape = old_shape if is_old else [numbers.size]
        if any(size >= 2**63 for size in shape):
            raise CaffemodelError("a blob has a negative size")
        if prod(shape) != numbers.size:
            raise CaffemodelError(f"a blob of shape {shape} has {numbers.size} numbers")
        return numbers.reshape(shape)

    def shape(self, start: int, end: int) -> list[int]:
        """The sizes in a `BlobShape`: field 1, packed or one by one."""
        sizes: list[int] = []
        for number, kind, value in self.fields(start, end):
            if number != 1:
                continue
            if kind == _VARINT:
                sizes.append(value[0])
            elif kind == _BYTES:
                place, last = value
                while place < last and len(sizes) <= MOST_AXES:
                    size, place = self.varint(place, last)
                    sizes.append(size)
            if len(sizes) > MOST_AXES:
                raise CaffemodelError(f"a blob has more than {MOST_AXES} axes")
        return sizes

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """The fields of the message in data[start:end]: number, wire type, and where or what.

        The last is (first, end) of the bytes for those, (value, 0) for numbers of any length, and
        (first, end) for numbers of fixed length.
        """
        place = start
        while place < end:
            self.left -= 1
            if self.left < 0:
                raise CaffemodelError(f"it has more than {MOST_FIELDS} fields")
            tag, place = self.varint(place, end)
            number, kind = tag >> 3, tag & 7
            if number == 0:
                raise CaffemodelError("it is no protobuf message")
            if kind == _VARINT:
                value, place = self.varint(place, end)
                yield number, kind, (value, 0)
                continue
            if kind == _BYTES:
                length, place = self.varint(place, end)
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                length = 8 if kind == _EIGHT_BYTES else 4
            else:
                raise CaffemodelError("it is no protobuf message")
            if length > end - place:
                raise CaffemodelError("it ends too early: the file is cut short, or no .caffemodel")
            yield number, kind, (place, place + length)
            place += length

    def varint(self, place: int, end: int) -> tuple[int, int]:
        """A number of seven bits a byte, lowest first, at most 64 in all; and where it ends."""
        value = 0
        for shift in range(0, 70, 7):
            if place == end:
                raise CaffemodelError("it ends too early: the file is cut short, or no .caffemodel")
            byte = int(self.data[place])
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, place
        raise CaffemodelError("it is no protobuf message")
