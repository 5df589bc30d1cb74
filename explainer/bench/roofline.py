"""How near a pass comes to what the device can compute and move (the roofline)."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from explainer.bench.compute import Peaks, awaited, photos, wait_for
from explainer.bench.counting import LayerCost, cost, watching
from explainer.bench.networks import Pass, large, scores_of, three_heads
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options

SIZES = ((384, 512, 1), (576, 768, 1), (384, 512, 8))
QUICK = ((384, 512, 1),)
REST = "all else"
TURNS = 9


@dataclass(frozen=True)
class Row:
    """The convolutions of a kind in a pass, all of them together, or what is none of them."""

    network: str = column("network")
    size: str = column("photos")
    kind: str = column("layers")
    layers: int | None = column("number", None, brief=False)
    gmac: float | None = column("10⁹ multiply-adds", 3)
    megabytes: float | None = column("MB moved", 3)
    milliseconds: float = column("ms", 3)
    attainable: float | None = column("ms at the limit", 3)
    bound: str | None = column("limit")
    fraction: float | None = column("% of the limit", 2)
    share: float = column("% of the pass", 2)


@dataclass(frozen=True)
class Limit:
    """What the device can do, measured in this run."""

    dtype: str = column("dtype")
    gflops: float = column("10⁹ operations/s, matrix product", 4)
    gigabytes: float = column("GB/s, copy", 3)
    balance: float = column("operations a byte where both limits meet", 3)


def measure(options: Options) -> Report:
    """Every kind of layer of the product's network, and FCN-ResNet50 beside it."""
    device = options.device
    ours = three_heads(device)
    seconds = 1.0 if options.quick else 3.0
    peaks = Peaks(device, ours.dtype, seconds)
    peaks.look()
    passes: list[Timed] = []
    budget = 5.0 if options.quick else 20.0
    for height, width, batch in QUICK if options.quick else SIZES:
        given = photos(batch, height, width, device)
        passes.append(timed("ours", ours.network, scores_of(ours), given, device, budget))
    network, run = large(device)
    given = photos(1, 384, 512, device)
    passes.append(timed("FCN-ResNet50", network, run, given, device, budget))
    peaks.look()
    flops, moved = peaks.flops, peaks.moved
    rows = [row for timed_pass in passes for row in timed_pass(flops, moved)]
    limit = Limit(str(ours.dtype).removeprefix("torch."), flops / 1e9, moved / 1e9, flops / moved)
    total = next(row for row in rows if row.kind == "the whole pass")
    assert total.fraction is not None
    notes = (
        "A multiply-add is two operations. Moved are input, weights and output of each layer, "
        "once; a layer's limit is the longer of computing and moving.",
        f"“{REST}” is the pass without its convolutions: activations, sums, the heads' means.",
    )
    headline = Headline(
        f"share of the roofline, {total.size}",
        f"{number(total.fraction, 2)} %",
        f"limits measured in the same run: {number(flops / 1e9, 3)} GFLOP/s, "
        f"{number(moved / 1e9, 3)} GB/s",
    )
    limits = (
        "The fastest matrix product and the fastest copy before and after; a layer that does more "
    )
    limits += "operations a byte than the last column is limited by computing, else by moving."
    shows = (
        "How near a pass comes to the time that computing and moving must take at least; all its "
        "layers together, and those of our network that take longest."
    )
    brief = [row for row in rows if row.kind == "the whole pass"]
    first = [row for row in rows if (row.network, row.size) == (total.network, total.size)]
    brief[1:1] = [row for row in first if row.fraction is not None][:3]
    return Report(
        (
            Table("What the device can do", [limit], shows=limits),
            Table("Share of the roofline", rows, notes, shows, brief),
        ),
        (headline,),
    )


Timed = Callable[[float, float], list[Row]]
"""The rows of a timed pass, once the device's operations and bytes a second are known."""


