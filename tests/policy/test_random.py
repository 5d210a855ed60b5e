"""Random search beyond the contract."""

from __future__ import annotations

from autoresearch_rl.history import HistoryLog
from autoresearch_rl.policy.random import Random
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_campaign import Asked, simulate
from autoresearch_rl.trial import Budget, Outcome, Params, Proposal, Status, Trial


def test_the_last_cell_of_a_large_space_is_found() -> None:
    space = SearchSpace.from_config({"x": {"low": 1, "high": 30, "int": True}, "y": {"low": 1, "high": 20, "int": True}})
    simulated = simulate(Random(space), space, lambda params: 1.0, trials=700, concurrency=7)
    assert len({space.canonical(settled.trial.proposal.params) for settled in simulated.log.settled}) == 600
    assert len(simulated.log.settled) == 600
    assert simulated.asks[-1].proposals == ()


def test_rare_cells_are_found_where_drawing_would_hardly_meet_them() -> None:
    # Half of all draws are the one cell `flat`, and low numbers take most of the rest.
    space = SearchSpace.from_config(
        {"shape": ["flat", "deep"], "depth": {"low": 1, "high": 400, "int": True, "log": True, "when": {"shape": "deep"}}}
    )
    simulated = simulate(Random(space), space, lambda params: 1.0, trials=500, concurrency=2)
    assert len(simulated.log.settled) == space.size == 401


def test_an_infinite_space_with_one_finite_corner_goes_on() -> None:
    config = {"kind": ["a", "b"], "x": {"low": 0, "high": 1, "when": {"kind": "b"}}}
    space = SearchSpace.from_config(config)
    simulated = simulate(Random(space), space, lambda params: 1.0, trials=40)
    assert [settled.trial.proposal.params["kind"] for settled in simulated.log.settled].count("a") == 1


def test_what_was_lost_for_good_may_come_again() -> None:
    space = SearchSpace.from_config({"x": [0, 1, 2]})
    lost = [3]

    def objective(params: Params) -> Outcome:
        if params["x"] == 2 and lost[0]:
            lost[0] -= 1
            return Outcome(status=Status.LOST)
        return Outcome(status=Status.OK, score=1.0)

    simulated = simulate(Random(space), space, objective, trials=10)
    ends = [(settled.trial.proposal.params["x"], settled.outcome.status) for settled in simulated.log.settled]
    assert ends.count((2, Status.LOST)) == ends.count((2, Status.OK)) == 1
    assert len(ends) == 4


def test_a_refused_patch_says_nothing_of_its_parameters() -> None:
    space = SearchSpace.from_config({"x": [0, 1]})
    log = HistoryLog("minimize")
    for number, (x, patch, status) in enumerate([(0, "", Status.OK), (1, "a patch", Status.REJECTED)]):
        trial = Trial(number=number, proposal=Proposal(params={"x": x}, patch=patch), seed=0, source_hash="same")
        log.submit(trial)
        log.settle(trial, Outcome(status=status, score=1.0 if status is Status.OK else None))
    asked = Asked(history=log.view(), count=2, seed=(1, 1), budget=Budget())
    assert [dict(proposal.params) for proposal in Random(space).propose(asked.ask())] == [{"x": 1}]


def test_ten_thousand_trials_cost_an_ask_no_more_than_ten() -> None:
    space = SearchSpace.from_config({"x": {"low": 0, "high": 1}})
    simulated = simulate(Random(space), space, lambda params: 1.0, trials=10_000)
    assert len(simulated.log.settled) == 10_000
