"""Reads the tensors of a .pth of PyTorch, without unpickling it.

`torch.load` with `weights_only=True` runs no code of a file, yet it does what the file says: a few
hundred bytes can make it hash a key that unfolds to 2⁴⁰ parts, and a compressed archive can unfold
to any size. Here the instructions of the pickle (`pickletools` takes them apart) build tuples,
lists and dictionaries of text, nothing is called, and of the rest only tensors are understood. The
numbers stay in the file, mapped into memory. Whatever a file claims, what it takes is bounded.

Two forms are read, as `torch.save` writes them: zip archives (since PyTorch 1.6), and before that
five pickles and the numbers one after the other.
"""

import io
import os
import pickletools
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, UntypedStorage

MOST_BYTES = 4 * 2**20
"""Of a pickle, or of the directory of an archive. They hold names and shapes: some kilobytes."""

MOST_INSTRUCTIONS = 200_000
"""Of the pickles of a file. A tensor takes about 25, also in the state of an optimiser."""

MOST_AXES = 8
MOST_NAME = 200
"""Characters of the name of a function or class."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under these keys training scripts keep the weights, beside the state of the optimiser."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What a file before PyTorch 1.6 begins with."""

STORAGES = {
    f"torch.{name}Storage": dtype
    for name, dtype in {
        "Double": torch.float64,
        "Float": torch.float32,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}

_UTILS = "torch._utils._rebuild_"
_HARMLESS = ("torch.", "collections.", "__builtin__.", "builtins.", "_codecs.")
"""Modules whose names stand beside weights: nothing of them is used."""

_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINSTRING", "BINSTRING",
    "BINUNICODE", "SHORT_BINUNICODE", "NONE",
}  # fmt: skip
_CONSTANTS = {"NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class PthError(ValueError):
    """The file is no .pth that can be read; the message says why."""


@dataclass(frozen=True, eq=False)
class _Name:
    """A function or class that the pickle names; it is not looked up."""

    name: str


@dataclass(frozen=True, eq=False)
class _Other:
    """What a function would have made that is not understood."""

    maker: str


@dataclass(frozen=True, eq=False)
class _Storage:
    kind: str
    key: str
    first: int


@dataclass(frozen=True, eq=False)
class _Described:
    """A tensor whose numbers have not been looked for."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype | None

    def built(self, numbers: Callable[[str], UntypedStorage]) -> Tensor:
        """The tensor, a view of the file; its bounds are checked by PyTorch."""
        if self.dtype is None:
            raise PthError(f"a tensor holds {self.storage.kind}, which no weights are")
        return torch.empty(0, dtype=self.dtype).set_(
            numbers(self.storage.key),  # pyright: ignore
            self.storage.first + self.offset,
            self.size,
            self.stride,
        )


def read_pth(path: Path) -> Mapping[str, Tensor]:
    """The tensors by name, without the "module." of `DataParallel`; views of the file on disk.

    Where the file wraps the weights (`WRAPPERS`), those inside.

    Raises:
        PthError: it holds no tensors by name, special ones (sparse, quantised, nested, complex),
            more than weights, or is compressed, too large, or damaged.
        OSError: it cannot be opened.
    """
    with path.open("rb", buffering=0) as file:
        zipped = file.read(4) == b"PK\x03\x04"
    try:
        return _tensors(path, _archive if zipped else _legacy)
    except PthError:
        raise
    except Exception:
        # The archive, the pickle and the bounds of a tensor each have errors of their own.
        raise PthError("it is damaged, or cut short: get the file again") from None


def _tensors(path: Path, form: Callable[[Path, UntypedStorage], "_Found"]) -> dict[str, Tensor]:
    # A private map: whatever is done to the tensors, the file stays as it is.
    whole = UntypedStorage.from_file(os.fspath(path), False, path.stat().st_size)
    assert isinstance(whole, UntypedStorage)
    found, numbers = form(path, whole)
    if isinstance(found, dict):
        found = next((found[key] for key in WRAPPERS if isinstance(found.get(key), dict)), found)
    tensors: dict[str, Tensor] = {}
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, _Other) and value.maker.startswith("torch."):
            raise PthError(f"{name[:100]} is no plain, dense tensor ({value.maker})")
        if isinstance(value, _Described):
            tensors[name.removeprefix("module.")] = value.built(numbers)
    if not tensors:
        raise PthError("it holds no weights by name")
    return tensors


# ----------------------------------------------------------------------------------- the two forms

_Found = tuple[Any, Callable[[str], UntypedStorage]]


class _Bounded(io.FileIO):
    """A file of which no large piece can be read: `zipfile` trusts an archive's directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        limit = MOST_BYTES + 1
        piece = super().read(limit if size is None or size < 0 else min(size, limit))
        if len(piece) == limit:
            raise PthError("what it says of itself is far longer than weights need")
        return piece


def _archive(path: Path, whole: UntypedStorage) -> _Found:
    """What a zip archive describes, and the numbers of its storages by key."""
    with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
        folders = [name[: -len("data.pkl")] for name in records if name.endswith("/data.pkl")]
        if len(folders) != 1:
            raise PthError("the archive is none of PyTorch's: it has no data.pkl, or several")
        folder = folders[0]
        if f"{folder}constants.pkl" in records:
            raise PthError("it is a program (TorchScript): save its state_dict() instead")

        def stored(name: str) -> zipfile.ZipInfo:
            record = records.get(folder + name)
            if record is None:
                raise PthError(f"its part {name[:100]} is missing")
            if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
                raise PthError(
                    "it is compressed or encrypted, which PyTorch's files are not: save the "
                    "weights again with torch.save"
                )
            return record

        def content(name: str) -> bytes:
            record = stored(name)
            if max(record.file_size, record.compress_size) > MOST_BYTES:
                raise PthError(f"its {name} has more than {MOST_BYTES >> 20} MiB")
            return archive.read(record)

        if f"{folder}byteorder" in records and content("byteorder").decode() != sys.byteorder:
            raise PthError("it was written on a machine with another order of bytes")
        described = _Pickle(io.BytesIO(content("data.pkl")))
        found = described.load()

        places: dict[str, tuple[int, int]] = {}
        for key in described.storages:
            record = records.get(f"{folder}data/{key}")
            if record is None:
                continue  # of no tensor that is wanted, perhaps
            stored(f"data/{key}")
            file.seek(record.header_offset)
            # The local header's name and extra field have lengths of their own.
            signature, name, extra = struct.unpack("<4s22xHH", file.read(30))
            if signature != b"PK\x03\x04":
                raise PthError("the archive's directory is wrong")
            start = record.header_offset + 30 + name + extra
            places[key] = start, start + record.file_size
    return found, _slices(whole, places)


def _legacy(path: Path, whole: UntypedStorage) -> _Found:
    """What five pickles in a row describe, and the numbers of the storages by key."""
    with path.open("rb") as source:
        file = io.BytesIO(source.read(MOST_BYTES))
    described = _Pickle(file)
    if described.load() != MAGIC or described.load() != PROTOCOL:
        raise PthError("it is a pickle, but none that torch.save wrote")
    system = described.load()
    if isinstance(system, dict) and system.get("little_endian") is not (sys.byteorder == "little"):
        raise PthError("it was written on a machine with another order of bytes")
    found, keys = described.load(), described.load()
    if not isinstance(keys, list):
        raise PthError("the list of its storages is missing")
    places: dict[str, tuple[int, int]] = {}
    start, size = file.tell(), whole.nbytes()
    for key in keys:
        dtype = STORAGES.get(described.storages.get(key, "")) if isinstance(key, str) else None
        if dtype is None:
            raise PthError("it has numbers of an unknown kind")
        if start + 8 > size:
            raise PthError("it ends too early: the file is cut short")
        (count,) = struct.unpack("<q", bytes(whole[start : start + 8].tolist()))
        end = start + 8 + count * dtype.itemsize
        if count < 0 or end > size:
            raise PthError("it ends too early: the file is cut short")
        places[key] = start + 8, end
        start = end
    return found, _slices(whole, places)


def _slices(
    whole: UntypedStorage, places: Mapping[str, tuple[int, int]]
) -> Callable[[str], UntypedStorage]:
    def numbers(key: str) -> UntypedStorage:
        if key not in places:
            raise PthError(f"the numbers of its storage {key[:100]} are missing")
        start, end = places[key]
        if end > whole.nbytes():
            raise PthError("it ends too early: the file is cut short")
        return whole[start:end]

    return numbers


# -------------------------------------------------------------------------------------- the pickle


class _Pickle:
    """The pickles in a file, one after the other, of protocol 2 to 5.

    Only text becomes the key of a dictionary, and nothing is compared or printed that could unfold:
    so parts that share parts cost nothing. What is no text as a key holds no weights by name.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.left = MOST_INSTRUCTIONS
        self.storages: dict[str, str] = {}  # the name of the kind, by key

    def load(self) -> Any:
        """The next object.

        Raises:
            PthError: it has instructions that weights do not need, or too many.
            Exception: of any kind where they make no sense.
        """
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        for opcode, argument, _ in pickletools.genops(self.file):
            self.left -= 1
            if self.left < 0:
                raise PthError(f"it has more than {MOST_INSTRUCTIONS} parts")
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        return self.stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif name == "TUPLE":
            items = self._marked()
            self.stack.append(tuple(items))
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._marked()
            self.stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._marked()
            self.stack[-1].update(_by_name(zip(items[::2], items[1::2], strict=True)))
        elif name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            last, module = stack.pop(), stack.pop()
            stack.append(_named(module, last))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack[-1] = self._made(stack[-1].name, arguments)
        elif name == "BINPERSID":
            stack[-1] = self._storage(*stack[-1])
        elif name == "BUILD":
            stack.pop()  # of an OrderedDict of PyTorch: versions of its modules
        elif name not in ("PROTO", "FRAME"):
            raise PthError(f"it holds more than weights ({name})")

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _storage(
        self, word: Any, kind: _Name, key: str, place: Any, count: Any, view: Any = None
    ) -> _Storage:
        if not (isinstance(word, str) and word == "storage" and isinstance(key, str)):
            raise TypeError
        self.storages[key] = kind.name
        return _Storage(kind.name, key, view[1] if view is not None else 0)

    def _made(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What a function that the pickle names would give, for the few that weights need."""
        if name == "torch._tensor._rebuild_from_type_v2":  # a tensor with attributes
            name, arguments = arguments[0].name, arguments[2]
        if name == "collections.OrderedDict":
            # Python 2 gives the pairs, Python 3 sets them one by one.
            pairs = arguments[0] if arguments else ()
            self.left -= len(pairs)
            return _by_name(pairs)
        if name in (f"{_UTILS}tensor", f"{_UTILS}tensor_v2"):
            storage, offset, size, stride, *_ = arguments
            return _described(storage, offset, size, stride, STORAGES.get(storage.kind))
        if name == f"{_UTILS}tensor_v3":
            storage, offset, size, stride, _, _, dtype, *_ = arguments
            dtype = vars(torch).get(dtype.name.removeprefix("torch."))
            return _described(storage, offset, size, stride, dtype)
        if name in (f"{_UTILS}parameter", f"{_UTILS}parameter_with_state"):
            return arguments[0]
        return _Other(name)


def _named(*parts: str) -> _Name:
    # Looked at before they are joined: the same long text may be asked for again and again.
    if sum(map(len, parts)) > MOST_NAME or not ".".join(parts).startswith(_HARMLESS):
        raise PthError(f"it holds more than weights ({'.'.join(part[:50] for part in parts)})")
    return _Name(".".join(parts))


def _by_name(pairs: Any) -> dict[str, Any]:
    return {key: value for key, value in pairs if isinstance(key, str)}


def _described(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], dtype: Any
) -> _Described:
    if len(size) > MOST_AXES:
        raise PthError(f"a tensor has more than {MOST_AXES} axes")
    if not all(type(number) is int for number in (storage.first, offset, *size, *stride)):
        raise TypeError
    plain = isinstance(dtype, torch.dtype) and not dtype.is_complex
    return _Described(storage, offset, size, stride, dtype if plain else None)
