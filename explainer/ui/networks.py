"""The other networks: which one a visitor chose, the one that is loaded, and the weights' files.

Everyone may run a network whose weights are on this machine. What changes the machine (downloads,
files taken by their path) is for those who sit at it, unless its owner says otherwise.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from explainer.fcn import registry
from explainer.fcn.catalogue import FROM_FILE, NETWORKS, SMALL, Mode, mode_of
from explainer.ui import engine
from explainer.ui.text import plain
from explainer.ui.visit import BUNDLED, Choice, Prepared, Shown, Visit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from explainer.fcn.result import Run
    from explainer.fcn.runs import Runner

LOG = logging.getLogger(__name__)

NETWORK, MODE, FILE = "network", "mode", "weights"
"""Parameters of the address."""

OWN = Mode("A file of your own", FROM_FILE)
OWN_KEY = "own-file"

VARIABLE = "EXPLAINER_WEIGHTS"
"""Who may download weights and name files: "local" (the default), "anyone" or "nobody"."""

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


# ------------------------------------------------------------------------------------ the choice


def follow_link(now: Visit) -> None:
    """Choose the network that the address names, where that is new."""
    link = tuple(st.query_params.get(name) for name in (NETWORK, MODE, FILE))
    if link == now.network_link:
        return
    try:
        now.choice = parse(*link)
    except ValueError as error:
        now.notice = f"{now.notice} {error} Here is {NETWORKS[SMALL].title}.".strip()
        now.choice = BUNDLED
    _write_link(now)


def parse(network: str | None, mode: str | None = None, file: str | None = None) -> Choice:
    """What the three parameters of the address choose.

    Raises:
        ValueError: there is no such network, mode or file.
    """
    if network is None:
        if mode is not None or file is not None:
            raise ValueError("The link names a mode or weights, but no network.")
        return BUNDLED
    if network not in NETWORKS:
        raise ValueError(
            f"The link asks for a network that does not exist. There are: {', '.join(NETWORKS)}."
        )
    title = NETWORKS[network].title
    if mode == OWN_KEY and network != SMALL:
        if file not in registry.own_files():
            raise ValueError(f"The file that the link names for {title} is not on this machine.")
        return Choice(network, OWN_KEY, file)
    try:
        found, _ = mode_of(network, mode)
    except ValueError:
        modes = ", ".join(NETWORKS[network].modes)
        raise ValueError(
            f"The link asks for a mode that {title} does not have. There are: {modes}."
        ) from None
    return Choice(network, found)


def choose(now: Visit, choice: Choice) -> None:
    """Take a choice; in a widget's callback."""
    now.choice = choice
    now.error = now.notice = ""
    _write_link(now)


def _write_link(now: Visit) -> None:
    """The choice in the address; the bundled network leaves nothing there."""
    choice = now.choice
    wanted = (None, None, None) if choice.bundled else (choice.network, choice.mode, choice.file)
    for name, value in zip((NETWORK, MODE, FILE), wanted, strict=True):
        if value is not None:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]
    now.network_link = wanted


def mode(choice: Choice) -> Mode:
    """How the network of a choice is run."""
    return OWN if choice.mode == OWN_KEY else NETWORKS[choice.network].modes[choice.mode]


def ready(choice: Choice) -> bool:
    """Whether all weights of a choice are on this machine."""
    if choice.mode == OWN_KEY:
        return choice.file in registry.own_files()
    return not mode(choice).missing()


def unusable(choice: Choice) -> str:
    """Why a published file of a choice that is there cannot be used, in a sentence; else empty.

    Before the others are downloaded: they would be of no use beside it.
    """
    for key in mode(choice).checkpoints:
        found = registry.find(registry.CHECKPOINTS[key])
        if found is None:
            continue
        with suppress(OSError):  # gone since: it is missing, then
            stat = found[1].stat()
            if why := _refused(key, str(found[1]), stat.st_mtime_ns, stat.st_size):
                return why
    return ""


@st.cache_resource(max_entries=32, show_spinner="Checking the files that are here")
def _refused(key: str, path: str, modified: int, size: int) -> str:
    """Why a checkpoint's file is refused; its checksum takes seconds, so once for a file."""
    try:
        registry.verified(registry.CHECKPOINTS[key], Path(path).parent)
    except registry.FileError as error:
        return str(error)
    return ""


def title(choice: Choice) -> str:
    """Such as "FCN-VGG16, as published"."""
    how = choice.file or mode(choice).title
    return f"{NETWORKS[choice.network].title}, {how if choice.file else how[0].lower() + how[1:]}"


