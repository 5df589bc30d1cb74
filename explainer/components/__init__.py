"""Pictures and parts of the frame that run in the browser (Streamlit components v2)."""

from pathlib import Path

_HERE = Path(__file__).parent


def script(folder: Path, *parts: str) -> str:
    """One script for the browser, of files that are read one by one.

    Args:
        folder: of the component.
        parts: the names of its files, after which comes what components share.
    """
    files = [folder / f"{part}.js" for part in parts] + [_HERE / "elements.js"]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
