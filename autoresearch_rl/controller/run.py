"""Runs one campaign of a plan: locks the run directory, prepares data, and hands over to the live driver."""

from __future__ import annotations

import hashlib
import logging
import platform
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.comparability import check_hardware
from autoresearch_rl.controller.hardware import cores, facts
from autoresearch_rl.controller.inbox import drop_stop_requests, request_id, waiting_requests
from autoresearch_rl.controller.journal import Blobs, Journal, all_kept, read
from autoresearch_rl.controller.leases import Leases
from autoresearch_rl.controller.live import Clock, Live
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.preflight import preflight
from autoresearch_rl.controller.prepare import Prepared, prepare
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.resuming import first, replay, restore, takeover_events
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.spending import check_budgets, limits_of, stage_timeouts
from autoresearch_rl.controller.stages import Stages
from autoresearch_rl.controller.verdict import Guard
from autoresearch_rl.controller.workspace import attempt_folder, last_sign_of_life, lay_out_all
from autoresearch_rl.errors import ConfigError, EvaluatorError, Problem
from autoresearch_rl.events import AskPolicy, Entry, Event, Opened, Proposed, Requested, Resumed, StopCampaign, Terms
from autoresearch_rl.history import History
from autoresearch_rl.target import Target
from autoresearch_rl.target.command import Command
from autoresearch_rl.target.gpus import listed, visible
from autoresearch_rl.telemetry.fanout import FanOut
from autoresearch_rl.trial import Trial
from autoresearch_rl.waiting import PERSON

