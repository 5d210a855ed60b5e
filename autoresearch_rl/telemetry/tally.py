"""What every sink needs to know of a campaign, followed entry by entry in constant time."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from autoresearch_rl.events import (
    Decide,
    Entry,
    Event,
    Incomparable,
    Opened,
    OrderTrial,
    Paused,
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

_NOTES = 20


@dataclass(slots=True, kw_only=True)
class Running:
    """An attempt that runs.

    Attributes:
        slot: Place among those that run at the same time, from 1; the lowest that is free.
        at: UTC time at which it started.
        begun_s: Active seconds of the campaign at which it started.
        submitted_s: At which it was proposed, or put back after a loss.
        stage: Stage it is in, empty before the first.
        progress: Its latest report.
        resources: What it holds.
        order: What it was told last.
        spared: Whether the cancel rule would have cancelled it, but it is of the control group.
    """

    trial: Trial
    slot: int
    at: str
    begun_s: float
    submitted_s: float
    stage: str = ""
    progress: Progress | None = None
    resources: dict[str, float] = field(default_factory=dict)
    order: Order | None = None
    spared: bool = False


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
        opened: The first event, None before it.
        stop: The last effect, None before it, and again after the campaign was resumed.
        running: Attempts that run, by trial number.
        paused: Attempts that wrote a checkpoint and wait to be taken up again, by trial number.
        waiting: Trials that were proposed and have not started.
        notes: What people noted last, as (UTC time, text).
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
        self.counts: Counter[Status] = Counter()
        self.leader: int | None = None
        self.waiting = Waiting()
        self.notes: deque[tuple[str, str]] = deque(maxlen=_NOTES)
        self._next_seq = self._slots = 0
        self._free: list[int] = []
        self._parts: dict[int, list[Outcome]] = {}
        self._totals: dict[int, float] = {}  # by candidate: sum of its scores
        self._repeats: Counter[int] = Counter()  # and how many there are beyond one; most have none
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
                self.notes.append((str(said.get("at") or entry.at), str(said.get("text", ""))))
            case OrderTrial() | Spare():
                told = self._running(record.number, record.attempt)
                if told is not None:
                    told.order, told.spared = record.order, told.spared or isinstance(record, Spare)
            case Reported():
                running = self._running(record.number, record.attempt)
                if running is not None:
                    running.stage, running.progress = record.stage, record.progress or running.progress
            case Released():
                for name in record.resources if record.number in self.running else ():
                    self.running[record.number].resources.pop(name, None)
            case SettledEvent() | Paused():
                self._leave(entry, record)
            case Incomparable():
                self._remark(record)
            case StopCampaign():
                self.stop = record
            case Resumed():
                self.stop = None
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
            trial=start.trial,
            slot=heapq.heappop(self._free),
            at=entry.at,
            begun_s=entry.elapsed_s,
            submitted_s=since_s if waits is None else waits.since_s,
            resources=dict(start.resources),
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
            self._parts.setdefault(number, []).append(record.part)
            return
        outcome = joined(self._parts.pop(number, ()), record.outcome)
        if record.outcome.status is Status.LOST and self.opened is not None and self.opened.checkpoints:
            self._parts[number] = [outcome]  # the next attempt goes on from there
        if not record.interrupted:
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
        if row is not None and root(row.trial) != decision.candidate:
            row, self._held = None, row
        if row is not None:
            row = self._count(replace(row, decision=decision, outcome=_final(row.trial, row.outcome)))
        if decision.leads:
            self.leader = decision.candidate
        return row

    def _count(self, row: Row | None) -> Row | None:
        if row is not None:
            row = replace(row, outcome=remarked(row.outcome, self._remarks.pop(row.trial.number, ())))
            self.counts[row.outcome.status] += 1
            if row.outcome.score is not None:
                candidate = root(row.trial)
                if candidate in self._totals:
                    self._totals[candidate] += row.outcome.score
                    self._repeats[candidate] += 1
                else:
                    self._totals[candidate] = row.outcome.score
        return row


def root(trial: Trial) -> int:
    """Number of the candidate that a trial belongs to."""
    return trial.number if trial.proposal.repeat_of is None else trial.proposal.repeat_of


def _final(trial: Trial, outcome: Outcome) -> Outcome:
    """A trial that was lost as often as it may be has failed."""
    if outcome.status is not Status.LOST:
        return outcome
    return replace(outcome, status=Status.FAILED, message=f"lost {trial.attempt} times, the last time: {outcome.message}")
