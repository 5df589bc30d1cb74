"""The page run without a browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest


@pytest.fixture
def visit_page(root: Path) -> Callable[..., AppTest]:
    """`visit_page(photo="cat")`: a new visitor who opens the first page."""

    def visit_page(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=120)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return visit_page
