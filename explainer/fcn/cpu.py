"""What makes the network fast on a CPU, where moving activations costs more than multiplying them.

Measured on two cores with AVX2 (fp32, channels-last, 768×576): ReLU6 as a pass of its own took 30 %
of the time, and much of the rest was the system handing out fresh pages for every layer's output.
"""

import os
import time
from collections.abc import Callable

import torch
from torch import nn

from explainer.fcn.mobilenet import ConvReLU6

HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""PyTorch's variable: ask for pages of 2 MB, 512 times fewer faults for an activation."""


def use_huge_pages() -> None:
    """Have PyTorch ask for huge pages; only before its first allocation, and where Linux has them.

    What a user set stays.
    """
    os.environ.setdefault(HUGE_PAGES, "1")


def fuse(network: nn.Module, dtype: torch.dtype) -> bool:
    """Let the convolutions of a network on the CPU apply their ReLU6 themselves; whether it works.

    The operator is one that PyTorch's compiler uses, without a promise for other versions: it is
    tried against the plain layers first, and left alone where it fails or differs.
    """
    probe = ConvReLU6(8, 8, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)  # pyright: ignore
    photo = torch.linspace(-4, 12, 8 * 81).reshape(1, 8, 9, 9).to(dtype)
    photo = photo.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = probe(photo)
        probe.fused = True
        try:
            works = torch.allclose(probe(photo), expected, rtol=1e-2, atol=1e-3)
        except (AttributeError, RuntimeError, TypeError):
            works = False
    for layer in network.modules():
        if isinstance(layer, ConvReLU6):
            layer.fused = works
    return works


TUNING_SECONDS = 0.6
"""After which the choice of threads measures no more: meanwhile a photo would wait."""


def tune_threads(work: Callable[[], object], rounds: int = 2) -> int:
    """Set the number of threads with which `work` is fastest; returns it.

    PyTorch takes a thread a core. In a container that may use fewer cores than it sees, or beside
    slow cores, fewer are faster: halved as long as that gains a quarter. The choice is for good, so
    a smaller gain could be what else the machine did for a moment, though all numbers take turns.
    `work`, which is also warmed up, should be as large as what will be done: threads gain little on
    little work. On a machine that is busy only some numbers are tried in `TUNING_SECONDS`, or none
    but PyTorch's own.
    """
    end = time.perf_counter() + TUNING_SECONDS
    work()
    candidates = [torch.get_num_threads()]
    while candidates[-1] > 1:
        candidates.append(candidates[-1] // 2)
    # Each number twice in a row: the first run after a change starts the threads.
    turns = [threads for _ in range(rounds) for threads in candidates for _ in range(2)]
    seconds: dict[int, float] = {}
    for threads in turns:
        began = time.perf_counter()
        if began >= end:
            break
        torch.set_num_threads(threads)
        work()
        spent = time.perf_counter() - began
        seconds[threads] = min(spent, seconds.get(threads, spent))
    best = candidates[0]
    for threads in candidates[1:]:
        if threads not in seconds or seconds[threads] > 0.75 * seconds[best]:
            break
        best = threads
    torch.set_num_threads(best)
    return best
