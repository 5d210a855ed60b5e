"""Random search: uniform over choices and ranges, no cell twice while untried ones are left."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.tried import Tried, require_parameters, untried
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Proposal


class Random:
    """Proposes random parameters, and nothing once each cell of a finite space was tried or waits."""

    def __init__(self, space: SearchSpace) -> None:
        """Raises ConfigError for an empty space."""
        require_parameters(space, "random")
        self._space = space
        self._tried = Tried(space)

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """Up to `ask.count` cells, none of them settled or pending; fewer where no more are left."""
        taken = self._tried.at(ask.history)
        proposals: list[Proposal] = []
        for _ in range(ask.count):
            params = untried(self._space, taken, ask.rng)
            if params is None:
                break
            taken.add(self._space.canonical(params))
            proposals.append(Proposal(params=params, parent=taken.parent, source="random", rationale="drawn at random"))
        return proposals
