"""Controls that are bound to the address: the address bar is the lesson plan.

A page lists its controls once. Their plain names are the parameters of the address; a value that
cannot be used falls back to the default, and says so until the control is changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

Value = TypeVar("Value")

SETTINGS = "settings"
"""The popover of the controls that matter less, by Streamlit's key."""

SHARE = "share"
"""The popover of the link to the page, by Streamlit's key."""

LIVE = "live"
"""The part of a lesson page that follows its controls (`lesson.live`), by Streamlit's key."""

# Under these keys of the session: the controls themselves have to be drawn anew; all of the page
# has been drawn since the last visit or change; by page what the visitor left there; the controls
# that the visitor cannot see.
_REDRAW, _COMPLETE, _LEFT, _UNSEEN = "redraw", "complete", "left", "unseen"

# What the open page keeps in the address beside its controls, by name; "" for none. Only the server
# changes it: the address that comes with a click may be older than the last answer.
_EXTRAS = "extras"

# Whether the address was written, and the browser is still to be told.
_TELL = "tell"

# The last address that the browser was told of and may not have heard; during the callbacks of a
# click that was made before it heard, the address that it had then.
_TOLD, _LATE = "told", "late"

HEARS_WITHIN = 2.0
"""Seconds after which a click is no longer taken for one of a browser that has not heard."""

UNHEARD = 8
"""The most older addresses that the browser is supposed to have still."""

# The slider that the visitor moved last, and the way it went (1 or -1).
_MOVED = "moved"

# What controls and extras are supposed to be. Only in the thread that supposes: a run that a newer
# one has superseded still goes on for a while, beside it and with the same controls.
_SUPPOSED: ContextVar[Mapping[str, Any]] = ContextVar("supposed", default=MappingProxyType({}))


@dataclass(frozen=True)
class Told:
    """An address that the browser was told of.

    Attributes:
        address: its parameters.
        before: addresses that the browser may have until it hears.
        when: seconds, of a clock that only goes on.
    """

    address: Mapping[str, str]
    before: tuple[Mapping[str, str], ...]
    when: float

    def unheard_in(self, address: Mapping[str, str]) -> Mapping[str, str] | None:
        """The older address that a click was made with; None if the browser had heard.

        Args:
            address: that came with the click. A slider that has moved since is in it too.
        """

        def apart(other: Mapping[str, str]) -> int:
            return sum(address.get(name) != other.get(name) for name in {*address, *other})

        nearest = min(self.before, key=apart)
        behind = apart(self.address) > max(apart(nearest), 1)
        return nearest if behind and monotonic() <= self.when + HEARS_WITHIN else None


@dataclass(frozen=True)
class Control(Generic[Value]):
    """A widget with a name in the address.

    Attributes:
        name: the parameter of the address, and Streamlit's key.
        label: what stands above it.
        default: its value when the address does not name it.
        help: what it means, in one sentence.
    """

    name: str
    label: str
    default: Value
    help: str | None = None

    def parse(self, text: str) -> Value | None:
        """The value that a parameter of the address stands for, or None if it stands for none."""
        raise NotImplementedError

    def meant(self, text: str, value: Value) -> bool:
        """Whether the value that was parsed is what the text says; Streamlit reads 2.5 as 2."""
        return True

    def allowed(self) -> str:
        """What would be right, in words."""
        raise NotImplementedError

    def draw(self, on_change: Callable[[], None], **options: Any) -> Value:
        """Draw the widget and return its value."""
        raise NotImplementedError


@dataclass(frozen=True)
class Whole(Control[int]):
    """A slider over whole numbers. Its bounds are constant: impossible combinations are said.

    Attributes:
        low, high: its bounds.
    """

    low: int = 0
    high: int = 10

    def parse(self, text: str) -> int | None:
        try:
            number = int(float(text))  # as Streamlit reads it: 2.5 is 2
        except (ValueError, OverflowError):
            return None
        return number if self.low <= number <= self.high else None

    def meant(self, text: str, value: int) -> bool:
        return float(text) == value

    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def draw(self, on_change: Callable[[], None], **options: Any) -> int:
        return st.slider(
            self.label,
            self.low,
            self.high,
            self.default,
            key=self.name,
            help=self.help,
            bind="query-params",
            on_change=on_change,
            **options,
        )


