"""Files of PyTorch: read as PyTorch itself reads them, and whatever else they are, refused."""

import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from explainer.fcn.pth import MOST_BYTES, MOST_INSTRUCTIONS, PthError, read_pth

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of old and rare tensors

NUMBERS = torch.arange(60.0)
STATE = {
    "plain": NUMBERS.reshape(3, 4, 5).clone(),
    "turned": NUMBERS.reshape(3, 4, 5).permute(2, 0, 1),
    "part": NUMBERS[7:20],
    "same numbers": NUMBERS[50:],
    "one": torch.tensor(5),
    "empty": torch.empty(0, 3),
    "expanded": torch.ones(1).expand(5),
    "parameter": nn.Parameter(torch.tensor([1.0, -2.0])),
    "module.of a parallel net": torch.tensor([True, False]),
    "half": NUMBERS.half(),
    "bfloat16": NUMBERS.bfloat16(),
    "double": NUMBERS.double(),
    "bytes": NUMBERS.byte(),
}


class Python2:
    """An `OrderedDict` as Python 2 wrote it: with its pairs as an argument."""

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedDict, ([[key, value] for key, value in STATE.items()],)


def training() -> dict[str, Any]:
    """What a script keeps beside the weights."""
    betas = (0.9, 0.999)
    groups = [{"lr": 1e-3, "betas": betas, "params": [k]} for k in range(2)]
    moments = {k: {"step": torch.tensor(1.0), "exp_avg": torch.ones(3)} for k in range(2)}
    return {
        "epoch": 3,
        "optimizer": {"state": moments, "param_groups": groups},
        "scheduler": {"milestones": Counter([3, 5]), "last_epoch": 3},
        "rest": [torch.Size([2]), torch.float32, 2**40, 0.5, None, True, (1, 2)],
        "state_dict": OrderedDict(STATE),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("wrap", [dict, OrderedDict, lambda _: Python2(), lambda _: training()])
def test_as_it_was_saved(zipped, protocol, wrap, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(wrap(STATE), path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = read_pth(path)
    assert list(found) == [key.removeprefix("module.") for key in STATE]
    for tensor, expected in zip(found.values(), STATE.values(), strict=True):
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected)
    if protocol == 2:  # the only one that PyTorch opens with care
        theirs = torch.load(path, weights_only=True)
        theirs = theirs.get("state_dict", theirs)
        assert all(torch.equal(found[key.removeprefix("module.")], theirs[key]) for key in theirs)


def test_a_whole_net_with_versions_of_its_modules(tmp_path):
    state = nn.BatchNorm2d(3).state_dict()
    assert hasattr(state, "_metadata")
    torch.save(state, tmp_path / "x.pth")
    found = read_pth(tmp_path / "x.pth")
    assert {key: value.tolist() for key, value in found.items()} == {
        key: value.tolist() for key, value in state.items()
    }


def test_tensors_with_attributes_and_kinds_without_a_storage_class(tmp_path):
    attributed = torch.ones(2)
    attributed.note = "x"  # pyright: ignore
    parameter = nn.Parameter(torch.ones(3))
    parameter.note = "x"  # pyright: ignore
    state = {"a": attributed, "b": parameter, "c": torch.ones(4).to(torch.float8_e4m3fn)}
    torch.save(state, tmp_path / "x.pth")
    found = read_pth(tmp_path / "x.pth")
    assert {key: value.float().tolist() for key, value in found.items()} == {
        "a": [1.0] * 2,
        "b": [1.0] * 3,
        "c": [1.0] * 4,
    }


def test_the_file_stays_as_it_is(tmp_path):
    torch.save(STATE, tmp_path / "x.pth")
    before = (tmp_path / "x.pth").read_bytes()
    for tensor in read_pth(tmp_path / "x.pth").values():
        tensor.zero_()
    assert (tmp_path / "x.pth").read_bytes() == before


@pytest.mark.parametrize(
    "special",
    [
        lambda: torch.ones(4, 3).to_sparse(),
        lambda: torch.ones(4, 3).to_sparse_csr(),
        lambda: torch.empty(4, 3, device="meta"),
        lambda: torch.quantize_per_tensor(torch.ones(4, 3), 1.0, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.ones(3), torch.ones(4)]),
    ],
)
def test_special_tensors(special: Callable[[], torch.Tensor], tmp_path):
    torch.save({"a": torch.ones(2), "conv1.weight": special()}, tmp_path / "x.pth")
    with pytest.raises(PthError, match=r"conv1\.weight is no plain, dense tensor"):
        read_pth(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_complex_numbers(zipped, tmp_path):
    state = {"a": torch.ones(2, dtype=torch.complex64)}
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(PthError, match=r"ComplexFloatStorage, which no weights|of an unknown kind"):
        read_pth(tmp_path / "x.pth")


# ---------------------------------------------------------------------------------- hostile files


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def tensor(size: int = 4, stride: int = 1, offset: int = 0, key: str = "0", axes: int = 1) -> bytes:
    """The instructions that make a tensor, as `torch.save` writes them."""
    storage = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(4)
    shape = b"(" + number(size) * axes + b"t" + b"(" + number(stride) * axes + b"t"
    rest = b"\x89ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + storage + b"tQ" + number(offset) + shape + rest
    ) + b"tR"


def archive(path: Path, instructions: bytes, **more: bytes) -> Path:
    """A file of PyTorch with one storage of four ones."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", instructions)
        file.writestr("x/version", "3\n")
        file.writestr("x/data/0", struct.pack("<4f", *[1] * 4))
        for name, content in more.items():
            file.writestr(f"x/{name}", content)
    return path


def test_instructions_by_hand(tmp_path):
    path = archive(tmp_path / "x.pth", b"\x80\x02}(" + text("w") + tensor() + b"u.")
    assert read_pth(path)["w"].tolist() == [1.0] * 4


# Read in a process of its own: without care each of these takes minutes, all memory, or the stack.
HOSTILE = {
    "a key that unfolds": b"}()"
    + b"".join(b"q%ch%c\x86" % (k, k) for k in range(40))
    + tensor()
    + b"u.",
    "a function that unfolds": b"]"
    + b"".join(b"q%c]q%c(h%ch%ce" % (k, k + 100, k, k) for k in range(40))
    + b")R.",
    "a deep key": b"})" + b"\x85" * 100_000 + tensor() + b"s.",
    "gigabytes asked for": b"c__builtin__\nbytearray\n" + number(2**40) + b"\x85R.",
    "pairs again and again": b"]q\x00("
    + text("a")
    + text("b")
    + b"\x86q\x01"
    + b"h\x01" * 100_000
    + b"e\x85q\x02ccollections\nOrderedDict\nq\x03"
    + b"h\x03h\x02R" * 100_000
    + b".",
    "a long name again and again": text("torch." + "a" * 2_000_000)
    + b"q\x00"
    + b"h\x00h\x00\x93" * 100_000
    + b".",
    "a list that holds itself": b"]q\x00h\x00a" + b"h\x00a" * 1000 + b".",
}
CHILD = """
import sys
from pathlib import Path
from explainer.fcn.pth import PthError, read_pth
if sys.platform == "linux":
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))
for path in map(Path, sys.argv[1:]):
    try:
        read_pth(path)
    except PthError:
        print(path.name, flush=True)
