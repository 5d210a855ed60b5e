"""Grid search: every combination of values, in a fixed order."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import chain

from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.tried import Tried, require_at_least, require_parameters
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Params, Proposal


class Grid:
    """Proposes the cells of a grid one by one, the last parameter varying fastest; those measured or waiting are left out.

    The grid is walked lazily: its size costs nothing.
    """

    def __init__(self, space: SearchSpace, points_per_range: int = 5) -> None:
        """`points_per_range`: values that stand for a range, evenly spread (in the logarithm where `log`), its ends among them.

        Raises ConfigError for an empty space or no points.
        """
        require_parameters(space, "grid")
        require_at_least(1, points_per_range, "policy.points_per_range")
        self._space, self._points = space, points_per_range
        self._tried = Tried(space)
        self._walked: tuple[int | None, int] | None = None
        self._walk: Iterator[Params] = iter(())
        self._passed: list[tuple[Hashable, Params]] = []  # walked over, but not settled: a lost one may have to come again

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """The next cells of the grid, at most `ask.count`; none at its end."""
        taken = self._tried.at(ask.history)
        if self._walked != (taken.parent, self._tried.readings):
            self._walked = taken.parent, self._tried.readings
            self._walk, self._passed = self._space.cells(self._points), []
        proposals: list[Proposal] = []
        before = iter(self._passed)
        kept: list[tuple[Hashable, Params]] = []
        fresh = ((self._space.canonical(params), params) for params in self._walk)
        for cell, params in chain(before, fresh):
            if taken.settled(cell):
                continue
            kept.append((cell, params))
            if cell not in taken:
                proposals.append(Proposal(params=params, parent=taken.parent, source="grid", rationale="next on the grid"))
            if len(proposals) == ask.count:
                break
        self._passed = [*kept, *before]
        return proposals
