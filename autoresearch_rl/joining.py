"""What a trial comes to that took several attempts: parts of one that was paused, measurements that did not count."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from autoresearch_rl.events import Incomparable
from autoresearch_rl.trial import Conditions, Curve, Outcome, Status


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
        conditions=_of_all(every),
    )


def remarked(outcome: Outcome, said: Sequence[Incomparable]) -> Outcome:
    """The outcome of a trial's last attempt, where some were found incomparable: they stand in its message.

    One that may not be measured again has failed, and nothing of what it measured is left that somebody could compare.
    """
    if not said:
        return outcome
    if said[-1].then == "fail":
        outcome = replace(
            outcome,
            status=Status.FAILED,
            score=None,
            metrics={},
            reported={},
            curve=Curve(),
            verdict=None,
            message=said[-1].reason,
        )
        said = said[:-1]
    remarks = [
        remark.reason if remark.then == "accept" else f"attempt {remark.attempt} did not count: {remark.reason}"
        for remark in reversed(said)  # the latest first, which is what is shown where there is room for one line
    ]
    return replace(outcome, message="\n".join([*([outcome.message] if outcome.message else []), *remarks]))


def _of_all(parts: Sequence[Outcome]) -> Conditions | None:
    """Conditions of all parts, each weighing as much as it trained; on several machines in turn that is a class of its own."""
    known = [(part.conditions, max(_trained_s(part), 1e-9)) for part in parts if part.conditions is not None]
    if not known:
        return None
    contended = [(conditions.contention, seconds) for conditions, seconds in known if conditions.contention is not None]
    total_s = sum(seconds for _, seconds in contended)
    return Conditions(
        hardware=", then ".join(dict.fromkeys(conditions.hardware for conditions, _ in known)),
        contention=sum(share * seconds for share, seconds in contended) / total_s if contended else None,
    )


def _trained_s(part: Outcome) -> float:
    return sum(span.ended_s - span.begun_s for span in part.spans if span.stage == "train")


def _end_to_end(curves: Sequence[Curve]) -> Curve:
    """One curve: of each part, what lies before the first step of the next one, with the seconds of training running on."""
    if not curves:  # attempts that were lost before they reported
        return Curve()
    steps: list[float] = []
    elapsed_s: list[float] = []
    names = sorted({name for curve in curves for name in curve.metrics})
    metrics: dict[str, list[float]] = {name: [] for name in names}
    before_s = 0.0
    for curve, after in zip_longest(curves, curves[1:]):
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
