"""Policies: they propose the next trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from autoresearch_rl.history import History
from autoresearch_rl.trial import Budget, LlmReply, LlmRequest, Proposal

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a policy is asked.

    Attributes:
        history: Everything settled and pending as of now.
        count: How many proposals could start.
        rng: Random stream derived from (campaign seed, ask number); the only source of randomness for a policy.
        budget: What is left to spend.
        complete: The only way to a language model; metered and recorded by the controller. Raises `PolicyError` where none is configured.
    """

    history: History
    count: int
    rng: np.random.Generator
    budget: Budget
    complete: Callable[[LlmRequest], LlmReply]


class Policy(Protocol):
    """Proposes trials. Called by the proposer thread, one call at a time.

    A policy is a deterministic function of its constructor's arguments and the asks. It may cache, and a fresh instance
    given the same history proposes the same. Any exception ends the ask and is journalled; three in a row end the campaign.
    """

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """Returns at most `ask.count` proposals with complete `params`; none with nothing running ends the campaign."""
        ...
