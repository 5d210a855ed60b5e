"""Trials that write a checkpoint on order, hold nothing, and may go on later, on the virtual clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.keep import REPEAT
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.resuming import replay, takeover_events
from autoresearch_rl.events import (
    AskPolicy,
    Incomparable,
    Interrupted,
    OrderTrial,
    Paused,
    SettledEvent,
    Spare,
    StartTrial,
)
from autoresearch_rl.history import History
from autoresearch_rl.joining import joined
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Conditions, Curve, Order, Outcome, Progress, Settled, StageSpan, Status
from tests.controller.campaigns import Condemning, heavy_tail, ok, opened, records, simulation

STEPS = 4


class PauseAtTwo(Condemning):
    """Pauses each trial at its second step, and takes the best paused ones up again: `at_end` at the end, `early` before."""

    def __init__(self, early: int = 0, at_end: int = 1) -> None:
        self.early, self.at_end = early, at_end
        self.losses: dict[int, float] = {}

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        self.losses[number] = curve.metrics[self.metric][-1]
        return Order(kind="pause", reason="at step 2") if curve.steps[-1] == 2 else None

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        finished = sum(settled.outcome.status is Status.OK for settled in history.settled) - 1
        going = sum(trial.attempt > 1 for trial in history.pending if trial.number not in paused)
        left = (self.at_end if ending else self.early) - finished - going
        return sorted(paused, key=lambda number: self.losses[number])[: max(0, left)]


def piecewise(start: StartTrial) -> FakeRun:
    """A second a step; an attempt that goes on begins at step 3."""
    number, attempt = start.trial.number, start.trial.attempt
    loss = float((number * 7) % 10)
    begin = 3 if attempt > 1 else 1
    steps = range(begin, STEPS + 1)
    reports = {float(i + 1): Progress(step=s, step_target=STEPS, metrics={"loss": loss}) for i, s in enumerate(steps)}
    whole = curve_of(begin, STEPS, loss)
    part = outcome_of(Status.CANCELLED, curve_of(1, 2, loss), 2.0)
    return FakeRun(
        seconds=len(steps) + 0.5, outcome=ok(loss, curve=whole, elapsed_s=len(steps) + 0.5), reports=reports, part=part
    )


def curve_of(first: int, last: int, loss: float) -> Curve:
    steps = tuple(float(step) for step in range(first, last + 1))
    seconds = tuple(float(index + 1) for index in range(len(steps)))
    return Curve(steps=steps, elapsed_s=seconds, metrics={"loss": (loss,) * len(steps)}, step_target=STEPS)


def outcome_of(status: Status, curve: Curve, seconds: float) -> Outcome:
    spans = (StageSpan(stage="train", begun_s=10.0, ended_s=10.0 + seconds),)
    return Outcome(status=status, curve=curve, elapsed_s=seconds, usage={"cpu_s": seconds, "peak_rss_bytes": 5.0}, spans=spans)


def play(tmp_path: Path, rule: Any, *, run_trial: Any = piecewise, checkpoints: bool = True, **settings: Any) -> Simulation:
    sim = simulation(tmp_path, run_trial, cancel=rule, max_trials=8, **settings)
    sim.run([replace(opened(sim, tmp_path), checkpoints=checkpoints)])
    return sim


def settled(sim: Simulation) -> dict[int, Outcome]:
    return {s.trial.number: s.outcome for s in sim.campaign.log.settled}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_the_best_paused_trials_are_finished_at_the_end_and_the_rest_given_up(tmp_path: Path, concurrency: int) -> None:
    sim = play(tmp_path, PauseAtTwo(at_end=2), concurrency=concurrency)
    assert sim.stop is not None
    assert sim.stop.reason.startswith("all 8 trials are done")
    assert sorted(paused.number for paused in records(sim, Paused)) == list(range(1, 8))
    outcomes = settled(sim)
    assert {number for number, outcome in outcomes.items() if outcome.status is Status.OK} == {0, 3, 6}, "losses 0, 1 and 2"
    assert [start.trial.attempt for start in records(sim, StartTrial) if start.trial.number == 3] == [1, 2]
    assert outcomes[1].status is Status.CANCELLED
    assert outcomes[1].message.startswith("paused, and not worth going on with")
    assert not sim.campaign.log.view().pending


def test_an_outcome_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    sim = play(tmp_path, PauseAtTwo(at_end=2))
    outcome = settled(sim)[3]
    assert outcome.curve.steps == (1.0, 2.0, 3.0, 4.0)
    assert outcome.curve.elapsed_s == (1.0, 2.0, 3.0, 4.0)
    assert outcome.elapsed_s == pytest.approx(2.0 + 2.5)
    assert outcome.usage == {"cpu_s": 2.0, "peak_rss_bytes": 5.0}
    (again,) = [start for start in records(sim, StartTrial) if start.trial.number == 3 and start.trial.attempt == 2]
    assert again.ran_s == pytest.approx(2.0)
    tally, rows = Tally(), list[Row | None]()
    for entry in sim.entries:
        if tally.is_new(entry):
            rows.append(tally.feed(entry))
    seen = {row.trial.number: row.outcome for row in [*rows, tally.close()] if row is not None}
    assert seen == settled(sim), "telemetry adds up the same"
    assert not tally.running
    assert not tally.paused


def test_a_paused_trial_holds_nothing_and_is_taken_up_when_there_is_room(tmp_path: Path) -> None:
    sim = play(tmp_path, PauseAtTwo(early=1))
    order = [(start.trial.number, start.trial.attempt) for start in records(sim, StartTrial)]
    assert order.index((1, 2)) < order.index((2, 1)), "the first paused one goes on before a new one starts"
    assert sim.campaign.log.view().leader is not None


def test_without_checkpoints_a_pause_is_a_cancellation(tmp_path: Path) -> None:
    sim = play(tmp_path, PauseAtTwo(), checkpoints=False, control_share=0.0)
    assert not records(sim, Paused)
    assert {order.order.kind for order in records(sim, OrderTrial)} == {"cancel"}
    assert len(sim.campaign.log.settled) == 8


def test_the_control_group_runs_to_its_end(tmp_path: Path) -> None:
    sim = play(tmp_path, PauseAtTwo(), checkpoints=False, control_share=1.0)
    assert len(records(sim, Spare)) == 7
    assert not records(sim, OrderTrial)
    assert all(outcome.status is Status.OK for outcome in settled(sim).values())


def test_replay_gives_the_same_decisions(tmp_path: Path) -> None:
    sim = play(tmp_path, PauseAtTwo(early=1, at_end=3), concurrency=2)
    again = simulation(tmp_path / "again", piecewise, cancel=PauseAtTwo(early=1, at_end=3), max_trials=8, concurrency=2)
    assert replay(again.campaign, sim.entries) == []
    assert settled(again) == settled(sim)


def test_what_is_paused_when_time_is_short_is_finished_and_nothing_new_begins(tmp_path: Path) -> None:
    sim = play(tmp_path, PauseAtTwo(at_end=1), max_wall_s=14.0)
    assert sim.stop is not None
    assert "which the best paused trial needs (controller.max_wall_s=14)" in sim.stop.reason
    finished = [number for number, outcome in settled(sim).items() if outcome.status is Status.OK]
    assert len(finished) == 2
    assert sim.now_s <= 14.0
    assert len(sim.campaign.log.settled) < 8


def test_nothing_paused_is_taken_up_once_the_time_is_over_whatever_ended_the_campaign(tmp_path: Path) -> None:
    """The time gets short at 22 s, so that only paused trials go on; there are more of them than there is time for."""
    sim = play(tmp_path, PauseAtTwo(at_end=7), max_wall_s=27.0)
    assert sim.stop is not None
    assert "which the best paused trial needs" in sim.stop.reason
    starts_s = [entry.elapsed_s for entry in sim.entries if isinstance(entry.record, StartTrial)]
    assert 22.0 < max(starts_s) < 27.0
    assert {outcome.status for outcome in settled(sim).values()} == {Status.OK, Status.CANCELLED}


def test_what_is_measured_again_is_not_paused_again(tmp_path: Path) -> None:
    """It has come to its end once, and has the machine to itself: it would wait for that, neither paused nor running."""

    def disturbed(start: StartTrial) -> FakeRun:
        anew = replace(start, trial=replace(start.trial, attempt=1)) if start.trial.attempt == 3 else start
        made_up = piecewise(anew)
        taken = 0.5 if (start.trial.number, start.trial.attempt) == (1, 2) else 0.0
        conditions = Conditions(hardware="one", contention=taken)
        return replace(made_up, outcome=replace(made_up.outcome, conditions=conditions))

    sim = simulation(tmp_path, disturbed, cancel=PauseAtTwo(early=1, at_end=7), max_trials=8, concurrency=2)
    sim.run([replace(opened(sim, tmp_path), checkpoints=True, time_budgeted=True)])
    assert [(order.number, order.attempt) for order in records(sim, OrderTrial) if order.number == 1] == [(1, 1)]
    assert [remark.attempt for remark in records(sim, Incomparable)] == [2]
    assert settled(sim)[1].status is Status.OK
    assert not sim.campaign.log.view().pending


def test_a_campaign_that_is_interrupted_keeps_its_paused_trials_for_the_resume(tmp_path: Path) -> None:
    rule = PauseAtTwo(at_end=1)
    sim = simulation(tmp_path, piecewise, cancel=rule, max_trials=8, driver={"at": [(9.0, Interrupted(signal=2))]})
    stop = sim.run([replace(opened(sim, tmp_path), checkpoints=True)])
    assert stop.interrupted
    paused = {record.number for record in records(sim, Paused)}
    assert paused
    assert not paused & settled(sim).keys()
    begin = takeover_events(sim.entries, {}, lambda _: True)
    assert not [event for event in begin if isinstance(event, SettledEvent) and event.number in paused]
    sim.stop, sim.at = None, ()
    assert sim.run(begin).reason.startswith("all 8 trials are done")
    assert {number for number, outcome in settled(sim).items() if outcome.status is Status.OK} == {0, 3}


def test_a_resume_after_the_rest_was_given_up_gives_it_up_again(tmp_path: Path) -> None:
    """The controller died after it had ordered the paused ones to end, before they settled."""
    sim = play(tmp_path, PauseAtTwo(at_end=1))
    first = next(
        entry.seq for entry in sim.entries if isinstance(entry.record, OrderTrial) and entry.record.order.kind == "cancel"
    )
    crashed = simulation(tmp_path / "b", piecewise, cancel=PauseAtTwo(at_end=1), max_trials=8)
    kept = [entry for entry in sim.entries if entry.seq <= first]
    missing = replay(crashed.campaign, kept)
    assert missing, "the other orders had not been written"
    crashed.entries, crashed.now_s = [*kept], kept[-1].elapsed_s
    for effect in missing:
        crashed._write(effect)
    crashed.run(takeover_events(crashed.entries, {}, lambda _: True))
    assert settled(crashed).keys() == settled(sim).keys()


def test_a_lost_trial_with_a_checkpoint_adds_up_too(tmp_path: Path) -> None:
    def once_lost(start: StartTrial) -> FakeRun:
        made_up = piecewise(start)
        if start.trial.number == 2 and start.trial.attempt == 1:
            return FakeRun(seconds=2.2, outcome=outcome_of(Status.LOST, curve_of(1, 2, 4.0), 2.2), reports={})
        return made_up

    sim = play(tmp_path, Condemning2(), run_trial=once_lost)
    assert settled(sim)[2].curve.steps == (1.0, 2.0, 3.0, 4.0)


def test_what_was_lost_may_have_to_be_trained_again_so_it_shortens_no_timeout(tmp_path: Path) -> None:
    def twice_lost(start: StartTrial) -> FakeRun:
        if start.trial.number == 3 and start.trial.attempt in (1, 3):
            return FakeRun(seconds=1.0, outcome=outcome_of(Status.LOST, curve_of(1, 1, 1.0), 50.0))
        anew = replace(start, trial=replace(start.trial, attempt=1)) if start.trial.attempt == 2 else start
        return piecewise(anew if start.trial.number == 3 else start)

    sim = play(tmp_path, PauseAtTwo(at_end=3), run_trial=twice_lost)
    starts = [start for start in records(sim, StartTrial) if start.trial.number == 3]
    assert [(start.trial.attempt, start.ran_s) for start in starts] == [(1, 0.0), (2, 0.0), (3, 2.0), (4, 2.0)]
    assert settled(sim)[3].elapsed_s == pytest.approx(50.0 + 2.0 + 50.0 + 2.5), "they count as time all the same"


def test_paused_trials_are_not_given_up_while_the_keep_rule_holds_trials_back(tmp_path: Path) -> None:
    """The last trial of the policy is paused, so that nothing settles on which the keep rule could ask for its repeats."""

    class OddOnes(PauseAtTwo):
        def report(self, number: int, curve: Curve, history: History) -> Order | None:
            return super().report(number, curve, history) if number % 2 else None

    def noisy(start: StartTrial) -> FakeRun:
        made_up, trial = piecewise(start), start.trial
        return replace(made_up, outcome=replace(made_up.outcome, score=1.0 + trial.seed % 100 / 100 + 0.3 * trial.number % 1))

    rule = NoiseRule("loss", confirm_share=0.4)
    sim = simulation(tmp_path, noisy, cancel=OddOnes(at_end=0), keep=rule, max_trials=60)
    sim.run([replace(opened(sim, tmp_path), checkpoints=True)])
    shown = [
        (entry.seq, type(entry.record))
        for entry in sim.entries
        if isinstance(entry.record, AskPolicy) or (isinstance(entry.record, OrderTrial) and entry.record.order.kind == "cancel")
    ]
    last = max(seq for seq, kind in shown if kind is AskPolicy)
    assert [kind for seq, kind in shown if seq < last].count(OrderTrial) == 1, "so one is given up: it settles"
    repeats = [start for start in records(sim, StartTrial) if start.trial.proposal.source == REPEAT]
    assert len(repeats) > 2, "more than those of the baseline"
    assert len(sim.campaign.log.settled) == 60


class Condemning2(Condemning):
    """Lets everything go on."""

    def doomed(self, curve: Curve) -> Order | None:
        return None


def test_nothing_is_paused_where_nothing_reports(tmp_path: Path) -> None:
    sim = play(tmp_path, None, run_trial=heavy_tail)
    assert len(sim.campaign.log.settled) == 8


class GivenUp(PauseAtTwo):
    """Wants one paused trial back whenever another was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.due = 0

    def settled(self, settled: Settled, history: History) -> None:
        self.due = int(settled.outcome.status is Status.CANCELLED)

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        due, self.due = self.due, 0
        return sorted(paused)[-due:] if due else []


def test_what_is_given_up_is_not_taken_up_again_while_the_others_settle(tmp_path: Path) -> None:
    sim = play(tmp_path, GivenUp())
    starts = [(start.trial.number, start.trial.attempt) for start in records(sim, StartTrial)]
    ends = [(end.number, end.attempt) for end in records(sim, SettledEvent)]
    assert sorted(starts) == sorted(ends), "nothing runs when the campaign stops"
    assert len(set(starts)) == 8


def test_parts_without_a_report_have_an_empty_curve_together() -> None:
    lost, failed = Outcome(status=Status.LOST, elapsed_s=1.0), Outcome(status=Status.FAILED, elapsed_s=2.0)
    whole = joined([lost], failed)
    assert (whole.curve, whole.elapsed_s, whole.status) == (Curve(), 3.0, Status.FAILED)
