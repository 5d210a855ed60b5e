"""A campaign in memory: a policy against an objective that is a function. For tests of policies, ours and others'."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from autoresearch_rl.errors import PolicyError
from autoresearch_rl.history import History, HistoryLog
from autoresearch_rl.policy import Ask, Policy
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Budget, Decision, LlmReply, LlmRequest, Outcome, Params, Proposal, Status, Trial

Objective = Callable[[Params], float | Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One ask of a campaign, which can be asked again, and what was proposed.

    Attributes:
        history: As it was then; a view, so that later trials do not show.
        seed: Of the ask's random stream.
    """

    history: History
    count: int
    seed: tuple[int, int]
    budget: Budget
    proposals: tuple[Proposal, ...] = ()

    def ask(self) -> Ask:
        """The ask, with its random stream at the start."""
        rng = np.random.default_rng(self.seed)
        return Ask(history=self.history, count=self.count, rng=rng, budget=self.budget, complete=no_model)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulated campaign left: its record, and every ask in order."""

    log: HistoryLog
    asks: Sequence[Asked] = field(default_factory=list)

    @property
    def scores(self) -> list[float]:
        """Known scores in the order settled."""
        return [settled.outcome.score for settled in self.log.settled if settled.outcome.score is not None]

    @property
    def best(self) -> float:
        """The best score, infinitely bad if there is none."""
        sign = 1 if self.log.direction == "minimize" else -1
        return sign * min((sign * score for score in self.scores), default=float("inf"))


class Fresh:
    """A policy made anew for every ask, so that it can remember nothing."""

    def __init__(self, make: Callable[[], Policy]) -> None:
        self._make = make

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """What a new instance proposes."""
        return self._make().propose(ask)


def simulate(
    policy: Policy,
    space: SearchSpace,
    objective: Objective,
    *,
    trials: int,
    concurrency: int = 1,
    seed: int = 0,
    direction: Literal["minimize", "maximize"] = "minimize",
) -> Simulated:
    """Runs a campaign of at most `trials` trials, the baseline among them, `concurrency` at a time.

    What runs settles in random order, drawn from `seed`. The objective returns a score, or an outcome: one that is lost runs
    again as the next attempt. Proposals pass through JSON as in the journal. What scores best leads. The campaign ends when
    nothing is proposed and nothing runs. Raises PolicyError for more proposals than asked for.
    """
    campaign = _Campaign(HistoryLog(direction), objective)
    asks: list[Asked] = []
    order = np.random.default_rng((seed, 0))
    campaign.submit(Proposal(params=space.defaults, source="baseline"))
    campaign.settle(0)
    while True:
        view = campaign.log.view()
        count = min(concurrency - len(view.pending), trials - campaign.numbers)
        proposals: tuple[Proposal, ...] = ()
        if count > 0:
            asked = Asked(history=view, count=count, seed=(seed, 1 + len(asks)), budget=Budget(trials=trials - campaign.numbers))
            proposals = tuple(policy.propose(asked.ask()))
            if len(proposals) > count:
                raise PolicyError(f"the policy made {len(proposals)} proposals where {count} were asked for")
            asks.append(replace(asked, proposals=proposals))
        for proposal in proposals:
            campaign.submit(through_json(proposal))
        waiting = campaign.log.view().pending
        if not waiting:
            return Simulated(campaign.log, asks)
        campaign.settle(waiting[int(order.integers(len(waiting)))].number)


def no_model(_: LlmRequest) -> LlmReply:
    """Stands in for the language model. Raises PolicyError."""
    raise PolicyError("this policy needs a language model, and the simulated campaign has none")


def through_json(proposal: Proposal) -> Proposal:
    """The proposal as the journal gives it back. Raises ValueError or TypeError for what is no JSON."""
    params, memo = (json.loads(json.dumps(dict(part), allow_nan=False)) for part in (proposal.params, proposal.memo))
    return replace(proposal, params=params, memo=memo)


class _Campaign:
    def __init__(self, log: HistoryLog, objective: Objective) -> None:
        self.log = log
        self.numbers = 0
        self._objective = objective

    def submit(self, proposal: Proposal) -> None:
        source = "the user's files" if not proposal.patch else f"patched in trial {self.numbers}"
        self.log.submit(Trial(number=self.numbers, proposal=proposal, seed=0, source_hash=source))
        self.numbers += 1

    def settle(self, number: int) -> None:
        trial = next(trial for trial in self.log.view().pending if trial.number == number)
        result = self._objective(trial.proposal.params)
        outcome = result if isinstance(result, Outcome) else Outcome(status=Status.OK, score=result)
        if outcome.status is Status.LOST and trial.attempt < 3:
            self.log.submit(replace(trial, attempt=trial.attempt + 1))
            return
        self.log.settle(trial, outcome)
        view = self.log.view()
        leader = None if view.leader is None else view.candidate(view.leader)
        root = trial.candidate
        mine = view.candidate(root)
        if mine is not None and mine.mean is not None:
            leads = leader is None or leader.mean is None or view.better(mine.mean, leader.mean)
            self.log.decide(Decision(candidate=root, verdict="keep" if leads else "discard", reason="simulated", leads=leads))
