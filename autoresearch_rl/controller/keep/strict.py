"""The keep rule where scores hardly vary: what beats the leader is kept at once."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch_rl.controller.keep import no_score
from autoresearch_rl.history import History
from autoresearch_rl.trial import Budget, Decision, Status


class StrictRule:
    """What beats the leader is kept at once; one lucky seed is enough, so use it only where scores do not vary."""

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def __call__(self, history: History, budget: Budget) -> Sequence[Decision]:
        """Returns one decision, about the candidate of the trial that settled last."""
        (last,) = history.last(1)
        number = last.trial.candidate
        candidate = history.candidate(number)
        if candidate is None or candidate.mean is None or last.outcome.status is not Status.OK:
            return [Decision(candidate=number, verdict="discard", reason=no_score(last.outcome))]
        mine = f"{self._metric} {candidate.mean:.6g}"
        evidence = {"mean": candidate.mean, "n": float(candidate.n)}
        leader = history.candidate(history.leader) if history.leader is not None else None
        if leader is None or leader.mean is None:
            reason = f"{mine} is the baseline" if number == 0 else f"{mine} is the first score"
            return [Decision(candidate=number, verdict="keep", reason=reason, leads=True, evidence=evidence)]
        evidence["leader_mean"] = leader.mean
        if number == leader.number:
            return [Decision(candidate=number, verdict="keep", reason=f"{mine} leads", leads=True, evidence=evidence)]
        if history.better(candidate.mean, leader.mean):
            reason = f"{mine} beats {leader.mean:.6g} of trial {leader.number}"
            return [Decision(candidate=number, verdict="keep", reason=reason, leads=True, evidence=evidence)]
        reason = f"{mine} does not beat {leader.mean:.6g} of trial {leader.number}"
        return [Decision(candidate=number, verdict="discard", reason=reason, evidence=evidence)]

    def trials_needed(self) -> float:
        """The baseline, and one that beats it."""
        return 2
