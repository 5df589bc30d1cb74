"""The device that computes: waiting for it, its memory, and its limits as measured."""

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from explainer.bench import machine
from explainer.bench.timing import alternate
from explainer.fcn.room import give_back


def wait_for(device: str) -> None:
    """Return when all that was asked of the device is done."""
    kind = device.split(":")[0]
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def awaited(device: str, run: Callable[[], object]) -> Callable[[], None]:
    """The same work, ended when the device has done it, without gradients."""

    def way() -> None:
        with torch.inference_mode():
            run()
        wait_for(device)

    return way


def peak_of(device: str, run: Callable[[], object]) -> float | None:
    """MiB that work needs at most beyond what is there before; None where nobody can tell.

    On a CPU that is RAM of this process.
    """
    gc.collect()
    if device.startswith("cuda"):
        wait_for(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / machine.MEGABYTE
    give_back()  # or the pass would use what is kept from the one before, unseen
    machine.forget_peak()
    before = machine.resident()
    run()
    after = machine.peak()
    if device != "cpu" or before is None or after is None:
        return None
    return max(after - before, 0.0)


def memory_left(device: str) -> float | None:
    """MiB that can still be had there; None where nobody can tell."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0] / machine.MEGABYTE
    return machine.available()


def photos(count: int, height: int, width: int, device: str, seed: int = 0) -> Tensor:
    """Noise (count, 3, height, width) uint8: no pass is faster for what it shows."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8
    ).to(device)


@dataclass
class Peaks:
    """What a device has shown that it can do. On a shared machine one look can be too low, so each
    section looks before its measurements and after them; the best counts.

    Attributes:
        flops: operations a second in a matrix product; moved: bytes a second in a copy.
    """

    device: str
    dtype: torch.dtype
    seconds: float
    flops: float = 0.0
    moved: float = 0.0

    def look(self) -> None:
        """Measure both again, `seconds` each."""
        self.flops = max(self.flops, peak_flops(self.device, self.dtype, self.seconds))
        self.moved = max(self.moved, bandwidth(self.device, self.seconds))


def peak_flops(device: str, dtype: torch.dtype, seconds: float = 2.0) -> float:
    """Floating-point operations a second in a large matrix product, the best of several.

    Args:
        seconds: about how long to try.
    """
    size = 8192 if device.startswith("cuda") else 2048
    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / _best(device, lambda: a @ b, seconds)


def bandwidth(device: str, seconds: float = 2.0) -> float:
    """Bytes a second in a large copy, read and written, the best of several."""
    size = 2**30 if device.startswith("cuda") else 2**28
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _best(device, lambda: target.copy_(source), seconds)


def _best(device: str, run: Callable[[], object], seconds: float) -> float:
    way = awaited(device, run)
    way()
    return min(alternate({"": way}, 1000, budget=seconds)[""])
