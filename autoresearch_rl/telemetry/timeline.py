"""The timeline `timeline.json`: a Chrome trace that Perfetto and chrome://tracing open, also when the run was killed."""

from __future__ import annotations

import math
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic_core import to_json

from autoresearch_rl.events import (
    AskPolicy,
    Entry,
    Failed,
    Interrupted,
    LlmCall,
    Opened,
    Paused,
    Proposed,
    Requested,
    Resumed,
    SettledEvent,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.metering import UNITS
from autoresearch_rl.telemetry.tally import Row, Running, Tally
from autoresearch_rl.telemetry.text import first_line, printable
from autoresearch_rl.trial import StageSpan

FILE_NAME = "timeline.json"
_PROPOSER, _WAITING = 0, 1_000_000


class Timeline:
    """Writes `timeline.json` into the run directory."""

    def open(self, run_dir: Path) -> TimelineSink:
        """Returns the sink; the file is begun anew with the campaign's first entry."""
        return TimelineSink(run_dir / FILE_NAME)


class TimelineSink:
    """One track for the proposer, one for each trial that can run at the same time, one for trials that wait.

    Times are microseconds of the campaign's active time. Each event is with the kernel before `record` returns; only the
    closing bracket, which the format lets one leave out, comes at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tally = Tally()
        self._tracks: set[int] = set()
        self._asked: dict[int, tuple[int, float]] = {}
        self._file: FileIO | None = None
        self._lines: list[bytes] = []  # of the entry at hand

    def __enter__(self) -> Self:
        return self

    def record(self, entry: Entry) -> None:
        """Takes an entry; see `Sink`."""
        if not self._tally.is_new(entry):
            return
        record, elapsed_s = entry.record, entry.elapsed_s
        before = self._tally.running.get(record.number) if isinstance(record, SettledEvent | Paused) else None
        row = self._tally.feed(entry)
        match record:
            case Opened():
                self._begin(record)
            case AskPolicy():
                self._asked[record.ask] = record.count, elapsed_s
            case Proposed():
                self._proposed(record, elapsed_s)
            case LlmCall():
                tokens = {"tokens_in": record.reply.tokens_in, "tokens_out": record.reply.tokens_out, "usd": record.reply.usd}
                self._span("language model", _PROPOSER, elapsed_s - record.latency_s, elapsed_s, tokens)
            case StartTrial():
                self._started(self._tally.running[record.trial.number], elapsed_s)
            case SettledEvent() | Paused() if before is not None and before.trial.attempt == record.attempt:
                self._left(before, record, elapsed_s)
            case Requested(request="note" | "enqueue" as kind):
                said = record.arguments.get("text") if kind == "note" else "a person's proposal is enqueued"
                self._put(name=first_line(str(said)), ph="i", s="g", ts=_us(elapsed_s), tid=_PROPOSER, args={"request": kind})
            case Interrupted() | StopCampaign() | Resumed() | Failed():
                text = record.reason if isinstance(record, StopCampaign) else type(record).__name__.lower()
                self._put(name=first_line(text), ph="i", s="g", ts=_us(elapsed_s), tid=_PROPOSER)
            case _:
                pass
        self._decided(row)
        self._write()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            with self._file:
                self._decided(self._tally.close())
                self._write()
                self._file.write(b"\n]\n")

    def _begin(self, opened: Opened) -> None:
        self._file = FileIO(self._path, "w")
        self._file.write(b"[")
        name = f"{printable(opened.task)} {opened.campaign}"
        self._file.write(b"\n" + _line({"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": name}}))
        self._track(_PROPOSER, "proposer")

    def _proposed(self, proposed: Proposed, elapsed_s: float) -> None:
        wanted, asked_s = self._asked.pop(proposed.ask, (0, elapsed_s))
        args = {"wanted": wanted, "proposals": len(proposed.proposals), "error": first_line(proposed.error)}
        self._span("propose", _PROPOSER, asked_s, elapsed_s, args)

    def _started(self, running: Running, elapsed_s: float) -> None:
        """Waiting trials overlap, so their spans are asynchronous ones; the trial's own is open until it settles."""
        proposal, number = running.trial.proposal, running.trial.number
        self._track(running.slot, f"worker {running.slot}")
        if running.submitted_s < elapsed_s:
            self._track(_WAITING, "waiting")
            for phase, at_s in (("b", running.submitted_s), ("e", elapsed_s)):
                self._put(name="wait", cat="wait", id=number, ph=phase, ts=_us(at_s), tid=_WAITING, args={"trial": number})
        params = {printable(name): printable(v) if isinstance(v, str) else v for name, v in proposal.params.items()}
        own = {"source": printable(proposal.source), "parent": proposal.parent, "seed": running.trial.seed, "params": params}
        self._put(name=f"trial {number}", ph="B", ts=_us(elapsed_s), tid=running.slot, args=own)

    def _left(self, running: Running, record: SettledEvent | Paused, elapsed_s: float) -> None:
        args: dict[str, Any] = {"attempt": running.trial.attempt, "status": "paused"}
        if isinstance(record, SettledEvent):
            outcome = record.outcome
            args |= {"status": outcome.status, "score": outcome.score, "message": first_line(outcome.message)}
            for span in _stages(running.begun_s, outcome.spans, elapsed_s):
                self._span(span.stage, running.slot, span.begun_s, span.ended_s, {"trial": running.trial.number})
        self._put(name=f"trial {running.trial.number}", ph="E", ts=_us(elapsed_s), tid=running.slot, args=args)

    def _decided(self, row: Row | None) -> None:
        if row is None:
            return
        if self._tally.opened is not None and (best := self._tally.best) is not None:
            name = printable(self._tally.opened.metric)
            self._put(name=f"best {name}", ph="C", ts=_us(row.elapsed_s), tid=_PROPOSER, args={name: best})
        for name, amount in self._tally.meter.so_far(row.elapsed_s).items():
            self._put(name=f"spent {UNITS[name]}", ph="C", ts=_us(row.elapsed_s), tid=_PROPOSER, args={name: amount})

    def _track(self, tid: int, name: str) -> None:
        if tid not in self._tracks:
            self._tracks.add(tid)
            self._put(name="thread_name", ph="M", tid=tid, args={"name": name})
            self._put(name="thread_sort_index", ph="M", tid=tid, args={"sort_index": tid})

    def _span(self, name: str, tid: int, begun_s: float, ended_s: float, args: dict[str, Any]) -> None:
        begun_us = _us(begun_s)
        self._put(name=printable(name), ph="X", ts=begun_us, dur=max(0, _us(ended_s) - begun_us), tid=tid, args=args)

    def _put(self, **event: Any) -> None:
        self._lines.append(b",\n" + _line({**event, "pid": 1}))

    def _write(self) -> None:
        if self._file is not None and self._lines:
            self._file.write(b"".join(self._lines))
        self._lines.clear()


def _stages(begun_s: float, spans: tuple[StageSpan, ...], ended_s: float) -> list[StageSpan]:
    """The stages, with what came before the first and after the last one as `prepare` and `settle`."""
    if not spans:
        return []
    prepare = StageSpan(stage="prepare", begun_s=begun_s, ended_s=spans[0].begun_s)
    return [prepare, *spans, StageSpan(stage="settle", begun_s=spans[-1].ended_s, ended_s=ended_s)]


def _us(seconds: float) -> int:
    return round(seconds * 1e6) if math.isfinite(seconds) else 0


def _line(event: dict[str, Any]) -> bytes:
    """Strict JSON, which has no NaN: what is not finite becomes its name. Fast, as a resumed campaign writes all anew."""
    return to_json(event, inf_nan_mode="strings")
