"""Runs the stages of an example as real processes, with the environment that its `task.yaml` is promised, and no controller."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import autoresearch_rl
from autoresearch_rl.task import Task

PACKAGE = Path(autoresearch_rl.__file__).parent
FOLDERS = {
    "prepare": ("DATA", "TEST", "PRIVATE"),
    "train": ("DATA", "MODEL", "CHECKPOINT", "OUTPUT"),
    "predict": ("TEST", "MODEL", "OUTPUT"),
    "evaluate": ("OUTPUT", "MODEL", "PRIVATE"),
}


@dataclass
class Example:
    """An example task with folders of its own below `root`."""

    task: Task
    root: Path

    def folder(self, name: str) -> Path:
        path = self.root / name.lower()
        path.mkdir(parents=True, exist_ok=True)
        return path

    def run(self, stage: str, params: Mapping[str, Any] | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs a stage in the folder where it would run; `extra` adds variables."""
        env = self._base() | {f"AR_{name}_DIR": str(self.folder(name)) for name in FOLDERS[stage]} | extra
        env |= {"AR_PARAMS_JSON": json.dumps(params or self.task.search_space.defaults)} if stage in ("train", "predict") else {}
        env |= {"AR_PROGRESS_FILE": str(self.root / "progress.jsonl"), "AR_SEED": "7"} if stage == "train" else {}
        command = self.task.command(stage)
        if stage == "evaluate":  # from elsewhere, isolated
            command = (command[0], "-I", str(self.task.path / command[1]))
            return self._process(command, env, self.folder("empty"))
        work = self.folder("work")
        for name in (*self.task.files.frozen, *self.task.files.mutable):
            shutil.copy(self.task.path / name, work / name)
        return self._process(command, env, work)

    def score(self) -> dict[str, float]:
        """The evaluator's answer, from the pipe."""
        reader, writer = os.pipe()
        env = self._base() | {f"AR_{name}_DIR": str(self.folder(name)) for name in FOLDERS["evaluate"]}
        env |= {"AR_ANSWER_FD": str(writer)}
        command = (sys.executable, "-I", str(self.task.path / "evaluate.py"))
        done = self._process(command, env, self.folder("empty"), pass_fds=(writer,))
        os.close(writer)
        with open(reader) as stream:
            answer = stream.read()
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        return json.loads(answer)

    def by_hand(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a script as a person would, in an empty folder and without any of our variables."""
        return self._process((sys.executable, str(self.task.path / script)), self._base(), self.folder("hand"))

    def progress(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "progress.jsonl").read_text().splitlines()]

    def _base(self) -> dict[str, str]:
        allowed = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        # The package may be found from the current folder only, and a stage runs in another one.
        return allowed | {"HOME": str(self.folder("home")), "PYTHONPATH": str(PACKAGE.parent), "PYTHONHASHSEED": "0"}

    def _process(self, command: tuple[str, ...], env: dict[str, str], cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=300, **more)


def load_task(name: str) -> Task:
    fields = yaml.safe_load((PACKAGE / "examples" / name / "task.yaml").read_text())
    return Task(
        **{key: value for key, value in fields.items() if not key.startswith("_")} | {"path": PACKAGE / "examples" / name}
    )


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., Example]:
    """Makes the example NAME in a folder of its own."""
    return lambda name, folder="a": Example(task=load_task(name), root=tmp_path / folder)
