"""The page run without a browser.

Fixtures: `visit_lesson` and `visit_page` open a page. The functions read what is on it, for tests
to import.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest


def press(app: AppTest, key: str) -> AppTest:
    """Click a button."""
    app.button(key=key).click().run()
    assert not app.exception, app.exception
    return app


def presets(app: AppTest) -> list[str]:
    """The labels of the page's examples, in order."""
    keys = [button.key or "" for button in app.button]
    return [key.removeprefix("preset ") for key in keys if key.startswith("preset ")][:-1]


def mends(app: AppTest) -> list[str]:
    """The keys of the buttons that make impossible settings possible."""
    return [key for button in app.button if (key := button.key or "").startswith("mend ")]


def html(app: AppTest, role: str) -> str:
    """The HTML of a part of the page, "" where there is none."""
    parts = (str(getattr(part, "value", "")) for part in app.get("html"))
    return next((part for part in parts if f'data-role="{role}"' in part), "")


def formula(app: AppTest) -> str:
    """The HTML of the formula."""
    return html(app, "formula")


def parameter(app: AppTest, name: str) -> str:
    """A parameter of the address, "" where it has none."""
    found = app.query_params.get(name) or ""
    return found[0] if isinstance(found, list) else found


def captions(app: AppTest) -> str:
    """What is said in small letters."""
    return " ".join(part.value for part in app.caption)


@pytest.fixture
def visit_lesson(root: Path) -> Callable[..., AppTest]:
    """`visit_lesson("convolution", size="5")`: a new visitor who opens a lesson by link.

    The address is that of any path in pages/; "" is the first page.
    """

    def visit_lesson(path: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=120)
        if path:
            app.switch_page(f"pages/{path}.py")
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return visit_lesson


@pytest.fixture
def visit_page(visit_lesson: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """`visit_page(photo="cat")`: a new visitor who opens the first page."""
    return lambda **query: visit_lesson("", **query)
