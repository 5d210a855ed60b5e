"""What became of one trial and why, from the journal alone: `arrl explain RUN_DIR TRIAL`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.activity import reached
from autoresearch_rl.controller.inbox import known_trial
from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.keep import REPEAT
from autoresearch_rl.controller.lineage import Lineage
from autoresearch_rl.controller.seen import Seen, follow
from autoresearch_rl.errors import JournalError, PatchError
from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Entry,
    Incomparable,
    LlmCall,
    OrderTrial,
    Paused,
    Proposed,
    Resumed,
    SettledEvent,
    Spare,
    StartTrial,
)
from autoresearch_rl.joining import joined
from autoresearch_rl.telemetry.tally import Note
from autoresearch_rl.telemetry.text import first_line, number
from autoresearch_rl.trial import Decision, Outcome, ParamValue, Proposal, Settled, Status
from autoresearch_rl.waiting import Waiting, Waits

_NEAR_S = 60.0  # notes that were taken up so long before a trial was proposed, or after it ended, are shown with it


@dataclass
class Story:
    """What the journal holds on one trial.

    Attributes:
        proposed: When it first waited, as what; None before it was proposed.
        asked: The ask that it answers.
        leader: Who led when it was proposed.
        ended: Every attempt that ended, the paused ones among them.
        decisions: All on its candidate, with the active seconds at which they were made.
        happened: (active seconds, UTC time, sentence).
    """

    number: int
    candidate: int
    proposed: Waits | None = None
    asked: tuple[AskPolicy, float] | None = None
    leader: int | None = None
    calls: list[LlmCall] = field(default_factory=list)
    starts: list[StartTrial] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)
    waited_s: float = 0.0
    paused_s: float = 0.0
    decisions: list[tuple[float, str, Decision]] = field(default_factory=list)
    happened: list[tuple[float, str, str]] = field(default_factory=list)
    _led: int | None = None
    _since_s: float = 0.0
    _pausing: bool = False
    _again: bool = False
    _asks: dict[int, tuple[AskPolicy, float]] = field(default_factory=dict)
    _calls: dict[int, list[LlmCall]] = field(default_factory=dict)

    def take(self, entry: Entry, waits: Waits | None) -> None:
        """Takes an entry; `waits` is what then waits as this trial, or any that no longer does."""
        self._follow_asks(entry)
        if self.proposed is None and waits is not None and waits.number == self.number:
            self.proposed, self._since_s = waits, waits.since_s
            self.asked, self.leader = self._asks.pop(self.proposed.ask, None), self._led
            self.calls = self._calls.pop(self.proposed.ask, [])
        match entry.record:
            case StartTrial(trial=trial) if trial.number == self.number:
                self._start(entry, entry.record)
            case OrderTrial(number=trial, order=order, kill=kill) if trial == self.number:
                self._say(entry, f"told to {order.kind}{' at once' if kill else ''}: {order.reason}")
            case Spare(number=trial, order=order) if trial == self.number:
                said = f"would have been cancelled, but is of the control group and runs on: {order.reason}"
                self._say(entry, said)
            case Incomparable(number=trial, reason=reason, then=then) if trial == self.number:
                self._again = then == "again"
                what = {"again": "does not count, and is measured again", "fail": "does not count"}.get(
                    then, "counts all the same"
                )
                self._say(entry, f"{what}: {reason}")
            case Paused(number=trial, part=part) if trial == self.number:
                self.ended.append(part)
                self._pausing, self._since_s = True, entry.elapsed_s
                at = f" at {reached(part.curve)}" if part.curve.steps else ""
                self._say(entry, f"paused{at}")
            case SettledEvent(number=trial) if trial == self.number:
                self._settle(entry, entry.record)
            case Decide(decision=decision):
                self._led = decision.candidate if decision.leads else self._led
                if decision.candidate == self.candidate:
                    self.decisions.append((entry.elapsed_s, entry.at, decision))
            case Resumed() if self.starts and not self.done:
                self._say(entry, "another controller took the campaign over")
            case _:
                pass

    @property
    def done(self) -> bool:
        """Whether its last attempt has settled with anything but a loss, and counts."""
        return bool(self.ended) and not (self._pausing or self._again) and self.ended[-1].status is not Status.LOST

    def _follow_asks(self, entry: Entry) -> None:
        match entry.record:
            case AskPolicy():
                self._asks = {entry.record.ask: (entry.record, entry.elapsed_s)}  # one is open at a time
                self._calls = {}
            case LlmCall():
                self._calls.setdefault(entry.record.ask, []).append(entry.record)
            case Proposed(ask=ask):
                self._asks = {key: value for key, value in self._asks.items() if key == ask}
            case _:
                pass

    def _start(self, entry: Entry, start: StartTrial) -> None:
        if self._pausing:
            self.paused_s += entry.elapsed_s - self._since_s
        else:
            self.waited_s += entry.elapsed_s - self._since_s
        said = "goes on from its checkpoint" if self._pausing else "starts again" if self.starts else "starts"
        where = [f"{name} {index}" for name, indices in start.devices.items() for index in indices]
        self.starts.append(start)
        self._pausing = self._again = False
        attempt = f" (attempt {start.trial.attempt})" if start.trial.attempt > 1 else ""
        self._say(entry, f"{said}{attempt}{' on ' + ', '.join(where) if where else ''}")

    def _settle(self, entry: Entry, settled: SettledEvent) -> None:
        outcome = settled.outcome
        self.ended.append(outcome)
        self._pausing, self._since_s = False, entry.elapsed_s
        score = f" with {number(outcome.score)}" if outcome.score is not None else ""
        how = " (interrupted, which is no attempt used)" if settled.interrupted else ""
        said = f": {first_line(outcome.message)}" if outcome.message else ""
        self._say(entry, f"{outcome.status}{how}{score}{said}")

    def _say(self, entry: Entry, said: str) -> None:
        self.happened.append((entry.elapsed_s, entry.at, said))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A trial's story with what stands around it."""

    seen: Seen
    story: Story
    proposal: Proposal
    notes: Sequence[Note]
    run_dir: Path

    @property
    def settled(self) -> Settled | None:
        """The trial with its final outcome, None if it has none."""
        return self.seen.log.view().find(self.story.number)

    @property
    def state(self) -> str:
        """`waiting`, `running`, `paused` or `settled`."""
        trial = self.story.number
        if self.settled is not None:
            return "settled"
        tally = self.seen.tally
        return "running" if trial in tally.running else "paused" if trial in tally.paused else "waiting"

    @property
    def cost(self) -> Outcome:
        """Time, usage and spans of all its attempts together, the lost ones too."""
        ended = self.story.ended
        return joined(ended[:-1], ended[-1]) if ended else Outcome(status=Status.LOST)

    def params_of(self, trial: int | None) -> Mapping[str, ParamValue] | None:
        """Parameters of another trial, None if it is not known."""
        settled = self.seen.log.view().find(trial) if trial is not None else None
        return settled.trial.proposal.params if settled is not None else None


