"""What all cancel rules share: the curves that came to their end, and how a curve is read."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoresearch_rl._core import Forecast, forecast
from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Settled, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

REFERENCES = 16  # finished curves that a forecast looks at: more add nothing but time
_USUAL = 5.0  # times the usual deviation from the usual gap: further away a curve and its score are not of one thing
_GAPS = 64  # latest finished trials that say what is usual


class Finished:
    """The curves that came to their end, which others are compared with. A curve is compared with curves only, never with scores.

    The one thing that a score says: where a curve's end is further from its score than is usual in this campaign (more than five
    times the usual deviation from the median gap, once there are four), the trial reports something else than it is scored by,
    and its curve is left out.
    """

    def __init__(self, metric: str, direction: Direction, references: int) -> None:
        """`references`: finished curves that forecasts may look at, the latest."""
        self.metric, self.direction = metric, direction
        self.ends: dict[int, float] = {}
        self.references: deque[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = deque(maxlen=references)
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._best: tuple[float, int] | None = None

    def add(self, settled: Settled) -> bool:
        """Takes the curve of a trial that ran to its end; returns whether it is one to compare with."""
        import numpy as np

        outcome = settled.outcome
        steps, values = finite_points(outcome.curve, self.metric)
        last = latest(outcome.curve, self.metric)
        diverged = last is not None and not math.isfinite(last)
        if outcome.status is not Status.OK or outcome.score is None or not len(values) or diverged:
            return False
        end = float(values[-1])
        gap, others = outcome.score - end, np.asarray(self._gaps)
        self._gaps.append(gap)
        if len(others) >= 4:
            usual = float(np.median(others))
            deviation = 1.4826 * float(np.median(np.abs(others - usual)))
            if abs(gap - usual) > _USUAL * deviation + 1e-9 * max(abs(end), abs(outcome.score)):
                return False
        self.ends[settled.trial.number] = end
        self.references.append((steps, values))
        badness = rankable(outcome.score, self.direction)
        if self._best is None or badness < self._best[0]:
            self._best = badness, settled.trial.number
        return True

    def forecast(self, steps: npt.NDArray[np.float64], values: npt.NDArray[np.float64], target: float) -> Forecast:
        """Where a curve, of shape [n], will be at step `target`."""
        return forecast(steps, values, target, reference_curves=list(self.references), direction=self.direction)

    def leader(self, history: History) -> tuple[int, float] | None:
        """The trial to beat and where its curve ended: the leader, or the best score of those kept where its curve was left out."""
        number = history.leader
        if number not in self.ends:
            number = self._best[1] if self._best is not None else None
        return None if number is None else (number, self.ends[number])

    def beats(self, end: float, bar: float) -> bool:
        """Whether a curve that ended at `end` ended better than `bar`."""
        return rankable(end, self.direction) < rankable(bar, self.direction)


class Horizon:
    """The typical number of planned steps, by the trials of the campaign, so that trials much longer than it are seen in time."""

    def __init__(self) -> None:
        self._targets: dict[int, float] = {}
        self._ordered: list[float] = []

    def typical(self, number: int, target: float) -> float:
        """The median of the planned steps of the trials asked about so far, this one included."""
        if number not in self._targets:
            self._targets[number] = target
            insort(self._ordered, target)
        return self._ordered[len(self._ordered) // 2]

    def __len__(self) -> int:
        """Trials asked about."""
        return len(self._ordered)


def finite_points(curve: Curve, metric: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Steps and values of a metric where it was reported and finite, each of shape [n]."""
    import numpy as np

    values = np.asarray(curve.metrics.get(metric, ()), dtype=np.float64)
    steps = np.asarray(curve.steps, dtype=np.float64)[: len(values)]
    known = np.isfinite(values) & np.isfinite(steps)
    return steps[known], values[known]


def progress(curve: Curve) -> float | None:
    """Share of its planned steps that a trial has made, None where it did not say how many, or has made them all."""
    target = curve.step_target
    if target is None or not curve.steps or not 0 < target < float("inf") or not 0 <= curve.steps[-1] < target:
        return None
    return curve.steps[-1] / target


def latest(curve: Curve, metric: str) -> float | None:
    """The latest value, not finite where the metric has diverged; None where nothing has been said since the value before.

    In a curve NaN is what a report left out, too: with values in every tenth report, nine NaNs say nothing. So it counts as
    diverged only when it lasts more than twice as long as between earlier values, or five reports where there is but one value.
    """
    import numpy as np

    values = curve.metrics.get(metric, ())
    if not values or not math.isnan(values[-1]):
        return values[-1] if values else None
    known = np.flatnonzero(~np.isnan(np.asarray(values, dtype=np.float64)))
    missing = len(values) - 1 - (int(known[-1]) if len(known) else -1)
    usual = 2 * (int(np.diff(known).max()) - 1) if len(known) > 1 else 4
    return math.nan if missing > usual else None


def quantile(ordered: Sequence[float], at: float) -> float:
    """Linear between the two neighbours, of values in order; they may be infinite."""
    place = at * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    if ordered[low] == ordered[high] or place == low:
        return ordered[low]
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def rankable(value: float, direction: Direction) -> float:
    """A value as what ranks by being low; what is not finite ranks last."""
    if not abs(value) < float("inf"):
        return float("inf")
    return value if direction == "minimize" else -value
