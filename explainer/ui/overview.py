"""Every lesson as a card: a drawing, the way there, and the question that it answers."""

from functools import cache
from pathlib import Path

import streamlit as st

from explainer.ui import samples, thumbnails
from explainer.ui.lessons import LESSONS, OVERVIEW, SEGMENT, Lesson
from explainer.ui.shell import open_page

_PHOTO = Path(__file__).parents[2] / "assets" / "thumbnails" / "segment.jpg"


def show() -> None:
    """Draw the page."""
    open_page(OVERVIEW)
    with st.container(key="cards"):
        for lesson in LESSONS:
            with st.container(key=f"card {lesson.title}", border=True, height="stretch"):
                st.html(f'<img class="card" alt="" src="{picture(lesson)}">')
                st.page_link(lesson.path, label=f"**{lesson.title}**", icon=lesson.icon)
                st.markdown(lesson.topic)


@cache
def picture(lesson: Lesson) -> str:
    """The drawing of a lesson as the source of an image."""
    if lesson == SEGMENT:
        return samples.jpeg_uri(_PHOTO.read_bytes())
    return thumbnails.source(lesson)
