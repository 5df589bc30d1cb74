"""The processor's path: threads, memory format and dtype side by side, and warming up."""

import copy
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from explainer.bench.compute import awaited, photos
from explainer.bench.machine import cores
from explainer.bench.networks import scores_of
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.timing import alternate, ratio
from explainer.fcn import cpu
from explainer.fcn.network import pad
from explainer.fcn.segmenter import Segmenter

PRODUCT = "as the product runs it"
SIZES = ((384, 512), (576, 768))
FORMATS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
SLOW = 3.0
"""Seconds from which on a combination is out of the race: its first pass alone is reported."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """A combination at a size."""

    size: str = column("photo")
    threads: int = column("threads")
    format: str = column("memory format")
    dtype: str = column("dtype")
    milliseconds: float = column("ms", 3)
    ratio: float = column("× the product", 3)
    turns: int = column("turns", brief=False)


@dataclass(frozen=True)
class Warm:
    """A pass by when it comes."""

    which: str = column("which pass")
    milliseconds: float = column("ms", 3)
    ratio: float = column("× the later ones", 3)


def measure(options: Options) -> Report:
    """Every combination on the CPU, whatever the device of the other sections is."""
    segmenter = Segmenter.load(device="cpu")
    warm = warming(segmenter)  # chooses the threads
    networks = {name: variants(name, segmenter) for name in DTYPES}
    before, most = torch.get_num_threads(), cores()
    rows: list[Row] = []
    try:
        scores = scores_of(segmenter)
        for height, width in SIZES[:1] if options.quick else SIZES:
            given = photos(1, height, width, "cpu")
            ways = {
                (threads, layout, dtype): _way(
                    networks[dtype][layout], given, threads, layout, dtype
                )
                for threads in sorted({1, (most + 1) // 2, most})
                for layout in FORMATS
                for dtype in DTYPES
            }
            named: dict[str, Callable[[], None]] = {str(key): way for key, way in ways.items()}
            own = awaited("cpu", lambda given=given: scores(given))
            named[PRODUCT] = _with_threads(before, own)
            once = {name: _seconds(way) for name, way in named.items()}
            quick = {name: way for name, way in named.items() if once[name] < SLOW}
            times = alternate(quick, 15, budget=8 if options.quick else 40)
            product = statistics.median(times.get(PRODUCT, [once[PRODUCT]]))
            size = f"{width}×{height}"
            for (threads, layout, dtype), name in zip(ways, map(str, ways), strict=True):
                turns = times.get(name, [once[name]])
                seconds = statistics.median(turns)
                both = name in times and PRODUCT in times
                found = ratio(times, name, PRODUCT) if both else seconds / product
                rows.append(Row(size, threads, layout, dtype, 1000 * seconds, found, len(turns)))
            dtype = next(name for name, kind in DTYPES.items() if kind == segmenter.dtype)
            turns = len(times.get(PRODUCT, [product]))
            rows.append(Row(size, before, PRODUCT, dtype, 1000 * product, 1.0, turns))
    finally:
        torch.set_num_threads(before)
    best = min((row for row in rows if row.size == rows[0].size), key=lambda row: row.milliseconds)
    headline = Headline(
        f"the pass on the processor, {rows[0].size}",
        f"{number(next(r.milliseconds for r in rows if r.format == PRODUCT), 2)} ms",
        f"best of the combinations {number(best.milliseconds, 2)} ms: {best.threads} threads, "
        f"{best.format}, {best.dtype}",
    )
    notes = (
        "Score maps of one photo; the combinations take turns, medians. A combination that takes "
        f"more than {SLOW:g} s runs once only. Processors without bf16 instructions emulate them.",
    )
    shows = (
        "The pass of the product beside the other ways to run it: above 1.00 × a way is slower. "
        "The number of threads is chosen at the start."
    )
    shown = [row for row in rows if row.size == rows[0].size]
    warmed = (
        f"The first passes at {SIZES[0][1]}×{SIZES[0][0]}, from loaded weights on, and the choice "
        f"of threads, which ends with the pass that reaches {cpu.TUNING_SECONDS:g} s."
    )
    return Report(
        (
            Table("The pass on the processor", rows, notes, shows, shown),
            Table("Warming up", warm, (warmed,), warmed),
        ),
        (headline,),
    )


def warming(segmenter: Segmenter) -> list[Warm]:
    """The first passes of a network, in this thread and in one that never ran it.

    And its `warm_up`, which leaves the number of threads that it chose.
    """
    height, width = SIZES[0]
    scores, given = scores_of(segmenter), photos(1, height, width, "cpu")
    way = awaited("cpu", lambda: scores(given))
    timed = [_seconds(way) for _ in range(12)]
    fresh: list[float] = []
    thread = threading.Thread(target=lambda: fresh.extend(_seconds(way) for _ in range(5)))
    thread.start()
    thread.join()
    later = statistics.median(timed[4:])
    passes = {
        "first": timed[0],
        "second": timed[1],
        "later (median)": later,
        "first in a new thread": fresh[0],
        "later in that thread (median)": statistics.median(fresh[1:]),
        "the choice of threads, all its passes": _seconds(segmenter.warm_up),
    }
    return [Warm(which, 1000 * seconds, seconds / later) for which, seconds in passes.items()]


def _seconds(way: Callable[[], None]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def variants(dtype: str, segmenter: Segmenter) -> dict[str, torch.nn.Module]:
    """The network in a dtype, in each memory format; scores stay fp32."""
    found = {}
    for layout, memory_format in FORMATS.items():
        network = copy.deepcopy(segmenter.network).to(DTYPES[dtype])
        network.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]
        cpu.fuse(network, DTYPES[dtype])  # where that works in this dtype
        for head in network.heads.values():
            head.score.float()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        found[layout] = network
    return found


def _way(
    network: torch.nn.Module, given: torch.Tensor, threads: int, layout: str, dtype: str
) -> Callable[[], None]:
    def run() -> object:
        batch = pad(given.to(DTYPES[dtype]) / 127.5 - 1)
        return network(batch.contiguous(memory_format=FORMATS[layout]))

    return _with_threads(threads, awaited("cpu", run))


def _with_threads(threads: int, way: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        torch.set_num_threads(threads)
        way()

    return run
