"""Downloads from servers that behave, and from servers that do not; nothing leaves this machine."""

import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from explainer.fcn import catalogue, registry
from explainer.fcn.catalogue import NETWORKS, mode_of
from explainer.fcn.checkpoints import load
from explainer.fcn.registry import (
    CHECKPOINTS,
    Cancelled,
    Checkpoint,
    File,
    FileError,
    Progress,
    adopt,
    cache_folder,
    fetch,
    find,
    keep,
    own_files,
    verified,
)

from .conftest import as_caffemodel, release

DATA = bytes(range(256)) * 4096  # 1 MB
MD5 = hashlib.md5(DATA).hexdigest()


@dataclass
class Host:
    """A server, what it was asked for, and how it behaves."""

    data: bytes = DATA
    status: int = 200
    ranges: bool = True
    stops_after: int | None = None
    kind: str = "application/octet-stream"
    length: str | None = ""
    reason: str | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    host: Host

    def do_GET(self) -> None:
        host = self.host
        wanted = self.headers.get("Range", "")
        host.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
        if start >= len(host.data) and start:
            self.send_error(416)
            return
        if host.status == 302:
            self.send_response(302)
            self.send_header("Location", "/weights")
            self.end_headers()
            return
        if host.status != 200:
            self.send_response(host.status, host.reason)
            self.end_headers()
            return
        body = host.data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", host.kind)
        if host.length is not None:
            self.send_header("Content-Length", host.length or str(len(body)))
        self.end_headers()
        self.wfile.write(body if host.stops_after is None else body[: host.stops_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Host]]:
    servers = []

    def start(**behaviour: object) -> Host:
        host = Host(**behaviour)  # pyright: ignore
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHost", (Handler,), {"host": host}))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        host.url = f"http://127.0.0.1:{server.server_port}/weights"
        return host

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def checkpoint(*hosts: Host, md5: str | None = MD5, name: str = "w.pth") -> Checkpoint:
    urls = tuple(host.url for host in hosts)
    file = File(name, urls, len(DATA), (("md5", md5),) if md5 else ())
    return Checkpoint("Net", "fcn-vgg16", 8, (file,), "made here")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download(serve, tmp_path):
    host, seen = serve(), []
    weights = checkpoint(host)
    assert find(weights, tmp_path) is None
    folder = tmp_path / "new" / "cache"
    path = fetch(weights, folder, progress=seen.append)
    assert path.read_bytes() == DATA
    assert names(folder) == ["w.pth"]
    assert seen[0] == Progress(0, len(DATA), "127.0.0.1")
    assert seen[-1] == Progress(len(DATA), len(DATA), "127.0.0.1")
    received = [progress.received for progress in seen]
    assert received == sorted(received)
    # What is there is not downloaded again.
    assert fetch(weights, folder) == verified(weights, folder) == path
    assert len(host.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_where_it_stopped(serve, tmp_path, ranges):
    host = serve(stops_after=300_000)
    weights = checkpoint(host)
    with pytest.raises(FileError, match=r"stopped after 0 MB of 1 MB.*put it into"):
        fetch(weights, tmp_path)
    assert names(tmp_path) == ["w.pth.part"]
    size = (tmp_path / "w.pth.part").stat().st_size
    assert 0 < size <= 300_000
    host.stops_after, host.ranges = None, ranges
    assert fetch(weights, tmp_path).read_bytes() == DATA
    assert host.asked == ["", f"bytes={size}-"]
    assert names(tmp_path) == ["w.pth"]


def test_the_second_host_goes_on(serve, tmp_path):
    first, second = serve(stops_after=500_000), serve()
    assert fetch(checkpoint(first, second), tmp_path).read_bytes() == DATA
    assert second.asked[0].startswith("bytes=")
    assert names(tmp_path) == ["w.pth"]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"status": 404}, "answers 404"),
        ({"status": 500}, "answers 500"),
        ({"data": DATA[::-1]}, "sent another file"),
        ({"kind": "text/html; charset=utf-8", "data": b"<html>"}, "a web page"),
        ({"data": 3 * DATA}, "has a file of 3 MB instead of about 1 MB"),
        ({"data": 3 * DATA, "length": None}, "sends more than"),
        ({"data": 3 * DATA, "length": "9" * 5000}, "sends more than"),
        ({"status": 302}, "answers 302 The HTTP server returned a redirect error"),
        ({"status": 404, "reason": "a\x1b[31m\tb" + "c" * 500}, r"answers 404 a \[31m bc+…"),
        ({"data": DATA[:-1]}, "sent another file"),
        ({"data": b""}, "sent another file"),
    ],
)
def test_a_host_that_fails_and_one_that_does_not(serve, tmp_path, behaviour, words):
    bad = serve(**behaviour)
    with pytest.raises(
        FileError, match=f"Net could not be downloaded .*127.0.0.1: .*{words}"
    ) as caught:
        fetch(checkpoint(bad), tmp_path / "alone")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    assert not (tmp_path / "alone" / "w.pth").exists()
    assert fetch(checkpoint(bad, serve()), tmp_path / "both").read_bytes() == DATA
    assert names(tmp_path / "both") == ["w.pth"]


