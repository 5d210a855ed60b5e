"""The console: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import rich.console
from rich.live import Live

from autoresearch_rl.events import (
    Decide,
    Entry,
    Failed,
    Incomparable,
    Interrupted,
    Opened,
    OrderTrial,
    Paused,
    Proposed,
    Record,
    Reported,
    Requested,
    Resumed,
    SettledEvent,
    Spare,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.metering import of_limit
from autoresearch_rl.telemetry.console_view import View, summary, table
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.telemetry.text import duration, first_line, number, printable, settings, steps
from autoresearch_rl.trial import Status

_FRAMES_PER_S = 4.0
_RECENT = 8


class Console:
    """Shows the campaign on standard output."""

    def __init__(self, live: bool | None = None, console: rich.console.Console | None = None) -> None:
        """`live`: a table that is redrawn, rather than plain lines; by default where the output is a terminal."""
        self._live, self._console = live, console

    def open(self, run_dir: Path) -> LiveSink | PlainSink:
        """Returns the sink that fits the output."""
        console = self._console or rich.console.Console(highlight=False, soft_wrap=False)
        live = self._live if self._live is not None else console.is_terminal and not console.is_dumb_terminal
        return LiveSink(console, run_dir) if live else PlainSink(console, run_dir)


class LiveSink:
    """Redraws the table in a thread of its own, four times a second; `record` only notes what happened.

    While it is open, log lines of handlers that write to the terminal go above the table.
    """

    def __init__(self, console: rich.console.Console, run_dir: Path) -> None:
        self._console, self._run_dir = console, run_dir
        self._tally, self._recent = Tally(), deque[Row](maxlen=_RECENT)
        self._lock = threading.Lock()
        self._notice = ""
        self._ahead_s = -time.monotonic()
        self._settled_s = 0.0
        self._stack = ExitStack()
        self._rendered = Live(
            console=console, get_renderable=self._render, refresh_per_second=_FRAMES_PER_S, transient=True, screen=False
        )

    def __enter__(self) -> Self:
        before = {sys.stdout, sys.stderr}
        self._stack.enter_context(self._rendered)
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler and handler.stream in before:
                self._stack.callback(handler.setStream, handler.stream)
                handler.setStream(sys.stderr)
        return self

    def record(self, entry: Entry) -> None:
        """Takes an entry; see `Sink`."""
        with self._lock:
            if not self._tally.is_new(entry):
                return
            self._ahead_s = entry.elapsed_s - time.monotonic()
            self._note(self._tally.feed(entry))
            self._notice = _notice(entry.record, self._tally) or self._notice

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._note(self._tally.close())
        self._stack.close()
        if self._tally.opened is not None:
            self._console.print(summary(self._tally, self._now_s()))

    def _note(self, row: Row | None) -> None:
        if row is not None:
            self._recent.append(row)
            self._settled_s = row.elapsed_s

    def _now_s(self) -> float:
        return max(0.0, self._ahead_s + time.monotonic())

    def _render(self) -> rich.console.RenderableType:
        with self._lock:
            view = View(
                tally=self._tally,
                recent=tuple(self._recent),
                now_s=self._now_s(),
                settled_s=self._settled_s,
                run_dir=self._run_dir,
                notice=self._notice,
                height=self._console.height,
                width=self._console.width,
            )
            return table(view)


class PlainSink:
    """Prints one line for each start, end, decision and stop. What happened before a resume is not printed again."""

    def __init__(self, console: rich.console.Console, run_dir: Path) -> None:
        self._file, self._run_dir = console.file, run_dir
        self._tally = Tally()
        self._past = 0  # entries that the journal held when the campaign was taken up
        self._told: dict[int, str] = {}

    def __enter__(self) -> Self:
        journal = self._run_dir / "journal.jsonl"
        if journal.is_file():
            with journal.open("rb") as lines:
                self._past = sum(1 for _ in lines)
        return self

    def record(self, entry: Entry) -> None:
        """Takes an entry; see `Sink`."""
        record = entry.record
        if not self._tally.is_new(entry) or (isinstance(record, Reported) and not record.stage.startswith("waiting")):
            return
        paused = isinstance(record, StartTrial) and record.trial.number in self._tally.paused
        self._tally.feed(entry)
        if 0 <= entry.seq < self._past:
            return
        said = self._start(record, paused=paused) if isinstance(record, StartTrial) else self._line(record)
        if said:
            self._file.write(f"[{duration(entry.elapsed_s):>6}] {printable(said)}\n")
            self._file.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """What the campaign came to is said after it, where the spending, the leader and what is confirmed are known."""
        self._tally.close()

    def _start(self, start: StartTrial, *, paused: bool) -> str:
        trial, proposal = start.trial, start.trial.proposal
        if paused:
            return f"trial {trial.number} goes on (attempt {trial.attempt})"
        again = f" again (attempt {trial.attempt})" if trial.attempt > 1 else ""
        if proposal.repeat_of is not None:
            return f"trial {trial.number} repeats trial {proposal.repeat_of} under another seed{again}"
        params = settings(proposal.params, self._tally.opened.defaults if self._tally.opened is not None else {})
        patched = ", patched" if proposal.patch else ""
        return f"trial {trial.number} starts{again}: {params} ({proposal.source}{patched})"

    def _line(self, record: Record | Reported) -> str:
        match record:
            case Reported():
                return f"trial {record.number} is {record.stage}, which another campaign has"
            case Opened():
                limit = f"up to {record.max_trials} trials" if record.max_trials is not None else "no limit of trials"
                policy = record.tags.get("policy", "?")
                return f"campaign {record.campaign}: task {record.task}, policy {policy}, {limit}, in {self._run_dir}"
            case Paused(number=trial, part=part):
                order = self._tally.paused[trial].order if trial in self._tally.paused else None
                at = f" at {steps(part.curve.steps[-1], part.curve.step_target)}" if part.curve.steps else ""
                return f"trial {trial} paused{at}" + (f": {first_line(order.reason)}" if order is not None else "")
            case SettledEvent(outcome=outcome):
                metric = self._tally.opened.metric if self._tally.opened is not None else ""
                score = f": {metric} {number(outcome.score)}" if outcome.score is not None else ""
                told = self._told.pop(record.number, "")
                said = outcome.status is Status.OK or not outcome.message or (told and told in outcome.message)
                why = "" if said else f": {first_line(outcome.message)}"
                cost = self._tally.meter.ended.get("usd", 0.0)
                price = f" for {of_limit('usd', cost, None)}" if cost > 0 else ""
                after = f" after {duration(outcome.elapsed_s)}" if outcome.elapsed_s > 0 else ""  # none: it was paused
                return f"trial {record.number} {outcome.status}{after}{price}{score}{why}"
            case Decide(decision=decision):
                if decision.reason.partition(":")[0] in (Status.CANCELLED, Status.REJECTED, Status.TIMEOUT, Status.FAILED):
                    return ""  # no score: the line before has said all there is
                return f"trial {decision.candidate} {decision.verdict}: {first_line(decision.reason)}"
            case OrderTrial(order=order, number=trial) if line := _notice(record, self._tally):
                self._told[trial] = order.reason
                return line
            case _:
                return _notice(record, self._tally)


def _notice(record: Record | Reported, tally: Tally) -> str:
    """What is worth a line beside the trials, empty for most records."""
    match record:
        case Proposed(error=said) if said:
            return f"the policy failed: {first_line(said)}"
        case Requested(request="note", arguments=given):
            return f"note: {first_line(str(given.get('text', '')))}"
        case Requested(request="enqueue", arguments=given):
            kept = len(tally.waiting.held) > 0 and tally.done > 0
            when = "; it waits for a resume with more controller.max_trials" if kept else ""
            return f"a person's proposal goes before all that waits: {settings(given.get('params', {}))}{when}"
        case Spare(order=order, number=trial):
            return f"trial {trial} would have been cancelled (control group): {first_line(order.reason)}"
        case OrderTrial(order=order, number=trial):
            if order.kind == "pause" or trial in tally.paused:
                return ""  # the next line says that it was done, and why
            return f"trial {trial} is told to {order.kind}: {first_line(order.reason)}"
        case Incomparable(number=trial, then=then, reason=said):
            what = {"again": "is measured again, alone", "fail": "has failed", "accept": "counts as it is"}[then]
            return f"trial {trial} {what}: {first_line(said)}"
        case Interrupted(again=True):
            return "interrupted again: running trials are killed"
        case Interrupted():
            return "interrupted: running trials are given time to stop (Ctrl-C again kills them)"
        case Failed(message=said):
            return f"the campaign cannot go on: {first_line(said)}"
        case Resumed():
            return "resumed"
        case StopCampaign(reason=reason):
            return f"the campaign ends: {first_line(reason)}"
        case _:
            return ""
