"""What `arrl status` tells beside the settled trials: what runs, waits and is paused, notes, and what cancelling came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from autoresearch_rl.controller.inbox import waiting_requests
from autoresearch_rl.controller.workspace import attempt_folder
from autoresearch_rl.events import Entry, OrderTrial, Paused, Progressed, Released, Requested, SettledEvent, Spare, StartTrial
from autoresearch_rl.joining import joined
from autoresearch_rl.telemetry.text import duration, first_line, number, steps
from autoresearch_rl.trial import Curve, Order, Outcome, Progress, Settled, Status
from autoresearch_rl.waiting import PERSON, Waits

if TYPE_CHECKING:
    from autoresearch_rl.controller.status import Seen


@dataclass(slots=True, kw_only=True)
class Active:
    """An attempt that runs, as far as the journal knows.

    Attributes:
        begun_s: Active seconds of the campaign at which it started.
        progress: Its latest report that a cancel rule was asked about.
        released: Whether its untrusted stages are over.
    """

    start: StartTrial
    begun_s: float
    progress: Progress | None = None
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person noted, and the UTC time at which it was written; `elapsed_s` when the campaign took it up."""

    at: str
    elapsed_s: float
    text: str


@dataclass
class Activity:
    """Follows one campaign, entry by entry."""

    running: dict[int, Active] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    spared: dict[int, Order] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    parts: dict[int, list[Outcome]] = field(default_factory=dict)

    def feed(self, entry: Entry) -> None:
        """Takes an entry."""
        match entry.record:
            case StartTrial() as start:
                self.running[start.trial.number] = Active(start=start, begun_s=entry.elapsed_s)
            case Progressed(number=trial, progress=progress) if trial in self.running:
                self.running[trial].progress = progress
            case Released(number=trial) if trial in self.running:
                self.running[trial].released = True
            case OrderTrial(number=trial, order=order):
                self.orders[trial] = order
            case Spare(number=trial, order=order):
                self.spared[trial] = order
            case Paused(number=trial, part=part):
                self.running.pop(trial, None)
                self.parts.setdefault(trial, []).append(part)
            case SettledEvent(number=trial):
                self.running.pop(trial, None)
            case Requested(request="note") as requested:
                self.notes.append(note_of(requested, entry))
            case _:
                pass

    def whole(self, trial: int, outcome: Outcome, *, checkpoints: bool) -> Outcome:
        """The outcome of an attempt with the parts before it; what a lost one came to counts where the next goes on from it."""
        found = joined(self.parts.pop(trial, ()), outcome)
        if outcome.status is Status.LOST and checkpoints:
            self.parts[trial] = [found]
        return found


def note_of(requested: Requested, entry: Entry) -> Note:
    """The note of a `note` request."""
    given = requested.arguments
    return Note(at=str(given.get("at") or entry.at), elapsed_s=entry.elapsed_s, text=str(given.get("text", "")))


