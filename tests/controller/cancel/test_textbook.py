"""The textbook rules, against what their papers say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoresearch_rl.controller.cancel.textbook import AshaRule, MedianRule
from tests.controller.cancel.told import STEPS, Told, falling


def test_rungs_of_asha() -> None:
    assert AshaRule().rungs == pytest.approx([1 / 27, 1 / 9, 1 / 3])
    assert AshaRule(reduction_factor=2).rungs == [0.125, 0.25, 0.5]
    assert AshaRule(reduction_factor=4, first_rung=0.1).rungs == pytest.approx([0.1, 0.4])


@pytest.mark.parametrize("seed", range(5))
def test_asha_stops_what_is_behind_the_quantile_of_those_before_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    told = Told(AshaRule(reduction_factor=3, first_rung=0.2))
    told.finish(0, falling(0.5))
    seen: list[list[float]] = [[], []]
    for number in range(1, 40):
        values = [float(value) for value in rng.normal(1.0, 0.2, STEPS)]
        expected = STEPS
        for rung, at in enumerate((10, 30)):
            value, others = values[at - 1], list(seen[rung])
            seen[rung].append(value)
            if others and value > np.percentile(others, 100 / 3):
                expected = at
                break
        assert told.run(number, values)[0] == expected


def test_the_reason_of_asha_names_value_rung_rank_and_bar() -> None:
    told = Told(AshaRule(first_rung=0.2))
    told.finish(0, falling(0.5))
    for number, level in enumerate((1.0, 1.1, 1.2), 1):
        told.run(number, [level] * STEPS)
    _, order = told.run(9, [1.5] * STEPS)
    assert order is not None
    assert order.reason == "loss 1.5 ranks 4 of 4 at 20% of the steps, where the best 1/3 have 1.067 or better"


def test_the_median_rule_compares_with_running_means() -> None:
    told = Told(MedianRule(min_share=0.2, warmup_trials=3))
    for number, level in enumerate((1.0, 2.0, 3.0)):
        told.finish(number, [level + 1.0] * 25 + [level] * 25)
    assert told.run(10, [3.001] * STEPS)[0] == 10, "the median of the means is 3 in the first half"
    assert told.run(11, [2.0] * 25 + [9.0] * 25) == (STEPS, None), "its best counts, not its latest"
    _, order = told.run(12, [3.5] * STEPS)
    assert order is not None
    assert order.reason == (
        "the best loss after 20% of the steps, 3.5, is worse than 3, the median of the running means of 3 finished trials"
    )
    assert told.run(13, [2.9] * STEPS)[0] == 28, "then it falls: (25 * 3 + 3 * 2) / 28 = 2.89"


def test_running_means_leave_out_what_was_not_reported() -> None:
    told = Told(MedianRule(min_share=0.2, warmup_trials=1))
    told.finish(0, [math.nan, 2.0, math.nan, 2.0, *[math.nan, 2.0] * 23])
    assert told.run(10, [1.9] * STEPS) == (STEPS, None)
    assert told.run(11, [2.1] * STEPS)[0] == 10
