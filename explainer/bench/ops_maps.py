"""Building and applying a `LinearMap` of `explainer.ops`, beside PyTorch for the same."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from explainer import ops
from explainer.bench.compute import awaited
from explainer.bench.report import Headline, Report, Table, column, number
from explainer.bench.sections import Options
from explainer.bench.timing import alternate, ratio
from explainer.ops.linear_map import LinearMap

SIZES = (8, 32, 128, 256, 512)
QUICK = (8, 128, 512)
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Operation:
    """An operation as a map, and as PyTorch does it."""

    name: str
    build: Callable[[int], LinearMap]
    torch: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """An operation on an image of size × size."""

    operation: str = column("operation")
    size: int = column("pixels a side")
    links: int = column("links", None)
    build: float = column("build, ms", 3)
    apply: float = column("apply, ms", 3)
    torch: float = column("torch, ms", 3)
    build_ratio: float = column("build × torch", 3)
    apply_ratio: float = column("apply × torch", 3)


def operations() -> tuple[Operation, ...]:
    """Those of the lessons, with the settings that networks use most."""
    kernel = np.random.default_rng(0).standard_normal((3, 3))
    four = np.random.default_rng(1).standard_normal((4, 4))
    three, wide = (torch.from_numpy(array)[None, None] for array in (kernel, four))
    return (
        Operation(
            "convolution 3×3, padding 1",
            lambda n: ops.conv((n, n), kernel, padding=1),
            lambda x: F.conv2d(x, three, padding=1),
        ),
        Operation(
            "convolution 3×3, stride 2",
            lambda n: ops.conv((n, n), kernel, stride=2, padding=1),
            lambda x: F.conv2d(x, three, stride=2, padding=1),
        ),
        Operation(
            "transposed convolution 4×4, stride 2",
            lambda n: ops.transposed_conv((n, n), four, stride=2, padding=1),
            lambda x: F.conv_transpose2d(x, wide, stride=2, padding=1),
        ),
        Operation(
            "average pooling 2×2",
            lambda n: ops.avg_pool((n, n), 2),
            lambda x: F.avg_pool2d(x, 2),
        ),
        Operation(
            "bilinear to twice the size",
            lambda n: ops.bilinear((n, n), 2 * n),
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
        ),
    )


def measure(options: Options) -> Report:
    """Every operation at every size, in fp64 on the processor, as the pages compute.

    Raises:
        AssertionError: map and PyTorch do not agree.
    """
    rows: list[Row] = []
    for operation in operations():
        for size in QUICK if options.quick else SIZES:
            image = np.random.default_rng(2).standard_normal((size, size))
            rows.append(row(operation, image, 3.0 if options.quick else 10.0))
    worst = max(rows, key=lambda row: row.apply_ratio)
    largest = rows[len(rows) // len(operations()) - 1]
    headline = Headline(
        f"applying a map, {largest.operation}, {largest.size}×{largest.size}",
        f"{number(largest.apply, 2)} ms (built in {number(largest.build, 2)} ms)",
        f"{number(largest.apply_ratio, 2)}× torch; at most {number(worst.apply_ratio, 2)}×",
    )
    notes = (
        "One channel, fp64; map and PyTorch take turns. A map is built once for its settings.",
    )
    shows = (
        "What building and applying a map of the lessons costs beside PyTorch's own operator, "
        "which knows no map: one channel in double precision, as on the pages."
    )
    brief = [row for row in rows if row.size == largest.size]
    return Report((Table("Maps of explainer.ops", rows, notes, shows, brief),), (headline,))


def row(operation: Operation, image: NDArray[np.float64], budget: float) -> Row:
    """An operation on an image, (size, size).

    Raises:
        AssertionError: map and PyTorch do not agree.
    """
    size = len(image)
    tensor = torch.from_numpy(image)[None, None]
    found = operation.build(size)
    expected = operation.torch(tensor)[0, 0].numpy()
    difference = float(np.abs(found(image) - expected).max())
    assert difference < TOLERANCE, f"{operation.name} differs from PyTorch by {difference}"
    times = alternate(
        {
            "build": lambda: operation.build(size),
            "apply": lambda: found(image),
            "torch": awaited("cpu", lambda: operation.torch(tensor)),
        },
        50,
        budget=budget,
    )
    build, apply, torchs = (1000 * statistics.median(times[name]) for name in times)
    ratios = ratio(times, "build", "torch"), ratio(times, "apply", "torch")
    return Row(operation.name, size, len(found.values), build, apply, torchs, *ratios)
