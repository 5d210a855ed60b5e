"""What a person enqueues: it goes first, counts as a trial, and is never dropped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.resuming import replay
from autoresearch_rl.controller.sources import source_hash
from autoresearch_rl.errors import PolicyError
from autoresearch_rl.events import OrderTrial, Paused, Proposed, Requested, Resumed, StartTrial
from autoresearch_rl.history import History
from autoresearch_rl.policy import Ask
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Curve, Order, Progress, Proposal, Status
from autoresearch_rl.waiting import PERSON, Waiting
from tests.controller.campaigns import FILES, Condemning, Uniform, ok, opened, simulation
from tests.faults.world import PATCH, wish


def steady(start: StartTrial) -> FakeRun:
    """Ten seconds each."""
    return FakeRun(seconds=10.0, outcome=ok(float(start.trial.proposal.params["x"]), elapsed_s=10.0))


def starts(sim: Simulation) -> list[tuple[int, str]]:
    return [(e.record.trial.number, e.record.trial.proposal.source) for e in sim.entries if isinstance(e.record, StartTrial)]


def check_replay(sim: Simulation, tmp_path: Path, **settings: Any) -> None:
    fresh = simulation(tmp_path, **settings)
    assert replay(fresh.campaign, sim.entries) == []


def test_it_starts_before_all_that_waits_in_the_order_enqueued(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"concurrency": 1, "lookahead": 3, "max_trials": 8}
    sim = simulation(tmp_path, steady, driver={"at": [(15.0, wish(0.1)), (16.0, wish(0.2, PATCH))]}, **settings)
    sim.run([opened(sim, tmp_path)])
    assert [source for _, source in starts(sim)] == ["baseline", "uniform", PERSON, PERSON, *["uniform"] * 4]
    assert len(sim.campaign.log.settled) == 8, "they count as trials"
    first, second = (t.trial for t in sim.campaign.log.settled[2:4])
    assert (first.proposal.params, second.proposal.params) == ({"x": 0.1}, {"x": 0.2})
    assert first.source_hash == source_hash(FILES)
    assert second.source_hash == source_hash({"train.py": "x = 2\n"})
    check_replay(sim, tmp_path, **settings)


def test_one_that_comes_before_the_baseline_has_settled_waits_for_it(tmp_path: Path) -> None:
    sim = simulation(tmp_path, steady, driver={"at": [(1.0, wish(0.1))]}, concurrency=2, max_trials=4)
    sim.run([opened(sim, tmp_path)])
    assert starts(sim)[:2] == [(0, "baseline"), (1, PERSON)]
    (begun,) = [e.elapsed_s for e in sim.entries if isinstance(e.record, StartTrial) and e.record.trial.number == 1]
    assert begun == 10.0


def test_beyond_the_last_trial_it_is_kept_for_a_resume_with_more(tmp_path: Path) -> None:
    sim = simulation(tmp_path, steady, driver={"at": [(25.0, wish(0.1)), (25.5, wish(0.2))]}, concurrency=1, max_trials=3)
    stop = sim.run([replace(opened(sim, tmp_path), max_trials=3)])
    assert stop.reason == "all 3 trials are done (controller.max_trials)"
    assert PERSON not in dict(starts(sim)).values()
    waiting = Waiting()
    for entry in sim.entries:
        waiting.feed(entry)
    assert [waits.proposal.params for waits in waiting.held if waits.proposal] == [{"x": 0.1}, {"x": 0.2}]
    sim.stop, sim.at = None, ()
    sim.run([Resumed(limits={"max_trials": 4})])
    assert starts(sim)[3:] == [(3, PERSON)]
    sim.stop = None
    sim.run([Resumed(limits={"max_trials": 6})])
    assert starts(sim)[4:] == [(4, PERSON), (5, "uniform")]
    check_replay(sim, tmp_path, concurrency=1, max_trials=3)


def test_a_policy_that_answers_too_late_for_its_trials_loses_none(tmp_path: Path) -> None:
    sim = simulation(
        tmp_path, steady, driver={"at": [(12.0, wish(0.1))], "ask_s": lambda _: 5.0}, concurrency=1, max_trials=2, lookahead=0
    )
    sim.run([opened(sim, tmp_path)])
    assert starts(sim) == [(0, "baseline"), (1, PERSON)], "there are no more trials than max_trials"
    (answer,) = [entry.record for entry in sim.entries if isinstance(entry.record, Proposed)]
    sim.stop, sim.at = None, ()
    sim.run([Resumed(limits={"max_trials": 3})])
    assert starts(sim)[2:] == [(2, "uniform")]
    assert sim.campaign.log.settled[-1].trial.proposal.params == answer.proposals[0].params


class PausesAll(Condemning):
    """Pauses each trial at its first report, once, and wants all of them to go on."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def follow(self, metric: str, direction: Any, *, checkpoints: bool) -> PausesAll:
        return self

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        again = number in self.seen
        self.seen.add(number)
        return None if again else Order(kind="pause", reason="others may be better")

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        return sorted(paused)


