"""What a pass of the network gives: labels, and every number on the way to them.

After the score maps everything is linear: 2× bilinear upsampling, sums, bilinear upsampling to the
photo. So the score of a class at a pixel is exactly a sum over a few cells of each map, with the
weights that these steps give one after the other. Where the cells of the coarser maps are cells of
the finer ones too, a tent upsampled by another tent is the longer tent, and each map is read
bilinearly at the pixel: at most four cells. With the paper's even kernels the cells lie half a cell
apart, and there are up to nine. The result is small (score maps only), every question to it cheap.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from explainer.fcn.catalogue import output_name
from explainer.fcn.geometry import PIXELS, Lattice
from explainer.fcn.labels import label_maps
from explainer.fcn.network import STRIDES as STRIDES
from explainer.fcn.network import fuse, upsample


@dataclass(frozen=True)
class ScoreMap:
    """Scores (classes, rows, columns) float32, and where the cells sit in the photo.

    Attributes:
        fades: what is read beyond the outermost cells. A transposed convolution fades to 0 there,
            within one cell; interpolation with `align_corners=False` keeps their values.
    """

    values: NDArray[np.float32]
    lattice: Lattice
    fades: bool = True

    def reads(self, pixel: float, axis: int) -> Iterator[tuple[int, float]]:
        """The cells beside a pixel coordinate along an axis (1: rows, 2: columns).

        With their bilinear weights, zeros left out.
        """
        cells = self.values.shape[axis]
        place = self.lattice.cell(pixel)
        if not self.fades:
            place = min(max(place, 0), cells - 1)
        low = math.floor(place)
        rest = place - low
        if 0 <= low < cells:
            yield low, 1 - rest
        if rest > 0 and 0 <= low + 1 < cells:
            yield low + 1, rest


@dataclass(frozen=True)
class Cell:
    """What one cell of one score map contributes to a class's score at a pixel."""

    stride: int
    row: int
    col: int
    weight: float
    score: float

    @property
    def contribution(self) -> float:
        """Bilinear weight times the cell's score."""
        return self.weight * self.score


@dataclass(frozen=True)
class Part:
    """The cells of one score map that reach a pixel, all with weight above zero.

    At most four where the lattices share their cells, else at most nine.
    """

    stride: int
    cells: tuple[Cell, ...]

    @property
    def value(self) -> float:
        """What this map adds to the score."""
        return sum(cell.contribution for cell in self.cells)


@dataclass(frozen=True)
class Ledger:
    """The score of a class at a pixel as an exact sum: stride 32, pool4, pool3."""

    y: int
    x: int
    class_index: int
    parts: tuple[Part, ...]

    @property
    def total(self) -> float:
        """The class's score in the finest output."""
        return sum(part.value for part in self.parts)


