"""The live driver: worker threads, a proposer thread, signals and request files post into one inbox, one thread empties it."""

from __future__ import annotations

import logging
import math
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.inbox import Inbox
from autoresearch_rl.controller.journal import Journal
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.stages import Control
from autoresearch_rl.controller.workspace import drop_checkpoint, drop_model, point_best
from autoresearch_rl.errors import ArrlError
from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Effect,
    Entry,
    Event,
    Failed,
    Incomparable,
    Interrupted,
    OrderTrial,
    Paused,
    Progressed,
    Released,
    Reported,
    Requested,
    Resumed,
    SettledEvent,
    Spare,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.history import History
from autoresearch_rl.telemetry import Sink
from autoresearch_rl.trial import Decision, Outcome, Status

_LOG = logging.getLogger(__name__)
_POLL_S = 0.5


class RunTrial(Protocol):
    """Runs one attempt in a worker thread."""

    def run(self, start: StartTrial, control: Control) -> SettledEvent | Paused:
        """Returns how it ended, or that it was paused; raises ArrlError where the campaign cannot go on."""
        ...


class Clock:
    """Active monotonic seconds of a campaign."""

    def __init__(self, before_s: float = 0.0) -> None:
        """`before_s`: seconds that the campaign was active under earlier controllers."""
        self._begun_s = time.monotonic() - before_s

    def __call__(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._begun_s


@dataclass
class Live:
    """One campaign in real time. `run` is called once, from the main thread where signals are to be heard.

    Attributes:
        kill: Kills every child at once; called on a second Ctrl-C and on errors.
        patience_s: Seconds after the end of its time, or of an order's grace, in which a trial's target must have answered.
        past: What the sinks have not been shown yet; of a resumed campaign all that happened before.
        taken: Ids of requests that the journal holds already.
    """

    campaign: Campaign
    journal: Journal
    proposer: Proposer
    sink: Sink
    run_dir: Path
    clock: Clock
    kill: Callable[[], object]
    past: deque[Entry] = field(default_factory=deque)
    patience_s: float = 60.0
    taken: Sequence[str] = ()
    inbox: queue.SimpleQueue[Event | Reported] = field(default_factory=queue.SimpleQueue)
    _controls: dict[tuple[int, int], Control] = field(default_factory=dict)
    _end: StopCampaign | None = None
    _polled_s: float = 0.0

    def run(self, begin: Sequence[Event], trials: RunTrial) -> tuple[StopCampaign, History]:
        """Begins with these events; returns why it ended, and its history.

        Raises JournalError where the journal cannot be written; children are dead then.
        """
        self._trials = trials
        self._requests = Inbox(self.run_dir, self.taken)
        with ExitStack() as stack:
            stack.callback(self._catch_up, math.inf)
            stack.enter_context(self._signals())
            stack.callback(self.kill)
            stack.enter_context(self.proposer.running(self.inbox.put))
            for event in begin:
                self._post(event)
                if isinstance(event, Resumed):  # a person's proposals go before what starts when the lost trials have settled
                    self._take_requests()
                    self._point_best()  # the last controller may have died before it did
            while self._end is None:
                self._post(self._next())
        return self._end, self.campaign.log.view()

    def _take_requests(self) -> None:
        while (request := self._request()) is not None:
            self._post(request)

    def _request(self) -> Requested | None:
        ending = self.campaign.ending is not None or self.clock() >= (self.campaign.settings.max_wall_s or math.inf)
        return self._requests.next(self.proposer.space, self.campaign.log.view(), ending=ending)

    def _next(self) -> Event:
        """The next event; reports are shown on the way, requests and dead targets are looked for twice a second."""
        while True:
            if self.clock() - self._polled_s >= _POLL_S:
                self._polled_s = self.clock()
                found = self._overdue() or self._request()
                if found is not None:
                    return found
            self._catch_up(self.clock() + _POLL_S)
            try:
                event = self.inbox.get(timeout=_POLL_S if not self.past else 0)
            except queue.Empty:
                continue
            if (
                isinstance(event, SettledEvent | Paused | Released | Reported)
                and (event.number, event.attempt) not in self._controls
            ):
                continue  # of a worker that was given up
            if not isinstance(event, Reported):
                return event
            self._show(Entry(seq=-1, at="", elapsed_s=self.clock(), record=event))
            if self.campaign.watches and event.progress is not None:
                return Progressed(number=event.number, attempt=event.attempt, progress=event.progress)

    def _post(self, event: Event) -> None:
        """The only way in: the event is written, then each effect is written before any is carried out."""
        if isinstance(event, SettledEvent | Paused):
            self._controls.pop((event.number, event.attempt), None)
        elapsed_s = round(self.clock(), 6)  # as the journal has it, so that replay decides on the same number
        entries = [self.journal.append(event, elapsed_s)]
        if isinstance(event, Requested):
            self._requests.done(event)
        if isinstance(event, SettledEvent) and event.outcome.status is Status.CANCELLED:
            drop_checkpoint(self.run_dir, event.number)  # not before it is journalled: a paused trial may yet go on from it
        effects = self.campaign.advance(event, elapsed_s, entries[0].seq)
        entries += [self.journal.append(effect, elapsed_s) for effect in effects]
        for effect in effects:
            self._carry_out(effect, elapsed_s)
        for entry in entries:
            self._show(entry)

    def _show(self, entry: Entry) -> None:
        """Shows the sinks one entry: this one, or while they have to catch up the oldest that they have not seen."""
        self.past.append(entry)
        self.sink.record(self.past.popleft())

    def _catch_up(self, until_s: float) -> None:
        """Shows the sinks what they have not seen while nothing else is to be done: trials do not wait for telemetry."""
        while self.past and (until_s == math.inf or (self.inbox.empty() and self.clock() < until_s)):
            self.sink.record(self.past.popleft())

    def _carry_out(self, effect: Effect, elapsed_s: float) -> None:
        match effect:
            case AskPolicy():
                self.proposer.ask(effect, self.campaign.log.view(), self.campaign.budget(elapsed_s))
            case StartTrial():
                number = effect.trial.number
                control = self._controls[number, effect.trial.attempt] = Control()
                threading.Thread(target=self._work, args=(effect, control), name=f"trial-{number}", daemon=True).start()
            case OrderTrial():
                told = self._controls.get((effect.number, effect.attempt))
                if told is None:
                    self._dismiss(effect)
                    return
                if told.order is None or told.order.kind != effect.order.kind:
                    told.ordered_s = elapsed_s
                told.order = effect.order
                if effect.kill:
                    threading.Thread(target=self.kill, name="kill", daemon=True).start()
            case Decide():
                self._retain(effect.decision)
            case Incomparable():
                if effect.then == "again":
                    drop_checkpoint(self.run_dir, effect.number)  # of a workspace that was kept: it begins anew
                    drop_model(self.run_dir, effect.number, effect.attempt)
            case Spare():
                pass
            case StopCampaign():
                self._end = effect

    def _dismiss(self, effect: OrderTrial) -> None:
        """A paused trial runs nowhere: it settles at once."""
        self._controls[effect.number, effect.attempt] = Control()
        outcome = Outcome(status=Status.CANCELLED, message=effect.order.reason)
        self.inbox.put(SettledEvent(number=effect.number, attempt=effect.attempt, outcome=outcome))

    def _work(self, start: StartTrial, control: Control) -> None:
        """A worker thread: whatever happens becomes an event, or the loop would wait for ever."""
        try:
            self.inbox.put(self._trials.run(start, control))
        except ArrlError as error:
            self._give_up(start, str(error), control)
        except OSError as error:
            self._give_up(start, f"trial {start.trial.number}: {error}", control)
        except BaseException as error:  # also SystemExit, which would end this thread in silence
            _LOG.exception("trial %d: the controller failed", start.trial.number)
            self._give_up(start, f"internal error in trial {start.trial.number}: {error!r}", control)

    def _give_up(self, start: StartTrial, message: str, control: Control) -> None:
        if self._controls.get((start.trial.number, start.trial.attempt)) is not control:
            return  # it was given up already
        if control.order is None or control.order.kind != "stop":  # what ends anyway may well fail in the end
            self.inbox.put(Failed(message=message))
        outcome = Outcome(status=Status.LOST, message=message)
        self.inbox.put(SettledEvent(number=start.trial.number, attempt=start.trial.attempt, outcome=outcome, interrupted=True))

    def _overdue(self) -> SettledEvent | None:
        """How a trial ends whose target ought to have answered long ago; its worker is given up, the campaign goes on."""
        for (number, attempt), control in self._controls.items():
            kind = control.order.kind if control.order is not None else ""
            kind = kind if kind == "stop" or not control.trained else ""  # who has trained goes on, whatever it was told
            over_s = min(control.latest_s, control.ordered_s if kind else math.inf) + control.grace_s + self.patience_s
            if self.clock() < over_s:
                continue
            message = (
                f"its target does not answer, {self.patience_s:g} s after it should have ended; processes of it may still run"
            )
            _LOG.warning("trial %d: %s", number, message)
            outcome = Outcome(status=Status.CANCELLED if kind == "cancel" else Status.LOST, message=message)
            return SettledEvent(number=number, attempt=attempt, outcome=outcome, interrupted=kind == "stop")
        return None

    def _retain(self, decision: Decision) -> None:
        """Points `best` to what is kept, drops models of what is not."""
        if decision.verdict == "keep":
            self._point_best()
        candidate = self.campaign.log.view().candidate(decision.candidate)
        if decision.verdict == "discard" and decision.candidate != 0 and candidate is not None:
            for settled in candidate.trials:
                drop_model(self.run_dir, settled.trial.number, settled.trial.attempt)

    def _point_best(self) -> None:
        history = self.campaign.log.view()
        candidate = history.candidate(history.confirmed) if history.confirmed is not None else None
        if candidate is not None:
            try:
                point_best(self.run_dir, candidate.number, candidate.trials[0].trial.attempt)
            except OSError as error:
                _LOG.warning("trial %d: %s", candidate.number, error)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM become events."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        count = 0

        def heard(number: int, _: FrameType | None) -> None:
            nonlocal count
            count += 1
            self.inbox.put(Interrupted(signal=number, again=count > 1))

        before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)
