"""Cancel rules: which running trials are doomed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from autoresearch_rl._core import forecast
from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.trial import Curve, Direction, History, Order, Settled, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


REFERENCES = 12  # finished curves that a forecast looks at: more add nothing but time


class Judge(Protocol):
    """Follows the learning curves of one campaign. Called by the loop's thread; must be a deterministic function of its calls.

    Trials are known by their numbers. Neither the baseline nor repeats are reported on.
    """

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        """Returns an order for a running trial with this curve so far, None to let it go on; at most 20 times a second a trial."""
        ...

    def settled(self, settled: Settled, history: History) -> None:
        """Hears how a trial ended, the baseline and repeats too, with its whole curve; `history` holds it."""
        ...

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        """Returns which of the paused trials should go on now, the best first; asking changes nothing.

        `ending`: no new trial will come, so what is not taken up now or at a later call is given up once nothing runs any more.
        """
        ...


class CancelRule(Protocol):
    """What `controller.cancel` chooses."""

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge:
        """Begins a campaign whose curves are of `metric`. `checkpoints`: trials can be paused, so that an order may be `pause`."""
        ...


class ForecastRule:
    """Cancels a trial whose curve is forecast to end worse than the leader's did.

    Curves are compared with curves only, never with verdicts, and the progress metric is taken to have the objective's direction.
    """

    def __init__(self, below: float = 0.05, min_reports: int = 5, min_share: float = 0.2, warmup_trials: int = 4) -> None:
        """`below`: probability of ending better than the leader's curve, under which a trial is cancelled. Raises ConfigError."""
        wrong = [
            (name, value, rule)
            for name, value, legal, rule in (
                ("below", below, 0 < below < 1, "between 0 and 1"),
                ("min_reports", min_reports, min_reports >= 2, "a whole number from 2"),
                ("min_share", min_share, 0 <= min_share < 1, "from 0 to below 1"),
                ("warmup_trials", warmup_trials, warmup_trials >= 1, "a whole number from 1"),
            )
            if not legal
        ]
        if wrong:
            raise ConfigError(
                [
                    Problem(code="cancel-value", message=f"controller.cancel.{name} is {value!r}.", remedy=f"It must be {rule}.")
                    for name, value, rule in wrong
                ]
            )
        self._below, self._min_reports, self._min_share, self._warmup = below, min_reports, min_share, warmup_trials

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge:
        """See `CancelRule`."""
        return _ForecastJudge(self, metric)

    def judge(self, curve: Curve, metric: str, history: History) -> Order | None:
        """Cancels where P(ends better than the leader's curve) < `below`."""
        steps, values = finite_points(curve, metric)
        target, bar = curve.step_target, _end_of_leader(metric, history)
        if target is None or bar is None or len(history) < self._warmup or len(steps) < self._min_reports:
            return None
        if steps[-1] < self._min_share * target or steps[-1] >= target:
            return None
        seen = forecast(steps, values, target, reference_curves=_finished(metric, history), direction=history.direction)
        chance = seen.beats(bar)
        if not seen.informative or chance >= self._below:
            return None
        reason = (
            f"{metric} is forecast to end at {seen.mean:.4g} (90 %: {seen.lo90:.4g} to {seen.hi90:.4g}) after {len(steps)} reports, "
            f"the chance to beat {bar:.4g} of trial {history.leader} is {chance:.1%}"
        )
        return Order(kind="cancel", reason=reason)


class _ForecastJudge:
    def __init__(self, rule: ForecastRule, metric: str) -> None:
        self._rule, self._metric = rule, metric

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        return self._rule.judge(curve, self._metric, history)

    def settled(self, settled: Settled, history: History) -> None:
        """Reads the history when it is asked."""

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        return ()


def finite_points(curve: Curve, metric: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Steps and values of a metric where it was reported and finite, each of shape [n]."""
    import numpy as np

    values = np.asarray(curve.metrics.get(metric, ()), dtype=np.float64)
    steps = np.asarray(curve.steps, dtype=np.float64)[: len(values)]
    known = np.isfinite(values) & np.isfinite(steps)
    return steps[known], values[known]


def _finished(metric: str, history: History) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Steps and values of trials that ran to their end, the latest `REFERENCES` of those settled last."""
    settled = history.last(4 * REFERENCES)
    curves = [finite_points(each.outcome.curve, metric) for each in settled if each.outcome.status is Status.OK]
    return [curve for curve in curves if len(curve[0])][-REFERENCES:]


def _end_of_leader(metric: str, history: History) -> float | None:
    leader = history.find(history.leader) if history.leader is not None else None
    if leader is None:
        return None
    _, values = finite_points(leader.outcome.curve, metric)
    return float(values[-1]) if len(values) else None
