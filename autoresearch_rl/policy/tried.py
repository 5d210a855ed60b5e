"""Which cells of a space need not be proposed again, and how to find one that is left."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.history import History
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import ParamValue, Settled, Status, Trial

if TYPE_CHECKING:
    import numpy as np

_SAMPLES = 100
_LISTED = 10_000


class Taken:
    """Cells that need not be proposed, all of them under one source.

    Attributes:
        parent: Number of the trial whose source a proposal without a patch runs with; None if none is known.
    """

    def __init__(self, parent: int | None, settled: set[Hashable], waiting: Iterable[Hashable]) -> None:
        self.parent = parent
        self._settled, self._waiting = settled, set(waiting)

    def __contains__(self, cell: Hashable) -> bool:
        return cell in self._settled or cell in self._waiting

    def settled(self, cell: Hashable) -> bool:
        """Whether it was measured: it stays taken."""
        return cell in self._settled

    def add(self, cell: Hashable) -> None:
        """Takes a cell that is proposed in the ask at hand."""
        self._waiting.add(cell)


class Tried:
    """Reads a growing history, each settled trial once.

    Attributes:
        readings: How many histories were begun: 1 as long as each one seen continues the one before.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.readings = 1
        self._cells: dict[str, set[Hashable]] = {}
        self._read = 0
        self._last: Settled | None = None

    def at(self, history: History) -> Taken:
        """What is taken as of that history, under the source that its next proposal without a patch will run with.

        Parameters measured under another source are another experiment. Trials that were lost say nothing.
        """
        self._update(history)
        parent = parent_of(history)
        source = "" if parent is None else parent.source_hash
        waiting = [self._space.canonical(t.proposal.params) for t in history.pending if t.source_hash == source]
        return Taken(None if parent is None else parent.number, self._cells.setdefault(source, set()), waiting)

    def _update(self, history: History) -> None:
        if not self._continues(history):
            self._cells, self._read, self._last = {}, 0, None
            self.readings += 1
        for settled in history.last(len(history) - self._read):
            if _measured(settled):
                cell = self._space.canonical(settled.trial.proposal.params)
                self._cells.setdefault(settled.trial.source_hash, set()).add(cell)
            self._last = settled
        self._read = len(history)

    def _continues(self, history: History) -> bool:
        if self._last is None:
            return True
        return len(history) >= self._read and history.last(len(history) - self._read + 1)[0] is self._last


def _measured(settled: Settled) -> bool:
    """Whether it says anything about its parameters: not if it was lost, or if its patch was refused."""
    status = settled.outcome.status
    return status is not Status.LOST and not (status is Status.REJECTED and settled.trial.proposal.patch)


def parent_of(history: History) -> Trial | None:
    """The trial whose source parameters without a patch run with: the leader, else the baseline; None if neither is known."""
    number = 0 if history.leader is None else history.leader
    settled = history.find(number)
    if settled is not None:
        return settled.trial
    return next((trial for trial in history.pending if trial.number == number), None)


def untried(space: SearchSpace, taken: Taken, rng: np.random.Generator) -> dict[str, ParamValue] | None:
    """Random parameters of a cell that is not taken; None if all of a finite space are.

    Where nearly everything is taken, it is one of the first `_LISTED` cells left. In an infinite space a cell may come again
    if nearly all of the probability lies on cells that are taken.
    """
    params: dict[str, ParamValue] = {}
    for _ in range(_SAMPLES):
        params = space.sample(rng)
        if space.canonical(params) not in taken:
            return params
    if space.size is None:
        return params
    left = list(islice((cell for cell in space.cells() if space.canonical(cell) not in taken), _LISTED))
    return left[int(rng.integers(len(left)))] if left else None


def require_parameters(space: SearchSpace, policy: str) -> None:
    """Raises ConfigError if there is nothing to vary."""
    if not space.parameters:
        message = f"policy {policy} varies parameters, and the search space of the task is empty."
        remedy = "Add parameters to `space` in task.yaml, or choose a policy that changes code."
        raise ConfigError([Problem(code="policy-space-empty", message=message, remedy=remedy)])


def require_at_least(least: int, value: int, argument: str) -> None:
    """Raises ConfigError if a count among a policy's arguments is no whole number or too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        message = f"{argument} is {value!r}."
        remedy = f"Give a whole number of at least {least}."
        raise ConfigError([Problem(code="policy-argument", message=message, remedy=remedy)])
