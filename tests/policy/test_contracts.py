"""Every policy of ours keeps the exported contract."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autoresearch_rl.policy import Policy
from autoresearch_rl.policy.grid import Grid
from autoresearch_rl.policy.optimizer import CmaEs, Tpe
from autoresearch_rl.policy.random import Random
from autoresearch_rl.policy.static import Static
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_campaign import simulate
from autoresearch_rl.testing.policy_contract import PolicyContract


class TestRandom(PolicyContract):
    def make(self, space: SearchSpace) -> Policy:
        return Random(space)


class TestGrid(PolicyContract):
    def make(self, space: SearchSpace) -> Policy:
        return Grid(space, points_per_range=3)


class TestStatic(PolicyContract):
    def make(self, space: SearchSpace) -> Policy:
        rng = np.random.default_rng(0)
        return Static(space, params=[space.sample(rng) for _ in range(9)])


class TestTpe(PolicyContract):
    def make(self, space: SearchSpace) -> Policy:
        return Tpe(space, n_startup_trials=5)


class TestCmaEs(PolicyContract):
    def make(self, space: SearchSpace) -> Policy:
        return CmaEs(space, population=4)


@pytest.mark.parametrize("make", [Random, Grid, Tpe, CmaEs])
def test_the_widest_ranges_allowed_are_no_trouble(make: Callable[[SearchSpace], Policy]) -> None:
    most = 2**48
    space = SearchSpace.from_config(
        {
            "whole": {"low": -most, "high": most, "int": True},
            "log_whole": {"low": 1, "high": most, "int": True, "log": True},
            "stepped": {"low": 0, "high": most, "int": True, "step": 2},
            "real": {"low": -1e307, "high": 1e307},
            "log": {"low": 1e-300, "high": 1e300, "log": True},
        }
    )
    simulated = simulate(make(space), space, lambda params: abs(float(params["whole"])), trials=25, concurrency=3)
    assert {space.check(settled.trial.proposal.params) for settled in simulated.log.settled} == {""}
