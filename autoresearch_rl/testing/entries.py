"""A made-up campaign as the sinks see it: every way a trial can end, repeats, lost attempts, and strings meant to do harm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Entry,
    Interrupted,
    LlmCall,
    Opened,
    OrderTrial,
    Proposed,
    Record,
    Released,
    Reported,
    SettledEvent,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.trial import (
    Curve,
    Decision,
    LlmReply,
    LlmRequest,
    Order,
    Outcome,
    Params,
    Progress,
    Proposal,
    StageSpan,
    Status,
    Trial,
    Verdict,
)

CAMPAIGN = "01KAV5Q0000000000000000000"
HOSTILE = '=HYPERLINK("http://x")\t\x1b[2J\x1b]0;owned\x07[red]ünï\u202eçode[/red]\r\n|`<b>&\'\x00\ud800 日本語'
_STEPS = 20
_STATUSES = (Status.FAILED, Status.TIMEOUT, Status.CANCELLED, Status.REJECTED, Status.TAMPERED)


@dataclass
class FakeCampaign:
    """Makes entries of a campaign of `trials` trials, `slots` at a time, beginning at `begun`.

    Attributes:
        hostile: Put in as parameter, patch, rationale and message of some trials.
        every: One trial in so many does not end well, one repeats the leader, one is lost once and run again.
        run_dir: Where set, attempts leave logs, a patch and a model there before they settle.
        interrupted: Ends with Ctrl-C while the last trials run.
    """

    trials: int = 24
    slots: int = 2
    begun: datetime = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    hostile: str = HOSTILE
    every: int = 4
    run_dir: Path | None = None
    interrupted: bool = False
    opened: Opened = field(init=False)
    _seq: int = 0
    _now_s: float = 0.0
    _leader: int = 0
    _best: float = -math.inf

    def __post_init__(self) -> None:
        self.opened = Opened(
            campaign=CAMPAIGN,
            task="digits",
            metric="accuracy",
            direction="maximize",
            progress_metric="val_accuracy",
            config="task: digits\npolicy: tpe\n",
            seed=7,
            hardware={"cpu": "one", "cores": "2"},
            source_hash="ab" * 32,
            defaults={"lr": 0.01, "width": 32, "note": "plain"},
            capacity={"trial": float(self.slots), "gpu": self.slots / 2},
            max_trials=self.trials,
            tags={"policy": "tpe", "target": "command", "isolation": "0"},
        )

    def __iter__(self) -> Iterator[Entry]:
        """Entries in order, `Reported` among them."""
        yield self._entry(self.opened)
        yield from self._whole([self._trial(0)])
        number = ask = 0
        while number < self.trials - 1:
            ask += 1
            wave = [self._trial(number + 1 + i) for i in range(min(self.slots, self.trials - 1 - number))]
            number += len(wave)
            yield self._entry(AskPolicy(ask=ask, seen=self._seq - 1, count=len(wave)))
            self._now_s += 0.05
            request = LlmRequest(messages=(("user", self.hostile),))
            yield self._entry(LlmCall(ask=ask, request=request, reply=LlmReply(texts=("x",), tokens_in=5), latency_s=0.03))
            yield self._entry(Proposed(ask=ask, proposals=tuple(trial.proposal for trial in wave)))
            self._now_s += 0.01
            yield from self._whole(wave)
        yield self._entry(StopCampaign(reason=f"{self.trials} trials reached", interrupted=self.interrupted))

    def _whole(self, wave: list[Trial]) -> Iterator[Entry]:
        """A wave of trials from start to decision; one is lost once now and then."""
        yield from (self._entry(StartTrial(trial=trial, resources={"trial": 1.0, "gpu": 0.5})) for trial in wave)
        begun_s = self._now_s
        for step in range(1, _STEPS + 1, 4):
            self._now_s += 0.2
            for trial in wave:
                yield self._reported(trial, step)
        for trial in wave:
            last = self.interrupted and trial.number >= self.trials - self.slots
            lost = trial.attempt == 1 and trial.number % self.every == 3
            if last:
                yield self._entry(Interrupted(signal=2))
                order = Order(kind="stop", reason="interrupted")
                yield self._entry(OrderTrial(number=trial.number, attempt=trial.attempt, order=order))
            if last or lost:
                outcome = Outcome(status=Status.LOST, message="the node went away")
                yield self._entry(SettledEvent(number=trial.number, attempt=trial.attempt, outcome=outcome, interrupted=last))
                if not last:
                    yield from self._whole([replace(trial, attempt=2)])
                continue
            yield self._entry(Released(number=trial.number, attempt=trial.attempt, resources=("gpu",)))
            self._now_s += 0.3
            outcome = self._outcome(trial, begun_s)
            yield self._entry(SettledEvent(number=trial.number, attempt=trial.attempt, outcome=outcome))
            yield self._entry(Decide(decision=self._decide(trial, outcome)))

    def _entry(self, record: Record) -> Entry:
        at = (self.begun + timedelta(seconds=self._now_s)).isoformat(timespec="microseconds")
        self._seq += 1
        return Entry(seq=self._seq - 1, at=at, elapsed_s=self._now_s, record=record)

    def _reported(self, trial: Trial, step: int) -> Entry:
        curve = curve_of(trial.number)
        metrics = {name: values[step - 1] for name, values in curve.metrics.items()}
        progress = Progress(step=float(step), step_target=float(_STEPS), metrics=metrics, elapsed_s=curve.elapsed_s[step - 1])
        report = Reported(number=trial.number, attempt=trial.attempt, stage="train", progress=progress)
        return Entry(seq=-1, at="", elapsed_s=self._now_s, record=report)

    def _trial(self, number: int) -> Trial:
        odd = number % 5 == 4
        params: Params = {
            "lr": 0.001 * (1 + number % 7),
            "width": 16 * (1 + number % 4),
            "note": self.hostile if odd else "plain",
        }
        proposal = Proposal(
            params=self.opened.defaults if number == 0 else params,
            patch=f"--- a/train.py\n{self.hostile}" if odd else "",
            parent=None if number == 0 else self._leader,
            repeat_of=self._leader if number and number % (3 * self.every) == 5 else None,
            rationale=self.hostile if odd else "",
            source="baseline" if number == 0 else "tpe",
        )
        return Trial(number=number, proposal=proposal, seed=1234, source_hash="cd" * 32)

    def _outcome(self, trial: Trial, begun_s: float) -> Outcome:
        number, ended_s = trial.number, self._now_s
        spans = (
            StageSpan(stage="train", begun_s=begun_s + 0.01, ended_s=ended_s - 0.2),
            StageSpan(stage="predict", begun_s=ended_s - 0.2, ended_s=ended_s - 0.1),
            StageSpan(stage="evaluate", begun_s=ended_s - 0.1, ended_s=ended_s - 0.01),
        )
        usage = {"cpu_s": 1.25, "gpu_s": 0.5, "peak_rss_bytes": 123_456_789.0}
        base = Outcome(status=Status.OK, curve=curve_of(number), elapsed_s=ended_s - begun_s, usage=usage, spans=spans)
        if self.run_dir is not None:
            base = replace(base, artifacts=self._leave_files(trial))
        if number and trial.attempt == 1 and number % self.every == 0:
            status = _STATUSES[number // self.every % len(_STATUSES)]
            return replace(base, status=status, message=f"train ended {self.hostile}\n{self.hostile}")
        score = 0.9 + 0.08 * math.sin(number * 1.7) * (1 - 1 / (1 + number))
        verdict = Verdict(kind="untrusted", tier=0, reason="isolation tier 0")
        return replace(base, score=score, metrics={"accuracy": score, "loss": 1 - score}, verdict=verdict)

    def _leave_files(self, trial: Trial) -> dict[str, str]:
        assert self.run_dir is not None
        root = self.run_dir / "trials" / f"{trial.number:04d}" / str(trial.attempt)
        (root / "model").mkdir(parents=True, exist_ok=True)
        (root / "model" / "weights.npz").write_bytes(b"weights")
        (root / "train.stdout.log").write_bytes(b"\xff\xfe" + b"a line of output\n" * 20)
        (root / "train.stderr.log").write_bytes(b"")
        artifacts = {"train.stdout.log": "train.stdout.log", "train.stderr.log": "train.stderr.log", "model": "model"}
        if trial.proposal.patch:
            (root / "patch.diff").write_text(trial.proposal.patch, errors="replace")
            artifacts["patch.diff"] = "patch.diff"
        return artifacts

    def _decide(self, trial: Trial, outcome: Outcome) -> Decision:
        candidate = trial.candidate
        if outcome.score is None:
            return Decision(candidate=candidate, verdict="discard", reason=f"{outcome.status}: {self.hostile}")
        if outcome.score > self._best and trial.proposal.repeat_of is None:
            reason = f"accuracy {outcome.score:.6g} beats {self._best:.6g} of trial {self._leader}"
            self._leader, self._best = candidate, outcome.score
            return Decision(candidate=candidate, verdict="keep", reason=reason, leads=True)
        if trial.proposal.repeat_of is not None:
            return Decision(candidate=candidate, verdict="keep", reason=f"accuracy {outcome.score:.6g} again", leads=True)
        reason = f"accuracy {outcome.score:.6g} does not beat {self._best:.6g} of trial {self._leader}"
        return Decision(candidate=candidate, verdict="discard", reason=reason)


def curve_of(number: int) -> Curve:
    """The curve of a made-up trial, with reports that left a metric out and one that diverged."""
    steps = tuple(float(step) for step in range(1, _STEPS + 1))
    accuracy = tuple(0.9 - 0.5 / (step + number % 3) for step in steps)
    loss = tuple(math.nan if step % 5 == 0 else math.inf if step == 7 else 1 / step for step in steps)
    seconds = tuple(0.05 * step for step in steps)
    return Curve(steps=steps, elapsed_s=seconds, metrics={"val_accuracy": accuracy, "loss": loss}, step_target=float(_STEPS))
