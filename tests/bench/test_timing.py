import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.bench.timing import alternate, percentile, ratio


class Clock:
    """Time that passes only where a way says so."""

    def __init__(self):
        self.now = 0.0
        self.ran: list[str] = []

    def __call__(self) -> float:
        return self.now

    def way(self, name: str, *seconds: float):
        turns = iter(seconds)

        def run() -> None:
            self.ran.append(name)
            self.now += next(turns)

        return run


def test_the_ways_take_turns():
    clock = Clock()
    ways = {"a": clock.way("a", 1, 2, 3), "b": clock.way("b", 4, 5, 6)}
    assert alternate(ways, 3, clock=clock) == {"a": [1, 2, 3], "b": [4, 5, 6]}
    assert clock.ran == ["a", "b"] * 3


def test_no_turn_begins_after_the_budget():
    clock = Clock()
    ways = {"a": clock.way("a", *[1] * 10), "b": clock.way("b", *[2] * 10)}
    assert alternate(ways, 10, budget=5, clock=clock) == {"a": [1, 1], "b": [2, 2]}
    assert alternate({"a": clock.way("a", 9)}, 10, budget=5, clock=clock) == {"a": [9]}


def test_a_ratio_compares_within_a_turn():
    # A slow minute doubles both: the quotient of the medians would be 8/4.
    assert ratio({"slow": [3, 6, 8], "fast": [1, 2, 4]}, "slow", "fast") == 3


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 100))
def test_percentiles_are_those_of_numpy(values, percent):
    expected = np.percentile(values, percent, method="inverted_cdf")
    found = percentile(values, percent)
    # At a rank that is a whole number but for rounding the two may choose neighbours.
    assert found == expected or abs(len(values) * percent / 100 % 1 - 0.5) > 0.499


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
