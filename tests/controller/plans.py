"""Plans of the tiny task, and how to run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.run import Finished, run
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.policy.random import Random
from autoresearch_rl.policy.static import Static
from autoresearch_rl.target.command import Command
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Settled
from tests.tasks import tiny_task


def plan_of(task: Task, *, policy: Any = None, telemetry: Mapping[str, Any] | None = None, **settings: Any) -> Plan:
    chosen = {"keep": StrictRule(task.objective.metric), "max_trials": 5, "grace_s": 1.0, "min_free_disk_mb": 1.0, **settings}
    return Plan(
        task=task,
        policy=policy or Random(space=task.search_space),
        target=Command(),
        settings=Settings(**chosen),
        telemetry=telemetry or {},
        config="",
        labels={"policy": "test"},
    )


def go(plan: Plan, folder: Path, name: str = "run") -> Finished:
    said: list[str] = []
    return run(plan, folder / name, cache_dir=folder / "cache", tags={}, announce=said.append)


def run_modes(folder: Path, train: str, modes: Sequence[str], **changes: Any) -> dict[str, Settled]:
    """Runs a train.py that behaves by `AR_PARAM_MODE`, the baseline in mode `good`; the settled trials by mode."""
    space = {"x": {"low": 0.0, "high": 1.0}, "mode": ["good", *modes]}
    settings = changes.pop("settings", {})
    task = tiny_task(folder / "task", {"train.py": train, **changes.pop("texts", {})}, space=space, **changes)
    policy = Static(space=task.search_space, params=[{"mode": mode} for mode in modes])
    finished = go(plan_of(task, policy=policy, max_trials=None, max_failure_rate=1.0, **settings), folder)
    assert not finished.stop.failed, finished.stop.reason
    return {str(s.trial.proposal.params["mode"]): s for s in finished.history.settled}
