"""Which device computes."""

import os

import torch

VARIABLE = "EXPLAINER_DEVICE"
"""Environment variable that names the device, where no option does."""


def choose(device: str | None = None) -> str:
    """The device to use: the one asked for, else `EXPLAINER_DEVICE`, else the fastest there is.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps"; None or "auto" leaves the choice.

    Raises:
        ValueError: there is no such device here.
    """
    asked = device if device not in (None, "auto") else os.environ.get(VARIABLE, "auto")
    if asked in ("", "auto"):
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    assert asked is not None
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    kind, _, number = asked.partition(":")
    if kind not in there or (number and not number.isdecimal()):
        raise ValueError(
            f"there is no device {asked!r}: choose one of auto, cpu, cuda, cuda:0, mps"
        )
    if int(number or 0) >= there[kind]:
        found = ", ".join(name for name, count in there.items() if count)
        raise ValueError(f"this machine has no {asked}: choose auto, or one of {found}")
    return asked


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory, or this machine's, did not suffice.

    PyTorch has a class of its own for what its CUDA allocator cannot give; drivers, libraries and
    the CPU's allocator say it in words.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in said for words in ("out of memory", "alloc_failed", "can't allocate memory")
    )


def free_memory(device: str) -> None:
    """Give what the allocator of a device keeps back to the device."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device.startswith("mps"):
        torch.mps.empty_cache()
