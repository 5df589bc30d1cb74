"""The layers: who may import whom, read from the sources without running them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from explainer.ui.lessons import LESSONS, OVERVIEW, PAGES, sections

ROOT = Path(__file__).resolve().parents[1]

# A layer, and what nothing in it may import.
FORBIDDEN = {
    "explainer/ops": (
        "streamlit",
        "torch",
        "explainer.fcn",
        "explainer.serve",
        "explainer.bench",
        "explainer.ui",
        "explainer.components",
    ),
    "explainer/fcn": (
        "streamlit",
        "explainer.serve",
        "explainer.training",
        "explainer.bench",
        "explainer.ui",
        "explainer.components",
    ),
    "explainer/serve": (
        "streamlit",
        "explainer.training",
        "explainer.bench",
        "explainer.ui",
        "explainer.components",
    ),
    "explainer/training": (
        "streamlit",
        "explainer.serve",
        "explainer.bench",
        "explainer.ui",
        "explainer.components",
    ),
    "explainer/components": (
        "explainer.ui",
        "explainer.serve",
        "explainer.training",
        "explainer.bench",
    ),
    "explainer/ui": ("explainer.training", "explainer.bench"),
    "explainer/bench": ("streamlit", "explainer.training", "explainer.components"),
    "pages": ("numpy", "scipy", "torch", "explainer.training", "explainer.bench"),
    "app.py": ("numpy", "scipy", "torch", "explainer.training", "explainer.bench"),
}
# What a source of a layer may import all the same.
ALLOWED = {
    # Streamlit's protocol is what the benchmarks' client speaks; it has no other description.
    "explainer/bench/client.py": ("streamlit.proto",),
}
# All that the benchmarks may know of the pages: the catalogue and the sample photos.
BENCH_UI = ("explainer.ui.lessons", "explainer.ui.samples")
ENTRY_POINT_LINES = 60


def sources(layer: str) -> list[Path]:
    path = ROOT / layer
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imported(source: str, package: str = "") -> set[str]:
    """The full names of all modules and members that a source imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = (
                ".".join([*parent, node.module or ""]).strip(".") if node.level else node.module
            )
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def breaches(names: set[str], forbidden: tuple[str, ...]) -> set[str]:
    return {
        name for name in names for bad in forbidden if name == bad or name.startswith(bad + ".")
    }


def test_imports_are_found_in_every_form():
    source = (
        "import torch.nn as nn\nfrom explainer.fcn import result\n"
        "def f():\n    from ..ui.shell import open_page\n"
    )
    names = imported(source, package="explainer.ops")
    assert names == {"torch.nn", "explainer.fcn.result", "explainer.ui.shell.open_page"}
    assert breaches(names, FORBIDDEN["explainer/ops"]) == names
    assert not breaches({"torchvision", "explainer.fcnx"}, ("torch", "explainer.fcn"))


@pytest.mark.parametrize("layer", [layer for layer in FORBIDDEN if (ROOT / layer).exists()])
def test_arrows_run_one_way(layer):
    for path in sources(layer):
        package = ".".join(path.relative_to(ROOT).parent.parts)
        name = path.relative_to(ROOT)
        found = breaches(imported(path.read_text("utf-8"), package), FORBIDDEN[layer])
        found -= breaches(found, ALLOWED.get(name.as_posix(), ()))
        assert not found, f"{name} imports {', '.join(sorted(found))}"


def test_the_benchmarks_know_little_of_the_pages():
    for path in sources("explainer/bench"):
        found = breaches(imported(path.read_text("utf-8"), "explainer.bench"), ("explainer.ui",))
        assert not found - breaches(found, BENCH_UI), path.name


def test_the_list_of_sections_costs_nothing():
    code = (
        "import sys, explainer.bench.__main__, explainer.bench.soak\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_only_the_serving_side_knows_ray():
    """An app that asks a serving machine does not have to install it."""
    knowing = {
        path.relative_to(ROOT).as_posix()
        for layer in ("app.py", "pages", "explainer")
        for path in sources(layer)
        if breaches(imported(path.read_text("utf-8")), ("ray",))
    }
    assert knowing == {"explainer/serve/__main__.py", "explainer/serve/deployment.py"}


def test_entry_points_only_route_and_frame():
    assert len((ROOT / "app.py").read_text("utf-8").splitlines()) < ENTRY_POINT_LINES


def test_every_package_folder_is_a_package():
    folders = {path.parent for path in (ROOT / "explainer").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


@pytest.mark.parametrize("slow", ["torch", "scipy"])
def test_the_page_draws_before_slow_packages_are_imported(slow: str):
    code = f"import sys, explainer.ui.segment_page; sys.exit('{slow}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_catalogue_lists_every_page_once():
    pages = {f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py")} | {"app.py"}
    assert {lesson.path for lesson in PAGES} == pages
    assert len(PAGES) == len(pages)
    assert len({lesson.title for lesson in PAGES}) == len(PAGES)
    assert [lesson for group in sections().values() for lesson in group] == list(LESSONS)
    assert OVERVIEW not in LESSONS


def test_pages_only_lay_out():
    """No page defines a class or does arithmetic beyond what a layout needs."""
    for path in sources("pages"):
        tree = ast.parse(path.read_text("utf-8"))
        powers = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow | ast.MatMult)
        ]
        assert not powers, path.name
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)], path.name


def test_no_page_names_a_value_that_streamlit_would_draw():
    """Streamlit draws a value that stands alone in a script, the text below a constant too."""
    for path in [ROOT / "app.py", *sources("pages")]:
        tree = ast.parse(path.read_text("utf-8"))
        alone = [
            n.lineno
            for n in tree.body
            if isinstance(n, ast.Expr) and not isinstance(n.value, ast.Call)
        ]
        assert [line for line in alone if line > 1] == [], path.name
