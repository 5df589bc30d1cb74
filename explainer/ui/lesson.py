"""What lesson pages share: presets, formula, impossible settings, predictions, what stands below.

Every page has the same order: what to see, the controls, the picture, the formula, a prediction,
the code, the notes.
"""

import html
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, groupby, product
from operator import itemgetter
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import segno
import streamlit as st
from numpy.typing import NDArray
from streamlit.config import get_option
from streamlit.net_util import get_internal_ip

from explainer.components.button_row import Button, button_row
from explainer.components.linked_grid import Scene, linked_grid, message
from explainer.components.linked_grid import data as data_of
from explainer.components.look_ahead import LOOK_AHEAD, look_ahead
from explainer.components.once import Once
from explainer.ops import SettingError
from explainer.ui import shell
from explainer.ui.controls import LIVE, SHARE, Controls, Whole, complete
from explainer.ui.lessons import LESSONS, Lesson, neighbours
from explainer.ui.pictures import inputs
from explainer.ui.values import ACCEPTED, number

PICTURE = "picture"
"""The page's picture, by Streamlit's key."""

PIN = "pin"
"""The parameter of the address that holds the pinned cell."""

VIEW = "view"
"""The parameter of the address that holds the chosen picture; without it, the first."""

CODE = "code"
"""Whether the PyTorch lines are open, by Streamlit's key."""

OWN_WEIGHTS = {"w": ("weights", inputs.OWN)}
"""Edited weights are shown where the kernel is the visitor's own (`Controls.needs`)."""

EDITED = {"input": "x", "kernel": "w", "z": "z"}
"""By the name of a grid the parameter of the address that holds its edited numbers."""

LONGEST_PIN = 40


def usable_pin(text: str) -> bool:
    """Whether a text can be a pinned cell, "grid:row,col"."""
    name, colon, place = text.partition(":")
    numbers = place.split(",")
    return (
        len(text) <= LONGEST_PIN
        and text.isascii()
        and bool(colon)
        and name.replace("_", "").isalnum()
        and len(numbers) == 2
        and all(number.removeprefix("-").isdecimal() for number in numbers)
    )


def enter(lesson: Lesson, controls: Controls, *kinds: Once) -> None:
    """Draw the frame of a lesson and take up its address; the first call of its script.

    Args:
        kinds: of pictures that the page draws.
    """
    shell.open_page(lesson)
    with st.container(key="code_of_pictures"):
        for kind in (LOOK_AHEAD, *kinds):
            kind.code()
    controls.enter()
    controls.notices()


Drawn = tuple[Scene, SettingError | None]
"""A scene, and the error of settings that have none."""


def live(
    controls: Controls, body: Callable[[], None], scene: Callable[[], Drawn] | None = None
) -> None:
    """Draw the part of a page that follows its controls.

    Where a control has changed, only this part runs again: the frame, the presets, the controls
    themselves and the notes stay. That is what makes a slider quick.

    Args:
        body: draws it.
        scene: that of the page's picture for its present settings; what it is at the next steps of
            the sliders is sent ahead. Without, nothing is.
    """

    def data() -> dict[str, Any]:
        assert scene is not None
        found = {"pin": controls[PIN], "at": controls.sliders()}
        return data_of(scene()[0], PICTURE, **found)

    @st.fragment(key=LIVE)
    def part() -> None:
        with crowd.one_more():
            controls.refresh()
            _say_why_not()
            body()
            if scene is not None:
                send_ahead(controls, PICTURE, data)

    part()


_REFUSAL = "refusal"


def refuse(why: str) -> None:
    """Tell the visitor why something stays as it was; for callbacks, in which nothing is drawn."""
    st.session_state[_REFUSAL] = why


def _say_why_not() -> None:
    if why := st.session_state.pop(_REFUSAL, ""):
        st.toast(why, icon=":material/edit_off:")


