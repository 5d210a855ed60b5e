"""What every reader of a journal needs to know of its campaign, followed entry by entry in constant time."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, replace

from autoresearch_rl.events import (
    Decide,
    Entry,
    Event,
    Incomparable,
    Opened,
    OrderTrial,
    Paused,
    Progressed,
    Record,
    Released,
    Reported,
    Requested,
    Resumed,
    SettledEvent,
    Spare,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.joining import joined, remarked
from autoresearch_rl.metering import Meter
from autoresearch_rl.trial import Curve, Decision, Order, Outcome, Progress, Status, Trial
from autoresearch_rl.waiting import Waiting, Waits


@dataclass(slots=True, kw_only=True)
class Running:
    """An attempt that runs.

    Attributes:
        slot: Place among those that run at the same time, from 1; the lowest that is free.
        at: UTC time at which it started.
        begun_s: Active seconds of the campaign at which it started.
        submitted_s: At which it was proposed, or put back after a loss.
        stage: Stage it is in, empty before the first and where only the journal is followed.
        progress: Its latest report.
        released: What it has given back, as its untrusted stages are over.
        order: What it was told last.
    """

    start: StartTrial
    slot: int
    at: str
    begun_s: float
    submitted_s: float
    stage: str = ""
    progress: Progress | None = None
    released: tuple[str, ...] = ()
    order: Order | None = None

    @property
    def trial(self) -> Trial:
        """The attempt."""
        return self.start.trial

    @property
    def resources(self) -> dict[str, float]:
        """What it holds."""
        return {name: amount for name, amount in self.start.resources.items() if name not in self.released}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person noted, and the UTC time at which it was written; `elapsed_s` when the campaign took it up."""

    at: str
    elapsed_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A trial that has settled for good.

    Attributes:
        decision: What the keep rule then said of its candidate; None if it said nothing.
        curve: Learning curve of the last attempt alone; the outcome's has that of parts before it too.
        begun_at: UTC time at which the last attempt started.
        at: UTC time at which it settled.
        elapsed_s: Active seconds of the campaign at that time.
    """

    trial: Trial
    outcome: Outcome
    decision: Decision | None
    curve: Curve
    begun_at: str
    at: str
    elapsed_s: float

    @property
    def said(self) -> str:
        """The decision's verdict, empty without one."""
        return self.decision.verdict if self.decision is not None else ""

    @property
    def reason(self) -> str:
        """The decision's sentence, empty without one."""
        return self.decision.reason if self.decision is not None else ""


