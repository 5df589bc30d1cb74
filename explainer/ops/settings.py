"""Settings of an operation: read for every axis, checked, and mended when they are impossible.

An operation states its rules as data, a `Rule` each. `check` reads the settings, and what breaks a
rule comes back as a `SettingError` that knows the nearest settings that work.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from numbers import Real
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

HIGHEST = 2**31 - 1
"""The greatest, so that products of two fit into 64 bits."""


class SettingError(ValueError):
    """Settings that no operation can have, and the nearest ones that it can.

    Attributes:
        parameter: the setting that breaks the rule.
        rule: the rule, in words.
        values: all settings as they came; equal numbers for all axes appear as one number.
        suggestions: changes to `values`, nearest first; each makes all of them valid:
            `values | suggestions[0]` works. Searched for when they are asked for: who only tries
            whether settings are possible does not pay for them.
    """

    def __init__(
        self, parameter: str, rule: str, values: Mapping[str, Any], suggestions: Iterable[dict]
    ) -> None:
        self.parameter = parameter
        self.rule = rule
        self.values = dict(values)
        self._suggestions = suggestions
        super().__init__(parameter, rule)

    @cached_property
    def suggestions(self) -> tuple[dict, ...]:
        return tuple(self._suggestions)

    def __str__(self) -> str:
        told = f"{self.parameter}: {self.rule}; got {_listed(self.values)}"
        works = " or ".join(_listed(suggestion) for suggestion in self.suggestions)
        return f"{told}. Would work: {works}" if works else told


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
            `LOWEST` or above `HIGHEST`, or breaks one of the rules.
    """
    axes = max(axes, 1)
    shown = {name: _collapsed(value, axes) for name, value in values.items()}
    problem = _problem(rules, axes, shown)
    if problem is not None:
        raise SettingError(*problem, shown, _nearest(rules, axes, shown, problem[0]))
    return {name: _spread(value, axes) for name, value in shown.items()}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _collapsed(value: Any, axes: int) -> Any:
    """A number, a tuple of unequal numbers, or, untouched, what is neither."""
    if is_whole(value) or isinstance(value, str) or not isinstance(value, Iterable):
        return _plain(value)
    numbers = tuple(map(_plain, value))
    same = len(numbers) == axes and len(set(map(repr, numbers))) == 1
    return numbers[0] if same else numbers


def _plain(value: Any) -> Any:
    """NumPy's whole numbers as Python's, for reading and for JSON."""
    return operator.index(value) if is_whole(value) else value


def is_whole(value: Any) -> bool:
    """Whether a value is one whole number, of Python or NumPy; True and False are none."""
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
        if not all(is_whole(number) for number in numbers):
            return name, "must be a whole number"
        if min(numbers) < LOWEST[name]:
            return name, f"must be at least {LOWEST[name]}"
        if max(numbers) > HIGHEST:
            return name, f"must be at most {HIGHEST}"
    broken = _broken(rules, axes, values)
    return None if broken is None else (broken[0].parameter, broken[0].text)


def _broken(
    rules: Sequence[Rule],
    axes: int,
    values: Mapping[str, Any],
    among: Iterable[int] | None = None,
) -> tuple[Rule, int] | None:
    """The first rule that does not hold, and on which axis, of all or `among` those."""
    for axis in range(axes) if among is None else among:
        here = {name: _spread(value, axes)[axis] for name, value in values.items()}
        for rule in rules:
            if not rule.holds(here):
                return rule, axis
    return None


