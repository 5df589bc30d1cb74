"""The frame of every page: settings, title and one sentence, the sidebar from the catalogue.

Its style sheet, shell.css, comes with the page itself (front.py).
"""

import gc
import threading
import time
from pathlib import Path

import streamlit as st
from streamlit import config
from streamlit.delta_generator import DeltaGenerator

from explainer.fcn.room import give_back
from explainer.ui.lessons import OVERVIEW, Lesson, sections
from explainer.ui.uploads import MAX_MEGABYTES, expect_broken_uploads, keep_in_memory

# What .streamlit/config.toml says too; Streamlit reads that file from the current folder only.
_SETTINGS: dict[str, object] = {
    "browser.gatherUsageStats": False,
    "client.showSidebarNavigation": False,
    "client.toolbarMode": "minimal",
    "global.disableWidgetStateDuplicationWarning": True,
    "global.minCachedMessageSize": 1e15,
    "runner.magicEnabled": False,
    "runner.postScriptGC": False,
    "server.maxUploadSize": MAX_MEGABYTES,
}
_ICON = Path(__file__).with_name("icon.svg")


def open_page(lesson: Lesson, sentence: str | None = None) -> DeltaGenerator:
    """Draw the frame of a lesson's page; the first call of its script.

    Args:
        lesson: whose page it is.
        sentence: what to see, where the lesson's own does not hold.

    Returns:
        The sentence's place: its `markdown` replaces the sentence.
    """
    _settle()
    st.set_page_config(
        page_title=lesson.title,
        page_icon=str(_ICON),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    _sidebar(lesson)
    with st.container(key="shell_title", horizontal=True, vertical_alignment="bottom"):
        st.title(lesson.title, anchor=False, width="content")
        return st.markdown(sentence or lesson.sentence, width="content")


def _settle() -> None:
    """Set what config.toml would have set; what a user set in another way stays."""
    for option, value in _SETTINGS.items():
        if not config.is_manually_set(option):
            config.set_option(option, value)
    keep_in_memory()
    expect_broken_uploads()


def _sidebar(here: Lesson) -> None:
    with st.sidebar:
        _entry(OVERVIEW, here)
        for section, lessons in sections().items():
            st.subheader(section, anchor=False)
            for lesson in lessons:
                _entry(lesson, here)


def _entry(lesson: Lesson, here: Lesson) -> None:
    label = f"**{lesson.title}**" if lesson == here else lesson.title
    # Without help: the browser goes through every tooltip at every rerun, and the overview has it.
    st.page_link(lesson.path, label=label, icon=lesson.icon)


class Collector:
    """Runs Python's garbage collector now and then, and gives the system back what is free then.

    Streamlit's own collection after every rerun is switched off: with PyTorch loaded it takes
    longer than most reruns. Photos are large, though, so pages ask for one after using them.
    """

    def __init__(self, every: float = 30.0) -> None:
        self.every = every
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def collect_if_due(self) -> bool:
        """Collect unless a collection ran less than `every` seconds ago; whether it ran."""
        with self._lock:
            if time.monotonic() - self._last < self.every:
                return False
            self._last = time.monotonic()
        gc.collect()
        give_back()
        return True


collector = Collector()
