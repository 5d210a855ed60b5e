"""What the descriptions of experiments and runs say, in the Markdown that MLflow shows.

Policies, models and trials wrote most of it: their words stand as code, where they cannot have the page fetch pictures or
pass for a link of ours. What a reader makes of the words is not protected.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoresearch_rl.events import Opened
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.telemetry.text import first_line, number, settings
from autoresearch_rl.trial import ParamValue, Status

_NOTES = 20


def about(opened: Opened) -> str:
    """What an experiment holds, as its first campaign has it."""
    return f"Campaigns that {opened.direction} {_inline(opened.metric)}. Each is a run, with its trials nested below it."


def summary(tally: Tally, best: Mapping[str, ParamValue]) -> str:
    """How a campaign that has been opened stands; `best` are the parameters of its leader."""
    assert tally.opened is not None
    parts = []
    if tally.best is not None:
        baseline = f"; the baseline has {number(tally.mean(0))}" if tally.leader and tally.mean(0) is not None else ""
        parts.append(f"**{_inline(tally.opened.metric)} {number(tally.best)}** by trial {tally.leader}{baseline}.")
    if tally.stop is not None:
        counts = ", ".join(f"{count} {status}" for status, count in tally.counts.most_common())
        spent = f" Spent: {said}." if (said := tally.meter.line(0.0)) else ""
        parts.append(f"Trials: {counts or 'none'}.{spent} Ended: {_inline(tally.stop.reason)}")
    if tally.best is not None:
        parts.append(block("\n".join(settings({name: value}) for name, value in best.items())))
    if tally.notes:
        parts.append(
            "Notes:\n" + "\n".join(f"- {_inline(f'{note.at[:19]} {first_line(note.text)}')}" for note in tally.notes[-_NOTES:])
        )
    return "\n\n".join(part for part in parts if part)


def result(row: Row) -> dict[str, object]:
    """Tags that say what a settled trial came to, its name and description among them."""
    trial, outcome, verdict = row.trial, row.outcome, row.outcome.verdict
    said = [row.reason, trial.proposal.rationale, outcome.message]
    note = "\n\n".join(block(part) for part in said if part)
    return {
        "status": outcome.status,
        "message": outcome.message,
        "verdict": verdict.kind if verdict is not None else None,
        "tier": verdict.tier if verdict is not None else None,
        "verdict.reason": verdict.reason if verdict is not None else None,
        "usd": outcome.usage.get("usd"),
        "decision": row.said,
        "reason": row.reason,
        "mlflow.note.content": note,
        "mlflow.runName": f"{trial.number:04d} {row.said if outcome.status is Status.OK else outcome.status}".strip(),
    }


def block(text: str) -> str:
    """The text as a block of code, empty if it is empty."""
    return f"```\n{_unquoted(text)}\n```" if text else ""


def _inline(text: str) -> str:
    return f"`{_unquoted(first_line(text))}`"


def _unquoted(text: str) -> str:
    return text.replace("`", "'")
