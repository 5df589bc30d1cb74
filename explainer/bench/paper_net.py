"""FCN-VGG16 as in the paper: one pass against three nets, the roofline, dense upsampling.

The weights are random: times do not depend on their values.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from explainer.bench import roofline
from explainer.bench.compute import (
    Peaks,
    awaited,
    memory_left,
    peak_of,
    photos,
)
from explainer.bench.forward import Rates
from explainer.bench.networks import Pass
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.timing import alternate, ratio
from explainer.fcn.checkpoints import Prepared, untrained
from explainer.fcn.geometry import PIXELS, Upsampling
from explainer.fcn.network import STRIDES, fuse, upsample
from explainer.fcn.published import DEFINITIONS, PublishedFCN
from explainer.fcn.segmenter import trunk_dtype

NAME = "fcn-vgg16"
SIZE = 500
"""Pixels a side, as in the paper's table of times."""
BATCHES, QUICK = (1, 8), (1,)
TURNS = 9
ONE, THREE, DEPTHWISE, DENSE = "one pass", "three nets", "depthwise", "dense"


@dataclass(frozen=True)
class Row:
    """One pass with three heads beside three nets."""

    batch: int = column("batch")
    dtype: str = column("dtype")
    milliseconds: float | None = column("ms a pass", 3)
    photos_per_second: float | None = column("photos/s", 3)
    peak_mib: float | None = column("peak MiB", 3)
    three_nets: float | None = column("three nets, × one pass", 3)
    turns: int = column("turns")


@dataclass(frozen=True)
class Upscore:
    """The last upsampling, from the scores at stride 8 to the photo."""

    batch: int = column("batch")
    depthwise: float = column("ms, depthwise", 3)
    dense: float = column("ms, dense 21×21", 3)
    ratio: float = column("× depthwise", 3)
    difference: float = column("largest difference / largest score", 1)


def measure(options: Options) -> Report:
    """The paper's network at the paper's size."""
    device = options.device
    dtype = trunk_dtype(device)
    nets = three_nets(device, dtype)
    passes: dict[str, Pass] = {
        ONE: scores_of(nets[STRIDES[-1]]),
        THREE: lambda given: [scores_of(net)(given) for net in nets.values()],
    }
    seconds, budget = (1.0, 8.0) if options.quick else (3.0, 30.0)
    peaks = Peaks(device, dtype, seconds)
    peaks.look()
    rows: list[Row] = []
    timed: list[roofline.Timed] = []
    upscores: list[Upscore] = []
    needs = Rates()
    for batch in QUICK if options.quick else BATCHES:
        pixels = batch * SIZE * SIZE
        if not needs.allow(pixels, longest=60, left=memory_left(device)):
            rows.append(Row(batch, _name(dtype), None, None, None, None, 0))
            continue
        given = photos(batch, SIZE, SIZE, device)
        found = row(given, passes, device, dtype, budget)
        rows.append(found)
        assert found.milliseconds is not None
        needs.time(pixels, found.milliseconds / 1000)
        needs.peak(pixels, found.peak_mib)
        net = nets[STRIDES[-1]]
        title = DEFINITIONS[NAME].title
        timed.append(roofline.timed(title, net, passes[ONE], given, device, budget))
        upscores.append(upscore(net, given, device, budget))
    peaks.look()
    flops, moved = peaks.flops, peaks.moved
    layers = [row for each in timed for row in each(flops, moved)]
    paper = DEFINITIONS[NAME].paper.forward_ms
    notes = (
        f"Random weights, photos of {SIZE}×{SIZE} on the device to three maps of scores. The ways "
        "take turns, the times are medians, the ratios medians over the turns.",
        f"The paper gives {paper} ms for FCN-32s alone on a Tesla K40c.",
    )
    limit = roofline.Limit(_name(dtype), flops / 1e9, moved / 1e9, flops / moved)
    return Report(
        (
            Table(f"FCN-VGG16, {SIZE}×{SIZE}", rows, notes),
            Table("What the device can do", [limit]),
            Table("FCN-VGG16, share of the roofline", layers),
            Table("The upsampling from stride 8, fp32", upscores),
        ),
        headlines(rows, layers),
    )


