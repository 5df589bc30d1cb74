"""What one visitor has chosen and seen. It lives in the session only: nobody else can see it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING

import streamlit as st

from explainer.fcn.catalogue import SMALL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from explainer.fcn.result import Run, Segmentation

KEPT = 2
"""Results that a session remembers: going back to the last photo or size costs nothing."""


@dataclass(frozen=True)
class Encoded:
    """A photo as it came: the file's bytes. `sample` names a sample photo."""

    name: str
    data: bytes
    sample: str | None = None

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def stem(self) -> str:
        """The name without folder and extension, for the files to download."""
        return PurePath(self.name.replace("\\", "/")).stem or "photo"


@dataclass(frozen=True)
class Prepared:
    """A decoded photo at the size that the network gets.

    Attributes:
        encoded: where it came from.
        side: the longest side asked for.
        pixels: (H, W, 3) RGB uint8, upright, the longest side at most as asked.
        full_size: (height, width) of the photo itself, upright.
        notes: what decoding did that the visitor should know.
        seconds: what decoding and shrinking took.
    """

    encoded: Encoded
    side: int
    pixels: NDArray[np.uint8]
    full_size: tuple[int, int]
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Choice:
    """A network and how it is run.

    Attributes:
        network, mode: keys in `explainer.fcn.catalogue`.
        file: the name of a file in the cache folder, instead of the mode's weights.
    """

    network: str = SMALL
    mode: str = "bundled"
    file: str | None = None

    @property
    def bundled(self) -> bool:
        return self.network == SMALL


BUNDLED = Choice()


@dataclass(frozen=True)
class Shown:
    """A segmented photo, and which network did it.

    Attributes:
        remembered: whether an earlier pass had given the run, for this visitor or another.
    """

    photo: Prepared
    run: Run
    choice: Choice = BUNDLED
    remembered: bool = False

    @property
    def result(self) -> Segmentation:
        """The segmentation of the finest output."""
        return self.run.finest


@dataclass
class Visit:
    """A visitor's state.

    Attributes:
        pending: a photo just handed in, not yet decoded.
        chosen: the photo to show; always one that could be decoded.
        prepared: the last photo that was decoded.
        shown: the last result, which stays on the screen until there is a new one.
        link: the `photo` in the address that was last followed.
        error: why the last photo handed in was refused.
        notice: anything else that the visitor should know.
        unread: what the link asks of a control that it does not offer, by the control's key; until
            the visitor changes that control.
        handed_in: how many photos came in; makes the keys of the widgets that took them new.
        results: the last results by photo, longest side and network.
        choice: the network that the visitor chose; the bundled one shows while its weights are not
            on this machine.
        network_link: what the address last said of the network.
    """

    pending: Encoded | None = None
    chosen: Encoded | None = None
    prepared: Prepared | None = None
    shown: Shown | None = None
    link: str | None = None
    error: str = ""
    notice: str = ""
    unread: dict[str, str] = field(default_factory=dict)
    handed_in: int = 0
    results: OrderedDict[tuple[str, int, Choice], Shown] = field(default_factory=OrderedDict)
    choice: Choice = BUNDLED
    network_link: tuple[str | None, ...] | None = None

    def known(self, side: int, choice: Choice) -> Shown | None:
        """The result of a network for the chosen photo, if it is one of those remembered."""
        if self.chosen is None:
            return None
        found = self.results.get((self.chosen.digest, side, choice))
        if found is None or found.photo.encoded == self.chosen:
            return found
        # The same bytes, under another name.
        renamed = replace(found, photo=replace(found.photo, encoded=self.chosen))
        self.remember(renamed)
        return renamed

    def follow_link(self, key: str, name: str, options: Iterable[object]) -> None:
        """Note what the address asks of a control that it does not offer.

        Before the control is drawn: Streamlit then takes its default, and it out of the address.
        """
        wanted, known = st.query_params.get(key), [str(option) for option in options]
        if wanted is not None and wanted not in known:
            self.unread[key] = (
                f"The link asks for a {name} that does not exist. There are: {', '.join(known)}."
            )

    def remember(self, shown: Shown) -> None:
        self.results[shown.photo.encoded.digest, shown.photo.side, shown.choice] = shown
        while len(self.results) > KEPT:
            self.results.popitem(last=False)


def visit() -> Visit:
    """The state of the visitor whose session runs this script."""
    if "visit" not in st.session_state:
        st.session_state["visit"] = Visit()
    return st.session_state["visit"]
