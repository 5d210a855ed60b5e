"""Runs one campaign of a plan: locks the run directory, prepares data, and hands over to the live driver."""

from __future__ import annotations

import hashlib
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.hardware import cores, facts, gpu_indices
from autoresearch_rl.controller.journal import Journal
from autoresearch_rl.controller.live import Clock, Live
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.preflight import preflight
from autoresearch_rl.controller.prepare import Prepared, prepare
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.stages import Stages
from autoresearch_rl.controller.verdict import Guard
from autoresearch_rl.controller.workspace import lay_out
from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.events import Opened, StopCampaign
from autoresearch_rl.target import Target
from autoresearch_rl.target.command import Command
from autoresearch_rl.telemetry.fanout import FanOut
from autoresearch_rl.trial import History

_PACKAGES = ("autoresearch-rl", "numpy", "optuna", "cmaes", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a campaign ended: why, with which history, and where everything lies."""

    stop: StopCampaign
    history: History
    run_dir: Path

    @property
    def exit_code(self) -> int:
        """0 done, 1 campaign error, 3 no trial got a score, 128 + signal when interrupted."""
        if self.stop.failed:
            return 1
        if self.stop.signal:
            return 128 + self.stop.signal
        return 0 if self.history.leader is not None else 3


def check(plan: Plan, run_dir: Path) -> list[Problem]:
    """Everything wrong with a plan on this machine, warnings included; starts nothing."""
    settings, devices = _equipped(plan)
    return preflight(plan.task, settings, run_dir, devices)


def run(plan: Plan, run_dir: Path, *, cache_dir: Path, tags: Mapping[str, str], announce: Callable[[str], None]) -> Finished:
    """Runs the campaign to its end; prepared data is shared through `cache_dir`.

    Raises ConfigError before any trial, CampaignError where it cannot go on.
    """
    settings, devices = _checked(plan, run_dir, announce)
    run_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(run_dir, sync=settings.journal_sync))
        # Trusted stages get a launcher of their own, which no trial's process can reach through its parent.
        local = Command()
        kill = partial(_close, plan.target, local)
        stack.callback(kill)
        clock = Clock()
        prepared = prepare(plan.task, local, cache_dir, announce=announce)
        opened_s = clock()
        sources = Sources(journal.blobs)
        opened = _opened(plan, settings, sources, prepared, tags, prepare_s=opened_s)
        frozen = plan.task.frozen_texts()
        rebuild = partial(prepare, plan.task, local, cache_dir, announce=announce, rebuild=True)
        guard = _guard(run_dir, frozen, prepared, rebuild)
        campaign = Campaign(
            settings, sources, direction=plan.task.objective.direction, request=plan.task.resources, devices=devices
        )
        live = Live(
            campaign=campaign,
            journal=journal,
            proposer=Proposer(plan.policy, plan.task.search_space, settings),
            sink=stack.enter_context(FanOut(plan.telemetry, run_dir)),
            run_dir=run_dir,
            clock=clock,
            kill=kill,
            watched=settings.cancel is not None,
        )
        stages = Stages(
            task=plan.task,
            campaign=opened.campaign,
            run_dir=run_dir,
            target=plan.target,
            local=local,
            prepared=prepared,
            sources=sources,
            frozen=frozen,
            guard=guard,
            grace_s=settings.grace_s,
            keep_workspaces=settings.keep_workspaces,
            clock=clock,
            post=live.inbox.put,
        )
        stop, history = live.run(opened, stages)
    return Finished(stop=stop, history=history, run_dir=run_dir)


def _checked(plan: Plan, run_dir: Path, announce: Callable[[str], None]) -> tuple[Settings, dict[str, tuple[int, ...]]]:
    """As `_equipped`, after the checks; warnings are announced. Raises ConfigError."""
    settings, devices = _equipped(plan)
    problems = preflight(plan.task, settings, run_dir, devices)
    if any(problem.fatal for problem in problems):
        raise ConfigError(problems)
    for problem in problems:
        announce(f"warning: {problem}")
    return settings, devices


def _equipped(plan: Plan) -> tuple[Settings, dict[str, tuple[int, ...]]]:
    """The settings with the machine's resources filled in where the user names none, and its devices by resource."""
    resources = {"cpu": float(cores()), **plan.settings.resources}
    gpus = gpu_indices() if "gpu" in plan.task.resources or "gpu" in resources else ()
    if "gpu" in resources:
        gpus = gpus or tuple(range(int(resources["gpu"])))
        gpus = gpus[: int(resources["gpu"])]
    resources["gpu"] = float(len(gpus))
    return replace(plan.settings, resources=resources), {"gpu": gpus} if gpus else {}


def _opened(
    plan: Plan, settings: Settings, sources: Sources, prepared: Prepared, tags: Mapping[str, str], prepare_s: float
) -> Opened:
    task = plan.task
    frozen = {name: _sha256(content) for name, content in task.frozen_texts().items()}
    source = sources.add(task.sources())
    return Opened(
        campaign=_ulid(),
        task=task.name,
        metric=task.objective.metric,
        direction=task.objective.direction,
        progress_metric=task.objective.progress_metric,
        config=plan.config,
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        seed=settings.seed,
        hardware=facts(),
        frozen={**frozen, **{f"{part}/": digest for part, digest in prepared.hashes.items()}},
        source_hash=source,
        sources=sources.manifest(source),
        defaults=task.search_space.defaults,
        capacity=settings.capacity,
        max_trials=settings.max_trials,
        prepare_s=prepare_s,
        tags={**plan.labels, **tags},
    )


def _guard(run_dir: Path, frozen: Mapping[str, bytes], prepared: Prepared, rebuild: Callable[[], object]) -> Guard:
    """Lays out pristine copies of the frozen files for the evaluator, and watches them and the prepared data."""
    pristine = {}
    for name, content in frozen.items():
        path = run_dir / "frozen" / name
        lay_out(path, content)
        pristine[path] = content
    return Guard(pristine, dict.fromkeys((prepared.data, prepared.test, prepared.private), rebuild))


def _close(*targets: Target) -> None:
    for target in targets:
        target.close()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _ulid() -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32, so that ids sort by time."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -5, -5))
