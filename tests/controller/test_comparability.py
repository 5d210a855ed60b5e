"""Scores of time-budgeted tasks that were measured under other conditions are measured again, never compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.comparability import check_hardware
from autoresearch_rl.controller.resuming import replay
from autoresearch_rl.errors import ConfigError
from autoresearch_rl.events import Decide, Entry, Incomparable, Resumed, SettledEvent, StartTrial
from autoresearch_rl.joining import joined, remarked
from autoresearch_rl.telemetry.ledger import Ledger
from autoresearch_rl.testing.simulation import FakeRun, Simulation, opening
from autoresearch_rl.trial import Conditions, Outcome, Proposal, Settled, StageSpan, Status, Trial
from tests.controller.campaigns import ok, opened, records, simulation

BOX = "CPU X, 2 cores"


def measured(contention: float | None, score: float = 0.5, hardware: str = BOX, **more: Any) -> FakeRun:
    conditions = Conditions(hardware=hardware, contention=contention)
    return FakeRun(seconds=1.0, outcome=ok(score, elapsed_s=1.0, conditions=conditions, **more))


def by_attempt(runs: Mapping[tuple[int, int], FakeRun]) -> Callable[[StartTrial], FakeRun]:
    """What each (number, attempt) comes to; all others are undisturbed."""
    return lambda start: runs.get((start.trial.number, start.trial.attempt), measured(0.0))


def budgeted(tmp_path: Path, runs: Mapping[tuple[int, int], FakeRun], *, binds: bool = True, **settings: Any) -> Simulation:
    sim = simulation(tmp_path, by_attempt(runs), **{"max_trials": 4, **settings})
    sim.run([replace(opened(sim, tmp_path), time_budgeted=binds)])
    fresh = simulation(tmp_path, by_attempt(runs), **{"max_trials": 4, **settings})
    assert replay(fresh.campaign, sim.entries) == []
    return sim


def settled(sim: Simulation, number: int) -> Settled:
    found = sim.campaign.log.view().find(number)
    assert found is not None
    return found


def test_a_disturbed_trial_is_measured_again_alone_and_nobody_sees_the_first_score(tmp_path: Path) -> None:
    sim = budgeted(tmp_path, {(1, 1): measured(0.4, score=0.1)}, concurrency=3)
    (remark,) = records(sim, Incomparable)
    assert (remark.number, remark.attempt, remark.then) == (1, 1, "again")
    assert "40 % of its time, the baseline's for 0 %" in remark.reason
    assert "contention_tolerance=0.05" in remark.reason
    again = next(start for start in records(sim, StartTrial) if (start.trial.number, start.trial.attempt) == (1, 2))
    assert again.resources["trial"] == 3.0
    running = 0
    for entry in sim.entries:  # nothing else runs from its start to its end
        record = entry.record
        running += isinstance(record, StartTrial)
        running -= isinstance(record, SettledEvent)
        if isinstance(record, StartTrial) and record is again:
            assert running == 1
    assert settled(sim, 1).trial.attempt == 2
    assert settled(sim, 1).outcome.score == 0.5
    assert settled(sim, 1).outcome.message.startswith("attempt 1 did not count: others kept its training from CPUs")
    assert len(records(sim, Decide)) == 4
    assert all("0.1" not in decision.decision.reason for decision in records(sim, Decide))
    assert sim.campaign.log.view().leader == 0


def test_conditions_bind_only_where_training_takes_a_fixed_time(tmp_path: Path) -> None:
    sim = budgeted(tmp_path, {(1, 1): measured(0.4, score=0.1), (2, 1): measured(0.0, hardware="other")}, binds=False)
    assert records(sim, Incomparable) == []
    assert settled(sim, 1).outcome.score == 0.1
    assert settled(sim, 1).outcome.conditions == Conditions(hardware=BOX, contention=0.4)


def test_a_trial_that_never_can_be_compared_fails_without_a_score(tmp_path: Path) -> None:
    runs = {(1, attempt): measured(0.4 + attempt / 100, score=0.1) for attempt in (1, 2, 3)}
    sim = budgeted(tmp_path, runs, max_attempts=3)
    assert [remark.then for remark in records(sim, Incomparable)] == ["again", "again", "fail"]
    outcome = settled(sim, 1).outcome
    assert (outcome.status, outcome.score, outcome.metrics, outcome.verdict) == (Status.FAILED, None, {}, None)
    lines = outcome.message.splitlines()
    assert lines[0].startswith("others kept its training from CPUs for 43 % of its time")
    assert lines[0].endswith("measured 3 times (controller.max_attempts)")
    assert [line.split(":")[0] for line in lines[1:]] == ["attempt 2 did not count", "attempt 1 did not count"]
    assert sim.stop is not None
    assert not sim.stop.failed


def test_a_disturbed_baseline_is_measured_again(tmp_path: Path) -> None:
    sim = budgeted(tmp_path, {(0, 1): measured(0.3, score=0.9)})
    assert [(remark.number, remark.then) for remark in records(sim, Incomparable)] == [(0, "again")]
    assert settled(sim, 0).outcome.score == 0.5


def test_on_a_machine_that_is_never_quiet_the_baseline_is_taken_as_it_is(tmp_path: Path) -> None:
    runs = {(0, attempt): measured(0.3, score=0.9) for attempt in (1, 2, 3)}
    runs |= {(1, 1): measured(0.32), (2, 1): measured(0.0), (2, 2): measured(0.27)}
    sim = budgeted(tmp_path, {**runs, (3, 1): measured(0.3)})
    said = [(remark.number, remark.attempt, remark.then) for remark in records(sim, Incomparable)]
    assert said == [(0, 1, "again"), (0, 2, "again"), (0, 3, "accept"), (2, 1, "again")]
    assert settled(sim, 0).outcome.score == 0.9
    assert "measured 3 times" in settled(sim, 0).outcome.message.splitlines()[0]


def test_other_hardware_is_another_score(tmp_path: Path) -> None:
    sim = budgeted(tmp_path, {(1, 1): measured(0.0, score=0.1, hardware="CPU Y, 8 cores")})
    (remark,) = records(sim, Incomparable)
    assert remark.reason == "it ran on CPU Y, 8 cores, the baseline on CPU X, 2 cores"


def test_what_nobody_measured_binds_nobody(tmp_path: Path) -> None:
    bare = FakeRun(seconds=1.0, outcome=ok(0.1))
    assert records(budgeted(tmp_path / "a", {(0, 1): bare, (1, 1): bare}), Incomparable) == []
    unknown = {(1, 1): measured(None), (2, 1): bare}
    assert records(budgeted(tmp_path / "b", unknown), Incomparable) == []
    assert records(budgeted(tmp_path / "c", {(0, 1): measured(None), (1, 1): measured(0.9)}), Incomparable) == []


def test_a_timeout_of_a_disturbed_trial_is_not_its_own_but_a_failure_is(tmp_path: Path) -> None:
    late = replace(measured(0.6).outcome, status=Status.TIMEOUT, score=None, message="too long")
    crash = replace(late, status=Status.FAILED)
    sim = budgeted(tmp_path, {(1, 1): FakeRun(seconds=1.0, outcome=late), (2, 1): FakeRun(seconds=1.0, outcome=crash)})
    assert [(remark.number, remark.then) for remark in records(sim, Incomparable)] == [(1, "again")]
    assert settled(sim, 1).outcome.status is Status.OK
    assert settled(sim, 2).outcome.status is Status.FAILED


def test_resuming_while_one_waits_to_be_measured_again_still_measures_it_alone(tmp_path: Path) -> None:
    runs = {(1, 1): measured(0.4, score=0.1)}
    sim = budgeted(tmp_path, runs, concurrency=2, max_trials=6)
    cut = next(e.seq for e in sim.entries if isinstance(e.record, Incomparable)) + 1
    again = simulation(tmp_path, by_attempt(runs), concurrency=2, max_trials=6)
    missing = replay(again.campaign, sim.entries[:cut])
    again.entries += sim.entries[:cut]
    again.now_s = again.entries[-1].elapsed_s
    started = {e.record.trial.number for e in sim.entries[:cut] if isinstance(e.record, StartTrial)}
    started |= {effect.trial.number for effect in missing if isinstance(effect, StartTrial)}
    started -= {e.record.number for e in sim.entries[:cut] if isinstance(e.record, SettledEvent)}
    for effect in missing:
        again.entries.append(Entry(seq=len(again.entries), at="", elapsed_s=again.now_s, record=effect))
    lost = Outcome(status=Status.LOST, message="the controller died")
    running = [e.record.trial for e in again.entries if isinstance(e.record, StartTrial) and e.record.trial.number in started]
    ended = [SettledEvent(number=t.number, attempt=t.attempt, outcome=lost) for t in running]
    again.run([Resumed(), *ended])
    start = [s for s in records(again, StartTrial) if s.trial.number == 1][-1]
    assert start.resources["trial"] == 2.0
    assert len(again.campaign.log.view()) == 6


def test_the_ledger_says_that_an_attempt_did_not_count(tmp_path: Path) -> None:
    runs = {(1, 1): measured(0.4, score=0.1), **{(2, attempt): measured(0.5, score=0.1) for attempt in (1, 2, 3)}}
    sim = budgeted(tmp_path, runs)
    with Ledger().open(tmp_path) as sink:
        for entry in sim.entries:
            sink.record(entry)
    head, *lines = (tmp_path / "results.tsv").read_text().splitlines()
    rows = [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert [(row["trial"], row["attempt"], row["status"], row["score"]) for row in rows] == [
        ("0", "1", "ok", "0.5"),
        ("1", "2", "ok", "0.5"),
        ("2", "3", "failed", ""),
        ("3", "1", "ok", "0.5"),
    ]
    assert rows[1]["message"].startswith("attempt 1 did not count: others kept")
    assert "measured 3 times" in rows[2]["message"]


def test_parts_on_two_machines_are_a_class_of_their_own_and_contention_is_weighted_by_training() -> None:
    def part(hardware: str, contention: float | None, seconds: float) -> Outcome:
        spans = (StageSpan(stage="train", begun_s=0.0, ended_s=seconds),)
        return ok(0.5, spans=spans, conditions=Conditions(hardware=hardware, contention=contention))

    whole = joined([part("A", 0.5, 1.0)], part("A", 0.1, 3.0))
    assert whole.conditions == Conditions(hardware="A", contention=pytest.approx(0.2))
    assert joined([part("A", None, 1.0)], part("B", None, 1.0)).conditions == Conditions(hardware="A, then B")
    assert joined([ok(0.5)], ok(0.5)).conditions is None
    assert remarked(ok(0.5), ()) == ok(0.5)


def resumed_on(now: Mapping[str, str], conditions: Conditions | None, *, binds: bool = True) -> None:
    """Checks the hardware of a campaign whose baseline was measured under `conditions`, opened on `CPU X` with two cores."""
    event = opening(hardware={"cpu": "CPU X", "cores": "2"}, time_budgeted=binds)
    start = StartTrial(trial=Trial(number=0, proposal=Proposal(params={}), seed=0))
    end = SettledEvent(number=0, attempt=1, outcome=ok(0.5, conditions=conditions))
    check_hardware(event, [Entry(seq=n, at="", elapsed_s=0.0, record=r) for n, r in enumerate((event, start, end))], now)


def test_resuming_on_other_hardware_is_refused_and_names_both() -> None:
    other = {"cpu": "CPU Y", "cores": "8"}
    with pytest.raises(ConfigError) as caught:
        resumed_on(other, Conditions(hardware=BOX))
    (problem,) = caught.value.problems
    assert problem.code == "hardware-changed"
    assert "CPU X, 2 cores" in problem.message
    assert "CPU Y, 8 cores" in problem.message
    resumed_on({"cpu": "CPU X", "cores": "2"}, Conditions(hardware=BOX))
    resumed_on(other, Conditions(hardware=BOX), binds=False)
    resumed_on(other, Conditions(hardware="a node elsewhere"))  # a remote target's; this machine does not matter
    resumed_on(other, None)