@dataclass(frozen=True)
class Segmentation:
    """The outputs for one photo.

    Attributes:
        height, width: of the photo, in pixels.
        classes: their names.
        scores: what each stride adds, keys 32, 16 ("pool4") and 8 ("pool3").
        labels: (height, width) uint8 of each output, by stride.
        timings: seconds by stage.
        device: where the network ran.
    """

    height: int
    width: int
    classes: tuple[str, ...]
    scores: Mapping[int, ScoreMap]
    labels: Mapping[int, NDArray[np.uint8]]
    timings: Mapping[str, float] = field(default_factory=dict)
    device: str = "cpu"

    @cached_property
    def sums(self) -> dict[int, ScoreMap]:
        """The scores of each output on its own lattice: 2× the coarser sum plus the own scores."""
        fused = fuse(self._tensors, self._lattices)
        return {s: replace(self.scores[s], values=fused[s][0].numpy()) for s in fused}

    @cached_property
    def upsampled(self) -> dict[int, ScoreMap]:
        """For strides 16 and 8: the coarser sum after 2× upsampling, before the addition."""
        found = {}
        strides = sorted(self.scores, reverse=True)
        for coarse, fine in pairwise(strides):
            lattice = self.scores[fine].lattice
            values = torch.from_numpy(self.sums[coarse].values)[None]
            up = upsample(values, self.scores[coarse].lattice, lattice)
            found[fine] = ScoreMap(up[0].numpy(), lattice)
        return found

    @property
    def _lattices(self) -> dict[int, Lattice]:
        return {stride: scores.lattice for stride, scores in self.scores.items()}

    @property
    def _tensors(self) -> dict[int, torch.Tensor]:
        return {s: torch.from_numpy(scores.values)[None] for s, scores in self.scores.items()}

    @property
    def nbytes(self) -> int:
        """Of the arrays that it keeps."""
        scores = sum(found.values.nbytes for found in self.scores.values())
        # Sums and upsampled maps are derived when asked for, and then kept too.
        return 3 * scores + sum(found.nbytes for found in self.labels.values())

    def _weights(self, stride: int, output: int, pixel: int, axis: int) -> dict[int, float]:
        """The cells of a map, and their weights, that reach a pixel of an output, along one axis.

        Walks back through the bilinear upsamplings: from the pixel to the cells of the output's
        sum, from each of these to those of the next coarser sum, and so on to the map.
        """
        weights = {pixel: 1.0}
        fine = PIXELS
        for step in sorted(s for s in self.scores if output <= s <= stride):
            scores = self.scores[step]
            coarser: dict[int, float] = {}
            for cell, weight in weights.items():
                for below, part in scores.reads(fine.pixel(cell), axis):
                    coarser[below] = coarser.get(below, 0.0) + weight * part
            weights, fine = coarser, scores.lattice
        return weights

    def _cells(self, stride: int, output: int, y: int, x: int) -> Iterator[tuple[int, int, float]]:
        """Row, column and weight of the cells of a map that reach a pixel of an output.

        Raises:
            IndexError: the pixel is outside the photo.
        """
        if not (0 <= y < self.height and 0 <= x < self.width):
            raise IndexError(
                f"pixel ({y}, {x}) is outside the photo of {self.height} rows and "
                f"{self.width} columns"
            )
        columns = self._weights(stride, output, x, axis=2)
        for row, down in self._weights(stride, output, y, axis=1).items():
            for column, across in columns.items():
                yield row, column, down * across

    def logits(self, y: int, x: int) -> dict[int, NDArray[np.float64]]:
        """The scores (classes,) of each output at a pixel, by stride."""
        found = {}
        for output in sorted(self.scores, reverse=True):
            total = np.zeros(len(self.classes))
            for stride in sorted((s for s in self.scores if s >= output), reverse=True):
                values = self.scores[stride].values
                for row, column, weight in self._cells(stride, output, y, x):
                    total = total + weight * values[:, row, column].astype(float)
            found[output] = total
        return found

    def probabilities(self, y: int, x: int) -> dict[int, NDArray[np.float64]]:
        """The softmax of each output's scores at a pixel, (classes,) by stride."""
        found = {}
        for stride, logits in self.logits(y, x).items():
            exponentials = np.exp(logits - logits.max())
            found[stride] = exponentials / exponentials.sum()
        return found

    def ledger(self, y: int, x: int, class_index: int) -> Ledger:
        """Which cells of which map make up a class's score at a pixel of the finest output.

        Raises:
            IndexError: no such pixel or class.
        """
        if not 0 <= class_index < len(self.classes):
            raise IndexError(f"there is no class {class_index}: 0 … {len(self.classes) - 1}")
        parts = []
        for stride in sorted(self.scores, reverse=True):
            values = self.scores[stride].values[class_index]
            cells = tuple(
                Cell(stride, row, column, weight, float(values[row, column]))
                for row, column, weight in self._cells(stride, min(self.scores), y, x)
            )
            parts.append(Part(stride, cells))
        return Ledger(y, x, class_index, tuple(parts))

    def without(
        self, strides: Collection[int] = (), cells: Collection[tuple[int, int, int]] = ()
    ) -> "Segmentation":
        """The outputs had some scores been zero, for all classes.

        Args:
            strides: maps that are left out whole.
            cells: (stride, row, column) of single cells.

        Raises:
            KeyError: a stride without scores.
            IndexError: a cell outside its map.
        """
        scores = {stride: found.values for stride, found in self.scores.items()}
        for stride in strides:
            scores[stride] = np.zeros_like(self.scores[stride].values)
        for stride, row, column in cells:
            _, rows, columns = scores[stride].shape
            if not (0 <= row < rows and 0 <= column < columns):
                raise IndexError(
                    f"cell ({row}, {column}) is outside the {rows}×{columns} map of stride {stride}"
                )
            if scores[stride] is self.scores[stride].values:
                scores[stride] = scores[stride].copy()
            scores[stride][:, row, column] = 0
        changed = {s: replace(self.scores[s], values=values) for s, values in scores.items()}
        # A new object, so that sums and upsampled maps are not those of the old one.
        result = replace(self, scores=changed, labels={}, timings={})
        with torch.inference_mode():
            sums = {s: torch.from_numpy(found.values) for s, found in result.sums.items()}
            maps = label_maps(sums, self.height, self.width, self._lattices)
        return replace(result, labels={s: labels.numpy() for s, labels in maps.items()})

    def shares(self) -> dict[int, dict[int, float]]:
        """The share of the pixels of each class found, by output and class index."""
        found = {}
        for stride in self.labels:
            counts = np.bincount(self.labels[stride].ravel(), minlength=len(self.classes))
            found[stride] = {
                int(index): float(counts[index] / counts.sum()) for index in np.flatnonzero(counts)
            }
        return found


