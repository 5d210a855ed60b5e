"""Soft halving: rungs, shares, pausing and resuming; and cutting where trials cannot be paused."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from autoresearch_rl.controller.cancel.halving import HalvingRule
from autoresearch_rl.events import OrderTrial, Paused, StartTrial
from autoresearch_rl.joining import joined
from autoresearch_rl.trial import Curve, Outcome, Status
from tests.controller.cancel.told import STEPS, Told, falling, raced

RULE = HalvingRule(rungs=(0.1, 0.2, 0.4), keep=(0.5, 0.25, 0.125), most=(0.8, 0.6, 0.4))
SHARES = HalvingRule(rungs=(0.1, 0.2, 0.4), keep=(0.5, 0.25, 0.125), most=(0.8, 0.6, 0.4), go_on=1e9, chance=1e9)
WEAK = (1.7, 1.8, 1.9, 1.75)  # a leader that the others may beat


def begun(rule: HalvingRule = RULE, ends: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8)) -> Told:
    told = Told(rule, checkpoints=True)
    for number, end in enumerate(ends):
        told.finish(number, falling(end))
    return told


def paused(told: Told, *ends: float) -> list[int]:
    """Runs trials from number 10 on until they are told to pause; returns their numbers."""
    for number, end in enumerate(ends, 10):
        _, order = told.run(number, falling(end))
        assert order is not None
        assert order.kind == "pause"
    return list(range(10, 10 + len(ends)))


def test_a_trial_pauses_at_a_rung_and_the_reason_names_value_rung_rank_and_bar() -> None:
    count, order = begun().run(10, falling(1.5))
    assert order is not None
    assert (count, order.kind) == (5, "pause"), "at a tenth of 50 steps"
    value = falling(1.5)[4]
    assert order.reason.startswith(f"loss {value:.4g} after 10% of the steps, 1 of 1 at rung 1, is forecast to end at 1.")
    assert ", with a chance of " in order.reason
    assert order.reason.endswith(" to beat 0.5 of trial 0; it waits")


def test_a_trial_that_is_likely_to_lead_never_pauses() -> None:
    told = begun()
    paused(told, 1.4, 1.5)
    assert told.run(20, falling(0.2)) == (STEPS, None)


def test_the_best_of_the_paused_go_on_first_and_at_the_end_more_of_them() -> None:
    told = begun(SHARES, WEAK)
    numbers = paused(told, 1.1, 0.9, 1.3, 1.0, 1.2, 1.4, 1.5, 1.6)
    early, late = told.revive(*numbers), told.revive(*numbers, ending=True)
    assert early == [11, 13], "half of keep = 0.5 of eight trials"
    assert late == [11, 13, 10, 14], "keep = 0.5 of eight"
    assert told.revive(*numbers) == early, "asking changes nothing"
    assert told.revive(12, 16, ending=True) == [], "the others have been taken up: 4 of 8 have passed"


def test_the_best_by_value_go_on_whatever_their_forecast_says() -> None:
    told = begun(HalvingRule(rungs=(0.1,), keep=(0.5,), most=(0.8,), early=0, go_on=1e9, chance=1e9), (1.25, 1.3, 1.35, 1.28))
    flat = [1.3] * STEPS
    for number, values in enumerate((falling(1.1), falling(1.2), falling(1.3), flat, falling(1.35), falling(1.4)), 10):
        assert told.run(number, values)[0] == 5
    assert falling(1.1)[4] > flat[4], "at the rung the flat one is the best"
    late = told.revive(*range(10, 16), ending=True)
    assert set(late) == {10, 11, 13}, "keep = 0.5 of six"
    assert late[-1] == 13, "by its chance it is the last"


def test_a_revived_trial_runs_to_the_next_rung_and_makes_room_no_second_time() -> None:
    told = begun(SHARES, WEAK)
    numbers = paused(told, 1.1, 0.9, 1.3, 1.0)
    assert told.revive(*numbers)[0] == 11
    assert told.run(11, falling(0.9), begin=6)[0] == 20, "at a fifth it is alone, and goes on to the rung after that"
    assert told.revive(10, 12, 13) == [], "one of four has passed the first rung, which is half of keep"
    assert told.revive(10, 11, 12, 13, ending=True) == [11, 13]


def test_one_goes_on_at_the_end_however_few_there_are() -> None:
    told = begun(SHARES, WEAK)
    assert told.revive(*paused(told, 1.6), ending=True) == [10]


def test_a_better_leader_lets_fewer_go_on() -> None:
    rule = HalvingRule(rungs=(0.1,), keep=(0.01,), most=(1.0,), chance=0.2, go_on=100)
    told = begun(rule, (0.8, 0.9, 0.85, 1.0))
    numbers = paused(told, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
    before = told.revive(*numbers, ending=True)
    told.finish(5, falling(0.601))
    after = told.revive(*numbers, ending=True)
    assert set(after) < set(before)
    assert before[0] == after[0] == 10


def test_no_more_than_most_pass_however_hopeful() -> None:
    rule = HalvingRule(rungs=(0.1,), keep=(0.1,), most=(0.3,))
    told = begun(rule, (1.5,))
    assert [told.run(number, falling(0.5))[0] for number in range(10, 20)] == [STEPS] * 2 + [5] * 8
    assert told.revive(*range(10, 20)) == told.revive(*range(10, 20), ending=True) == [12, 13]


def test_without_a_leader_the_shares_alone_decide() -> None:
    told = Told(RULE, checkpoints=True)
    told.settle(0, Outcome(status=Status.FAILED))
    assert told.run(11, falling(0.4))[0] == 5
    assert told.run(12, falling(0.5))[0] == 5
    assert told.revive(11, 12) == [11], "half of keep of two trials, rounded up"
    assert told.run(13, falling(0.3))[0] == 10, "it is the best of three"
    _, order = told.run(14, falling(1.5))
    assert order is not None
    assert order.reason.endswith("it waits for a trial to end, or for a better rank")


def test_a_diverged_trial_waits_for_nothing() -> None:
    told = begun()
    paused(told, 1.1, 0.9)
    _, order = told.run(20, [*falling(0.1)[:4], math.nan, *[math.nan] * 40])
    assert order is not None
    assert order.reason == "loss nan after 10% of the steps has diverged"
    assert told.revive(20, ending=True) == []


def test_what_is_nearly_done_is_let_through() -> None:
    told = begun()
    assert told.ask(20, falling(1.6)[:48]) is None
    assert told.ask(21, falling(1.6)[:47]) is not None


def test_a_trial_much_longer_than_the_others_is_judged_after_their_steps() -> None:
    told = begun()
    paused(told, 1.1, 1.2, 1.3)
    assert told.ask(20, falling(1.5, reports=500)[:4], target=500) is None
    order = told.ask(20, falling(1.5, reports=500)[:5], target=500)
    assert order is not None, "at a tenth of 50 steps, not of its own 500"
    assert "after 1% of the steps" in order.reason


def test_reports_too_few_are_not_judged() -> None:
    told = begun(HalvingRule(min_reports=8))
    assert told.run(10, falling(1.5))[0] == 8


@pytest.mark.parametrize("concurrency", [1, 3])
def test_paused_trials_are_taken_up_in_the_loop(tmp_path: Path, concurrency: int) -> None:
    ends = [1.0, *(0.4 + 0.03 * (13 * number % 30) for number in range(30))]
    sim = raced(tmp_path, HalvingRule(), ends, checkpoints=True, concurrency=concurrency)
    records = [entry.record for entry in sim.entries]
    pauses = [record.number for record in records if isinstance(record, Paused)]
    again = [record.trial.number for record in records if isinstance(record, StartTrial) and record.trial.attempt > 1]
    assert len(pauses) > 20
    assert 3 <= len(again) < len(pauses)
    given_up = [record for record in records if isinstance(record, OrderTrial) and record.order.kind == "cancel"]
    assert all(record.order.reason.startswith("paused, and not ") for record in given_up)
    settled = {s.trial.number: s.outcome for s in sim.campaign.log.settled}
    assert settled[min(range(31), key=lambda number: ends[number])].status is Status.OK
    assert len(settled) == 31


def test_parts_without_a_report_join_to_a_curve_without_points() -> None:
    part = Outcome(status=Status.LOST, elapsed_s=2.0)
    whole = joined([part], Outcome(status=Status.FAILED, elapsed_s=1.0))
    assert (whole.curve, whole.elapsed_s, whole.status) == (Curve(), 3.0, Status.FAILED)


# ---------------------------------------------------------------- without checkpoints
def cutting(**changes: float) -> Told:
    told = Told(HalvingRule(**changes))  # type: ignore[arg-type]
    for number, end in enumerate((0.5, 0.6, 0.7, 0.8)):
        told.finish(number, falling(end))
    return told


def test_what_fails_a_rung_is_cancelled_and_the_reason_names_value_rung_rank_and_bar() -> None:
    told = cutting(hopeless=0)
    for number in range(10, 16):
        told.run(number, falling(0.6 + 0.01 * number))
    _, order = told.run(20, falling(1.2))
    assert order is not None
    assert order.kind == "cancel"
    assert " after 4% of the steps is 7 of 7 at rung 1, where the best 80% come to 1." in order.reason
    assert " to beat 0.5 of trial 0" in order.reason


def test_a_chance_to_lead_rescues_what_fails_a_rung() -> None:
    for rescue, reports in ((0.3, STEPS), (1, 2)):
        told = cutting(rescue=rescue, hopeless=0)
        for number in range(10, 16):
            told.run(number, falling(0.1))
        assert told.run(20, falling(0.3))[0] == reports, "worse than all before it, but it would lead"


def test_what_is_hopeless_is_cancelled_between_rungs() -> None:
    told = Told(HalvingRule(rungs=(0.9,), keep=(0.5,), most=(0.5,), hopeless=0.05))
    for number, end in enumerate((0.5, 0.6, 0.7, 0.8)):
        told.finish(number, falling(end))
    count, order = told.run(10, falling(1.6))
    assert order is not None
    assert count < 20
    assert "with a chance of " in order.reason


def test_asking_who_goes_on_takes_milliseconds_with_thousands_paused() -> None:
    told = begun(HalvingRule(keep=(0.01,) * 5, most=(0.01,) * 5), (0.5,))
    numbers = list(range(1000, 2500))
    for number in numbers:
        assert told.ask(number, falling(0.5 + 0.0005 * (number - 1000))[:2]) is not None
    began = time.process_time()
    for ending in (False, True) * 5:
        told.revive(*numbers, ending=ending)
    assert (time.process_time() - began) / 10 < 0.05