class Crowd:
    """How many visitors' pages are being drawn at this moment, by this process."""

    def __init__(self) -> None:
        self._drawing = 0
        self._lock = threading.Lock()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a page as being drawn, inside this block."""
        with self._lock:
            self._drawing += 1
        try:
            yield
        finally:
            with self._lock:
                self._drawing -= 1

    def waits(self) -> bool:
        """Whether others are being drawn beside the one that asks."""
        return self._drawing > 1


crowd = Crowd()

AHEAD_S, AHEAD_CHARACTERS = 0.02, 64_000
"""Seconds of computing and characters after which no further picture is drawn ahead."""


def send_ahead(controls: Controls, key: str, data: Callable[[], Mapping[str, Any]]) -> None:
    """Send what a picture shows at the next steps of the sliders, at least at the likeliest.

    While others wait for this process, at no more than that: a picture that is asked for goes
    before one that may be.

    Args:
        key: the picture's.
        data: what the browser gets of the picture for the present settings.
    """
    until, room, here = time.thread_time() + AHEAD_S, AHEAD_CHARACTERS, data()
    steps: dict[str, dict[int, str]] = {}
    for name, value in controls.ahead():
        with controls.supposing(**{name: value}):
            step = json.dumps({part: what for part, what in data().items() if what != here[part]})
        steps.setdefault(name, {})[value] = step
        room -= len(step)
        if room < 0 or time.thread_time() > until or crowd.waits():
            break
    if steps:
        look_ahead(key, controls.sliders(), here, steps)


# The controls


PRESETS = "examples"
"""Streamlit's key of the line of examples."""

RESET = "Reset"

Examples = Mapping[str, Mapping[str, Any]]
"""By label the values that differ from the defaults; "help" is the tooltip."""


def presets(controls: Controls, slides: Examples, beyond: Examples | None = None) -> None:
    """A line of buttons, each of which sets every key of the page, and one that resets them.

    Args:
        slides: the examples of the lectures.
        beyond: examples that are on no slide.
    """
    sets = {**slides, **(beyond or {}), RESET: {}}

    def press(label: str) -> None:
        controls.preset(**{name: to for name, to in sets[label].items() if name != "help"})

    groups = {"From the slides": _buttons(slides), "Beyond": _buttons(beyond or {})}
    reset = {"": [Button(RESET, icon="restart_alt")]}
    shown = {title: buttons for title, buttons in groups.items() if buttons} | reset
    with st.container(key="presets", horizontal=True):
        button_row(shown, key=PRESETS, on_press=press)
        _share(controls)


def _buttons(examples: Examples) -> list[Button]:
    return [Button(label, str(example.get("help", ""))) for label, example in examples.items()]


def _share(controls: Controls) -> None:
    box = st.popover("Share", icon=":material/qr_code_2:", key=SHARE, on_change="rerun")
    if not box.open:
        return
    address = link(own_address(st.context.url or "", controls.page), controls)
    others, note = for_others(address, get_internal_ip(), get_option("server.address"))
    code = qr_code(others)
    with box:
        if code is None:
            st.caption("Too long for a QR code: that holds about 2,300 letters. Copy the link.")
        else:
            st.html(f'<img class="qr" alt="QR code of the link" src="{code}">', width="content")
        st.code(others, language=None, wrap_lines=True)
        if note:
            st.caption(note)


_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def for_others(address: str, machine: str | None, bound: str | None) -> tuple[str, str]:
    """An address as other devices reach it, and what to say about it ("" if nothing).

    Args:
        address: where this page was found.
        machine: the address of this machine in its network, if it has one.
        bound: the address on which the server listens; without, it is all of them.
    """
    parts = urlsplit(address)
    if parts.hostname not in _THIS_MACHINE:
        return address, ""
    if machine is None or bound in _THIS_MACHINE:
        return address, "Only this computer can open this link: it is in no network."
    port = f":{parts.port}" if parts.port else ""
    return (
        urlunsplit(parts._replace(netloc=f"{machine}{port}")),
        f"Opened at {parts.hostname}, which would be each student's own device; this is the "
        "computer's address in its network.",
    )


def own_address(found: str, page: str) -> str:
    """The address of a page, where Streamlit may have found a wrong one.

    Before it adds the name of the open page it cuts that of any page off the end (1.67): of
    …/transposed_convolution that leaves …/transposed_.

    Args:
        found: what Streamlit says.
        page: the name of the open page.
    """
    root = found.removesuffix(f"/{page}")
    for lesson in LESSONS:
        name = PurePath(lesson.path).stem
        if name != page and page.endswith(name):
            root = root.removesuffix(f"/{page.removesuffix(name)}")
    return f"{root}/{page}" if found else ""


def link(page: str, controls: Controls) -> str:
    """The address of a page in its present state; what has its default is left out."""
    state = controls.written()
    return page + (f"?{urlencode(state, safe=',;:')}" if state else "")


