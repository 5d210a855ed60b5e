"""Grid search beyond the contract."""

from __future__ import annotations

from itertools import islice

import pytest

from autoresearch_rl.errors import ConfigError
from autoresearch_rl.policy.grid import Grid
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_campaign import simulate
from autoresearch_rl.trial import Outcome, Params, Status


def test_it_walks_the_grid_in_order_without_the_baseline() -> None:
    space = SearchSpace.from_config({"kind": ["a", "b"], "lr": {"low": 0.001, "high": 0.1, "log": True, "default": 0.01}})
    simulated = simulate(Grid(space, points_per_range=3), space, lambda params: 1.0, trials=100, concurrency=2)
    walked = [(p.params["kind"], p.params["lr"]) for asked in simulated.asks for p in asked.proposals]
    assert walked == [("a", 0.001), ("a", 0.1), ("b", 0.001), ("b", 0.01), ("b", 0.1)]
    assert len(simulated.log.settled) == 6


def test_a_huge_grid_is_walked_lazily() -> None:
    space = SearchSpace.from_config({f"x{index}": {"low": 0, "high": 1} for index in range(40)})
    simulated = simulate(Grid(space, points_per_range=10), space, lambda params: 1.0, trials=300)
    proposed = [proposal.params for asked in simulated.asks for proposal in asked.proposals]
    assert proposed == list(islice(space.cells(10), 299))


def test_what_was_lost_for_good_comes_again() -> None:
    space = SearchSpace.from_config({"x": [0, 1, 2, 3]})
    lost = [3]

    def objective(params: Params) -> Outcome:
        if params["x"] == 1 and lost[0]:
            lost[0] -= 1
            return Outcome(status=Status.LOST)
        return Outcome(status=Status.OK, score=1.0)

    simulated = simulate(Grid(space), space, objective, trials=10, concurrency=2)
    assert sorted(s.trial.proposal.params["x"] for s in simulated.log.settled) == [0, 1, 1, 2, 3]


@pytest.mark.parametrize("points", [0, -1, 2.5, True])
def test_points_must_be_a_count(points: int) -> None:
    with pytest.raises(ConfigError, match="points_per_range"):
        Grid(SearchSpace.from_config({"x": [1, 2]}), points_per_range=points)