def test_it_starts_before_paused_ones_go_on(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        curve = Curve(steps=(1.0,), elapsed_s=(1.0,), metrics={"loss": (1.0,)}, step_target=10.0)
        report = Progress(step=1.0, step_target=10.0, metrics={"loss": 1.0})
        return FakeRun(seconds=10.0, outcome=ok(1.0, curve=curve, elapsed_s=10.0), reports={4.0: report}, obeys_s=2.0)

    settings: dict[str, Any] = {"concurrency": 1, "max_trials": 4, "lookahead": 0, "control_share": 0.0}
    sim = simulation(tmp_path, run_trial, driver={"at": [(15.0, wish(0.1))]}, cancel=PausesAll(), **settings)
    sim.run([replace(opened(sim, tmp_path), checkpoints=True)])
    kinds = [
        (e.record.trial.number, e.record.trial.attempt)
        if isinstance(e.record, StartTrial)
        else "paused"
        if isinstance(e.record, Paused)
        else "told"
        for e in sim.entries
        if isinstance(e.record, StartTrial | Paused | OrderTrial)
    ]
    assert kinds[:5] == [(0, 1), (1, 1), "told", "paused", (2, 1)], "the person's is trial 2, trial 1 goes on later"
    assert (1, 2) in kinds
    assert all(settled.outcome.status is Status.OK for settled in sim.campaign.log.settled)


def test_a_policy_sees_it_as_any_other_trial(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Looks(Uniform):
        def propose(self, ask: Ask) -> Sequence[Proposal]:
            trials = [*(s.trial for s in ask.history.settled), *ask.history.pending]
            seen.append([trial.proposal.source for trial in trials])
            if ask.budget.trials is not None and ask.budget.trials + len(trials) != 5:
                raise PolicyError("it does not count")
            return super().propose(ask)

    sim = simulation(tmp_path, steady, policy=Looks(), driver={"at": [(15.0, wish(0.1))]}, max_trials=5, lookahead=0)
    sim.run([opened(sim, tmp_path)])
    assert seen[-1].count(PERSON) == 1
    assert not any(isinstance(e.record, Proposed) and e.record.error for e in sim.entries)


def test_a_note_changes_nothing(tmp_path: Path) -> None:
    note = Requested(request="note", arguments={"request": "note", "text": "slow today"})
    told = simulation(tmp_path, steady, driver={"at": [(15.0, note)]}, max_trials=4)
    told.run([opened(told, tmp_path)])
    untold = simulation(tmp_path, steady, max_trials=4)
    untold.run([opened(untold, tmp_path)])
    assert [e.record for e in told.entries if e.record != note and isinstance(e.record, StartTrial)] == [
        e.record for e in untold.entries if isinstance(e.record, StartTrial)
    ]


@pytest.mark.parametrize("lookahead", [0, "auto"])
def test_there_are_never_more_trials_than_max_trials(tmp_path: Path, lookahead: Any) -> None:
    at = [(7.0 * index, wish(0.01 * index)) for index in range(12)]
    sim = simulation(
        tmp_path,
        steady,
        driver={"at": at, "ask_s": lambda _: 6.0},
        max_trials=9,
        concurrency=3,
        lookahead=lookahead,
    )
    sim.run([opened(sim, tmp_path)])
    assert sorted(dict(starts(sim))) == list(range(9))
