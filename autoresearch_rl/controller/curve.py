"""Collects the reports of one attempt into a compact curve."""

from __future__ import annotations

import math
from itertools import pairwise

from autoresearch_rl.trial import Curve, Progress

_MOST_POINTS = 1000
_SHOWN_EVERY_S = 0.05
_EMPTY = Curve()


class CurveBuilder:
    """Keeps at most twice the points of a compact curve, whatever the number of reports."""

    def __init__(self) -> None:
        self._points: list[Progress] = []
        self._stride = self._skipped = 1
        self._last: Progress | None = None
        self._metrics: dict[str, float] = {}
        self._times_s: list[float] = []
        self._shown_s = -math.inf

    def add(self, progress: Progress, now_s: float) -> bool:
        """Adds a report; returns whether it is worth showing, which is at most 20 times a second.

        A report that goes back in steps is heard, but no point of the curve.
        """
        self._metrics, self._times_s = dict(progress.metrics), [*self._times_s[-20:], now_s]
        if self._last is not None and progress.step < self._last.step:
            return False
        self._last = progress
        if self._skipped >= self._stride:
            self._points.append(progress)
            self._skipped = 0
        self._skipped += 1
        if len(self._points) > 2 * _MOST_POINTS:
            self._points, self._stride = self._points[::2], self._stride * 2
        shown = now_s - self._shown_s >= _SHOWN_EVERY_S
        self._shown_s = now_s if shown else self._shown_s
        return shown

    @property
    def last(self) -> dict[str, float]:
        """Metrics of the last report."""
        return self._metrics

    @property
    def intervals_s(self) -> list[float]:
        """Seconds between the latest reports."""
        return [after - before for before, after in pairwise(self._times_s)]

    def build(self) -> Curve:
        """The curve, thinned evenly, the last report kept."""
        if self._last is None:
            return _EMPTY
        points = self._points
        while len(points) > _MOST_POINTS:
            points = points[::2]
        if not points or points[-1] is not self._last:
            points = [*points, self._last]
        names = sorted({name for point in points for name in point.metrics})
        return Curve(
            steps=tuple(point.step for point in points),
            elapsed_s=tuple(point.elapsed_s for point in points),
            metrics={name: tuple(point.metrics.get(name, math.nan) for point in points) for name in names},
            step_target=self._last.step_target,
        )
