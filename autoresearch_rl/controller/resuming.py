"""Reads a journal back into the reducer: to take a campaign up again, and to check that its decisions come out the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import get_args

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.journal import Journal
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import (
    AskPolicy,
    Effect,
    Entry,
    Event,
    Opened,
    Paused,
    Proposed,
    Record,
    Reported,
    Resumed,
    SettledEvent,
    StartTrial,
)
from autoresearch_rl.metering import NOTHING
from autoresearch_rl.trial import Outcome, Status, Trial

_EVENTS = get_args(Event)
Answer = Callable[[AskPolicy, float], Proposed]
"""Asks a policy anew, with the campaign's history as of now and the active seconds so far."""


def replay(
    campaign: Campaign,
    entries: Iterable[Entry],
    answer: Answer | None = None,
    differs: Callable[[str], object] | None = None,
) -> list[Effect]:
    """Feeds a journal's events to a fresh reducer and compares the effects; returns those of the last event that it lacks.

    With `answer`, each proposal is made again and compared too; the recorded ones are fed. Raises JournalError that names the
    first difference; one between proposals is handed to `differs` instead, where that is given.
    """
    expected: list[Effect] = []
    asked: Proposed | None = None
    for entry in entries:
        record, line = entry.record, entry.seq + 1
        if isinstance(record, _EVENTS):
            if expected:
                raise JournalError(f"line {line}: the decision {_short(expected[0])} is missing before it")
            if asked is not None and isinstance(record, Proposed) and not _same(record, asked):
                said = f"line {line}: the policy now proposes {_short(asked)}, not the recorded {_short(record)}"
                if differs is None:
                    raise JournalError(said)
                differs(said)
            expected = campaign.advance(record, entry.elapsed_s, entry.seq)
            continue
        if not expected or not _same(expected[0], record):
            now = _short(expected[0]) if expected else "nothing"
            raise JournalError(f"line {line}: recorded is {_short(record)}, but the same events now lead to {now}")
        expected.pop(0)
        if answer is not None and isinstance(record, AskPolicy):
            asked = answer(record, entry.elapsed_s)
    return expected


def restore(campaign: Campaign, entries: Sequence[Entry], journal: Journal) -> list[Entry]:
    """Restores the reducer, and writes what was decided before the crash but not yet written; returns all entries.

    Raises JournalError where the journal cannot have been written by this reducer, and says where.
    """
    missing = replay(campaign, entries)
    elapsed_s = entries[-1].elapsed_s
    return [*entries, *(journal.append(effect, elapsed_s) for effect in missing)]


def takeover_events(
    entries: Sequence[Entry],
    limits: Mapping[str, object],
    spawned: Callable[[Trial], bool],
    lived_s: Callable[[Trial, str], float] = lambda *_: 0.0,
) -> list[Event]:
    """The events that a new controller begins with: it resumes, and each trial that was running settles as lost.

    `spawned` tells whether a started attempt came as far as having a folder; one that did not is none used. `lived_s` tells how
    many seconds after its start, whose time it gets, an attempt gave its last sign of life; 0 if that is not known.
    """
    running: dict[int, tuple[Trial, str]] = {}
    for entry in entries:
        if isinstance(entry.record, StartTrial):
            running[entry.record.trial.number] = entry.record.trial, entry.at
        elif isinstance(entry.record, SettledEvent | Paused):
            running.pop(entry.record.number, None)
    events: list[Event] = [Resumed(limits=limits)]
    for number, (trial, at) in sorted(running.items()):
        ran = spawned(trial)
        usage, elapsed_s = ({}, lived_s(trial, at)) if ran else (NOTHING, 0.0)
        lost = Outcome(status=Status.LOST, message="the controller died while it ran", usage=usage, elapsed_s=elapsed_s)
        events.append(SettledEvent(number=number, attempt=trial.attempt, outcome=lost, interrupted=not ran))
    return events


def first(entries: Iterable[Entry]) -> Opened:
    """The event that opened the campaign. Raises JournalError where the journal is empty."""
    entry = next(iter(entries), None)
    if entry is None or not isinstance(entry.record, Opened):
        raise JournalError("the journal is empty: the campaign had not begun; start it anew")
    return entry.record


def _same(left: Record | Reported, right: Record | Reported) -> bool:
    """Whether they would be the same line of a journal."""
    return left == right or (type(left) is type(right) and _text(left) == _text(right))


def _text(record: Record | Reported) -> str:
    return json.dumps(asdict(record), sort_keys=True, default=str)


def _short(record: object) -> str:
    text = repr(record)
    return text if len(text) < 400 else f"{text[:400]}..."