def timed(
    name: str, network: nn.Module, run: Pass, given: Tensor, device: str, budget: float
) -> Timed:
    """Time a network and its layers on photos (N, 3, H, W).

    Args:
        budget: seconds after which no further turn begins; medians count, layer by layer.
    """
    way = awaited(device, lambda: run(given))
    way()
    whole, layers = [], []
    began = time.perf_counter()
    while not whole or (len(whole) < TURNS and time.perf_counter() - began < budget):
        start = time.perf_counter()
        way()
        whole.append(time.perf_counter() - start)
        layers.append(timed_layers(network, way, device))
    found = [layer for layer, _ in layers[0]]
    times = [statistics.median(turn[place][1] for turn in layers) for place in range(len(found))]
    size = f"{given.shape[0]} × {given.shape[3]}×{given.shape[2]}"
    return partial(table, name, size, found, times, statistics.median(whole))


def timed_layers(
    network: nn.Module, way: Callable[[], None], device: str
) -> list[tuple[LayerCost, float]]:
    """What each convolution of a pass costs, and the seconds that it took."""
    found: list[tuple[LayerCost, float]] = []
    if device.startswith("cuda"):
        # Waiting after each layer would add the time of a launch to every one.
        events: list[tuple[LayerCost, torch.cuda.Event, torch.cuda.Event]] = []
        starts: list[torch.cuda.Event] = []

        def mark(layer: nn.Conv2d) -> None:
            starts.append(torch.cuda.Event(enable_timing=True))
            starts[-1].record()

        def note(layer: nn.Conv2d, x: Tensor, y: Tensor) -> None:
            end = torch.cuda.Event(enable_timing=True)
            end.record()
            events.append((cost(layer, x, y), starts.pop(), end))

        with watching(network, mark, note):
            way()
        return [(layer, start.elapsed_time(end) / 1000) for layer, start, end in events]
    began = 0.0

    def start(layer: nn.Conv2d) -> None:
        nonlocal began
        wait_for(device)
        began = time.perf_counter()

    def stop(layer: nn.Conv2d, x: Tensor, y: Tensor) -> None:
        wait_for(device)
        found.append((cost(layer, x, y), time.perf_counter() - began))

    with watching(network, start, stop):
        way()
    return found


def table(
    name: str,
    size: str,
    layers: Sequence[LayerCost],
    times: Sequence[float],
    whole: float,
    flops: float,
    moved: float,
) -> list[Row]:
    """The rows: kinds of layers by time, what is no convolution, and the pass.

    Args:
        times: seconds of each layer; whole: of the pass without anybody watching its layers.
        flops, moved: the device's operations and bytes a second.
    """
    kinds: dict[str, list[tuple[LayerCost, float]]] = defaultdict(list)
    for layer, seconds in zip(layers, times, strict=True):
        kinds[layer.kind].append((layer, seconds))
    rows = [
        _row(
            name, size, kind, [layer for layer, _ in of], sum(t for _, t in of), whole, flops, moved
        )
        for kind, of in kinds.items()
    ]
    rows.sort(key=lambda row: -row.milliseconds)
    rest = max(whole - sum(times), 0.0)
    rows.append(
        Row(name, size, REST, None, None, None, 1000 * rest, None, None, None, 100 * rest / whole)
    )
    rows.append(_row(name, size, "the whole pass", layers, whole, whole, flops, moved))
    return rows


def _row(
    name: str,
    size: str,
    kind: str,
    layers: Sequence[LayerCost],
    seconds: float,
    whole: float,
    flops: float,
    moved: float,
) -> Row:
    best = sum(layer.attainable(flops, moved) for layer in layers)
    computing = sum(2 * layer.multiply_adds / flops for layer in layers)
    moving = sum(layer.bytes / moved for layer in layers)
    return Row(
        name,
        size,
        kind,
        len(layers),
        sum(layer.multiply_adds for layer in layers) / 1e9,
        sum(layer.bytes for layer in layers) / 1e6,
        1000 * seconds,
        1000 * best,
        "computing" if computing > moving else "moving",
        100 * best / seconds,
        100 * seconds / whole,
    )
