"""What the tests of the pictures share, for them to import."""

import contextlib
import io
import re
from dataclasses import replace

from explainer.components.linked_grid import Scene


def run(code: str) -> dict:
    """The names that lines of code leave behind, and under "printed" what they print."""
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, names)
    return {**names, "printed": out.getvalue()}


def weights_count_what_they_light(drawn: Scene) -> None:
    """Every "joins 9 pairs of cells, 5 of them with padding" is what the weight's links hold."""
    for name, terms in drawn.terms.items():
        for tap, term in enumerate(terms):
            said = re.search(r" joins (one|\d+) pairs? of cells(?:, (\d+) of)?", term)
            if said:
                count, zeros = said[1].replace("one", "1"), said[2] or "0"
                assert (int(count), int(zeros)) == _pairs(drawn, name, tap), (name, tap, term)


def _pairs(drawn: Scene, name: str, tap: int) -> tuple[int, int]:
    """The pairs of cells that the links of a weight join, and those of them with a drawn 0."""
    group = next(group for group in drawn.links if name in group.cells)
    places = [place for place, cell in enumerate(group.cells[name]) if cell == tap]
    grids = [drawn.grid(other) for other in group.cells]
    if all(grid.role == "kernel" for grid in grids):  # the same weights, elsewhere
        (elsewhere,) = (other for other in group.cells if other != name)
        (place,) = places
        others = [one for one in drawn.links if one is not group and elsewhere in one.cells]
        return _pairs(replace(drawn, links=others), elsewhere, group.cells[elsewhere][place])
    read = next((grid for grid in grids if grid.role == "input" and grid.marks), None)
    zeros = [
        place for place in places if read and read.marks[group.cells[read.name][place]] in "pz"
    ]
    return len(places), len(zeros)
