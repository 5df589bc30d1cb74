"""`python -m explainer.bench.soak`: visitors who come, use the app, do it harm and go, for minutes.

Afterwards the server must answer, have the memory, files and threads that it had, and no line in
its log may be an unhandled exception.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from explainer.bench import client, machine
from explainer.bench.class_photos import VIEWER, photo
from explainer.bench.reruns import address
from explainer.bench.server import Server, serving
from explainer.ui.lessons import LESSONS, PAGES

AT_ONCE = 6
"""Visitors at the same time, at most."""

RATE = 3.0
"""Visitors who come in a second, at most."""

FORGOTTEN = 125.0
"""Seconds after which Streamlit forgets a visitor who left (120, and a margin)."""

COLLECTED = 31.0
"""Seconds after which the app runs Python's collector again (explainer/ui/shell.py)."""

TOLERANCE = 0.10
LEAST_TOLERANCE = 64.0
"""The share, and the MiB, by which memory may have grown, whichever is more: an allocator's heaps
do not shrink to what they were."""

FEW = 8
"""Files and threads more than before that are no leak: pools fill as they are used."""

BUSY = "visitors wait for the network already"
"""Of the sentence that a page may answer a photo with."""

_BEGINS = (
    "Traceback (most recent call last)",
    "Exception in ",
    "Exception ignored in",
    "Task exception was never retrieved",
    "Fatal Python error",
    "Segmentation fault",
)

BAD_FILES = (
    ("empty.jpg", b""),
    ("words.jpg", b"This is no picture. " * 50),
    ("cut.jpg", b"half"),  # of a photo; see _bad_file
    (
        "huge.png",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x00\x00\x00\x01\x00\x00\x08\x02\x00\x00\x00",
    ),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ("zeros.bin", bytes(3_000_000)),
)
NONSENSE = (
    "size=-1&stride=zero&kernel=999999",
    "photo=nobody&side=1",
    "x=" + "9" * 5000,
    "view=%00%ff&pin=1.2.3",
    "kernel=" + "%F0%9F%92%A5" * 100,
)


@dataclass
class Tally:
    """What the visitors did and met.

    Attributes:
        visits: by what they did.
        faults: what should not have happened, by its text.
    """

    visits: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Usage:
    """What a process holds; None where the system does not tell."""

    mib: float | None
    files: int | None
    threads: int | None

    @classmethod
    def of(cls, pid: int) -> "Usage":
        return cls(machine.resident(pid), machine.open_files(pid), machine.threads(pid))

    def line(self) -> str:
        """In words."""
        mib = "memory unknown" if self.mib is None else f"{self.mib:.0f} MiB"
        return f"{mib}, {self.files} files, {self.threads} threads"


def exceptions(log: str) -> Counter[str]:
    """The unhandled exceptions in a log, each by its last line ("ValueError: …"), and how often."""
    found: Counter[str] = Counter()
    open_ = ""
    for line in log.splitlines():
        begins = any(mark in line for mark in _BEGINS)
        if begins and not open_:
            open_ = line.strip()
        elif open_ and not begins and line and not line[0].isspace():
            # The first line that is not indented ends a traceback, and names the exception.
            found[line.strip()] += 1
            open_ = ""
    if open_:
        found[open_] += 1
    return found


def grown(before: Usage, after: Usage) -> list[str]:
    """What a process holds beyond the tolerances, one sentence each."""
    said = []
    if before.mib is not None and after.mib is not None:
        allowed = max(TOLERANCE * before.mib, LEAST_TOLERANCE)
        if after.mib - before.mib > allowed:
            said.append(
                f"memory grew from {before.mib:.0f} to {after.mib:.0f} MiB; {allowed:.0f} MiB "
                "more would be tolerable"
            )
    for name in ("files", "threads"):
        one, other = getattr(before, name), getattr(after, name)
        if one is not None and other is not None and other - one > FEW:
            said.append(f"open {name} grew from {one} to {other}; {FEW} more would be tolerable")
    return said


