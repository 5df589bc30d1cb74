"""What a section of the benchmarks reports: typed rows, as aligned text, Markdown and JSON.

A row is a frozen dataclass whose fields are made by `column`: the name under which a figure stands
in the JSON is the field's, the heading of its column and its digits are given once, beside it.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"
"""A figure that was not measured; null in JSON."""


def column(heading: str, digits: int | None = None, *, brief: bool = True) -> Any:
    """A field of a row.

    Args:
        heading: of the column, with the unit.
        digits: significant digits of a number; None prints it as it is.
        brief: whether the column stands in the README too.
    """
    return dataclasses.field(metadata={"heading": heading, "digits": digits, "brief": brief})


@dataclass(frozen=True)
class Table:
    """Rows of one kind under a title.

    Attributes:
        title: what is measured, in a few words.
        rows: dataclasses of one type; at least one.
        notes: what one must know to read them, one sentence each.
        shows: what the table shows, in a line, for the README; empty for a table that stands
            elsewhere only.
        brief: the rows for the README; None for all.
    """

    title: str
    rows: Sequence[Any]
    notes: tuple[str, ...] = ()
    shows: str = ""
    brief: Sequence[Any] | None = None


@dataclass(frozen=True)
class Headline:
    """A figure for the README.

    Attributes:
        what: is measured.
        measured: the figure with its unit.
        beside: what it is compared with, and the ratio.
    """

    what: str
    measured: str
    beside: str = ""


@dataclass(frozen=True)
class Report:
    """What a section found."""

    tables: tuple[Table, ...]
    headlines: tuple[Headline, ...] = ()


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, never in scientific notation.

    >>> [number(x) for x in (0.01234, 1.5, 123456.0, 0.0)]
    ['0.0123', '1.50', '123,456', '0']
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(places, 0)}f}"


def cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """The headings and the rows of a table, as text."""
    fields = dataclasses.fields(table.rows[0])
    body = [
        [_cell(getattr(row, f.name), f.metadata["digits"]) for f in fields] for row in table.rows
    ]
    return [field.metadata["heading"] for field in fields], body


def _cell(value: Any, digits: int | None) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and digits is not None:
        return number(value, digits)
    return str(value)


def text(table: Table) -> str:
    """A table in columns: words to the left, numbers to the right."""
    headings, body = cells(table)
    values = [
        [getattr(row, f.name) for row in table.rows] for f in dataclasses.fields(table.rows[0])
    ]
    left = [any(isinstance(value, str) for value in column) for column in values]
    widths = [max(map(len, column)) for column in zip(headings, *body, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in (headings, *body)
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([table.title, lines[0], rule, *lines[1:], *table.notes])


def markdown(reports: Sequence[Report]) -> str:
    """What the README shows: the headlines in one table, then a table of each measurement, with a
    line below it that says what it shows."""
    lines = [[h.what, h.measured, h.beside] for report in reports for h in report.headlines]
    parts = [_grid(["what", "measured", "beside it"], lines, ["---"] * 3)] if lines else []
    for table in (table for report in reports for table in report.tables):
        rows = table.rows if table.brief is None else table.brief
        if not (table.shows and rows):
            continue
        shown = dataclasses.replace(table, rows=rows)
        headings, body = cells(shown)
        fields = dataclasses.fields(rows[0])
        kept = [place for place, field in enumerate(fields) if field.metadata["brief"]]
        words = [any(isinstance(getattr(row, f.name), str) for row in rows) for f in fields]
        parts += [
            f"**{table.title}**",
            _grid(
                [headings[place] for place in kept],
                [[line[place] for place in kept] for line in body],
                ["---" if words[place] else "--:" for place in kept],
            ),
            table.shows,
        ]
    return "\n\n".join(parts)


def _grid(headings: list[str], body: list[list[str]], rule: list[str]) -> str:
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (headings, *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def to_json(machine: Any, sections: dict[str, Report]) -> str:
    """Everything that was measured.

    Args:
        machine: a dataclass: where and when.
        sections: the reports by name.
    """
    found = {
        "machine": dataclasses.asdict(machine),
        "sections": {
            name: {
                "tables": [
                    {
                        "title": table.title,
                        "headings": {
                            f.name: f.metadata["heading"] for f in dataclasses.fields(table.rows[0])
                        },
                        "rows": [dataclasses.asdict(row) for row in table.rows],
                        "notes": list(table.notes),
                    }
                    for table in report.tables
                ],
                "headlines": [dataclasses.asdict(headline) for headline in report.headlines],
            }
            for name, report in sections.items()
        },
    }
    return json.dumps(found, indent=1, ensure_ascii=False)
