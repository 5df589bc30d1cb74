"""The same result from the command line and from Python, as text to copy."""

import shlex

DEFAULT_SIDE = 768
"""What the command line takes for the longest side unless it is told otherwise."""


def command_line(name: str, side: int) -> str:
    """The command that segments the file `name` as the page does."""
    option = "" if side == DEFAULT_SIDE else f" --longest {side}"
    return f"python -m explainer.fcn {shlex.quote(name)} --out out{option}"


def python_lines(name: str, side: int) -> str:
    """The lines of Python that segment the file `name` as the page does."""
    return f"""\
from pathlib import Path

from explainer.fcn.photo import decode
from explainer.fcn.segmenter import Segmenter

segment = Segmenter.load()  # device="cuda", "mps" or "cpu"; None takes the fastest
photo = decode(Path({name!r}).read_bytes(), longest={side})
result = segment(photo.pixels)

result.labels[8]  # FCN-8s: a class for every pixel, (height, width) uint8; also 16 and 32
result.probabilities(y=10, x=20)[8]  # of the 21 classes at a pixel
result.ledger(y=10, x=20, class_index=8)  # that class's score as a sum over cells
"""
