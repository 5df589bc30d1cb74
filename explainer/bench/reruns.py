"""How fast pages answer a moved control, with one visitor and with a class."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from explainer.bench import client
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.server import BARE, serving
from explainer.bench.timing import percentile
from explainer.ui.lessons import PAGES, Lesson

VISITORS = (1, 10, 30)
BARE_TITLE = "a bare page"


@dataclass(frozen=True)
class Brief:
    """A page alone and with a class."""

    page: str = column("page")
    one: float = column("p50 with 1, ms", 3)
    ten: float = column("p50 with 10, ms", 3)
    thirty: float = column("p50 with 30, ms", 3)
    slow: float = column("p95 with 30, ms", 3)
    rate_one: float = column("reruns/s with 1", 3)
    rate_thirty: float = column("reruns/s with 30", 3)
    ratio: float = column("30 × 1", 3)
    floor: float = column("p50 with 1 × a bare page", 2)
    floor_thirty: float = column("p50 with 30 × a bare page", 2)


@dataclass(frozen=True)
class Row:
    """A page with a number of visitors, who all move a control as soon as the last one is drawn."""

    page: str = column("page")
    visitors: int = column("visitors")
    control: str = column("control")
    reruns: int = column("reruns", None)
    per_second: float = column("reruns/s", 3)
    p50: float = column("p50, ms", 3)
    p95: float = column("p95, ms", 3)
    kilobytes: float = column("kB a rerun", 3)
    failed: int = column("failed")


def measure(options: Options) -> Report:
    """Every page over real websockets; the visitors and the server share this machine's cores."""
    seconds = 1.5 if options.quick else 8.0
    titles = {lesson.title: address(lesson) for lesson in PAGES}
    with serving(environment={"EXPLAINER_DEVICE": options.device}) as server:
        server.wait()
        rows = asyncio.run(_pages(server.port, titles, VISITORS, seconds))
    with serving(BARE) as server:
        server.wait()
        bare = asyncio.run(_pages(server.port, {BARE_TITLE: ""}, VISITORS, seconds))
    lessons = [row for row in rows if row.visitors == max(VISITORS)]
    slow, fast = (pick(lessons, key=lambda row: row.per_second) for pick in (min, max))
    alone = sorted(row.p50 for row in rows if row.visitors == 1)
    headlines = (
        Headline(
            "a moved control to the page drawn anew, one visitor",
            f"{number(alone[0], 2)} … {number(alone[-1], 2)} ms, median page "
            f"{number(alone[len(alone) // 2], 2)} ms",
            "over a websocket, without the browser's part",
        ),
        Headline(
            f"reruns with {max(VISITORS)} visitors at once",
            f"{number(slow.per_second, 2)} … {number(fast.per_second, 2)}/s",
            f"{slow.page} and {fast.page}; p95 {number(slow.p95, 2)} and {number(fast.p95, 2)} ms",
        ),
    )
    notes = (
        "No visitor pauses: more than a real class asks for. The client counts on the same cores.",
        "The control is the first slider or choice of the page, moved a step and back; where there "
        "is none, the page runs as it is.",
    )
    shows = (
        "From a moved control to the end of the page's script, over websockets, for visitors who "
        "never pause; 30 × 1 is the ratio of the reruns a second with 30 visitors and with one; "
        "the bare page has one slider and one picture."
    )
    return Report(
        (
            Table("Reruns", [*rows, *bare], notes),
            Table("Reruns by page", brief([*rows, *bare]), shows=shows),
        ),
        headlines,
    )


def brief(rows: Sequence[Row]) -> list[Brief]:
    """A row for each page; the bare one is among them."""
    found = []

    def measured(page: str) -> list[Row]:
        return [
            next(row for row in rows if (row.page, row.visitors) == (page, count))
            for count in VISITORS
        ]

    bare, _, bare_thirty = measured(BARE_TITLE)
    for page in dict.fromkeys(row.page for row in rows):
        one, ten, thirty = measured(page)
        found.append(
            Brief(
                page,
                one.p50,
                ten.p50,
                thirty.p50,
                thirty.p95,
                one.per_second,
                thirty.per_second,
                thirty.per_second / one.per_second,
                one.p50 / bare.p50,
                thirty.p50 / bare_thirty.p50,
            )
        )
    return found


def address(lesson: Lesson) -> str:
    """The page's name in its address; the first page has none."""
    path = PurePath(lesson.path)
    return path.stem if path.parts[0] == "pages" else ""


async def _pages(
    port: int, pages: Mapping[str, str], visitors: Sequence[int], seconds: float
) -> list[Row]:
    """A row for each page, its address by its title, and number of visitors."""
    rows = []
    for title, name in pages.items():
        opened = await client.open_many(port, max(visitors), name)
        for count in visitors:
            rows.append(await moving(title, opened[:count], seconds))
        await asyncio.gather(*(session.close() for session, _ in opened))
    return rows


async def moving(
    page: str, opened: Sequence[tuple[client.Session, client.Run]], seconds: float
) -> Row:
    """All visitors move the page's first control there and back for so many seconds.

    Args:
        page: its title, for the row.
        opened: the visitors, and what the page looked like when it was opened.
    """
    steps = opened[0][1].steps()
    for state in steps or ():  # both states once: code is loaded, large messages are known
        await asyncio.gather(*(session.rerun([state]) for session, _ in opened))
    runs: list[client.Run] = []
    end = time.perf_counter() + seconds

    async def move(session: client.Session) -> None:
        turn = 0
        while time.perf_counter() < end:
            runs.append(await session.rerun([steps[turn % 2]] if steps else []))
            turn += 1

    began = time.perf_counter()
    await asyncio.gather(*(move(session) for session, _ in opened))
    took = time.perf_counter() - began
    times = [1000 * run.seconds for run in runs]
    return Row(
        page,
        len(opened),
        steps[0].id.rpartition("-")[2] if steps else "none",
        len(runs),
        len(runs) / took,
        percentile(times, 50),
        percentile(times, 95),
        sum(run.size for run in runs) / len(runs) / 1000,
        sum(not run.ok for run in runs),
    )
