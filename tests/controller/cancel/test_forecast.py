"""Cancelling by forecast: how wide forecasts are, and how careful the rule becomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.cancel.forecast import Care, ForecastRule
from autoresearch_rl.trial import Curve, Outcome, Status
from tests.controller.cancel.told import STEPS, Told, curve, falling


def test_each_miss_halves_the_bar_and_forecasts_that_hold_take_it_back() -> None:
    care = Care(0.05)
    assert care.bar == 0.05
    care.hear(beat=True)
    assert care.bar == pytest.approx(0.025)
    care.hear(beat=True)
    assert care.bar == pytest.approx(0.0125)
    for _ in range(20):
        care.hear(beat=False)
    assert care.bar == pytest.approx(0.025), "20 = 1 / 0.05 that came true take one miss back"
    for _ in range(30):
        care.hear(beat=False)
    assert care.bar == 0.05
    assert care.care == 0.0


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.5))
def test_the_bar_never_rises_above_the_rules(ends: list[bool], below: float) -> None:
    care = Care(below)
    for beat in ends:
        before = care.bar
        care.hear(beat=beat)
        assert care.bar < before if beat else care.bar >= before
        assert 0 < care.bar <= below


def test_forecasts_that_hold_as_they_say_leave_the_bar_where_it_is() -> None:
    rng, care = np.random.default_rng(1), Care(0.05)
    bars = []
    for _ in range(4000):
        care.hear(beat=bool(rng.uniform() < 0.03))
        bars.append(care.bar)
    assert np.mean(bars) > 0.03
    for _ in range(4000):
        care.hear(beat=bool(rng.uniform() < 0.3))
    assert care.bar < 1e-6


def doomed_and_spared(told: Told, number: int, end: float, looks_like: float = 1.6) -> None:
    """A trial that looks as if it would end at `looks_like`, runs on in the control group, and ends elsewhere."""
    values = falling(looks_like)[: STEPS // 2]
    _, order = told.run(number, values)
    assert order is not None
    told.finish(number, [*values, *np.linspace(values[-1], end, STEPS - len(values))])


def begun(**changes: float) -> Told:
    told = Told(ForecastRule(**changes))  # type: ignore[arg-type]
    for number in range(200, 230):
        told.finish(number, falling(0.5 + 0.02 * (number - 200)))
    return told


def test_a_trial_of_the_control_group_that_leads_makes_the_rule_more_careful() -> None:
    def bar(told: Told) -> float:
        _, order = told.run(90, falling(1.9))
        assert order is not None
        return float(order.reason.rpartition("below ")[2].rstrip("%"))

    told = begun(below=0.05)
    assert bar(told) == 5.0
    doomed_and_spared(told, 10, 0.1, looks_like=1.8)
    assert bar(told) == 2.5
    for number in range(11, 32):
        doomed_and_spared(told, number, 1.6)
    assert bar(told) == 5.0, "the forecasts came true"


def test_a_trial_that_was_never_doomed_says_nothing_of_care() -> None:
    told = begun(below=0.05)
    assert told.run(10, falling(0.1)) == (STEPS, None)
    told.finish(10, falling(0.1))
    _, order = told.run(90, falling(1.9))
    assert order is not None
    assert order.reason.endswith("below 5.0%")


def test_a_doomed_trial_that_reports_something_else_than_its_score_counts_for_nothing() -> None:
    told = begun(below=0.05)
    values = falling(1.6)[:25]
    assert told.run(10, values)[1] is not None
    told.finish(10, [*values, *[0.01] * 25], score=1.5)
    _, order = told.run(90, falling(1.9))
    assert order is not None
    assert order.reason.endswith("below 5.0%")


def test_a_curve_that_says_nothing_yet_is_left_alone() -> None:
    assert begun().run(10, [1.5] * 49) == (49, None)


def test_reports_and_share_that_are_needed() -> None:
    assert begun(min_reports=5, min_share=0.4).run(10, falling(1.9))[0] == 20
    assert begun(min_reports=12, min_share=0).run(10, falling(1.9))[0] == 12
    assert begun(warmup_trials=31).run(10, falling(1.9)) == (STEPS, None)


def test_a_trial_of_many_reports_is_forecast_a_few_times_only() -> None:
    told, orders = begun(below=0.9), 0
    values = falling(1.9, reports=1000)
    for count in range(200, 220):
        orders += told.judge.report(10, curve(values[:count], target=1000), told.log.view()) is not None
    assert orders == 1, "20 reports of 1,000 are no 2 %"


def test_trials_without_the_metric_are_left_alone() -> None:
    told = begun()
    silent = Curve(steps=(20.0,), elapsed_s=(1.0,), metrics={"other": (1.0,)}, step_target=STEPS)
    assert told.judge.report(10, silent, told.log.view()) is None
    told.settle(10, Outcome(status=Status.OK, score=1.0, curve=silent))
