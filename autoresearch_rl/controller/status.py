"""Shows a campaign, live or ended, as its journal has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.activity import Activity, activity, told
from autoresearch_rl.controller.journal import all_kept, read
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import Decide, Entry, Incomparable, Opened, Paused, Resumed, SettledEvent, StartTrial, StopCampaign
from autoresearch_rl.joining import remarked
from autoresearch_rl.metering import Meter
from autoresearch_rl.trial import Decision, History, HistoryLog, Outcome, Settled, Status, Trial
from autoresearch_rl.waiting import Waiting


@dataclass
class Seen:
    """What a journal says of its campaign so far."""

    opened: Opened
    log: HistoryLog
    running: dict[int, Trial] = field(default_factory=dict)
    paused: dict[int, Trial] = field(default_factory=dict)
    stop: StopCampaign | None = None
    waiting: Waiting = field(default_factory=Waiting)
    activity: Activity = field(default_factory=Activity)
    at: str = ""
    elapsed_s: float = 0.0
    meter: Meter = field(default_factory=Meter)
    _ended: tuple[Trial, Outcome] | None = None
    _remarks: dict[int, list[Incomparable]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Takes one more entry into account."""
        self.at, self.elapsed_s = entry.at, entry.elapsed_s
        self.meter.feed(entry.record, entry.elapsed_s)
        self.waiting.feed(entry)
        self.activity.feed(entry)
        match entry.record:
            case StartTrial(trial=trial):
                self.log.submit(trial)
                self.running[trial.number] = trial
                self.activity.orders.pop(trial.number, None)
                self.paused.pop(trial.number, None)
                self.stop = None
            case Paused(number=number):
                self.paused[number] = self.running.pop(number)
            case SettledEvent(number=number, outcome=outcome):
                trial = self.running.pop(number) if number in self.running else self.paused.pop(number)
                whole = self.activity.whole(number, outcome, checkpoints=self.opened.checkpoints)
                whole = replace(whole, usage={**whole.usage, **self.meter.ended})
                self._ended = (trial, whole)  # settled for good only if a decision follows: a lost attempt starts again
            case Incomparable(number=number):
                self._remarks.setdefault(number, []).append(entry.record)
            case Decide(decision=decision):
                if self._ended is not None:
                    trial, outcome = self._ended
                    final = replace(outcome, status=Status.FAILED) if outcome.status is Status.LOST else outcome
                    self.log.settle(trial, remarked(final, self._remarks.pop(trial.number, ())))
                    self._ended = None
                self.log.decide(decision)
            case Resumed(limits=limits) if "max_trials" in limits:
                self.opened = replace(self.opened, max_trials=limits["max_trials"])
            case StopCampaign() as stop:
                self.stop = stop
            case _:
                pass


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
    seen = Seen(opened=first.record, log=HistoryLog(direction))
    seen.take(first)
    with all_kept():
        for entry in entries:
            seen.take(entry)
    return seen


def show_status(run_dir: Path, *, last: int, as_json: bool) -> None:
    """Prints a campaign's state and its latest trials (all where `last` is 0), as a table or as one JSON object."""
    seen = read_campaign(run_dir)
    if as_json:
        print(json.dumps(_summary(seen, last) | activity(seen, run_dir), indent=1))
    else:
        _print(seen, run_dir, last)


def _summary(seen: Seen, last: int) -> dict[str, Any]:
    history = seen.log.view()
    return {
        "campaign": seen.opened.campaign,
        "task": seen.opened.task,
        "objective": {"metric": seen.opened.metric, "direction": seen.opened.direction},
        "policy": seen.opened.tags.get("policy"),
        "state": _state(seen),
        "reason": seen.stop.reason if seen.stop is not None else None,
        "settled": len(history),
        "max_trials": seen.opened.max_trials,
        "elapsed_s": round(seen.elapsed_s, 3),
        "spent": {name: round(amount, 6) for name, amount in seen.meter.so_far(seen.elapsed_s).items()},
        "limits": seen.meter.limits,
        "updated": seen.at,
        "running": [trial.number for trial in seen.running.values()],
        "paused": [trial.number for trial in seen.paused.values()],
        "leader": history.leader,
        "best": _score(history, history.leader),
        "confirmed": history.confirmed,
        "trials": _rows(history, last),
    }


def _rows(history: History, last: int) -> list[dict[str, Any]]:
    decisions = {decision.candidate: decision for decision in history.decisions}
    latest = history.settled if last <= 0 else history.last(last)
    return [_row(settled, decisions.get(_root(settled))) for settled in latest]


def _root(settled: Settled) -> int:
    return settled.trial.number if settled.trial.proposal.repeat_of is None else settled.trial.proposal.repeat_of


def _row(settled: Settled, decision: Decision | None) -> dict[str, Any]:
    trial, outcome = settled.trial, settled.outcome
    return {
        "trial": trial.number,
        "repeat_of": trial.proposal.repeat_of,
        "status": str(outcome.status),
        "score": outcome.score,
        "decision": decision.verdict if decision is not None else None,
        "reason": decision.reason if decision is not None else outcome.message,
        "params": dict(trial.proposal.params),
        "elapsed_s": round(outcome.elapsed_s, 3),
        "gpu_s": outcome.usage.get("gpu_s"),
        "usd": outcome.usage.get("usd"),
        "verdict": outcome.verdict.kind if outcome.verdict is not None else None,
    }


def _print(seen: Seen, run_dir: Path, last: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    history, console = seen.log.view(), Console()
    limit = f" of {seen.opened.max_trials}" if seen.opened.max_trials is not None else ""
    console.print(f"[bold]{escape(seen.opened.task)}[/] {escape(str(run_dir))}", highlight=False)
    ended = f": {escape(seen.stop.reason)}" if seen.stop is not None else f", last event at {seen.at}"
    console.print(f"{_state(seen)}{ended}; {len(history)}{limit} trials settled in {seen.elapsed_s:.0f} s", highlight=False)
    if spent := seen.meter.line(seen.elapsed_s):
        console.print(f"spent: {spent}", highlight=False)
    for line in _leading(history, seen.opened.metric):
        console.print(escape(line), highlight=False)
    for line in told(seen, run_dir):
        console.print(escape(line), highlight=False)
    table = Table("trial", "status", "score", "decision", "reason", box=None, pad_edge=False)
    for row in _rows(history, last):
        score = "" if row["score"] is None else f"{row['score']:.6g}"
        repeats = "" if row["repeat_of"] is None else f" repeats {row['repeat_of']}"
        table.add_row(f"{row['trial']}{repeats}", row["status"], score, row["decision"] or "", escape(_plain(row["reason"])))
    console.print(table)


def _leading(history: History, metric: str) -> Iterable[str]:
    """What leads and, where that is another one, what is confirmed."""
    if history.leader is None:
        return
    yield f"best: trial {history.leader} with {metric} {_score(history, history.leader):.6g}"
    if history.confirmed == 0 and history.leader:
        yield "confirmed: nothing yet that is better than the baseline"
    elif history.confirmed is not None and history.leader:
        yield f"confirmed: trial {history.confirmed} with {metric} {_score(history, history.confirmed):.6g}"


def _score(history: History, number: int | None) -> float | None:
    candidate = history.candidate(number) if number is not None else None
    return candidate.mean if candidate is not None else None


def _state(seen: Seen) -> str:
    if seen.stop is None:
        return "running or killed"
    return "failed" if seen.stop.failed else "interrupted" if seen.stop.interrupted else "ended"


def _plain(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return "".join(character if character.isprintable() else "?" for character in first)
