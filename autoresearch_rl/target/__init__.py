"""Targets: they run the stages of a trial somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from autoresearch_rl.trial import Order, Progress

Report = Callable[["Progress | None"], "Order | None"]
"""Called by a target for each progress report, and with None at least every 0.2 s; returns the order that stands, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A read-only input folder with the SHA-256 of its content, by which a remote target may know it already."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one stage, None where there is none.

    Attributes:
        timeout_s: Wall seconds, after which the whole process tree is killed.
        grace_s: Seconds between an order or SIGTERM and SIGKILL.
        log_bytes: Size to which stdout and stderr are cut each, head and tail kept.
        memory_bytes: Address space of each process.
        file_bytes: Largest file that may be written.
    """

    timeout_s: float
    grace_s: float = 30.0
    log_bytes: int = 10_000_000
    memory_bytes: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One stage of a trial.

    Attributes:
        stage: `train`, `predict`, ...
        argv: Command; a relative program is looked up in the environment's PATH.
        env: The whole environment of the process; folders in it are paths on this machine, which a remote target translates.
        cwd: Working directory: the workspace, writable.
        inputs: Read-only folders by the name of the variable that points to them.
        writable: Folders that the stage writes to and that come back, by the name of the variable that points to them.
        logs: Folder that receives `STAGE.stdout.log` and `STAGE.stderr.log`.
        progress: File to which the stage appends its reports, None for none.
        control: File in which an order is put for the stage to read, None for none.
        answer: Whether the stage answers with one JSON object on the pipe named by `AR_ANSWER_FD`.
        limits: See `Limits`.
    """

    stage: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    inputs: Mapping[str, Tree] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    logs: Path
    progress: Path | None = None
    control: Path | None = None
    answer: bool = False
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How one stage ended; its process tree is dead.

    Attributes:
        exit_code: None if a signal ended it.
        signal: Number of that signal, else None.
        timed_out: Whether the timeout killed it.
        obeyed: The order after which it ended, None if it ended by itself.
        elapsed_s: Wall seconds.
        usage: Amounts by name with unit (`cpu_s`, `peak_rss_bytes`, `output_bytes`; `gpu_s` and `usd` where the target knows).
        stderr_tail: Last lines of stderr, at most 4,000 characters, invalid UTF-8 replaced.
        answer: What came on the answer pipe, None if nothing was asked for.
        tier: Isolation tier it ran in.
        hardware: Class of the machine that it ran on, the same text for machines that do the same work in the same time; empty for this one.
        contention: Share of its time, 0 to 1, for which others kept it from CPUs; None where nobody can tell.
        lost: Why the infrastructure, not the stage, ended it; empty otherwise.
        unstartable: Why the command could not be started at all (not found, not executable); empty otherwise.
    """

    exit_code: int | None
    signal: int | None = None
    timed_out: bool = False
    obeyed: Order | None = None
    elapsed_s: float = 0.0
    usage: Mapping[str, float] = field(default_factory=dict)
    stderr_tail: str = ""
    answer: str | None = None
    tier: int = 0
    hardware: str = ""
    contention: float | None = None
    lost: str = ""
    unstartable: str = ""


class Session(AbstractContextManager["Session"], Protocol):
    """Runs the stages of one attempt, one after another, from one worker thread; leaving it kills what is left."""

    def run(self, job: Job, report: Report) -> JobResult:
        """Blocks until the stage and its whole process tree have ended."""
        ...


class Target(Protocol):
    """A place where stages run. `open` is called from many worker threads; `close` once, when the campaign ends."""

    def open(self, trial_key: str, resources: Mapping[str, float], devices: Mapping[str, tuple[int, ...]]) -> Session:
        """Returns a session for one attempt; `trial_key` is CAMPAIGN/NUMBER/ATTEMPT."""
        ...

    def price(self, resources: Mapping[str, float]) -> float | None:
        """USD an hour of a trial that holds these, None if it is not known. Asked once, when a campaign is opened.

        What an attempt came to in the end may be told as `usd` in `JobResult.usage`, which counts instead.
        """
        ...

    def close(self) -> None:
        """Kills whatever it started and is still alive."""
        ...
