"""A class that uploads photos together: how long each waits, and that each gets its own back."""

import asyncio
import io
import json
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explainer.bench import client, machine
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.server import serving
from explainer.bench.timing import percentile
from explainer.fcn.photo import decode
from explainer.ui import samples

VISITORS = 30
VIEWER = "explainer.segment_viewer"
LONGEST = 768
"""The longest side that the network gets by default (explainer/ui/photo_source.py)."""
SIZE = (1280, 960)
SOURCES = ("cat", "astronaut", "motorbike", "coffee")
AGREEMENT = 0.999
"""The least share of pixels whose label is that of the photo run alone."""

Labels = Mapping[int, NDArray[np.uint8]]


@dataclass(frozen=True)
class Expected:
    """A photo that one visitor uploads, and what must come back.

    Attributes:
        name: of the file; data: its bytes.
        id: by which the page names the pixels: their size and CRC-32.
        labels: (height, width) by stride, of the photo run alone.
        seconds: that decoding and the network took, alone.
    """

    name: str
    data: bytes
    id: str
    labels: Labels
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What a visitor got.

    Attributes:
        id: of the photo on the page; None where there is none.
        labels: by stride, as the page shows them.
        seconds: from the upload's begin to the page drawn.
        says: the page's errors and warnings.
    """

    id: str | None
    labels: Labels
    seconds: float
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Which visitors did not get what they should have.

    Attributes:
        refused: their page says why; lost: no answer for their photo, and nothing said.
        mixed: another visitor's photo or labels.
        wrong: their photo, with labels that are neither theirs nor another's.
    """

    refused: tuple[int, ...]
    lost: tuple[int, ...]
    mixed: tuple[int, ...]
    wrong: tuple[int, ...]

    @property
    def good(self) -> bool:
        return not (self.refused or self.lost or self.mixed or self.wrong)


@dataclass(frozen=True)
class Row:
    """A round: every visitor uploads one photo at the same moment."""

    round: int = column("round")
    visitors: int = column("visitors")
    p50: float = column("p50, ms", 3)
    p95: float = column("p95, ms", 3)
    slowest: float = column("slowest, ms", 3)
    per_second: float = column("photos/s", 3)
    alone: float = column("network alone, photos/s", 3)
    ratio: float = column("× alone", 2)
    before: float | None = column("server before, MiB", 4)
    peak: float | None = column("server's peak, MiB", 4)
    refused: int = column("refused")
    lost: int = column("lost")
    mixed: int = column("mixed up")
    wrong: int = column("wrong labels")


def measure(options: Options) -> Report:
    """Rounds of uploads through the page's own uploader."""
    rounds = 1 if options.quick else 3
    photos = [
        expected(options.device, range(VISITORS * turn, VISITORS * (turn + 1)))
        for turn in range(rounds)
    ]
    with serving(environment={"EXPLAINER_DEVICE": options.device}) as server:
        server.wait()
        rows = asyncio.run(upload_rounds(server.port, server.pid, photos))
    last = rows[-1]
    bad = sum(row.refused + row.lost + row.mixed + row.wrong for row in rows)
    headline = Headline(
        f"{VISITORS} photos uploaded together, {SIZE[0]}×{SIZE[1]}",
        f"p50 {number(last.p50 / 1000, 2)} s, p95 {number(last.p95 / 1000, 2)} s, "
        f"{number(last.per_second, 2)} photos/s",
        f"decoding and the network alone, one by one: {number(last.alone, 2)} photos/s; "
        f"{bad or 'none'} lost, refused or mixed up",
    )
    notes = (
        "From the begin of the upload to the page drawn, over HTTP and websockets; the client "
        "counts on the same cores.",
        f"Each photo is another one: the page must name its CRC-32, and {AGREEMENT:.1%} of its "
        "labels in all three outputs must be those of the photo run alone.",
    )
    shows = (
        "All visitors upload a photo of their own at the same moment; each must get its own labels "
        "back. The last ratio is to decoding and the network alone, without server and pages."
    )
    return Report((Table("A class uploads photos", rows, notes, shows),), (headline,))


