"""The command line with the paper's networks: list, fetch, adopt, run."""

import builtins
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explainer.fcn import checkpoints, registry
from explainer.fcn.__main__ import main
from explainer.fcn.registry import Checkpoint, File

from .conftest import release

Output = pytest.CaptureFixture[str]
DATA = b"weights" * 1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLAINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """A record in place of FCN-8s's, whose host is never asked."""
    md5 = hashlib.md5(DATA).hexdigest()
    file = File("w.pth", ("http://127.0.0.1:9/w.pth",), 513_000_000, (("md5", md5),))
    record = Checkpoint("FCN-8s", "fcn-vgg16", 8, (file,), "Made here.")
    monkeypatch.setitem(registry.CHECKPOINTS, "fcn8s", record)  # pyright: ignore
    return record


def download(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> None:
    def fetch(checkpoint: Checkpoint, *, check, progress) -> Path:
        assert check is checkpoints.load
        progress(registry.Progress(0, 1000, "host"))
        if error:
            raise error
        progress(registry.Progress(1000, 1000, "host"))
        return Path("the") / "file"

    monkeypatch.setattr(registry, "fetch", fetch)


def answer(monkeypatch: pytest.MonkeyPatch, text: str | None) -> list[str]:
    asked = []

    def read(prompt: str) -> str:
        asked.append(prompt)
        if text is None:
            raise EOFError
        return text

    monkeypatch.setattr(builtins, "input", read)
    return asked


def test_list(cache: Path, capsys: Output) -> None:
    cache.mkdir()
    (cache / "fcn8s_from_caffe.pth").touch()
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert "134.3 million parameters, 16 convolutions deep, receptive field 404, st" in printed
    assert "in the paper: 57 million, 8, 355, 32; mean IU 39.8, 50 ms" in printed
    assert "6.0 million parameters, 22 convolutions deep, receptive field 907" in printed
    assert "fcn8s: FCN-8s, mean IU 65.5; 538 MB; fcn8s_from_caffe.pth" in printed
    assert "fcn32s: FCN-32s, mean IU 63.6; 545 MB; not here" in printed
    assert "Needs fcn32s, fcn16s." in printed
    assert str(cache) in printed


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("asks", [True, False])
def test_fetch(asks: bool, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    download(monkeypatch)
    asked = answer(monkeypatch, "y")
    assert main(["--fetch", "fcn8s", *([] if asks else ["--yes"])]) == 0
    assert len(asked) == asks
    printed, complained = capsys.readouterr()
    assert printed.startswith("FCN-8s: about 513 MB from 127.0.0.1 to ")
    assert printed.endswith("the/file\n")
    assert "host: 0 MB, 100 %" in complained


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("text", "status"), [("", 0), ("no", 0), (None, 2)])
def test_nothing_is_downloaded_unasked(
    text: str | None, status: int, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    download(monkeypatch, AssertionError("downloaded"))
    answer(monkeypatch, text)
    assert main(["--fetch", "fcn8s"]) == status
    printed, complained = capsys.readouterr()
    assert "513 MB" in printed
    assert "nothing was downloaded" in printed if text is not None else "--yes" in complained


def test_weights_without_a_checksum_are_named_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    answer(monkeypatch, "")
    assert main(["--fetch", "fcn-alexnet"]) == 0
    assert "No checksum of fcn-alexnet-pascal.caffemodel was published" in capsys.readouterr().out


def test_a_wrong_file_that_is_here_is_not_taken_for_fetched(cache: Path, capsys: Output) -> None:
    signed = registry.CHECKPOINTS["fcn8s"].files[0]
    assert signed.checksums
    for key, name, why in (
        ("fcn8s", signed.name, "its checksum differs"),
        ("fcn-alexnet", "fcn-alexnet-pascal.caffemodel", "cannot be used"),
    ):
        cache.mkdir(exist_ok=True)
        (cache / name).write_bytes(b"half a download")
        assert main(["--fetch", key, "--yes"]) == 1
        complained = capsys.readouterr().err
        assert name in complained
        assert why in complained


@pytest.mark.usefixtures("weights")
def test_no_host(capsys: Output) -> None:
    assert main(["--fetch", "fcn8s", "--yes"]) == 1
    complained = capsys.readouterr().err
    assert complained.startswith("error: FCN-8s could not be downloaded (127.0.0.1: ")


@pytest.mark.usefixtures("weights")
def test_an_interrupted_download(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    download(monkeypatch, KeyboardInterrupt())
    assert main(["--fetch", "fcn8s", "--yes"]) == 130
    assert capsys.readouterr().err.endswith("\ninterrupted\n")


@pytest.mark.usefixtures("weights")
def test_adopt(tmp_path: Path, cache: Path, capsys: Output) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(DATA)
    assert main(["--adopt", str(mine)]) == 0
    assert capsys.readouterr().out == f"FCN-8s: {cache / 'w.pth'}\n"
    assert main(["--fetch", "fcn8s"]) == 0
    assert "is here already" in capsys.readouterr().out
    mine.write_bytes(b"other")
    assert main(["--adopt", str(mine)]) == 1
    assert "none of the files that are known" in capsys.readouterr().err
    unsigned = tmp_path / "fcn-alexnet-pascal.caffemodel"
    unsigned.write_bytes(b"no weights")
    assert main(["--adopt", str(unsigned)]) == 1
    assert "cannot be used" in capsys.readouterr().err
    assert [path.name for path in cache.iterdir()] == ["w.pth"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.usefixtures("thin")
def test_run(photo: Path, tmp_path: Path, capsys: Output) -> None:
    weights = tmp_path / "mine.pth"
    torch.save(release(16), weights)
    out = tmp_path / "out"
    arguments = [str(photo), "--out", str(out), "--network", "fcn-vgg16", "--device", "cpu"]
    assert main([*arguments, "--weights", str(weights)]) == 0
    printed, complained = capsys.readouterr()
    assert complained.startswith("FCN-VGG16, mine.pth: In one pass.")
    assert printed.startswith(f"{photo}: ")
    assert sorted(p.name for p in out.iterdir()) == ["photo.16s.png", "photo.32s.png", "photo.png"]
    assert main([*arguments, "--mode", "untrained"]) == 0
    assert "labels mean nothing" in capsys.readouterr().err
    assert Image.open(out / "photo.8s.png").size == (40, 30)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network", "fcn-vgg16"], "FCN-32s are not on this machine: download them"),
        (["--mode", "at-once"], "FCN-MobileNetV2 has no mode 'at-once'"),
        (["--network", "fcn-vgg16", "--weights", "none.pth"], "cannot read the weights none.pth"),
    ],
)
def test_what_cannot_be_loaded(
    arguments: list[str], words: str, photo: Path, tmp_path: Path, capsys: Output
) -> None:
    assert main([str(photo), "--out", str(tmp_path), *arguments]) == 2
    complained = capsys.readouterr().err
    assert complained.startswith("error: cannot load the network: ")
    assert words in complained


@pytest.mark.parametrize("arguments", [["--network", "vgg"], ["--fetch", "fcn4s"], ["--yes"]])
def test_wrong_use(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m explainer.fcn" in capsys.readouterr().err
