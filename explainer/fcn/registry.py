"""Published weights: where they are, how they are told apart, and how they get to this machine.

Nothing is downloaded unless it is asked for. A download goes into a part file, is checked against
the checksum of the record, and only then gets its name, so that a file under its name is whole. An
interrupted one goes on where it stopped, on another host if need be.
"""

import errno
import hashlib
import http.client
import os
import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

VARIABLE = "EXPLAINER_CACHE"
"""Environment variable that names the folder of downloaded weights."""

SUFFIXES = (".caffemodel", ".pth", ".pt", ".safetensors")
"""Of files of one's own."""

LARGEST = 4 * 2**30
"""Bytes of a file of one's own, which may hold an optimiser's state too. The largest published one
has an eighth; a checksum of more would take minutes."""

TIMEOUT = 20
"""Seconds without a byte after which a host is given up; a cancelled download may take as long."""

CHUNK = 2**18
MEGABYTE = 10**6


class FileError(ValueError):
    """A file of weights cannot be had; the message says why and what to do."""


class UnknownFile(FileError):
    """A file that is none of the published ones."""


class Cancelled(Exception):
    """The download was cancelled; what has arrived is kept, and the next one goes on from there."""


@dataclass(frozen=True)
class File:
    """A file of published weights.

    Attributes:
        name: under which it is kept.
        urls: where it is, in the order in which they are tried.
        size: about how many bytes.
        checksums: (algorithm, hexadecimal digest or its beginning), any of which is right: some
            files were published in several copies. None are known where it is empty.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    checksums: tuple[tuple[Literal["md5", "sha1", "sha256"], str], ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts in their order, each once."""
        return tuple(dict.fromkeys(urlsplit(url).hostname or url for url in self.urls))

    def matches(self, digest: Callable[[str], str]) -> bool:
        """Whether a file is this one, by its digest in each algorithm; yes where none is known."""
        return not self.checksums or any(
            digest(algorithm).startswith(known) for algorithm, known in self.checksums
        )


@dataclass(frozen=True)
class Checkpoint:
    """Published weights of one network.

    Attributes:
        title: their name.
        network: whose they are, a key of `explainer.fcn.catalogue.NETWORKS`.
        stride: of the output that they were trained for; None for an ImageNet classifier, which
            gives the trunk only.
        files: the same weights in different files, in the order in which they are looked for.
        provenance: who made them, from what, under which licence.
        mean_iu: as published, on PASCAL VOC 2011 seg11valid, in percent.
    """

    title: str
    network: str
    stride: int | None
    files: tuple[File, ...]
    provenance: str
    mean_iu: float | None = None

    @property
    def sources(self) -> tuple[tuple[File, str], ...]:
        """Every file with each of its addresses, in the order in which they are tried."""
        return tuple((file, url) for file in self.files for url in file.urls)

    @property
    def size(self) -> int:
        """About how many bytes a download has."""
        return self.files[0].size


class Weights(Protocol):
    """What a file holds."""

    @property
    def stride(self) -> int | None:
        """Of the output that they were trained for; None where the score layers are missing."""
        ...


