"""Components whose script and style go to the browser once a page.

Streamlit sends both again with every change of a component's data (1.67): at each step of a slider
86 kB for the linked grid, ten times the picture. Thirty students in one room share one network.
"""

from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

_HERE = Path(__file__).parent


class Once:
    """A kind of component in two parts: its code, and the places where it draws."""

    def __init__(self, name: str, *, html: str, css: str, js: str) -> None:
        """Register both parts.

        Args:
            name: of the kind.
            html: what stands in each place before the code draws there.
            css: the style of each place.
            js: a script that defines `drawIn(component)`: what would be its default export.
        """

        def part(file: str) -> str:
            return f'const KIND = "{name}";\n' + (_HERE / file).read_text(encoding="utf-8")

        self._name, self._css = name, css
        self._code = component(f"explainer.{name}_code", js=f"{js}\n{part('code.js')}")
        self._place = component(f"explainer.{name}", html=html, js=part("place.js"))

    def code(self) -> None:
        """Bring the code to the page; in a part of it that does not run at every change."""
        self._code(key=f"{self._name} code", data={"css": self._css})

    def __call__(self, *, key: str, data: Any, **handlers: Any) -> None:
        """Draw; the code may come before or after.

        Args:
            key: Streamlit's key.
            data: for the browser.
            handlers: callbacks, as Streamlit names them ("on_pin_change").
        """
        self._place(key=key, data=data, **handlers)
