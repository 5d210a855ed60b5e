"""Every exception of autoresearch-rl, one tree.

ArrlError
├── ConfigError          configuration, task or command line is wrong; nothing was started (exit 2)
├── CampaignError        a campaign cannot go on (exit 1)
│   ├── JournalError     the journal is broken, newer than this version, or in use by another controller
│   ├── PolicyError      a policy raised, or proposed what is not in the search space
│   └── EvaluatorError   the frozen evaluator or prepare step fails by itself
├── PatchError           a patch was refused; carries a code and the nearest place
├── PoolError            a resource request that can never be granted or makes no sense
├── ForecastError        a learning curve or target step that cannot be forecast from
├── SealError            an output of a trial is missing, too large, a link, or of another format
└── LaunchError          the launcher died or could not start a process
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ArrlError(Exception):
    """Base of all errors raised on purpose by this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        code: Short kebab-case name, stable across versions (`range-empty`).
        message: One sentence that names the argument and its value.
        remedy: One sentence that says what to change.
        fatal: False for a warning, with which a campaign may start.
    """

    code: str
    message: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"[{self.code}] {self.message} {self.remedy}"


class ConfigError(ArrlError):
    """Configuration, task or command line is wrong; `problems` lists everything found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CampaignError(ArrlError):
    """A campaign cannot go on."""


class JournalError(CampaignError):
    """The journal is broken, newer than this version, or in use by another controller."""


class PolicyError(CampaignError):
    """A policy raised, or proposed what is not in the search space."""


class EvaluatorError(CampaignError):
    """The frozen evaluator or prepare step fails by itself."""


class PatchError(ArrlError):
    """A patch was refused as a whole; no text was changed.

    Attributes:
        code: Why (`no_match`, `ambiguous`, `path_not_allowed`, ...).
        hunk: 1-based number of the hunk that was refused, 0 if the patch as a whole was.
        line: 1-based line of the nearest place in the file, 0 if there is none.
        similarity: Of that place to what the hunk expects, 0 to 1.
    """

    def __init__(self, message: str, code: str, hunk: int = 0, line: int = 0, similarity: float = 0.0) -> None:
        super().__init__(message)
        self.code, self.hunk, self.line, self.similarity = code, hunk, line, similarity


class PoolError(ArrlError):
    """A resource request that can never be granted or makes no sense; names cost and capacity."""


class ForecastError(ArrlError):
    """A learning curve or target step that cannot be forecast from."""


class SealError(ArrlError):
    """An output of a trial is missing, too large, a link, or of another format.

    Attributes:
        code: Why (`missing`, `too_large`, `not_regular`, `linked`, `bad_format`, `io`).
        name: The output's path relative to the folder that was sealed.
    """

    def __init__(self, message: str, code: str, name: str = "") -> None:
        super().__init__(message)
        self.code, self.name = code, name


class LaunchError(ArrlError):
    """The launcher died or could not start a process; says nothing about the trial."""
