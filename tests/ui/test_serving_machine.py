"""The page when a serving machine segments, and when that is gone."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from explainer.fcn.segmenter import Segmenter
from explainer.serve.client import ABSENT, VARIABLE
from explainer.ui import engine
from tests.serve.conftest import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    monkeypatch.setenv(VARIABLE, found.address)
    monkeypatch.setattr(engine, "_started", None)  # other tests' engine is this machine's own
    yield found
    found.stop()


def line(app: AppTest) -> str:
    """The line under the picture."""
    return next(text.value for text in app.caption if "segmented at" in text.value)


def test_the_serving_machine_segments_until_it_is_gone(server, visit_page):
    app = visit_page()
    assert "segmented at 451×300 on cuda of the serving machine" in line(app)
    assert len(server.asked) == 1
    server.stop()
    app.button(key="sample_astronaut").click().run()
    assert not app.exception
    assert not app.error
    assert ABSENT in line(app)
    assert "serving machine:" not in line(app)
    app.button(key="sample_cat").click().run()
    assert ABSENT not in line(app), "what was segmented there is still known"


def test_what_asks_for_the_network_itself_gets_the_one_here(server):
    assert isinstance(engine.run(lambda network: network), Segmenter)
    assert not server.asked


def test_an_address_that_is_none_is_said_on_the_page(server, visit_page, monkeypatch):
    monkeypatch.setenv(VARIABLE, "10.0.0.5:8270")
    app = visit_page()
    assert "is an address like http" in app.error[0].value
    monkeypatch.setenv(VARIABLE, server.address)
    app.run()
    assert not app.error
    assert "cuda of the serving machine" in line(app)
