"""Telemetry: sinks that show and keep what happened. The journal is the truth; sinks can be rebuilt from it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from autoresearch_rl.events import Entry


class Sink(AbstractContextManager["Sink"], Protocol):
    """One place where events are shown or kept; a live one lasts from entering to leaving the context.

    A campaign that is resumed, or rebuilt from its journal, is fed from its first entry, without `Reported`: entries that a
    sink of this run directory saw before change nothing.
    """

    def record(self, entry: Entry) -> None:
        """Called by the loop's thread after the journal has the entry; must return within a millisecond."""
        ...


class Telemetry(Protocol):
    """Opens its sink for a run directory. An exception anywhere is logged once and switches the sink off."""

    def open(self, run_dir: Path) -> Sink:
        """Returns the sink; called once, before the first entry."""
        ...