@dataclass(frozen=True)
class Choice(Control[str]):
    """One of a few words.

    Attributes:
        options: the words, which are also what the address says.
        kind: side by side, or in a menu.
    """

    options: Sequence[str] = ()
    kind: Literal["row", "menu"] = "row"

    def parse(self, text: str) -> str | None:
        return text if text in self.options else None

    def allowed(self) -> str:
        return "one of " + ", ".join(self.options)

    def draw(self, on_change: Callable[[], None], **options: Any) -> str:
        if self.kind == "menu":
            return st.selectbox(
                self.label,
                self.options,
                index=self.options.index(self.default),
                key=self.name,
                help=self.help,
                bind="query-params",
                on_change=on_change,
                **options,
            )
        return st.segmented_control(
            self.label,
            self.options,
            default=self.default,
            key=self.name,
            help=self.help,
            bind="query-params",
            required=True,
            on_change=on_change,
            **options,
        )


@dataclass(frozen=True)
class Switch(Control[bool]):
    """On or off."""

    def parse(self, text: str) -> bool | None:
        return {"true": True, "false": False}.get(text.lower())

    def allowed(self) -> str:
        return "true or false"

    def draw(self, on_change: Callable[[], None], **options: Any) -> bool:
        return st.toggle(
            self.label,
            self.default,
            key=self.name,
            help=self.help,
            bind="query-params",
            on_change=on_change,
            **options,
        )


