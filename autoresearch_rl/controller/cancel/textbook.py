"""The textbook rules for stopping trials early: successive halving and the median rule."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Sequence

from autoresearch_rl.controller.cancel import Judge
from autoresearch_rl.controller.cancel.curves import latest, progress, quantile, rankable
from autoresearch_rl.controller.checking import check_values, counts, share
from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Order, Settled, Status


class AshaRule:
    """Asynchronous successive halving, in the variant that stops (and never pauses).

    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar (2020), *A system for massively parallel hyperparameter
    tuning*, as Ray Tune and Syne Tune run it: rungs at `first_rung` times powers of `reduction_factor`; at the highest rung that
    a trial has come to, it goes on if it is among the best 1/`reduction_factor` of the trials that came there before it.
    """

    def __init__(
        self, reduction_factor: float = 3, first_rung: float | None = None, min_reports: int = 1, warmup_trials: int = 1
    ) -> None:
        """`first_rung`: share of a trial's steps; None for `reduction_factor` ** -3. Raises ConfigError."""
        factor = reduction_factor
        check_values(
            "controller.cancel",
            ("reduction_factor", factor, isinstance(factor, int | float) and 1 < factor < float("inf"), "a number above 1"),
            ("first_rung", first_rung, first_rung is None or share(first_rung), "between 0 and 1, or null"),
            ("min_reports", min_reports, counts(min_reports, 1), "a whole number from 1"),
            ("warmup_trials", warmup_trials, counts(warmup_trials, 0), "a whole number from 0"),
            code="cancel-value",
        )
        self.factor, self.min_reports, self.warmup_trials = factor, min_reports, warmup_trials
        self.rungs = [factor**-3.0 if first_rung is None else first_rung]
        while self.rungs[-1] * factor < 1 - 1e-9:
            self.rungs.append(self.rungs[-1] * factor)

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge:
        """See `CancelRule`."""
        return _AshaJudge(self, metric, direction)


class _Unpausing:
    """What judges have in common that never pause."""

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        """None: nothing is ever paused."""
        return ()


class _AshaJudge(_Unpausing):
    def __init__(self, rule: AshaRule, metric: str, direction: Direction) -> None:
        self._rule, self._metric, self._direction = rule, metric, direction
        self._seen: list[list[float]] = [[] for _ in rule.rungs]  # values by rung, as they rank, in order
        self._come: dict[int, int] = {}  # the highest rung that a running trial was judged at

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        done, value = progress(curve), latest(curve, self._metric)
        if done is None or value is None or len(curve.steps) < self._rule.min_reports:
            return None
        rung = bisect_right(self._rule.rungs, done + 1e-9) - 1
        if rung <= self._come.get(number, -1):
            return None
        self._come[number] = rung
        others, mine = self._seen[rung], rankable(value, self._direction)
        bar = quantile(others, 1 / self._rule.factor) if others else float("inf")
        rank = bisect_left(others, mine) + 1
        insort(others, mine)
        if not _worse(mine, bar) or len(history) < self._rule.warmup_trials:
            return None
        shown = bar if self._direction == "minimize" else -bar
        reason = (
            f"{self._metric} {value:.4g} ranks {rank} of {len(others)} at {self._rule.rungs[rung]:.0%} of the steps, "
            f"where the best 1/{self._rule.factor:g} have {shown:.4g} or better"
        )
        return Order(kind="cancel", reason=reason)

    def settled(self, settled: Settled, history: History) -> None:
        self._come.pop(settled.trial.number, None)


class MedianRule:
    """The median stopping rule: a trial ends whose best value so far is worse than the median of the others' running means.

    Golovin, Solnik, Moitra, Kochanski, Karro, Sculley (2017), *Google Vizier: a service for black-box optimization*. The running
    means are taken at the same share of the steps, in fiftieths, of the trials that ran to their end.
    """

    def __init__(self, min_reports: int = 5, min_share: float = 0.1, warmup_trials: int = 5) -> None:
        """No verdict before so many reports, that share of the steps, and so many trials that ran to their end. Raises ConfigError."""
        check_values(
            "controller.cancel",
            ("min_reports", min_reports, counts(min_reports, 1), "a whole number from 1"),
            ("min_share", min_share, min_share == 0 or share(min_share), "from 0 to below 1"),
            ("warmup_trials", warmup_trials, counts(warmup_trials, 1), "a whole number from 1"),
            code="cancel-value",
        )
        self.min_reports, self.min_share, self.warmup_trials = min_reports, min_share, warmup_trials

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge:
        """See `CancelRule`."""
        return _MedianJudge(self, metric, direction)


_SLOTS = 50  # points of the way at which running means are kept


class _MedianJudge(_Unpausing):
    def __init__(self, rule: MedianRule, metric: str, direction: Direction) -> None:
        self._rule, self._metric, self._direction = rule, metric, direction
        self._means: list[list[float]] = [[] for _ in range(_SLOTS + 1)]

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        done, value = progress(curve), latest(curve, self._metric)
        if done is None or value is None or done < self._rule.min_share or len(curve.steps) < self._rule.min_reports:
            return None
        means = self._means[int(done * _SLOTS)]
        if len(means) < self._rule.warmup_trials:
            return None
        ranked = [rankable(value, self._direction) for value in curve.metrics[self._metric] if not math.isnan(value)]
        best, bar = min(ranked, default=math.inf) if math.isfinite(value) else math.inf, quantile(means, 0.5)
        if not _worse(best, bar) or (math.isfinite(best) and len(ranked) < self._rule.min_reports):
            return None
        sign = 1 if self._direction == "minimize" else -1
        if not math.isfinite(best):
            return Order(kind="cancel", reason=f"{self._metric} has diverged after {done:.0%} of the steps")
        reason = (
            f"the best {self._metric} after {done:.0%} of the steps, {sign * best:.4g}, is worse than {sign * bar:.4g}, "
            f"the median of the running means of {len(means)} finished trials"
        )
        return Order(kind="cancel", reason=reason)

    def settled(self, settled: Settled, history: History) -> None:
        curve = settled.outcome.curve
        if settled.outcome.status is not Status.OK or not curve.step_target:
            return
        total, slot, known = 0.0, 0, 0
        for step, value in zip(curve.steps, curve.metrics.get(self._metric, ()), strict=False):
            come = min(_SLOTS, int(step / curve.step_target * _SLOTS))
            while slot < come:
                if known:
                    insort(self._means[slot], total / known)
                slot += 1
            if not math.isnan(value):
                total, known = total + rankable(value, self._direction), known + 1
        if known:
            for rest in self._means[slot:]:
                insort(rest, total / known)


def _worse(value: float, bar: float) -> bool:
    """Whether a value ranks behind a bar; what is not finite does even where the bar is not either."""
    return value > bar or value == float("inf")