class Tally:
    """Follows one campaign. Entries before `Opened`, and such as were fed already, are to be left out: ask `is_new` first.

    Attributes:
        opened: The first event, None before it, with the `max_trials` of the latest resume.
        stop: The last effect, None before it, and again after the campaign was resumed.
        running: Attempts that run, by trial number.
        paused: Attempts that wrote a checkpoint and wait to be taken up again, by trial number.
        parts: What attempts came to from which a trial goes on, by number.
        spared: Trials that the cancel rule would have cancelled, but that are of the control group.
        waiting: Trials that were proposed and have not started.
        notes: What people noted, the latest last.
        counts: Settled trials by status.
        leader: Number of the leading candidate, None before the first score.
        meter: What is spent.
    """

    def __init__(self) -> None:
        self.meter = Meter()
        self.opened: Opened | None = None
        self.stop: StopCampaign | None = None
        self.running: dict[int, Running] = {}
        self.paused: dict[int, Running] = {}
        self.parts: dict[int, list[Outcome]] = {}
        self.spared: set[int] = set()
        self.counts: Counter[Status] = Counter()
        self.leader: int | None = None
        self.waiting = Waiting()
        self.notes: list[Note] = []
        self._next_seq = self._slots = 0
        self._free: list[int] = []
        self._totals: dict[int, float] = {}  # by candidate: sum of its scores
        self._repeats: Counter[int] = Counter()  # and how many there are beyond one; most have none
        self._losses: Counter[int] = Counter()
        self._remarks: dict[int, list[Incomparable]] = {}
        self._held: Row | None = None

    @property
    def done(self) -> int:
        """Number of trials that settled for good."""
        return self.counts.total()

    @property
    def best(self) -> float | None:
        """Mean score of the leading candidate."""
        return None if self.leader is None else self.mean(self.leader)

    def mean(self, candidate: int) -> float | None:
        """Mean score of a candidate's trials so far, None without any."""
        total = self._totals.get(candidate)
        return total / (1 + self._repeats[candidate]) if total is not None else None

    def gain(self) -> float | None:
        """How much better the leader is than the baseline, positive if better whatever the direction."""
        best, baseline = self.best, self.mean(0)
        if best is None or baseline is None or self.opened is None:
            return None
        return baseline - best if self.opened.direction == "minimize" else best - baseline

    def is_new(self, entry: Entry) -> bool:
        """Whether `feed` should get this entry."""
        if self.opened is None:
            return isinstance(entry.record, Opened)
        return entry.seq < 0 or entry.seq >= self._next_seq

    def feed(self, entry: Entry) -> Row | None:
        """Takes an entry; returns the trial that is now settled for good with its decision known, if there is one.

        A lost attempt is final if the keep rule is heard on it; else it is run again.
        """
        self._next_seq = max(self._next_seq, entry.seq + 1)
        row = None
        waits = self.waiting.feed(entry)
        if isinstance(entry.record, Event):
            row, self._held = self._held, None
            if row is not None and row.outcome.status is Status.LOST:
                row = None
        if isinstance(entry.record, Decide):
            return self._decide(entry.record.decision)
        if isinstance(entry.record, StartTrial):
            self._start(entry, entry.record, waits)
        self._follow(entry, entry.record)
        return self._count(row)

    def close(self) -> Row | None:
        """The last settled trial, if it still waits for a decision."""
        row, self._held = self._held, None
        return self._count(row) if row is not None and row.outcome.status is not Status.LOST else None

    def _follow(self, entry: Entry, record: Record | Reported) -> None:
        self.meter.feed(record, entry.elapsed_s)
        match record:
            case Opened():
                self.opened = record
            case Requested(request="note"):
                said = record.arguments
                at, text = str(said.get("at") or entry.at), str(said.get("text", ""))
                self.notes.append(Note(at=at, elapsed_s=entry.elapsed_s, text=text))
            case OrderTrial():
                told = self._running(record.number, record.attempt) or self.paused.get(record.number)
                if told is not None:
                    told.order = record.order
            case Spare():
                self.spared.add(record.number)
            case Reported():
                running = self._running(record.number, record.attempt)
                if running is not None:
                    running.stage, running.progress = record.stage, record.progress or running.progress
            case Progressed(progress=progress):
                if record.number in self.running:
                    self.running[record.number].progress = progress
            case Released():
                if record.number in self.running:
                    self.running[record.number].released = record.resources
            case SettledEvent() | Paused():
                self._leave(entry, record)
            case Incomparable():
                self._remark(record)
            case StopCampaign():
                self.stop = record
            case Resumed(limits=limits):
                self.stop = None
                if self.opened is not None and "max_trials" in limits:
                    self.opened = replace(self.opened, max_trials=limits["max_trials"])
            case _:
                pass

    def _running(self, number: int, attempt: int) -> Running | None:
        running = self.running.get(number)
        return running if running is not None and running.trial.attempt == attempt else None

    def _start(self, entry: Entry, start: StartTrial, waits: Waits | None) -> None:
        number = start.trial.number
        if not self._free:
            self._slots += 1
            heapq.heappush(self._free, self._slots)
        paused = self.paused.pop(number, None)
        since_s = paused.submitted_s if paused is not None else entry.elapsed_s
        self.running[number] = Running(
            start=start,
            slot=heapq.heappop(self._free),
            at=entry.at,
            begun_s=entry.elapsed_s,
            submitted_s=since_s if waits is None else waits.since_s,
        )

    def _leave(self, entry: Entry, record: SettledEvent | Paused) -> None:
        number = record.number
        running = self._running(number, record.attempt)
        if running is not None:
            del self.running[number]
            heapq.heappush(self._free, running.slot)
            running.submitted_s = entry.elapsed_s
        else:
            running = self.paused.pop(number, None)
        if running is None:
            return
        if isinstance(record, Paused):
            self.paused[number] = running
            self.parts.setdefault(number, []).append(record.part)
            return
        outcome = joined(self.parts.pop(number, ()), record.outcome)
        if record.outcome.status is Status.LOST and self.opened is not None and self.opened.checkpoints:
            self.parts[number] = [outcome]  # the next attempt goes on from there
        if not record.interrupted:
            if record.outcome.status is Status.LOST:
                self._losses[number] += 1
            self._held = Row(
                trial=running.trial,
                outcome=replace(outcome, usage={**outcome.usage, **self.meter.ended}),
                decision=None,
                curve=record.outcome.curve,
                begun_at=running.at,
                at=entry.at,
                elapsed_s=entry.elapsed_s,
            )

    def _remark(self, record: Incomparable) -> None:
        """The attempt that settled just now does not count, or counts all the same."""
        self._remarks.setdefault(record.number, []).append(record)
        if record.then == "again":
            self._held = None

    def _decide(self, decision: Decision) -> Row | None:
        row, self._held = self._held, None
        if row is not None and row.trial.candidate != decision.candidate:
            row, self._held = None, row
        if row is not None:
            row = self._count(replace(row, decision=decision, outcome=self._final(row)))
        if decision.leads:
            self.leader = decision.candidate
        return row

    def _final(self, row: Row) -> Outcome:
        """A trial that was lost as often as it may be has failed."""
        if row.outcome.status is not Status.LOST:
            return row.outcome
        message = f"lost {self._losses[row.trial.number]} times, the last time: {row.outcome.message}"
        return replace(row.outcome, status=Status.FAILED, message=message)

    def _count(self, row: Row | None) -> Row | None:
        if row is not None:
            if remarks := self._remarks.pop(row.trial.number, None):
                row = replace(row, outcome=remarked(row.outcome, remarks))
            self.counts[row.outcome.status] += 1
            if row.outcome.score is not None:
                candidate = row.trial.candidate
                if candidate in self._totals:
                    self._totals[candidate] += row.outcome.score
                    self._repeats[candidate] += 1
                else:
                    self._totals[candidate] = row.outcome.score
        return row
