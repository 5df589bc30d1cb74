"""What the picture of the skips shows, as plain JSON values, and what its messages mean."""

import base64
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn.catalogue import SKIP_NAMES
from explainer.fcn.geometry import PIXELS, Lattice, bilinear_upsampling
from explainer.fcn.result import Ledger, ScoreMap, Segmentation
from explainer.fcn.voc import PALETTE

BACKGROUND = 0
OUTPUT_BYTES = 200_000
"""At most so much base64 for the output map; larger ones send every second, third … pixel."""

CellId = tuple[int, int, int]
"""Stride, row and column of a cell."""

_CELL_TEXT = re.compile(r"[0-9]{1,6},[0-9]{1,6},[0-9]{1,6}")


@dataclass(frozen=True)
class Removal:
    """What the visitor took out: whole maps by stride, and single cells."""

    strides: frozenset[int] = frozenset()
    cells: frozenset[CellId] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.strides or self.cells)

    def takes(self, cell: CellId) -> bool:
        """Whether this cell counts as 0."""
        return cell[0] in self.strides or cell in self.cells


def name_of(stride: int, coarsest: int = 32) -> str:
    """What the map of a stride is called on the page: "stride 32", "pool4", "pool3".

    The coarsest map is no skip.
    """
    return SKIP_NAMES[stride] if stride < coarsest else f"stride {stride}"


def signed(hundredths: int) -> str:
    """Hundredths as text with a true minus sign: -31 becomes "−0.31"."""
    return f"{'−' if hundredths < 0 else ''}{abs(hundredths) / 100:.2f}"


def split_rounded(values: Sequence[float], total: int) -> list[int]:
    """The values in hundredths, each rounded up or down so that they add up to `total` hundredths.

    Rounding each on its own leaves sums that are 0.01 off on the board. Largest remainder first;
    every number stays within 0.01 of its exact value.
    """
    down = [math.floor(value * 100) for value in values]
    up = sorted(range(len(values)), key=lambda i: down[i] - values[i] * 100)
    for i in up[: total - sum(down)]:
        down[i] += 1
    return down


def scores_at(
    scores: ScoreMap, ys: NDArray[np.integer], xs: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Bilinear interpolation of every class's scores at pixels: shape (classes, *ys.shape).

    Beyond the outermost cells their values are kept or fade to 0, as the map says.
    """

    def ends(pixels: NDArray[np.integer], cells: int) -> tuple[Any, Any, Any, Any]:
        at = (pixels - scores.lattice.first) / scores.lattice.stride
        inside = np.clip(at, 0, cells - 1)
        low = np.minimum(np.floor(inside).astype(int), max(cells - 2, 0))
        along = (inside - low).astype(np.float32)
        kept = np.clip(1 - np.abs(at - inside), 0, 1) if scores.fades else np.ones_like(at)
        high = np.minimum(low + 1, cells - 1)
        return low, high, (1 - along) * kept.astype(np.float32), along * kept.astype(np.float32)

    values = scores.values
    top, bottom, up, down = ends(ys, values.shape[1])
    left, right, back, along = ends(xs, values.shape[2])
    above = values[:, top, left] * back + values[:, top, right] * along
    below = values[:, bottom, left] * back + values[:, bottom, right] * along
    return above * up + below * down


def sample_step(height: int, width: int) -> int:
    """Every how many pixels the output map is sent, so that it stays within OUTPUT_BYTES."""
    step = 1
    while math.ceil(height / step) * math.ceil(width / step) * 2 * 4 / 3 > OUTPUT_BYTES:
        step += 1
    return step


def output_map(result: Segmentation, class_index: int, step: int) -> NDArray[np.float32]:
    """The finest output's scores of one class at every step-th pixel, shape (rows, columns)."""
    finest = result.sums[min(result.sums)]
    one = replace(finest, values=finest.values[class_index : class_index + 1])
    ys, xs = np.arange(0, result.height, step), np.arange(0, result.width, step)
    return scores_at(one, ys[:, None], xs[None, :])[0]


def _base64(values: NDArray[Any]) -> str:
    """Little-endian bytes in base64, as JavaScript's typed arrays read them."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()


def _data_url(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _indexed_png(
    indices: NDArray[np.uint8], palette: NDArray[np.uint8], alphas: NDArray[np.uint8]
) -> str:
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    return _data_url(picture, "PNG", transparency=alphas.tobytes(), compress_level=4)


def label_layer(labels: NDArray[np.uint8]) -> str:
    """A see-through layer for the photo, as a data URL: class colours, white outlines between.

    The background stays clear, so that the photo shows.
    """
    height, width = labels.shape
    edge = np.zeros(labels.shape, dtype=bool)
    # Pictures are about 240 px wide on the page: an outline must survive the shrinking.
    thick = max(1, round(max(height, width) / 240))
    for shift in range(1, thick + 1):
        edge[:-shift] |= labels[:-shift] != labels[shift:]
        edge[:, :-shift] |= labels[:, :-shift] != labels[:, shift:]
    outline = 255
    palette = PALETTE.copy()
    palette[outline] = 255
    alphas = np.full(256, 140, dtype=np.uint8)
    alphas[[BACKGROUND, outline]] = 0, 255
    return _indexed_png(np.where(edge, np.uint8(outline), labels), palette, alphas)


def change_layer(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> str:
    """A layer that dims the pixels whose label stays and paints the others yellow (data URL)."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[0], palette[1] = (18, 22, 28), (240, 228, 66)
    alphas = np.full(256, 255, dtype=np.uint8)
    alphas[0] = 170
    return _indexed_png((before != after).astype(np.uint8), palette, alphas)


def nice_limit(largest: float) -> float:
    """The end of the colour scale: the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 × a power of ten."""
    if not largest > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(n * power for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20) if n * power >= largest)