def activity(seen: Seen, run_dir: Path) -> dict[str, Any]:
    """What runs, waits and is paused, notes and what cancelling came to, as plain JSON."""
    done, waiting = seen.activity, seen.waiting
    history = seen.log.view()
    return {
        "counts": dict(Counter(str(settled.outcome.status) for settled in history.settled)),
        "active": [
            {
                "trial": trial,
                "attempt": active.start.trial.attempt,
                "stage": stage_of(active, run_dir),
                "step": active.progress.step if active.progress is not None else None,
                "step_target": active.progress.step_target if active.progress is not None else None,
                "resources": dict(active.start.resources),
                "devices": {name: list(indices) for name, indices in active.start.devices.items()},
                "for_s": round(seen.elapsed_s - active.begun_s, 3),
                "source": active.start.trial.proposal.source,
                "repeat_of": active.start.trial.proposal.repeat_of,
                "control_group": trial in done.spared,
                "told": done.orders[trial].kind if trial in done.orders else None,
            }
            for trial, active in done.running.items()
        ],
        "waiting": [{"trial": waits.number, **_waits(waits, seen.elapsed_s)} for waits in in_order(waiting.trials.values())],
        "held": [_waits(waits, seen.elapsed_s) for waits in waiting.held],
        "inbox": len(waiting_requests(run_dir)),
        "paused_at": [
            {"trial": trial, **_reached(done.parts.get(trial, ())), "reason": _reason(done, trial)}
            for trial in sorted(seen.paused)
        ],
        "cancelling": cancelling(seen),
        "notes": [{"at": note.at, "elapsed_s": round(note.elapsed_s, 3), "text": note.text} for note in done.notes],
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
    spared = sorted(seen.activity.spared)
    return {
        "cancelled": len(cancelled),
        "saved_steps": None if usual_step is None else sum(max(0.0, usual_step - _last_step(each)) for each in cancelled),
        "saved_s": None if usual_s is None else round(sum(max(0.0, usual_s - s.outcome.elapsed_s) for s in cancelled), 3),
        "control_group": spared,
        "control_group_led": [trial for trial in spared if trial in leading],
    }


def told(seen: Seen, run_dir: Path) -> Iterator[str]:
    """The same as lines."""
    done, shown = seen.activity, activity(seen, run_dir)
    for row in shown["active"]:
        yield _line_of_active(row)
    if shown["waiting"]:
        yield f"waiting: {', '.join(_line_of_waiting(row) for row in shown['waiting'])}"
    if shown["held"]:
        theirs = sum(row["source"] == PERSON for row in shown["held"])
        why = f"all {seen.opened.max_trials} trials are taken" if len(seen.log.settled) else "the baseline comes first"
        yield f"kept back: {len(shown['held'])} proposals, {theirs} of a person; {why}"
    for row in shown["paused_at"]:
        at = f" at {steps(row['step'], row['step_target'])}" if row["step"] is not None else ""
        yield f"paused: trial {row['trial']}{at}" + (f": {first_line(row['reason'])}" if row["reason"] else "")
    summed = shown["cancelling"]
    if summed["cancelled"] or summed["control_group"]:
        yield _line_of_cancelling(summed)
    if shown["inbox"]:
        yield f"in the inbox: {shown['inbox']} requests that no controller has taken up yet"
    for note in done.notes:
        yield f"note of {note.at[:19].replace('T', ' ')}: {first_line(note.text)}"


def stage_of(active: Active, run_dir: Path) -> str | None:
    """The stage that an attempt is in, from the journal and from which logs there are; None where neither tells."""
    if active.released:
        return "evaluate"
    trial = active.start.trial
    folder = attempt_folder(run_dir, trial.number, trial.attempt)
    for stage in ("evaluate", "predict", "train"):
        if (folder / f"{stage}.stdout.log").exists():
            return stage
    if active.progress is not None:
        return "train"
    if active.start.devices and (run_dir / "trials").is_dir() and not folder.exists():  # it is made once the devices are leased
        return f"waiting for {_devices(active.start.devices)}"
    return None


def in_order(waiting: Any) -> list[Waits]:
    """Those of a person first, as they will start."""
    return sorted(waiting, key=lambda waits: waits.proposal is None or waits.proposal.source != PERSON)


def reached(curve: Curve) -> str:
    """How far a curve goes, empty for an empty one."""
    return steps(curve.steps[-1], curve.step_target) if curve.steps else ""


def _waits(waits: Waits, now_s: float) -> dict[str, Any]:
    source = waits.proposal.source if waits.proposal is not None else None
    return {"attempt": waits.attempt, "repeat_of": waits.repeat_of, "source": source, "for_s": round(now_s - waits.since_s, 3)}


def _reached(parts: Sequence[Outcome]) -> dict[str, float | None]:
    curve = parts[-1].curve if parts else Curve()
    return {"step": curve.steps[-1] if curve.steps else None, "step_target": curve.step_target}


def _reason(done: Activity, trial: int) -> str:
    return done.orders[trial].reason if trial in done.orders else ""


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
