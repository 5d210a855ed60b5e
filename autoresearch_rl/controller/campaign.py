"""THE loop: a single-threaded reducer. Events say what happened, effects what to do next; state is a function of the events.

It does no I/O but storing patched sources, reads no clock and knows no thread. Three drivers feed it: live threads
(`live.py`), a virtual clock (`testing/simulation.py`), and the journal itself in replay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoresearch_rl._core import Grant, Pool
from autoresearch_rl.controller.comparability import Comparability
from autoresearch_rl.controller.keep import REPEAT
from autoresearch_rl.controller.numbering import Numbering
from autoresearch_rl.controller.pace import Pace, startable
from autoresearch_rl.controller.race import Race
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.spending import Spending
from autoresearch_rl.controller.stopping import Ending, only_to_finish, stop_rules, unfit
from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Effect,
    Event,
    Failed,
    Interrupted,
    Opened,
    OrderTrial,
    Paused,
    Progressed,
    Proposed,
    Released,
    Requested,
    Resumed,
    SettledEvent,
    StartTrial,
)
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.trial import Budget, Direction, Order, Proposal, Settled, Status, Trial
from autoresearch_rl.waiting import PERSON, requested_proposal

_POLICY_ERRORS_IN_A_ROW = 3


class Campaign:
    """The reducer. `advance` is its only way in.

    Attributes:
        log: What the history shows; readers take `log.view()`.
        settings: With the limits of the latest resume.
        spending: What is spent, and what may be.
        ending: Why no trials are started any more, None while they are.
        held: Proposals without a trial: the baseline has not settled, or all of `max_trials` are given away.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        *,
        direction: Direction,
        request: Mapping[str, float],
        devices: Mapping[str, Sequence[int]],
    ) -> None:
        self.log = HistoryLog(direction)
        self.settings = settings
        self._request = {"trial": 1.0, **request}
        self._devices = devices
        self._pool = Pool(settings.capacity, devices)
        self._stop_rules = stop_rules(settings)
        self._numbering = Numbering(sources, settings.seed)
        self._waiting: dict[int, Trial] = {}
        self._running: dict[int, Trial] = {}
        self._ordered: dict[int, str] = {}  # kind of the latest order, by trial
        self._losses: dict[int, int] = {}
        self._orphans: set[int] = set()  # ran when the controller died, and have not settled as lost yet
        self._suspects: list[int] = []  # were lost together twice: run one at a time, so that the guilty one is found
        self._reserve = 0  # trials that the keep rule wants for repeats
        self._race = Race(settings.cancel, control_share=settings.control_share, seed=settings.seed)
        self._comparability = Comparability()
        self.spending = Spending(self._needs, self._race, self.log)
        self._needed = ""  # metric that the baseline must report
        self._asks = self._errors = 0
        self._open_ask: AskPolicy | None = None
        self._exhausted = False
        self.held: list[Proposal] = []
        self._pace = Pace()
        self.ending: Ending | None = None
        self._stopped = False

    @property
    def watches(self) -> bool:
        """Whether reports of running trials decide anything; they need not be journalled otherwise."""
        return self._race.watches

    def advance(self, event: Event, elapsed_s: float, seq: int) -> list[Effect]:
        """Returns what to do next, in order. `elapsed_s` and `seq` are the event's in the journal."""
        self.spending.feed(event, elapsed_s)
        self._ask_whether_to_end(elapsed_s)
        effects: list[Effect] = []
        match event:
            case Opened():
                effects = self._open(event)
            case Proposed():
                effects = self._take(event, elapsed_s)
            case SettledEvent():
                effects = self._settle(event, elapsed_s)
            case Progressed():
                effects = self._judge(event, elapsed_s)
            case Paused():
                effects = self._pause(event)
            case Released():
                effects = self._start(self._pool.release(event.number, list(event.resources)))
            case Interrupted():
                effects = self._end(Ending("interrupted", interrupted=True, signal=event.signal), order=True, kill=event.again)
            case Requested(request="stop"):
                effects = self._end(Ending("stopped on request", interrupted=True), order=True)
            case Requested(request="enqueue"):
                self.held.append(requested_proposal(event))
            case Resumed():
                effects = self._resume(event, elapsed_s)
            case Failed():
                effects = self._end(Ending(event.message, failed=True), order=True, kill=True)
        return effects + self._fill(elapsed_s, seq + len(effects))

    # ---------------------------------------------------------------- events
    def _open(self, event: Opened) -> list[Effect]:
        self._comparability.begin(time_budgeted=event.time_budgeted)
        self._race.begin(event.progress_metric, self.log.direction, checkpoints=event.checkpoints)
        self._numbering.begin(event.source_hash)
        self._needed = event.progress_metric if self.watches else ""
        return self._submit(
            Proposal(params=event.defaults, source="baseline", rationale="the user's own files with the defaults")
        )

    def _take(self, event: Proposed, elapsed_s: float) -> list[Effect]:
        self._open_ask = None
        self._pace.answered(elapsed_s)
        if event.error:
            self._errors += 1
            if self._errors >= _POLICY_ERRORS_IN_A_ROW:
                return self._end(Ending(f"the policy failed {self._errors} times in a row: {event.error}", failed=True))
            return []
        self._errors = 0
        self._exhausted = not event.proposals
        leader = self.log.view().leader or 0
        self.held += [replace(p, parent=leader if p.parent is None else p.parent) for p in event.proposals]
        return []

    def _judge(self, event: Progressed, elapsed_s: float) -> list[Effect]:
        trial = self._running.get(event.number)
        over = self.ending is not None and not self.ending.finishes  # what ends the campaign has ordered already
        if over or trial is None or trial.attempt != event.attempt or event.number in self._ordered:
            return []
        effect = self._race.report(trial, event.progress, elapsed_s, self.log.view())
        if isinstance(effect, OrderTrial):
            self._ordered[event.number] = effect.order.kind
        return [] if effect is None else [effect]

    def _pause(self, event: Paused) -> list[Effect]:
        self._ordered.pop(event.number, None)
        self._race.pause(self._running.pop(event.number), event.part)
        return self._free(event.number) + self._go_on(event.number)

    def _settle(self, event: SettledEvent, elapsed_s: float) -> list[Effect]:
        trial, outcome = self._running.pop(event.number, None) or self._race.paused[event.number], event.outcome
        self._ordered.pop(event.number, None)
        if outcome.status is Status.LOST:
            losses = self._losses[trial.number] = self._losses.get(trial.number, 0) + (not event.interrupted)
            if losses < self.settings.max_attempts:
                self._race.leave(trial, outcome)
                effects = self._free(event.number) + self._again(replace(trial, attempt=trial.attempt + 1))
                return effects + self._go_on(event.number)
            message = f"lost {losses} times, the last time: {outcome.message}"
            outcome = replace(outcome, status=Status.FAILED, message=message)
        outcome = self._race.outcome(event.number, outcome)
        remark, outcome = self._comparability.judge(trial, outcome, self.settings)
        effects = [] if remark is None else [remark]
        if remark is not None and remark.then == "again":
            self.spending.follow(remark)
            self._race.spare(event.number)
            effects += self._free(event.number) + self._again(replace(trial, attempt=trial.attempt + 1))
            return effects + self._go_on(event.number)
        self._exhausted = False
        self._pace.settled(outcome.elapsed_s)
        self.log.settle(trial, outcome)
        self._race.settled(Settled(trial=trial, outcome=outcome), self.log.view())
        decisions = self.settings.keep(self.log.view(), self.budget(elapsed_s))
        for decision in decisions:
            self.log.decide(decision)
            self._reserve = decision.reserve
            effects.append(Decide(decision=decision))
        self._ask_whether_to_end(elapsed_s)
        effects += [effect for decision in decisions for root in decision.repeats for effect in self._repeat(root)]
        effects += self._free(event.number) + self._go_on(event.number)
        if trial.number == 0 and (reason := unfit(outcome, self.settings, self._needed)):
            effects += self._end(Ending(reason, failed=True))
        return effects

    def _resume(self, event: Resumed, elapsed_s: float) -> list[Effect]:
        """Another controller takes over: what ran is about to settle as lost, an open ask was never answered."""
        self.settings = replace(self.settings, **event.limits)
        self._stop_rules = stop_rules(self.settings)
        self._pool = Pool(self.settings.capacity, self._devices)
        self.spending.withdraw()
        if self._open_ask is not None:
            self._asks -= 1  # asked again under its number, so with the same random stream
        self._open_ask, self._exhausted, self._errors = None, False, 0
        self.ending, self._stopped = None, False
        self._ordered.clear()
        self._orphans, self._suspects = set(self._running), []
        baseline = self.log.view().find(0)
        if baseline is not None and (reason := unfit(baseline.outcome, self.settings, self._needed)):
            return self._end(Ending(reason, failed=True))
        self._ask_whether_to_end(elapsed_s)
        return [] if self._orphans else self._start_waiting()

    def _go_on(self, settled: int) -> list[Effect]:
        """After the last orphan has settled everything that waits is submitted; suspects first, one after the other."""
        if settled in self._orphans:
            self._orphans.discard(settled)
            if self._orphans:
                return []
            self._suspects = sorted(number for number in self._waiting if self._losses.get(number, 0) > 1)
            self._suspects = self._suspects if len(self._suspects) > 1 else []
            return self._start_waiting()
        if settled in self._suspects:
            self._suspects.remove(settled)
            return self._start_waiting()
        return []

    def _start_waiting(self) -> list[Effect]:
        order = sorted(self._waiting.values(), key=lambda t: (t.attempt == 1, t.proposal.source != PERSON, t.number))
        numbers = self._suspects[:1] or [trial.number for trial in order]
        return [] if self.ending else self._admit(*numbers)

    # ---------------------------------------------------------------- what follows
    def _submit(self, proposal: Proposal) -> list[Effect]:
        return self._again(self._numbering.trial(proposal))

    def _repeat(self, root: int) -> list[Effect]:
        first = self.log.view().find(root)
        promised = self._numbering.count + (self._open_ask.count if self._open_ask is not None else 0)
        if first is None or promised >= (self.settings.max_trials or math.inf):
            return []
        return self._submit(replace(first.trial.proposal, repeat_of=root, source=REPEAT, memo={}))

    def _again(self, trial: Trial) -> list[Effect]:
        self.log.submit(trial)
        self._waiting[trial.number] = trial
        held = self.ending or self._orphans or self._suspects
        return [] if held else self._admit(trial.number)

    def _admit(self, *numbers: int) -> list[Effect]:
        """Lets trials go to the pool as far as the budgets reach; one that a person wants goes before all others that wait."""
        theirs = {number for number, trial in self._waiting.items() if trial.proposal.source == PERSON}
        if not theirs.isdisjoint(numbers):
            behind = [number for number in self._pool.waiting if number not in theirs]
            for number in reversed(behind):  # the head last, so that nothing is granted meanwhile
                self._pool.withdraw(number)
            self.spending.take_back(behind)
        for number in numbers:
            self.spending.queue(number, first=number in theirs)
        return [effect for n in self.spending.admit() for effect in self._start(self._pool.submit(n, self._needs(n)))]

    def _number_held(self) -> list[Effect]:
        """Makes trials of the proposals that have none, as far as may be; those of a person first."""
        self.held.sort(key=lambda proposal: proposal.source != PERSON)
        effects: list[Effect] = []
        while self.held and self._left() > 0 and len(self.log.settled):
            effects += self._submit(self.held.pop(0))
        return effects

    def _needs(self, number: int) -> Mapping[str, float]:
        return self._comparability.request(number, self._request, self.settings)

    def _free(self, number: int) -> list[Effect]:
        """Gives back what a trial holds, if anything, and starts what waited for it."""
        return self._start(self._pool.release(number)) if number in self._pool.holding else []

    def _start(self, grants: Sequence[Grant]) -> list[Effect]:
        effects: list[Effect] = []
        for grant in grants:
            trial = self._running[grant.key] = self._waiting.pop(grant.key)
            devices = {name: tuple(indices) for name, indices in grant.devices.items()}
            refusal, ran_s = self._numbering.refusals.get(trial.number, ""), self._race.ran_s(trial.number)
            start = StartTrial(trial=trial, resources=grant.amounts, devices=devices, refusal=refusal, ran_s=ran_s)
            self.spending.follow(start)
            effects.append(start)
        return effects

    def _end(self, ending: Ending, *, order: bool = False, kill: bool = False) -> list[Effect]:
        """No trial starts from here on; the running ones may be told to stop."""
        if self._stopped:
            return []
        if self.ending is None or ending.failed or (ending.interrupted and not self.ending.failed):
            self.ending = ending
        effects: list[Effect] = []
        self.spending.withdraw()
        for number in reversed(self._pool.waiting):  # the head last, so that nothing is granted meanwhile
            self._pool.withdraw(number)
        for number, trial in self._running.items():
            if order and (kill or self._ordered.get(number) != "stop"):  # other orders may have come too late
                self._ordered[number] = "stop"
                told = Order(kind="stop", reason=ending.reason)
                effects.append(OrderTrial(number=number, attempt=trial.attempt, order=told, kill=kill))
        return effects

    def _ask_whether_to_end(self, elapsed_s: float) -> None:
        """Asks the stop rules; to be called before anything is started."""
        history, limit_s = self.log.view(), self.settings.max_wall_s
        finishes = limit_s is None or elapsed_s < limit_s
        if self.ending is not None:
            self.ending.finishes &= finishes
        elif len(history):
            reason = next((said for rule in self._stop_rules if (said := rule(history, elapsed_s))), None)
            if reason is None and limit_s is not None and finishes:
                reason = only_to_finish(limit_s, elapsed_s, self._race.finish_s(history))
            if reason is not None:
                self._end(Ending(reason, finishes=finishes))

    def _fill(self, elapsed_s: float, seq: int) -> list[Effect]:
        """Takes paused trials up again, asks for what will be needed, stops when nothing is left to do."""
        effects = self._number_held() + self._admit() + self._revive()
        wanted = self._wanted() if len(self.log.settled) and not self.ending else 0
        if wanted > 0 and self._open_ask is None and not (self._exhausted or self._orphans or self._suspects):
            self._asks += 1
            self._open_ask = AskPolicy(ask=self._asks, seen=seq + len(effects), count=wanted)
            self._pace.asked(elapsed_s)
            return [*effects, self._open_ask]
        if self._running or self._stopped or (self._open_ask is not None and not self.ending):
            return effects
        goes_on = self._waiting or not (self._exhausted or self._left() <= self._reserve)
        if self.ending is None and goes_on and (reason := self.spending.shortage()):
            self._end(Ending(reason, finishes=True))
            effects += self._revive()
        if self._running or (self.ending is None and self._waiting):
            return effects
        ending = self.ending or Ending("search space exhausted" if self._exhausted else "nothing left to do")
        if self._race.paused and not (ending.interrupted or ending.failed):
            return effects + self._give_up(ending)
        self._stopped = True
        return [*effects, ending.effect]

    def _revive(self) -> list[Effect]:
        """Paused trials that the cancel rule wants to go on, as far as there is room; also when nothing new will be proposed."""
        ending = self.ending
        held = self._orphans or self._suspects or self._stopped or self._pool.waiting
        given_up = not self._ordered.keys().isdisjoint(self._race.paused)  # all at once, but they settle one by one
        if not self._race.paused or held or given_up or (ending is not None and not ending.finishes):
            return []
        last = ending is not None or self._exhausted or self._left() <= self._reserve
        effects: list[Effect] = []
        for trial in self._race.revive(self.log.view(), ending=last, most=self._startable(), fits=self.spending.reserve):
            again = replace(trial, attempt=trial.attempt + 1)
            self.log.submit(again)
            self._waiting[again.number] = again
            effects += self._start(self._pool.submit(again.number, self._needs(again.number)))
        return effects

    def _give_up(self, ending: Ending) -> list[Effect]:
        """Cancels what is still paused at the end; one alone where trials are left, so that the keep rule says what they are for."""
        numbers = [number for number in self._race.paused if number not in self._ordered]
        if not (self.ending or self._exhausted or self._left() <= 0):
            numbers = numbers[:1] if self._ordered.keys().isdisjoint(self._race.paused) else []
        self._ordered |= dict.fromkeys(numbers, "cancel")
        reason = "paused, and not worth going on with when no new trials came"
        order = Order(kind="cancel", reason=f"{reason}: {ending.reason}" if self.ending else reason)
        return [OrderTrial(number=number, attempt=self._race.paused[number].attempt, order=order) for number in numbers]

    def _wanted(self) -> int:
        """How many proposals to ask for: what could start now and the lookahead, less what waits."""
        soon = self._startable() + self._pace.lookahead(self.settings) - len(self._waiting)
        return int(min(soon, self._left() - self._reserve, self.spending.room()))

    def _startable(self) -> int:
        """How many trials could start now if none waited."""
        return startable(self._pool.free, self._request, self._devices)

    def _left(self) -> float:
        """How many trials may still be proposed."""
        return math.inf if self.settings.max_trials is None else self.settings.max_trials - self._numbering.count

    def budget(self, elapsed_s: float) -> Budget:
        """What is left, as policies and the keep rule see it."""
        return self.spending.budget(self.settings, self._numbering.count, elapsed_s)
