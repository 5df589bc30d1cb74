"""What changes from one label map to another: how much, from what to what, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explainer.fcn.render import LEAST_SHARE, percent
from explainer.fcn.voc import PALETTE

Labels = NDArray[np.uint8]

OUTLINE_WIDTH = 5
"""Pixels on both sides of an outline that count as near it, as in the evaluation."""

HATCH_PERIOD = 8


@dataclass(frozen=True)
class Transition:
    """The pixels that went from class `before` to class `after`, as a share of the photo."""

    before: int
    after: int
    share: float


@dataclass(frozen=True)
class Comparison:
    """Two label maps of one photo, compared.

    Attributes:
        changed: share of the photo's pixels whose class differs, 0 to 1.
        near_outline: share of those at most `OUTLINE_WIDTH` pixels from an outline of the second
            map, 0 to 1; 0 where nothing changed.
        transitions: every change, the biggest first.
        gained, lost: classes that only the second, only the first map has, on at least
            `LEAST_SHARE` of the pixels.
    """

    changed: float
    near_outline: float
    transitions: tuple[Transition, ...]
    gained: tuple[int, ...]
    lost: tuple[int, ...]


def outline_band(labels: Labels, width: int = OUTLINE_WIDTH) -> NDArray[np.bool_]:
    """The pixels at most `width` (chessboard distance) from a pixel of another class."""
    from scipy import ndimage  # a third of a second, which the first page's title need not wait for

    size = 2 * width + 1
    return ndimage.maximum_filter(labels, size) != ndimage.minimum_filter(labels, size)


def transitions(before: Labels, after: Labels) -> tuple[Transition, ...]:
    """What became what, the biggest change first; two (H, W) label maps."""
    changed = before != after
    pairs, counts = np.unique(
        before[changed].astype(np.int64) * 256 + after[changed], return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return tuple(
        Transition(int(pairs[i]) // 256, int(pairs[i]) % 256, float(counts[i]) / before.size)
        for i in order
    )


def compare(before: Labels, after: Labels) -> Comparison:
    """Compare two (H, W) label maps of the same photo.

    Raises:
        ValueError: the maps differ in size.
    """
    if before.shape != after.shape:
        raise ValueError(f"label maps of one size are needed, not {before.shape} and {after.shape}")
    changed = before != after
    count = int(changed.sum())
    near = int((changed & outline_band(after)).sum())
    first, second = (
        np.bincount(before.ravel(), minlength=256),
        np.bincount(after.ravel(), minlength=256),
    )
    return Comparison(
        changed=count / before.size,
        near_outline=near / count if count else 0.0,
        transitions=transitions(before, after),
        gained=_only(second, first),
        lost=_only(first, second),
    )


def _only(here: NDArray[np.intp], there: NDArray[np.intp]) -> tuple[int, ...]:
    """The labels, of two histograms of one size, that only the first has."""
    found = (here >= LEAST_SHARE * here.sum()) & (here > 0) & (there == 0)
    return tuple(np.flatnonzero(found).tolist())


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def sentences(
    comparison: Comparison,
    classes: Sequence[str],
    names: tuple[str, str] = ("FCN-32s", "FCN-8s"),
    most: int = 3,
) -> tuple[str, ...]:
    """The comparison in plain words, one to four sentences; at most `most` transitions."""
    first, second = names
    if not comparison.transitions:
        return (f"{first} and {second} agree on every pixel of this photo.",)
    said = [
        f"{second} gives {percent(comparison.changed)} of the pixels another class than {first} "
        f"does; {percent(comparison.near_outline)} of those lie within {OUTLINE_WIDTH} pixels of "
        "an outline.",
        "The biggest changes: "
        + ", ".join(
            f"{classes[t.before]} → {classes[t.after]} ({percent(t.share)} of the photo)"
            for t in comparison.transitions[:most]
        )
        + ".",
    ]
    for found, name in ((comparison.gained, second), (comparison.lost, first)):
        if found:
            said.append(f"Only {name} finds {_listed([classes[c] for c in found])}.")
    return tuple(said)


def change_map(
    pixels: NDArray[np.uint8], before: Labels, after: Labels, palette: NDArray[np.uint8] = PALETTE
) -> NDArray[np.uint8]:
    """The photo greyed, the changed pixels in the colour of their new class: (H, W, 3) RGB uint8.

    Background has no colour of its own (VOC paints it black): pixels that became background are
    hatched instead.
    """
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    faded = np.repeat((140 + 0.45 * grey)[..., None], 3, axis=2).astype(np.uint8)
    changed = before != after
    faded[changed] = palette[after[changed]]
    rows, columns = np.nonzero(changed & (after == 0))
    stripe = (rows + columns) % HATCH_PERIOD < HATCH_PERIOD // 2
    faded[rows, columns] = np.where(stripe, 17, 255)[:, None]
    return faded
