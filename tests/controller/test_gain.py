"""The stop rule that forecasts the search."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.gain import ExpectedGain, _tail
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.resuming import replay
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import ConfigError
from autoresearch_rl.events import StartTrial
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.testing.simulation import FakeRun
from autoresearch_rl.trial import Direction, Outcome, Proposal, Status, Trial
from tests.controller.campaigns import ok, opened, simulation


def settle(log: HistoryLog, score: float | None, repeat_of: int | None = None) -> None:
    number = len(log.settled)
    trial = Trial(number=number, proposal=Proposal(params={}, repeat_of=repeat_of), seed=number)
    log.submit(trial)
    log.settle(trial, Outcome(status=Status.OK if score is not None else Status.FAILED, score=score))


def rule_after(scores: Sequence[float | None], *, trials: int = 10, direction: Direction = "minimize") -> ExpectedGain:
    rule, log = ExpectedGain(1e-300, trials), HistoryLog(direction)
    for score in scores:
        settle(log, score)
        rule(log.view(), 0.0)
    return rule


def test_the_tail_is_what_exchangeable_trials_gain() -> None:
    """Of all ways to choose the 3 new ones among 8 trials: the mean gap between the best of all and the best of the old."""
    scores = [0.0, 1.0, 3.0, 4.0, 10.0, 11.0, 15.0, 20.0]
    gains = [min(s for i, s in enumerate(scores) if i not in new) for new in itertools.combinations(range(8), 3)]
    assert _tail([(score, 0) for score in scores], 5, 3) == pytest.approx(sum(gains) / len(gains))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_the_expected_gain_is_never_negative_and_has_the_unit_of_the_score(scores: list[float], trials: int) -> None:
    scores = [round(score, 3) for score in scores]
    up = rule_after([-score for score in scores], trials=trials, direction="maximize")
    down = rule_after(scores, trials=trials)
    if len(scores) > 1:
        assert down.gain() >= 0
        assert math.isclose(up.gain(), down.gain())
        doubled = rule_after([2 * score + 1 for score in scores], trials=trials)
        assert math.isclose(doubled.gain(), 2 * down.gain(), rel_tol=1e-6, abs_tol=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_it_does_not_matter_when_it_was_asked(trials: list[tuple[float, bool, bool]]) -> None:
    """A controller that resumes asks for the first time in the middle."""
    often, once, log = ExpectedGain(1e-300, 3), ExpectedGain(1e-300, 3), HistoryLog("minimize")
    roots: list[int] = []
    for score, repeats, fails in trials:
        root = roots[int(score * len(roots)) % len(roots)] if repeats and roots else None
        roots += [] if root is not None else [len(log.settled)]
        settle(log, None if fails else score, root)
        often(log.view(), 0.0)
    once(log.view(), 0.0)
    if often._ranked and often._count > 1:
        assert once._ranked == often._ranked
        assert once.gain() == pytest.approx(often.gain())


def test_what_is_predicted_is_what_random_search_gains_on_average() -> None:
    rng = np.random.default_rng(0)
    predicted, realised = [], []
    for _ in range(400):
        scores = rng.normal(size=60).tolist()
        predicted.append(rule_after(scores[:50]).gain())
        realised.append(min(scores[:50]) - min(scores))
    assert 0.7 < sum(predicted) / sum(realised) < 1.4


def test_noise_is_no_gain() -> None:
    rng = np.random.default_rng(0)

    def campaign(noise: float) -> ExpectedGain:
        rule, log = ExpectedGain(1e-300, 10), HistoryLog("minimize")
        for _ in range(40):
            root = len(log.settled)
            settle(log, float(rng.normal(0.0, 1.0)))
            if root < 30:  # the first ones under two more seeds
                for _ in range(3):
                    settle(log, float(rng.normal(0.0, noise)), root)
        rule(log.view(), 0.0)
        return rule

    assert campaign(0.01)._reliability() > 0.95
    assert campaign(3.0)._reliability() < 0.3


def test_trials_without_a_score_gained_nothing() -> None:
    scores = [1.0, 0.9, 0.8, 0.7]
    assert rule_after([*scores, *[None] * 16], trials=2).gain() < rule_after(scores, trials=2).gain() / 3
    assert rule_after([None] * 30)(HistoryLog("minimize").view(), 0.0) is None


def halving(start: StartTrial) -> FakeRun:
    """Gains half of what is left with every trial."""
    return FakeRun(seconds=1.0, outcome=ok(0.5**start.trial.number, elapsed_s=1.0))


def test_a_campaign_ends_when_little_is_to_be_expected_and_says_so(tmp_path: Path) -> None:
    sim = simulation(tmp_path, halving, max_trials=200, min_gain=0.001, gain_trials=5)
    stop = sim.run([opened(sim, tmp_path)])
    assert stop.reason.startswith("the next 5 trials are expected to improve the score by ")
    assert stop.reason.endswith(", less than 0.001 (controller.min_gain)")
    assert not stop.failed
    assert 10 <= len(sim.campaign.log.view()) < 60
    fresh = simulation(tmp_path, halving, max_trials=200, min_gain=0.001, gain_trials=5)
    assert replay(fresh.campaign, sim.entries) == []


def test_nothing_is_judged_before_twice_as_many_trials(tmp_path: Path) -> None:
    sim = simulation(tmp_path, lambda _: FakeRun(seconds=1.0, outcome=ok(1.0)), max_trials=200, min_gain=0.5, gain_trials=20)
    sim.run([opened(sim, tmp_path)])
    assert len(sim.campaign.log.view()) == 40


@pytest.mark.parametrize("wrong", [{"min_gain": 0.0}, {"min_gain": -1.0}, {"gain_trials": 0}, {"contention_tolerance": 1.5}])
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(keep=StrictRule("loss"), **wrong)
    (name,) = wrong
    assert f"controller.{name} is {wrong[name]!r}" in str(caught.value)


def test_the_ten_thousandth_trial_costs_what_the_first_did() -> None:
    rng = np.random.default_rng(0)
    rule, log = ExpectedGain(1e-300, 10), HistoryLog("minimize")
    begun_s = time.monotonic()
    for score in rng.lognormal(size=10_000).tolist():
        settle(log, score)
        rule(log.view(), 0.0)
    assert time.monotonic() - begun_s < 20  # a scan of all at each would take minutes