def qr_code(text: str) -> str | None:
    """A QR code as the source of an image, black on white; None for a text that is too long."""
    try:
        code = segno.make(text, error="m", micro=False)
    except segno.DataOverflowError:
        return None
    return code.svg_data_uri(scale=6, light="white", border=3)


MOST_CHANGED, MOST_WAYS = 2, 3
"""Sliders that one click changes at most where no rule knows a way, and how many ways are shown."""


def impossible(error: SettingError, controls: Controls, check: Callable[[], object]) -> None:
    """Say which rule the settings break, and offer the nearest that keep it, one click each.

    Args:
        check: raises a `SettingError` where the page's present settings have no picture.
    """
    with st.container(key="impossible", border=True):
        st.markdown(f"**{error.parameter}**: {_without_absent(error, controls)}.")
        known = ", ".join(
            f"{name} {value}"
            for name, value in error.values.items()
            if name in controls.controls and controls[name] == value
        )
        st.markdown(f"Here: {known}. What would work:")
        with st.container(horizontal=True):
            for change in ways_out(error, controls, check):
                label = ", ".join(f"{name} = {value}" for name, value in change.items())
                st.button(label, key=f"mend {label}", on_click=controls.set, kwargs=change)


def ways_out(
    error: SettingError, controls: Controls, check: Callable[[], object]
) -> list[dict[str, Any]]:
    """Changes of the page's settings that give them a picture.

    Those that the error knows; it knows neither the bounds of the sliders nor which of them the
    view reads, so where none is left, the nearest of one slider, or else of two.
    """

    def works(change: Mapping[str, Any]) -> bool:
        if not all(controls.takes(name, value) for name, value in change.items()):
            return False
        with controls.supposing(**change):
            try:
                check()
            except SettingError:
                return False
        return True

    known = [change for change in error.suggestions if works(change)]
    if known:
        return known
    sliders = [
        control
        for name, control in controls.controls.items()
        if name in error.values and isinstance(control, Whole)
    ]
    for many in range(1, MOST_CHANGED + 1):
        for _, equally_near in groupby(_changes(controls, sliders, many), itemgetter(0)):
            near = [change for _, change in equally_near if works(change)]
            if near:
                return near[:MOST_WAYS]
    return []


def _changes(
    controls: Controls, sliders: Sequence[Whole], many: int
) -> list[tuple[int, dict[str, int]]]:
    """All changes of so many sliders within their bounds, nearest first, each with its distance."""
    found = []
    for some in combinations(sliders, many):
        for values in product(*(range(slider.low, slider.high + 1) for slider in some)):
            change = {slider.name: value for slider, value in zip(some, values, strict=True)}
            steps = [abs(value - controls[name]) for name, value in change.items()]
            if all(steps):
                found.append((sum(steps), change))
    return sorted(found, key=itemgetter(0))


def _without_absent(error: SettingError, controls: Controls) -> str:
    """The rule without the dilation and padding that a page does not have."""
    rule = error.rule
    if "dilation" not in controls.controls and error.values.get("dilation") == 1:
        rule = rule.replace("dilation·(kernel − 1) + 1", "kernel")
    if "padding" not in controls.controls and error.values.get("padding") == 0:
        rule = rule.replace(" + 2·padding", "")
    return rule


# The picture


def view_of(controls: Controls, views: Sequence[str]) -> str:
    """The chosen view."""
    return controls[VIEW] or views[0]


def possible(controls: Controls, views: Sequence[str], draw: Callable[[str], Scene]) -> Drawn:
    """The scene of the chosen view; an empty one with the tabs where it has none."""
    view = view_of(controls, views)
    try:
        return draw(view), None
    except SettingError as error:
        rest = "these settings have no picture"
        return Scene([], rest=rest, views=views, view=views.index(view)), error


