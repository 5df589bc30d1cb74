"""The machine that is measured: what it is, and how much memory a process of it uses."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "neon",
    "asimd",
    "sve",
    "bf16",
)
MEGABYTE = 2**20


@dataclass(frozen=True)
class Machine:
    """Where and when something was measured.

    Attributes:
        date: in UTC, ISO 8601.
        cpu: its name; flags: those that decide how fast it multiplies; cores: this process may use.
        memory_gib: of the machine; None where the system does not tell.
        system, python, torch: versions.
        device: that computes; device_name: what it calls itself.
        dtype: in which the trunk computes there.
        load: processes that wanted to run, averaged over a minute, when it began: above nearly
            nothing the figures are those of a busy machine.
    """

    date: str
    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory_gib: float | None
    system: str
    python: str
    torch: str
    device: str
    device_name: str
    dtype: str
    load: float | None

    def line(self) -> str:
        """In one sentence."""
        where = self.cpu if self.device == "cpu" else f"{self.device_name} ({self.cpu})"
        memory = "" if self.memory_gib is None else f", {self.memory_gib:.0f} GiB"
        load = "" if self.load is None else f", load {self.load:.1f} at the start"
        return (
            f"{where}, {self.cores} cores{memory}, {self.dtype} on {self.device}, "
            f"PyTorch {self.torch}, Python {self.python}, {self.date[:10]}{load}"
        )


def describe(device: str) -> Machine:
    """This machine, now.

    Args:
        device: as `explainer.fcn.device.choose` gives it.
    """
    import torch

    from explainer.fcn.segmenter import trunk_dtype

    name, flags = _processor()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Machine(
        datetime.now(UTC).isoformat(timespec="seconds"),
        name,
        flags,
        cores(),
        memory("MemTotal", Path("/proc/meminfo"), 2**30),
        platform.system(),
        platform.python_version(),
        torch.__version__,
        device,
        torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        str(trunk_dtype(device)).removeprefix("torch."),
        load,
    )


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> tuple[str, tuple[str, ...]]:
    name, flags = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return name, ()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags |= set(value.split())
    return name, tuple(flag for flag in _FLAGS if flag in flags)


def field_of(file: Path, name: str) -> int | None:
    """A field of one of Linux's status files ("VmRSS:  123 kB"); None where there is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return None


def memory(name: str, file: Path, unit: float = MEGABYTE) -> float | None:
    """A field of these files that counts kilobytes, in another unit."""
    found = field_of(file, name)
    return None if found is None else found * 1024 / unit


def threads(pid: int | str = "self") -> int | None:
    """How many threads a process has; None where the system does not tell."""
    return field_of(Path(f"/proc/{pid}/status"), "Threads")


def open_files(pid: int | str = "self") -> int | None:
    """How many files and sockets a process has open; None where the system does not tell."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def available() -> float | None:
    """Memory that can still be had, in MiB."""
    return memory("MemAvailable", Path("/proc/meminfo"))


def resident(pid: int | str = "self") -> float | None:
    """Memory of a process that is in RAM, in MiB; None where the system does not tell."""
    return memory("VmRSS", Path(f"/proc/{pid}/status"))


def peak(pid: int | str = "self") -> float | None:
    """The most that a process had in RAM since `forget_peak`, in MiB."""
    return memory("VmHWM", Path(f"/proc/{pid}/status"))


def forget_peak(pid: int | str = "self") -> None:
    """Let the peak begin anew; where that is not possible, it stays that since the start."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return
