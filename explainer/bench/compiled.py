"""The pass as the product runs it against torch.compile, for the buckets of everyday photos."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from explainer.bench.compute import awaited, photos
from explainer.bench.networks import three_heads
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.timing import alternate, ratio
from explainer.fcn.network import pad
from explainer.fcn.weights import load_small

SIZES = ((384, 512), (512, 512), (768, 1024))
PLAIN, FUSED, GRAPH, COMPILED = (
    "one by one",
    "fused convolutions",
    "captured graph",
    "torch.compile",
)


@dataclass(frozen=True)
class Row:
    """A way to run the network at a size."""

    size: str = column("photo")
    way: str = column("way")
    first: float | None = column("s until the first result", 3)
    milliseconds: float | None = column("ms", 3)
    ratio: float | None = column("× the product", 3)
    turns: int = column("turns", brief=False)


def measure(options: Options) -> Report:
    """Normalised photos to score maps at every size, by each way that the device has."""
    device = options.device
    segmenter = three_heads(device)
    cuda = device.startswith("cuda")
    product = GRAPH if cuda else FUSED if device == "cpu" else PLAIN
    # The compiler fuses by itself, so it gets the network before anybody did.
    network = load_small(None).to(device, segmenter.dtype).to(memory_format=torch.channels_last)  # pyright: ignore
    for head in network.heads.values():
        head.score.float()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    mode = "max-autotune" if cuda else "default"
    rows: list[Row] = []
    faults: list[str] = []
    for height, width in SIZES[:1] if options.quick else SIZES:
        batch = pad(photos(1, height, width, device).to(segmenter.dtype) / 127.5 - 1)
        batch = batch.contiguous(memory_format=torch.channels_last)
        # Anew for each size, as for each bucket: compiled for all of them it is slower.
        torch.compiler.reset()
        made: dict[str, Callable[[], Callable[[], object]]] = {
            product: lambda batch=batch: _called(segmenter.network, batch),
            COMPILED: lambda batch=batch: _called(torch.compile(network, mode=mode), batch),
        }
        if cuda:
            made[PLAIN] = made[product]
            made[product] = lambda batch=batch: captured(segmenter.network, batch)
        ways: dict[str, Callable[[], None]] = {}
        first: dict[str, float] = {}
        for name, make in made.items():
            began = time.perf_counter()
            try:
                ways[name] = awaited(device, make())
                ways[name]()
            except Exception as error:  # whatever a compiler, or the want of one, may raise
                if name != COMPILED:
                    raise
                ways.pop(name, None)
                faults.append(f"{COMPILED} did not work here: {str(error).splitlines()[0][:160]}")
                continue
            first[name] = time.perf_counter() - began
        times = alternate(ways, 25, budget=8 if options.quick else 30)
        rows += [_row(f"{width}×{height}", name, product, first, times) for name in made]
    notes = (
        "Normalised photos on the device to score maps, the ways take turns, medians; ratios are "
        "medians over the turns. Until the first result: what a bucket costs when it is first met.",
        *dict.fromkeys(faults),
    )
    shows = (
        "Whether a compiler would make the pass faster: above 1.00 × it is slower than the product."
    )
    compiled = next(row for row in rows if row.way == COMPILED)
    headlines: tuple[Headline, ...] = ()
    if compiled.ratio is not None and compiled.first is not None:
        headlines = (
            Headline(
                f"torch.compile at {compiled.size}",
                f"{number(compiled.ratio, 2)}× the product's time",
                f"{number(compiled.first, 2)} s until its first result, for every bucket",
            ),
        )
    return Report((Table("torch.compile", rows, notes, shows, rows),), headlines)


def captured(
    network: Callable[[Tensor], dict[int, Tensor]], batch: Tensor
) -> Callable[[], dict[int, Tensor]]:
    """A CUDA graph of a pass, as the product keeps one a bucket; its score maps by stride."""
    stream = torch.cuda.Stream(batch.device)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode():
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):  # libraries choose their kernels, which a capture may not
                network(batch)
        stream.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            scores = network(batch)

    def replay() -> dict[int, Tensor]:
        graph.replay()
        return scores

    return replay


def _called(network: Callable[[Tensor], object], batch: Tensor) -> Callable[[], object]:
    return lambda: network(batch)


def _row(
    size: str, name: str, product: str, first: dict[str, float], times: dict[str, list[float]]
) -> Row:
    if name not in times:
        return Row(size, name, None, None, None, 0)
    turns = times[name]
    found = ratio(times, name, product)
    return Row(size, name, first[name], 1000 * statistics.median(turns), found, len(turns))
