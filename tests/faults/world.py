"""Campaigns whose controller dies at a chosen byte of its journal, on the virtual clock with a journal on the real disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.cancel.halving import HalvingRule
from autoresearch_rl.controller.journal import Journal, encode, read
from autoresearch_rl.controller.keep import KeepRule
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.resuming import replay, restore, takeover_events
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.spending import limits_of
from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Effect,
    Entry,
    Event,
    Failed,
    Interrupted,
    Opened,
    Paused,
    Proposed,
    Record,
    Released,
    Requested,
    Resumed,
    SettledEvent,
    StartTrial,
    StopCampaign,
    Terms,
)
from autoresearch_rl.history import History
from autoresearch_rl.metering import MICRO, Meter
from autoresearch_rl.policy import Ask
from autoresearch_rl.testing.simulation import FakeRun, Simulation, opening
from autoresearch_rl.trial import (
    Budget,
    Conditions,
    Curve,
    Decision,
    Direction,
    Order,
    Outcome,
    Progress,
    Proposal,
    Settled,
    Status,
    Trial,
)
from autoresearch_rl.waiting import PERSON, Waiting
from tests.controller.campaigns import FILES, SPACE, Condemning, ok

ASK_S = 0.3
TRIALS = 7


class Crash(BaseException):
    """The controller is dead: nothing catches this but the test."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a controller dies: around its `write`-th write (from 1), or within it after a share `torn` of the line's bytes."""

    write: int
    when: Literal["before", "after", "torn"]
    torn: float = 0.0

    def __str__(self) -> str:
        return f"{self.when}-{self.write}" + (f"-{self.torn:g}" if self.when == "torn" else "")


class DyingJournal(Journal):
    """A journal whose writer dies at a point."""

    def __init__(self, run_dir: Path, point: Point | None) -> None:
        super().__init__(run_dir)
        self._point, self.writes = point, 0

    def _sync_groups(self) -> None:
        """Processes die here, not machines: what a process has written stays without."""

    def append(self, record: Record, elapsed_s: float) -> Entry:
        self.writes += 1
        dies = self._point is not None and self.writes == self._point.write
        if dies and self._point is not None and self._point.when == "torn":
            line = encode(Entry(seq=self._seq, at="torn", elapsed_s=elapsed_s, record=record), self.blobs)
            with self.path.open("ab") as stream:
                stream.write(line[: max(1, min(len(line) - 1, round(self._point.torn * len(line))))])
        if dies and self._point is not None and self._point.when != "after":
            raise Crash
        entry = super().append(record, elapsed_s)
        if dies:
            raise Crash
        return entry


@dataclass
class World:
    """What exists outside of the controllers: processes that were started. They die with their controller."""

    spawned: set[tuple[int, int]] = field(default_factory=set)
    alive: set[tuple[int, int]] = field(default_factory=set)
    most_alive: int = 0

    def spawn(self, trial: Trial) -> None:
        key = (trial.number, trial.attempt)
        assert key not in self.spawned, f"attempt {key} was started twice"
        assert trial.number not in {number for number, _ in self.alive}, f"trial {trial.number} runs twice at once"
        self.spawned.add(key)
        self.alive.add(key)
        self.most_alive = max(self.most_alive, len(self.alive))


@dataclass
class Controller(Simulation):
    """One controller's life: the virtual clock, with the journal on disk and processes in the world."""

    journal: DyingJournal | None = None
    world: World = field(default_factory=World)

    def _write(self, record: Record) -> int:
        assert self.journal is not None
        entry = self.journal.append(record, self.now_s)
        self.entries.append(entry)
        return entry.seq

    def _later(self, when_s: float, event: Event) -> None:
        super()._later(round(when_s, 6), event)  # as the journal has it

    def _stale(self, event: Event) -> bool:
        stale = super()._stale(event)
        if isinstance(event, Released):
            return (event.number, event.attempt) not in self._live or (event.number, event.attempt) in self._ordered
        if isinstance(event, SettledEvent | Paused) and not stale:
            self.world.alive.discard((event.number, event.attempt))
        return stale

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, StartTrial):
            assert any(effect is entry.record for entry in self.entries[-20:]), "it is written before it is carried out"
            self.world.spawn(effect.trial)
        super()._carry_out(effect)
        if isinstance(effect, StartTrial) and "gpu" in effect.resources:
            trial = effect.trial
            early_s = 0.6 * self._live[trial.number, trial.attempt].seconds
            self._later(self.now_s + early_s, Released(number=trial.number, attempt=trial.attempt, resources=("gpu",)))


