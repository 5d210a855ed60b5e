"""The prepare stage: builds a task's data once per machine, in a cache shared by all campaigns."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from autoresearch_rl._core import hash_tree
from autoresearch_rl.controller.environment import base_environment, expose
from autoresearch_rl.controller.workspace import lay_out
from autoresearch_rl.errors import EvaluatorError, SealError
from autoresearch_rl.target import Job, Limits, Target
from autoresearch_rl.task import Task

PARTS = ("data", "test", "private")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Prepared folders of a task.

    Attributes:
        path: Holds `data/` (for training), `test/` (for predict only) and `private/` (for the evaluator only).
        hashes: SHA-256 of each of the three.
    """

    path: Path
    hashes: Mapping[str, str]

    @property
    def data(self) -> Path:
        """What training sees."""
        return self.path / "data"

    @property
    def test(self) -> Path:
        """What only predict sees."""
        return self.path / "test"

    @property
    def private(self) -> Path:
        """What only the evaluator sees."""
        return self.path / "private"


def cache_root() -> Path:
    """Where prepared data of all tasks lies: `$XDG_CACHE_HOME/arrl/data`."""
    return user_cache_path("arrl") / "data"


def data_seed(task_name: str, root: Path) -> int:
    """The data seed of a task on this machine: made once, mode 0600, never shown to a policy or to training."""
    path = root / task_name / "seed"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            scratch = path.with_suffix(".new")  # a seed that is half written would be another seed
            scratch.unlink(missing_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(f"{secrets.randbits(31)}\n")
                stream.flush()
                os.fsync(descriptor)
            scratch.replace(path)
        return int(path.read_text())


def prepare(task: Task, local: Target, root: Path, *, announce: Callable[[str], None], rebuild: bool = False) -> Prepared:
    """Returns the prepared folders, building them where they are missing, or again with `rebuild`.

    Raises EvaluatorError where the prepare command fails, or builds other data than before with the same seed.
    """
    seed = data_seed(task.name, root)
    folder = root / task.name / task.prepared_key(seed)[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        known = _manifest(folder)
        if known is not None and not rebuild:
            if _hashes(folder) == known:
                return Prepared(path=folder, hashes=known)
            announce(f"prepared data in {folder} was changed since it was built; building it again")
        hashes = _build(task, local, seed, folder, announce)
        if known is not None and hashes != known:
            raise EvaluatorError(
                f"{' '.join(task.prepare_cmd or ())} built other data than before with the same seed; make it deterministic"
            )
        return Prepared(path=folder, hashes=hashes)


def _manifest(folder: Path) -> dict[str, str] | None:
    try:
        known = json.loads((folder / "manifest.json").read_text())
        return {part: str(known[part]) for part in PARTS}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hashes(folder: Path) -> dict[str, str] | None:
    """SHA-256 of what is there; None where a part is missing, or something lies in it that `prepare` never leaves (a link)."""
    try:
        return {part: hash_tree(str(folder / part)) for part in PARTS}
    except SealError:
        return None


def _build(task: Task, local: Target, seed: int, folder: Path, announce: Callable[[str], None]) -> dict[str, str]:
    for left in folder.parent.glob(f"{folder.name[:8]}.*/"):  # by a controller that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name[:8]}.", dir=folder.parent))
    try:
        for part in (*PARTS, "work", "home", "logs"):
            (scratch / part).mkdir()
        if task.prepare_cmd is not None:
            announce(f"preparing data of task {task.name} (once per machine) ...")
            _run(task, local, seed, scratch)
        hashes = {part: hash_tree(str(scratch / part)) for part in PARTS}
        for part in ("work", "home"):
            shutil.rmtree(scratch / part)
        (scratch / "private").chmod(0o700)
        (scratch / "manifest.json").write_text(json.dumps(hashes))
        if folder.exists():
            folder.rename(scratch / "replaced")
        scratch.rename(folder)
        shutil.rmtree(folder / "replaced", ignore_errors=True)
        return hashes
    finally:
        if scratch.exists():
            shutil.rmtree(scratch)


def _run(task: Task, local: Target, seed: int, scratch: Path) -> None:
    for name, content in task.frozen_texts().items():
        lay_out(scratch / "work" / name, content)
    folders = {"AR_DATA_DIR": scratch / "data", "AR_TEST_DIR": scratch / "test", "AR_PRIVATE_DIR": scratch / "private"}
    job = Job(
        stage="prepare",
        argv=task.command("prepare"),
        env={**base_environment(task, scratch / "home"), **expose(folders), "AR_DATA_SEED": str(seed)},
        cwd=scratch / "work",
        writable=folders,
        logs=scratch / "logs",
        limits=Limits(timeout_s=task.timeouts.prepare_s, log_bytes=task.log_bytes),
    )
    with local.open("prepare", {}, {}) as session:
        result = session.run(job, lambda _: None)
    if result.exit_code != 0:
        said = result.lost or result.unstartable or ("timed out" if result.timed_out else f"exit code {result.exit_code}")
        raise EvaluatorError(f"prepare of task {task.name} failed ({said}); its last lines:\n{result.stderr_tail}")
