"""What tests of the target `command` share."""

import os
import sys
from pathlib import Path

from autoresearch_rl.target import Job, JobResult, Limits, Report
from autoresearch_rl.target.command import Command
from autoresearch_rl.trial import Progress

BARE = (sys.executable, "-I", "-S", "-c")


def quiet(progress: Progress | None) -> None:
    """A report that gives no order."""


def job(folder: Path, *argv: str, **limits: float) -> Job:
    (folder / "work").mkdir(exist_ok=True)
    return Job(
        stage="train",
        argv=argv,
        env={"PATH": os.environ["PATH"]},
        cwd=folder / "work",
        logs=folder,
        progress=folder / "progress.jsonl",
        control=folder / "control.json",
        limits=Limits(**{"timeout_s": 30, **limits}),
    )


def run(target: Command, what: Job, report: Report = quiet) -> JobResult:
    with target.open("c/1/1", {}, {}) as session:
        return session.run(what, report)


def alive(marker: str) -> list[int]:
    """Living processes with `marker` in their command line, or started by one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