def says(choice: Choice, shown: Shown | None = None) -> str:
    """How the network of a choice is run; of a file what was found in it, once it has run."""
    if shown is not None and shown.choice == choice:
        return shown.run.says
    return mode(choice).says


def sentence(choice: Choice, shown: Shown | None = None) -> str:
    """What the page shows, under its title; `shown` as in `says`."""
    return f"**{plain(title(choice))}.** {says(choice, shown)}"


# ------------------------------------------------------------------------------------ running it


def segment(
    choice: Choice, photo: Prepared, waiting: Callable[[int], object] | None = None
) -> Shown:
    """Segment a photo with the network of a choice.

    Args:
        waiting: as in `engine.segment`.

    Raises:
        Busy: too many visitors wait.
        ValueError: the network cannot be loaded, or needs more memory than there is.
    """
    if not choice.bundled:
        found, notes = run(choice, photo.pixels, waiting)
        return Shown(replace(photo, notes=photo.notes + notes), found, choice)
    from explainer.fcn.result import Run  # imports PyTorch

    answer = engine.segment(photo.pixels, waiting)
    pixels = photo.pixels if answer.pixels is None else answer.pixels
    return Shown(
        replace(photo, pixels=pixels, notes=photo.notes + answer.notes),
        Run.single(answer.result, NETWORKS[SMALL].title, mode(choice).says),
        choice,
    )


def remembered(choice: Choice, pixels: NDArray[np.uint8]) -> bool:
    """Whether `segment` will give what an earlier pass gave, for this visitor or another."""
    return engine.remembers(pixels, None if choice.bundled else _key(choice))


def _key(choice: Choice) -> str:
    """Names a network that is not bundled, as `key_of` wants it."""
    return repr(_files(choice))


def run(
    choice: Choice, pixels: NDArray[np.uint8], waiting: Callable[[int], object] | None = None
) -> tuple[Run, tuple[str, ...]]:
    """Segment a photo, (H, W, 3) RGB, with another network than the bundled one, in its turn.

    Raises as `segment` does.

    Returns:
        The outputs, and what went otherwise than asked, in sentences.
    """
    from explainer.fcn.device import out_of_memory  # imports PyTorch
    from explainer.fcn.engine import key_of

    held = _held()

    def work(bundled: Any) -> Run:
        try:
            return held.load(choice, bundled.device)(pixels)
        except (MemoryError, RuntimeError) as error:
            held.drop()
            if out_of_memory(error):
                raise  # the engine makes room and tries again, at last on the CPU
            LOG.exception("%s failed", title(choice))
            raise ValueError(_no_room(choice, error)) from None

    try:
        return engine.run_noted(work, waiting, key_of(pixels, _key(choice)))
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise ValueError(_no_room(choice, error)) from None
        raise


@dataclass
class Held:
    """The one network in memory beside the bundled one; only the engine's thread touches it."""

    files: tuple[object, ...] | None = None
    runner: Runner | None = None

    def load(self, choice: Choice, device: str) -> Runner:
        """The network of a choice on a device; the one before leaves the memory first.

        Raises:
            ValueError: weights are missing, altered or of another network, or the device is not
                there.
        """
        from explainer.fcn import runs  # imports PyTorch

        files = (device, *_files(choice))
        if self.runner is None or self.files != files:
            self.drop()
            own = _own(choice)
            self.runner = runs.load(
                choice.network, None if own else choice.mode, weights=own, device=device
            )
            self.files = files
        return self.runner

    def drop(self) -> None:
        """Let the memory go."""
        self.files = self.runner = None


@st.cache_resource(max_entries=1, show_spinner=False)
def _held() -> Held:
    return Held()


def _files(choice: Choice) -> tuple[object, ...]:
    """What tells a network apart from others: its choice, and the files as they are now.

    Raises:
        ValueError: a file is not there any more.
    """
    try:
        own = _own(choice)
        paths = [own] if own else _published(choice)
        stats = [(path, path.stat()) for path in paths]
    except (KeyError, OSError):
        raise ValueError(f"The weights of {title(choice)} are not there any more.") from None
    return (choice, *((str(path), found.st_mtime_ns, found.st_size) for path, found in stats))


def _own(choice: Choice) -> Path | None:
    """A choice's file of one's own. KeyError: it is not there."""
    return registry.own_files()[choice.file] if choice.file else None


