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


OVERVIEW = Lesson(
    path="pages/overview.py",
    title="Overview",
    icon=":material/apps:",
    section="",
    topic="What is there to see?",
    sentence="Every lesson at a glance: each is one operation, live.",
)

SEGMENT = Lesson(
    path="app.py",
    title="Segment a photo",
    icon=":material/image_search:",
    section="Semantic segmentation",
    topic="How does a classification network label every pixel, and what do skips add?",
    sentence="One pass of a fully convolutional network, read out at strides 32, 16 and 8.",
)

CONVOLUTION = Lesson(
    path="pages/convolution.py",
    title="Convolution",
    icon=":material/grid_on:",
    section="Going down",
    topic="Kernel, stride, padding: how large is the output, and which cells does it read?",
    sentence="A window slides over the input; every output is one weighted sum.",
)

DILATION = Lesson(
    path="pages/dilation.py",
    title="Dilation",
    icon=":material/blur_on:",
    section="Going down",
    topic="How does a network see far without pooling, and what does it miss?",
    sentence="Gaps between the taps widen the field; the cells in the gaps go unseen.",
)

RECEPTIVE_FIELD = Lesson(
    path="pages/receptive_field.py",
    title="Receptive field",
    icon=":material/center_focus_strong:",
    section="Going down",
    topic="What does one unit deep in a network see of the photo?",
    sentence="Every layer widens what a unit sees; most of what it sees hardly counts.",
)

UNPOOLING = Lesson(
    path="pages/unpooling.py",
    title="Unpooling",
    icon=":material/unfold_more:",
    section="Going up",
    topic="Nearest neighbour, bed of nails, max unpooling: what does each put back?",
    sentence="Three ways back from a pooled map, none of which restores it.",
)

TRANSPOSED_CONVOLUTION = Lesson(
    path="pages/transposed_convolution.py",
    title="Transposed convolution",
    icon=":material/open_in_full:",
    section="Going up",
    topic="What do stride, padding and output_padding do when a network upsamples?",
    sentence="Every input stamps a weighted copy of the kernel; copies add up where they overlap.",
)

CHECKERBOARD = Lesson(
    path="pages/checkerboard.py",
    title="Checkerboard",
    icon=":material/texture:",
    section="Going up",
    topic="Where do checkerboard artifacts come from, and what cures them?",
    sentence="Copies that overlap unevenly leave a pattern that no input asked for.",
)

LESSONS: tuple[Lesson, ...] = (
    SEGMENT,
    CONVOLUTION,
    DILATION,
    RECEPTIVE_FIELD,
    UNPOOLING,
    TRANSPOSED_CONVOLUTION,
    CHECKERBOARD,
)
"""In the order in which a course takes them; previous and next follow it."""

PAGES: tuple[Lesson, ...] = (OVERVIEW, *LESSONS)


def sections() -> dict[str, list[Lesson]]:
    """The lessons by section, both in the order of the catalogue."""
    grouped: dict[str, list[Lesson]] = {}
    for lesson in LESSONS:
        grouped.setdefault(lesson.section, []).append(lesson)
    return grouped


def neighbours(lesson: Lesson) -> tuple[Lesson | None, Lesson | None]:
    """The lessons before and after one."""
    place = LESSONS.index(lesson)
    before = LESSONS[place - 1] if place else None
    return before, LESSONS[place + 1] if place + 1 < len(LESSONS) else None
