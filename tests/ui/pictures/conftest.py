"""What the tests of the pictures share, for them to import."""

import contextlib
import io


def run(code: str) -> dict:
    """The names that lines of code leave behind, and under "printed" what they print."""
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, names)
    return {**names, "printed": out.getvalue()}