def _published(choice: Choice) -> list[Path]:
    """The published files of a choice that are there."""
    found = (registry.find(registry.CHECKPOINTS[key]) for key in mode(choice).checkpoints)
    return [file[1] for file in found if file]


def _no_room(choice: Choice, error: Exception) -> str:
    reason = str(error).splitlines()[0][:160] if str(error) else "out of memory"
    return (
        f"{title(choice)} could not run here ({reason}): choose a smaller longest side or another "
        "network."
    )


# -------------------------------------------------------------------------------- who may do what


def may_change_files() -> bool:
    """Whether this visitor may download weights and name files of this machine."""
    who = os.environ.get(VARIABLE, "local").strip().lower()
    if who == "anyone":
        return True
    headers = {key.title(): value for key, value in st.context.headers.items()}
    return who == "local" and is_local(st.context.ip_address, headers)


def is_local(ip: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a browser on this machine opened the page.

    The connection comes from this machine (Streamlit then gives None for its address), the name in
    the address bar is this machine's own (a page elsewhere that resolves to it is not), and no
    proxy passed it on. A proxy on this machine that says nothing of itself cannot be told apart.

    Args:
        ip: of the connection.
        headers: of the request, with names such as "Host" and "X-Forwarded-For".
    """
    if ip is not None and not _loopback(ip):
        return False
    if any(name in headers for name in _FORWARDED):
        return False
    origin = headers.get("Origin", "").partition("://")[2]
    named = [headers.get("Host", ""), *([origin] if origin else [])]
    return all(_loopback(_host(name)) for name in named)


def _host(authority: str) -> str:
    """The host in "host:port", "[::1]:port" or "host"."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def take(path: Path, network: str) -> Choice:
    """Copy a file of this machine into the folder of weights; the choice that runs it.

    A published file is known by its checksum. One without is read first, so that nothing but a
    network's weights is kept.

    Raises:
        ValueError: no such file, or none that can be used.
    """
    from explainer.fcn.checkpoints import load as read  # imports PyTorch

    with suppress(RuntimeError):  # "~" of somebody who does not exist: no such file, then
        path = path.expanduser()
    try:
        key, _ = registry.adopt(path, check=read)
    except registry.UnknownFile as unknown:
        if path.suffix not in registry.SUFFIXES:
            raise unknown from None
        read(path, network)
        return Choice(network, OWN_KEY, registry.keep(path).name)
    checkpoint = registry.CHECKPOINTS[key]
    modes = NETWORKS[checkpoint.network].modes
    usable = [name for name, found in modes.items() if key in found.checkpoints]
    whole = [name for name in usable if not modes[name].missing()]
    return Choice(checkpoint.network, (whole or usable)[0])


# -------------------------------------------------------------------------------------- downloads


@dataclass
class Downloads:
    """Downloads for all visitors, one after the other, in a thread of their own.

    Attributes:
        waiting: keys of the checkpoints still to come, the current one first; empty when idle.
        progress: of the current one.
        outcome: why the last one failed, in a sentence; else empty.
    """

    waiting: tuple[str, ...] = ()
    progress: registry.Progress | None = None
    outcome: str = ""
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, keys: Iterable[str]) -> None:
        """Download checkpoints in the background, unless something is downloaded already."""
        with self._lock:
            if self.waiting:
                return
            self.waiting, self.outcome, self.progress = tuple(keys), "", None
            self._cancelled.clear()
        threading.Thread(target=self._run, name="download weights", daemon=True).start()

    @property
    def cancelled(self) -> bool:
        """Whether the current or the last one was cancelled."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End soon; what has arrived is kept where it can be gone on from."""
        self._cancelled.set()

    def _run(self) -> None:
        try:
            from explainer.fcn.checkpoints import load as read  # imports PyTorch

            while self.waiting:
                registry.fetch(
                    registry.CHECKPOINTS[self.waiting[0]],
                    check=read,
                    progress=self._report,
                    cancelled=self._cancelled.is_set,
                )
                self.waiting, self.progress = self.waiting[1:], None
        except registry.Cancelled:
            pass
        except registry.FileError as error:
            self.outcome = str(error)
        except Exception as error:  # a thread's traceback would be seen by nobody
            self.outcome = f"The download failed: {type(error).__name__}."
            raise
        finally:
            self.waiting = ()

    def _report(self, progress: registry.Progress) -> None:
        self.progress = progress


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """The one queue of downloads of this server."""
    return Downloads()