def picture(
    scene: Scene,
    controls: Controls,
    *,
    key: str = PICTURE,
    pins: bool = True,
    marks: str = "",
    on: Mapping[str, Callable[[Any], None]] | None = None,
) -> None:
    """Draw a scene whose pinned cell and chosen view are in the address.

    Args:
        pins: whether the pinned cell of the address is one of this scene.
        on: by event ("edit", "mark", "frame"), what to do with the browser's message.
    """

    def pin() -> None:
        text = str(message(key, PIN) or "")
        controls.set(**{PIN: text if usable_pin(text) else ""})

    def choose(view: object) -> None:
        if isinstance(view, int) and 0 <= view < len(scene.views):
            controls.set(**{VIEW: scene.views[view] if view else ""})

    def handler(event: str, act: Callable[[Any], None]) -> Callable[[], None]:
        def handle() -> None:
            what = message(key, event)
            if what is not None:
                act(what)

        return handle

    acts = {VIEW: choose, **(on or {})}
    handlers = {event: handler(event, act) for event, act in acts.items()}
    pinned = controls[PIN] if pins else ""
    if pins:
        handlers[PIN] = pin
    linked_grid(scene, key=key, pin=pinned, marks=marks, at=controls.sliders(), on=handlers)
    if pinned and scene.grids and not has_cell(scene, pinned):
        st.caption("The cell that was pinned is not in this picture.")


def has_cell(scene: Scene, pin: str) -> bool:
    """Whether a usable pin is a cell of the scene."""
    name, _, place = pin.partition(":")
    for grid in scene.grids:
        if grid.name == name:
            row, column = (
                int(at) + first for at, first in zip(place.split(","), grid.origin, strict=True)
            )
            row = 0 if scene.flat else row
            return 0 <= row < grid.rows and 0 <= column < grid.columns
    return False


def edit(controls: Controls, what: Any, **grids: NDArray) -> None:
    """Take a number that was typed into a cell into the address.

    Args:
        what: the browser's "edit" message, of which nothing is believed.
        grids: by the name of a grid that can be edited (`EDITED`) its numbers.
    """
    place, name = typed(what), what.get("grid")
    if place is None or name not in grids:
        return
    (row, column, value), cells = place, inputs.as_rows(grids[name])
    if not (0 <= row < cells.shape[0] and 0 <= column < cells.shape[1]):
        return
    text = inputs.with_cell(cells, row, column, value)
    if not controls.takes(EDITED[name], text):
        refuse("So many long numbers do not fit into a link: the cell stays as it was.")
        return
    own = {"weights": inputs.OWN} if name == "kernel" else {}
    controls.set(**{EDITED[name]: text}, **own)


Edited = Mapping[str, tuple[str, Sequence[Sequence[int]]]]
"""By parameter its text ("" without), and the shapes of the grids for which it may be."""


def unfit(edited: Edited) -> None:
    """Say which edited numbers of the address are for a grid of another size, and not shown."""
    for name, (text, shapes) in edited.items():
        if text and not any(inputs.fits(text, shape) for shape in shapes):
            st.caption(f"The numbers of {name} in the address are for another size and not shown.")


def typed(what: Any) -> tuple[int, int, float] | None:
    """Row, column and number of an "edit" message; None, with a word to the visitor, if it is none.

    The message comes from the browser, so nothing in it is believed.
    """
    row, column = what.get("row"), what.get("col")
    value = number(str(what.get("text", ""))[:12])
    if not (isinstance(row, int) and isinstance(column, int)):
        return None
    if value is None:
        refuse(f"A cell takes {ACCEPTED}.")
        return None
    return row, column, value


# The formula

ROLES = {"x": "input", "w": "kernel", "y": "output", "p": "padding"}


def chip(role: str, text: object) -> str:
    """A number or name on the colour of its role ("x", "w", "y", "p"), as HTML."""
    return f'<span class="chip {ROLES[role]}">{html.escape(str(text))}</span>'


def formula(*lines: str) -> None:
    """Draw formulas: HTML made with `chip` and plain signs, one a line."""
    body = "".join(f"<div>{line}</div>" for line in lines)
    st.html(f'<div class="formula" data-role="formula">{body}</div>')


# Predict, then reveal


@dataclass(frozen=True)
class Question:
    """A question that the student answers before the picture tells.

    Attributes:
        key: its name among the questions of the page; with the settings that it depends on, so
            that a new setting is a new question.
        belief: the misconception that it cures, as people say it.
        text: the question.
        options: the answers to choose from.
        answer: the right one.
        why: what to see now, shown with the answer.
    """

    key: str
    belief: str
    text: str
    options: Sequence[str]
    answer: str
    why: str

    def __post_init__(self) -> None:
        if self.answer not in self.options:
            raise ValueError(f"the answer {self.answer!r} is none of the options")