def three_nets(device: str, dtype: torch.dtype) -> dict[int, PublishedFCN]:
    """FCN-32s, FCN-16s and FCN-8s by stride; the last is also the one pass with three heads.

    They share their weights, which are far too large to stay in a cache from one to the next.
    """
    network = untrained(NAME, STRIDES, dtype).network.to(device)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore
    state = network.state_dict()
    nets = {}
    for count, stride in enumerate(STRIDES, start=1):
        with torch.device("meta"):
            net = PublishedFCN(NAME, STRIDES[:count])
        net.load_state_dict({key: state[key] for key in net.state_dict()}, assign=True)
        nets[stride] = net.eval().requires_grad_(False)
    return nets


def scores_of(net: PublishedFCN) -> Callable[[Tensor], dict[int, Tensor]]:
    """The pass of a net: photos (N, 3, H, W) uint8 to the sums of its scores by stride, fp32."""
    dtype = next(net.parameters()).dtype

    def scores(given: Tensor) -> dict[int, Tensor]:
        prepared = Prepared.CAFFE(given).to(dtype).contiguous(memory_format=torch.channels_last)
        return fuse(net(prepared), net.lattices)

    return scores


def row(
    given: Tensor, passes: Mapping[str, Pass], device: str, dtype: torch.dtype, budget: float
) -> Row:
    """One pass beside three nets on photos (N, 3, H, W).

    Args:
        passes: the two, by name.
        budget: seconds after which no further turn begins.
    """
    ways = {name: awaited(device, partial(run, given)) for name, run in passes.items()}
    for way in ways.values():
        way()
    peak = peak_of(device, ways[ONE])
    times = alternate(ways, TURNS, budget=budget)
    seconds = statistics.median(times[ONE])
    batch = len(given)
    return Row(
        batch,
        _name(dtype),
        1000 * seconds,
        batch / seconds,
        peak,
        ratio(times, THREE, ONE),
        len(times[ONE]),
    )


def upscore(net: PublishedFCN, given: Tensor, device: str, budget: float) -> Upscore:
    """The depthwise upsampling beside the release's dense one, whose weights are mostly zeros.

    Args:
        given: photos (N, 3, H, W).
        budget: as in `row`.
    """
    with torch.inference_mode():
        sums = scores_of(net)(given)[STRIDES[-1]].contiguous()
        kernel = dense_weights(net.final, sums)
    stride, padding = net.final.stride, net.final.padding
    maps = {
        DEPTHWISE: lambda: upsample(sums, net.lattices[STRIDES[-1]], PIXELS),
        DENSE: lambda: F.conv_transpose2d(sums, kernel, stride=stride, padding=padding),
    }
    with torch.inference_mode():
        difference = float((maps[DEPTHWISE]() - maps[DENSE]()).abs().max() / sums.abs().max())
    ways = {name: awaited(device, run) for name, run in maps.items()}
    times = alternate(ways, TURNS, budget=budget)
    return Upscore(
        len(given),
        1000 * statistics.median(times[DEPTHWISE]),
        1000 * statistics.median(times[DENSE]),
        ratio(times, DENSE, DEPTHWISE),
        difference,
    )


def dense_weights(up: Upsampling, scores: Tensor) -> Tensor:
    """Weights (C, C, k, k) of an upsampling of scores (N, C, h, w) as the release has them.

    Bilinear on the diagonal, else 0.
    """
    classes = torch.arange(scores.shape[1])
    tent = up.tent().to(scores)
    weights = torch.zeros(len(classes), len(classes), len(tent), len(tent)).to(scores)
    weights[classes, classes] = torch.outer(tent, tent)
    return weights


def headlines(rows: list[Row], layers: list[roofline.Row]) -> tuple[Headline, ...]:
    """A line for every batch that was run."""
    whole = [layer for layer in layers if layer.kind == "the whole pass"]
    done = [row for row in rows if row.milliseconds and row.three_nets]
    lines = []
    for row, layer in zip(done, whole, strict=True):
        assert row.milliseconds is not None
        assert row.three_nets is not None
        assert layer.fraction is not None
        lines.append(
            Headline(
                f"FCN-VGG16, {SIZE}×{SIZE}, batch {row.batch}, {row.dtype}",
                f"{number(row.milliseconds, 3)} ms",
                f"three nets {number(row.three_nets, 3)}× as long; {number(layer.fraction, 2)} % "
                "of the roofline",
            )
        )
    return tuple(lines)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
