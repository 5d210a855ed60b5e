"""How a campaign is run: limits, concurrency, safety. One value, made from the config group `controller`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from autoresearch_rl.controller.cancel import CancelRule
from autoresearch_rl.controller.checking import check_values, counts
from autoresearch_rl.controller.keep import KeepRule


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the controller.

    Attributes:
        keep: Rule that decides what is kept.
        cancel: Rule that decides which running trials are doomed; None lets every trial run to its end.
        control_share: Share of the trials that the rule would cancel which run to their end all the same, to see what it costs.
        seed: Campaign seed; every random stream derives from it.
        concurrency: Trials at a time.
        max_trials: Trials in all, baseline and repeats included; None for no limit.
        max_wall_s: Active wall seconds after which no trial is started; None for no limit.
        max_gpu_s: GPU-seconds in all; None for no limit. A trial starts only if what it may take at most is left of each budget.
        max_usd: USD in all, of trials and language models.
        max_tokens: Tokens of language models in all, in and out.
        max_trial_usd: What a trial may cost at most, where that is not its timeouts times its price.
        patience: Settled trials without a new leader after which the campaign ends; None for no limit.
        min_gain: Improvement of the score, in its own unit, below which what is expected of the next trials ends the campaign; None for no limit.
        gain_trials: New trials that `min_gain` is about; nothing is judged before twice as many have settled.
        max_failure_rate: Share of failed trials among the last `failure_window` above which the campaign ends.
        failure_window: See `max_failure_rate`; nothing is judged before that many have settled.
        require_baseline: Whether a baseline without a score ends the campaign.
        max_attempts: How often a trial is started that is lost each time.
        lookahead: Proposals kept ready beyond those that can start; `auto` from the times of asks and trials.
        resources: What the machine has, by name (`gpu: 2`).
        contention_tolerance: For time-budgeted tasks: the most by which a trial's contention may differ from the baseline's.
        grace_s: Least time that a trial has to obey an order before it is killed.
        min_free_disk_mb: A campaign does not start with less free in the run directory.
        keep_workspaces: Whether workspaces of settled trials stay.
        journal_sync: `group` (within half a second) or `each` (every record).
    """

    keep: KeepRule
    cancel: CancelRule | None = None
    control_share: float = 0.05
    seed: int = 0
    concurrency: int = 1
    max_trials: int | None = None
    max_wall_s: float | None = None
    max_gpu_s: float | None = None
    max_usd: float | None = None
    max_tokens: int | None = None
    max_trial_usd: float | None = None
    patience: int | None = None
    min_gain: float | None = None
    gain_trials: int = 10
    max_failure_rate: float = 0.9
    failure_window: int = 10
    require_baseline: bool = True
    max_attempts: int = 3
    lookahead: int | Literal["auto"] = "auto"
    resources: Mapping[str, float] = field(default_factory=dict)
    contention_tolerance: float = 0.05
    grace_s: float = 30.0
    min_free_disk_mb: float = 500.0
    keep_workspaces: bool = False
    journal_sync: Literal["group", "each"] = "group"

    def __post_init__(self) -> None:
        """Raises ConfigError naming each value that makes no sense."""
        object.__setattr__(self, "resources", dict(self.resources or {}))  # null in YAML, so that it can be overridden whole
        legal = (
            ("seed", counts(self.seed, 0), "a whole number from 0"),
            ("control_share", 0 <= self.control_share <= 1, "a share from 0 to 1"),
            ("concurrency", counts(self.concurrency, 1), "a whole number from 1"),
            ("max_trials", self.max_trials is None or counts(self.max_trials, 1), "a whole number from 1, or null"),
            ("max_wall_s", self.max_wall_s is None or self.max_wall_s > 0, "a positive number of seconds, or null"),
            ("max_gpu_s", self.max_gpu_s is None or self.max_gpu_s > 0, "a positive number of GPU-seconds, or null"),
            ("max_usd", self.max_usd is None or self.max_usd > 0, "a positive number of USD, or null"),
            ("max_tokens", self.max_tokens is None or counts(self.max_tokens, 1), "a whole number from 1, or null"),
            ("max_trial_usd", self.max_trial_usd is None or self.max_trial_usd >= 0, "a number of USD from 0, or null"),
            ("patience", self.patience is None or counts(self.patience, 1), "a whole number from 1, or null"),
            ("min_gain", self.min_gain is None or self.min_gain > 0, "a positive number, or null"),
            ("gain_trials", counts(self.gain_trials, 1), "a whole number from 1"),
            ("max_failure_rate", 0 <= self.max_failure_rate <= 1, "between 0 and 1"),
            ("failure_window", counts(self.failure_window, 1), "a whole number from 1"),
            ("max_attempts", counts(self.max_attempts, 1), "a whole number from 1"),
            ("lookahead", self.lookahead == "auto" or counts(self.lookahead, 0), "`auto` or a whole number from 0"),
            ("resources", all(amount >= 0 for amount in self.resources.values()), "amounts from 0 by name"),
            ("resources", "trial" not in self.resources, "without `trial`, which is controller.concurrency"),
            ("contention_tolerance", 0 <= self.contention_tolerance <= 1, "a share from 0 to 1"),
            ("grace_s", self.grace_s >= 0, "seconds from 0"),
            ("journal_sync", self.journal_sync in ("group", "each"), "`group` or `each`"),
        )
        check_values(
            "controller", *((name, getattr(self, name), fits, rule) for name, fits, rule in legal), code="controller-value"
        )

    @property
    def capacity(self) -> dict[str, float]:
        """Capacity of the pool: the machine's resources, and `trial`, the number of trials at a time."""
        return {"trial": float(self.concurrency), **self.resources}
