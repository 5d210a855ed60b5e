"""The contract of `Telemetry`, for every sink, ours and others': inherit from `TelemetryContract` and name the sink to test."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from autoresearch_rl.events import Entry, Failed
from autoresearch_rl.telemetry import Telemetry
from autoresearch_rl.testing.entries import FakeCampaign

_MOST_RECORD_S = 0.001


class TelemetryContract:
    """A pytest class: `class TestMine(TelemetryContract)` with `make` and, where files in the folder do not tell, `kept`.

    Attributes:
        many: Trials of the long campaign; fewer for a sink that takes long to write them.
    """

    many = 300

    def make(self, folder: Path) -> Telemetry:
        """Returns a new instance that keeps what it keeps in `folder`, which is the run directory too."""
        raise NotImplementedError

    def kept(self, folder: Path) -> object:
        """Returns what the sink has left, to be compared; times of writing excluded."""
        return sorted((path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file())

    def _feed(self, folder: Path, entries: Iterable[Entry]) -> object:
        with self.make(folder).open(folder) as sink:
            for entry in entries:
                sink.record(entry)
        return self.kept(folder)

    def test_the_same_entries_again_change_nothing(self, tmp_path: Path) -> None:
        """A resumed or rebuilt campaign is fed from its first entry, in the same and in a new instance."""
        entries = list(FakeCampaign(trials=13))
        once = self._feed(tmp_path, entries)
        assert self._feed(tmp_path, entries) == once
        assert self._feed(tmp_path, [entry for entry in entries for _ in range(2) if entry.seq >= 0]) == once

    def test_cut_anywhere_and_fed_again(self, tmp_path: Path) -> None:
        """What a killed controller's sink left is completed, not doubled."""
        entries = [entry for entry in FakeCampaign(trials=9) if entry.seq >= 0]
        whole = tmp_path / "whole"
        whole.mkdir()
        once = self._feed(whole, entries)
        cut = tmp_path / "cut"
        cut.mkdir()
        for end in (3, len(entries) // 2, len(entries)):
            left = self._feed(cut, entries[:end])
        assert left == once

    def test_entries_without_a_beginning_and_without_an_end(self, tmp_path: Path) -> None:
        """Nothing is raised by entries before `opened`, none at all, or a campaign that fails."""
        entries = list(FakeCampaign(trials=5))
        self._feed(tmp_path, [])
        self._feed(tmp_path, entries[1:])
        failed = [*entries[:-1], replace(entries[-1], record=Failed(message="the evaluator\x1b[2J fails\nby itself"))]
        self._feed(tmp_path, failed)

    def test_an_interrupted_campaign_is_closed(self, tmp_path: Path) -> None:
        """Ctrl-C: the last trials are lost and will be run again."""
        self._feed(tmp_path, FakeCampaign(trials=9, interrupted=True))

    def test_record_returns_at_once_however_many_trials_there_were(self, tmp_path: Path) -> None:
        """The loop's thread waits for it: within a millisecond as a rule, and as fast at the end as at the beginning."""
        entries = list(FakeCampaign(trials=self.many))
        times_s = []
        with self.make(tmp_path).open(tmp_path) as sink:
            for entry in entries:
                begun_s = time.perf_counter()
                sink.record(entry)
                times_s.append(time.perf_counter() - begun_s)
        assert statistics.median(times_s) < _MOST_RECORD_S
        part = len(times_s) // 5
        assert statistics.median(times_s[-part:]) < 5 * statistics.median(times_s[:part]) + 50e-6