def ledger_payload(
    name: str, original: Ledger, current: Ledger, removal: Removal, place: Callable[[int], Lattice]
) -> dict[str, Any]:
    """The ledger as texts: total, one part a map, up to four cells a part.

    `original` is the ledger with nothing removed, `current` the one that counts; both of the same
    class and pixel. Displayed cells add up to their part, parts to the total.
    """
    counts = {
        (cell.stride, cell.row, cell.col): cell.contribution
        for part in current.parts
        for cell in part.cells
    }
    values = [
        sum(counts.get((cell.stride, cell.row, cell.col), 0.0) for cell in part.cells)
        for part in original.parts
    ]
    total = round(sum(values) * 100)
    parts = []
    for part, shown in zip(original.parts, split_rounded(values, total), strict=True):
        ids: list[CellId] = [(cell.stride, cell.row, cell.col) for cell in part.cells]
        contributions = [counts.get(cell_id, 0.0) for cell_id in ids]
        lattice = place(part.stride)
        cells = [
            {
                "id": ",".join(map(str, cell_id)),
                "row": cell.row,
                "col": cell.col,
                "y": lattice.first + lattice.stride * cell.row,
                "x": lattice.first + lattice.stride * cell.col,
                "weight": f"{cell.weight:.3f}",
                "score": signed(round(cell.score * 100)),
                "contribution": signed(hundredths),
                "number": cell.contribution,
                "removed": removal.takes(cell_id),
            }
            for cell, cell_id, hundredths in zip(
                part.cells, ids, split_rounded(contributions, shown), strict=True
            )
        ]
        parts.append(
            {
                "stride": part.stride,
                "name": name_of(part.stride, original.parts[0].stride),
                "value": signed(shown),
                "negative": shown < 0,
                "magnitude": signed(abs(shown)),
                "number": shown / 100,
                "removed": part.stride in removal.strides,
                "cells": cells,
            }
        )
    text = f"{name} {signed(total)} ="
    for i, part in enumerate(parts):
        sign = ("−" if part["negative"] else "") if i == 0 else "− " if part["negative"] else "+ "
        text += f" {sign}{part['magnitude']} {part['name']}"
    was = round(original.total * 100)
    return {
        "text": text,
        "name": name,
        "total": signed(total),
        "was": signed(was) if removal and was != total else None,
        "parts": parts,
    }


