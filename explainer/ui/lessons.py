"""The catalogue: every lesson once. The sidebar, the overview and the tests read it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """One page of the app.

    Attributes:
        path: the page's script, relative to the repository's root.
        title: the heading and the entry in the sidebar.
        icon: a Material symbol, as Streamlit writes it.
        section: the heading in the sidebar under which it stands.
        topic: the question of the lecture that it answers.
        sentence: what to see, under the title.
    """

    path: str
    title: str
    icon: str
    section: str
    topic: str
    sentence: str


SEGMENT = Lesson(
    path="app.py",
    title="Segment a photo",
    icon=":material/image_search:",
    section="Semantic segmentation",
    topic="How does a classification network label every pixel, and what do skips add?",
    sentence="One pass of a fully convolutional network, read out at strides 32, 16 and 8.",
)

LESSONS: tuple[Lesson, ...] = (SEGMENT,)


def sections() -> dict[str, list[Lesson]]:
    """The lessons by section, both in the order of the catalogue."""
    grouped: dict[str, list[Lesson]] = {}
    for lesson in LESSONS:
        grouped.setdefault(lesson.section, []).append(lesson)
    return grouped
