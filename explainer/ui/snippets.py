"""The same result from the command line and from Python, as text to copy."""

import shlex

from explainer.ui.visit import BUNDLED, Choice

DEFAULT_SIDE = 768
"""What the command line takes for the longest side unless it is told otherwise."""


def command_line(name: str, side: int, choice: Choice = BUNDLED) -> str:
    """The command that segments the file `name` as the page does."""
    option = "" if side == DEFAULT_SIDE else f" --longest {side}"
    if not choice.bundled:
        option += f" --network {choice.network}"
        option += (
            f" --weights {shlex.quote(choice.file)}" if choice.file else f" --mode {choice.mode}"
        )
    return f"python -m explainer.fcn {shlex.quote(name)} --out out{option}"


def python_lines(name: str, side: int, choice: Choice = BUNDLED) -> str:
    """The lines of Python that segment the file `name` as the page does."""
    if not choice.bundled:
        how = f"weights=Path({choice.file!r})" if choice.file else repr(choice.mode)
        return f"""\
from pathlib import Path

from explainer.fcn import runs
from explainer.fcn.photo import decode

segment = runs.load({choice.network!r}, {how})
photo = decode(Path({name!r}).read_bytes(), longest={side})
run = segment(photo.pixels)

run.labels  # by stride of the output: a class for every pixel, (height, width) uint8
run.finest.probabilities(y=10, x=20)  # of the 21 classes at a pixel, by stride
run.finest.ledger(y=10, x=20, class_index=8)  # that class's score as a sum over cells
"""
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
