"""Stop rules: when enough is enough. Reasons are sentences shown to the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch_rl.controller.gain import ExpectedGain
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.events import StopCampaign
from autoresearch_rl.history import History
from autoresearch_rl.trial import Outcome, Status

_SPARE_TIME = 1.25  # that paused trials get at the end, over what they are expected to need
_FAILURES = {Status.FAILED, Status.TIMEOUT, Status.REJECTED, Status.TAMPERED}


@dataclass
class Ending:
    """Why no more trials are started; `finishes`: but for paused ones that are worth it."""

    reason: str
    finishes: bool = False
    failed: bool = False
    interrupted: bool = False
    signal: int = 0

    @property
    def effect(self) -> StopCampaign:
        """The last effect of a campaign that ends so."""
        return StopCampaign(reason=self.reason, failed=self.failed, interrupted=self.interrupted, signal=self.signal)


class StopRule(Protocol):
    """Called by the loop's thread after each event that may start a trial; must be deterministic."""

    def __call__(self, history: History, elapsed_s: float, /) -> str | None:
        """Returns why the campaign should end, None if it should go on."""
        ...


def max_trials(limit: int) -> StopRule:
    """Ends after `limit` settled trials."""

    def judge(history: History, _: float) -> str | None:
        if len(history) > limit:  # a resume has lowered it, or one more was under way then
            return f"{len(history)} trials are done already, and controller.max_trials={limit} allows no more"
        return f"all {limit} trials are done (controller.max_trials)" if len(history) == limit else None

    return judge


def max_wall(limit_s: float) -> StopRule:
    """Ends after `limit_s` active seconds; running trials end normally."""
    return lambda _, elapsed_s: f"{limit_s:g} s are over (controller.max_wall_s)" if elapsed_s >= limit_s else None


def no_improvement(patience: int) -> StopRule:
    """Ends when the leader has not changed for `patience` settled trials."""

    def judge(history: History, _: float) -> str | None:
        if history.leader is None or len(history) <= patience:
            return None
        if any(settled.trial.number == history.leader for settled in history.last(patience)):
            return None
        return f"no improvement in the last {patience} trials (controller.patience)"

    return judge


def failure_rate(limit: float, window: int) -> StopRule:
    """Ends when more than `limit` of the last `window` trials failed; cancelled and lost is not failure."""

    def judge(history: History, _: float) -> str | None:
        recent = history.last(window)
        failed = [settled for settled in recent if settled.outcome.status in _FAILURES]
        if len(recent) < window or len(failed) <= limit * window:
            return None
        last = failed[-1].outcome.message.splitlines()[0] if failed[-1].outcome.message else ""
        return f"{len(failed)} of the last {window} trials failed (controller.max_failure_rate={limit:g}); the last one: {last}"

    return judge


def only_to_finish(limit_s: float, elapsed_s: float, finish_s: float) -> str | None:
    """Why only the best paused trial should go on, which is expected to be finished in `finish_s`; None if new ones may too."""
    if limit_s - elapsed_s > _SPARE_TIME * finish_s:
        return None
    return f"{limit_s - elapsed_s:.0f} s are left, which the best paused trial needs (controller.max_wall_s={limit_s:g})"


def stop_rules(settings: Settings) -> Sequence[StopRule]:
    """The rules that the settings switch on."""
    rules: list[StopRule] = [failure_rate(settings.max_failure_rate, settings.failure_window)]
    if settings.max_trials is not None:
        rules.append(max_trials(settings.max_trials))
    if settings.max_wall_s is not None:
        rules.append(max_wall(settings.max_wall_s))
    if settings.patience is not None:
        rules.append(no_improvement(settings.patience))
    if settings.min_gain is not None:
        rules.append(ExpectedGain(settings.min_gain, settings.gain_trials))
    return rules


def unfit(baseline: Outcome, settings: Settings, curve: str) -> str:
    """Why a campaign cannot go on from this baseline, empty if it can. `curve`: the metric whose curves decide, empty for none."""
    if baseline.score is None:
        said = f"the baseline (trial 0) has no score: {baseline.message or baseline.status}"
        return said if settings.require_baseline else ""
    if curve and curve not in baseline.curve.metrics:
        return (
            f"the baseline (trial 0) reported no {curve!r}, which controller.cancel needs; "
            "call emit_progress in training, or set controller/cancel=off"
        )
    return ""
