"""A cancel rule on replayed campaigns of recorded curves: alone, asked as the loop asks it, and through the real loop."""

from __future__ import annotations

import heapq
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.cancel import CancelRule
from autoresearch_rl.controller.curve import CurveBuilder
from autoresearch_rl.controller.journal import Blobs
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.events import Event, Progressed, StartTrial
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.policy.random import Random
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.simulation import FakeRun, Simulation, opening
from autoresearch_rl.trial import Curve, Decision, Outcome, Progress, Proposal, Settled, Status, Trial

METRIC = "loss"
_SPACE = SearchSpace.from_config({"x": {"low": 0.0, "high": 1.0}})


@dataclass
class Race:
    """Trials in a given order, `workers` at a time, the first of which is the baseline and always runs to its end.

    Attributes:
        spent: Steps made.
        best: The best end of a finished trial.
        finished: Trials that ran to their end.
        took_s: CPU seconds in the judge; `asked`: calls of `report`.
    """

    rule: CancelRule
    curves: Sequence[Any]
    workers: int = 1
    checkpoints: bool = True
    control: Callable[[int], bool] = lambda _: False
    spent: float = 0.0
    best: float = math.inf
    finished: list[int] = field(default_factory=list)
    took_s: float = 0.0
    asked: int = 0

    def __post_init__(self) -> None:
        self._log = HistoryLog("minimize")
        judge = self.rule.follow(METRIC, "minimize", checkpoints=self.checkpoints)
        assert judge is not None
        self._judge = judge
        self._builders = [CurveBuilder() for _ in self.curves]
        self._queue: list[tuple[float, int, int, int]] = []
        self._ties = itertools.count()
        self._paused: dict[int, int] = {}  # the last report made, by trial
        self._spared: set[int] = set()
        self._next = 0

    def run(self) -> Race:
        """Runs to the end."""
        self._launch(0.0)
        while self._queue:
            now, _, number, at = heapq.heappop(self._queue)
            self._step(now, number, at)
            while len(self._queue) < (self.workers if self._log.settled else 1) and self._launch(now):
                pass
        return self

    def _launch(self, now: float) -> bool:
        began = time.process_time()
        paused = (
            self._judge.revive(tuple(self._paused), self._log.view(), ending=self._next >= len(self.curves))
            if self._paused
            else ()
        )
        self.took_s += time.process_time() - began
        if paused:
            self._later(now, paused[0], self._paused.pop(paused[0]) + 1)
            return True
        if self._next >= len(self.curves):
            return False
        number, self._next = self._next, self._next + 1
        self._log.submit(Trial(number=number, proposal=Proposal(params={}), seed=0))
        self._later(now, number, 0)
        return True

    def _later(self, now: float, number: int, at: int) -> None:
        steps = self.curves[number].steps
        heapq.heappush(self._queue, (now + float(steps[at] - (steps[at - 1] if at else 0.0)), next(self._ties), number, at))

    def _step(self, now: float, number: int, at: int) -> None:
        curve = self.curves[number]
        self.spent += float(curve.steps[at] - (curve.steps[at - 1] if at else 0.0))
        value = float(curve.values[at])
        told = Progress(step=float(curve.steps[at]), step_target=float(curve.steps[-1]), metrics={METRIC: value})
        self._builders[number].add(told, now)
        if not np.isfinite(value):
            return self._settle(number, Status.FAILED)
        if at == len(curve.steps) - 1:
            self.finished.append(number)
            self.best = min(self.best, value)
            return self._settle(number, Status.OK, value)
        order = None
        if number and number not in self._spared:
            seen = self._builders[number].build()
            began = time.process_time()
            order = self._judge.report(number, seen, self._log.view())
            self.took_s += time.process_time() - began
            self.asked += 1
        if order is None:
            return self._later(now, number, at + 1)
        if order.kind == "pause":
            self._paused[number] = at
            return None
        if self.control(number):
            self._spared.add(number)
            return self._later(now, number, at + 1)
        return self._settle(number, Status.CANCELLED)

    def _settle(self, number: int, status: Status, score: float | None = None) -> None:
        trial = Trial(number=number, proposal=Proposal(params={}), seed=0)
        curve = self._builders[number].build()
        outcome = Outcome(status=status, score=score, curve=curve)
        self._log.settle(trial, outcome)
        began = time.process_time()
        self._judge.settled(Settled(trial=trial, outcome=outcome), self._log.view())
        self.took_s += time.process_time() - began
        self._builders[number] = CurveBuilder()
        if score is not None and score <= self.best:
            self._log.decide(Decision(candidate=number, verdict="keep", reason="best", leads=True))