class Controls:
    """The controls of one page, and what the page keeps in the address beside them.

    Args:
        page: the page's path, which tells its state from that of other pages.
        controls: all that `draw` may draw.
        extras: further parameters that are no widgets (pinned cell, edited values), and how to
            check each: a function from its text to whether the page can use it.
        framing: those on which it depends which controls are drawn, and how.
        needs: by extra the control, and its value, without which the extra is not shown.
    """

    def __init__(
        self,
        page: str,
        controls: Sequence[Control],
        extras: Mapping[str, Callable[[str], bool]] | None = None,
        framing: Sequence[str] = (),
        needs: Mapping[str, tuple[str, Any]] | None = None,
    ) -> None:
        self.page = page
        self.controls = {control.name: control for control in controls}
        self.extras = dict(extras or {})
        self.names = {*self.controls, *self.extras}
        self.framing = frozenset(framing)
        self.needs = dict(needs or {})
        self._unseen = False
        self._sliders: dict[str, Whole] = {}

    def enter(self) -> None:
        """Take up the address when the visitor comes to the page; the first call of its script.

        Pages share parameters such as `size`, and Streamlit would carry a value from one page to
        the next. What the address says counts; without it, what the visitor left here, also when
        the browser's Back leads here: Streamlit empties the address before it leaves a page, so
        that Back meets an empty one and would set everything to its default.
        """
        state = st.session_state
        state.pop(_REDRAW, None)
        state.pop(_LATE, None)
        state[_COMPLETE] = False
        run = get_script_run_ctx()
        back = run is not None and run.is_history_navigation
        if state.get("here") == self.page:
            if back:
                state[_EXTRAS] = self._extras_of(st.query_params)
                state.pop(_TOLD, None)
            self._mend_address()
            self.remember()
            return
        state["here"] = self.page
        state.pop(_TOLD, None)
        if run is not None:
            run.is_history_navigation = False
        left = state.get(_LEFT, {}).get(self.page, {})
        named = self.names & set(st.query_params)
        if back:  # to an address that was half written when the visitor went on
            named = {name for name in named if st.query_params[name] != left.get(name)}
        address = st.query_params if named else left
        notices = state["notices"] = {}
        for name, control in self.controls.items():
            text = address.get(name)
            value = None if text is None else control.parse(text)
            taken = state[name] = control.default if value is None else value
            if text is not None and (value is None or not control.meant(text, value)):
                notices[name] = (
                    f"The link asks for {name} = {_shortened(text)}. It must be "
                    f"{control.allowed()}, so here it is {taken}."
                )
        state[_EXTRAS] = self._extras_of(address)
        for name, usable in self.extras.items():
            if name in address and not usable(address[name]):
                notices[name] = (
                    f"The link gives {name} in a form that this page cannot read, so it is left "
                    "out."
                )
        if notices or not named:  # else the address is right as it is
            # The browser hears of it when the script ends: as yet it is on the page before.
            state[_TELL] = self._address()
        for name, (control, value) in self.needs.items():
            if name in named and self[name] and state[control] != value:
                ignored = (
                    f"The link gives {name}, which counts only with {control} = {_written(value)}; "
                    f"here {control} is {_written(state[control])}."
                )
                notices[control] = "  \n".join(filter(None, (notices.get(control), ignored)))
        self.remember()

    def draw(self, name: str, **options: Any) -> Any:
        """Draw one control; its value."""
        control = self.controls[name]
        if isinstance(control, Whole) and not self._unseen and not options.get("disabled"):
            self._sliders[name] = control
        unseen = st.session_state.setdefault(_UNSEEN, set())
        (unseen.add if self._unseen else unseen.discard)(name)

        def changed() -> None:
            if name in st.session_state[_UNSEEN]:
                # Nobody can have changed it. A closed popover does not take up what is set here,
                # and the browser goes on sending what was there before.
                st.session_state[name] = self._left(name)
                return
            before = self._late()
            if before is not None:
                # The browser is about to show what was set last, over what the visitor has moved.
                moved = self._said(name, before) != self[name]
                st.session_state[name] = self[name] if moved else self._left(name)
                if not moved:
                    return
            if isinstance(control, Whole):
                st.session_state[_MOVED] = (name, 1 if self[name] > self._left(name) else -1)
            if self._shows_outside(name):  # also where the control is drawn inside the live part
                st.session_state[_REDRAW] = True
            elif st.session_state[_COMPLETE]:  # else a run that this one cut short left gaps
                st.rerun(LIVE)

        control.draw(changed, **options)
        return self[name]

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Draw the popover of all settings; the controls drawn inside this block are in it."""
        box = st.popover("All settings", icon=":material/tune:", key=SETTINGS, on_change="rerun")
        self._unseen = not box.open
        try:
            with box:
                yield
        finally:
            self._unseen = False

    def __getitem__(self, name: str) -> Any:
        """The value of a control or of an extra ("" if the address has none)."""
        supposed = _SUPPOSED.get()
        if name in supposed:
            return supposed[name]
        if name in self.extras:
            return st.session_state.get(_EXTRAS, {}).get(name, "")
        value = st.session_state.get(name)
        # An empty parameter (`?axes=`) clears the widget: Streamlit then has no value for it.
        return self.controls[name].default if value is None else value

    def sliders(self) -> dict[str, int]:
        """The sliders that the visitor can move now, and their values."""
        return {name: self[name] for name in self._sliders}

    def ahead(self) -> Iterator[tuple[str, int]]:
        """Sliders with a value that each may take next, the likeliest first.

        That is one step further of the slider that moved last, and one back; a step of each other;
        then the rest of the first.
        """
        last, way = st.session_state.get(_MOVED, ("", 1))

        def near(slider: Whole, steps: Iterable[int]) -> Iterator[tuple[str, int]]:
            now = self[slider.name]
            for step in steps:
                for value in (now + way * step, now - way * step):
                    if slider.low <= value <= slider.high:
                        yield slider.name, value

        order = sorted(self._sliders.values(), key=lambda slider: slider.name != last)
        for slider in order:
            yield from near(slider, [1])
        if order and order[0].name == last:
            yield from near(order[0], range(2, order[0].high - order[0].low + 1))

    @contextmanager
    def supposing(self, **values: Any) -> Iterator[None]:
        """Read controls and extras as if they had other values, inside this block."""
        before = _SUPPOSED.set({**_SUPPOSED.get(), **values})
        try:
            yield
        finally:
            _SUPPOSED.reset(before)

    def takes(self, name: str, value: Any) -> bool:
        """Whether a control or an extra of the page can have this value."""
        if name in self.extras:
            return isinstance(value, str) and self.extras[name](value)
        return name in self.controls and self.controls[name].parse(str(value)) == value

    def set(self, **values: Any) -> None:
        """Set controls and extras, in a callback; an extra that becomes "" leaves the address."""
        late, last, heard = self._late(), st.session_state.get(_TOLD), self._heard()
        for name, value in values.items():
            if name in self.controls:
                st.session_state[name] = value
                left = st.session_state.setdefault(_LEFT, {}).setdefault(self.page, {})
                left[name] = _written(value)
            if self._shows_outside(name) or name in self.controls:
                st.session_state[_REDRAW] = True
            if name in self.extras:
                st.session_state.setdefault(_EXTRAS, {})[name] = value
        self._address()
        before = () if last is None or late is None else (*last.before, last.address)
        before = (*before, heard)[-UNHEARD:]
        st.session_state[_TOLD] = Told(self.written(), before, monotonic())
        tell()

    def _heard(self) -> dict[str, str]:
        """The parameters of this page in the address as it is."""
        return {name: st.query_params[name] for name in st.query_params if name in self.names}

    def _late(self) -> Mapping[str, str] | None:
        """In a callback: the browser's address, if it had not heard of the last one that was set.

        Such a click brings along what controls showed before that.
        """
        state = st.session_state
        if _LATE not in state:
            told, run = state.get(_TOLD), get_script_run_ctx()
            back = run is not None and run.is_history_navigation
            state[_LATE] = None if told is None or back else told.unheard_in(self._heard())
        return state[_LATE]

    def _said(self, name: str, address: Mapping[str, str]) -> Any:
        """What an address says of a control or an extra."""
        text = address.get(name)
        if name in self.extras:
            return text or ""
        value = None if text is None else self.controls[name].parse(text)
        return self.controls[name].default if value is None else value

    def _extras_of(self, address: Mapping[str, str]) -> dict[str, str]:
        """What an address says of the extras, as far as the page can use it."""
        found = {name: address.get(name, "") for name in self.extras}
        return {name: text if self.extras[name](text) else "" for name, text in found.items()}

    def _mend_address(self) -> None:
        """Tell the browser the address again where it says anything else than the page shows.

        A click that was made before the last answer came brings an older one along.
        """
        if any(self._said(name, st.query_params) != self[name] for name in self.names):
            self._address()
            tell()

    def _address(self) -> bool:
        """Write the page's new address; whether it has changed, and the browser is to be told.

        Streamlit tells the browser of each control that a script has set, one after the other, and
        its Back would step through all of these: states that nobody chose. It tells nothing of what
        stands in the address already.
        """
        run = get_script_run_ctx()
        if run is None:  # a page that is imported has no address
            return False
        address = self.written()
        with run.session_state.query_params() as told:
            others = {name: told.get_all(name) for name in told if name not in self.names}
            if {name: told[name] for name in told if name not in others} == address:
                return False
            told.clear_with_no_forward_msg(preserve_embed=True)
            for name, text in {**others, **address}.items():
                told.set_with_no_forward_msg(name, text)
        return True

    def preset(self, **values: Any) -> None:
        """Set every control and extra of the page: those not named get their default."""
        rest = {name: control.default for name, control in self.controls.items()}
        self.set(**(rest | dict.fromkeys(self.extras, "") | values))

    def notices(self) -> None:
        """Draw what was wrong with the link, each until its control is changed."""
        texts = st.session_state.get("notices", {}).values()
        if texts:
            st.warning("  \n".join(texts), icon=":material/link_off:")

    def refresh(self) -> None:
        """Run the whole page where more than its live part has changed; the first call in that."""
        st.session_state.pop(_LATE, None)
        if st.session_state.pop(_REDRAW, False):
            st.rerun()
        self._mend_address()
        self.remember()

    def _shows_outside(self, name: str) -> bool:
        """Whether a change shows outside the live part: there are notices, which it ends, controls
        that change with it, and the link to share while that is open."""
        return (
            self._forget_notice(name) or name in self.framing or bool(st.session_state.get(SHARE))
        )

    def _forget_notice(self, name: str) -> bool:
        return st.session_state.get("notices", {}).pop(name, None) is not None

    def remember(self) -> None:
        """Keep the state of the page for when the visitor comes back to it."""
        st.session_state.setdefault(_LEFT, {})[self.page] = self.written()

    def written(self) -> dict[str, str]:
        """The state of the page as parameters of its address; what has its default is left out."""
        chosen = {
            name: _written(self[name])
            for name, control in self.controls.items()
            if self[name] != control.default
        }
        return chosen | {name: self[name] for name in self.extras if self[name]}

    def _left(self, name: str) -> Any:
        """The value of a control when it was last drawn or set."""
        return self._said(name, st.session_state.get(_LEFT, {}).get(self.page, {}))


def complete() -> None:
    """Say that all of the page has been drawn; the last call of its script."""
    st.session_state[_COMPLETE] = True
    if st.session_state.pop(_TELL, False):
        tell()


def tell() -> None:
    """Send the browser the address as it is, once."""
    st.query_params.update({})


def _written(value: Any) -> str:
    """A value as it stands in the address."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shortened(text: str) -> str:
    """A parameter as it may be shown: plain letters in code, and not too long."""
    clean = "".join(letter for letter in text if letter.isprintable() and letter != "`")
    return f"`{clean[:24]}{'…' if len(clean) > 24 else ''}`" if clean else "nothing"
