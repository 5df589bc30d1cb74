import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn import full_size, segmenter
from explainer.fcn.__main__ import main
from explainer.fcn.device import choose
from explainer.fcn.render import resize_labels
from explainer.fcn.voc import CLASSES, PALETTE

CAT, PERSON = 8, 15
Output = pytest.CaptureFixture[str]


@dataclass
class Result:
    labels: dict[int, NDArray[np.uint8]]
    height: int
    width: int
    classes: tuple[str, ...] = CLASSES
    device: str = "cpu"


class Stub:
    """A network that finds a cat in the left half, and one pixel of a person."""

    loaded: tuple[object, object]
    seen: list[tuple[int, ...]]
    fails_on: type[BaseException] | None = None

    def __init__(self) -> None:
        type(self).seen = []

    @classmethod
    def load(cls, weights: Path | None = None, device: str | None = None) -> "Stub":
        if weights is not None and not Path(weights).exists():
            raise ValueError(f"no weights at {weights}")
        cls.loaded = weights, device
        return cls()

    def __call__(self, pixels: NDArray[np.uint8]) -> Result:
        if self.fails_on:
            raise self.fails_on("out of luck")
        self.seen.append(pixels.shape)
        height, width = pixels.shape[:2]
        labels = np.zeros((height, width), np.uint8)
        labels[:, : (width + 1) // 2] = CAT
        labels[0, -1] = PERSON
        return Result(dict.fromkeys((32, 16, 8), labels), height, width)


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> type[Stub]:
    monkeypatch.setattr(segmenter, "Segmenter", Stub)
    monkeypatch.setattr(
        full_size, "labels_of_photo", lambda found, s, size: resize_labels(found.labels[s], size)
    )
    monkeypatch.setattr(Stub, "fails_on", None)
    return Stub


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    Image.fromarray(skimage.data.chelsea()).save(path)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_labels_and_panel(cat: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "new" / "out"
    assert run(cat, "--out", out) == 0
    assert names(out) == ["cat.16s.png", "cat.32s.png", "cat.8s.png", "cat.png"]
    for stride in (32, 16, 8):
        image = Image.open(out / f"cat.{stride}s.png")
        assert (image.mode, image.size) == ("P", (451, 300))
        assert image.getpalette() == PALETTE.ravel().tolist()
        assert np.asarray(image)[100, 100] == CAT
    assert Image.open(out / "cat.png").width == 2400
    printed, complained = capsys.readouterr()
    assert complained == ""
    assert re.fullmatch(
        rf"{re.escape(str(cat))}: cat 50\.1 % \(decode \d+ ms, forward \d+ ms, draw \d+ ms; "
        rf"at 451×300\) → {re.escape(str(out / 'cat.png'))}\n",
        printed,
    )


def test_large_photos_are_shrunk_for_the_network_only(tmp_path: Path, stub: type[Stub]) -> None:
    for name, orientation in (("a.jpg", 1), ("b.jpg", 6)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (2000, 1000)).save(tmp_path / name, exif=exif)
    assert run(tmp_path / "a.jpg", tmp_path / "b.jpg", "--out", tmp_path, "--longest", 100) == 0
    assert stub.seen == [(50, 100, 3), (100, 50, 3)]
    assert Image.open(tmp_path / "a.8s.png").size == (2000, 1000)
    assert Image.open(tmp_path / "b.8s.png").size == (1000, 2000)


def test_options_reach_the_network(cat: Path, tmp_path: Path, stub: type[Stub]) -> None:
    assert run(cat, "--out", tmp_path / "out") == 0
    assert stub.loaded == (None, None)
    weights = tmp_path / "other.safetensors"
    weights.touch()
    assert run(cat, "--out", tmp_path / "out", "--device", "cuda", "--weights", weights) == 0
    assert stub.loaded == (weights, "cuda")


def test_opacity_reaches_the_panel(cat: Path, tmp_path: Path) -> None:
    panels = []
    for opacity in (0, 1):
        assert run(cat, "--out", tmp_path / "out", "--opacity", opacity) == 0
        panels.append(np.asarray(Image.open(tmp_path / "out" / "cat.png")))
    clear, full = ((sheet == PALETTE[CAT]).all(2).sum() for sheet in panels)
    assert full > 10_000 > clear


def test_bad_photos_do_not_stop_the_others(cat: Path, tmp_path: Path, capsys: Output) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"<svg></svg>")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(cat.read_bytes()[:5000])
    missing = tmp_path / "missing.jpg"
    out = tmp_path / "out"
    assert run(bad, missing, tmp_path, cut, cat, "--out", out) == 1
    printed, complained = capsys.readouterr()
    assert printed.startswith(f"{cat}: cat")
    lines = complained.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        str(path) for path in (bad, missing, tmp_path, cut)
    ]
    for line, words in zip(lines, ("SVG", "no such file", "folder", "ends before"), strict=True):
        assert line.startswith("error: ")
        assert words in line
    assert names(out) == ["cat.16s.png", "cat.32s.png", "cat.8s.png", "cat.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_photo(tmp_path: Path, capsys: Output) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert run(tmp_path / "pipe", "--out", tmp_path) == 1
    assert "not an ordinary file" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_failing_network(
    cat: Path, tmp_path: Path, capsys: Output, stub: type[Stub], error: type[Exception]
) -> None:
    stub.fails_on = error
    assert run(cat, "--out", tmp_path) == 1
    assert capsys.readouterr().err == f"error: {cat}: could not be segmented (out of luck)\n"


def test_photos_of_the_same_name_are_numbered(tmp_path: Path) -> None:
    paths = []
    for folder, name in (("a", "x.png"), ("b", "X.PNG"), ("c", "x.bmp"), ("d", "x.8s.bmp")):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / name)
        Image.new("RGB", (4 + len(paths), 4)).save(paths[-1])
    out = tmp_path / "out"
    assert run(*paths, "--out", out) == 0
    assert len(names(out)) == 16
    for stem, width in (("x", 5), ("X-2", 6), ("x-3", 7), ("x.8s-2", 8)):
        assert Image.open(out / f"{stem}.32s.png").width == width


