"""Reads a campaign, live or ended, from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.journal import all_kept, read
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import Decide, Entry, Opened, StartTrial
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.telemetry.tally import Tally


@dataclass
class Seen:
    """What a journal says of its campaign so far: its history, and what is not history yet."""

    log: HistoryLog
    tally: Tally = field(default_factory=Tally)
    at: str = ""
    elapsed_s: float = 0.0

    @property
    def opened(self) -> Opened:
        """The first event, with the `max_trials` of the latest resume."""
        assert self.tally.opened is not None  # `follow` takes it before all else
        return self.tally.opened

    def take(self, entry: Entry) -> None:
        """Takes one more entry into account."""
        self.at, self.elapsed_s, record = entry.at, entry.elapsed_s, entry.record
        row = self.tally.feed(entry)
        if row is not None:
            self.log.settle(row.trial, row.outcome)
        if isinstance(record, StartTrial):
            self.log.submit(record.trial)
        elif isinstance(record, Decide):
            self.log.decide(record.decision)


def read_campaign(run_dir: Path) -> Seen:
    """What the journal of a run directory says. Raises JournalError where there is none or it is broken."""
    return follow(read(run_dir), run_dir)


def follow(entries: Iterable[Entry], run_dir: Path) -> Seen:
    """What these entries of a run directory's journal say. Raises JournalError where there is none."""
    entries = iter(entries)
    first = next(entries, None)
    if first is None or not isinstance(first.record, Opened):
        raise JournalError(f"{run_dir / 'journal.jsonl'} is empty: the campaign had not begun")
    direction: Any = first.record.direction
    seen = Seen(HistoryLog(direction))
    seen.take(first)
    with all_kept():
        for entry in entries:
            seen.take(entry)
    return seen