def raced(rule: CancelRule, pool: Any, order: Sequence[int], *, control_share: float = 0.0, **options: Any) -> dict[str, float]:
    """One campaign over a pool's curves, with the benchmark's definitions of cost, loss, kept and regret; and CPU microseconds a report.

    `control_share`: of the trials that would be cancelled, the share that runs to its end.
    """
    drawn = np.random.default_rng(len(order)).uniform(size=len(order))
    curves = [pool.curves[at] for at in order]
    race = Race(rule, curves, control=lambda number: bool(drawn[number] < control_share), **options).run()
    measured = _measures(pool, order, race.spent, race.best if race.finished else math.nan)
    return {**measured, "us": 1e6 * race.took_s / max(race.asked, 1)}


@dataclass
class _Counting(Simulation):
    """Knows the last step that each trial has reported."""

    made: dict[int, float] = field(default_factory=dict)

    def post(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self.made[event.number] = event.progress.step
        super().post(event)


def looped(
    rule: CancelRule | None,
    pool: Any,
    order: Sequence[int],
    *,
    workers: int = 1,
    checkpoints: bool = True,
    control_share: float = 0.0,
) -> dict[str, float]:
    """The same through the real loop on the virtual clock: reducer, pool, keep rule, random policy."""
    curves = [pool.curves[at] for at in order]
    typical = float(np.median([curve.steps[-1] for curve in curves]))
    sims: list[_Counting] = []

    def run_trial(start: StartTrial) -> FakeRun:
        curve = curves[start.trial.number]
        begun = int(np.searchsorted(curve.steps, sims[0].made.get(start.trial.number, 0.0), side="right"))
        before = float(curve.steps[begun - 1]) if begun else 0.0
        known = np.isfinite(curve.values)
        upto = len(curve.steps) if known.all() else int(np.argmin(known)) + 1
        steps, values = curve.steps[begun:upto], curve.values[begun:upto]
        after = [float(step - before) / typical for step in steps]
        told = [
            Progress(step=float(step), step_target=float(curve.steps[-1]), metrics={METRIC: float(value)})
            for step, value in zip(steps, values, strict=True)
        ]
        whole = Curve(
            steps=tuple(steps.tolist()),
            elapsed_s=tuple(after),
            metrics={METRIC: tuple(values.tolist())},
            step_target=told[-1].step_target,
        )
        ended = Outcome(status=Status.FAILED, message="diverged", curve=whole, elapsed_s=after[-1])
        if known.all():
            ended = replace(
                ended, status=Status.OK, score=float(curve.values[-1]), metrics={METRIC: float(curve.values[-1])}, message=""
            )
        part = Outcome(status=Status.CANCELLED, curve=whole)  # what lies behind the next part's beginning is dropped
        return FakeRun(seconds=after[-1], outcome=ended, reports=dict(zip(after, told, strict=True)), obeys_s=0.0, part=part)

    settings = Settings(
        keep=StrictRule(METRIC),
        cancel=rule,
        control_share=control_share,
        concurrency=workers,
        max_trials=len(curves),
        max_failure_rate=1.0,
        require_baseline=False,
        lookahead=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = Sources(Blobs(Path(folder)))
        driven = Campaign(settings, sources, direction="minimize", request={}, devices={})
        sims.append(_Counting(driven, Proposer(Random(space=_SPACE), _SPACE, settings), run_trial))
        source = sources.add({"train.py": "x = 1\n"})
        sims[0].run([opening(source, _SPACE.defaults, metric=METRIC, checkpoints=checkpoints)])
    scores = [each.outcome.score for each in driven.log.settled if each.outcome.score is not None]
    return _measures(pool, order, sum(sims[0].made.values()), min(scores, default=math.nan))


def _measures(pool: Any, order: Sequence[int], spent: float, best: float) -> dict[str, float]:
    finals = pool.finals
    scale, target = np.nanmedian(finals) - np.nanmin(finals), np.nanmin(finals[order])
    return {
        "cost": spent / sum(float(pool.curves[at].steps[-1]) for at in order),
        "rel_loss": float((best - target) / scale),
        "kept": float(best <= target + 1e-12),
        "regret": float((best - np.nanmin(finals)) / scale),
    }
