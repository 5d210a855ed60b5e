"""Where a score comes from: frozen files watched, and the evaluator run from pristine copies on sealed outputs.

What this does not protect against at isolation tier 0: a trial runs as the same user and can read labels, the journal and
other trials, and write wherever that user can. So no verdict below tier 1 is `trusted`.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autoresearch_rl._core import hash_file
from autoresearch_rl.errors import SealError
from autoresearch_rl.target import JobResult
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Verdict

BAD_OUTPUTS = 10
_Print = tuple[int, int, int, int]


class Guard:
    """Watches frozen files and prepared data around untrusted stages. Thread-safe.

    A file is hashed again only when its inode, size, mtime or ctime changed: who may not set the machine's clock cannot
    write to a file without changing its ctime.

    Attributes:
        epoch: Number of times that tampering was found.
    """

    def __init__(self, folders: Mapping[Path, Callable[[], object]]) -> None:
        """`folders`: what is watched, with what lays it out again. Files that appear in them count as changed too."""
        self._folders = dict(folders)
        self._lock = threading.Lock()
        self._inside: dict[str, set[str]] = {}
        self.epoch = 0
        self._prints = self._scan()
        self._hashes = {path: hash_file(str(path)) for path in self._prints}

    def enter(self, key: str) -> None:
        """An untrusted stage of trial `key` is about to start."""
        with self._lock:
            self._check()
            self._inside[key] = set()

    def leave(self, key: str) -> tuple[str, ...]:
        """It has ended: paths found changed while it ran, restored by now."""
        with self._lock:
            self._check()
            return tuple(sorted(self._inside.pop(key)))

    def verify(self) -> int:
        """Checks now; returns the epoch, which has grown if anything was changed."""
        with self._lock:
            self._check()
            return self.epoch

    def _check(self) -> None:
        now = self._scan()
        changed = {path for path in now.keys() | self._prints.keys() if now.get(path) != self._prints.get(path)}
        changed = {path for path in changed if path not in self._hashes or _hash(path) != self._hashes[path]}
        if changed:
            self.epoch += 1
            for names in self._inside.values():
                names |= {str(path) for path in changed}
            self._restore(changed)
            now = self._scan()
        self._prints = now

    def _restore(self, changed: set[Path]) -> None:
        for folder, lay_out_again in self._folders.items():
            if any(path.is_relative_to(folder) for path in changed):
                lay_out_again()

    def _scan(self) -> dict[Path, _Print]:
        found: dict[Path, _Print] = {}
        for folder in self._folders:
            for parent, folders, names in os.walk(folder):
                for name in (*names, *(name for name in folders if Path(parent, name).is_symlink())):
                    _add(found, Path(parent, name))
        return found


def _add(found: dict[Path, _Print], path: Path) -> None:
    try:
        stat = path.lstat()
    except OSError:
        return
    found[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _hash(path: Path) -> str | None:
    try:
        return hash_file(str(path))
    except SealError:
        return None


def judge(result: JobResult, task: Task) -> dict[str, float] | str:
    """The evaluator's metrics, or a sentence on why its answer is none."""
    if result.timed_out:
        return f"the evaluator took longer than {task.timeouts.evaluate_s:g} s"
    if result.exit_code != 0:
        return f"the evaluator ended with {ended(result)}"
    try:
        answer = json.loads(result.answer or "", object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"the evaluator's answer is no JSON object of numbers: {error}"
    if not isinstance(answer, dict) or not answer:
        return "the evaluator's answer is no JSON object of numbers"
    for name, value in answer.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            return f"the evaluator's metric {name!r} is {str(value)[:40]!r}, not a finite number"
    if task.objective.metric not in answer:
        return f"the evaluator's answer lacks {task.objective.metric!r} (it has {', '.join(sorted(answer))})"
    return {name: float(value) for name, value in answer.items()}


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def verdict_of(task: Task, tier: int) -> Verdict:
    """How far a score of this task from this isolation tier can be believed."""
    if task.evaluate_cmd is None:
        return Verdict(kind="self_reported", tier=tier, reason="the task has no evaluator: the trial reported its own score")
    if tier < 1:
        reason = "isolation tier 0: labels and evaluator were within the trial's reach"
        reason += ", and the labels are public" if task.labels == "public" else ""
        return Verdict(kind="untrusted", tier=tier, reason=reason)
    if task.labels == "public":
        return Verdict(kind="untrusted", tier=tier, reason="the labels are public")
    return Verdict(kind="trusted", tier=tier)


def ended(result: JobResult) -> str:
    """How a process ended, in words."""
    if result.signal is not None:
        return f"signal {result.signal}"
    return f"exit code {result.exit_code}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")
