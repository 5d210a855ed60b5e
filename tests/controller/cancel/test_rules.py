"""What all cancel rules share, and what must hold for each of them."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch_rl.controller.cancel import CancelRule
from autoresearch_rl.controller.cancel.curves import Finished, Horizon, latest, progress, quantile, rankable
from autoresearch_rl.controller.cancel.forecast import ForecastRule
from autoresearch_rl.controller.cancel.halving import HalvingRule
from autoresearch_rl.controller.cancel.textbook import AshaRule, MedianRule
from autoresearch_rl.events import OrderTrial, Spare
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.trial import Curve, Decision, Outcome, Proposal, Settled, Status, Trial
from tests.controller.cancel.told import STEPS, Told, curve, falling, raced

RULES: dict[str, CancelRule] = {
    "halving": HalvingRule(),
    "forecast": ForecastRule(),
    "asha": AshaRule(),
    "median": MedianRule(),
}
BOTH = [(name, checkpoints) for name in RULES for checkpoints in (False, True)]


def warm(rule: CancelRule, *, checkpoints: bool = False, finished: int = 6) -> Told:
    told = Told(rule, checkpoints=checkpoints)
    for number in range(finished):
        told.finish(number, falling(0.5 + 0.1 * number))
    return told


# ---------------------------------------------------------------- every rule
@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_a_doomed_trial_is_told_so_and_the_best_one_is_not(name: str, checkpoints: bool) -> None:
    told = warm(RULES[name], checkpoints=checkpoints)
    for number, end in enumerate((0.6, 0.8, 1.0, 1.2), 10):  # so that there are ranks
        told.run(number, falling(end))
    count, order = told.run(20, falling(1.6))
    assert order is not None
    assert count < STEPS / 2
    assert order.kind == ("pause" if checkpoints and name == "halving" else "cancel")
    assert order.reason.startswith(("loss", "the best loss"))
    assert any(character.isdigit() for character in order.reason)
    assert told.run(21, falling(0.2)) == (STEPS, None)


@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_without_a_step_target_a_trial_is_left_alone(name: str, checkpoints: bool) -> None:
    told = warm(RULES[name], checkpoints=checkpoints)
    values = falling(1.9)
    for target in (None, 0.0, math.inf, math.nan, -5.0):
        for count in (1, 5, 20, 49):
            assert told.ask(20, values[:count], target=target) is None
    assert told.ask(20, [*values, 9.0]) is None, "a trial beyond its last planned step either"


@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_nothing_is_said_before_the_warm_up(name: str, checkpoints: bool) -> None:
    told = Told(RULES[name], checkpoints=checkpoints)
    assert told.run(1, falling(1.9)) == (STEPS, None)
    assert told.run(2, [math.nan] * STEPS) == (STEPS, None)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_a_trial_that_has_diverged_ranks_last(name: str, checkpoints: bool, bad: float) -> None:
    told = warm(RULES[name], checkpoints=checkpoints)
    for number in range(10, 16):
        told.run(number, falling(0.6 + 0.02 * number))
    best = falling(0.1)
    count, order = told.run(20, [*best[:9], *[bad] * 41])
    assert order is not None, "although it was the best until then"
    assert 9 < count <= 40
    if order.kind == "pause":
        assert 20 not in told.revive(20, ending=True)


@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_maximising_is_minimising_upside_down(name: str, checkpoints: bool) -> None:
    down = Told(RULES[name], checkpoints=checkpoints)
    up = Told(RULES[name], direction="maximize", checkpoints=checkpoints)
    for number, end in enumerate((0.9, 0.7, 0.8, 1.0, 0.6, 0.75)):
        down.finish(number, falling(end))
        up.finish(number, [-value for value in falling(end)])
    for number, end in enumerate((0.5, 1.5, 0.65, 1.2, 0.9), 10):
        told_down = down.run(number, falling(end))
        told_up = up.run(number, [-value for value in falling(end)])
        assert told_down[0] == told_up[0]
        assert (told_down[1] is None) == (told_up[1] is None)
    assert down.revive(10, 11, 12, 13, 14, ending=True) == up.revive(10, 11, 12, 13, 14, ending=True)


@pytest.mark.parametrize("name", RULES)
def test_metrics_that_most_reports_leave_out_are_judged_all_the_same(name: str) -> None:
    told = warm(RULES[name])
    for number, end in enumerate((0.6, 0.8, 1.0, 1.2), 10):
        told.run(number, falling(end))
    sparse = [value if at % 5 == 0 else math.nan for at, value in enumerate(falling(0.2))]
    assert told.run(20, sparse) == (STEPS, None), "nothing reported for a while is no divergence"
    sparse = [value if at % 5 == 0 else math.nan for at, value in enumerate(falling(1.8))]
    assert told.run(21, sparse)[1] is not None


@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
@given(
    reports=st.lists(
        st.tuples(st.integers(0, 4), st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12)),
        max_size=8,
    ),
    target=st.sampled_from([None, 12.0, 13.0, 1e-300, 1e300]),
)
@settings(max_examples=25, deadline=None)
def test_no_curve_breaks_a_rule(
    name: str, checkpoints: bool, reports: list[tuple[int, list[float]]], target: float | None
) -> None:
    told = warm(RULES[name], checkpoints=checkpoints, finished=4)
    for number, values in reports:
        order = told.ask(10 + number, values, target=target)
        assert order is None or order.reason
        told.revive(10, 11, 12, 13, 14, ending=number % 2 == 0)
    for number, values in dict(reports).items():
        told.settle(10 + number, Outcome(status=Status.OK, score=1.0, curve=curve(values, target=target)))


@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_thousands_of_trials_make_no_report_slower(name: str, checkpoints: bool) -> None:
    told = Told(RULES[name], checkpoints=checkpoints)
    for number in range(30):
        told.finish(number, falling(0.5 + 0.01 * (number % 50)))

    def seconds(first: int) -> float:
        began = time.process_time()
        for number in range(first, first + 5):
            told.run(number, falling(0.7))
        return time.process_time() - began

    early = seconds(10_000)
    for number in range(30, 630):
        told.run(20_000 + number, falling(1.5, reports=8)[:2])
        told.finish(number, falling(0.5 + 0.01 * (number % 50)))
    assert seconds(30_000) < 5 * early + 0.1


def test_a_long_curve_is_judged_in_milliseconds() -> None:
    for checkpoints in (False, True):
        for rule in RULES.values():
            told = warm(rule, checkpoints=checkpoints, finished=20)
            values = falling(0.6, reports=1000)
            began = time.process_time()
            for count in range(100, 1000, 10):
                told.ask(50, values[:count], target=1000)
            assert (time.process_time() - began) / 90 < 0.02


def test_values_that_make_no_sense_are_named_together() -> None:
    from autoresearch_rl.errors import ConfigError

    for make, arguments in (
        (HalvingRule, {"rungs": (0.5, 0.1), "keep": (0.5,), "most": (2.0,), "early": 2, "go_on": 0, "chance": -1}),
        (HalvingRule, {"survive": 1, "rescue": 0, "hopeless": 1, "min_reports": 0, "warmup_trials": 0.5}),
        (HalvingRule, {"rungs": ()}),
        (HalvingRule, {"most": (0.1,) * 5}),
        (AshaRule, {"reduction_factor": 1, "first_rung": 1.5, "min_reports": True, "warmup_trials": -1}),
        (MedianRule, {"min_reports": 0, "min_share": 1, "warmup_trials": 0}),
        (ForecastRule, {"below": 1, "min_reports": 1, "min_share": -0.1, "warmup_trials": 0}),
    ):
        with pytest.raises(ConfigError) as caught:
            make(**arguments)
        messages = [problem.message for problem in caught.value.problems]
        assert {problem.code for problem in caught.value.problems} == {"cancel-value"}
        for name, value in arguments.items():
            if name not in ("keep", "most") or "rungs" not in arguments:
                assert f"controller.cancel.{name} is {value!r}." in messages


# ---------------------------------------------------------------- in the loop
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(("name", "checkpoints"), BOTH)
def test_a_campaign_keeps_its_best_trial_at_less_than_the_whole_cost(
    tmp_path: Path, name: str, checkpoints: bool, concurrency: int
) -> None:
    ends = [1.0 + 0.8 * math.sin(7 * number) for number in range(40)]
    sim = raced(tmp_path, RULES[name], ends, checkpoints=checkpoints, concurrency=concurrency)
    settled = sim.campaign.log.settled
    assert sorted(s.trial.number for s in settled) == list(range(40))
    finished = {s.trial.number for s in settled if s.outcome.status is Status.OK}
    assert min(range(40), key=lambda number: ends[number]) in finished
    assert len(finished) < 32
    assert {s.outcome.status for s in settled} == {Status.OK, Status.CANCELLED}
    for each in settled:
        if each.outcome.status is Status.OK:
            assert each.outcome.curve.steps == tuple(range(1, STEPS + 1)), "no report twice, none lost in a pause"
    assert raced(tmp_path, RULES[name], ends, checkpoints=checkpoints, concurrency=concurrency).entries == sim.entries


@pytest.mark.parametrize("name", ["forecast", "asha", "median", "halving"])
def test_the_control_group_runs_to_its_end(tmp_path: Path, name: str) -> None:
    ends = [1.0 + 0.8 * math.sin(7 * number) for number in range(40)]
    sim = raced(tmp_path, RULES[name], ends, control_share=1.0)
    assert {s.outcome.status for s in sim.campaign.log.settled} == {Status.OK}
    kinds = [entry.record for entry in sim.entries if isinstance(entry.record, Spare | OrderTrial)]
    assert len(kinds) >= 5
    assert all(isinstance(record, Spare) for record in kinds)


# ---------------------------------------------------------------- what they share
def finished(*trials: tuple[float, float], references: int = 3) -> Finished:
    """Of trials by (end of the curve, score)."""
    held = Finished("loss", "minimize", references)
    for number, (end, score) in enumerate(trials):
        trial = Trial(number=number, proposal=Proposal(params={}), seed=0)
        held.add(Settled(trial=trial, outcome=Outcome(status=Status.OK, score=score, curve=curve(falling(end)))))
    return held


def test_a_curve_that_ends_elsewhere_than_its_score_is_left_out() -> None:
    usual = [(0.5, 0.61), (0.7, 0.8), (0.6, 0.69), (0.8, 0.9), (0.9, 1.01)]
    held = finished(*usual, (0.1, 0.95), (0.4, 0.5))
    assert set(held.ends) == {0, 1, 2, 3, 4, 6}, "trial 5 reports 0.1 and is scored 0.95, where others differ by 0.1"
    assert len(held.references) == 3
    assert set(finished(*usual[:3], (0.1, 0.95)).ends) == {0, 1, 2, 3}, "three gaps do not say what is usual"


def test_an_exact_gap_does_not_make_rounding_an_outlier() -> None:
    assert len(finished(*[(0.1 * n + 0.1, 0.1 * n + 0.1 + 1e-13 * n) for n in range(10)]).ends) == 10


def test_a_leader_whose_curve_was_left_out_is_replaced_by_the_best_of_the_rest() -> None:
    held = finished((0.5, 0.5), (0.7, 0.7), (0.6, 0.6), (0.8, 0.8), (0.9, 0.05))
    log = HistoryLog("minimize")
    log.decide(Decision(candidate=4, verdict="keep", reason="best", leads=True))
    assert held.leader(log.view()) == (0, 0.5)
    log.decide(Decision(candidate=2, verdict="keep", reason="best", leads=True))
    assert held.leader(log.view()) == (2, 0.6)
    assert finished().leader(HistoryLog("minimize").view()) is None


def test_only_whole_curves_are_compared_with() -> None:
    held = Finished("loss", "minimize", 5)
    trial = Trial(number=0, proposal=Proposal(params={}), seed=0)
    whole = curve(falling(0.5))
    for outcome in (
        Outcome(status=Status.CANCELLED, score=None, curve=whole),
        Outcome(status=Status.OK, score=None, curve=whole),
        Outcome(status=Status.OK, score=1.0),
        Outcome(status=Status.OK, score=1.0, curve=curve([math.nan, math.inf])),
        Outcome(status=Status.OK, score=1.0, curve=curve([1.0, 0.5, math.nan])),
    ):
        assert not held.add(Settled(trial=trial, outcome=outcome))
    assert held.add(
        Settled(trial=trial, outcome=Outcome(status=Status.OK, score=1.0, curve=curve([1.0, math.nan, 0.5, math.nan])))
    )
    assert held.ends == {0: 0.5}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], None),
        ([1.0, 0.5], 0.5),
        ([1.0, math.inf], math.inf),
        ([1.0, 0.5, math.nan], math.nan),
        ([1.0, math.nan], None),
        ([1.0] + [math.nan] * 5, math.nan),
        ([math.nan] * 4, None),
        ([math.nan] * 5, math.nan),
        ([1.0, math.nan, math.nan, 0.5, math.nan, math.nan], None),
        ([1.0, math.nan, 0.5, math.nan, math.nan, math.nan], math.nan),
    ],
)
def test_latest_tells_what_is_missing_from_what_has_diverged(values: list[float], said: float | None) -> None:
    found = latest(curve(values), "loss")
    assert found == said or (said is not None and found is not None and math.isnan(said) and math.isnan(found))


def test_progress_and_ranks() -> None:
    assert progress(curve([1.0] * 10)) == 0.2
    assert progress(curve([1.0] * 50)) is None
    assert progress(Curve()) is None
    assert rankable(0.5, "maximize") == -0.5
    assert rankable(math.nan, "maximize") == rankable(-math.inf, "minimize") == math.inf
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert quantile([1.0, math.inf, math.inf], 0.75) == math.inf


def test_the_horizon_is_the_median_of_planned_steps() -> None:
    horizon = Horizon()
    assert [horizon.typical(number, target) for number, target in ((1, 10.0), (2, 1000.0), (3, 12.0), (1, 10.0))] == [
        10,
        1000,
        12,
        12,
    ]
    assert len(horizon) == 3
