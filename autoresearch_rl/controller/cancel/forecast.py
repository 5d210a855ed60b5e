"""Cancels by forecast alone, and learns from the campaign how far its forecasts can be believed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from autoresearch_rl._core import Forecast, forecast
from autoresearch_rl.controller.cancel import Judge
from autoresearch_rl.controller.cancel.curves import Finished, finite_points, latest, progress
from autoresearch_rl.controller.checking import check_values, counts, share
from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Order, Settled, Status

REFERENCES = 16  # finished curves that a forecast looks at: more add nothing but time
_FURTHER = 0.02  # of its steps that a trial must have come before it is looked at again, so at most 50 forecasts a trial
_CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of finished curves, at which it is seen how wide forecasts must be
_ERRORS = 48  # latest of those, at each cut
_LEAST_ERRORS = 8
_LEAST_REPORTS = 5

Array = npt.NDArray[np.float64]


class ForecastRule:
    """Cancels a trial whose curve is forecast to end worse than the leader's did.

    Curves are compared with curves only, never with verdicts, and the progress metric is taken to have the objective's direction.
    From eight finished curves on the forecasts are as wide as these say (see `Widths`), and the bar falls where a forecast that
    would have cancelled a trial did not come true (see `Care`).
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


class Widths:
    """How wide forecasts have to be, by the campaign's finished curves (split conformal prediction with normalised errors).

    Each is forecast at nine cuts of its way when it has finished, with those that had finished before; its error counts in half
    widths of the 90 % interval. With n errors, the ceil(0.9 (n + 1))-th smallest (the largest, where there is none) is what half
    widths have to be multiplied by so that the interval holds 90 % of curves like these. Lei, G'Sell, Rinaldo, Tibshirani,
    Wasserman (2018), *Distribution-free predictive inference for regression*.
    """

    def __init__(self) -> None:
        self._errors: tuple[deque[float], ...] = tuple(deque(maxlen=_ERRORS) for _ in _CUTS)

    def measure(self, steps: Array, values: Array, references: Sequence[tuple[Array, Array]], direction: Direction) -> None:
        """Forecasts a finished curve at all cuts, from five reports on."""
        for cut, share_done in enumerate(_CUTS):
            count = int(np.searchsorted(steps, share_done * steps[-1], side="right"))
            if _LEAST_REPORTS <= count < len(steps):
                seen = forecast(steps[:count], values[:count], steps[-1], reference_curves=list(references), direction=direction)
                self.add(cut, seen, float(values[-1]))

    def add(self, cut: int, seen: Forecast, end: float) -> None:
        """Takes the forecast of a finished curve at a cut, and where it ended."""
        half = (seen.hi90 - seen.lo90) / 2
        if seen.informative and half > 0:
            self._errors[cut].append(abs(end - seen.mean) / half)

    def factor(self, done: float) -> float:
        """What half widths have to be multiplied by at a share of the way; 1 before eight curves are known."""
        errors = sorted(self._errors[min(range(len(_CUTS)), key=lambda cut: abs(_CUTS[cut] - done))])
        if len(errors) < _LEAST_ERRORS:
            return 1.0
        return errors[min(len(errors), math.ceil(0.9 * (len(errors) + 1))) - 1]

    def chance(self, seen: Forecast, bar: float, done: float) -> float:
        """Probability that a curve ends better than `bar`, with the forecast made as wide as it has to be."""
        return seen.beats(seen.mean + (bar - seen.mean) / max(self.factor(done), 1e-9))


class _ForecastJudge:
    def __init__(self, rule: ForecastRule, metric: str, direction: Direction) -> None:
        self._rule, self._metric, self._direction = rule, metric, direction
        self._finished = Finished(metric, direction, REFERENCES)
        self._widths, self._care = Widths(), Care(rule.below)
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
        chance = self._widths.chance(seen, end, done)
        if not seen.informative or chance >= rule.below:
            return None
        self._condemned.add(number)
        if chance >= self._care.bar:
            return None
        reason = (
            f"{self._metric} is forecast to end at {seen.mean:.4g} (90 %: {seen.lo90:.4g} to {seen.hi90:.4g}) after {len(steps)} "
            f"reports, the chance to beat {end:.4g} of trial {leader} is {chance:.1%}, below {self._care.bar:.1%}"
        )
        return Order(kind="cancel", reason=reason)

    def settled(self, settled: Settled, history: History) -> None:
        number, bar = settled.trial.number, self._finished.leader(history)
        self._looked.pop(number, None)
        condemned = number in self._condemned
        self._condemned.discard(number)
        before = list(self._finished.references)
        kept = self._finished.add(settled)
        if condemned and bar is not None and settled.outcome.status is Status.OK and (kept or not self._ends(settled)):
            self._care.hear(beat=kept and self._finished.beats(self._finished.ends[number], bar[1]))
        if kept:
            steps, values = finite_points(settled.outcome.curve, self._metric)
            self._widths.measure(steps, values, before, self._direction)

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        return ()

    def _ends(self, settled: Settled) -> bool:
        """Whether a curve has an end that could be compared, although it is not kept."""
        return bool(len(finite_points(settled.outcome.curve, self._metric)[0]))