def test_hosts_that_are_not_there(tmp_path):
    nowhere = Host(url="http://127.0.0.1:9/w"), Host(url="file:///etc/passwd")
    with pytest.raises(FileError, match=r"refused.*only http and https"):
        fetch(checkpoint(*nowhere), tmp_path)
    assert names(tmp_path) == []


def test_a_part_that_was_wrong_is_thrown_away(serve, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(b"x" * 1000)
    host = serve()
    assert fetch(checkpoint(host), tmp_path).read_bytes() == DATA
    assert host.asked == ["bytes=1000-", ""]


@pytest.mark.parametrize("extra", [b"", b"too much"])
def test_a_part_that_is_whole_or_too_long(serve, tmp_path, extra):
    (tmp_path / "w.pth.part").write_bytes(DATA + extra)
    assert fetch(checkpoint(serve()), tmp_path).read_bytes() == DATA


def test_cancelled(serve, tmp_path):
    host = serve()
    weights = checkpoint(host, host)
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        fetch(weights, tmp_path, progress=seen.append, cancelled=lambda: len(seen) > 1)
    assert len(host.asked) == 1
    size = (tmp_path / "w.pth.part").stat().st_size
    assert 0 < size < len(DATA)
    with pytest.raises(Cancelled):
        fetch(weights, tmp_path, cancelled=lambda: True)
    assert len(host.asked) == 1
    assert fetch(weights, tmp_path).read_bytes() == DATA
    assert host.asked[1] == f"bytes={size}-"


@pytest.mark.parametrize("stops_after", [None, 400_000])
def test_without_a_checksum_nothing_is_resumed(serve, tmp_path, stops_after):
    host = serve(stops_after=stops_after)
    weights = checkpoint(host, md5=None)
    if stops_after:
        with pytest.raises(FileError, match="stopped after"):
            fetch(weights, tmp_path)
        assert names(tmp_path) == []
        host.stops_after = None
    assert fetch(weights, tmp_path).read_bytes() == DATA
    assert set(host.asked) == {""}
    assert names(tmp_path) == ["w.pth"]


def test_without_a_checksum_the_content_decides(serve, tmp_path):
    wrong, right = serve(data=b"no weights"), serve()
    weights = checkpoint(wrong, right, md5=None)

    def check(path: Path, network: str) -> None:
        assert network == "fcn-vgg16"
        if path.read_bytes() != DATA:
            raise ValueError("conv1 is missing")

    with pytest.raises(FileError, match=r"127.0.0.1: sent something else \(conv1 is missing\)"):
        fetch(checkpoint(wrong, md5=None), tmp_path, check=check)
    assert names(tmp_path) == []
    assert fetch(weights, tmp_path, check=check).read_bytes() == DATA
    assert names(tmp_path) == ["w.pth"]


@dataclass
class Held:
    """What a file holds, for `registry.Weights`."""

    stride: int | None


@pytest.mark.parametrize("stride", [8, 16, None])
def test_without_a_checksum_the_output_decides(serve, tmp_path, stride):
    weights = checkpoint(serve(), md5=None)

    def check(path: Path, network: str) -> Held:
        assert path.name == "w.pth"  # also before it has it, for messages
        return Held(stride)

    if stride == weights.stride:
        assert fetch(weights, tmp_path, check=check).read_bytes() == DATA
        return
    with pytest.raises(FileError, match=r"sent something else \(w\.pth does not hold .* of Net: "):
        fetch(weights, tmp_path, check=check)
    assert names(tmp_path) == []


def test_the_next_file_of_a_checkpoint(serve, tmp_path):
    bad, good = serve(status=503), serve()
    files = (*checkpoint(bad).files, *checkpoint(good, name="w.caffemodel").files)
    weights = Checkpoint("Net", "fcn-vgg16", 8, files, "")
    assert fetch(weights, tmp_path).name == "w.caffemodel"
    assert find(weights, tmp_path) == (files[1], tmp_path / "w.caffemodel")


def test_two_at_a_time_are_one_download(serve, tmp_path):
    host, paths = serve(), []
    weights = checkpoint(host)
    threads = [
        threading.Thread(target=lambda: paths.append(fetch(weights, tmp_path))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / "w.pth"] * 2
    assert len(host.asked) == 1


def test_a_full_disk(serve, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))
    with pytest.raises(FileError, match="no room for 1 MB"):
        fetch(checkpoint(serve()), tmp_path)


def test_a_folder_that_cannot_be_made(serve, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be written"):
        fetch(checkpoint(serve()), tmp_path / "file" / "cache")


def test_a_file_that_was_changed(tmp_path):
    weights = checkpoint()
    with pytest.raises(
        FileError, match=r"not on this machine: download them \(1 MB\), or put w.pth"
    ):
        verified(weights, tmp_path)
    (tmp_path / "w.pth").write_bytes(DATA)
    assert verified(weights, tmp_path) == tmp_path / "w.pth"
    (tmp_path / "w.pth").write_bytes(DATA[1:])
    with pytest.raises(FileError, match="checksum differs"):
        verified(weights, tmp_path)
    with pytest.raises(FileError, match="checksum differs"):
        fetch(weights, tmp_path)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_checksums(algorithm, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(DATA)
    right = hashlib.new(algorithm, DATA).hexdigest()
    for known, matches in ((right, True), (right[:8], True), ("0" * 32, False)):
        file = File("w.pth", (), 1, ((algorithm, "f" * 40), (algorithm, known)))  # pyright: ignore
        weights = Checkpoint("Net", "fcn-vgg16", 8, (file,), "")
        if matches:
            assert verified(weights, tmp_path) == path
        else:
            with pytest.raises(FileError):
                verified(weights, tmp_path)


def test_a_file_that_one_has(tmp_path, monkeypatch):
    nameless = checkpoint(md5=None, name="unsigned.caffemodel")
    monkeypatch.setattr(registry, "CHECKPOINTS", {"net": checkpoint(), "other": nameless})
    mine, cache = tmp_path / "downloaded (1)", tmp_path / "cache"
    mine.write_bytes(DATA)
    assert adopt(mine, cache) == ("net", cache / "w.pth")
    assert (cache / "w.pth").read_bytes() == DATA
    assert names(cache) == ["w.pth"]
    (tmp_path / "unsigned.caffemodel").write_bytes(b"1")
    assert adopt(tmp_path / "unsigned.caffemodel", cache)[0] == "other"
    mine.write_bytes(b"2")
    with pytest.raises(FileError, match=r"none of the files that are known: w.pth, unsigned"):
        adopt(mine, cache)
    with pytest.raises(FileError, match="is not a file"):
        adopt(tmp_path / "none", cache)


@pytest.mark.usefixtures("thin", "unsigned")
@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("fcn32s-heavy-pascal.caffemodel", 32),
        ("fcn16s-heavy-pascal.caffemodel", 16),
        ("fcn8s-atonce-pascal.caffemodel", 8),
    ],
)
def test_the_name_of_another_output(name, stride, tmp_path):
    for other in (32, 16, 8, None):
        state = release(other or 8)
        if other is None:  # the trunk alone
            state = {key: value for key, value in state.items() if "score" not in key}
        (tmp_path / name).write_bytes(as_caffemodel(state))
        cache = tmp_path / f"cache {other}"
        if other == stride:
            _, kept = adopt(tmp_path / name, cache, check=load)
            assert kept.is_file()
            continue
        with pytest.raises(
            FileError, match=rf"{name} does not hold .* should be at stride {stride}"
        ):
            adopt(tmp_path / name, cache, check=load)
        assert not cache.exists()


def test_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLAINER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EXPLAINER_CACHE")
    monkeypatch.setattr(Path, "home", lambda: Path(os.sep) / "home")
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    home = Path(os.sep) / "home"
    for platform, expected in (
        ("linux", home / ".cache"),
        ("darwin", home / "Library" / "Caches"),
        ("win32", home / "AppData" / "Local"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder() == expected / "fcn-explainer"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "fcn-explainer"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == home / ".cache" / "fcn-explainer"


def test_the_records():
    seen = set()
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.network in NETWORKS
        assert checkpoint.provenance
        for file in checkpoint.files:
            assert file.name not in seen
            seen.add(file.name)
            assert file.hosts
            assert 100e6 < file.size < 600e6
            for algorithm, digest in file.checksums:
                assert int(digest, 16)
                full = {"md5": 32, "sha1": 40, "sha256": 64}[algorithm]
                assert len(digest) == full or (algorithm == "sha256" and len(digest) == 8)
    used = {
        key for net in NETWORKS.values() for mode in net.modes.values() for key in mode.checkpoints
    }
    assert used == set(CHECKPOINTS)
    for name, network in NETWORKS.items():
        for mode in network.modes.values():
            assert {CHECKPOINTS[key].network for key in mode.checkpoints} <= {name}


def test_which_mode(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLAINER_CACHE", str(tmp_path))
    assert mode_of("small")[0] == "bundled"
    assert mode_of("fcn-googlenet")[0] == "untrained"
    assert mode_of("fcn-vgg16")[0] == "as-published"
    assert list(mode_of("fcn-vgg16")[1].missing()) == ["fcn32s", "fcn16s", "fcn8s"]
    (tmp_path / "fcn8s_from_caffe.pth").touch()
    assert mode_of("fcn-vgg16")[0] == "skips-left-out"
    assert mode_of("fcn-vgg16", "untrained") == ("untrained", catalogue.UNTRAINED)
    with pytest.raises(ValueError, match="no network 'vgg': choose one of small, fcn-vgg16"):
        mode_of("vgg")
    with pytest.raises(ValueError, match="FCN-AlexNet has no mode 'at-once': choose one of as-pub"):
        mode_of("fcn-alexnet", "at-once")


def test_files_of_ones_own(tmp_path):
    cache = tmp_path / "cache"
    assert own_files(cache) == {}
    mine = tmp_path / "mine.pth"
    mine.write_bytes(DATA)
    assert keep(mine, cache).read_bytes() == DATA
    (cache / "notes.txt").write_text("no weights")
    (cache / "half.pth.part").write_bytes(b"1")
    (cache / "folder.pth").mkdir()
    (cache / "fcn8s_from_caffe.pth").write_bytes(b"a published name")
    assert own_files(cache) == {"mine.pth": cache / "mine.pth"}
    with pytest.raises(FileError, match="there already"):
        keep(mine, cache)
    for name, says in {
        "mine.txt": "does not end in",
        "fcn8s_from_caffe.pth": "name of a published file",
    }.items():
        (tmp_path / name).write_bytes(DATA)
        with pytest.raises(FileError, match=says):
            keep(tmp_path / name, cache)
    with pytest.raises(FileError, match="is not a file"):
        keep(tmp_path / "none.pth", cache)
    with pytest.raises(FileError, match="is not a file"):
        keep(Path("a\0b.pth"), cache)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "endless.pth")
    for take in (adopt, keep):
        with pytest.raises(FileError, match="is not a file"):
            take(tmp_path / "endless.pth", tmp_path)