"""


def test_what_unfolds_is_never_unfolded(tmp_path):
    paths = [
        archive(tmp_path / f"{k}.pth", b"\x80\x02" + instructions)
        for k, instructions in enumerate(HOSTILE.values())
    ]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == [path.name for path in paths], done.stderr


def test_too_many_instructions(tmp_path):
    path = archive(tmp_path / "x.pth", b"\x80\x02](" + b"N" * MOST_INSTRUCTIONS + b"e.")
    with pytest.raises(PthError, match=f"more than {MOST_INSTRUCTIONS} parts"):
        read_pth(path)


@pytest.mark.parametrize("record", ["data.pkl", "data/0"])
def test_a_compressed_archive(record, tmp_path):
    """Its 50 MB of memory could as well be 50 GB."""
    instructions = b"\x80\x02}(" + text("w") + tensor() + b"u."
    padded = instructions + bytes(50_000_000) if record == "data.pkl" else instructions
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
        for name, content in {"data.pkl": padded, "data/0": bytes(16)}.items():
            method = zipfile.ZIP_DEFLATED if name == record else zipfile.ZIP_STORED
            file.writestr(f"x/{name}", content, method)
    assert (tmp_path / "x.pth").stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(PthError, match="compressed or encrypted"):
            read_pth(tmp_path / "x.pth")
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST_BYTES
    finally:
        tracemalloc.stop()


def test_descriptions_that_are_too_long(tmp_path):
    path = archive(tmp_path / "x.pth", b"\x80\x02" + text("a" * MOST_BYTES) + b".")
    with pytest.raises(PthError, match=r"data\.pkl has more than 4 MiB"):
        read_pth(path)
    # The directory, which repeats the names, and which zipfile reads whole.
    with zipfile.ZipFile(path, "w") as file:
        for k in range(80):
            file.writestr(f"{k:060000}", b"")
    with pytest.raises(PthError, match="longer than weights need"):
        read_pth(path)
    path.write_bytes(b"\x80\x02" + text("a" * MOST_BYTES) + b".")
    with pytest.raises(PthError, match="damaged, or cut short"):
        read_pth(path)


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (tensor(size=5), "damaged"),
        (tensor(size=2**40), "damaged"),
        (tensor(size=-4), "damaged"),
        (tensor(stride=-1), "damaged"),
        (tensor(offset=1), "damaged"),
        (tensor(offset=-1), "damaged"),
        (tensor(key="1"), "numbers of its storage 1 are missing"),
        (tensor(key="../../../etc/passwd"), "are missing"),
        (tensor(size=1, axes=9), "more than 8 axes"),
        (tensor()[:-1] + b"\x81", "more than weights"),  # a new object
        (b"cposix\nsystem\n" + text("true") + b"\x85R", r"more than weights \(posix.system\)"),
        (b"R", "damaged"),
    ],
)
def test_tensors_that_are_not_in_the_file(described, words, tmp_path):
    path = archive(tmp_path / "x.pth", b"\x80\x02}(" + text("w") + described + b"u.")
    with pytest.raises(PthError, match=words):
        read_pth(path)


def test_other_archives(tmp_path):
    path = tmp_path / "x.pth"
    with pytest.raises(PthError, match=r"a program \(TorchScript\)"):
        read_pth(archive(path, b"\x80\x02}.", **{"constants.pkl": b""}))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<x/>")
    with pytest.raises(PthError, match=r"none of PyTorch's"):
        read_pth(path)
    other = b"big" if sys.byteorder == "little" else b"little"
    instructions = b"\x80\x02}(" + text("w") + tensor() + b"u."
    with pytest.raises(PthError, match="another order of bytes"):
        read_pth(archive(path, instructions, byteorder=other))
    path.write_bytes(pickle.dumps({"a": 1}, 2))
    with pytest.raises(PthError, match=r"none that torch\.save wrote"):
        read_pth(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_cut_and_changed_files(zipped, tmp_path):
    buffer = io.BytesIO()
    state = OrderedDict(a=torch.ones(2, 3), b=torch.arange(3))
    torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
    data, path = buffer.getvalue(), tmp_path / "x.pth"
    for end in range(0, len(data), 9):
        path.write_bytes(data[:end])
        with pytest.raises(PthError):
            read_pth(path)
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        try:
            found = read_pth(path)
        except PthError:
            continue
        assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())