_LOG = logging.getLogger(__name__)
_CLOSE_S = 20.0
_PACKAGES = ("autoresearch-rl", "numpy", "optuna", "cmaes", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a campaign ended.

    Attributes:
        stop: Why.
        history: Its trials.
        run_dir: Where everything lies.
        spent: In one line, empty if nothing was.
        untried: How many proposals of people wait for a resume.
    """

    stop: StopCampaign
    history: History
    run_dir: Path
    spent: str = ""
    untried: int = 0

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
    return [*preflight(plan.task, settings, run_dir, devices), *check_budgets(_terms(plan, settings), _gpus(plan))]


def run(plan: Plan, run_dir: Path, *, cache_dir: Path, tags: Mapping[str, str], announce: Callable[[str], None]) -> Finished:
    """Runs the campaign to its end; prepared data is shared through `cache_dir`.

    Raises ConfigError before any trial, CampaignError where it cannot go on.
    """
    settings, devices = _checked(plan, run_dir, announce)
    run_dir.mkdir(parents=True, exist_ok=True)
    with _Site.open(plan, run_dir, cache_dir, announce) as site:
        opened = _opened(site, settings, devices, tags)
        return site.drive(site.campaign(settings, devices), settings, opened, deque(), [opened])


def resume(plan: Plan, run_dir: Path, *, limits: Mapping[str, Any], cache_dir: Path, announce: Callable[[str], None]) -> Finished:
    """Takes a campaign up again, as if it had not been interrupted, with some limits of `Settings` changed.

    `plan` is made from the configuration in the journal. Raises ConfigError where the task is no longer the same,
    JournalError where the journal is broken, CampaignError where the campaign cannot go on.
    """
    with _Site.open(plan, run_dir, cache_dir, announce) as site:
        with all_kept():
            entries = list(read(run_dir))
            opened = first(entries)
            site.check_same(opened)
            check_hardware(opened, entries, site.hardware)
            site.sources.adopt(opened.source_hash, opened.sources)
            settings = equipped_as(plan.settings, opened)
            campaign = site.campaign(settings, opened.devices)
            past = restore(campaign, entries, site.journal)
        earlier = (e.record.limits for e in entries if isinstance(e.record, Resumed))
        settings = replace(settings, **{name: value for changed in (*earlier, limits) for name, value in changed.items()})
        if problems := check_budgets(replace(opened.terms, limits=limits_of(settings)), _gpus(plan)):
            raise ConfigError(problems)
        drop_stop_requests(run_dir)
        lived_s = partial(_lived_s, run_dir, sum(opened.terms.timeouts.values()))
        begin = takeover_events(past, limits, lambda t: attempt_folder(run_dir, t.number, t.attempt).is_dir(), lived_s)
        return site.drive(campaign, settings, opened, deque(past), begin)


def replay_run(plan: Plan, run_dir: Path) -> str:
    """Feeds a run directory's journal to a fresh reducer and policy; returns a sentence on what was compared.

    Raises JournalError with the first difference. Proposals may differ, and the first that does is told, where the libraries
    that they depend on have other versions than then, or this is another processor.
    """
    entries = list(read(run_dir))
    opened = first(entries)
    sources = Sources(Blobs(run_dir / "blobs"))
    sources.adopt(opened.source_hash, opened.sources)
    task, settings = plan.task, equipped_as(plan.settings, opened)
    direction: Any = opened.direction
    campaign = Campaign(settings, sources, direction=direction, request=task.request, devices=opened.devices)
    proposer = Proposer(plan.policy, task.search_space, settings)

    def answer(effect: AskPolicy, elapsed_s: float) -> Proposed:
        return proposer.answer(effect, campaign.log.view(), campaign.budget(elapsed_s))

    changed, differing = _changed(opened), list[str]()
    rest = replay(campaign, entries, answer, differing.append if changed else None)
    what = "decision" if differing else "decision and proposal"
    notes = [f"{len(entries)} entries: every {what} came out the same"]
    if differing:
        notes.append(f"{len(differing)} answers of the policy differ, as they may since {changed}; the first: {differing[0]}")
    if rest:
        notes.append(f"the last event's {len(rest)} decisions were not written before the end")
    return "; ".join(notes)


def _changed(opened: Opened) -> str:
    """What proposals depend on and is not as it was when the campaign was opened; empty if all is."""
    now = {**_versions(), "cpu": facts()["cpu"]}
    then = {**opened.versions, **{name: cpu for name, cpu in opened.hardware.items() if name == "cpu"}}
    return ", ".join(f"{name} was {was}" for name, was in sorted(then.items()) if now.get(name) != was)


def equipped_as(settings: Settings, opened: Opened) -> Settings:
    """The settings with the resources that the campaign was opened with, whatever machine this is."""
    return replace(settings, resources={name: amount for name, amount in opened.capacity.items() if name != "trial"})


@dataclass(frozen=True, kw_only=True)
class _Site:
    """What one controller holds for as long as it runs a campaign."""

    plan: Plan
    run_dir: Path
    cache_dir: Path
    journal: Journal
    local: Target
    kill: Callable[[], None]
    prepared: Prepared
    prepare_s: float
    sources: Sources
    guard: Guard
    frozen: Mapping[str, bytes]
    hardware: Mapping[str, str]

    @classmethod
    @contextmanager
    def open(cls, plan: Plan, run_dir: Path, cache_dir: Path, announce: Callable[[str], None]) -> Iterator[_Site]:
        """Locks the run directory, prepares the data; whatever was started is killed at the end."""
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(run_dir, sync=plan.settings.journal_sync))
            # Trusted stages get a launcher of their own, which no trial's process can reach through its parent.
            local = Command()
            kill = partial(_close, plan.target, local)
            stack.callback(kill)
            clock = Clock()
            prepared = prepare(plan.task, local, cache_dir, announce=announce)
            frozen = plan.task.frozen_texts()
            again = partial(prepare, plan.task, local, cache_dir, announce=announce, rebuild=True)
            yield cls(
                plan=plan,
                run_dir=run_dir,
                cache_dir=cache_dir,
                journal=journal,
                local=local,
                kill=kill,
                prepared=prepared,
                prepare_s=clock(),
                sources=Sources(journal.blobs),
                guard=_guard(run_dir, frozen, prepared, partial(_rebuild, prepared, again)),
                frozen=frozen,
                hardware=facts(),
            )

    @property
    def frozen_hashes(self) -> dict[str, str]:
        """SHA-256 of the frozen files and of the prepared folders, by name."""
        files = {name: hashlib.sha256(content).hexdigest() for name, content in self.frozen.items()}
        return {**files, **{f"{part}/": digest for part, digest in self.prepared.hashes.items()}}

    def check_same(self, opened: Opened) -> None:
        """Raises ConfigError naming what of the frozen half differs from when the campaign was opened."""
        now = self.frozen_hashes
        changed = sorted(name for name in now.keys() | opened.frozen.keys() if now.get(name) != opened.frozen.get(name))
        if changed:
            message = f"{', '.join(changed)} of task {opened.task} is not what it was when the campaign began."
            remedy = "Restore it, or start a new campaign: scores of different evaluators or data cannot be compared."
            raise ConfigError([Problem(code="frozen-changed", message=message, remedy=remedy)])

    def campaign(self, settings: Settings, devices: Mapping[str, Sequence[int]]) -> Campaign:
        """A fresh reducer."""
        task = self.plan.task
        return Campaign(settings, self.sources, direction=task.objective.direction, request=task.request, devices=devices)

    def drive(
        self, campaign: Campaign, settings: Settings, opened: Opened, past: deque[Entry], begin: Sequence[Event]
    ) -> Finished:
        """Runs to the end; on the way the sinks are shown what happened before."""
        plan, clock = self.plan, Clock(past[-1].elapsed_s if past else self.prepare_s)
        with FanOut(plan.telemetry, self.run_dir) as sink:
            live = Live(
                campaign=campaign,
                journal=self.journal,
                proposer=Proposer(plan.policy, plan.task.search_space, settings),
                sink=sink,
                run_dir=self.run_dir,
                clock=clock,
                kill=self.kill,
                past=past,
                taken=[request_id(entry.record) for entry in past if isinstance(entry.record, Requested)],
            )
            stages = Stages(
                task=plan.task,
                campaign=opened.campaign,
                run_dir=self.run_dir,
                target=plan.target,
                local=self.local,
                prepared=self.prepared,
                sources=self.sources,
                frozen=self.frozen,
                guard=self.guard,
                grace_s=settings.grace_s,
                keep_workspaces=settings.keep_workspaces,
                leases=Leases(self.cache_dir.parent),
                hardware=self.hardware,
                clock=clock,
                post=live.inbox.put,
            )
            stop, history = live.run(begin, stages)
        spent = campaign.spending.meter.line(clock())
        proposals = (*campaign.held, *(trial.proposal for trial in history.pending))
        untried = sum(proposal.source == PERSON for proposal in proposals) + len(waiting_requests(self.run_dir))
        return Finished(stop=stop, history=history, run_dir=self.run_dir, spent=spent, untried=untried)


def _checked(plan: Plan, run_dir: Path, announce: Callable[[str], None]) -> tuple[Settings, dict[str, tuple[int, ...]]]:
    """As `_equipped`, after the checks; warnings are announced. Raises ConfigError."""
    settings, devices = _equipped(plan)
    problems = check(plan, run_dir)
    if any(problem.fatal for problem in problems):
        raise ConfigError(problems)
    for problem in problems:
        announce(f"warning: {problem}")
    return settings, devices


def _equipped(plan: Plan) -> tuple[Settings, dict[str, tuple[int, ...]]]:
    """The settings with what trials need of this machine filled in where the user names none, and its devices by resource."""
    needed, named = plan.task.resources, plan.settings.resources
    resources = {"cpu": float(cores()), **named} if "cpu" in needed else dict(named)
    if "gpu" not in needed and "gpu" not in named:
        return replace(plan.settings, resources=resources), {}
    gpus = tuple(gpu.index for gpu in visible(listed()))
    if "gpu" in named:
        gpus = (gpus or tuple(range(int(named["gpu"]))))[: int(named["gpu"])]
    return replace(plan.settings, resources={**resources, "gpu": float(len(gpus))}), {"gpu": gpus} if gpus else {}


def _opened(site: _Site, settings: Settings, devices: Mapping[str, tuple[int, ...]], tags: Mapping[str, str]) -> Opened:
    plan, task = site.plan, site.plan.task
    source = site.sources.add(task.sources())
    return Opened(
        campaign=_ulid(),
        task=task.name,
        metric=task.objective.metric,
        direction=task.objective.direction,
        progress_metric=task.objective.progress_metric,
        config=plan.config,
        versions=_versions(),
        seed=settings.seed,
        hardware=site.hardware,
        frozen=site.frozen_hashes,
        source_hash=source,
        sources=site.sources.manifest(source),
        defaults=task.search_space.defaults,
        capacity=settings.capacity,
        devices=devices,
        checkpoints=task.checkpoints,
        time_budgeted=task.objective.time_budgeted,
        max_trials=settings.max_trials,
        terms=_terms(plan, settings),
        prepare_s=site.prepare_s,
        cwd=str(Path.cwd()),
        tags={**plan.labels, **tags},
    )


def _terms(plan: Plan, settings: Settings) -> Terms:
    needed = {"trial": 1.0, **plan.task.resources}
    place = {name: amount for name, amount in needed.items() if name not in plan.task.resources}
    return Terms(
        limits=limits_of(settings),
        timeouts=stage_timeouts(plan.task),
        usd_per_h=plan.target.price(needed),
        released_usd_per_h=plan.target.price(place) or 0.0,
    )


def _gpus(plan: Plan) -> float:
    return plan.task.resources.get("gpu", 0.0)


def _lived_s(run_dir: Path, most_s: float, trial: Trial, started_at: str) -> float:
    """Seconds between the start of an attempt and its last sign of life; at most `most_s`, as clocks may have been set."""
    lived_s = last_sign_of_life(run_dir, trial.number, trial.attempt) - datetime.fromisoformat(started_at).timestamp()
    return round(min(max(0.0, lived_s), most_s), 3)


def _guard(run_dir: Path, frozen: Mapping[str, bytes], prepared: Prepared, rebuild: Callable[[], object]) -> Guard:
    """Lays out pristine copies of the frozen files for the evaluator, and watches them and the prepared data."""
    again = partial(lay_out_all, run_dir / "frozen", frozen)
    again()
    return Guard({run_dir / "frozen": again, **dict.fromkeys((prepared.data, prepared.test, prepared.private), rebuild)})


def _rebuild(prepared: Prepared, again: Callable[[], Prepared]) -> None:
    """Builds the prepared data again. Raises EvaluatorError where it is not what it was."""
    rebuilt = again()
    if (rebuilt.path, rebuilt.hashes) != (prepared.path, prepared.hashes):
        raise EvaluatorError(
            f"the prepared data in {prepared.path} was changed or deleted, and what was built again is not the same "
            "(its seed or manifest is gone too); start another campaign, whose scores cannot be compared with this one's"
        )


def _close(*targets: Target, limit_s: float = _CLOSE_S) -> None:
    """Closes targets. One that hangs is given up and named: it must not keep the campaign from ending."""
    for target in targets:
        closing = threading.Thread(target=target.close, name="close", daemon=True)
        closing.start()
        closing.join(limit_s)
        if closing.is_alive():
            name = type(target).__name__
            _LOG.warning(
                "target %s has not closed within %g s; look for processes of this campaign that still run", name, limit_s
            )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _ulid() -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32, so that ids sort by time."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -5, -5))
