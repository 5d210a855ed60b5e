"""The virtual-clock driver: the same reducer as in a real campaign, with trials that a function makes up, in no real time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Effect,
    Entry,
    Event,
    Incomparable,
    Opened,
    OrderTrial,
    Paused,
    Progressed,
    Record,
    SettledEvent,
    Spare,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.trial import Order, Outcome, Params, Progress, Status

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRun:
    """How a made-up attempt goes.

    Attributes:
        seconds: Virtual seconds until it ends by itself.
        outcome: How it ends then.
        reports: Progress by virtual seconds since its start.
        obeys_s: Virtual seconds between an order and its end.
        part: What it came to when it was paused.
    """

    seconds: float
    outcome: Outcome
    reports: Mapping[float, Progress] = field(default_factory=dict)
    obeys_s: float = 0.1
    part: Outcome = field(default_factory=lambda: Outcome(status=Status.CANCELLED))


@dataclass
class Simulation:
    """Drives one campaign on a virtual clock.

    Attributes:
        run_trial: Makes up an attempt.
        ask_s: Virtual seconds that the policy takes to answer an ask for so many proposals.
        at: Events from outside by virtual second: interrupts, requests.
        entries: What the journal would hold.
    """

    campaign: Campaign
    proposer: Proposer
    run_trial: Callable[[StartTrial], FakeRun]
    ask_s: Callable[[int], float] = lambda _: 0.0
    at: Iterable[tuple[float, Event]] = ()
    entries: list[Entry] = field(default_factory=list)
    now_s: float = 0.0
    stop: StopCampaign | None = None
    _heap: list[tuple[float, int, Event]] = field(default_factory=list)
    _order: int = 0
    _live: dict[tuple[int, int], FakeRun] = field(default_factory=dict)
    _ordered: dict[tuple[int, int], Order] = field(default_factory=dict)

    def run(self, begin: Sequence[Event], *, most_events: int = 1_000_000) -> StopCampaign:
        """Begins with these events and runs to the end; returns why it ended.

        Raises AssertionError where the campaign neither ends nor goes on.
        """
        for when_s, event in self.at:
            self._later(when_s, event)
        for event in begin:
            self.post(event)
        while self.stop is None:
            if not self._heap or len(self.entries) > most_events:
                raise AssertionError(f"the campaign hangs after {len(self.entries)} entries at {self.now_s} s")
            self.now_s, _, event = heapq.heappop(self._heap)
            if not self._stale(event):
                self.post(event)
        return self.stop

    def post(self, event: Event) -> None:
        """As the live driver: the event is written, then each effect is written before any is carried out."""
        seq = self._write(event)
        effects = self.campaign.advance(event, self.now_s, seq)
        for effect in effects:
            self._write(effect)
        for effect in effects:
            self._carry_out(effect)

    def _write(self, record: Record) -> int:
        seq = len(self.entries)
        at = (_BEGINNING + timedelta(seconds=self.now_s)).isoformat(timespec="microseconds")
        self.entries.append(Entry(seq=seq, at=at, elapsed_s=self.now_s, record=record))
        return seq

    def _later(self, when_s: float, event: Event) -> None:
        self._order += 1
        heapq.heappush(self._heap, (when_s, self._order, event))

    def _stale(self, event: Event) -> bool:
        """Whether an event is of an attempt that an order has ended meanwhile."""
        if not isinstance(event, SettledEvent | Progressed | Paused):
            return False
        key = (event.number, event.attempt)
        if key not in self._live:
            return True
        if isinstance(event, Paused):
            stale = self._ordered[key].kind != "pause"  # another order came before it had obeyed
            if not stale:
                del self._live[key]
            return stale
        if isinstance(event, SettledEvent):
            if key in self._ordered and event.outcome.status not in (Status.LOST, Status.CANCELLED):
                return True
            del self._live[key]
        return False

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case AskPolicy():
                answer = self.proposer.answer(effect, self.campaign.log.view(), self.campaign.budget(self.now_s))
                self._later(self.now_s + self.ask_s(effect.count), answer)
            case StartTrial(trial=trial):
                made_up = self._live[trial.number, trial.attempt] = self.run_trial(effect)
                for after_s, progress in made_up.reports.items():
                    told = Progressed(number=trial.number, attempt=trial.attempt, progress=progress)
                    self._later(self.now_s + after_s, told)
                ended = SettledEvent(number=trial.number, attempt=trial.attempt, outcome=made_up.outcome)
                self._later(self.now_s + made_up.seconds, ended)
            case OrderTrial(number=number, attempt=attempt, order=order):
                self._give_order(number, attempt, order, kill=effect.kill)
            case StopCampaign():
                self.stop = effect
            case Decide() | Incomparable() | Spare():
                pass

    def _give_order(self, number: int, attempt: int, order: Order, *, kill: bool) -> None:
        key, lost = (number, attempt), order.kind == "stop"
        paused = FakeRun(seconds=0.0, outcome=Outcome(status=Status.CANCELLED), obeys_s=0.0)
        made_up = self._live.setdefault(key, paused)
        self._ordered[key] = order
        outcome = Outcome(status=Status.LOST if lost else Status.CANCELLED, message=order.reason)
        ended: Event = SettledEvent(number=number, attempt=attempt, outcome=outcome, interrupted=lost)
        if order.kind == "pause":
            ended = Paused(number=number, attempt=attempt, part=made_up.part)
        self._later(self.now_s + (0.0 if kill else made_up.obeys_s), ended)


def opening(source_hash: str = "", defaults: Params | None = None, *, metric: str = "loss", **fields: Any) -> Opened:
    """The first event of a virtual campaign, which minimises `metric`; `fields` are others of `Opened`, or the same."""
    names = {"campaign": "C", "task": "t", "metric": metric, "direction": "minimize", "progress_metric": metric, "config": ""}
    return Opened(**{"seed": 0, "source_hash": source_hash, "defaults": defaults or {}, **names, **fields})