def explain(run_dir: Path, trial: int) -> Explained:
    """Reads a campaign's journal for one trial. Raises JournalError where it is missing, broken, or has no such trial."""
    entries = list(read(run_dir))
    seen = follow(entries, run_dir)
    known = seen.tally.waiting
    if not 0 <= trial < known.numbers:
        held = f", and {len(known.held)} proposals have no trial yet" if known.held else ""
        raise JournalError(f"{run_dir} has no trial {trial}: they go from 0 to {known.numbers - 1}{held}")
    proposal = _proposal(seen, trial)
    story = Story(number=trial, candidate=_root(trial, proposal))
    waiting = Waiting()
    for entry in entries:
        story.take(entry, waiting.feed(entry) or waiting.trials.get(trial))
    begun_s = story.proposed.since_s if story.proposed is not None else 0.0
    ended_s = story.happened[-1][0] if story.done else seen.elapsed_s
    near = [note for note in seen.tally.notes if begun_s - _NEAR_S <= note.elapsed_s <= ended_s + _NEAR_S]
    return Explained(seen=seen, story=story, proposal=proposal, notes=near, run_dir=run_dir)


def summary(explained: Explained) -> dict[str, Any]:
    """All of it as plain JSON."""
    seen, story = explained.seen, explained.story
    settled, history = explained.settled, seen.log.view()
    return {
        "trial": story.number,
        "campaign": seen.opened.campaign,
        "task": seen.opened.task,
        "objective": {"metric": seen.opened.metric, "direction": seen.opened.direction},
        "state": explained.state,
        "status": str(settled.outcome.status) if settled is not None else None,
        "score": settled.outcome.score if settled is not None else None,
        "message": settled.outcome.message if settled is not None else "",
        "why": _why(explained),
        "cost": _cost(explained),
        "happened": [{"elapsed_s": round(s, 3), "at": at, "what": what} for s, at, what in story.happened],
        "candidate": _candidate(explained),
        "decisions": [
            {
                "elapsed_s": round(elapsed_s, 3),
                "at": at,
                "verdict": decision.verdict,
                "reason": decision.reason,
                "leads": decision.leads,
                "evidence": dict(decision.evidence),
                "repeats": list(decision.repeats),
            }
            for elapsed_s, at, decision in story.decisions
        ],
        "leads": history.leader == story.candidate,
        "confirmed": history.confirmed == story.candidate,
        "notes": [{"at": note.at, "elapsed_s": round(note.elapsed_s, 3), "text": note.text} for note in explained.notes],
        "files": files(explained),
    }


