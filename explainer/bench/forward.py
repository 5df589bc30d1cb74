"""One pass with three heads, against three nets, and against an FCN of today's size."""

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from explainer.bench.compute import awaited, memory_left, peak_of, photos
from explainer.bench.networks import large, scores_of, three_heads, three_nets
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.timing import alternate, ratio
from explainer.fcn.result import Segmentation
from explainer.fcn.segmenter import Segmenter, bucket, together

OURS, THREE, LARGE = "one pass, three heads", "three nets", "FCN-ResNet50"
PRODUCT = "the product, photo to labels"
SIZES = (224, 320, 512, 768, 1024)
BATCHES = (1, 2, 4, 8, 16, 32)
FEW = 8
"""Turns beside the large network below which the others take some more."""
QUICK = ((224, 1), (512, 1), (512, 8), (768, 1), (1024, 1))
MEMORY_SHARE = 0.6
"""So much of the memory that is left a pass may be expected to need."""


@dataclass(frozen=True)
class Row:
    """A network at a size and a batch."""

    size: int = column("pixels a side")
    batch: int = column("batch")
    network: str = column("network")
    milliseconds: float | None = column("ms a pass", 3)
    photos_per_second: float | None = column("photos/s", 3)
    peak_mib: float | None = column("peak MiB", 3)
    ratio: float | None = column("× one pass", 3)
    turns: int = column("turns", brief=False)


def measure(options: Options) -> Report:
    """Every network at every size and batch that time and memory allow."""
    device = options.device
    product = three_heads(device)
    nets = [scores_of(net) for net in three_nets(device)]
    _, resnet = large(device)
    networks: dict[str, Callable[[torch.Tensor], object]] = {
        PRODUCT: lambda batch: photos_to_labels(product, batch),
        OURS: scores_of(product),
        THREE: lambda batch: [net(batch) for net in nets],
        LARGE: resnet,
    }
    plan = QUICK if options.quick else [(size, batch) for size in SIZES for batch in BATCHES]
    longest, budget = (8.0, 6.0) if options.quick else (20.0, 15.0)
    limits: dict[str, Rates] = {name: Rates() for name in networks}
    rows: list[Row] = []
    for size, batch in plan:
        pixels = size * size * batch
        on_host = photos(batch, size, size, "cpu")
        given = on_host.to(device)
        left = memory_left(device)
        ways: dict[str, Callable[[], None]] = {}
        peaks: dict[str, float | None] = {}
        for name, network in networks.items():
            if not limits[name].allow(pixels, longest, left):
                continue
            pixels_in = on_host if name == PRODUCT else given
            way = awaited(device, lambda network=network, pixels_in=pixels_in: network(pixels_in))
            way()  # kernels are chosen and memory is there
            peaks[name] = peak_of(device, way)
            limits[name].peak(pixels, peaks[name])
            ways[name] = way
        if not ways:
            continue
        times = alternate(ways, 20, budget=budget)
        if LARGE in ways and len(times[LARGE]) < FEW:  # it used up the time of the others
            del ways[LARGE]
            for name, more in alternate(ways, 20, budget=budget / 3).items():
                times[name] += more
        for name in times:
            limits[name].time(pixels, min(times[name]))
        rows += [row(size, batch, name, times, peaks.get(name)) for name in networks]
    notes = (
        "uint8 photos on the device to score maps; the networks take turns, the times are medians, "
        "the ratios medians over the turns.",
        f"“{PRODUCT}”: from photos in the computer's memory to labels of every pixel at three "
        "strides there, in the passes that the engine makes of a batch; on CUDA these are captured "
        "graphs, the other rows are not.",
        "FCN-ResNet50 has torchvision's shape (stride 8, 33.0 million weights), its batch norm "
        "folded as in the others; three nets run one after the other.",
        f"{'–'}: more than {longest:g} s a pass or {MEMORY_SHARE:.0%} of the free memory expected, "
        "not run.",
    )
    shows = (
        "How long three separate nets and an FCN of today's size take beside the one pass that "
        "gives all three score maps. Score maps only, but for the product's own rows, which begin "
        "with photos in the computer's memory and end with labels."
    )
    table = Table("One pass with three heads", rows, notes, shows, brief(rows))
    return Report((table,), headlines(rows))


