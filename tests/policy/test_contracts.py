"""Every policy of ours keeps the exported contract."""

from __future__ import annotations

import numpy as np

from autoresearch_rl.policy import Policy
from autoresearch_rl.policy.grid import Grid
from autoresearch_rl.policy.optimizer import CmaEs, Tpe
from autoresearch_rl.policy.random import Random
from autoresearch_rl.policy.static import Static
from autoresearch_rl.space import SearchSpace
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