def _why(explained: Explained) -> dict[str, Any]:
    seen, story, proposal = explained.seen, explained.story, explained.proposal
    asked = story.asked
    changes, refusal = patch_of(explained)
    trial = story.starts[-1].trial if story.starts else None
    parent = seen.log.view().candidate(proposal.parent) if proposal.parent is not None else None
    return {
        "source": proposal.source,
        "policy": seen.opened.tags.get("policy"),
        "ask": asked[0].ask if asked is not None else None,
        "wanted": asked[0].count if asked is not None else None,
        "asked_s": round(asked[1], 3) if asked is not None else None,
        "proposed_s": round(story.proposed.since_s, 3) if story.proposed is not None else None,
        "proposed_at": story.proposed.at if story.proposed is not None else None,
        "rationale": proposal.rationale,
        "memo": dict(proposal.memo),
        "repeat_of": proposal.repeat_of,
        "parent": proposal.parent,
        "parent_score": parent.mean if parent is not None else None,
        "leader_then": story.leader,
        "params": dict(proposal.params),
        "differs": differences(explained),
        "patch": changes,
        "refusal": refusal,
        "seed": trial.seed if trial is not None else None,
        "source_hash": trial.source_hash if trial is not None else None,
        "llm": {
            "calls": len(story.calls),
            "tokens": sum(call.reply.tokens_in + call.reply.tokens_out for call in story.calls),
            "usd": sum(call.reply.usd or 0.0 for call in story.calls),
        },
    }


def _cost(explained: Explained) -> dict[str, Any]:
    story, cost = explained.story, explained.cost
    stages: dict[str, float] = {}
    for span in cost.spans:
        stages[span.stage] = round(stages.get(span.stage, 0.0) + span.ended_s - span.begun_s, 3)
    last = story.starts[-1] if story.starts else None
    waits = explained.state == "waiting" and story.proposed is not None
    now_s = explained.seen.elapsed_s
    return {
        "attempts": len(story.starts),
        "waited_s": round(story.waited_s + (now_s - story._since_s if waits else 0.0), 3),
        "paused_s": round(story.paused_s + (now_s - story._since_s if explained.state == "paused" else 0.0), 3),
        "elapsed_s": round(cost.elapsed_s, 3),
        "stages": stages,
        "usage": dict(cost.usage),
        "resources": dict(last.resources) if last is not None else {},
        "devices": {name: list(indices) for name, indices in last.devices.items()} if last is not None else {},
    }