class Uniform:
    """Proposes uniformly, as the history and the budget have it; fails on some asks where `fails`."""

    def __init__(self, fails: float = 0.0) -> None:
        self._fails = fails

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        if ask.rng.uniform() < self._fails:
            raise RuntimeError("no idea")
        left = ask.budget.trials or 0
        return [Proposal(params={"x": float(ask.rng.uniform())}, memo={"left": left}) for _ in range(ask.count)]


class CancelSome(Condemning):
    """Cancels every third trial once it has reported twice."""

    def doomed(self, curve: Curve) -> Order | None:
        doomed = len(curve.steps) >= 2 and curve.metrics[self.metric][-1] > 0.6
        return Order(kind="cancel", reason=f"{self.metric} is too large") if doomed else None


class PauseSome(Condemning):
    """Pauses what looks bad once it has reported twice; takes the first one up again for every third trial that has settled."""

    _due = 0

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> PauseSome:
        self.metric, self._due = metric, 0
        return self

    def doomed(self, curve: Curve) -> Order | None:
        paused = len(curve.steps) == 2 and curve.metrics[self.metric][-1] > 0.4
        return Order(kind="pause", reason=f"{self.metric} is large") if paused else None

    def settled(self, settled: Settled, history: History) -> None:
        self._due += len(history) % 3 == 0

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        due, self._due = self._due, 0
        return sorted(paused)[:due]


class RepeatOnce(StrictRule):
    """The strict rule, which wants every second candidate measured again."""

    def __init__(self) -> None:
        super().__init__("loss")

    def __call__(self, history: History, budget: Budget) -> Sequence[Decision]:
        (decision,) = super().__call__(history, budget)
        candidate = history.candidate(decision.candidate)
        again = candidate is not None and len(candidate.trials) == 1 and decision.candidate % 2 == 1
        return [replace(decision, repeats=(decision.candidate,) if again else ())]


def made_up(start: StartTrial, lossy: bool = False) -> FakeRun:
    """Heavy-tailed times and a curve; where `lossy` the second of three trials is lost once, and trial 4 always."""
    trial, x = start.trial, float(start.trial.proposal.params["x"])
    seconds = float(np.random.default_rng([trial.number, trial.attempt]).lognormal(0.0, 1.0))
    reports = {seconds * share: Progress(step=share, step_target=1.0, metrics={"loss": x}) for share in (0.25, 0.5, 0.75)}
    if lossy and (trial.number == 4 or (trial.number % 3 == 1 and trial.attempt == 1)):
        return FakeRun(seconds=seconds, outcome=Outcome(status=Status.LOST, message="the machine was switched off"))
    curve = Curve(steps=(1.0,), elapsed_s=(seconds,), metrics={"loss": (x,)}, step_target=1.0)
    return FakeRun(seconds=seconds, outcome=ok((x - 0.3) ** 2, elapsed_s=seconds, curve=curve), reports=reports)


PATCH = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"


def wish(x: float, patch: str = "") -> Requested:
    """A person's proposal, as the inbox has checked it."""
    return Requested(request="enqueue", arguments={"request": "enqueue", "params": {"x": x}, "patch": patch, "parent": 0})


