"""The sample photos: files that come inside scikit-image's package, so nothing is downloaded."""

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from explainer.fcn.render import jpeg

THUMBNAIL = (96, 56)


@dataclass(frozen=True)
class Sample:
    """A sample photo: its name in links, its file, and what to expect of it."""

    name: str
    file: str
    help: str


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample("cat", "chelsea.png", "A close-up of a cat"),
        Sample("astronaut", "astronaut.png", "A portrait: a person in front of a flag and a model"),
        Sample("motorbike", "motorcycle_left.png", "A motorbike with thin parts, in a garage"),
        Sample("coffee", "coffee.png", "A cup on a table, seen from above"),
        Sample("rocket", "rocket.jpg", "No class of the network is here: nothing should be found"),
    )
}
DEFAULT = "cat"


def folder() -> Path:
    """scikit-image's folder of photos, found without importing the package."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the sample photos come with scikit-image, which is not installed")
    return Path(spec.origin).parent / "data"


def read(name: str) -> bytes:
    """The file of a sample.

    Raises:
        KeyError: no such sample.
    """
    return (folder() / SAMPLES[name].file).read_bytes()


def data_uri(picture: Image.Image) -> str:
    """An RGB picture as a JPEG inside an address, so that the page has it without a request."""
    return jpeg_uri(jpeg(picture, 85))


def jpeg_uri(file: bytes) -> str:
    """A JPEG file inside an address."""
    return "data:image/jpeg;base64," + base64.b64encode(file).decode("ascii")


@lru_cache
def thumbnail(name: str) -> str:
    """A small picture of a sample, for a button's label."""
    picture = Image.open(io.BytesIO(read(name))).convert("RGB")
    picture.thumbnail(THUMBNAIL)
    return data_uri(picture)