def _nearest(
    rules: Sequence[Rule], axes: int, values: Mapping[str, Any], blamed: str
) -> Iterator[dict]:
    """Changes that make the settings valid: one setting each where that is enough."""
    mended = {name: _mended(name, value, axes) for name, value in values.items()}
    if _broken(rules, axes, mended) is None:
        yield _changes(values, mended)
        return
    wrong = [axis for axis in range(axes) if _broken(rules, axes, mended, [axis]) is not None]
    spots = [
        Spot(name, place, now, LOWEST[name])
        for name, value in mended.items()
        for place, now in (enumerate(value) if isinstance(value, tuple) else [(None, value)])
        if place is None or place in wrong
    ]

    def works(*moves: Move) -> bool:
        """Whether moves mend the axes on which they are, and break no other."""
        on = {spot.place for spot, _ in moves if spot.place is not None}
        return _broken(rules, axes, _moved(mended, moves), on or None) is None

    alone = {spot: to for spot in spots if (to := _nearest_number(spot, works)) is not None}
    single = []
    for name, value in mended.items():
        moves = [(spot, to) for spot, to in alone.items() if spot.name == name]
        if len(moves) == (len(wrong) if isinstance(value, tuple) else 1):
            single.append(moves)
    if single:
        single.sort(key=lambda moves: sum(abs(to - spot.now) for spot, to in moves))
        yield from (_changes(values, _moved(mended, moves)) for moves in single)
        return
    for distance in range(2, PAIRED + 1):
        pairs = [_moved(mended, moves) for moves in _pairs(spots, distance)]
        mending = [_changes(values, one) for one in pairs if _broken(rules, axes, one) is None]
        if mending:
            yield from sorted(mending, key=lambda change: blamed not in change)[:MOST_PAIRS]
            return
    # No two changes nearby are enough: follow the rules one after the other. Each blames a setting
    # of which a smaller value keeps it, so settings only shrink, and this ends.
    while (broken := _broken(rules, axes, mended)) is not None:
        rule, axis = broken
        value = mended[rule.parameter]
        place = axis if isinstance(value, tuple) else None
        number = value[axis] if isinstance(value, tuple) else value
        # One step at a time finds the nearest; from absurdly far away, a leap first.
        number = min(number - 1, LOWEST[rule.parameter] + 4096)
        mended[rule.parameter] = _changed(value, place, number)
    yield _changes(values, mended)


def _mended(name: str, value: Any, axes: int) -> Any:
    """Whole numbers, for as many axes as there are, none below the lowest."""
    if isinstance(value, tuple) and len(value) != axes:
        value = value[0] if value else LOWEST[name]
    if isinstance(value, tuple):
        return tuple(_mended_number(number, LOWEST[name]) for number in value)
    return _mended_number(value, LOWEST[name])


def _mended_number(value: Any, lowest: int) -> int:
    if _is_real(value) and abs(value) <= HIGHEST:  # also false for nan and inf
        value = round(float(value))
    return min(max(int(value), lowest), HIGHEST) if is_whole(value) else lowest


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Spot:
    """One number among the settings: that of an axis, or of all (place None)."""

    name: str
    place: int | None
    now: int
    lowest: int


Move = tuple[Spot, int]
"""A number, and what it becomes."""

NEAR, FAR, PAIRED, MOST_PAIRS = 64, 2**14, 8, 3
"""Steps that are tried one by one; that far away at most; those of two settings together, and how
many such suggestions there are at most."""


def _moved(values: Mapping[str, Any], moves: Iterable[Move]) -> dict[str, Any]:
    moved = dict(values)
    for spot, number in moves:
        moved[spot.name] = _changed(moved[spot.name], spot.place, number)
    return moved


def _nearest_number(spot: Spot, mends: Callable[[Move], bool]) -> int | None:
    """The nearest other number that mends; None where there is none, or only very far away."""

    def works(number: int) -> bool:
        return mends((spot, number))

    for step in range(1, NEAR + 1):
        for number in (spot.now - step, spot.now + step):
            if number >= spot.lowest and works(number):
                return number
    # Further away the rules are monotone: where one end works and the other does not, halve.
    found = []
    below, above = spot.now - NEAR, spot.now + NEAR
    if below > spot.lowest and works(spot.lowest):
        found.append(_edge(below, spot.lowest, works))
    while above - spot.now < FAR:
        further = spot.now + 2 * (above - spot.now)
        if works(further):
            found.append(_edge(above, further, works))
            break
        above = further
    return min(found, key=lambda number: abs(number - spot.now), default=None)


def _edge(fails: int, right: int, works: Callable[[int], bool]) -> int:
    """Between a number that fails and one that is right, a right one beside one that fails."""
    while abs(right - fails) > 1:
        middle = (right + fails) // 2
        if works(middle):
            right = middle
        else:
            fails = middle
    return right


def _pairs(spots: Sequence[Spot], distance: int) -> Iterator[list[Move]]:
    """Moves of two settings that together are so far away."""
    for pair in combinations(spots, 2):
        for first in range(1, distance):
            for ways in product((-1, 1), repeat=2):
                steps = zip(pair, ways, (first, distance - first), strict=True)
                moves = [(spot, spot.now + way * step) for spot, way, step in steps]
                if all(number >= spot.lowest for spot, number in moves):
                    yield moves


def _changed(value: Any, place: int | None, number: int) -> Any:
    if place is None:
        return number
    return (*value[:place], number, *value[place + 1 :])


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    # repr tells True from 1 and 2.0 from 2, which are equal and not both valid.
    return {name: value for name, value in after.items() if repr(value) != repr(before[name])}
