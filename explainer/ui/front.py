"""What the server does before the script of any visitor runs.

Streamlit's own page is empty until its code has come to the browser and the first run of the
script has answered: more than a second. The page that goes out from here shows title, sentence and
a moving bar at once. The style sheet of all pages comes with it: what follows an element of
Streamlit's with a style is drawn without it first.
"""

import asyncio
import html
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from urllib.parse import quote

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit import cli_util, config, file_util
from streamlit.web.server import server_util

from explainer.ui import engine
from explainer.ui.lessons import PAGES, SEGMENT, Lesson

LOAD_AFTER = 5.0
"""Seconds after which the network is loaded though nobody has asked for it: later visitors find it
there, and those who open a lesson first are not held up by it (more than a second on two cores)."""

_FRONT = Template(Path(__file__).with_name("front.html").read_text(encoding="utf-8"))
_STYLE = Path(__file__).with_name("shell.css").read_text(encoding="utf-8")
_ICON = Path(__file__).with_name("icon.svg").read_text(encoding="utf-8")
_LATE = """media="print" onload="this.media='all'" """
_FONT = re.compile(r'href="([^"]+\.woff2)"')


def routes() -> list[Route]:
    """The addresses of the pages; every other address stays Streamlit's own."""
    index = Path(file_util.get_static_dir()) / "index.html"
    streamlits = index.read_text(encoding="utf-8")
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    above = f"/{base}/" if base else "/"
    return [_route(above, lesson, page(streamlits, lesson)) for lesson in PAGES]


def _route(above: str, lesson: Lesson, content: str) -> Route:
    def answer(_: Request) -> HTMLResponse:
        return HTMLResponse(content, headers={"Cache-Control": "no-cache"})

    return Route(above + ("" if lesson == SEGMENT else Path(lesson.path).stem), answer)


def page(streamlits: str, lesson: Lesson) -> str:
    """Streamlit's page with a lesson's title and sentence in it, until the lesson itself is there.

    Args:
        streamlits: what Streamlit sends at every address.
        lesson: whose address it is.
    """
    font = _FONT.search(streamlits)
    title, sentence = html.escape(lesson.title), html.escape(lesson.sentence)
    front = _FRONT.substitute(title=title, sentence=sentence, font=font[1] if font else "")
    for streamlit_has, here in {
        "<title>Streamlit</title>": f"<title>{title}</title>",
        # Nothing is drawn while a style sheet is on its way, and a hundred files come with it.
        '<link rel="stylesheet"': f'<link rel="stylesheet" {_LATE}',
        '"./favicon.png"': f'"data:image/svg+xml,{quote(_ICON)}"',
        '<div id="root">': f'{front}<div id="root">',
        # Behind the head, where Streamlit's own styles gather: of two like rules the later counts.
        "</body>": f"<style>{_STYLE}</style></body>",
    }.items():
        streamlits = streamlits.replace(streamlit_has, here, 1)
    return streamlits


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Load the network soon, and open the page as `streamlit run` does where it serves a script."""
    loading = asyncio.get_running_loop().call_later(LOAD_AFTER, engine.starting)
    # Another server that was given the app, such as uvicorn's own command, opens nothing.
    if Path(sys.argv[0]).resolve() == app.script_path and not config.get_option("server.headless"):
        cli_util.open_browser(server_util.get_url(_host()))
    yield
    loading.cancel()


def _host() -> str:
    """By which name a browser on this machine finds the server: as Streamlit chooses it."""
    for option in ("browser.serverAddress", "server.address"):
        if config.is_manually_set(option):
            return server_util.get_display_address(config.get_option(option))
    return "localhost"
