"""Shows a campaign, live or ended, as its journal has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.activity import activity, told
from autoresearch_rl.controller.seen import Seen, read_campaign
from autoresearch_rl.history import History
from autoresearch_rl.trial import Decision, Settled


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
        "reason": seen.tally.stop.reason if seen.tally.stop is not None else None,
        "settled": len(history),
        "max_trials": seen.opened.max_trials,
        "elapsed_s": round(seen.elapsed_s, 3),
        "spent": {name: round(amount, 6) for name, amount in seen.tally.meter.so_far(seen.elapsed_s).items()},
        "limits": seen.tally.meter.limits,
        "updated": seen.at,
        "running": list(seen.tally.running),
        "paused": list(seen.tally.paused),
        "leader": history.leader,
        "best": _score(history, history.leader),
        "confirmed": history.confirmed,
        "trials": _rows(history, last),
    }


def _rows(history: History, last: int) -> list[dict[str, Any]]:
    decisions = {decision.candidate: decision for decision in history.decisions}
    latest = history.settled if last <= 0 else history.last(last)
    return [_row(settled, decisions.get(settled.trial.candidate)) for settled in latest]


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
    most = seen.opened.max_trials
    limit = f" of {most}" if most is not None and most >= len(history) else ""  # a resume may have allowed fewer than are done
    console.print(f"[bold]{escape(seen.opened.task)}[/] {escape(str(run_dir))}", highlight=False)
    stop = seen.tally.stop
    ended = f": {escape(stop.reason)}" if stop is not None else f", last event at {seen.at}"
    console.print(f"{_state(seen)}{ended}; {len(history)}{limit} trials settled in {seen.elapsed_s:.0f} s", highlight=False)
    if spent := seen.tally.meter.line(seen.elapsed_s):
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
    stop = seen.tally.stop
    if stop is None:
        return "running or killed"
    return "failed" if stop.failed else "interrupted" if stop.interrupted else "ended"


def _plain(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return "".join(character if character.isprintable() else "?" for character in first)
