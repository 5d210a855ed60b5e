"""Soft halving for trials that cannot be paused: what fails a rung is cancelled for good."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autoresearch_rl.controller.cancel.curves import Finished, Horizon, finite_points, latest, progress, quantile, rankable
from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Order, Settled

_REFERENCES = 48
_FINISHED = 2  # trials that have finished before a chance counts
_FEWEST = 5  # trials that must have come to a rung before one fails it
_GOOD = 0.2  # of those that came to a rung, the best by value: no forecast ends them before the next one
_CHEAP = 0.05  # of a typical trial: cancelling one that has less left saves nothing
_FIRST = 0.04  # of a trial: before, the chance is looked at nowhere but at rungs
_FURTHER = 1.15  # times the way at which the chance was looked at last


@dataclass(frozen=True, slots=True)
class Cuts:
    """Attributes:
    rungs: Shares of the steps.
    survive: Share of the trials that came to a rung before which a trial must be among, by value.
    rescue: Chance to beat the leader from which it goes on all the same; 1 for never.
    hopeless: Chance to beat the leader below which it is cancelled, at a rung or between.
    min_reports: Reports before which there is no verdict.
    warmup_trials: Settled trials before which there is none.
    """

    rungs: tuple[float, ...]
    survive: float
    rescue: float
    hopeless: float
    min_reports: int
    warmup_trials: int


class CuttingJudge:
    """Judges at rungs and, by the chance to beat the leader, each time that a trial has come 15 % further."""

    def __init__(self, cuts: Cuts, metric: str, direction: Direction) -> None:
        self._cuts, self._metric, self._direction = cuts, metric, direction
        self._finished = Finished(metric, direction, _REFERENCES)
        self._came: list[list[float]] = [[] for _ in cuts.rungs]  # values at a rung of all that came to it, the best first
        self._horizon = Horizon()
        self._come: dict[int, int] = {}
        self._looked: dict[int, float] = {}
        self._good: set[int] = set()

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        """See `Judge`."""
        done, target = progress(curve), curve.step_target
        if done is None or target is None or len(history) < self._cuts.warmup_trials:
            return None
        typical = self._horizon.typical(number, target)
        rung = bisect_right(self._cuts.rungs, curve.steps[-1] / min(target, typical) + 1e-9) - 1
        at_rung = rung > self._come.get(number, -1)
        if not at_rung and done < max(_FIRST, _FURTHER * self._looked.get(number, 0.0)):
            return None
        value = latest(curve, self._metric)
        steps, values = finite_points(curve, self._metric)
        if value is None or not len(steps) or len(steps) < self._cuts.min_reports:
            return None
        where = f"{self._metric} {value:.4g} after {done:.0%} of the steps"
        if not math.isfinite(value):
            return Order(kind="cancel", reason=f"{where} has diverged")
        if target - curve.steps[-1] < _CHEAP * typical:
            return None
        self._looked[number] = done
        seen = self._finished.forecast(steps, values, target)
        leader = self._finished.leader(history)
        chance = 1.0 if leader is None or len(self._finished.ends) < _FINISHED else seen.beats(leader[1])
        beaten = (
            f"a chance of {chance:.1%} to beat {leader[1]:.4g} of trial {leader[0]}" if leader is not None else "no trial to beat"
        )
        if at_rung:
            self._come[number] = rung
            failed = self._rank(number, rung, value)
            if failed and (leader is None or chance < self._cuts.rescue):
                return Order(kind="cancel", reason=f"{where} is {failed}, with {beaten}")
        if number not in self._good and seen.informative and chance < self._cuts.hopeless:
            return Order(kind="cancel", reason=f"{where} is forecast to end at {seen.mean:.4g}, with {beaten}")
        return None

    def settled(self, settled: Settled, history: History) -> None:
        """See `Judge`."""
        self._come.pop(settled.trial.number, None)
        self._looked.pop(settled.trial.number, None)
        self._good.discard(settled.trial.number)
        self._finished.add(settled)

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        """See `Judge`; it never pauses."""
        return ()

    def _rank(self, number: int, rung: int, value: float) -> str:
        """Adds a trial to a rung; returns how it failed, empty if it did not."""
        came, badness = self._came[rung], rankable(value, self._direction)
        bar = quantile(came, self._cuts.survive) if came else math.inf
        rank = bisect_right(came, badness) + 1
        insort(came, badness)
        (self._good.add if rank <= _GOOD * len(came) + 0.5 else self._good.discard)(number)
        if len(came) <= _FEWEST or not badness > bar:
            return ""
        shown = bar if self._direction == "minimize" else -bar
        return f"{rank} of {len(came)} at rung {rung + 1}, where the best {self._cuts.survive:.0%} come to {shown:.4g}"
