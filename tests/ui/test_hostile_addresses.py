"""Addresses that nobody means: every lesson opens all the same, and says what it left out.

In some of them every parameter of the page is something that it cannot mean, others contradict
themselves. No page may fail, or stop half-way, or take as good what it has not understood.
"""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from explainer.ui.controls import Controls

SECONDS = 300
"""After which a run counts as hanging, on a machine that does much else."""

# Texts that no parameter can mean, or hardly any.
NONSENSE = (
    "999999999999999999999",
    "-1",
    "nan",
    "-inf",
    "1e308",
    "",
    "9" * 5000,
    "½²",
    "\u0663",
    "1_0",
    "0x10",
    "null",
    "<script>alert(1)</script>",
    "`a`**b**![c](d)",
    "../../etc/passwd",
    "\x00\u202e",
)

# Grids of numbers and pinned cells of wrong shapes and lengths.
GRIDS = ("1,2;3", "1;2;3", ",".join(["9999"] * 150), ";" * 400, "1,2;3,4", "-.5", "1e3,2", "٣,1")
PINS = ("output:-99999999999999999999,5", "input:99,99", "kernel:0", "no:1,1", ":", "output:٣,1")

# For each page settings that contradict one another, or that are as large as they can be.
CONTRADICTIONS = {
    "convolution": (
        "size=1&kernel=7&dilation=4&view=Matrix&framework=TF VALID",
        "size=12&kernel=7&stride=1&padding=4&view=Matrix&letters=true&alphabet=true",
        "size=12&kernel=7&padding=4&view=Channels&weights=own&w=1,2&pin=input3:50,50",
        "axes=1-D&size=1&kernel=1&stride=4&view=Two layers&kernel2=5&stride2=3&x=1,2,3",
    ),
    "unpooling": (
        "size=2&kernel=4&stride=4&view=Interpolation",
        "size=8&kernel=4&stride=1&z=1,2;3,4&x=1&pin=summed:7,7",
        "size=3&kernel=1&stride=4&average=true&align_corners=true&view=Interpolation",
    ),
    "transposed_convolution": (
        "size=1&kernel=1&stride=1&padding=3&output_padding=3&dilation=1",
        "size=6&kernel=5&stride=4&dilation=3&view=Matrix&letters=true",
        "framework=Keras SAME&padding=3&output_padding=3&stride=1&view=Gradient&axes=1-D",
        "size=2&kernel=2&weights=own&w=1&x=1,2,3&view=Zero insertion&pin=spread:9,9",
    ),
    "checkerboard": (
        "size=99&kernel=1&stride=4&layers=4&view=Coverage",
        "kernel=1&stride=1&padding=3&size=1&view=Gradient&weights=own&w=1,2",
        "layers=4&view=Cures&axes=1-D&weights=own&w=1,2;3,4&photo=flat",
    ),
    "dilation": (
        "dilations=16,16,16,16,16,16,16,16&cells=5&kernel=5",
        "dilations=1,2,3,4,5,6,7,8,9&view=Photo",
        "dilations=16,16,16,16,16,16,16,16&kernel=5&view=Photo&weights=own&w=1",
        "view=Kernel&dilation=6&kernel=5&size=1&padding=0&letters=true",
        "view=Pooling&axes=2-D&size=1&stride=4&kernel=5",
        "view=Resample&axes=2-D&size=1&dilation=6&up=bilinear&x=1,2",
    ),
    "receptive_field": (
        "layers=31s16p150d16x40&layer=2&place=9999,9999",
        "layers=1x40&layer=40&place=0,0&radius=5&average=true",
    ),
}


# Of one letter and of many: what no check may choke on, whatever it is a parameter of.
TEXTS = (*NONSENSE, *GRIDS, *PINS)


@pytest.fixture
def open_address(root: Path, monkeypatch: pytest.MonkeyPatch):
    """`open_address(page, query)`: the page at an address, and its controls."""
    met: list[Controls] = []
    enter = Controls.enter

    def meet(controls: Controls) -> None:
        met.append(controls)
        enter(controls)

    monkeypatch.setattr(Controls, "enter", meet)

    def open_address(page: str, query: dict[str, str | list[str]]) -> tuple[AppTest, Controls]:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=SECONDS)
        app.switch_page(f"pages/{page}.py")
        for name, text in query.items():
            app.query_params[name] = text
        app.run()
        assert not app.exception, (page, query, app.exception)
        # The ways to the neighbouring lessons are the last that a page draws.
        assert app.main.get("page_link"), (page, query, "was not drawn to its end")
        return app, met[-1]

    return open_address


def names(controls: Controls) -> list[str]:
    return [*controls.controls, *controls.extras]


def understood(controls: Controls, name: str, text: str) -> bool:
    """Whether a text means something for a parameter."""
    if name in controls.extras:
        return controls.extras[name](text)
    return controls.controls[name].parse(text) is not None


def said(app: AppTest) -> str:
    return " ".join(notice.value for notice in app.warning)


@pytest.mark.parametrize("page", CONTRADICTIONS)
def test_nonsense_is_left_out_and_said(open_address, page):
    _, controls = open_address(page, {})
    parameters = names(controls)
    for name in parameters:
        for text in TEXTS:
            value = understood(controls, name, text)
            assert value in (True, False)
            if value and name in controls.controls:
                assert controls.takes(name, controls.controls[name].parse(text))
    mixed = [
        {name: NONSENSE[(start + place) % len(NONSENSE)] for place, name in enumerate(parameters)}
        for start in (0, 7)
    ]
    for texts in (*mixed, dict.fromkeys(parameters, "")):
        app, _ = open_address(page, texts)
        for name, text in texts.items():
            assert understood(controls, name, text) or f" {name} " in said(app), (name, text)


@pytest.mark.parametrize("page", CONTRADICTIONS)
def test_of_a_repeated_parameter_one_counts(open_address, page):
    _, controls = open_address(page, {})
    open_address(page, {name: ["<b>", "1", "true", "0"] for name in names(controls)})


@pytest.mark.parametrize(
    ("page", "query"),
    [(page, query) for page, queries in CONTRADICTIONS.items() for query in queries],
)
def test_settings_that_contradict_one_another_keep_the_page(open_address, page, query):
    open_address(page, dict(parse_qsl(query)))
