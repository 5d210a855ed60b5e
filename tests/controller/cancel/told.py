"""Made-up learning curves, and campaigns of them on the virtual clock, for the tests of cancel rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch_rl.controller.cancel import CancelRule, Judge
from autoresearch_rl.events import StartTrial, StopCampaign
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Curve, Decision, Direction, Order, Outcome, Progress, Proposal, Settled, Status, Trial
from tests.controller.campaigns import ok, opened, simulation

STEPS = 50


def falling(end: float, *, reports: int = STEPS, start: float = 2.0) -> list[float]:
    """A power law's values from `start` to `end`."""
    at = np.arange(1, reports + 1)
    law = at**-0.7
    return [float(value) for value in end + (start - end) * (law - law[-1]) / (law[0] - law[-1])]


def curve(values: Sequence[float], *, target: float | None = STEPS, step: float = 1.0) -> Curve:
    steps = tuple(step * (at + 1) for at in range(len(values)))
    return Curve(steps=steps, elapsed_s=steps, metrics={"loss": tuple(values)}, step_target=target)


class Told:
    """Asks one judge as the loop does, trial by trial."""

    def __init__(self, rule: CancelRule, *, direction: Direction = "minimize", checkpoints: bool = False) -> None:
        self.log = HistoryLog(direction)
        judge = rule.follow("loss", direction, checkpoints=checkpoints)
        assert judge is not None
        self.judge: Judge = judge

    def finish(self, number: int, values: Sequence[float], *, score: float | None = None, target: float | None = STEPS) -> None:
        """A trial ran to its end; it leads where its score is the best."""
        score = values[-1] if score is None else score
        self.settle(number, Outcome(status=Status.OK, score=score, curve=curve(values, target=target)))
        view = self.log.view()
        leader = view.find(view.leader) if view.leader is not None else None
        if leader is None or leader.outcome.score is None or view.better(score, leader.outcome.score):
            self.log.decide(Decision(candidate=number, verdict="keep", reason="best", leads=True))

    def settle(self, number: int, outcome: Outcome) -> None:
        trial = Trial(number=number, proposal=Proposal(params={}), seed=0)
        self.log.submit(trial)
        self.log.settle(trial, outcome)
        self.judge.settled(Settled(trial=trial, outcome=outcome), self.log.view())

    def ask(self, number: int, values: Sequence[float], *, target: float | None = STEPS) -> Order | None:
        return self.judge.report(number, curve(values, target=target), self.log.view())

    def run(self, number: int, values: Sequence[float], *, begin: int = 1) -> tuple[int, Order | None]:
        """Reports one value after the other, but the last; returns how many there were when the order came."""
        for count in range(begin, len(values)):
            order = self.ask(number, values[:count])
            if order is not None:
                return count, order
        return len(values), None

    def revive(self, *paused: int, ending: bool = False) -> list[int]:
        return list(self.judge.revive(paused, self.log.view(), ending=ending))


def replayed(start: StartTrial, values: Sequence[float], begun: int) -> FakeRun:
    """A trial that reports each value a second after the other, from report `begun` on."""
    rest = values[begun:]
    reports = {
        float(at + 1): Progress(step=begun + at + 1, step_target=len(values), metrics={"loss": value}, elapsed_s=float(at + 1))
        for at, value in enumerate(rest)
    }
    whole = Curve(
        steps=tuple(float(begun + at + 1) for at in range(len(rest))),
        elapsed_s=tuple(float(at + 1) for at in range(len(rest))),
        metrics={"loss": tuple(rest)},
        step_target=len(values),
    )
    end = values[-1]
    outcome = ok(end, curve=whole) if math.isfinite(end) else Outcome(status=Status.FAILED, message="diverged", curve=whole)
    return FakeRun(seconds=len(rest) + 0.5, outcome=outcome, reports=reports, part=Outcome(status=Status.CANCELLED, curve=whole))


def raced(tmp_path: Path, rule: CancelRule, ends: Sequence[float], *, checkpoints: bool = False, **settings: Any) -> Simulation:
    """A campaign of trials whose losses end at `ends`, by number; it has run."""
    sims: list[Simulation] = []

    def run_trial(start: StartTrial) -> FakeRun:
        number = start.trial.number
        begun = reported(sims[0], number) if start.trial.attempt > 1 else 0
        return replayed(start, falling(ends[number]), begun)

    chosen: Mapping[str, Any] = {"cancel": rule, "max_trials": len(ends), "control_share": 0.0, "concurrency": 1, **settings}
    sims.append(simulation(tmp_path, run_trial, **chosen))
    begin = opened(sims[0], tmp_path)
    begin = type(begin)(**{**{name: getattr(begin, name) for name in begin.__slots__}, "checkpoints": checkpoints})
    stop = sims[0].run([begin])
    assert isinstance(stop, StopCampaign)
    return sims[0]


def reported(sim: Simulation, number: int) -> int:
    """Reports that a trial has made in all its attempts."""
    from autoresearch_rl.events import Progressed

    steps = [
        entry.record.progress.step
        for entry in sim.entries
        if isinstance(entry.record, Progressed) and entry.record.number == number
    ]
    return int(max(steps, default=0))