def verdict(
    answers: bool, before: Usage, after: Usage, faults: Counter[str], log: str
) -> list[str]:
    """What is wrong after a soak, one sentence each; empty where all is well.

    Args:
        answers: whether the server still does.
        faults: of the visitors.
        log: of the server.
    """
    said = [] if answers else ["the server does not answer"]
    said += grown(before, after)
    said += [f"{count} × a visitor met: {what}" for what, count in faults.most_common()]
    said += [f"{count} × in the log: {what}" for what, count in exceptions(log).most_common()]
    return said


async def visit_for(port: int, seconds: float, seed: int) -> Tally:
    """Visitors, at most `AT_ONCE` together and `RATE` a second, until the time is over."""
    tally, rng = Tally(), random.Random(seed)
    token = await asyncio.to_thread(client.xsrf_token, port)
    good = [photo(number) for number in range(4)]
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, seed: int) -> None:
        async with room:
            try:
                await KINDS[name](Visitor(port, token, random.Random(seed), good, tally))
            except client.VisitError as error:
                tally.faults[f"{name}: {error}"] += 1
            tally.visits[name] += 1

    end = time.monotonic() + seconds
    names = list(KINDS)
    under_way: set[asyncio.Task[None]] = set()
    while time.monotonic() < end:
        began = time.monotonic()
        await room.acquire()  # nobody queues up: a slow server gets fewer visitors
        room.release()
        task = asyncio.create_task(one(rng.choice(names), rng.getrandbits(32)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(max(1 / RATE - (time.monotonic() - began), 0))
    await asyncio.gather(*under_way)
    return tally


@dataclass
class Visitor:
    """One who comes to the server; all that is needed to act."""

    port: int
    token: str
    rng: random.Random
    photos: Sequence[bytes]
    tally: Tally

    async def open(self, page: str = "", query: str = "") -> tuple[client.Session, client.Run]:
        session, run = await client.Session.open(self.port, page, query, token=self.token)
        self.check(run, page)
        return session, run

    def check(self, run: client.Run, page: str) -> None:
        """A page must be drawn to its end, without a traceback on it."""
        where = page or "the first page"
        if not run.ok:
            self.tally.faults[f"{where} was not drawn to its end"] += 1
        for element in run.elements:
            if element.WhichOneof("type") == "exception":
                self.tally.faults[f"a traceback on {where}: {element.exception.message}"] += 1

    async def leave(self, session: client.Session) -> None:
        """By closing the tab, or by losing the network."""
        if self.rng.random() < 0.5:
            session.abort()
        else:
            await session.close()


def photo_faults(run: client.Run) -> list[str]:
    """What is wrong with the page after a photo was uploaded, one sentence each."""
    said = [text for text in run.alerts() if BUSY not in text]
    faults = [f"a photo was uploaded, and the page says: {text}" for text in said]
    if run.component(VIEWER) is None and not run.alerts():
        faults.append("a photo was uploaded, and the page shows nothing")
    return faults


async def _lesson(visitor: Visitor) -> None:
    page = address(visitor.rng.choice(PAGES))
    session, run = await visitor.open(page)
    steps = run.steps()
    for turn in range(visitor.rng.randrange(6)):
        run = await session.rerun([steps[turn % 2]] if steps else [])
        visitor.check(run, page)
    await visitor.leave(session)


async def _nonsense(visitor: Visitor) -> None:
    page = address(visitor.rng.choice(LESSONS))
    session, _ = await visitor.open(page, visitor.rng.choice(NONSENSE))
    await visitor.leave(session)


async def _photo(visitor: Visitor) -> None:
    session, run = await visitor.open()
    for _ in range(visitor.rng.randrange(1, 3)):
        uploader = run.uploader()
        if uploader is None:
            raise client.VisitError("the page has no uploader")
        given = await session.upload(uploader, "photo.jpg", visitor.rng.choice(visitor.photos))
        assert given is not None, "nothing was broken off"
        run = given
        visitor.check(run, "")
        visitor.tally.faults.update(photo_faults(run))
    await visitor.leave(session)


async def _bad_file(visitor: Visitor) -> None:
    session, run = await visitor.open()
    uploader = run.uploader()
    name, data = visitor.rng.choice(BAD_FILES)
    if name == "cut.jpg":
        data = visitor.photos[0][: len(visitor.photos[0]) // 3]
    if uploader is None:
        raise client.VisitError("the page has no uploader")
    given = await session.upload(uploader, name, data)
    assert given is not None, "nothing was broken off"
    visitor.check(given, "")
    if not given.alerts():
        visitor.tally.faults[f"the page says nothing about {name}"] += 1
    await visitor.leave(session)


async def _broken_upload(visitor: Visitor) -> None:
    session, run = await visitor.open()
    uploader = run.uploader()
    if uploader is None:
        raise client.VisitError("the page has no uploader")
    data = visitor.rng.choice(visitor.photos)
    await session.upload(uploader, "half.jpg", data, stop_after=visitor.rng.randrange(len(data)))
    if visitor.rng.random() < 0.5:  # the others are gone altogether
        visitor.check(await session.rerun(), "")
    await visitor.leave(session)


async def _gone_in_a_run(visitor: Visitor) -> None:
    session, run = await visitor.open(query=f"side={visitor.rng.choice((384, 512))}")
    steps = run.steps()
    await session.start([steps[0]] if steps else [])
    await asyncio.sleep(visitor.rng.uniform(0, 0.2))
    session.abort()


KINDS: dict[str, Callable[[Visitor], Awaitable[None]]] = {
    "moves controls on a page": _lesson,
    "comes with nonsense in the address": _nonsense,
    "uploads photos": _photo,
    "uploads a bad file": _bad_file,
    "breaks off an upload": _broken_upload,
    "leaves while the page runs": _gone_in_a_run,
}


async def settle(server: Server) -> Usage:
    """What the server holds once its visitors are forgotten and Python's collector has run.

    Streamlit forgets visitors when the next one leaves, and the app collects after a photo.
    """
    for pause in (FORGOTTEN, COLLECTED, COLLECTED):
        await asyncio.sleep(pause)
        session, _ = await client.Session.open(server.port)
        await session.close()
    await asyncio.sleep(2)
    return Usage.of(server.pid)


async def soak(server: Server, minutes: float, seed: int) -> list[str]:
    """Visit, and judge.

    Returns:
        What is wrong, one sentence each; empty where all is well.
    """
    warm = await visit_for(server.port, 60 * min(minutes / 2, 2), seed)
    before = await settle(server)
    print(f"after warming up ({warm.visits.total()} visits): {before.line()}", flush=True)
    tally = await visit_for(server.port, 60 * minutes, seed + 1)
    print(f"just after the last visit: {Usage.of(server.pid).line()}", flush=True)
    after = await settle(server)
    print(f"settled: {after.line()}", flush=True)
    for name, count in tally.visits.most_common():
        print(f"{count:6} × {name}")
    return verdict(server.answers(), before, after, warm.faults + tally.faults, server.log())


def main(argv: Sequence[str] | None = None) -> int:
    """Soak a server of its own; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m explainer.bench.soak",
        description="Visitors who come, use the app, do it harm and go, on a server of its own on "
        "127.0.0.1; then: does it answer, is memory where it was, is the log free of exceptions?",
        epilog=f"Beside the minutes asked for it takes up to 2 to warm up, and twice "
        f"{(FORGOTTEN + 2 * COLLECTED) / 60:.0f} until Streamlit has forgotten all visitors and "
        "the collector has run. exit status: 0 all well, 1 something is wrong, 2 wrong use",
        allow_abbrev=False,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of visits (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of what the visitors do")
    parser.add_argument("--device", help="cpu, cuda, …; default: the fastest there is")
    options = parser.parse_args(argv)
    if not 0 < options.minutes <= 600:
        parser.error("--minutes must be above 0 and at most 600")
    environment = {"EXPLAINER_DEVICE": options.device} if options.device else {}
    with serving(environment=environment) as server:
        server.wait()
        said = asyncio.run(soak(server, options.minutes, options.seed))
        if any("in the log" in line for line in said):
            print(f"\nthe server's log:\n{server.log()}", file=sys.stderr)
    for line in said:
        print(f"wrong: {line}")
    print("FAILED" if said else "all well")
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
