"""Each YAML file of the group makes a policy that keeps to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

import autoresearch_rl
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_campaign import simulate

FOLDER = Path(autoresearch_rl.__file__).parent / "conf" / "policy"
OURS = ("static", "grid", "random", "tpe", "cmaes")
SPACE = SearchSpace.from_config({"lr": {"low": 0, "high": 1}, "kind": ["a", "b"]})


@pytest.mark.parametrize("name", OURS)
def test_yaml_makes_a_policy_that_runs(name: str) -> None:
    policy = instantiate(OmegaConf.load(FOLDER / f"{name}.yaml"))(space=SPACE)
    simulated = simulate(policy, SPACE, lambda params: float(params["lr"]), trials=6, concurrency=2)
    assert len(simulated.log.settled) == (1 if name == "static" else 6)
    assert {s.trial.proposal.source for s in simulated.log.settled} <= {"baseline", name}


def test_static_takes_lists_from_yaml() -> None:
    config = OmegaConf.merge(OmegaConf.load(FOLDER / "static.yaml"), {"params": [{"lr": 0.1}, {"kind": "b"}]})
    simulated = simulate(instantiate(config)(space=SPACE), SPACE, lambda params: 1.0, trials=6)
    assert [s.trial.proposal.params["lr"] for s in simulated.log.settled] == [0.5, 0.1, 0.5]


def test_making_a_policy_imports_no_optuna() -> None:
    script = (
        "import sys; from autoresearch_rl.policy.optimizer import CmaEs, Tpe; from autoresearch_rl.space import SearchSpace\n"
        "space = SearchSpace.from_config({'x': {'low': 0, 'high': 1}}); Tpe(space); CmaEs(space)\n"
        "print(sorted(sys.modules.keys() & {'optuna', 'cmaes', 'scipy', 'numpy', 'torch'}))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