Check = Callable[[Path, str], Weights | None]
"""Reads a file as the weights of a network of `explainer.fcn.catalogue`, and raises a ValueError
where it does not hold them: `explainer.fcn.checkpoints.load`. None: the output is not known."""


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Bytes on disk, of how many (None: the host does not say), and from which host.
    """

    received: int
    total: int | None
    host: str


_BERKELEY = "http://dl.caffe.berkeleyvision.org/"
_RELEASE = (
    "Shelhamer, Long and Darrell, the release for Caffe; trained on PASCAL VOC and SBD; BSD-2 and, "
    "for the weights, unrestricted use."
)
_CONVERTED = f"{_RELEASE} The .pth files are Kentaro Wada's conversions for PyTorch, MIT."


def _drive(identifier: str) -> tuple[str, ...]:
    """Google Drive: past the page that asks whether a file too large to scan is wanted."""
    return (
        f"https://drive.usercontent.google.com/download?id={identifier}&export=download&confirm=t",
        f"https://drive.google.com/uc?id={identifier}&export=download&confirm=t",
    )


CHECKPOINTS: Mapping[str, Checkpoint] = {
    "fcn32s": Checkpoint(
        "FCN-32s",
        "fcn-vgg16",
        32,
        (
            File(
                "fcn32s_from_caffe.pth",
                _drive("11k2Q0bvRQgQbT6-jYWeh6nmAsWlSCY3f"),
                545 * MEGABYTE,
                (
                    ("md5", "d3eb467a80e7da0468a20dfcbc13e6c8"),
                    ("md5", "8acf386d722dc3484625964cbe2aba49"),
                ),
            ),
            File(
                "fcn32s-heavy-pascal.caffemodel",
                (f"{_BERKELEY}fcn32s-heavy-pascal.caffemodel",),
                545 * MEGABYTE,
            ),
        ),
        _CONVERTED,
        63.6,
    ),
    "fcn16s": Checkpoint(
        "FCN-16s",
        "fcn-vgg16",
        16,
        (
            File(
                "fcn16s_from_caffe.pth",
                _drive("1bctu58B6YH9bu6lBBSBB2rUeGlGhYLoP"),
                540 * MEGABYTE,
                (
                    ("md5", "a2d4035f669f09483b39c9a14a0d6670"),
                    ("md5", "991ea45d30d632a01e5ec48002cac617"),
                ),
            ),
            File(
                "fcn16s-heavy-pascal.caffemodel",
                (f"{_BERKELEY}fcn16s-heavy-pascal.caffemodel",),
                540 * MEGABYTE,
            ),
        ),
        _CONVERTED,
        65.0,
    ),
    "fcn8s": Checkpoint(
        "FCN-8s",
        "fcn-vgg16",
        8,
        (
            File(
                "fcn8s-heavy-pascal.caffemodel",
                (f"{_BERKELEY}fcn8s-heavy-pascal.caffemodel",),
                538 * MEGABYTE,
                (
                    ("sha1", "c449ea74dd7d83751d1357d6a8c323fcf4038962"),
                    ("md5", "c03b2953ebd846c270da1a8e8f200c09"),
                ),
            ),
            File(
                "fcn8s_from_caffe.pth",
                _drive("1ieXWyoG68xqoHJPWdyrDyaIaaWlfmUxI"),
                538 * MEGABYTE,
                (
                    ("md5", "de93e540ec79512f8770033849c8ae89"),
                    ("md5", "dbd9bbb3829a3184913bccc74373afbb"),
                ),
            ),
        ),
        _CONVERTED,
        65.5,
    ),
    "fcn8s-atonce": Checkpoint(
        "FCN-8s, trained at once",
        "fcn-vgg16",
        8,
        (
            File(
                "fcn8s-atonce-pascal.caffemodel",
                (f"{_BERKELEY}fcn8s-atonce-pascal.caffemodel",),
                538 * MEGABYTE,
            ),
        ),
        _RELEASE,
        65.4,
    ),
    "fcn-alexnet": Checkpoint(
        "FCN-AlexNet",
        "fcn-alexnet",
        32,
        (
            File(
                "fcn-alexnet-pascal.caffemodel",
                (f"{_BERKELEY}fcn-alexnet-pascal.caffemodel",),
                235 * MEGABYTE,
            ),
        ),
        _RELEASE,
        48.0,
    ),
    "vgg16-imagenet": Checkpoint(
        "VGG16 trained on ImageNet",
        "fcn-vgg16",
        None,
        (
            File(
                "vgg16-397923af.pth",
                ("https://download.pytorch.org/models/vgg16-397923af.pth",),
                553 * MEGABYTE,
                (("sha256", "397923af"),),
            ),
        ),
        "torchvision, BSD-3; trained on ImageNet.",
    ),
    "fcn-resnet50": Checkpoint(
        "FCN-ResNet50",
        "fcn-resnet50",
        8,
        (
            File(
                "fcn_resnet50_coco-1167a1af.pth",
                ("https://download.pytorch.org/models/fcn_resnet50_coco-1167a1af.pth",),
                142 * MEGABYTE,
                (("sha256", "1167a1af"),),
            ),
        ),
        "torchvision, BSD-3; trained on the photos of COCO that show VOC's classes. Its mean IU of "
        "60.5 was measured on COCO's validation photos, so it cannot be compared with the others.",
    ),
}
"""Every file of weights that is known, by a short name."""


def cache_folder() -> Path:
    """Where downloaded weights are kept; the folder need not exist.

    `EXPLAINER_CACHE` if it is set, else the place that the system has for such files.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(given) if os.path.isabs(given) else home / ".cache"
    return base / "fcn-explainer"


