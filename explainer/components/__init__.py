"""Pictures and parts of the frame that run in the browser (Streamlit components v2)."""

from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).parent
SHARED = ("elements", "answers", "ending")


def script(folder: Path, *parts: str, shared: Sequence[str] = SHARED) -> str:
    """One script for the browser, of files that are read one by one.

    Args:
        folder: of the component.
        parts: the names of its files.
        shared: of what components share, the names of the files.
    """
    files = [folder / f"{part}.js" for part in parts] + [_HERE / f"{part}.js" for part in shared]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
