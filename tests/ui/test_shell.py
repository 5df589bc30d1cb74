"""Settings, addresses, text from outside, the collector."""

import gc
import re
import tomllib
import weakref
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.formparsers import MultiPartParser
from streamlit import config

from explainer.ui.photo_source import camera_allowed
from explainer.ui.shell import Collector
from explainer.ui.text import plain
from explainer.ui.uploads import MAX_BYTES, keep_in_memory


def test_settings_hold_without_the_config_file(visit_page):
    visit_page()
    assert config.get_option("browser.gatherUsageStats") is False
    assert config.get_option("client.showSidebarNavigation") is False
    assert config.get_option("runner.postScriptGC") is False
    assert config.get_option("server.maxUploadSize") == 32


def test_the_style_sheet_and_the_theme_have_one_ground():
    """Custom properties of Streamlit's own hold in components only, and are nothing elsewhere."""
    root = Path(__file__).parents[2]
    style = (root / "explainer" / "ui" / "shell.css").read_text("utf-8")
    theme = tomllib.loads((root / ".streamlit" / "config.toml").read_text("utf-8"))["theme"]
    ground = re.search(r"--ground: light-dark\((#\w+), (#\w+)\)", style)
    assert ground is not None
    assert [colour.upper() for colour in ground.groups()] == [
        theme[name]["backgroundColor"] for name in ("light", "dark")
    ]
    assert "var(--st-" not in style


def test_uploads_up_to_the_cap_never_roll_over():
    before = config.get_option("server.maxUploadSize")
    try:
        config.set_option("server.maxUploadSize", 32)
        keep_in_memory()
        assert MultiPartParser.spool_max_size > MAX_BYTES
        config.set_option("server.maxUploadSize", 100)
        keep_in_memory()
        assert MultiPartParser.spool_max_size > 100 * 1024 * 1024
    finally:
        config.set_option("server.maxUploadSize", before)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:8501/", True),
        ("http://app.localhost/", True),
        ("http://127.0.0.1:8501", True),
        ("http://[::1]:8501", True),
        ("https://lecture.example.org/fcn", True),
        ("http://lecture.example.org/fcn", False),
        ("http://192.168.1.20:8501", False),
        (None, True),
    ],
)
def test_the_camera_needs_https_or_this_machine(url, allowed):
    assert camera_allowed(url) is allowed


@given(st.text())
def test_plain_text_stays_readable_and_on_one_line(text):
    escaped = plain(text)
    assert "\n" not in escaped
    kept, skip = [], False
    for character in escaped:
        if character == "\\" and not skip:
            skip = True
            continue
        kept.append(character)
        skip = False
    assert "".join(kept) == " ".join(text.split())


def test_plain_text_is_no_markdown():
    assert plain("[a](b) *c* :red[d] $e$ <f>") == (r"\[a\]\(b\) \*c\* \:red\[d\] \$e\$ \<f\>")


def test_the_collector_runs_now_and_then():
    class Cycle:
        pass

    def make() -> weakref.ref:
        cycle = Cycle()
        cycle.itself = cycle  # pyright: ignore[reportAttributeAccessIssue]
        return weakref.ref(cycle)

    gc.disable()
    try:
        left = make()
        assert not Collector(every=3600).collect_if_due()
        assert left() is not None
        collector = Collector(every=0)
        assert collector.collect_if_due()
        assert left() is None
    finally:
        gc.enable()
