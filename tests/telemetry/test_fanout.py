import logging
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from autoresearch_rl.events import Entry
from autoresearch_rl.telemetry.fanout import FanOut
from autoresearch_rl.testing.entries import FakeCampaign


class Sink:
    """Notes what it gets, raises where it is told to."""

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.fails, self.error = fails, error or RuntimeError("no room left\non the moon")
        self.seen: list[Entry] = []
        self.closed = 0

    def open(self, run_dir: Path) -> Self:
        self._at("open")
        return self

    def __enter__(self) -> Self:
        self._at("enter")
        return self

    def record(self, entry: Entry) -> None:
        if len(self.seen) == 3:
            self._at("record")
        self.seen.append(entry)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.closed += 1
        self._at("exit")

    def _at(self, place: str) -> None:
        if place == self.fails:
            raise self.error


@pytest.mark.parametrize("place", ["open", "enter", "record", "exit"])
def test_a_sink_that_fails_anywhere_is_named_once_and_harms_no_other(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, broken, last = Sink(), Sink(place), Sink()
    entries = list(FakeCampaign(trials=3))
    with caplog.at_level(logging.WARNING), FanOut({"first": first, "broken": broken, "last": last}, tmp_path) as out:
        assert "first" in out.active
        for entry in entries:
            out.record(entry)
        assert ("broken" in out.active) == (place == "exit")
    assert first.seen == last.seen == entries
    assert (first.closed, last.closed) == (1, 1)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("telemetry.broken is switched off: no room left")
    assert "the campaign goes on" in said


def test_a_failing_sink_is_closed_too(tmp_path: Path) -> None:
    broken = Sink("record")
    with FanOut({"broken": broken}, tmp_path) as out:
        for entry in FakeCampaign(trials=3):
            out.record(entry)
        assert broken.closed == 1
    assert broken.closed == 1


def test_ctrl_c_while_one_closes_lets_the_others_close(tmp_path: Path) -> None:
    slow, last = Sink("exit", KeyboardInterrupt()), Sink()
    out = FanOut({"slow": slow, "last": last}, tmp_path)
    out.__enter__()
    with pytest.raises(KeyboardInterrupt):
        out.__exit__(None, None, None)
    assert last.closed == 1


def test_without_sinks_nothing_happens(tmp_path: Path) -> None:
    with FanOut({}, tmp_path) as out:
        for entry in FakeCampaign(trials=2):
            out.record(entry)
    assert out.active == ()
