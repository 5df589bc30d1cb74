"""Times that can be compared: the ways take turns, and ratios are taken within a turn."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Clock = Callable[[], float]


def alternate(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    budget: float = math.inf,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds that each way took, by turns (A B A B …), so that a slow minute meets all alike.

    Whatever has to be warm must have run before.

    Args:
        ways: what to run, by name. On a GPU each must wait for its end.
        rounds: turns, at least 1.
        budget: seconds after which no further turn begins.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    start = clock()
    for _ in range(rounds):
        for name, way in ways.items():
            began = clock()
            way()
            times[name].append(clock() - began)
        if clock() - start > budget:
            break
    return times


def ratio(times: Mapping[str, Sequence[float]], slow: str, fast: str) -> float:
    """How many times as long one way takes as another: the median over the turns."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent of the values lie, or that is it (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("there is no percentile of no values")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]