def find(checkpoint: Checkpoint, folder: Path | None = None) -> tuple[File, Path] | None:
    """The first of a checkpoint's files that is in the folder (by default the cache), if any."""
    folder = folder or cache_folder()
    for file in checkpoint.files:
        if (folder / file.name).is_file():
            return file, folder / file.name
    return None


def verified(checkpoint: Checkpoint, folder: Path | None = None) -> Path:
    """A checkpoint's file in the folder (by default the cache), its checksum checked.

    Raises:
        FileError: there is none, or it is not the one that was published.
    """
    folder = folder or cache_folder()
    found = find(checkpoint, folder)
    if found is None:
        names = " or ".join(file.name for file in checkpoint.files)
        raise FileError(
            f"The weights of {checkpoint.title} are not on this machine: download them "
            f"({_mb(checkpoint.size)}), or put {names} into {folder}."
        )
    file, path = found
    try:
        if file.matches(_digests(path)):
            return path
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None
    raise FileError(
        f"{path} is not the file that was published (its checksum differs). Remove it and download "
        "it again; if you made it yourself, name it as a file of your own."
    )


def present(checkpoint: Checkpoint, check: Check, folder: Path | None = None) -> Path | None:
    """A checkpoint's file in the folder (by default the cache), found to be right; None without.

    Args:
        check: reads a file without a known checksum.

    Raises:
        FileError: the file is not the one that was published, or has not the checkpoint's weights.
    """
    found = find(checkpoint, folder)
    if found is None:
        return None
    path = verified(checkpoint, folder)
    if not found[0].checksums:
        try:
            _checked(path, checkpoint, check)
        except ValueError as error:
            why = one_line(str(error)).rstrip(".")
            raise FileError(f"{why}. Remove {path} to download it.") from None
    return path


def adopt(
    path: Path, folder: Path | None = None, *, check: Check = lambda path, network: None
) -> tuple[str, Path]:
    """Copies a file into the folder (by default the cache), if it is a published one.

    It is told by its checksum, where none is known by its name and what `check` says.

    Returns:
        The key of the checkpoint, and the copy.

    Raises:
        UnknownFile: it is none of the published files.
        FileError: it cannot be read or copied, or holds the weights of another output.
        ValueError: as `check` does.
    """
    folder = folder or cache_folder()
    _ordinary(path)
    try:
        digest = _digests(path)
        for key, checkpoint in CHECKPOINTS.items():
            for file in checkpoint.files:
                if file.matches(digest) if file.checksums else path.name == file.name:
                    if not file.checksums:
                        _checked(path, checkpoint, check)
                    _copy(path, folder / file.name)
                    return key, folder / file.name
    except OSError as error:
        raise FileError(
            f"{path} cannot be copied to {folder}: {error.strerror or error}."
        ) from None
    known = ", ".join(f.name for c in CHECKPOINTS.values() for f in c.files)
    raise UnknownFile(f"{path.name} is none of the files that are known: {known}.")


def keep(path: Path, folder: Path | None = None) -> Path:
    """Copies a file of one's own into the folder (by default the cache), under its own name.

    Raises:
        FileError: it cannot be read or copied, its name does not end as those of weights do or is
            that of a published file, or there is one of that name.
    """
    folder = folder or cache_folder()
    _ordinary(path)
    if path.suffix not in SUFFIXES:
        raise FileError(f"{path.name} does not end in {', '.join(SUFFIXES)}.")
    if path.name in _published():
        raise FileError(
            f"{path.name} is the name of a published file, but its checksum differs: give your "
            "own file another name."
        )
    if (folder / path.name).exists():
        raise FileError(f"{path.name} is there already: give the new file another name.")
    try:
        _copy(path, folder / path.name)
    except OSError as error:
        raise FileError(
            f"{path} cannot be copied to {folder}: {error.strerror or error}."
        ) from None
    return folder / path.name


