"""A trial that was paused has run in parts: one outcome of them all."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from autoresearch_rl.trial import Curve, Outcome


def joined(parts: Sequence[Outcome], last: Outcome) -> Outcome:
    """The outcome of a trial that was paused: `last` with the time, usage, spans and curve of the parts before it."""
    if not parts:
        return last
    every = [*parts, last]
    usage: dict[str, float] = {}
    for part in every:
        for name, amount in part.usage.items():
            usage[name] = max(usage.get(name, 0.0), amount) if name.startswith("peak_") else usage.get(name, 0.0) + amount
    return replace(
        last,
        elapsed_s=sum(part.elapsed_s for part in every),
        usage=usage,
        spans=tuple(span for part in every for span in part.spans),
        curve=_end_to_end([part.curve for part in every if part.curve.steps]),
        reported=last.reported or parts[-1].reported,
    )


def _end_to_end(curves: Sequence[Curve]) -> Curve:
    """One curve: of each part, what lies before the first step of the next one, with the seconds of training running on."""
    if not curves:
        return Curve()
    steps: list[float] = []
    elapsed_s: list[float] = []
    names = sorted({name for curve in curves for name in curve.metrics})
    metrics: dict[str, list[float]] = {name: [] for name in names}
    before_s = 0.0
    for curve, after in zip(curves, [*curves[1:], None], strict=True):
        kept = len(curve.steps) if after is None else bisect_left(curve.steps, after.steps[0])
        steps += curve.steps[:kept]
        elapsed_s += [before_s + second for second in curve.elapsed_s[:kept]]
        for name in names:
            metrics[name] += curve.metrics.get(name, (math.nan,) * kept)[:kept]
        before_s += curve.elapsed_s[-1]
    return Curve(
        steps=tuple(steps),
        elapsed_s=tuple(elapsed_s),
        metrics={name: tuple(values) for name, values in metrics.items()},
        step_target=curves[-1].step_target,
    )