def _candidate(explained: Explained) -> dict[str, Any]:
    """The candidate that it belongs to, with all of its measurements."""
    story, history, tally = explained.story, explained.seen.log.view(), explained.seen.tally
    candidate = history.candidate(story.candidate)
    pending = [t for t in history.pending if story.candidate in (t.number, t.proposal.repeat_of)]
    measured = [
        {"trial": s.trial.number, "seed": s.trial.seed, "status": str(s.outcome.status), "score": s.outcome.score}
        for s in (candidate.trials if candidate is not None else ())
    ]
    waiting = [
        {"trial": t.number, "seed": t.seed, "status": "paused" if t.number in tally.paused else "running", "score": None}
        for t in pending
        if t.number in tally.running or t.number in tally.paused
    ]
    return {
        "number": story.candidate,
        "n": candidate.n if candidate is not None else 0,
        "mean": candidate.mean if candidate is not None else None,
        "sd": candidate.sd if candidate is not None else None,
        "trials": measured + waiting,
    }


def patch_of(explained: Explained) -> tuple[str, str]:
    """The trial's patch as the canonical diff, and why it was refused; where it was, as it was proposed."""
    proposal = explained.proposal
    if not proposal.patch:
        return "", ""
    history = explained.seen.log.view()
    try:
        parent = proposal.parent if history.find(0) is not None else None
        lineage = Lineage(explained.run_dir, explained.seen.opened, partial(_proposal, explained.seen))
        return lineage.changes(Proposal(params={}, patch=proposal.patch, parent=parent)), ""
    except PatchError as error:
        return proposal.patch, f"patch refused ({error.code}): {error}"


def differences(explained: Explained) -> dict[str, dict[str, list[Any]]]:
    """Parameters that differ from those of the defaults, the parent and the leader of then: [theirs, its own] by name."""
    proposal = explained.proposal
    others = {
        "defaults": explained.seen.opened.defaults,
        f"parent (trial {proposal.parent})": explained.params_of(proposal.parent),
        f"leader then (trial {explained.story.leader})": explained.params_of(explained.story.leader),
    }
    if proposal.parent == explained.story.leader:
        others.popitem()
    if proposal.parent == 0:  # the baseline has the defaults
        others.pop("parent (trial 0)")
    return {
        whose: {
            name: [theirs.get(name), value]
            for name, value in proposal.params.items()
            if theirs.get(name) != value or isinstance(theirs.get(name), bool) != isinstance(value, bool)
        }
        for whose, theirs in others.items()
        if theirs is not None
    }


def files(explained: Explained) -> list[str]:
    """Its files that are there, relative to the run directory; folders end in a slash and stand for what they hold."""
    home = explained.run_dir / "trials" / f"{explained.story.number:04d}"
    found: Iterator[Path] = chain.from_iterable(sorted(folder.iterdir()) for folder in sorted(home.glob("*")) if folder.is_dir())
    return [f"{path.relative_to(explained.run_dir)}{'/' if path.is_dir() else ''}" for path in found]


def _root(trial: int, proposal: Proposal) -> int:
    return trial if proposal.repeat_of is None else proposal.repeat_of


def _proposal(seen: Seen, trial: int) -> Proposal:
    """The proposal of a trial, also of one that has never started."""
    with suppress(ValueError):
        return known_trial(trial, seen.log.view()).proposal
    waits = seen.tally.waiting.trials.get(trial)
    if waits is not None and waits.proposal is not None:
        return waits.proposal
    if waits is not None and waits.repeat_of is not None:
        first = _proposal(seen, waits.repeat_of)
        return Proposal(params=first.params, patch=first.patch, parent=first.parent, repeat_of=waits.repeat_of, source=REPEAT)
    return Proposal(params=seen.opened.defaults, source="baseline", rationale="the user's own files with the defaults")
