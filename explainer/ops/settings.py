"""Settings of an operation: read for every axis, checked, and mended when they are impossible.

An operation states its rules as data, a `Rule` each. `check` reads the settings, and what breaks a
rule comes back as a `SettingError` that knows the nearest settings that work.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, SupportsIndex

Shape = tuple[int, ...]
Setting = SupportsIndex | Sequence[SupportsIndex]
"""One whole number for all axes, or one for each."""

LOWEST = {
    "size": 1,
    "kernel": 1,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "output_padding": 0,
    "output_size": 1,
    "factor": 1,
    "offset": 0,
}
"""Every setting there is, and the least whole number that it may be."""


class SettingError(ValueError):
    """Settings that no operation can have, and the nearest ones that it can.

    Attributes:
        parameter: the setting that breaks the rule.
        rule: the rule, in words.
        values: all settings as they came; equal numbers for all axes appear as one number.
        suggestions: changes to `values`, nearest first; each makes all of them valid:
            `values | suggestions[0]` works.
    """

    def __init__(
        self, parameter: str, rule: str, values: Mapping[str, Any], suggestions: Iterable[dict]
    ) -> None:
        self.parameter = parameter
        self.rule = rule
        self.values = dict(values)
        self.suggestions = tuple(suggestions)
        works = " or ".join(_listed(suggestion) for suggestion in self.suggestions)
        super().__init__(f"{parameter}: {rule}; got {_listed(self.values)}. Would work: {works}")


@dataclass(frozen=True)
class Rule:
    """What must hold between the settings of one axis.

    Attributes:
        parameter: the setting to blame, and to change: some smaller value of it is always valid.
        text: the rule in words.
        holds: from the settings of one axis to whether they keep the rule.
    """

    parameter: str
    text: str
    holds: Callable[[Mapping[str, int]], bool]


def check(rules: Sequence[Rule], axes: int, **values: Any) -> dict[str, Shape]:
    """The settings for each axis: `{"stride": 2}` on two axes gives `{"stride": (2, 2)}`.

    Raises:
        SettingError: a setting is not a whole number (or one for each axis), is below its
            `LOWEST`, or breaks one of the rules.
    """
    axes = max(axes, 1)
    shown = {name: _collapsed(value, axes) for name, value in values.items()}
    problem = _problem(rules, axes, shown)
    if problem is not None:
        raise SettingError(*problem, shown, _nearest(rules, axes, shown))
    return {name: _spread(value, axes) for name, value in shown.items()}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _collapsed(value: Any, axes: int) -> Any:
    """A number, a tuple of unequal numbers, or, untouched, what is neither."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return _plain(value)
    numbers = tuple(map(_plain, value))
    same = len(numbers) == axes and len(set(map(repr, numbers))) == 1
    return numbers[0] if same else numbers


def _plain(value: Any) -> Any:
    """NumPy's whole numbers as Python's, for reading and for JSON."""
    return operator.index(value) if _is_whole(value) else value


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _spread(value: Any, axes: int) -> Shape:
    return value if isinstance(value, tuple) else (value,) * axes


def _problem(rules: Sequence[Rule], axes: int, values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The setting at fault and the rule that it breaks, or None."""
    for name, value in values.items():
        numbers = _spread(value, axes)
        if len(numbers) != axes:
            many = "one number" if axes == 1 else f"one number, or {axes}, one for each axis"
            return name, f"must be {many}"
        if not all(_is_whole(number) for number in numbers):
            return name, "must be a whole number"
        if min(numbers) < LOWEST[name]:
            return name, f"must be at least {LOWEST[name]}"
    broken = _broken(rules, axes, values)
    return None if broken is None else (broken[0].parameter, broken[0].text)


def _broken(rules: Sequence[Rule], axes: int, values: Mapping[str, Any]) -> tuple[Rule, int] | None:
    """The first rule that does not hold, and on which axis."""
    for axis in range(axes):
        here = {name: _spread(value, axes)[axis] for name, value in values.items()}
        for rule in rules:
            if not rule.holds(here):
                return rule, axis
    return None


def _nearest(rules: Sequence[Rule], axes: int, values: Mapping[str, Any]) -> tuple[dict, ...]:
    """Changes that make the settings valid: one setting each where that is enough."""
    mended = {name: _mended(name, value, axes) for name, value in values.items()}
    if _broken(rules, axes, mended) is None:
        return (_changes(values, mended),)
    found: list[tuple[int, dict]] = []
    for name, value in mended.items():
        for place, now in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
            for number in _near(now, LOWEST[name]):
                trial = mended | {name: _changed(value, place, number)}
                if _broken(rules, axes, trial) is None:
                    found.append((abs(number - now), _changes(values, trial)))
                    break
    if found:
        return tuple(change for _, change in sorted(found, key=lambda pair: pair[0]))
    # No single change is enough: follow the rules one after the other. Each blames a setting of
    # which a smaller value keeps it, so settings only shrink, and this ends.
    while (broken := _broken(rules, axes, mended)) is not None:
        rule, axis = broken
        value = mended[rule.parameter]
        place = axis if isinstance(value, tuple) else None
        number = value[axis] if isinstance(value, tuple) else value
        # One step at a time finds the nearest; from absurdly far away, a leap first.
        number = min(number - 1, LOWEST[rule.parameter] + 4096)
        mended[rule.parameter] = _changed(value, place, number)
    return (_changes(values, mended),)


def _mended(name: str, value: Any, axes: int) -> Any:
    """Whole numbers, for as many axes as there are, none below the lowest."""
    if isinstance(value, tuple) and len(value) != axes:
        value = value[0] if value else LOWEST[name]
    if isinstance(value, tuple):
        return tuple(_mended_number(number, LOWEST[name]) for number in value)
    return _mended_number(value, LOWEST[name])


def _mended_number(value: Any, lowest: int) -> int:
    if isinstance(value, float) and abs(value) < 2**31:  # also false for nan and inf
        value = round(value)
    return max(int(value), lowest) if _is_whole(value) else lowest


def _near(number: int, lowest: int, reach: int = 64) -> Iterator[int]:
    """Other whole numbers, nearest first, then those just above the lowest."""
    steps = chain.from_iterable((number - step, number + step) for step in range(1, reach + 1))
    return chain(
        (value for value in steps if value >= lowest), range(lowest + reach, lowest - 1, -1)
    )


def _changed(value: Any, place: int | None, number: int) -> Any:
    if place is None:
        return number
    return (*value[:place], number, *value[place + 1 :])


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    # repr tells True from 1 and 2.0 from 2, which are equal and not both valid.
    return {name: value for name, value in after.items() if repr(value) != repr(before[name])}
