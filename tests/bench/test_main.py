import json
from dataclasses import dataclass

import pytest

from explainer.bench import __main__ as bench
from explainer.bench import sections
from explainer.bench.report import Headline, Report, Table, column
from explainer.bench.sections import Options, Section


@dataclass(frozen=True)
class Row:
    seconds: float = column("s", 3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Two sections in place of the real ones, the second of which fails; what they were asked."""
    found: list[Options] = []

    def measure(section: Section, options: Options) -> Report:
        found.append(options)
        if section.name == "bad":
            raise RuntimeError("no such luck")
        return Report((Table("Times", [Row(0.25)]),), (Headline("a time", "0.25 s", "half"),))

    registry = {name: Section(name, "none", f"the {name} one") for name in ("good", "bad")}
    monkeypatch.setattr(sections, "SECTIONS", registry)
    monkeypatch.setattr(bench, "SECTIONS", registry)
    monkeypatch.setattr(Section, "measure", measure)
    return found


def test_help_names_every_section_and_the_scripts_beside_it(capsys):
    with pytest.raises(SystemExit) as ended:
        bench.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for section in sections.SECTIONS.values():
        assert section.what in text
    assert "bench_later_photo.py" in text
    assert "explainer.bench.soak" in text


def test_tables_and_json(asked, capsys, tmp_path):
    file = tmp_path / "found.json"
    assert bench.main(["--only", "good", "--quick", "--device", "cpu", "--json", str(file)]) == 0
    assert asked == [Options("cpu", quick=True)]
    assert "0.250" in capsys.readouterr().out
    found = json.loads(file.read_text("utf-8"))
    assert found["sections"]["good"]["tables"][0]["rows"] == [{"seconds": 0.25}]
    assert found["machine"]["device"] == "cpu"


def test_a_section_that_fails_takes_no_other_with_it(asked, capsys, tmp_path):
    file = tmp_path / "found.json"
    assert bench.main(["--device", "cpu", "--json", str(file)]) == 1
    captured = capsys.readouterr()
    assert "bad failed: RuntimeError('no such luck')" in captured.err
    assert "Traceback" not in captured.err
    assert list(json.loads(file.read_text("utf-8"))["sections"]) == ["good"]


def test_markdown_alone_goes_to_stdout(asked, capsys):
    bench.main(["--only", "good", "--device", "cpu", "--markdown"])
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("Measured on ")
    assert lines[2:] == [
        "| what | measured | beside it |",
        "| --- | --- | --- |",
        "| a time | 0.25 s | half |",
    ]
    assert "0.250" in captured.err


@pytest.mark.parametrize("wrong", [["--only", "speed"], ["--device", "abacus"]])
def test_wrong_use(wrong, capsys):
    assert bench.main(wrong) == 2
    assert capsys.readouterr().err.startswith("error: there is no ")
