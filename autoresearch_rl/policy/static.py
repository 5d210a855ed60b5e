"""Given parameters, in the order given: to run one thing, or to measure the same thing several times."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.history import History
from autoresearch_rl.parameter import Range
from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.tried import parent_of, require_at_least
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Params, ParamValue, Proposal, Status


class Static:
    """Proposes each assignment until it has been measured `repeats` times, then nothing.

    What the history holds counts, whoever proposed it: with the defaults and one repeat the baseline is all there is.
    Measurements after an assignment's first are repeats of that trial, under other seeds.
    """

    def __init__(
        self,
        space: SearchSpace,
        params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        repeats: int = 1,
        patch: str = "",
    ) -> None:
        """`params`: one assignment or a list of them, defaults filled in; None for the defaults alone.

        `patch` is applied to the user's own files in each; without one, trials run the leader's source.
        Raises ConfigError that lists every assignment outside the space.
        """
        require_at_least(1, repeats, "policy.repeats")
        listed = isinstance(params, Sequence) and not isinstance(params, str)
        given: list[Any] = list(params or [{}]) if listed or params is None else [params]
        self._space, self._repeats, self._patch = space, repeats, patch
        self._wanted: dict[Hashable, Params] = {}
        problems = []
        for number, assignment in enumerate(given):
            wrong, complete = _complete(space, assignment)
            if wrong:
                where = f"policy.params[{number}]" if listed else "policy.params"
                said, _, remedy = wrong.partition(": ")
                remedy = f"{remedy[:1].upper()}{remedy[1:]}"
                problems.append(Problem(code="policy-params", message=f"{where}: {said}.", remedy=remedy))
            else:
                self._wanted.setdefault(space.canonical(complete), complete)
        if problems:
            raise ConfigError(problems)

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """What is still to be measured, at most `ask.count`: first every assignment once, then their repeats."""
        measured = self._measured(ask.history)
        trial = parent_of(ask.history)
        parent = 0 if self._patch else None if trial is None else trial.number
        proposals: list[Proposal] = []
        for cell, params in self._wanted.items():
            if cell not in measured:
                proposals.append(Proposal(params=params, patch=self._patch, parent=parent, source="static", rationale="given"))
        for repeat in range(1, self._repeats):
            for cell, params in self._wanted.items():
                if cell in measured and len(measured[cell]) <= repeat:
                    root = min(measured[cell])
                    said = f"measurement {repeat + 1} of {self._repeats} of trial {root}"
                    again = Proposal(params=params, parent=root, repeat_of=root, source="static", rationale=said)
                    proposals.append(replace(again, patch=self._patch, parent=0) if self._patch else again)
        return proposals[: ask.count]

    def _measured(self, history: History) -> dict[Hashable, list[int]]:
        """For each cell, the number of the candidate's first trial, once for each measurement made or under way."""
        parent = parent_of(history)
        source = "" if parent is None else parent.source_hash
        measured: dict[Hashable, list[int]] = {}
        settled = (s.trial for s in history.settled if s.outcome.status is not Status.LOST)
        for trial in chain(settled, history.pending):
            if trial.proposal.patch == self._patch if self._patch else trial.source_hash == source:
                measured.setdefault(self._space.canonical(trial.proposal.params), []).append(trial.candidate)
        return measured


def _complete(space: SearchSpace, assignment: Mapping[str, Any]) -> tuple[str, dict[str, ParamValue]]:
    """What is wrong with an assignment (empty if nothing is), and it with the defaults filled in and whole numbers as floats."""
    if not isinstance(assignment, Mapping):
        return f"{assignment!r} is no assignment: give a mapping of names to values.", {}
    complete = {**space.defaults, **assignment}
    wrong = space.check(complete)
    if not wrong:
        for parameter in space.parameters:
            if isinstance(parameter, Range) and not parameter.integer:
                complete[parameter.name] = float(complete[parameter.name])
    return wrong, complete
