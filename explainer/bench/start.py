"""From nothing to the first page and the first segmentation, and memory after many photos."""

import asyncio
import gc
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from explainer.bench import client, machine
from explainer.bench.class_photos import VIEWER
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.server import serving

LESSON = "convolution"
SIZES = ((768, 576), (576, 768), (768, 512), (512, 512), (640, 480))
"""Of the photos, width and height; several, for what is kept for each size."""
AT_ONCE, EACH = 5, 5
"""Visitors together, and photos of each until they leave."""


@dataclass(frozen=True)
class Row:
    """Seconds since the process began."""

    what: str = column("since the process began")
    median: float = column("s", 3)
    fastest: float = column("fastest", 3)
    slowest: float = column("slowest", 3)
    starts: int = column("starts")
    memory: float | None = column("server then, MiB", 4)


@dataclass(frozen=True)
class Memory:
    """Memory of a process that segments photos one after the other."""

    photos: int = column("photos", None)
    mib: float = column("MiB", 5)
    growth: float = column("MiB more than after warming up", 3)
    ratio: float = column("× after warming up", 3)


def measure(options: Options) -> Report:
    """Fresh servers, then one process through which the photos go."""
    count, starts = (50, 1) if options.quick else (1000, 3)
    found: dict[str, list[tuple[float, float | None]]] = {}
    for _ in range(starts):
        for page, what in (
            (LESSON, "first lesson page complete"),
            ("", "first segmentation shown"),
        ):
            health, complete = _start(options.device, page)
            found.setdefault("the server answers", []).append(health)
            found.setdefault(what, []).append(complete)
    rows = [_row(what, times) for what, times in found.items()]
    headlines = [
        Headline("process start to the first lesson page", f"{number(rows[1].median, 2)} s"),
        Headline("process start to the first segmentation", f"{number(rows[2].median, 2)} s"),
    ]
    tables = [
        Table(
            "Starting",
            rows,
            ("A new process each time; files are in the system's cache.",),
            "From the start of a new server process, its files in the system's cache.",
        )
    ]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        memory = pool.submit(memory_of_photos, options.device, count).result()
    if memory:
        note = (
            f"Noise of {len(SIZES)} sizes through the engine, in a process of its own: visitors, "
            f"{AT_ONCE} at a time, who hand in {EACH} photos and leave."
        )
        tables.append(Table("Memory after many photos", memory, (note,), note))
        headlines.append(
            Headline(
                f"memory after {number(count, 4)} photos",
                f"{number(memory[-1].mib, 3)} MiB",
                f"{memory[-1].growth:+.0f} MiB since {memory[0].photos} photos",
            )
        )
    return Report(tuple(tables), tuple(headlines))


def _start(device: str, page: str) -> tuple[tuple[float, float | None], tuple[float, float | None]]:
    """Seconds and memory when a new server answers, and when a page of it is complete."""
    with serving(environment={"EXPLAINER_DEVICE": device}) as server:
        server.wait()
        health = time.perf_counter() - server.started, machine.resident(server.pid)

        async def visit() -> client.Run:
            session, run = await client.Session.open(server.port, page)
            await session.close()
            return run

        run = asyncio.run(visit())
        if not run.ok or (page == "" and run.component(VIEWER) is None):
            raise client.VisitError(f"the page is not complete: {run.alerts() or 'no picture'}")
        return health, (time.perf_counter() - server.started, machine.resident(server.pid))


def _row(what: str, found: list[tuple[float, float | None]]) -> Row:
    times = [seconds for seconds, _ in found]
    return Row(what, statistics.median(times), min(times), max(times), len(times), found[-1][1])


def memory_of_photos(device: str, count: int) -> list[Memory]:
    """Memory of this process after a tenth of the photos and at the end; empty where the system
    does not tell."""
    from explainer.bench.networks import three_heads
    from explainer.fcn.engine import Engine

    engine = Engine(lambda: three_heads(device))
    rng = np.random.default_rng(0)
    marks = sorted({max(count // 10, 1), count // 4, count // 2, 3 * count // 4, count})
    found: list[Memory] = []
    for done in range(1, count + 1):
        width, height = SIZES[done % len(SIZES)]
        group, place = (done - 1) // (AT_ONCE * EACH), done % AT_ONCE
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        engine.segment((group, place), photo).result()
        if done % (AT_ONCE * EACH) == 0:
            for number in range(AT_ONCE):
                engine.leave((group, number))
        if done in marks:
            gc.collect()
            now = machine.resident()
            if now is None:
                return []
            first = found[0].mib if found else now
            found.append(Memory(done, now, now - first, now / first))
    engine.close()
    return found
