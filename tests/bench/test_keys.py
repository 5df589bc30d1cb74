"""Keys are pressed for real, in Chromium; how long it takes is nobody's business here."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from explainer.bench.keys import in_browser
from explainer.bench.server import HOST, serving


@pytest.mark.slow
def test_each_key_press_changes_the_picture():
    with serving(environment={"EXPLAINER_DEVICE": "cpu"}) as server, ThreadPoolExecutor(1) as pool:
        server.wait()
        # In a thread: the browser tests may have a Playwright of their own in this one.
        name, times = pool.submit(
            in_browser, f"http://{HOST}:{server.port}/convolution", 2
        ).result()
    assert name
    assert len(times) == 2
    assert all(0 < changed <= painted for changed, painted in times)
