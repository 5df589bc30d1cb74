"""The page run without a browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest


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
