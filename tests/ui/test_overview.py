"""The overview, and the catalogue behind it."""

from xml.etree import ElementTree

import pytest

from explainer.ui import thumbnails
from explainer.ui.lessons import LESSONS, SEGMENT, neighbours


def test_every_lesson_has_a_card_with_its_question(visit_lesson):
    at = visit_lesson("overview")
    shown = {text.value for text in at.markdown}
    assert {lesson.topic for lesson in LESSONS} <= shown


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson != SEGMENT])
def test_every_lesson_but_the_photo_is_drawn(lesson):
    drawing = ElementTree.fromstring(thumbnails.DRAWINGS[lesson]())
    cells = drawing.findall("{http://www.w3.org/2000/svg}rect")
    assert len(cells) > 8
    for cell in cells:
        assert 0 <= float(cell.get("x", "-1")) <= thumbnails.WIDTH - float(cell.get("width", "0"))
        assert 0 <= float(cell.get("y", "-1")) <= thumbnails.HEIGHT - float(cell.get("height", "0"))
        assert float(cell.get("width", "0")) < thumbnails.WIDTH / 2, "the page's own ground shows"
    assert thumbnails.source(lesson).startswith("data:image/svg+xml;base64,")


def test_previous_and_next_walk_through_all_lessons():
    first, here, seen = LESSONS[0], LESSONS[0], [LESSONS[0]]
    assert neighbours(first)[0] is None
    while (after := neighbours(here)[1]) is not None:
        assert neighbours(after)[0] == here
        here = after
        seen.append(here)
    assert tuple(seen) == LESSONS
