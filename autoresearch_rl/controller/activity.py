"""What `arrl status` tells beside the settled trials: what runs, waits and is paused, notes, and what cancelling came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from autoresearch_rl.controller.inbox import waiting_requests
from autoresearch_rl.controller.seen import Seen
from autoresearch_rl.controller.workspace import attempt_folder
from autoresearch_rl.telemetry.tally import Running
from autoresearch_rl.telemetry.text import duration, first_line, number, steps
from autoresearch_rl.trial import Curve, Outcome, Settled, Status
from autoresearch_rl.waiting import PERSON, Waits


def activity(seen: Seen, run_dir: Path) -> dict[str, Any]:
    """What runs, waits and is paused, notes and what cancelling came to, as plain JSON."""
    tally, history = seen.tally, seen.log.view()
    return {
        "counts": dict(Counter(str(settled.outcome.status) for settled in history.settled)),
        "active": [
            {
                "trial": trial,
                "attempt": running.trial.attempt,
                "stage": stage_of(running, run_dir),
                "step": running.progress.step if running.progress is not None else None,
                "step_target": running.progress.step_target if running.progress is not None else None,
                "resources": dict(running.start.resources),
                "devices": {name: list(indices) for name, indices in running.start.devices.items()},
                "for_s": round(seen.elapsed_s - running.begun_s, 3),
                "source": running.trial.proposal.source,
                "repeat_of": running.trial.proposal.repeat_of,
                "control_group": trial in tally.spared,
                "told": running.order.kind if running.order is not None else None,
            }
            for trial, running in tally.running.items()
        ],
        "waiting": [{"trial": waits.number, **_waits(waits, seen.elapsed_s)} for waits in tally.waiting.in_order()],
        "held": [_waits(waits, seen.elapsed_s) for waits in tally.waiting.held],
        "inbox": len(waiting_requests(run_dir)),
        "paused_at": [
            {
                "trial": trial,
                **_reached(tally.parts.get(trial, ())),
                "reason": paused.order.reason if paused.order is not None else "",
            }
            for trial, paused in sorted(tally.paused.items())
        ],
        "cancelling": cancelling(seen),
        "notes": [{"at": note.at, "elapsed_s": round(note.elapsed_s, 3), "text": note.text} for note in tally.notes],
    }


def cancelling(seen: Seen) -> dict[str, Any]:
    """What cancelling came to: trials, steps and seconds saved against the median of those that finished, the control group."""
    history = seen.log.view()
    cancelled = [settled for settled in history.settled if settled.outcome.status is Status.CANCELLED]
    finished = [settled for settled in history.settled if settled.outcome.status is Status.OK]
    last = [settled.outcome.curve.steps[-1] for settled in finished if settled.outcome.curve.steps]
    usual_step = median(last) if last else None
    usual_s = median(settled.outcome.elapsed_s for settled in finished) if finished else None
    leading = {decision.candidate for decision in history.decisions if decision.leads}
    spared = sorted(seen.tally.spared)
    return {
        "cancelled": len(cancelled),
        "saved_steps": None if usual_step is None else sum(max(0.0, usual_step - _last_step(each)) for each in cancelled),
        "saved_s": None if usual_s is None else round(sum(max(0.0, usual_s - s.outcome.elapsed_s) for s in cancelled), 3),
        "control_group": spared,
        "control_group_led": [trial for trial in spared if trial in leading],
    }


def told(seen: Seen, run_dir: Path) -> Iterator[str]:
    """The same as lines."""
    shown = activity(seen, run_dir)
    for row in shown["active"]:
        yield _line_of_active(row)
    if shown["waiting"]:
        yield f"waiting: {', '.join(_line_of_waiting(row) for row in shown['waiting'])}"
    if shown["held"]:
        theirs = sum(row["source"] == PERSON for row in shown["held"])
        why = f"all {seen.opened.max_trials} trials are taken" if len(seen.log.settled) else "the baseline comes first"
        yield f"kept back: {_count(len(shown['held']), 'proposal')}, {theirs} of a person; {why}"
    if shown["paused_at"]:  # there may be dozens; why each was paused is what `arrl explain` is for
        yield f"paused: {', '.join(_line_of_paused(row) for row in shown['paused_at'])}"
    summed = shown["cancelling"]
    if summed["cancelled"] or summed["control_group"]:
        yield _line_of_cancelling(summed)
    if shown["inbox"]:
        yield f"in the inbox: {_count(shown['inbox'], 'request')} that no controller has taken up yet"
    for note in seen.tally.notes:
        yield f"note of {note.at[:19].replace('T', ' ')}: {first_line(note.text)}"


def stage_of(running: Running, run_dir: Path) -> str | None:
    """The stage that an attempt is in, from the journal and from which logs there are; None where neither tells."""
    if running.released:
        return "evaluate"
    trial = running.trial
    folder = attempt_folder(run_dir, trial.number, trial.attempt)
    for stage in ("evaluate", "predict", "train"):
        if (folder / f"{stage}.stdout.log").exists():
            return stage
    if running.progress is not None:
        return "train"
    if running.start.devices and (run_dir / "trials").is_dir() and not folder.exists():  # it is made once the devices are leased
        return f"waiting for {_devices(running.start.devices)}"
    return None


def reached(curve: Curve) -> str:
    """How far a curve goes, empty for an empty one."""
    return steps(curve.steps[-1], curve.step_target) if curve.steps else ""


def _waits(waits: Waits, now_s: float) -> dict[str, Any]:
    source = waits.proposal.source if waits.proposal is not None else None
    return {"attempt": waits.attempt, "repeat_of": waits.repeat_of, "source": source, "for_s": round(now_s - waits.since_s, 3)}


def _reached(parts: Sequence[Outcome]) -> dict[str, float | None]:
    curve = parts[-1].curve if parts else Curve()
    return {"step": curve.steps[-1] if curve.steps else None, "step_target": curve.step_target}


def _last_step(settled: Settled) -> float:
    done = settled.outcome.curve.steps
    return done[-1] if done else 0.0


def _devices(devices: Any) -> str:
    return ", ".join(f"{name} {index}" for name, indices in devices.items() for index in indices)


def _line_of_active(row: dict[str, Any]) -> str:
    said = [f"running: trial {row['trial']}, attempt {row['attempt']}"]
    said += [f"repeats trial {row['repeat_of']}"] if row["repeat_of"] is not None else []
    said += [str(row["stage"])] if row["stage"] else []
    said += [steps(row["step"], row["step_target"])] if row["step"] is not None else []
    said += [f"on {_devices(row['devices'])}"] if row["devices"] and not str(row["stage"]).startswith("waiting") else []
    said += [f"since {duration(row['for_s'])}"] if row["for_s"] > 0 else []
    said += ["of the control group"] if row["control_group"] else []
    said += [f"told to {row['told']}"] if row["told"] in ("cancel", "pause", "stop") else []
    return ", ".join(said)


def _line_of_paused(row: dict[str, Any]) -> str:
    return f"trial {row['trial']}" + (f" at {steps(row['step'], row['step_target'])}" if row["step"] is not None else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _line_of_waiting(row: dict[str, Any]) -> str:
    why = "a person's" if row["source"] == PERSON else ""
    why = f"repeats trial {row['repeat_of']}" if row["repeat_of"] is not None else why
    why = f"attempt {row['attempt']}" if row["attempt"] > 1 else why
    return f"trial {row['trial']}" + (f" ({why})" if why else "")


def _line_of_cancelling(summed: dict[str, Any]) -> str:
    saved = [f"{number(summed['saved_steps'])} steps"] if summed["saved_steps"] else []
    saved += [duration(summed["saved_s"])] if summed["saved_s"] else []
    said = f"cancelling: {summed['cancelled']} {'trial' if summed['cancelled'] == 1 else 'trials'}" + (
        f", which saved about {' or '.join(saved)}" if saved else ""
    )
    spared, led = summed["control_group"], summed["control_group_led"]
    return said + (f"; {len(spared)} of the control group ran on, {len(led)} of them came to lead" if spared else "")
