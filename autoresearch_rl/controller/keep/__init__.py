"""Keep rules: what is kept and what is discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from autoresearch_rl.history import History
from autoresearch_rl.trial import Budget, Decision, Outcome

REPEAT = "keep rule"
"""`Proposal.source` of the repeats that a keep rule asks for."""


class KeepRule(Protocol):
    """Called by the loop's thread after each settled trial, which is the last of `history`; must be deterministic."""

    def __call__(self, history: History, budget: Budget) -> Sequence[Decision]:
        """Returns decisions about candidates; the latest for a candidate holds. `budget` is what is left now."""
        ...

    def trials_needed(self) -> float:
        """The fewest trials in all with which it can confirm what is better, infinite if none would do; asked before any starts."""
        ...


def no_score(outcome: Outcome) -> str:
    """The reason of a decision about a trial that ended without a score."""
    return f"{outcome.status}: {outcome.message.splitlines()[0] if outcome.message else 'no score'}"