def verdict(result: Segmentation, y: int, x: int, stride: int) -> str:
    """The class that an output gives a pixel; "tie" where several have the highest score.

    The label map has the lowest class there, which no score speaks for.
    """
    scores = np.array(result.logits(y, x)[stride])
    if np.count_nonzero(scores == scores.max()) > 1:
        return "tie"
    return result.classes[int(result.labels[stride][y, x])]


def best_other(result: Segmentation, y: int, x: int, class_index: int) -> int:
    """The class with the highest score at a pixel, apart from one."""
    scores = np.array(result.logits(y, x)[min(result.sums)], dtype=float)
    scores[class_index] = -np.inf
    return int(scores.argmax())


def _lead(score: float, other: float) -> str:
    """What stands before the best of the other classes."""
    if score == other:
        return "tie with:"
    return "next:" if score > other else "wins here:"


def _legend(*label_maps: NDArray[np.uint8], classes: Sequence[str]) -> list[dict[str, str]]:
    """Name and colour of the classes in the label maps, largest first, without the background."""
    counts = np.bincount(np.concatenate(label_maps, axis=None), minlength=256)
    found = [int(i) for i in np.argsort(counts)[::-1] if counts[i] and i != BACKGROUND]
    return [
        {"name": classes[i], "colour": "#" + PALETTE[i].tobytes().hex()}
        for i in found
        if i < len(classes)
    ]


def _upsamplings(result: Segmentation) -> list[dict[str, int]]:
    """Kernel, stride and padding from each sum to the next finer one, and to the pixels."""
    strides = sorted(result.scores, reverse=True)
    lattices = [result.scores[stride].lattice for stride in strides] + [PIXELS]
    return [
        {"kernel": up.kernel, "stride": up.stride, "padding": up.padding}
        for up in map(bilinear_upsampling, lattices[:-1], lattices[1:])
    ]


def payload(
    result: Segmentation,
    pixels: NDArray[np.uint8],
    class_index: int,
    pixel: tuple[int, int],
    *,
    removal: Removal | None = None,
    changed: Segmentation | None = None,
    words: str = "",
    head: str = "",
) -> dict[str, Any]:
    """Everything that the picture shows, JSON-ready.

    Args:
        result: the segmentation with nothing removed.
        pixels: the photo as segmented, (height, width, 3) uint8.
        class_index: the class whose maps are drawn.
        pixel: (y, x) whose ledger is shown.
        removal: what is taken out; with it, `changed` is `result.without(...)` of just that.
        words: what the removal did, in a sentence.
        head: the name of the output; FCN-8s where it is empty and the finest stride is 8.

    Raises:
        ValueError: the photo has another size than the result.
    """
    if pixels.shape[:2] != (result.height, result.width):
        raise ValueError(
            f"the photo has {pixels.shape[0]}×{pixels.shape[1]} pixels, the result "
            f"{result.height}×{result.width}: pass the pixels that were segmented"
        )
    removal = removal or Removal()
    current = changed or result
    strides = sorted(result.scores, reverse=True)
    finest = strides[-1]
    # One scale for every map and for before and after: it is that of the untouched result.
    everything = [m.values[class_index] for m in (*result.scores.values(), *result.sums.values())]
    limit = nice_limit(max(float(np.abs(values).max()) for values in everything))
    step = sample_step(result.height, result.width)
    output = output_map(current, class_index, step)
    largest = max(limit, float(np.abs(output).max()))
    y, x = pixel
    other = best_other(current, y, x, class_index)

    def ledger(index: int) -> dict[str, Any]:
        return ledger_payload(
            result.classes[index],
            result.ledger(y, x, index),
            current.ledger(y, x, index),
            removal,
            lambda stride: result.scores[stride].lattice,
        )

    scores_here = current.logits(y, x)[finest]
    maps = []
    for stride in strides:
        # A skip that is gone counts as zeros, on the lattice that it had.
        added = np.zeros_like(result.scores[stride].values[class_index])
        if stride in current.scores and stride not in removal.strides:
            added = current.scores[stride].values[class_index]
        maps.append(
            {
                "stride": stride,
                "name": name_of(stride, strides[0]),
                "first": result.scores[stride].lattice.first,
                "largest": float(np.abs(result.scores[stride].values[class_index]).max()),
                "rows": added.shape[0],
                "cols": added.shape[1],
                "scores": _base64(added.astype(np.float32)),
                "sums": _base64(current.sums[stride].values[class_index].astype(np.float32)),
                "removed": stride in removal.strides,
                "label": verdict(current, y, x, stride),
            }
        )
    before, after = result.labels[finest], current.labels[finest]
    return {
        "height": result.height,
        "width": result.width,
        "classes": len(result.classes),
        "name": result.classes[class_index],
        "photo": _data_url(Image.fromarray(pixels), "JPEG", quality=80),
        "maps": maps,
        "ups": _upsamplings(result),
        "output": {
            "rows": output.shape[0],
            "cols": output.shape[1],
            "step": step,
            "unit": largest / 32767,
            "values": _base64(np.round(output * (32767 / largest)).astype(np.int16)),
        },
        "limit": limit,
        "head": head or f"FCN-{finest}s",
        "before": label_layer(before),
        "after": label_layer(after) if removal else None,
        "changes": change_layer(before, after) if removal else None,
        "legend": _legend(before, after, classes=result.classes),
        "pixel": [y, x],
        "ledger": ledger(class_index),
        "other": ledger(other),
        "lead": _lead(scores_here[class_index], scores_here[other]),
        "removedCells": [",".join(map(str, cell)) for cell in sorted(removal.cells)],
        "removedStrides": sorted(removal.strides),
        "without": without_text(removal, strides[0]),
        "words": words,
    }


