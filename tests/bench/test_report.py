import json
from dataclasses import dataclass

import pytest

from explainer.bench.report import (
    MISSING,
    Headline,
    Report,
    Table,
    column,
    markdown,
    number,
    text,
    to_json,
)


@dataclass(frozen=True)
class Row:
    name: str = column("name")
    seconds: float | None = column("s", 3)
    count: int = column("count")


@dataclass(frozen=True)
class Machine:
    cpu: str = "a processor"


TABLE = Table(
    "A table",
    [Row("one", 0.012345, 7), Row("a longer name", 1234.5, 12), Row("none", None, 0)],
    ("Read it.",),
)


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.012345, 3, "0.0123"),
        (1.0, 3, "1.00"),
        (9.996, 3, "10.00"),
        (1234.5, 2, "1,234"),
        (123456789, 3, "123,456,789"),
        (-2.5, 2, "-2.5"),
        (0, 3, "0"),
        (float("inf"), 3, "inf"),
    ],
)
def test_numbers_have_significant_digits(value, digits, expected):
    assert number(value, digits) == expected


def test_a_table_is_aligned():
    lines = text(TABLE).splitlines()
    assert lines == [
        "A table",
        "name                s  count",
        "-------------  ------  -----",
        "one            0.0123      7",
        "a longer name   1,234     12",
        f"none                {MISSING}      0",
        "Read it.",
    ]


def test_json_has_the_names_of_the_fields_and_null_where_nothing_was_measured():
    report = Report((TABLE,), (Headline("what", "1 s", "beside"),))
    found = json.loads(to_json(Machine(), {"some": report}))
    assert found["machine"] == {"cpu": "a processor"}
    (table,) = found["sections"]["some"]["tables"]
    assert table["rows"][2] == {"name": "none", "seconds": None, "count": 0}
    assert table["headings"] == {"name": "name", "seconds": "s", "count": "count"}
    assert table["notes"] == ["Read it."]
    assert found["sections"]["some"]["headlines"][0]["measured"] == "1 s"


def test_markdown_has_the_headlines_in_one_table_whatever_their_text():
    one, two = (Report((), (Headline(what, "1 s", "2×"),)) for what in ("a | b", "c"))
    assert markdown([one, two]).splitlines() == [
        "| what | measured | beside it |",
        "| --- | --- | --- |",
        "| a \\| b | 1 s | 2× |",
        "| c | 1 s | 2× |",
    ]


def test_markdown_shows_the_tables_that_say_what_they_show():
    @dataclass(frozen=True)
    class Wide(Row):
        turns: int = column("turns", brief=False)

    rows = [Wide("one", 0.5, 1, 9), Wide("two", None, 2, 9)]
    shown = Table("Shown", rows, ("A note.",), "What it shows.", rows[1:])
    whole = Table("Whole", rows, shows="All of it.")
    assert markdown([Report((TABLE, shown, whole))]).splitlines() == [
        "**Shown**",
        "",
        "| name | s | count |",
        "| --- | --: | --: |",
        f"| two | {MISSING} | 2 |",
        "",
        "What it shows.",
        "",
        "**Whole**",
        "",
        "| name | s | count |",
        "| --- | --: | --: |",
        "| one | 0.500 | 1 |",
        f"| two | {MISSING} | 2 |",
        "",
        "All of it.",
    ]
