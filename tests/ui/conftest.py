"""The page run without a browser.

Fixtures: `visit_lesson` and `visit_page` open a page. The functions read what is on it, for tests
to import.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.proto.BidiComponent_pb2 import BidiComponent
from streamlit.testing.v1 import AppTest

from explainer.ui import lesson
from explainer.ui.controls import SETTINGS


def press(app: AppTest, key: str) -> AppTest:
    """Click a button."""
    app.button(key=key).click().run()
    assert not app.exception, app.exception
    return app


def component(app: AppTest, name: str) -> BidiComponent:
    """A component of the page as the browser gets it."""
    protos = [element.proto for element in app.get("bidi_component")]
    return next(proto for proto in protos if proto.component_name == f"explainer.{name}")


def grids(app: AppTest) -> dict[str, dict]:
    """The grids of the picture as the browser gets them, by name."""
    rows = json.loads(component(app, "linked_grid").json)["rows"]
    return {grid["name"]: grid for row in rows for grid in row if isinstance(grid, dict)}


def send(app: AppTest, name: str, event: str, value: object) -> AppTest:
    """What the browser sends when something happens in a component."""
    states = app._tree.get_widget_states()
    trigger = states.widgets.add(id=_make_trigger_id(component(app, name).id, "events"))
    trigger.json_trigger_value = json.dumps([{"event": event, "value": value}])
    app._run(states)
    assert not app.exception, app.exception
    return app


def preset(app: AppTest, label: str) -> AppTest:
    """Press one of the page's examples, or Reset."""
    return send(app, "button_row", "press", label)


def presets(app: AppTest) -> list[str]:
    """The labels of the page's examples, in order."""
    groups = json.loads(component(app, "button_row").json)["groups"]
    return [button["label"] for group in groups for button in group["buttons"]][:-1]


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
    """`visit_lesson("convolution", size="5")`: a new visitor who opens a lesson by link, all its
    settings, and its PyTorch lines.

    The address is that of any path in pages/; "" is the first page.
    """

    def visit_lesson(path: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=120)
        if path:
            app.switch_page(f"pages/{path}.py")
        for name, value in query.items():
            app.query_params[name] = value
        app.session_state[lesson.CODE] = app.session_state[SETTINGS] = True
        app.run()
        assert not app.exception, app.exception
        return app

    return visit_lesson


@pytest.fixture
def visit_page(visit_lesson: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """`visit_page(photo="cat")`: a new visitor who opens the first page."""
    return lambda **query: visit_lesson("", **query)