def photos_to_labels(segmenter: Segmenter, batch: torch.Tensor) -> list[Segmentation]:
    """What the engine does with a batch: passes of as many photos as the device takes, so many of
    them under way at a time.

    Args:
        batch: (N, 3, H, W) uint8 on the CPU.
    """
    pixels = [np.ascontiguousarray(photo) for photo in batch.permute(0, 2, 3, 1).numpy()]
    done: list[Segmentation] = []
    under_way: deque[Callable[[], list[Segmentation]]] = deque()
    at_once = together(segmenter, bucket(pixels[0]))
    for first in range(0, len(pixels), at_once):
        under_way.append(segmenter.launch(pixels[first : first + at_once]))
        if len(under_way) >= segmenter.passes_at_once:
            done += under_way.popleft()()
    while under_way:
        done += under_way.popleft()()
    return done


def brief(rows: Sequence[Row]) -> list[Row]:
    """One photo at every size, and the largest batch of 512 pixels at which all were run."""
    left_out = {(row.size, row.batch) for row in rows if row.milliseconds is None}
    most = max(
        (row.batch for row in rows if row.size == 512 and (512, row.batch) not in left_out),
        default=1,
    )
    return [row for row in rows if row.batch == 1 or (row.size, row.batch) == (512, most)]


@dataclass
class Rates:
    """What a pass needed so far for each pixel, to tell beforehand what a larger one will."""

    seconds: float | None = None
    mib: float | None = None

    def allow(self, pixels: int, longest: float, left: float | None) -> bool:
        """Whether a pass over so many pixels can be expected to end in time and fit in memory.

        Args:
            longest: seconds.
            left: MiB; None where nobody can tell.
        """
        if self.seconds is not None and self.seconds * pixels > longest:
            return False
        return left is None or self.mib is None or self.mib * pixels < MEMORY_SHARE * left

    def time(self, pixels: int, seconds: float) -> None:
        self.seconds = seconds / pixels

    def peak(self, pixels: int, mib: float | None) -> None:
        # The peak of a small pass may hide in memory kept from before: the largest counts.
        if mib is not None:
            self.mib = max(self.mib or 0.0, mib / pixels)


def row(
    size: int, batch: int, name: str, times: Mapping[str, list[float]], peak: float | None
) -> Row:
    """The row of a network, empty where it was not run."""
    if name not in times:
        return Row(size, batch, name, None, None, None, None, 0)
    seconds = statistics.median(times[name])
    turns = len(times[name])
    both = {name: times[name], OURS: times.get(OURS, [])[:turns]}
    beside = ratio(both, name, OURS) if OURS in times else None
    return Row(size, batch, name, 1000 * seconds, batch / seconds, peak, beside, turns)


def headlines(rows: list[Row]) -> tuple[Headline, ...]:
    """The pass at 512 pixels, or what comes nearest, beside the other two; and the best rate."""
    done = [row for row in rows if row.network == OURS and row.milliseconds is not None]
    alone = [row for row in done if row.batch == 1]
    if not alone:
        return ()
    shown = min(alone, key=lambda row: abs(math.log(row.size / 512)))
    others = [
        f"{row.network} {number(row.ratio, 2)}× as long"
        for row in rows
        if (row.size, row.batch) == (shown.size, 1) and row.network != OURS and row.ratio
    ]
    best = max(done, key=lambda row: row.photos_per_second or 0)
    assert shown.milliseconds is not None
    assert best.photos_per_second is not None
    return (
        Headline(
            f"three score maps of a photo of {shown.size}×{shown.size}, one pass",
            f"{number(shown.milliseconds, 2)} ms",
            "; ".join(others),
        ),
        Headline(
            "most photos a second",
            f"{number(best.photos_per_second, 2)}/s",
            f"at {best.size}×{best.size}, batch {best.batch}",
        ),
    )
