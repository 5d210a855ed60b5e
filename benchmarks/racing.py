"""A cancel rule on a replayed campaign, without the loop: recorded curves, and a judge that is asked as the loop asks it."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoresearch_rl.controller.cancelling import CancelRule
from autoresearch_rl.controller.curve import CurveBuilder
from autoresearch_rl.trial import Decision, HistoryLog, Outcome, Progress, Proposal, Settled, Status, Trial

METRIC = "loss"


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


def raced(rule: CancelRule, pool: Any, order: Sequence[int], **options: Any) -> dict[str, float]:
    """Cost, loss, kept and microseconds a report of one campaign over a pool's curves, with the benchmark's definitions."""
    curves, finals = [pool.curves[at] for at in order], pool.finals
    race = Race(rule, curves, **options).run()
    scale = np.nanmedian(finals) - np.nanmin(finals)
    target = np.nanmin(finals[order])
    best = race.best if race.finished else math.nan
    return {
        "cost": race.spent / sum(float(curve.steps[-1]) for curve in curves),
        "rel_loss": float((best - target) / scale),
        "kept": float(best <= target + 1e-12),
        "regret": float((best - np.nanmin(finals)) / scale),
        "us": 1e6 * race.took_s / max(race.asked, 1),
    }
