"""Impossible settings: the rule with the page's own values, and one click that mends it."""

import random
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from explainer.ops import SettingError
from explainer.ui import lesson
from explainer.ui.controls import Choice, Controls, Whole
from tests.ui.conftest import formula, mends, press

PAGES = ("convolution", "unpooling", "transposed_convolution", "checkerboard", "dilation")
STACKS = ("", "16,16", "16,16,8", "16,16,16,16,16,16,16,16")
SAMPLES, DRAWN = 800, 10
"""Settings that are tried on a page; of so many impossible ones the ways out of one are drawn."""


def any_settings(controls: Controls, views: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Settings of a page from one fixed seed, often at the ends of the sliders."""
    chance = random.Random(3)
    for _ in range(SAMPLES):
        values: dict[str, Any] = {"view": chance.choice(views)}
        for name, control in controls.controls.items():
            if isinstance(control, Whole):
                low, high = control.low, control.high
                values[name] = chance.choice((low, high, chance.randint(low, high)))
            if isinstance(control, Choice) and name in ("axes", "framework"):
                values[name] = chance.choice(control.options)
        if "dilations" in controls.extras:
            values["dilations"] = chance.choice(STACKS)
        yield values


def problem(check: Callable[[], object]) -> SettingError | None:
    """Why a check fails, if it does."""
    try:
        check()
    except SettingError as error:
        return error
    return None


@pytest.mark.parametrize("page", PAGES)
def test_from_impossible_settings_every_way_out_leads_to_a_picture(
    page: str, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """The page runs without a visitor: what its controls say is supposed."""
    checks: dict[str, Callable[[], object]] = {}  # by view what the page has its ways tried with
    monkeypatch.setattr(
        lesson, "impossible", lambda _, controls, check: checks.update({controls["view"]: check})
    )
    names = runpy.run_path(str(root / "pages" / f"{page}.py"))
    controls, scene, live = names["CONTROLS"], names["scene"], names["live"]
    found = 0
    for values in any_settings(controls, names["pictures"].VIEWS):
        with controls.supposing(**values):
            if values["view"] not in checks and scene()[1] is not None:
                live()
            check = checks.get(values["view"])
            error = check and problem(check)  # much quicker than to draw what is possible
            if check is None or error is None:
                continue
            found += 1
            assert error.values[error.parameter] == controls[error.parameter], values
            ways = lesson.ways_out(error, controls, check)
            assert ways, values
            for change in ways:
                assert all(controls.takes(name, to) for name, to in change.items())
                with controls.supposing(**change):
                    assert problem(check) is None, (values, change)
                    assert found % DRAWN or scene()[1] is None, (values, change)
    assert found > SAMPLES / 12


LINKS = [
    ("convolution", "view=Two layers&size=3&kernel=7"),
    ("convolution", "view=Channels&framework=TF VALID&size=3&kernel=4&stride=1&padding=2"),
    ("convolution", "view=Channels&size=1&kernel=5&padding=4&dilation=4"),
    ("transposed_convolution", "size=1&kernel=3&stride=1&padding=5&output_padding=2"),
    ("dilation", "view=Kernel&size=1&kernel=4&dilation=6&padding=0"),
]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_button_is_one_click_to_a_picture(visit_lesson, page, link):
    app = visit_lesson(page, **dict(part.split("=") for part in link.split("&")))
    press(app, mends(app)[0])
    assert formula(app)
    assert not mends(app)


@pytest.mark.parametrize(
    ("page", "link", "said"),
    [
        (*LINKS[0], "Here: size 3, kernel 7, stride 2, kernel2 2."),
        (*LINKS[1], "Here: size 3, kernel 4, stride 1, dilation 1."),
        (*LINKS[2], "Here: size 1, kernel 5, stride 2, padding 4, dilation 4."),
        # The stride of this page is that of another view.
        (*LINKS[4], "Here: size 1, kernel 4, padding 0, dilation 6."),
    ],
)
def test_the_values_beside_the_rule_are_those_of_the_page(visit_lesson, page, link, said):
    app = visit_lesson(page, **dict(part.split("=") for part in link.split("&")))
    assert any(text.value.startswith(said) for text in app.markdown), [
        t.value for t in app.markdown
    ]
