"""autoresearch-rl: machine-learning research that runs itself.

Public names, flat. Each is imported on first use, so that a training script pays for `emit_progress` only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoresearch_rl.errors import (
        ArrlError,
        CampaignError,
        ConfigError,
        EvaluatorError,
        ForecastError,
        JournalError,
        LaunchError,
        PatchError,
        PolicyError,
        PoolError,
        Problem,
        SealError,
    )
    from autoresearch_rl.events import Entry
    from autoresearch_rl.history import History
    from autoresearch_rl.policy import Ask, Policy
    from autoresearch_rl.space import SearchSpace
    from autoresearch_rl.target import Job, JobResult, Limits, Session, Target, Tree
    from autoresearch_rl.target.progress import emit_progress
    from autoresearch_rl.telemetry import Sink, Telemetry
    from autoresearch_rl.trial import (
        Budget,
        Candidate,
        Curve,
        Decision,
        Order,
        Outcome,
        Progress,
        Proposal,
        Settled,
        Status,
        Trial,
        Verdict,
    )

__all__ = [
    "ArrlError",
    "Ask",
    "Budget",
    "CampaignError",
    "Candidate",
    "ConfigError",
    "Curve",
    "Decision",
    "Entry",
    "EvaluatorError",
    "ForecastError",
    "History",
    "Job",
    "JobResult",
    "JournalError",
    "LaunchError",
    "Limits",
    "Order",
    "Outcome",
    "PatchError",
    "Policy",
    "PolicyError",
    "PoolError",
    "Problem",
    "Progress",
    "Proposal",
    "SealError",
    "SearchSpace",
    "Session",
    "Settled",
    "Sink",
    "Status",
    "Target",
    "Telemetry",
    "Tree",
    "Trial",
    "Verdict",
    "emit_progress",
]

_HOMES = ("target.progress", "errors", "trial", "history", "policy", "space", "target", "telemetry", "events")


def __getattr__(name: str) -> Any:
    """The public name, from the first module that has it."""
    if name in __all__:
        for home in _HOMES:
            value = getattr(import_module(f"{__name__}.{home}"), name, None)
            if value is not None:
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
