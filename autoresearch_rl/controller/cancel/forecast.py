"""Cancels by forecast alone, and learns from the campaign how far its forecasts can be believed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from autoresearch_rl.controller.cancel import Judge
from autoresearch_rl.controller.cancel.curves import REFERENCES, Finished, finite_points, latest, progress
from autoresearch_rl.controller.checking import check_values, counts, share
from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Order, Settled, Status

_FURTHER = 0.02  # of its steps that a trial must have come before it is looked at again, so at most 50 forecasts a trial


class ForecastRule:
    """Cancels a trial whose curve is forecast to end worse than the leader's did.

    Curves are compared with curves only, never with verdicts, and the progress metric is taken to have the objective's direction.
    The bar falls where a forecast that would have cancelled a trial did not come true (see `Care`).
    """

    def __init__(self, below: float = 0.01, min_reports: int = 5, min_share: float = 0.2, warmup_trials: int = 4) -> None:
        """`below`: probability of ending better than the leader's curve, under which a trial is cancelled. Raises ConfigError."""
        check_values(
            "controller.cancel",
            ("below", below, share(below), "between 0 and 1"),
            ("min_reports", min_reports, counts(min_reports, 2), "a whole number from 2"),
            ("min_share", min_share, min_share == 0 or share(min_share), "from 0 to below 1"),
            ("warmup_trials", warmup_trials, counts(warmup_trials, 1), "a whole number from 1"),
            code="cancel-value",
        )
        self.below, self.min_reports, self.min_share, self.warmup_trials = below, min_reports, min_share, warmup_trials

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge:
        """See `CancelRule`; it cancels where trials could be paused too."""
        return _ForecastJudge(self, metric, direction)


class Care:
    """How much more careful to be than the rule says, after its own forecasts of this campaign.

    Each trial that had fallen below the rule's bar and ran to its end nevertheless, being of the control group or because the bar
    was lower then, is counted. Where it beat the leader, care rises by 1; where it did not, it falls by `below`, to 0 at least. The
    bar is `below` halved `care` times. Forecasts that hold miss in at most `below` of cases, so that with them care stays near 0.
    """

    def __init__(self, below: float) -> None:
        self._below = below
        self.care = 0.0

    @property
    def bar(self) -> float:
        """Chance below which trials are cancelled now."""
        return self._below * math.exp(-math.log(2) * self.care)

    def hear(self, *, beat: bool) -> None:
        """Takes the end of a trial that had fallen below the rule's bar: whether it beat the leader."""
        self.care = self.care + 1 if beat else max(0.0, self.care - self._below)


class _ForecastJudge:
    def __init__(self, rule: ForecastRule, metric: str, direction: Direction) -> None:
        self._rule, self._metric, self._direction = rule, metric, direction
        self._finished = Finished(metric, direction, REFERENCES)
        self._care = Care(rule.below)
        self._looked: dict[int, float] = {}
        self._condemned: set[int] = set()  # running trials that have been below the rule's own bar

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        done, target, rule = progress(curve), curve.step_target, self._rule
        if done is None or target is None or done < max(rule.min_share, self._looked.get(number, -1.0) + _FURTHER):
            return None
        bar, value = self._finished.leader(history), latest(curve, self._metric)
        if bar is None or value is None or len(history) < rule.warmup_trials:
            return None
        steps, values = finite_points(curve, self._metric)
        if not len(steps) or len(curve.steps) < rule.min_reports:
            return None
        self._looked[number] = done
        leader, end = bar
        if not math.isfinite(value):
            self._condemned.add(number)
            return Order(
                kind="cancel", reason=f"{self._metric} has diverged after {done:.0%} of the steps; it was {values[-1]:.4g}"
            )
        if len(steps) < rule.min_reports:
            return None
        seen = self._finished.forecast(steps, values, target)
        chance = seen.beats(end)
        if not seen.informative or chance >= rule.below:
            return None
        self._condemned.add(number)
        if chance >= self._care.bar:
            return None
        reason = (
            f"{self._metric} is forecast to end at {seen.mean:.4g} (90 %: {seen.lo90:.4g} to {seen.hi90:.4g}) after {len(steps)} "
            f"reports, the chance to beat {end:.4g} of trial {leader} is {chance:.2%}, below {self._care.bar:.1%}"
        )
        return Order(kind="cancel", reason=reason)

    def settled(self, settled: Settled, history: History) -> None:
        number, bar = settled.trial.number, self._finished.leader(history)
        self._looked.pop(number, None)
        condemned = number in self._condemned
        self._condemned.discard(number)
        kept = self._finished.add(settled)
        if condemned and bar is not None and settled.outcome.status is Status.OK and (kept or not self._ends(settled)):
            self._care.hear(beat=kept and self._finished.beats(self._finished.ends[number], bar[1]))

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        return ()

    def _ends(self, settled: Settled) -> bool:
        """Whether a curve has an end that could be compared, although it is not kept."""
        return bool(len(finite_points(settled.outcome.curve, self._metric)[0]))
