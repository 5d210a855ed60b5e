"""autoresearch-rl: machine-learning research that runs itself.

The public names are found on first use, so that a training script that imports `emit_progress` pays for nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoresearch_rl.controller.cancelling import CancelRule
    from autoresearch_rl.controller.keeping import KeepRule
    from autoresearch_rl.controller.stopping import StopRule
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
    from autoresearch_rl.policy import Policy
    from autoresearch_rl.space import SearchSpace
    from autoresearch_rl.target import Job, JobResult, Limits, Session, Target
    from autoresearch_rl.target.progress import emit_progress
    from autoresearch_rl.task import Task
    from autoresearch_rl.telemetry import Sink, Telemetry
    from autoresearch_rl.trial import (
        Ask,
        Budget,
        Candidate,
        Curve,
        Decision,
        History,
        Order,
        Outcome,
        Progress,
        Proposal,
        Settled,
        Status,
        Trial,
        Verdict,
    )

_HOMES = {
    "controller.cancelling": ("CancelRule",),
    "controller.keeping": ("KeepRule",),
    "controller.stopping": ("StopRule",),
    "errors": (
        "ArrlError",
        "CampaignError",
        "ConfigError",
        "EvaluatorError",
        "ForecastError",
        "JournalError",
        "LaunchError",
        "PatchError",
        "PolicyError",
        "PoolError",
        "Problem",
        "SealError",
    ),
    "events": ("Entry",),
    "policy": ("Policy",),
    "space": ("SearchSpace",),
    "target": ("Job", "JobResult", "Limits", "Session", "Target"),
    "target.progress": ("emit_progress",),
    "task": ("Task",),
    "telemetry": ("Sink", "Telemetry"),
    "trial": (
        "Ask",
        "Budget",
        "Candidate",
        "Curve",
        "Decision",
        "History",
        "Order",
        "Outcome",
        "Progress",
        "Proposal",
        "Settled",
        "Status",
        "Trial",
        "Verdict",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # computed from the one list above


def __getattr__(name: str) -> Any:
    """The public name, imported from its module on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*globals(), *_HOME_OF])
