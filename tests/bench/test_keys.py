"""Keys are pressed for real, in Chromium; how long it takes is nobody's business here."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath

import pytest

from explainer.bench.keys import CASES, chromium, pressed
from explainer.bench.server import serving
from explainer.ui.lessons import LESSONS, SEGMENT


def test_every_lesson_page_is_measured():
    measured = {case.link.partition("?")[0] for case in CASES}
    assert measured == {PurePath(lesson.path).stem for lesson in LESSONS if lesson != SEGMENT}


@pytest.mark.slow
def test_each_key_press_changes_the_picture():
    def measured(port: int) -> list[list[tuple[float, float]]]:
        with chromium() as browser:
            # One slider above a linked grid, and a number in the table beside the photo.
            slider, table = CASES[0], next(case for case in CASES if case.there == "ArrowUp")
            return [pressed(browser, port, case, 2) for case in (slider, table)]

    with serving(environment={"EXPLAINER_DEVICE": "cpu"}) as server, ThreadPoolExecutor(1) as pool:
        server.wait()
        # In a thread: the browser tests may have a Playwright of their own in this one.
        found = pool.submit(measured, server.port).result()
    for times in found:
        assert len(times) == 2
        assert all(0 < changed <= painted for changed, painted in times)