def photo(seed: int) -> bytes:
    """A sample photo, another part of it for each seed, as a JPEG of `SIZE`."""
    rng = np.random.default_rng(seed)
    with Image.open(io.BytesIO(samples.read(SOURCES[seed % len(SOURCES)]))) as sample:
        picture = sample.convert("RGB")
    width, height = picture.size
    share = rng.uniform(0.6, 0.95)
    left, top = rng.uniform(0, 1 - share, 2) * (width, height)
    box = (left, top, left + share * width, top + share * height)
    picture = picture.resize(SIZE, Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def photo_id(pixels: NDArray[np.uint8]) -> str:
    """The name that the page gives to a photo, (H, W, 3): width, height and CRC-32."""
    height, width, _ = pixels.shape
    return f"{width}x{height}-{zlib.crc32(pixels.tobytes()):08x}"


def expected(device: str, seeds: Sequence[int]) -> list[Expected]:
    """Photos, each run alone."""
    from explainer.fcn.segmenter import Segmenter

    segmenter = Segmenter.load(device=device)
    segmenter.warm_up()
    found: list[Expected] = []
    for seed in (seeds[0], *seeds):  # the first one warms up
        data = photo(seed)
        began = time.perf_counter()
        pixels = decode(data, longest=LONGEST).pixels
        labels = segmenter(pixels).labels
        took = time.perf_counter() - began
        found.append(Expected(f"photo{seed}.jpg", data, photo_id(pixels), labels, took))
    return found[1:]


def seen(run: client.Run, seconds: float) -> Answer:
    """What a visitor's page shows after a run."""
    says = tuple(run.alerts())
    viewer = run.component(VIEWER)
    if viewer is None or not viewer.bytes:
        return Answer(None, {}, seconds, says)
    name, labels = read_payload(viewer.bytes)
    return Answer(name, labels, seconds, says)


def read_payload(data: bytes) -> tuple[str, dict[int, NDArray[np.uint8]]]:
    """The photo's id and the label maps by stride out of the viewer's block of bytes.

    Its form: explainer/components/segment_viewer/payload.py.
    """
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    body = memoryview(data)[4 + length :]
    height, width = header["photo"]["height"], header["photo"]["width"]
    maps = {}
    for head in header["heads"]:
        first, size = head["labels"]
        runs = size // 5  # four bytes for the end of each run, one for its label
        ends = np.frombuffer(body, "<u4", runs, first)
        labels = np.frombuffer(body, np.uint8, runs, first + 4 * runs)
        maps[head["stride"]] = labels.repeat(np.diff(ends, prepend=0)).reshape(height, width)
    return header["photo"]["id"], maps


def agreement(one: Labels, other: Labels) -> float:
    """The share of pixels with the same label, in the output where it is least; 0 where the sizes
    or the outputs differ."""
    if one.keys() != other.keys() or not one:
        return 0.0
    return min(
        float((one[stride] == other[stride]).mean())
        if one[stride].shape == other[stride].shape
        else 0.0
        for stride in one
    )


def judge(photos: Sequence[Expected], answers: Sequence[Answer]) -> Verdict:
    """Whether each visitor got the answer to the own photo, in the same order."""
    refused, lost, mixed, wrong = [], [], [], []
    names = {photo.id for photo in photos}
    for place, (own, answer) in enumerate(zip(photos, answers, strict=True)):
        if answer.id != own.id:
            if answer.id in names:
                mixed.append(place)
            elif answer.says:
                refused.append(place)
            else:
                lost.append(place)
            continue
        if agreement(own.labels, answer.labels) >= AGREEMENT:
            continue
        others = (agreement(photo.labels, answer.labels) for photo in photos if photo is not own)
        (mixed if max(others, default=0.0) >= AGREEMENT else wrong).append(place)
    return Verdict(tuple(refused), tuple(lost), tuple(mixed), tuple(wrong))


async def upload_rounds(port: int, pid: int, rounds: Sequence[Sequence[Expected]]) -> list[Row]:
    """In each round every visitor uploads a photo; as many visitors as a round has photos.

    Args:
        port, pid: of the server.
    """
    opened = await client.open_many(port, len(rounds[0]))
    rows = []
    pages = [(session, run.uploader()) for session, run in opened]
    for turn, photos in enumerate(rounds, start=1):
        machine.forget_peak(pid)
        before = machine.resident(pid)
        began = time.perf_counter()
        given = await asyncio.gather(
            *(hand_in(*page, photo) for page, photo in zip(pages, photos, strict=True))
        )
        took = time.perf_counter() - began
        pages = [
            (session, uploader) for (session, _), (uploader, _) in zip(pages, given, strict=True)
        ]
        answers = [answer for _, answer in given]
        verdict = judge(photos, answers)
        times = [1000 * answer.seconds for answer in answers]
        alone = len(photos) / sum(photo.seconds for photo in photos)
        rows.append(
            Row(
                turn,
                len(photos),
                percentile(times, 50),
                percentile(times, 95),
                max(times),
                len(photos) / took,
                alone,
                len(photos) / took / alone,
                before,
                machine.peak(pid),
                *(
                    len(places)
                    for places in (verdict.refused, verdict.lost, verdict.mixed, verdict.wrong)
                ),
            )
        )
    await asyncio.gather(*(session.close() for session, _ in opened))
    return rows


async def hand_in(
    session: client.Session, uploader: str | None, photo: Expected
) -> tuple[str | None, Answer]:
    """Upload a photo; the id of the page's next uploader, and what the visitor then sees."""
    began = time.perf_counter()
    try:
        if uploader is None:
            raise client.VisitError("the page has no uploader")
        run = await session.upload(uploader, photo.name, photo.data)
    except client.VisitError as error:
        return uploader, Answer(None, {}, time.perf_counter() - began, (str(error),))
    assert run is not None, "nothing was broken off"
    return run.uploader(), seen(run, time.perf_counter() - began)
