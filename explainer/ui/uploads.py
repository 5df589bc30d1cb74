"""How large an upload may be, and that it never touches the disk."""

from starlette.formparsers import MultiPartParser
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
