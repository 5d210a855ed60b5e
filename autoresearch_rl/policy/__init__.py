"""Policies: they propose the next trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from autoresearch_rl.trial import Ask, Proposal


class Policy(Protocol):
    """Proposes trials. Called by the proposer thread, one call at a time.

    A policy is a deterministic function of its constructor's arguments and the asks. It may cache, and a fresh instance
    given the same history proposes the same. Any exception ends the ask and is journalled; three in a row end the campaign.
    """

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """Returns at most `ask.count` proposals with complete `params`; none with nothing running ends the campaign."""
        ...
