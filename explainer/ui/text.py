"""Text from outside, such as file names, in places where Streamlit reads Markdown."""

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:@])")


def plain(text: str) -> str:
    """The text with every character that Markdown might read escaped, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