def revealed(question: Question) -> bool:
    """Whether its answer has been shown: until then the picture's captions keep it back."""
    return bool(st.session_state.get(f"revealed {question.key}"))


def ask(
    question: Question, controls: Controls, on_reveal: Callable[[], None] | None = None
) -> bool:
    """Draw a question; whether it has been answered and revealed.

    The answer takes the place of the options: it has to stand beside the picture that shows why.
    Who asks again sees what was there before the answer, unless it has been changed since.

    Args:
        on_reveal: called when the student reveals, e.g. to set the controls that show why.
    """
    given = st.session_state.get(f"revealed {question.key}")
    with st.container(key="predict", border=True):
        if given:
            st.markdown(f"{was_said(question.belief)}  \n{question.text}")
            verdict(given == question.answer, f"{question.answer}.", question.why)
            ask_again(f"again {question.key}", partial(_forget, question.key, controls))
            return True
        st.markdown(often_said(question.belief))
        chosen = st.radio(
            question.text,
            question.options,
            index=None,
            key=f"answer {question.key}",
            horizontal=True,
        )
        st.button(
            "Reveal",
            key=f"reveal {question.key}",
            type="primary",
            disabled=chosen is None,
            on_click=_reveal,
            args=(question.key, chosen, controls, on_reveal),
        )
        return False


def often_said(belief: str) -> str:
    """The first words of a prediction, as Markdown: the misconception that it cures."""
    return f"**Predict** · often said: *“{belief}”*"


def was_said(belief: str) -> str:
    """The same in short, beside the answer."""
    return f"Often said: *“{belief}”*"


def verdict(right: bool, answer: str, why: str) -> None:
    """Draw the answer to a prediction."""
    say = st.success if right else st.info
    say(f"**{'Right' if right else 'Answer'}: {answer}** {why}")


def ask_again(key: str, on_click: Callable[[], None]) -> None:
    """Draw the way back to the question."""
    st.button("Ask again", key=key, type="tertiary", icon=":material/replay:", on_click=on_click)


def _reveal(key: str, chosen: str, controls: Controls, then: Callable[[], None] | None) -> None:
    st.session_state[f"revealed {key}"] = chosen
    before = {name: controls[name] for name in controls.names}
    if then is not None:
        then()
    st.session_state[f"before {key}"] = before, controls.written()


def _forget(key: str, controls: Controls) -> None:
    st.session_state[f"revealed {key}"] = None
    st.session_state[f"answer {key}"] = None
    before, answer = st.session_state.pop(f"before {key}")
    if controls.written() == answer:
        controls.set(**before)


# Below the picture


@dataclass(frozen=True)
class Notes:
    """What a page says about itself, on demand. All is Markdown.

    Attributes:
        offers: what the page offers.
        slides: what the slides say, and what is printed wrong there.
        wrong: what is easily got wrong.
        literature: where it is in the literature.
    """

    offers: str
    slides: str
    wrong: str
    literature: str
    more: Mapping[str, str] = field(default_factory=dict)


def code(lines: str) -> None:
    """Draw the lines that reproduce the picture, closed; "" where the settings are impossible."""
    if not lines:
        return
    title = "In PyTorch: these lines give the numbers above"
    box = st.expander(title, icon=":material/code:", key=CODE, on_change="rerun")
    if box.open:  # to colour lines that nobody sees costs a slider more than the picture does
        box.code(lines, language="python")


def below(notes: Notes, lesson: Lesson) -> None:
    """Draw the notes, closed, and the ways to the neighbouring lessons; the page's last call."""
    parts = {
        "On this page": notes.offers,
        "What the slides say": notes.slides,
        "Easily got wrong": notes.wrong,
        "In the literature": notes.literature,
        **notes.more,
    }
    # One element, not two for each part: the browser goes through all of them at every rerun.
    folded = "\n\n".join(
        f"<details><summary>{html.escape(title)}</summary>\n\n{text}\n\n</details>"
        for title, text in parts.items()
    )
    with st.container(key="notes"):
        st.markdown(folded, unsafe_allow_html=True)
    before, after = neighbours(lesson)
    with st.container(key="neighbours", horizontal=True, horizontal_alignment="distribute"):
        if before is not None:
            st.page_link(before.path, label=before.title, icon=":material/arrow_back:")
        if after is not None:
            st.page_link(
                after.path,
                label=after.title,
                icon=":material/arrow_forward:",
                icon_position="right",
            )
    complete()
