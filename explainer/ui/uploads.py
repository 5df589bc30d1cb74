"""How large an upload may be, that it never touches the disk, and may be broken off."""

import logging

from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect
from streamlit import config

MAX_MEGABYTES = 32
MAX_BYTES = MAX_MEGABYTES * 1024 * 1024


def keep_in_memory() -> None:
    """Let the web framework hold whole uploads in memory.

    Starlette writes a multipart file above `spool_max_size` (1 MB by default) to a temporary file.
    Streamlit refuses bodies above `server.maxUploadSize`, so a limit above that is never reached.
    """
    allowed = int(config.get_option("server.maxUploadSize")) * 1024 * 1024
    # A body may be larger than the file in it by the multipart headers: the margin is for those.
    MultiPartParser.spool_max_size = max(MAX_BYTES, allowed) + 1024 * 1024


class _BrokenOff(logging.Filter):
    """Says in a line that a visitor left in the middle of an upload.

    Streamlit does not expect it: the web server would log an unhandled exception, with a traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], ClientDisconnect):
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "An upload was broken off: the visitor left.", ()
        return True


_BROKEN_OFF = _BrokenOff()


def expect_broken_uploads() -> None:
    """Let an upload that is broken off be logged as what it is; may be called again."""
    logging.getLogger("uvicorn.error").addFilter(_BROKEN_OFF)
