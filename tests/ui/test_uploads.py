import logging

import pytest
from starlette.requests import ClientDisconnect

from explainer.ui.uploads import expect_broken_uploads


def test_a_visitor_who_leaves_in_an_upload_is_no_error(caplog: pytest.LogCaptureFixture):
    expect_broken_uploads()
    expect_broken_uploads()
    server = logging.getLogger("uvicorn.error")
    for error in (ClientDisconnect(), ValueError("something else")):
        server.error("Exception in ASGI application\n", exc_info=error)
    left, broken = caplog.records
    assert left.getMessage() == "An upload was broken off: the visitor left."
    assert left.levelname == "INFO"
    assert left.exc_info is None
    assert broken.levelname == "ERROR"
    assert broken.exc_info is not None
    assert len([f for f in server.filters if type(f).__name__ == "_BrokenOff"]) == 1
