"""What the picture shows, as plain data: Python computes every number, the browser draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

NUMBERS = ("kernel", "stride", "padding", "dilation")


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: its first row and column, and how many there are."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Row:
    """A layer in the table, and the field of one of its units on the photo.

    Attributes:
        name: of the layer.
        numbers: kernel, stride, padding and dilation.
        results: what is computed, one text for each of the picture's `results`.
        box: the field of the unit nearest to the place.
        says: the line below the picture while the layer is pointed at.
    """

    name: str
    numbers: tuple[int, int, int, int]
    results: tuple[str, ...]
    box: Box
    says: str


@dataclass(frozen=True)
class Circle:
    """A circle around the place, in pixels: the student's guess, which can be dragged, or found."""

    radius: int
    kind: Literal["guess", "found"]
    text: str = ""


@dataclass(frozen=True)
class Picture:
    """A photo with what is drawn on it, and the table of layers beside it.

    Attributes:
        photo: the address of the photo, which may hold the data itself.
        height, width: of the photo, in pixels.
        place: row and column of the marked pixel.
        view: top, left, height and width of what is shown, in the photo's pixels; what lies
            outside the photo is hatched: padding.
        title: what the stack of layers is called.
        rows: the layers, first to act first; empty for a photo without a table.
        results: headings of the computed columns, with what each means.
        limits: by number, its smallest and largest value.
        chosen: the row that is drawn strongly while none is pointed at.
        boxes: rectangles without a layer.
        circles: around the place.
        heat: the address of a picture to lay over the photo, or "".
        says: the line below the picture while no layer is pointed at; the chosen layer's by
            default.
        most: layers that a stack may have.
    """

    photo: str
    height: int
    width: int
    place: tuple[int, int]
    view: Box
    title: str = ""
    rows: Sequence[Row] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    chosen: int = -1
    boxes: Sequence[Box] = ()
    circles: Sequence[Circle] = ()
    heat: str = ""
    says: str = ""
    most: int = 1

    def __post_init__(self) -> None:
        if self.rows and not 0 <= self.chosen < len(self.rows):
            raise ValueError(f"there is no row {self.chosen}")
        if any(len(row.results) != len(self.results) for row in self.rows):
            raise ValueError("every row needs a result for each heading")


FAR = 4_000
"""Pixels from the photo beyond which an edge is drawn no further away: nobody sees it."""


def payload(picture: Picture) -> dict[str, Any]:
    """The picture as JSON values, for the browser."""
    return {
        "photo": picture.photo,
        "height": picture.height,
        "width": picture.width,
        "place": list(picture.place),
        "view": _box(picture.view),
        "title": picture.title,
        "rows": [
            {
                "name": row.name,
                "numbers": dict(zip(NUMBERS, row.numbers, strict=True)),
                "results": list(row.results),
                "box": _box(row.box),
                "says": row.says,
            }
            for row in picture.rows
        ],
        "results": dict(picture.results),
        "limits": {name: list(bounds) for name, bounds in picture.limits.items()},
        "chosen": picture.chosen,
        "boxes": [_box(box) for box in picture.boxes],
        "circles": [
            {"radius": circle.radius, "kind": circle.kind, "text": circle.text}
            for circle in picture.circles
        ],
        "heat": picture.heat,
        "says": picture.says,
        "most": picture.most,
    }


def _box(box: Box) -> list[int]:
    """Left, top, width and height, with the far edges nearer where they are absurdly far away."""
    left, top = max(box.left, -FAR), max(box.top, -FAR)
    right, bottom = min(box.left + box.width, FAR), min(box.top + box.height, FAR)
    return [left, top, right - left, bottom - top]