def without_text(removal: Removal, coarsest: int = 32) -> str:
    """What is missing, in words: "without pool3 and 2 cells of stride 32"; empty if nothing."""
    things = [name_of(stride, coarsest) for stride in sorted(removal.strides, reverse=True)]
    cells = [cell for cell in removal.cells if cell[0] not in removal.strides]
    for stride in sorted({cell[0] for cell in cells}, reverse=True):
        here = sorted(cell for cell in cells if cell[0] == stride)
        if len(here) == 1:
            things.append(f"cell ({here[0][1]}, {here[0][2]}) of {name_of(stride, coarsest)}")
        else:
            things.append(f"{len(here)} cells of {name_of(stride, coarsest)}")
    if not things:
        return ""
    return "without " + ", ".join(things[:-1]) + (" and " if things[1:] else "") + things[-1]


def read_pixel(message: Any, height: int, width: int) -> tuple[int, int] | None:
    """The pixel in the browser's message {"y": …, "x": …}; None if it holds no pixel."""
    if not isinstance(message, dict):
        return None
    y, x = message.get("y"), message.get("x")
    return (y, x) if _is_index(y, height) and _is_index(x, width) else None


def read_removal(message: Any, result: Segmentation) -> Removal:
    """The removal in the browser's message {"strides": […], "cells": ["32,4,7", …]}.

    What does not exist in the result is left out.
    """
    if not isinstance(message, dict):
        return Removal()
    return Removal(
        frozenset(s for s in _as_list(message.get("strides")) if _is_stride(s, result)),
        frozenset(_read_cells(_as_list(message.get("cells")), result)),
    )


def _read_cells(texts: list[Any], result: Segmentation) -> Iterable[CellId]:
    for text in texts:
        if not (isinstance(text, str) and _CELL_TEXT.fullmatch(text)):
            continue
        stride, row, col = map(int, text.split(","))
        if _is_stride(stride, result):
            rows, cols = result.scores[stride].values.shape[1:]
            if row < rows and col < cols:
                yield stride, row, col


def _as_list(value: Any) -> list[Any]:
    """The value if it is a list, cut at a length that no visitor reaches by clicking."""
    return value[:500] if isinstance(value, list) else []


def _is_stride(value: Any, result: Segmentation) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in result.scores


def _is_index(value: Any, size: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < size
