"""autoresearch-rl: machine-learning research that runs itself.

Public names, flat. This module is imported by training scripts too (for `emit_progress`), so it takes only what is light.
"""

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
from autoresearch_rl.target import Job, JobResult, Limits, Session, Target, Tree
from autoresearch_rl.target.progress import emit_progress
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
