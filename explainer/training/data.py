"""Photos with per-pixel labels, and the crops that training sees."""

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from explainer.fcn.voc import CLASSES, IGNORE
from explainer.training.start import EVERY


@dataclass(frozen=True)
class Example:
    """A photo (H, W, 3) uint8 RGB and its labels (H, W) uint8, 255 where there is none.

    `soft` are the teacher's probabilities (h, w, classes) at the pixels (8i, 8j), where known.
    """

    name: str
    photo: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    soft: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Batch:
    """What a step of training sees.

    Attributes:
        photos: (N, 3, crop, crop) float32 in -1 … 1.
        labels: (N, crop, crop) int64, 255 where there is none.
        soft: (N, classes, (crop-1)/8 + 1, …) float32, the teacher's probabilities at the pixels
            (8i, 8j), or zeros beyond the photo.
    """

    photos: Tensor
    labels: Tensor
    soft: Tensor


def load(folder: Path, splits: tuple[str, ...], progress: bool = False) -> list[Example]:
    """The examples of some splits: images/ID.jpg, masks/ID.png, and splits.json with the IDs.

    Raises:
        FileNotFoundError: the folder has no splits.json.
        KeyError: a split that it does not list.
    """
    from tqdm import tqdm

    listing = json.loads((folder / "splits.json").read_text())
    names = [name for split in splits for name in listing[split]]
    examples = []
    for name in tqdm(names, "reading", unit="photo", disable=not progress, leave=False):
        with Image.open(folder / "images" / f"{name}.jpg") as image:
            photo = np.asarray(image.convert("RGB"))
        with Image.open(folder / "masks" / f"{name}.png") as mask:
            examples.append(Example(name, photo, np.asarray(mask)))
    return examples


def sampling_weights(examples: list[Example], power: float) -> NDArray[np.float64]:
    """Probability of drawing each example: that of its rarest class, frequency to the -power."""
    present = np.zeros((len(examples), len(CLASSES)), bool)
    for row, example in zip(present, examples, strict=True):
        found = np.unique(example.labels)
        row[found[found < len(CLASSES)]] = True
    frequency = np.maximum(present.mean(0), 1 / len(examples))
    weights = (present * frequency**-power).max(1)
    weights[~present.any(1)] = 0
    return weights / weights.sum()


@dataclass(frozen=True)
class Augmentation:
    """What a crop may go through.

    Attributes:
        crop: side in pixels, 32n+1 so that cells sit on pixels.
        scales: smallest and largest enlargement, drawn evenly on a logarithmic axis.
        stretch: largest change of the aspect ratio, as a factor.
        colour: largest relative change of brightness, contrast and saturation.
        paste: probability that the objects of a second example are pasted in.
    """

    crop: int = 353
    scales: tuple[float, float] = (0.6, 1.6)
    stretch: float = 1.15
    colour: float = 0.25
    paste: float = 0.15


def _interpolation(places: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """Linear weights (places, cells) of reading a row of cells at fractional places."""
    away = np.abs(np.clip(places, 0, cells - 1)[:, None] - np.arange(cells))
    return np.maximum(0, 1 - away).astype(np.float32)


@dataclass(frozen=True)
class _Span:
    """One axis of a crop: source pixels start … stop enlarged to `length` from `offset` on."""

    start: float
    stop: float
    offset: int
    length: int

    @property
    def slice(self) -> slice:
        return slice(self.offset, self.offset + self.length)

    def weights(self, crop: int, cells: int) -> NDArray[np.float32]:
        """How soft labels at every 8th source pixel are read at every 8th pixel of the crop."""
        at = np.arange(0, crop, EVERY)
        source = self.start + (at - self.offset + 0.5) * (self.stop - self.start) / self.length
        weights = _interpolation((source - 0.5) / EVERY, cells)
        weights[(at < self.offset) | (at >= self.offset + self.length)] = 0
        return weights


def _crop(
    example: Example, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    height, width = example.labels.shape
    scale = np.exp(rng.uniform(*np.log(augmentation.scales)))
    aspect = np.exp(rng.uniform(-1, 1) * np.log(augmentation.stretch) / 2)
    crop = augmentation.crop
    spans = []
    for size, enlargement in ((height, scale * aspect), (width, scale / aspect)):
        enlarged = max(1, round(size * enlargement))
        length = min(crop, enlarged)
        start = rng.integers(enlarged - length + 1) * size / enlarged
        offset = int(rng.integers(crop - length + 1))
        spans.append(_Span(start, min(size, start + length * size / enlarged), offset, length))
    down, across = spans
    box = (across.start, down.start, across.stop, down.stop)
    size = (across.length, down.length)
    inside = (down.slice, across.slice)
    photo = np.full((crop, crop, 3), 128, np.uint8)
    resized = Image.fromarray(example.photo).resize(size, Image.Resampling.BILINEAR, box)
    photo[inside] = np.asarray(resized)
    labels = np.full((crop, crop), IGNORE, np.uint8)
    resized = Image.fromarray(example.labels).resize(size, Image.Resampling.NEAREST, box)
    labels[inside] = np.asarray(resized)
    side = len(range(0, crop, EVERY))
    soft = np.zeros((side, side, len(CLASSES)), np.float32)
    if example.soft is not None:
        rows, columns, _ = example.soft.shape
        read = across.weights(crop, columns) @ example.soft.astype(np.float32)
        soft = np.tensordot(down.weights(crop, rows), read, 1)
    if rng.random() < 0.5:
        # The crop's side is 8n+1, so that its mirror image has its soft labels at mirrored places.
        photo, labels, soft = photo[:, ::-1], labels[:, ::-1], soft[:, ::-1]
    return photo, labels, soft


def _jitter(photo: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray:
    """Brightness, contrast and saturation, as float32 in 0 … 255."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    changed = photo.astype(np.float32)
    grey = changed.mean(2, keepdims=True)
    changed = grey + (changed - grey) * saturation
    mean = float(grey.mean())
    return np.clip((mean + (changed - mean) * contrast) * brightness, 0, 255)


def crops(
    examples: list[Example],
    probabilities: NDArray[np.float64],
    augmentation: Augmentation,
    batch: int,
    seed: int,
    start: int = 0,
) -> Iterator[Batch]:
    """Batches without end.

    Batch number i depends on the seed and i alone, so that a resumed run sees what it would have
    seen.
    """
    step = start
    while True:
        rng = np.random.default_rng((seed, step))
        photos, labels, softs = [], [], []
        for _ in range(batch):
            chosen, other = rng.choice(len(examples), 2, p=probabilities)
            photo, label, soft = _crop(examples[chosen], augmentation, rng)
            if rng.random() < augmentation.paste:
                extra, extra_label, extra_soft = _crop(examples[other], augmentation, rng)
                objects = (extra_label > 0) & (extra_label != IGNORE)
                photo = np.where(objects[..., None], extra, photo)
                label = np.where(objects, extra_label, label)
                soft = np.where(objects[::EVERY, ::EVERY, None], extra_soft, soft)
            photos.append(_jitter(photo, augmentation.colour, rng))
            labels.append(label)
            softs.append(soft)
        stacked = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float()
        yield Batch(
            stacked / 127.5 - 1,
            torch.from_numpy(np.stack(labels)).long(),
            torch.from_numpy(np.stack(softs)).permute(0, 3, 1, 2),
        )
        step += 1


def ahead(items: Iterator[Batch], depth: int = 3) -> Iterator[Batch]:
    """The same items, prepared by a thread while the previous ones are used."""
    ready: queue.Queue = queue.Queue(depth)

    def fill() -> None:
        for item in items:
            ready.put(item)

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield ready.get()
