"""The staircase: output size against input size, above a ruler of the windows.

Floor division makes plateaus as wide as the stride. Dragging along the stairs shows the windows of
every size in the browser alone; only the size on which the visitor lets go reaches Python.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from explainer.components.once import Once

_HERE = Path(__file__).parent
STAIRCASE = Once(
    "staircase",
    html='<div class="staircase" data-role="staircase" data-ready="false"></div>',
    css=(_HERE / "staircase.css").read_text(encoding="utf-8"),
    js=(_HERE / "staircase.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Step:
    """One size of the input.

    Attributes:
        size: cells of the input.
        output: cells of the output.
        windows: for each output the input cells that it reads; padding is below 0 or from `size`.
        marks: for each cell of the padded input ".", "p" padding or "u" unused.
        before: cells of padding before the first one.
    """

    size: int
    output: int
    windows: Sequence[Sequence[int]]
    marks: str
    before: int


def staircase(
    steps: Sequence[Step],
    current: int,
    *,
    key: str,
    labels: Mapping[int, str] | None = None,
    title: str = "output size o for every input size n",
    names: tuple[str, str] = ("n", "o"),
    on_size: Callable[[], None] | None = None,
) -> None:
    """Draw the stairs.

    Args:
        steps: sizes in ascending order; those that are impossible are missing.
        current: the size of the page.
        key: Streamlit's key.
        labels: short words over some sizes, such as the output_padding that picks them.
        title: what the stairs show.
        names: what the page calls a size and the output's size.
        on_size: called when the visitor has chosen a size; `chosen(key)` tells which.
    """
    STAIRCASE(
        key=key,
        data=payload(steps, current, labels or {}) | {"title": title, "names": list(names)},
        on_size_change=on_size or _nothing,
    )


def payload(steps: Sequence[Step], current: int, labels: Mapping[int, str]) -> dict[str, Any]:
    """The stairs as JSON values."""
    return {
        "steps": [
            {
                "size": step.size,
                "output": step.output,
                "windows": [list(window) for window in step.windows],
                "marks": step.marks,
                "before": step.before,
                "label": labels.get(step.size, ""),
            }
            for step in steps
        ],
        "current": current,
    }


def chosen(key: str) -> int | None:
    """The size on which the visitor let go, for use in the callback."""
    size = (st.session_state.get(key) or {}).get("size")
    return size if isinstance(size, int) and not isinstance(size, bool) else None


def _nothing() -> None:
    """The page does not listen."""
