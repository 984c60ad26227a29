from __future__ import annotations

import json
import time

import pytest

from nexus.engines import compare, machine
from nexus.errors import ConfigError


class Clock:
    """Time passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_median_ratio_survives_a_drifting_machine() -> None:
    clock, load, order = Clock(), iter([1, 1, 1, 5, 5, 9, 9, 2, 2, 1, 1, 1]), []

    def work(name: str, seconds: float, answer: float) -> float:
        order.append(name)
        clock.now += seconds * next(load)
        return answer

    table = compare(
        {"slow": lambda: work("slow", 0.4, 1.0), "fast": lambda: work("fast", 0.1, 0.75)},
        "slow",
        pairs=5,
        units=8,
        agreement=lambda ours, theirs: theirs / ours,
        clock=clock,
    )
    assert order == ["slow", "fast"] + ["slow", "fast", "fast", "slow"] * 2 + ["slow", "fast"]
    fast = table["fast"]
    assert fast.ratio == pytest.approx(4)  # although the load went up to nine times in between
    assert (fast.pairs, fast.agreement) == (5, 0.75)
    assert fast.low <= fast.ratio <= fast.high
    assert fast.per_second == pytest.approx(8 / fast.seconds)
    assert (table["slow"].ratio, table["slow"].agreement) == (1, None)


def test_the_budget_stops_it_but_not_before_one_pair() -> None:
    clock = Clock()

    def work() -> None:
        clock.now += 1

    table = compare({"a": work, "b": work}, "a", pairs=50, seconds=9.5, clock=clock)
    assert table["b"].pairs == 3  # two seconds of warm-up, then two for each pair
    assert compare({"a": work, "b": work}, "a", pairs=50, seconds=0, clock=clock)["b"].pairs == 1


def test_several_candidates_and_none() -> None:
    names = [row.name for row in compare({"b": list, "a": tuple, "c": dict}, "a", pairs=3).rows]
    assert names == ["a", "b", "c"]
    assert compare({"a": list}, "a", pairs=3).rows[0].pairs == 3


def test_it_tells_fast_from_slow_in_real_time() -> None:
    table = compare({"sleeps": lambda: time.sleep(0.02), "idles": lambda: None}, "sleeps", pairs=3)
    assert table["idles"].ratio > 10
    assert table["sleeps"].seconds == pytest.approx(0.02, rel=0.5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match=r"reference = 'eagr'.*did you mean 'eager'"):
        compare({"eager": list}, "eagr")
    with pytest.raises(ConfigError, match="pairs = 0"):
        compare({"eager": list}, "eager", pairs=0)


def test_a_table_is_markdown_and_json() -> None:
    table = compare({"a": list, "b": list}, "a", pairs=2, agreement=lambda a, b: float(a == b))
    lines = table.to_markdown().splitlines()
    assert lines[0].startswith("| | ms | images/s | ratio")
    assert lines[3].startswith("| b |")
    assert "1.000000 |" in lines[3]
    assert table.machine.cpu in lines[-1]
    assert json.loads(table.to_json())["rows"][1]["name"] == "b"
    assert table.machine == machine()
    assert {"torch", "numpy"} <= set(table.machine.versions)
