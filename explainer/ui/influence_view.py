"""What the real network says of a place on a sample photo: which pixels its label depends on.

PyTorch is imported when the network is asked for the first time, not when a page opens.
"""

import base64
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explainer.fcn.photo import decode
from explainer.fcn.voc import CLASSES
from explainer.ui import engine, samples
from explainer.ui.pictures import receptive_field as pictures

LONGEST = 512
"""Pixels of the photos' longest side here."""

SHARE = 0.9
BLOCK = 4
"""The heat map shows means over squares of this many pixels: single pixels are noise."""

# Anchors of cividis (Nuñez, Anderton & Renslow 2018), which colour-blind people read alike.
_CIVIDIS = np.array(
    [
        (0, 32, 77),
        (43, 62, 108),
        (85, 91, 109),
        (124, 123, 120),
        (165, 156, 116),
        (210, 192, 96),
        (255, 234, 70),
    ]
)


@dataclass(frozen=True)
class Answer:
    """The label of a place: the class and its probability in FCN-32s."""

    label: str
    probability: float


@dataclass(frozen=True)
class Measured:
    """How the influence on a label is spread around its place.

    Attributes:
        answer: the label.
        shares: of the influence, within every whole radius from 0.
        uniform: the same had every pixel of the box on the photo counted alike.
        radius, even: the smallest whole radii that hold 90 % of each.
        outside_box: the share that comes from outside the trunk's field.
        heat: the address of the picture of it.
    """

    answer: Answer
    shares: tuple[float, ...]
    uniform: tuple[float, ...]
    radius: int
    even: int
    outside_box: float
    heat: str


@lru_cache(maxsize=len(samples.SAMPLES))
def photo(name: str) -> NDArray[np.uint8]:
    """A sample photo (H, W, 3)."""
    return decode(samples.read(name), longest=LONGEST).pixels


@lru_cache(maxsize=len(samples.SAMPLES))
def address(name: str) -> str:
    """A sample photo as an address that holds it."""
    return samples.data_uri(Image.fromarray(photo(name)))


def size(name: str) -> tuple[int, int]:
    """Height and width of a sample photo, in pixels."""
    height, width = photo(name).shape[:2]
    return height, width


@lru_cache(maxsize=64)
def measure(name: str, y: int, x: int, photo_average: bool) -> Measured:
    """Measure the influence on the label at a place of a sample photo; about a second on a CPU.

    Raises:
        ValueError: the network cannot be loaded; the message says why.
    """
    pixels = photo(name)
    found = engine.influence(pixels, y, x, stride=pictures.STRIDE, photo_average=photo_average)
    box = pictures.network_box(y, x)
    inside = np.zeros(pixels.shape[:2])
    inside[
        max(box.top, 0) : box.top + box.height,
        max(box.left, 0) : box.left + box.width,
    ] = 1
    shares, uniform = (by_radius(mass, y, x) for mass in (found.mass, inside / inside.sum()))
    return Measured(
        answer(pixels, y, x),
        tuple(shares.tolist()),
        tuple(uniform.tolist()),
        int(np.argmax(shares >= SHARE)),
        int(np.argmax(uniform >= SHARE)),
        float(found.mass[inside == 0].sum()),
        heat(found.mass),
    )


@lru_cache(maxsize=64)
def greyed(name: str, y: int, x: int, radius: int) -> tuple[Answer, str]:
    """The label at a place when all outside a circle is grey, and the address of that photo."""
    from explainer.fcn.influence import outside_grey

    pixels = outside_grey(photo(name), y, x, radius)
    return answer(pixels, y, x), samples.data_uri(Image.fromarray(pixels))


def answer(pixels: NDArray[np.uint8], y: int, x: int) -> Answer:
    """What the network says of a pixel, by FCN-32s."""
    probabilities = engine.segment(pixels).result.probabilities(y, x)[pictures.STRIDE]
    best = int(probabilities.argmax())
    return Answer(CLASSES[best], float(probabilities[best]))


def by_radius(mass: NDArray[np.float64], y: int, x: int) -> NDArray[np.float64]:
    """The share of a mass (H, W) within every whole radius of (y, x), from 0 to all of it."""
    height, width = mass.shape
    away = np.hypot(np.arange(height)[:, None] - y, np.arange(width)[None] - x)
    rings = np.bincount(np.ceil(away).astype(int).ravel(), mass.ravel())
    return np.cumsum(rings, dtype=np.float64)


def heat(mass: NDArray[np.float64]) -> str:
    """A mass (H, W) as the address of a picture: cividis, the more opaque the more there is."""
    height, width = mass.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    padded = np.pad(mass, ((0, rows * BLOCK - height), (0, columns * BLOCK - width)), "edge")
    means = padded.reshape(rows, BLOCK, columns, BLOCK).mean((1, 3))
    # The square root, so that the faint parts are seen; the few largest means would hide the rest.
    level = np.sqrt(np.clip(means / max(float(np.quantile(means, 0.998)), 1e-30), 0, 1))
    places = np.linspace(0, 1, len(_CIVIDIS))
    colours = [np.interp(level, places, channel) for channel in _CIVIDIS.T]
    picture = np.stack([*colours, 90 + 165 * level], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture, "RGBA").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
