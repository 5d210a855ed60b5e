"""The contract that every policy keeps, as a test class for plugin authors:

from autoresearch_rl.testing.policy_contract import PolicyContract

class TestMyPolicy(PolicyContract):
def make(self, space):
return MyPolicy(space)
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import ClassVar, Literal

import numpy as np
import pytest

from autoresearch_rl.policy import Ask, Policy
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_campaign import Asked, Fresh, Simulated, simulate, through_json
from autoresearch_rl.testing.policy_process import as_text
from autoresearch_rl.trial import Curve, Outcome, Params, Proposal, Status
from autoresearch_rl.waiting import PERSON

SPACES: Mapping[str, SearchSpace] = {
    "mixed": SearchSpace.from_config(
        {
            "lr": {"low": 1e-4, "high": 1e-1, "log": True},
            "width": {"low": 8, "high": 512, "log": True, "int": True},
            "dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
            "nesterov": [True, False],
            "kernel": [1, 1.5, "auto"],
            "epochs": 3,
        }
    ),
    "conditional": SearchSpace.from_config(
        {
            "optimizer": ["sgd", "adam"],
            "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": "sgd"}},
            "schedule": {"choices": ["none", "cosine"], "when": {"optimizer": "sgd"}},
            "warmup": {"low": 1, "high": 9, "int": True, "when": {"schedule": "cosine"}},
            "beta": {"low": 0.8, "high": 0.99, "when": {"optimizer": "adam"}},
            "lr": {"low": 1e-4, "high": 1e-1, "log": True},
        }
    ),
    "continuous": SearchSpace.from_config({name: {"low": -1.0, "high": 1.0} for name in ("x", "y", "z")}),
    "finite": SearchSpace.from_config({"depth": {"low": 1, "high": 4, "int": True}, "norm": ["batch", "layer"]}),
}


def score(params: Params) -> float:
    """A smooth objective over any space, lowest in the middle of things."""
    return sum((_number(value) - 0.3) ** 2 for value in params.values())


class PolicyContract:
    """Override `make`; set the attributes where the defaults do not fit.

    Attributes:
        kinds: Which of `SPACES` the policy can work on.
        trials: Trials of each simulated campaign.
        repeats_cells: Whether the policy may propose a cell again that is settled or pending, and so never ends by itself.
        memo_bytes: Largest memo as JSON.
    """

    kinds: ClassVar[Sequence[str]] = tuple(SPACES)
    trials: ClassVar[int] = 16
    repeats_cells: ClassVar[bool] = False
    memo_bytes: ClassVar[int] = 2000

    def make(self, space: SearchSpace) -> Policy:
        """A new instance; all instances must be equal in what they propose."""
        raise NotImplementedError

    @pytest.fixture(params=tuple(SPACES))
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        """Each space that the policy can work on."""
        if request.param not in self.kinds:
            pytest.skip(f"the policy does not work on {request.param} spaces")
        return SPACES[request.param]

    def run(
        self, space: SearchSpace, *, concurrency: int = 3, direction: Literal["minimize", "maximize"] = "minimize"
    ) -> Simulated:
        """A campaign of the policy on `score`, or its negative if it is maximised."""
        sign = 1 if direction == "minimize" else -1
        return simulate(
            self.make(space),
            space,
            lambda params: sign * score(params),
            trials=self.trials,
            concurrency=concurrency,
            seed=7,
            direction=direction,
        )

    def test_it_proposes_something(self, space: SearchSpace) -> None:
        """The first ask, right after the baseline, is answered."""
        assert self.run(space).asks[0].proposals

    def test_proposals_are_complete_inside_the_space_and_no_more_than_asked_for(self, space: SearchSpace) -> None:
        """Also after the journal, which tells 1 from 1.0 and True; and each says where it comes from."""
        for asked in self.run(space).asks:
            assert len(asked.proposals) <= asked.count
            for proposal in asked.proposals:
                assert space.check(proposal.params) == ""
                assert space.check(through_json(proposal).params) == ""
                assert proposal.source

    def test_a_memo_is_small_json(self, space: SearchSpace) -> None:
        """It comes back from the journal as it was."""
        for asked in self.run(space).asks:
            for proposal in asked.proposals:
                assert through_json(proposal).memo == proposal.memo
                assert len(json.dumps(dict(proposal.memo))) <= self.memo_bytes

    def test_a_fresh_instance_proposes_the_same(self, space: SearchSpace) -> None:
        """Each ask is answered alike by an instance that saw all asks before, and by one that saw none."""
        for asked in self.run(space).asks:
            assert _answer(self.make(space), asked) == as_text(asked.proposals)

    def test_asks_may_come_again_in_any_order(self, space: SearchSpace) -> None:
        """What an instance remembers of other histories does not show."""
        asks = [*self.run(space).asks, *self.run(space, concurrency=1).asks]
        policy = self.make(space)
        for asked in [*reversed(asks), *asks[:3]]:
            assert _answer(policy, asked) == as_text(asked.proposals)

    def test_another_process_proposes_the_same(self) -> None:
        """With another hash seed; it needs the policy to be picklable."""
        spaces = [SPACES[kind] for kind in self.kinds]
        last = [[asked for asked in self.run(space).asks if asked.proposals][-1] for space in spaces]
        sent = [(self.make(space), asked.ask()) for space, asked in zip(spaces, last, strict=True)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "4711"}
        command = [sys.executable, "-m", "autoresearch_rl.testing.policy_process"]
        done = subprocess.run(command, input=pickle.dumps(sent), env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().splitlines() == [as_text(asked.proposals) for asked in last]

    def test_pending_trials_are_taken_into_account(self, space: SearchSpace) -> None:
        """No cell is proposed that waits, runs, or was proposed in the same ask, unless as a repeat of a trial."""
        if self.repeats_cells:
            pytest.skip("the policy may propose a cell again")
        for asked in self.run(space, concurrency=5).asks:
            cells = [space.canonical(trial.proposal.params) for trial in asked.history.pending]
            for proposal in asked.proposals:
                if proposal.repeat_of is None:
                    assert space.canonical(proposal.params) not in cells
                    cells.append(space.canonical(proposal.params))

    def test_nothing_is_changed_by_an_ask(self, space: SearchSpace) -> None:
        """History and space are the same before and after."""
        asked = simulate(_Drawing(space), space, score, trials=self.trials, concurrency=3, seed=5).asks[-1]
        before = pickle.dumps((asked.history.settled, asked.history.decisions, asked.history.pending, space.parameters))
        _answer(self.make(space), asked)
        assert before == pickle.dumps((asked.history.settled, asked.history.decisions, asked.history.pending, space.parameters))

    def test_trials_may_end_in_any_way(self, space: SearchSpace) -> None:
        """Failed, cancelled with and without a curve, lost: the policy goes on, and a fresh instance agrees."""
        outcomes = cycle([*ENDINGS, Outcome(status=Status.OK, score=1.0), Outcome(status=Status.OK, score=2.0)])
        simulated = simulate(
            self.make(space), space, lambda _: next(outcomes), trials=self.trials, concurrency=2, seed=3
        )  # the baseline is cancelled: a campaign may begin without a score
        assert len(simulated.log.settled) == 1 + sum(len(asked.proposals) for asked in simulated.asks)
        for asked in simulated.asks:
            assert all(space.check(proposal.params) == "" for proposal in asked.proposals)
            assert _answer(self.make(space), asked) == as_text(asked.proposals)

    def test_trials_that_others_proposed_are_coped_with(self, space: SearchSpace) -> None:
        """A person enqueues trials that the policy did not propose, patched ones too, whose memo is empty."""
        visited = simulate(_Visited(self.make(space), space), space, score, trials=2 * self.trials, concurrency=3, seed=11)
        own = 0
        for asked in visited.asks:
            theirs = [proposal for proposal in asked.proposals if proposal.source == PERSON]
            proposed = asked.proposals[len(theirs) :]
            assert all(space.check(proposal.params) == "" for proposal in proposed)
            if asked.count > len(theirs):
                fresh = self.make(space).propose(replace(asked.ask(), count=asked.count - len(theirs)))
                assert as_text(fresh) == as_text(proposed)
            own += len(proposed)
        assert own > 0

    def test_a_small_space_comes_to_an_end(self) -> None:
        """All cells are tried, each once, and then nothing is proposed; a policy that repeats cells just does not hang."""
        space = SPACES["finite"]
        if "finite" not in self.kinds:
            pytest.skip("the policy does not work on finite spaces")
        assert space.size is not None
        simulated = simulate(self.make(space), space, score, trials=3 * space.size, concurrency=3)
        cells = [space.canonical(settled.trial.proposal.params) for settled in simulated.log.settled]
        if not self.repeats_cells:
            assert len(set(cells)) == len(cells) <= space.size
            assert simulated.asks[-1].proposals == ()

    def test_direction_is_only_a_sign(self, space: SearchSpace) -> None:
        """Maximising the negative proposes what minimising proposes."""
        lower, higher = self.run(space), self.run(space, direction="maximize")
        assert [as_text(asked.proposals) for asked in lower.asks] == [as_text(asked.proposals) for asked in higher.asks]

    def test_remembering_changes_nothing(self, space: SearchSpace) -> None:
        """A campaign whose policy is made anew for each ask is the same campaign."""
        fresh = simulate(Fresh(lambda: self.make(space)), space, score, trials=self.trials, concurrency=3, seed=7)
        assert fresh.scores == self.run(space).scores


ENDINGS: Sequence[Outcome] = (
    Outcome(status=Status.CANCELLED, curve=Curve(steps=(1.0, 2.0), elapsed_s=(0.1, 0.2), metrics={"loss": (1.0, float("nan"))})),
    Outcome(status=Status.CANCELLED),
    Outcome(status=Status.FAILED, message="exit code 1"),
    Outcome(status=Status.LOST),
    Outcome(status=Status.TIMEOUT),
    Outcome(status=Status.REJECTED),
    Outcome(status=Status.TAMPERED),
)


class _Drawing:
    """Draws without a look at anything."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        return [Proposal(params=self._space.sample(ask.rng), source="drawing") for _ in range(ask.count)]


class _Visited:
    """A policy beside which a person proposes something at every third ask."""

    def __init__(self, policy: Policy, space: SearchSpace) -> None:
        self._policy, self._space = policy, space

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        seen = len(ask.history) + len(ask.history.pending)
        theirs: list[Proposal] = []
        if seen % 3 == 1:
            params = self._space.sample(np.random.default_rng(seen))
            patch = "a patch" if seen % 2 else ""
            theirs = [Proposal(params=params, patch=patch, parent=0, source=PERSON, rationale="I think so")]
        rest = ask.count - len(theirs)
        return [*theirs, *(self._policy.propose(replace(ask, count=rest)) if rest else ())]


def _answer(policy: Policy, asked: Asked) -> str:
    proposals: Sequence[Proposal] = policy.propose(asked.ask())
    return as_text(proposals)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (bool, int, float)) else len(str(value)) / 10
