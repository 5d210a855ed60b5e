"""What `arrl explain` prints for people. Text of policies, models and trials is made fit to be shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.explain import explain, summary
from autoresearch_rl.controller.keep import REPEAT
from autoresearch_rl.telemetry.text import duration, first_line, number, printable, settings
from autoresearch_rl.waiting import PERSON

_INDENT = "  "


def show_explained(run_dir: Path, trial: int, *, as_json: bool) -> None:
    """Prints what became of a trial and why. Raises JournalError where there is no such trial."""
    found = summary(explain(run_dir, trial))
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for line in lines(found):
        print(line)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A trial's summary as lines."""
    yield _head(found)
    yield ""
    yield "Why it was proposed"
    yield from _indented(_why(found))
    yield ""
    yield "What it cost"
    yield from _indented(_cost(found["cost"]))
    yield ""
    yield "What happened"
    yield from _indented(_happened(found))
    yield ""
    yield "What was decided"
    yield from _indented(_decided(found))
    if found["notes"]:
        yield ""
        yield "Notes of that time"
        yield from _indented(f"{note['at'][:19].replace('T', ' ')}: {first_line(note['text'])}" for note in found["notes"])
    yield ""
    yield "Files"
    yield from _indented(found["files"] or ["none here"])


def _head(found: Mapping[str, Any]) -> str:
    said = {
        "waiting": "waits, and has never started" if not found["cost"]["attempts"] else "waits to run again",
        "running": "running",
        "paused": "paused",
    }.get(found["state"], f"{found['status']}")
    score = f", {printable(found['objective']['metric'])} {number(found['score'])}" if found["score"] is not None else ""
    repeats = found["why"]["repeat_of"]
    marks = [f"repeats trial {repeats} under another seed"] if repeats is not None else []
    marks += ["leads"] if found["leads"] else []
    marks += ["confirmed"] if found["confirmed"] else []
    marked = f" ({', '.join(marks)})" if marks else ""
    return f"Trial {found['trial']} of {printable(found['task'])}: {said}{score}{marked}"


def _why(found: Mapping[str, Any]) -> Iterator[str]:
    why = found["why"]
    yield f"by {_by_whom(why)}" + (f", {duration(why['proposed_s'])} into the campaign" if why["proposed_s"] is not None else "")
    if why["ask"] is not None:
        yield f"in answer to ask {why['ask']} for {why['wanted']}, made at {duration(why['asked_s'])}"
    if why["llm"]["calls"]:
        yield f"{why['llm']['calls']} calls of a language model, {why['llm']['tokens']} tokens, {why['llm']['usd']:.4g} USD"
    if why["rationale"]:
        yield f"because: {printable(why['rationale'])}"
    if why["memo"]:
        yield f"memo: {printable(json.dumps(why['memo']))}"
    if why["parent"] is not None:
        score = f" ({number(why['parent_score'])})" if why["parent_score"] is not None else ""
        yield f"source: that of trial {why['parent']}{score}" + (", patched" if why["patch"] else "")
    if why["refusal"]:
        yield printable(why["refusal"])
    yield from (f"| {printable(line)}" for line in why["patch"].splitlines())
    yield f"parameters: {settings(why['params']) or 'none'}"
    for whose, names in why["differs"].items():
        changed = ", ".join(f"{printable(name)} {_value(theirs)} → {_value(own)}" for name, (theirs, own) in names.items())
        yield f"differs from the {whose}: {changed or 'in nothing'}"
    if why["seed"] is not None:
        yield f"seed {why['seed']}"


def _cost(cost: Mapping[str, Any]) -> Iterator[str]:
    if not cost["attempts"]:
        yield f"nothing yet; it has waited {duration(cost['waited_s'])}"
        return
    paused = f", paused for {duration(cost['paused_s'])}" if cost["paused_s"] else ""
    attempts = "1 attempt" if cost["attempts"] == 1 else f"{cost['attempts']} attempts"
    yield f"{attempts}, {duration(cost['elapsed_s'])} of running, waited {duration(cost['waited_s'])}{paused}"
    if cost["stages"]:
        yield "stages: " + ", ".join(f"{printable(stage)} {duration(took)}" for stage, took in cost["stages"].items())
    if cost["usage"]:
        yield "usage: " + ", ".join(_amount(name, amount) for name, amount in sorted(cost["usage"].items()))
    held = [f"{printable(name)} {amount:g}" for name, amount in cost["resources"].items() if name != "trial"]
    held += [f"{printable(name)} index {index}" for name, indices in cost["devices"].items() for index in indices]
    if held:
        yield f"held: {', '.join(held)}"


def _happened(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["happened"]:
        yield "nothing yet"
    for event in found["happened"]:
        yield f"[{duration(event['elapsed_s']):>6}] {first_line(event['what'])}"
    extra = [line for line in found["message"].splitlines()[1:] if line.strip()]
    yield from (f"| {printable(line)}" for line in extra)


def _decided(found: Mapping[str, Any]) -> Iterator[str]:
    candidate = found["candidate"]
    if not found["decisions"]:
        yield "nothing yet"
    for decision in found["decisions"]:
        leads = " (leads)" if decision["leads"] else ""
        yield f"[{duration(decision['elapsed_s']):>6}] {decision['verdict']}{leads}: {first_line(decision['reason'])}"
        if decision["evidence"]:
            yield f"{' ' * 9}{', '.join(f'{printable(name)} {number(value)}' for name, value in decision['evidence'].items())}"
        if decision["repeats"]:
            yield f"{' ' * 9}measured again: {', '.join(f'trial {root}' for root in decision['repeats'])}"
    if len(candidate["trials"]) > 1:
        spread = f" ± {number(candidate['sd'])}" if candidate["sd"] is not None else ""
        yield f"measured {candidate['n']} times, mean {number(candidate['mean'])}{spread}:"
        for trial in candidate["trials"]:
            yield f"{_INDENT}trial {trial['trial']}, seed {trial['seed']}: {trial['status']} {number(trial['score'])}"


def _by_whom(why: Mapping[str, Any]) -> str:
    source, policy = why["source"], printable(str(why["policy"]))
    known = {PERSON: "a person (`arrl enqueue`)", "baseline": "the campaign itself: the baseline", REPEAT: "the keep rule"}
    if source in known:
        return known[source]
    return f"policy {policy}" + (f" ({printable(source)})" if source and source.lower() != policy.lower() else "")


def _amount(name: str, amount: float) -> str:
    if name.endswith("_bytes"):
        said = f"{amount / 1e6:.4g} MB" if amount >= 1e5 else f"{amount:.0f} bytes"
        return f"{printable(name.removesuffix('_bytes')).replace('_', ' ')} {said}"
    return (
        f"{printable(name.removesuffix('_s'))} {duration(amount)}" if name.endswith("_s") else f"{printable(name)} {amount:.4g}"
    )


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def _indented(said: Any) -> Iterator[str]:
    return (f"{_INDENT}{line}" for line in said)
