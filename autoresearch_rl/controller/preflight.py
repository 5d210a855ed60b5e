"""What can be known to go wrong before any trial starts: everything at once, each with a code and a remedy."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from autoresearch_rl._core import Pool
from autoresearch_rl.controller.journal import begun
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import PoolError, Problem
from autoresearch_rl.task import Task


def preflight(task: Task, settings: Settings, run_dir: Path, devices: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    """Problems of a plan on this machine; warnings among them have `fatal=False`. `settings` with the machine's resources filled in."""
    problems = task.check()
    problems += _check_resources(task, settings, devices)
    problems += _check_run_dir(run_dir, settings.min_free_disk_mb)
    problems += _check_reports(task, settings)
    problems += _check_time_budget(task, settings)
    problems += _check_keep(settings)
    if settings.max_wall_s is not None and task.timeouts.trial_s > settings.max_wall_s:
        message = f"A trial may take {task.timeouts.trial_s:g} s (task.timeouts), the campaign {settings.max_wall_s:g} s (controller.max_wall_s)."
        remedy = "Shorten task.timeouts.train_s, or give the campaign more time."
        problems.append(Problem(code="timeout-longer-than-campaign", message=message, remedy=remedy, fatal=False))
    return problems


def _check_resources(task: Task, settings: Settings, devices: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    try:
        pool = Pool(settings.capacity, devices)
        pool.submit(0, {"trial": 1.0, **task.request})
    except PoolError as error:
        remedy = "Lower task.resources, or say what the machine has, e.g. controller.resources={gpu: 2}."
        return [Problem(code="resources-never-fit", message=f"A trial can never start: {error}.", remedy=remedy)]
    return []


def _check_run_dir(run_dir: Path, floor_mb: float) -> list[Problem]:
    if begun(run_dir):
        message = f"{run_dir} already holds the journal of a campaign."
        remedy = "Choose another folder with hydra.run.dir=DIR."
        return [Problem(code="run-dir-used", message=message, remedy=remedy)]
    existing = run_dir.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        message = f"The run directory {run_dir} cannot be written ({existing})."
        return [Problem(code="run-dir-not-writable", message=message, remedy="Choose another with hydra.run.dir=DIR.")]
    free_mb = shutil.disk_usage(existing).free / 1e6
    if free_mb < floor_mb:
        message = f"Only {free_mb:.0f} MB are free in {existing}, less than controller.min_free_disk_mb={floor_mb:g}."
        return [Problem(code="disk-full", message=message, remedy="Free some space, or lower the floor.")]
    return []


def _check_time_budget(task: Task, settings: Settings) -> list[Problem]:
    """Warnings about what makes scores of a time-budgeted task incomparable."""
    if not task.objective.time_budgeted:
        return []
    problems = []
    if settings.concurrency > 1 and not any(task.resources.get(name) for name in ("cpu", "gpu")):
        message = f"Task {task.name} is time-budgeted, and {settings.concurrency} trials at a time may take CPUs from each other."
        remedy = "Say what keeps them apart, e.g. task.resources={cpu: 2}, or set controller.concurrency=1."
        problems.append(Problem(code="time-budget-shared", message=message, remedy=remedy, fatal=False))
    if not Path("/proc/self/schedstat").exists():
        message = f"Task {task.name} is time-budgeted, but this system does not tell how long a process waits for a CPU."
        remedy = "Keep other work off the machine: only the class of hardware is compared."
        problems.append(Problem(code="contention-unknown", message=message, remedy=remedy, fatal=False))
    return problems


def _check_keep(settings: Settings) -> list[Problem]:
    needed, most = settings.keep.trials_needed(), math.inf if settings.max_trials is None else settings.max_trials
    if most <= 2 or (needed <= most and needed < math.inf):  # of two trials nobody expects more than their scores
        return []
    if needed == math.inf:
        message, more = "controller.keep can confirm nothing, as its confirm_share allows no repeats.", "Allow some"
    else:
        message = (
            f"controller.keep can confirm nothing in {most:g} trials where scores vary with the seed: that takes {needed:g}."
        )
        more = f"Set controller.max_trials={needed:g} or more, raise controller.keep.confirm_share"
    remedy = f"{more}, or choose controller/keep=strict, which believes any better score."
    return [Problem(code="confirms-nothing", message=message, remedy=remedy, fatal=False)]


def _check_reports(task: Task, settings: Settings) -> list[Problem]:
    goal = task.objective
    if settings.cancel is None or task.check():
        return []
    if settings.cancel.follow(goal.progress_metric, goal.direction, checkpoints=task.checkpoints) is None:
        return []
    if any("emit_progress" in text or "AR_PROGRESS_FILE" in text for text in task.sources().values()):
        return []
    message = f"No emit_progress is found in {', '.join(task.files.mutable)}, but controller.cancel needs reports."
    remedy = "Call emit_progress in the training loop, or set controller/cancel=off."
    return [Problem(code="no-progress", message=message, remedy=remedy, fatal=False)]
