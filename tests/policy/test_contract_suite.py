"""The exported contract has teeth: each way to break it is caught by the test made for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from autoresearch_rl.errors import PolicyError
from autoresearch_rl.policy import Ask, Policy
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_contract import SPACES, PolicyContract
from autoresearch_rl.trial import Proposal


class Breaking:
    """Draws at random, and breaks the contract in one way."""

    def __init__(self, space: SearchSpace, way: str) -> None:
        self._space, self._way, self._calls = space, way, 0

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        self._calls += 1
        proposals = [self._one(ask) for _ in range(ask.count + (self._way == "too many"))]
        if self._way == "changes history" and ask.history.settled:
            ask.history.settled[0].trial.proposal.params["lr"] = 0.05  # type: ignore[index]
        return proposals

    def _one(self, ask: Ask) -> Proposal:
        rng = ask.rng
        match self._way:
            case "own random numbers":
                rng = np.random.default_rng(random.randrange(2**32))
            case "remembers":
                rng = np.random.default_rng(self._calls)
            case "looks at hashes":
                rng = np.random.default_rng(abs(hash("text")))
            case "looks at the sign":
                rng = np.random.default_rng([int((s.outcome.score or 0.0) > 0) for s in ask.history.settled])
        proposal = Proposal(params=self._space.sample(rng), source="breaking")
        match self._way:
            case "incomplete":
                proposal = replace(proposal, params=dict(list(proposal.params.items())[1:]))
            case "outside":
                proposal = replace(proposal, params={**proposal.params, "lr": 5.0})
            case "large memo":
                proposal = replace(proposal, memo={"state": "x" * 5000})
            case "memo of tuples":
                proposal = replace(proposal, memo={"state": (1, 2)})
            case "silent":
                proposal = replace(proposal, source="")
        return proposal


@pytest.mark.parametrize(
    ("way", "test"),
    [
        ("too many", PolicyContract.test_proposals_are_complete_inside_the_space_and_no_more_than_asked_for),
        ("incomplete", PolicyContract.test_proposals_are_complete_inside_the_space_and_no_more_than_asked_for),
        ("outside", PolicyContract.test_proposals_are_complete_inside_the_space_and_no_more_than_asked_for),
        ("silent", PolicyContract.test_proposals_are_complete_inside_the_space_and_no_more_than_asked_for),
        ("large memo", PolicyContract.test_a_memo_is_small_json),
        ("memo of tuples", PolicyContract.test_a_memo_is_small_json),
        ("own random numbers", PolicyContract.test_a_fresh_instance_proposes_the_same),
        ("remembers", PolicyContract.test_a_fresh_instance_proposes_the_same),
        ("remembers", PolicyContract.test_remembering_changes_nothing),
        ("remembers", PolicyContract.test_asks_may_come_again_in_any_order),
        ("changes history", PolicyContract.test_nothing_is_changed_by_an_ask),
        ("looks at the sign", PolicyContract.test_direction_is_only_a_sign),
    ],
)
def test_breaking_is_caught(way: str, test: Callable[[PolicyContract, SearchSpace], None]) -> None:
    class Contract(PolicyContract):
        def make(self, space: SearchSpace) -> Policy:
            return Breaking(space, way)

    with pytest.raises((AssertionError, PolicyError)):
        test(Contract(), SPACES["mixed"])


@pytest.mark.parametrize(
    ("way", "test"),
    [
        ("looks at hashes", PolicyContract.test_another_process_proposes_the_same),
        ("repeats cells", PolicyContract.test_a_small_space_comes_to_an_end),
    ],
)
def test_breaking_is_caught_without_a_space(way: str, test: Callable[[PolicyContract], None]) -> None:
    class Contract(PolicyContract):
        def make(self, space: SearchSpace) -> Policy:
            return Breaking(space, way)

    with pytest.raises(AssertionError):
        test(Contract())


def test_a_pending_cell_proposed_again_is_caught() -> None:
    class Contract(PolicyContract):
        def make(self, space: SearchSpace) -> Policy:
            return Breaking(space, "repeats cells")

    with pytest.raises(AssertionError):
        Contract().test_pending_trials_are_taken_into_account(SPACES["finite"])


def test_a_policy_that_repeats_cells_may_say_so() -> None:
    class Contract(PolicyContract):
        repeats_cells = True

        def make(self, space: SearchSpace) -> Policy:
            return Breaking(space, "repeats cells")

    Contract().test_a_small_space_comes_to_an_end()