OUTSIDE: Mapping[str, Sequence[tuple[float, Event]]] = {
    "interrupt": [(3.0, Interrupted(signal=2))],
    "interrupt-twice": [(3.0, Interrupted(signal=2)), (3.05, Interrupted(signal=2, again=True))],
    "stop": [(3.0, Requested(request="stop", arguments={"request": "stop"}))],
    "failed": [(3.0, Failed(message="the evaluator crashed"))],
    "pause-interrupt": [(3.0, Interrupted(signal=2))],
    "enqueue": [  # before the baseline has settled, two at once, one whose patch is refused, and more than there are trials
        (0.1, wish(0.3)),
        (2.0, wish(0.4, PATCH)),
        (2.0, wish(0.5)),
        (3.0, wish(0.6, "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-y = 1\n+y = 2\n")),
        (3.5, Requested(request="note", arguments={"request": "note", "text": "all of these at once"})),
        *((4.0 + 0.1 * index, wish(0.05 * index)) for index in range(4)),
    ],
}
KINDS = (
    *("plain", "cancel", *OUTSIDE, "lost", "policy-error", "devices", "repeats", "noise", "limits", "wall", "budget"),
    *("pause", "pause-devices", "pause-lost", "pause-budget", "halving", "conditions"),
    *("money", "pause-money", "money-devices", "gpu-time-devices"),
)
# A trial costs a dollar a second, takes nine at most, and there is enough for some of them.
TIMEOUT_S = 9.0
TERMS = {
    "money": Terms(limits={"max_usd": 16.0}, timeouts={"train": TIMEOUT_S}, usd_per_h=3600.0),
    "pause-money": Terms(limits={"max_usd": 11.0}, timeouts={"train": TIMEOUT_S}, usd_per_h=3600.0),
    "money-devices": Terms(limits={"max_usd": 11.0}, timeouts={"train": TIMEOUT_S}, usd_per_h=3600.0, released_usd_per_h=360.0),
    "gpu-time-devices": Terms(limits={"max_gpu_s": 5.5}, timeouts={"train": TIMEOUT_S}),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of campaign."""

    kind: str
    concurrency: int = 1
    lookahead: int | Literal["auto"] = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.concurrency}-{self.lookahead}"

    @property
    def settings(self) -> Settings:
        more: dict[str, Any] = {}
        if self.kind == "cancel":
            more["cancel"] = CancelSome()
        if self.kind.startswith("pause"):
            more["cancel"] = PauseSome()
        if self.kind == "halving":
            more["cancel"] = HalvingRule(rungs=(0.25, 0.5, 0.75), keep=(0.5, 0.25, 0.25), most=(0.8, 0.6, 0.5))
        if self.has_gpu:
            more["resources"] = {"gpu": 1.0}
        if self.kind == "wall":
            more["max_wall_s"] = 6.0
        if "budget" in self.kind:
            more["max_usd"] = 33.0
        return Settings(
            keep=self.keep,
            concurrency=self.concurrency,
            lookahead=self.lookahead,
            max_trials=TRIALS,
            max_failure_rate=1.0,
            **more,
        )

    @property
    def has_gpu(self) -> bool:
        return self.kind.endswith("devices")

    @property
    def keep(self) -> KeepRule:
        if self.kind == "noise":
            return NoiseRule("loss", confirm_share=0.5, baseline_seeds=2)
        return RepeatOnce() if self.kind == "repeats" else StrictRule("loss")

    @property
    def limits(self) -> dict[str, Any]:
        """Changed when the campaign is resumed."""
        if "budget" in self.kind:
            return {"max_usd": 36.0}
        return {"max_trials": TRIALS + 2, "concurrency": 2} if self.kind == "limits" else {}

    def campaign(self, sources: Sources) -> Campaign:
        devices = {"gpu": (0,)} if self.has_gpu else {}
        request = {"gpu": 0.5} if self.has_gpu else {}
        return Campaign(self.settings, sources, direction="minimize", request=request, devices=devices)

    @property
    def terms(self) -> Terms:
        """A second costs a dollar, and a trial may take 30."""
        priced = {"usd_per_h": 3600.0, "released_usd_per_h": 3600.0} if "budget" in self.kind else {}
        return Terms(limits=limits_of(self.settings), timeouts={"train": 30.0}, **priced)

    def policy(self) -> Uniform:
        return Uniform(fails=0.4 if self.kind == "policy-error" else 0.0)

    def run_trial(self, start: StartTrial) -> FakeRun:
        run = made_up(start, lossy=self.kind.endswith("lost"))
        if self.kind in TERMS:
            run = replace(run, seconds=min(run.seconds, TIMEOUT_S), outcome=replace(run.outcome, elapsed_s=0.0))
        if self.kind != "conditions" or run.outcome.status is not Status.OK:
            return run
        disturbed = 0.3 * (
            (start.trial.number + start.trial.attempt) % 3 == 1
        )  # the baseline at first, each third one always once
        return replace(run, outcome=replace(run.outcome, conditions=Conditions(hardware="one", contention=disturbed)))


@dataclass
class Story:
    """What became of a campaign over all of its controllers."""

    scenario: Scenario
    run_dir: Path
    run_trial: Callable[[StartTrial], FakeRun] | None = None
    world: World = field(default_factory=World)
    writes: list[int] = field(default_factory=list)
    crashes: int = 0
    entries: list[Entry] = field(default_factory=list)
    stop: StopCampaign | None = None

    def live(self, *points: Point) -> Story:
        """Lets one controller after the other die at these points, and the last ones go on to the end; checks on the way."""
        todo = [*points]
        for _ in range(len(points) + 12):
            before = self._journal_bytes()
            settled = settled_for_good(self.entries)
            self.stop = None
            with DyingJournal(self.run_dir, todo.pop(0) if todo else None) as journal:
                try:
                    self.stop = self._control(journal)
                except Crash:
                    self.crashes += 1
                    self.world.alive.clear()
            self.writes.append(journal.writes)
            whole = before[: before.rfind(b"\n") + 1]
            assert self._journal_bytes().startswith(whole), "what was written stays as it is"
            self.entries = list(read(self.run_dir)) if self._journal_bytes() else []
            now = settled_for_good(self.entries)
            assert {number: now[number] for number in settled} == settled, "nothing settled is lost"
            assert not self.world.alive, "nothing outlives its controller"
            if self.stop is not None and not (todo or self.stop.interrupted or self.stop.failed):
                return self
        raise AssertionError(f"no end after {self.writes} writes: {self.stop}")

    def _journal_bytes(self) -> bytes:
        path = self.run_dir / "journal.jsonl"
        return path.read_bytes() if path.exists() else b""

    def _control(self, journal: DyingJournal) -> StopCampaign:
        entries, sources = self.entries, Sources(journal.blobs)
        now_s = entries[-1].elapsed_s if entries else 0.0
        campaign = self.scenario.campaign(sources)
        controller = Controller(
            campaign,
            Proposer(self.scenario.policy(), SPACE, self.scenario.settings),
            self.run_trial or self.scenario.run_trial,
            ask_s=lambda _: ASK_S,
            at=[(at, event) for at, event in OUTSIDE.get(self.scenario.kind, ()) if at > now_s],
            now_s=now_s,
            journal=journal,
            world=self.world,
        )
        source = sources.add(FILES)
        if not entries:
            return controller.run([replace(opened(source, self.scenario.kind), terms=self.scenario.terms)])
        limits = self.scenario.limits
        past = restore(campaign, entries, journal)
        controller.entries = past
        return controller.run(takeover_events(past, limits, lambda t: (t.number, t.attempt) in self.world.spawned))

    def check(self) -> None:
        """The invariants of a campaign that has come to its end."""
        entries, scenario = self.entries, self.scenario
        campaign = check_replay(scenario, self.run_dir, entries)
        trials = [settled.trial.number for settled in campaign.log.settled]
        assert len(set(trials)) == len(trials), "no trial is counted twice"
        known = sorted([*trials, *(trial.number for trial in campaign.log.view().pending)])
        assert known == list(range(len(known))), "numbering is complete"
        resumed = any(isinstance(entry.record, Resumed) for entry in entries)
        if "budget" in scenario.kind:
            check_budget(entries)
            assert self.stop is not None
            assert len(trials) == TRIALS or "(controller.max_usd)" in self.stop.reason
        if scenario.kind not in ("wall", "noise", "budget", "pause-budget", *TERMS):  # these may end before all trials are done
            assert len(trials) == (TRIALS + 2 if scenario.limits and resumed else TRIALS)
        assert self.world.most_alive <= (2 if scenario.limits and resumed else 1) * scenario.concurrency
        check_attempts(entries, scenario.settings.max_attempts)
        check_waiting(entries)
        assert [entry.elapsed_s for entry in entries] == sorted(entry.elapsed_s for entry in entries)
        for name, most in TERMS.get(scenario.kind, Terms()).limits.items():
            spent = campaign.spending.meter.spent.get(name.removeprefix("max_"), 0) / MICRO
            obeying = scenario.concurrency * (0.2 if self.run_trial is None else 5.1)  # seconds, at a dollar each
            assert spent <= most + obeying, "no budget is overdrawn by more than it takes to obey an order"
        statuses = {settled.trial.number: settled.outcome.status for settled in campaign.log.settled}
        assert statuses.get(0, Status.OK) is Status.OK


def opened(source: str, kind: str) -> Opened:
    return opening(
        source,
        SPACE.defaults,
        checkpoints=kind.startswith("pause") or kind == "halving",
        time_budgeted=kind == "conditions",
        terms=TERMS.get(kind, Terms()),
        max_trials=TRIALS,
    )


def check_budget(entries: Sequence[Entry]) -> None:
    """Whatever happened, what was spent and what might yet be fitted into the limit of then."""
    meter = Meter()
    for entry in entries:
        meter.feed(entry.record, entry.elapsed_s)
        most = meter.spent.get("usd", 0) + sum(amounts["usd"] for amounts in meter.reserved())
        assert most <= meter.limits["max_usd"] * MICRO, f"after line {entry.seq}"


def check_waiting(entries: Sequence[Entry]) -> None:
    """A reader of the journal knows what waits as the reducer does, and what a person wants starts before all that waits."""
    waiting = Waiting()
    for entry in entries:
        waits = waiting.feed(entry)
        if not isinstance(entry.record, StartTrial) or entry.record.trial.attempt > 1:
            continue
        trial = entry.record.trial
        assert waits is not None
        assert (waits.number, waits.attempt, waits.repeat_of) == (trial.number, 1, trial.proposal.repeat_of)
        assert waits.proposal is None or waits.proposal == trial.proposal
        if trial.proposal.source != PERSON:
            theirs = [other.number for other in waiting.trials.values() if other.proposal and other.proposal.source == PERSON]
            assert not theirs, f"trial {trial.number} starts before {theirs}"


def settled_for_good(entries: Sequence[Entry]) -> dict[int, SettledEvent]:
    """The settlement of each trial that has one on which the keep rule was heard."""
    found: dict[int, SettledEvent] = {}
    last: SettledEvent | None = None
    for entry in entries:
        if isinstance(entry.record, SettledEvent):
            last = entry.record
        elif isinstance(entry.record, Decide) and last is not None:
            assert last.number not in found, "a trial settles once"
            found[last.number], last = last, None
    return found


def check_attempts(entries: Sequence[Entry], max_attempts: int) -> None:
    """Attempts count from 1 without a gap, and no trial is lost more often than it may be."""
    attempts: dict[int, int] = {}
    losses: dict[int, int] = {}
    for entry in entries:
        match entry.record:
            case StartTrial(trial=trial):
                assert trial.attempt > attempts.get(trial.number, 0), "an attempt has one start"
                assert losses.get(trial.number, 0) < max_attempts, "nobody starts once too often"
                attempts[trial.number] = trial.attempt
            case SettledEvent(number=number, attempt=attempt, outcome=outcome, interrupted=interrupted):
                assert attempt == attempts[number], "what settles is what runs"
                losses[number] = losses.get(number, 0) + (outcome.status is Status.LOST and not interrupted)


def check_replay(scenario: Scenario, run_dir: Path, entries: Sequence[Entry]) -> Campaign:
    """Replays with proposals asked for again; returns the campaign."""
    sources = Sources(DyingJournal(run_dir, None).blobs)
    sources.add(FILES)
    campaign = scenario.campaign(sources)
    proposer = Proposer(scenario.policy(), SPACE, scenario.settings)

    def answer(effect: AskPolicy, elapsed_s: float) -> Proposed:
        return proposer.answer(effect, campaign.log.view(), campaign.budget(elapsed_s))

    assert replay(campaign, entries, answer) == []
    return campaign
