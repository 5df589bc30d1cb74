"""What the server does before any visitor's script runs."""

import asyncio
import html
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit import cli_util, config, file_util
from streamlit.web.server import server_util

import app
from explainer.ui import engine, front
from explainer.ui.lessons import CONVOLUTION, PAGES, SEGMENT

INDEX = (Path(file_util.get_static_dir()) / "index.html").read_text("utf-8")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server begins with; nothing of it happens here."""
    began: list[str] = []
    monkeypatch.setattr(engine, "starting", lambda: began.append("the network"))
    monkeypatch.setattr(cli_util, "open_browser", began.append)
    monkeypatch.setattr(sys, "argv", [str(app.app.script_path)])
    return began


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "get_option", {"server.headless": True}.get)


def start(seconds: float = 0.0) -> None:
    """The server is up for so long."""

    async def startup() -> None:
        async with front.lifespan(app.app):
            await asyncio.sleep(seconds)

    asyncio.run(startup())


def test_every_page_has_its_words_in_it_before_any_script_runs():
    paths = {route.path for route in front.routes()}
    assert paths == {"/"} | {"/" + Path(lesson.path).stem for lesson in PAGES if lesson != SEGMENT}
    for lesson in PAGES:
        page = front.page(INDEX, lesson)
        assert f"<title>{html.escape(lesson.title)}</title>" in page
        assert page.count(html.escape(lesson.sentence)) == 1
        assert page.index(lesson.sentence) < page.index('<div id="root">')


def test_what_streamlit_sends_is_kept():
    page = front.page(INDEX, SEGMENT)
    scripts = re.compile(r'(?:src|href)="\./static/[^"]+"')
    assert scripts.findall(page) == scripts.findall(INDEX)
    # Everything that is looked for was there: its font, its title, its icon and its root.
    assert 'url("./static/media/' in page
    assert "favicon.png" not in page
    assert "<title>Streamlit</title>" not in page
    assert page.count('<div id="root">') == 1
    # The pages' style counts where Streamlit's says otherwise: those are in the head.
    assert page.index("</head>") < page.index(".st-key-shell_title h1")


def test_where_streamlits_page_is_another_it_goes_out_as_it_is():
    assert front.page("<p>other</p>", SEGMENT) == "<p>other</p>"


def test_words_are_text():
    page = front.page(INDEX, replace(CONVOLUTION, title="<b>1 & 2</b>", sentence="<script>"))
    assert "<b>" not in page
    assert "&lt;script&gt;" in page


def test_below_a_base_path(monkeypatch: pytest.MonkeyPatch):
    options = {"server.baseUrlPath": "/class/"}
    monkeypatch.setattr(config, "get_option", options.get)
    assert {"/class/", "/class/convolution"} <= {route.path for route in front.routes()}


def test_the_colours_are_those_of_the_theme():
    root = Path(app.__file__).parent
    theme = tomllib.loads((root / ".streamlit" / "config.toml").read_text("utf-8"))["theme"]
    source = (root / "explainer" / "ui" / "front.html").read_text("utf-8")
    light = {**theme, **theme["light"]}
    dark = {**theme, **theme["dark"]}
    for name in ("textColor", "backgroundColor", "primaryColor"):
        assert f"light-dark({light[name]}, {dark[name]})".lower() in source, name


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({}, "localhost"),
        ({"server.address": "192.0.2.7"}, "192.0.2.7"),
        ({"server.address": "0.0.0.0"}, "localhost"),
        ({"server.address": "192.0.2.7", "browser.serverAddress": "fcn.example"}, "fcn.example"),
    ],
)
def test_the_page_is_opened(
    options: dict[str, str], host: str, started: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(config, "get_option", {"server.headless": False, **options}.get)
    monkeypatch.setattr(config, "is_manually_set", options.__contains__)
    monkeypatch.setattr(server_util, "get_url", lambda host: f"http://{host}:8501")
    start()
    assert started == [f"http://{host}:8501"]


@pytest.mark.parametrize("why", ["no screen", "another server"])
def test_no_page_is_opened(why: str, started: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(config, "get_option", {"server.headless": why == "no screen"}.get)
    if why == "another server":
        monkeypatch.setattr(sys, "argv", ["/usr/bin/uvicorn", "app:app"])
    start()
    assert started == []


@pytest.mark.usefixtures("no_browser")
def test_the_network_is_loaded_soon(started: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "LOAD_AFTER", 0.05)
    start()
    assert started == []
    start(0.5)
    assert started == ["the network"]