def own_files(folder: Path | None = None) -> dict[str, Path]:
    """The files in the folder (by default the cache) that are no published ones, by name."""
    folder = folder or cache_folder()
    if not folder.is_dir():
        return {}
    return {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.name not in _published() and path.is_file()
    }


def received(checkpoint: Checkpoint, folder: Path | None = None) -> int:
    """The bytes of an interrupted download that the next one goes on from."""
    folder = folder or cache_folder()
    parts = (folder / f"{file.name}.part" for file in checkpoint.files if file.checksums)
    return next((part.stat().st_size for part in parts if part.is_file()), 0)


def _checked(path: Path, checkpoint: Checkpoint, check: Check) -> None:
    """Does nothing for a file with a checkpoint's weights.

    Raises:
        FileError: they are of another output.
        ValueError: as `check` does.
    """
    found = check(path, checkpoint.network)
    if found is not None and found.stride != checkpoint.stride:
        what = f"at stride {found.stride}" if found.stride else "none: its score layers are missing"
        wanted = f"at stride {checkpoint.stride}" if checkpoint.stride else "none"
        raise FileError(
            f"{path.name} does not hold the weights of {checkpoint.title}: its output is {what}, "
            f"and should be {wanted}."
        )


def _published() -> set[str]:
    return {file.name for checkpoint in CHECKPOINTS.values() for file in checkpoint.files}


def _ordinary(path: Path) -> None:
    """Does nothing for an ordinary file that weights may be in.

    Raises:
        FileError: it is a folder, a device, a pipe (which might never end), too large, or not
            there.
    """
    try:
        ordinary = path.is_file()
    except (OSError, ValueError):  # a name that no system has
        ordinary = False
    if not ordinary:
        raise FileError(f"{path} is not a file on this computer.")
    if (size := path.stat().st_size) > LARGEST:
        raise FileError(
            f"{path.name} has {_mb(size)}: weights of these networks have at most {_mb(LARGEST)}."
        )


def _copy(path: Path, target: Path) -> None:
    """Copies a file; under the target's name stands all of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _room(target.parent, path.stat().st_size)
    with _temporary(target) as copy:
        shutil.copyfile(path, copy)
        os.replace(copy, target)


def fetch(
    checkpoint: Checkpoint,
    folder: Path | None = None,
    *,
    check: Check = lambda path, network: None,
    progress: Callable[[Progress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Downloads a checkpoint into the folder (by default the cache), unless it is there.

    Tries all hosts of the first file, then those of the next. Only one download of a file runs at
    a time in this process; a second caller waits for the first and finds the file.

    Args:
        check: reads a file without a known checksum before it gets its name, and one that is there.
        progress: is called often, from this thread.
        cancelled: is asked as often; the download ends soon after it says yes.

    Returns:
        The file, its checksum checked if one is known.

    Raises:
        FileError: no host has it, or it cannot be written; the message names each host's reason.
        Cancelled: as asked.
    """
    folder = folder or cache_folder()
    with _lock(folder):
        if here := present(checkpoint, check, folder):
            return here
        reasons = []
        for file, url in checkpoint.sources:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                return _fetched(
                    file,
                    url,
                    folder,
                    lambda part: _checked(part, checkpoint, check),
                    progress,
                    cancelled,
                )
            except _HostError as error:
                reasons.append(f"{urlsplit(url).hostname}: {error}")
            except OSError as error:
                full = error.errno == errno.ENOSPC
                reason = "the disk is full" if full else error.strerror or str(error)
                raise FileError(f"{folder} cannot be written: {reason}.") from None
        names = " or ".join(file.name for file in checkpoint.files)
        raise FileError(
            f"{checkpoint.title} could not be downloaded ({'; '.join(reasons)}). Try again later, "
            f"or get {names} elsewhere and put it into {folder}."
        )


class _HostError(Exception):
    """A host does not give the file; the next one may."""


_locks: dict[Path, threading.Lock] = {}
_locks_lock = threading.Lock()