def test_given_photos_are_never_replaced(cat: Path, tmp_path: Path, capsys: Output) -> None:
    other = tmp_path / "cat.png"
    Image.new("RGB", (9, 9), "red").save(other)
    before = other.read_bytes(), cat.read_bytes()
    # The panel of cat.jpg would be cat.png; the second cat becomes cat-2 and harms nothing.
    assert run(cat, other, "--out", tmp_path) == 1
    assert (other.read_bytes(), cat.read_bytes()) == before
    assert names(tmp_path) == [
        *("cat-2.16s.png", "cat-2.32s.png", "cat-2.8s.png", "cat-2.png"),
        *("cat.jpg", "cat.png"),
    ]
    printed, complained = capsys.readouterr()
    assert printed.startswith(f"{other}: ")
    assert complained == (
        f"error: {cat}: Its output would replace the photo {other}; "
        "give another folder with --out.\n"
    )


def test_a_link_to_a_photo_is_not_written_through(cat: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    try:
        (out / "cat.8s.png").symlink_to(cat)
    except OSError:
        pytest.skip("no symbolic links here")
    before = cat.read_bytes()
    assert run(cat, "--out", out) == 1
    assert cat.read_bytes() == before


def test_a_second_run_replaces_the_first(cat: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(cat, "--out", out) == 0
    (out / "cat.8s.png").write_bytes(b"old")
    assert run(cat, "--out", out) == 0
    assert Image.open(out / "cat.8s.png").size == (451, 300)


def test_out_is_a_file(cat: Path, capsys: Output) -> None:
    assert run(cat, "--out", cat) == 2
    assert re.fullmatch(
        r"error: --out .*cat\.jpg: cannot write there \(.+\)\n", capsys.readouterr().err
    )


def test_out_is_closed(
    cat: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert run(cat, "--out", tmp_path) == 2
    assert "cannot write there (Permission denied)" in capsys.readouterr().err


def test_a_file_that_cannot_be_written(cat: Path, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "out" / "cat.16s.png").mkdir(parents=True)
    assert run(cat, "--out", tmp_path / "out") == 1
    assert re.fullmatch(r"error: .*cat\.16s\.png: .+\n", capsys.readouterr().err)


def test_weights_that_cannot_be_loaded(cat: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(cat, "--out", tmp_path, "--weights", tmp_path / "none") == 2
    assert capsys.readouterr().err.startswith("error: cannot load the network: no weights at")


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not_there(
    device: str,
    cat: Path,
    tmp_path: Path,
    capsys: Output,
    stub: type[Stub],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stub, "load", lambda weights, device: choose(device))
    assert run(cat, "--out", tmp_path, "--device", device) == 2
    assert re.fullmatch(rf"error: .* no .*{device}.*: choose .*\n", capsys.readouterr().err)


def test_interrupted(cat: Path, tmp_path: Path, capsys: Output, stub: type[Stub]) -> None:
    stub.fails_on = KeyboardInterrupt
    assert run(cat, "--out", tmp_path) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a.jpg",),
        ("--out", "x"),
        ("a.jpg", "--out", "x", "--longest", "0"),
        ("a.jpg", "--out", "x", "--longest", "1.5"),
        ("a.jpg", "--out", "x", "--opacity", "2"),
        ("a.jpg", "--out", "x", "--opacity", "nan"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m explainer.fcn" in capsys.readouterr().err


def test_help_needs_no_torch() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['fcn', '--help']\n"
        "try:\n"
        "    runpy.run_module('explainer.fcn', run_name='__main__')\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, encoding="utf-8", timeout=60,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert "python -m explainer.fcn cat.jpg dog.png --out out" in done.stdout
