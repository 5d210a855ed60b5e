"""Folders of one attempt, and what stays of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from autoresearch_rl._core import seal_file, seal_tree
from autoresearch_rl.errors import SealError
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Outcome, Status, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Paths of one attempt, `RUN_DIR/trials/NNNN/ATTEMPT/`.

    Attributes:
        root: The attempt's folder.
        checkpoint: Shared by all attempts of the trial.
    """

    root: Path
    checkpoint: Path

    @classmethod
    def create(cls, run_dir: Path, trial: Trial) -> Workspace:
        """Makes the folders that stages share, empty but for the checkpoint of earlier attempts."""
        home = run_dir / "trials" / f"{trial.number:04d}"
        space = cls(root=home / str(trial.attempt), checkpoint=home / "checkpoint")
        # After a power cut the journal may lack the start of an attempt that left something here, even of another proposal.
        for folder in (space.root, space.checkpoint)[: 2 if trial.attempt == 1 else 1]:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (space.scratch_model, space.checkpoint):
            folder.mkdir(parents=True, exist_ok=True)
        if trial.proposal.patch:
            (space.root / "patch.diff").write_text(trial.proposal.patch, encoding="utf-8")
        return space

    def renew(self, source: Mapping[str, bytes]) -> None:
        """Lays out what an untrusted stage works in: the source, an empty home, no outputs. Nothing of the stage before is left.

        The source holds copies of the frozen files too, for convenience only.
        """
        for folder in (self.home, self.scratch_outputs):
            lay_out_all(folder, {})
        lay_out_all(self.work, source)

    @property
    def work(self) -> Path:
        """Working directory of untrusted stages."""
        return self.root / "workspace"

    @property
    def home(self) -> Path:
        """HOME and TMPDIR of untrusted stages."""
        return self.root / "scratch" / "home"

    @property
    def evaluation(self) -> Path:
        """Working directory, HOME and TMPDIR of the evaluator."""
        return self.root / "evaluate"

    @property
    def scratch_model(self) -> Path:
        """Where training writes its model."""
        return self.root / "scratch" / "model"

    @property
    def scratch_outputs(self) -> Path:
        """Where an untrusted stage writes its outputs."""
        return self.root / "scratch" / "outputs"

    @property
    def model(self) -> Path:
        """The sealed model."""
        return self.root / "model"

    @property
    def outputs(self) -> Path:
        """The sealed outputs."""
        return self.root / "outputs"

    @property
    def progress(self) -> Path:
        """Reports of the training stage."""
        return self.root / "progress.jsonl"

    @property
    def control(self) -> Path:
        """The order that stands, if any."""
        return self.root / "control.json"

    def seal_model(self, task: Task) -> dict[str, str]:
        """Seals the model folder; returns SHA-256 by path relative to the attempt. Raises SealError."""
        self.model.mkdir(exist_ok=True)
        sealed = seal_tree(str(self.scratch_model), str(self.model), task.model.max_bytes, task.model.max_files)
        return {f"model/{item.name}": item.sha256 for item in sealed}

    def seal_outputs(self, task: Task) -> dict[str, str]:
        """Seals the declared outputs; returns SHA-256 by path relative to the attempt. Raises SealError."""
        self.outputs.mkdir(exist_ok=True)
        sealed = {}
        for output in task.outputs:
            try:
                item = seal_file(str(self.scratch_outputs), output.name, str(self.outputs), output.format, output.max_bytes)
            except SealError as error:
                raise SealError(f"{error} (the stage writes outputs to $AR_OUTPUT_DIR)", error.code, error.name) from error
            sealed[f"outputs/{item.name}"] = item.sha256
        return sealed

    def finish(self, trial: Trial, outcome: Outcome, *, keep: bool, paused: bool = False) -> None:
        """Drops what the trial worked in, unless `keep`, and writes `outcome.json`: in this order, or a full disk stays full."""
        if not keep:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.rmtree(self.root / "scratch", ignore_errors=True)
            shutil.rmtree(self.evaluation, ignore_errors=True)
            if outcome.status is not Status.LOST and not paused:  # the next attempt goes on from there
                shutil.rmtree(self.checkpoint, ignore_errors=True)
        row = {"trial": trial.number, "attempt": trial.attempt, "params": dict(trial.proposal.params), **asdict(outcome)}
        row.pop("curve")
        scratch = self.root / "outcome.json.tmp"
        scratch.write_text(json.dumps(row, indent=1, default=str) + "\n")
        scratch.replace(self.root / "outcome.json")


def scored_baseline(run_dir: Path) -> Workspace | None:
    """The attempt of trial 0 that got a score, None if none did."""
    for path in run_dir.glob("trials/0000/*/outcome.json"):
        if json.loads(path.read_text())["status"] == Status.OK:
            return Workspace(root=path.parent, checkpoint=path.parent.parent / "checkpoint")
    return None


def lay_out(path: Path, content: bytes) -> None:
    """Writes a file of the task to where a stage finds it; scripts and programs can be executed, as in the user's folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if content.startswith((b"#!", b"\x7fELF")):
        path.chmod(0o755)


def lay_out_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Makes a folder of these files and nothing else, whatever stood in its place."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    folder.unlink(missing_ok=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        lay_out(folder / name, content)


def attempt_folder(run_dir: Path, number: int, attempt: int) -> Path:
    """The folder of one attempt, `RUN_DIR/trials/NNNN/ATTEMPT`."""
    return run_dir / "trials" / f"{number:04d}" / str(attempt)


def last_sign_of_life(run_dir: Path, number: int, attempt: int) -> float:
    """When something last changed in an attempt's folder or its checkpoint, as a UNIX time; 0 if nothing is there."""
    root = attempt_folder(run_dir, number, attempt)
    folders = (root, root / "workspace", root / "scratch" / "outputs", root / "scratch" / "model", root.parent / "checkpoint")
    paths = [path for folder in folders if folder.is_dir() for path in (folder, *folder.iterdir())]
    return max((path.lstat().st_mtime for path in paths), default=0.0)


def drop_checkpoint(run_dir: Path, number: int) -> None:
    """Drops the checkpoint of a trial that will not go on."""
    shutil.rmtree(run_dir / "trials" / f"{number:04d}" / "checkpoint", ignore_errors=True)


def drop_model(run_dir: Path, number: int, attempt: int) -> None:
    """Drops the model of a discarded trial."""
    shutil.rmtree(attempt_folder(run_dir, number, attempt) / "model", ignore_errors=True)


def point_best(run_dir: Path, number: int, attempt: int) -> None:
    """Points `RUN_DIR/best` to an attempt, atomically."""
    scratch = run_dir / ".best"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(Path("trials") / f"{number:04d}" / str(attempt))
    scratch.replace(run_dir / "best")
