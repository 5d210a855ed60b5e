"""Which trials wait to start, as a reader of a journal knows it: trials get their numbers by the reducer's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Entry,
    Incomparable,
    Opened,
    Proposed,
    Record,
    Reported,
    Requested,
    Resumed,
    SettledEvent,
    StartTrial,
)
from autoresearch_rl.trial import Proposal, Status

PERSON = "person"
"""`Proposal.source` of what `arrl enqueue` brings; such trials start before all others that wait."""


def requested_proposal(requested: Requested) -> Proposal:
    """The proposal that an `enqueue` request brings; its arguments are complete, as the inbox has checked."""
    given = requested.arguments
    return Proposal(
        params=given["params"],
        patch=given.get("patch", ""),
        parent=given["parent"],
        rationale=given.get("rationale", ""),
        source=PERSON,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A trial that was proposed and has not started, or is to start again.

    Attributes:
        at: UTC time since which it waits; `since_s` in active seconds of the campaign.
        ask: Number of the ask that it answers, 0 for others than a policy's.
        attempt: That will start.
        repeat_of: Number of the candidate that the keep rule wants measured again.
        proposal: None for repeats and later attempts, whose proposal is known.
    """

    number: int
    at: str
    since_s: float
    ask: int = 0
    attempt: int = 1
    repeat_of: int | None = None
    proposal: Proposal | None = None

    @property
    def is_of_a_person(self) -> bool:
        """Whether a person wants it."""
        return self.proposal is not None and self.proposal.source == PERSON


class Waiting:
    """Follows one campaign, entry by entry from `Opened` on.

    Attributes:
        trials: Those that wait, by number.
        held: Proposals without a number (-1): the baseline has not settled, or `max_trials` leaves no trial for them.
        numbers: How many trials have a number.
    """

    def __init__(self) -> None:
        self.trials: dict[int, Waits] = {}
        self.held: list[Waits] = []
        self.numbers = self._promised = 0
        self._most: float = math.inf
        self._leader = 0
        self._baseline_settled = False
        self._lost: int | None = None

    def feed(self, entry: Entry) -> Waits | None:
        """Takes an entry; returns what waits no longer, where it is a start."""
        record = entry.record
        if isinstance(record, Decide):
            self._decide(record, entry)
            return None
        if not isinstance(record, StartTrial):
            self._number_held()  # what waited for the baseline comes after the repeats that were asked for when it settled
            self._lost = None
        self._follow(entry, record)
        if isinstance(record, Proposed | Requested | Resumed):
            self._number_held()
        if not isinstance(record, StartTrial):
            return None
        if record.trial.number not in self.trials:
            self._number_held()
        self.numbers = max(self.numbers, record.trial.number + 1)
        return self.trials.pop(record.trial.number, None)

    def in_order(self) -> list[Waits]:
        """Trials that wait, in the order in which they will start: those of a person first."""
        return sorted(self.trials.values(), key=lambda waits: not waits.is_of_a_person)

    def _follow(self, entry: Entry, record: Record | Reported) -> None:
        match record:
            case Opened():
                self._most = math.inf if record.max_trials is None else record.max_trials
                self._submit(Waits(number=-1, at=entry.at, since_s=entry.elapsed_s))
            case AskPolicy(count=count):
                self._promised = count
            case Proposed(ask=ask, proposals=proposals):
                self._promised = 0
                self.held += [self._waits(entry, proposal, ask) for proposal in proposals]
            case Requested(request="enqueue"):
                self.held.append(self._waits(entry, requested_proposal(record)))
            case SettledEvent(number=number) if record.outcome.status is Status.LOST:
                self._lost = number
                self.trials[number] = Waits(number=number, at=entry.at, since_s=entry.elapsed_s, attempt=record.attempt + 1)
            case Incomparable(number=number, then="again"):
                self.trials[number] = Waits(number=number, at=entry.at, since_s=entry.elapsed_s, attempt=record.attempt + 1)
            case Resumed(limits=limits):
                most = limits.get("max_trials", self._most)
                self._most, self._promised = math.inf if most is None else most, 0
            case _:
                pass

    def _waits(self, entry: Entry, proposal: Proposal, ask: int = 0) -> Waits:
        if proposal.parent is None:
            proposal = replace(proposal, parent=self._leader)
        return Waits(number=-1, at=entry.at, since_s=entry.elapsed_s, ask=ask, proposal=proposal)

    def _decide(self, record: Decide, entry: Entry) -> None:
        if self._lost is not None:  # lost for good
            self.trials.pop(self._lost, None)
        self._lost, self._baseline_settled = None, True
        if record.decision.leads:
            self._leader = record.decision.candidate
        for root in record.decision.repeats:
            if self.numbers + self._promised < self._most:
                self._submit(Waits(number=-1, at=entry.at, since_s=entry.elapsed_s, repeat_of=root))

    def _number_held(self) -> None:
        self.held.sort(key=lambda waits: not waits.is_of_a_person)
        while self.held and self._baseline_settled and self.numbers < self._most:
            self._submit(self.held.pop(0))

    def _submit(self, waits: Waits) -> None:
        self.trials[self.numbers] = replace(waits, number=self.numbers)
        self.numbers += 1