@dataclass(frozen=True)
class Run:
    """What a network gives for a photo.

    Attributes:
        title: of the network and its mode.
        says: the mode in a sentence.
        results: by stride of the output, the segmentation that it belongs to. As published, each
            output comes from a pass of its own; else all are the same object.
        peak: bytes on the GPU at most during the run, None elsewhere.
        trained: whether the labels mean something.
        one: the name of the output where there is only one, "FCN-AlexNet".
        ablation: whether the coarser outputs are the finest one's network with skips left out.
    """

    title: str
    says: str
    results: Mapping[int, Segmentation]
    peak: int | None = None
    trained: bool = True
    one: str | None = None
    ablation: bool = False

    @classmethod
    def single(cls, result: Segmentation, title: str = "", says: str = "") -> "Run":
        """The outputs of one pass."""
        return cls(title, says, dict.fromkeys(sorted(result.scores, reverse=True), result))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Strides of the outputs, coarse to fine."""
        return tuple(sorted(self.results, reverse=True))

    def name(self, stride: int) -> str:
        """What an output is called: "FCN-8s", "FCN-8s without pool3"."""
        return self.one or output_name(stride, min(self.results) if self.ablation else None)

    @property
    def names(self) -> dict[int, str]:
        """What the outputs are called, by stride, coarse to fine."""
        return {stride: self.name(stride) for stride in self.outputs}

    @property
    def passes(self) -> int:
        """How many passes gave the outputs."""
        return len({id(result) for result in self.results.values()})

    @property
    def nbytes(self) -> int:
        """Of the arrays that it keeps."""
        return sum({id(result): result.nbytes for result in self.results.values()}.values())

    @property
    def finest(self) -> Segmentation:
        """The segmentation of the finest output: its scores can be taken apart by skips."""
        return self.results[min(self.results)]

    @property
    def labels(self) -> dict[int, NDArray[np.uint8]]:
        """(height, width) uint8 by stride of the output."""
        return {stride: result.labels[stride] for stride, result in self.results.items()}

    @property
    def height(self) -> int:
        """Of the photo, in pixels."""
        return self.finest.height

    @property
    def width(self) -> int:
        """Of the photo, in pixels."""
        return self.finest.width

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.finest.classes

    @property
    def device(self) -> str:
        """Where the network ran."""
        return self.finest.device

    @cached_property
    def timings(self) -> dict[str, float]:
        """Seconds by part of the net, those of several passes added."""
        total: dict[str, float] = {}
        for result in {id(result): result for result in self.results.values()}.values():
            for part, seconds in result.timings.items():
                total[part] = total.get(part, 0.0) + seconds
        return total