def _lock(folder: Path) -> threading.Lock:
    with _locks_lock:
        return _locks.setdefault(folder.absolute(), threading.Lock())


def _fetched(
    file: File,
    url: str,
    folder: Path,
    check: Callable[[Path], object],
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Path:
    target = folder / file.name
    if not file.checksums:
        # Without a checksum nobody could tell whether two parts belong together: from the start.
        with _temporary(target) as part:
            _download(file, url, part, progress, cancelled)
            try:
                check(part)
            except ValueError as error:
                raise _HostError(f"sent something else ({one_line(str(error))})") from None
            os.replace(part, target)
        return target
    part = folder / f"{file.name}.part"
    resumed = part.exists()
    _download(file, url, part, progress, cancelled)
    if not file.matches(_digests(part)):
        part.unlink()
        if not resumed:
            raise _HostError("sent another file (the checksum differs)")
        # What was there before may have been wrong.
        return _fetched(file, url, folder, check, progress, cancelled)
    os.replace(part, target)
    return target


def _download(
    file: File,
    url: str,
    part: Path,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> None:
    """Writes what the host sends to the part file, after what is there already if the host can.

    Raises:
        _HostError: it does not send the whole file.
        FileError: the disk has no room.
        OSError: it cannot be written.
        Cancelled: as asked.
    """
    start = part.stat().st_size if part.exists() else 0
    host = urlsplit(url).hostname or url
    if urlsplit(url).scheme not in ("http", "https"):
        raise _HostError("only http and https are used")
    headers = {"User-Agent": "fcn-explainer", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if cancelled():
        raise Cancelled
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return  # nothing is missing, or what is there is wrong: the checksum tells
        raise _HostError(f"answers {error.code} {one_line(str(error.reason), 80)}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _HostError(_reason(error)) from None
    with response:
        kind = response.headers.get_content_type()
        if kind in ("text/html", "application/xhtml+xml"):
            raise _HostError("sent a web page instead of the file")
        if response.status != http.HTTPStatus.PARTIAL_CONTENT and start:
            start = 0
        length = response.headers.get("Content-Length", "")
        # A number of thousands of digits is none that a file has, and int() refuses it.
        total = start + int(length) if length.isdecimal() and len(length) <= 18 else None
        most = file.size * 5 // 4 + MEGABYTE
        if total is not None and total > most:
            raise _HostError(f"has a file of {_mb(total)} instead of about {_mb(file.size)}")
        _room(part.parent, (total or file.size) - start)
        received = start
        with part.open("ab" if start else "wb") as out:
            while True:
                progress(Progress(received, total, host))
                try:
                    data = response.read1(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _HostError(_reason(error)) from None
                if not data:
                    break
                received += len(data)
                if received > most:
                    out.truncate(0)
                    raise _HostError(f"sends more than {_mb(most)}")
                out.write(data)
                if cancelled():
                    raise Cancelled
        if total is not None and received < total:
            raise _HostError(f"stopped after {_mb(received)} of {_mb(total)}")


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"did not answer for {TIMEOUT} seconds"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return one_line(str(text))


def one_line(text: str, most: int = 200) -> str:
    """Foreign text for a sentence: one line without control characters, cut to a length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _room(folder: Path, needed: int) -> None:
    """Does nothing where there is room.

    Raises:
        FileError: the disk has less room than that.
    """
    if shutil.disk_usage(folder).free < needed + 10 * MEGABYTE:
        raise FileError(f"{folder} has no room for {_mb(needed)}: make room and try again.")


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A place for a file of that name, in a new folder beside it that is gone at the end.

    So messages about the file call it by its name before it has it.
    """
    with tempfile.TemporaryDirectory(
        dir=target.parent, suffix=".part", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder) / target.name


def _digests(path: Path) -> Callable[[str], str]:
    """The digest of a file in an algorithm; each is computed once, when it is asked for."""

    @cache
    def digest(algorithm: str) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(
                file, lambda: hashlib.new(algorithm, usedforsecurity=False)
            ).hexdigest()

    return digest


def _mb(count: int) -> str:
    return f"{count / MEGABYTE:.0f} MB"
