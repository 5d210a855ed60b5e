"""kill -9 of campaigns of the examples, as a user runs them: at random moments, alone or with the group, and again in resume."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch_rl.controller.journal import begun, read
from autoresearch_rl.events import SettledEvent, StartTrial
from autoresearch_rl.trial import Status
from tests.examples.conftest import PACKAGE
from tests.test_cli import alive

MAIN = "from autoresearch_rl.cli import main; main()"
TRIALS = 5
# A trial of the language model takes 20 s on a core: the copy reads less text, all else is as it is.
SHORTER = {"stdlib_lm": ("TOKENS = 500_000", "TOKENS = 120_000")}
WAYS: dict[str, Callable[[int], None]] = {
    "controller": lambda pid: os.kill(pid, signal.SIGKILL),
    "group": lambda pid: os.killpg(pid, signal.SIGKILL),
}


def copied(name: str, folder: Path) -> Path:
    shutil.copytree(PACKAGE / "examples" / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    before, after = SHORTER.get(name, ("", ""))
    text = (folder / name / "train.py").read_text()
    assert before in text
    (folder / name / "train.py").write_text(text.replace(before, after))
    return folder / name


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "XDG_CACHE_HOME": str(folder / "cache")}


def begin(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / "out.txt").open("ab") as out:
        command = [sys.executable, "-c", MAIN, *arguments]
        return subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=out, stderr=out, start_new_session=True)


def killed(folder: Path, way: str, lines: int, delay_s: float, *arguments: str) -> bool:
    """Kills a controller some time after it has written so many lines; False where it had ended before."""
    written = lines - 1 + len(list(read(folder / "run"))) if begun(folder / "run") else 0
    child = begin(folder, *arguments)
    while child.poll() is None and not (begun(folder / "run") and len(list(read(folder / "run"))) > written):
        time.sleep(0.02)
    time.sleep(delay_s)
    if child.poll() is None:
        WAYS[way](child.pid)
    code = child.wait()
    until_s = time.monotonic() + 10
    while alive(folder) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert alive(folder) == [], "no child survives"
    assert code in (0, -9), (folder / "out.txt").read_text()
    return code == -9


def finish(folder: Path, *arguments: str) -> str:
    child = begin(folder, *arguments)
    child.wait()
    said = (folder / "out.txt").read_text()
    assert child.returncode == 0, said
    return said


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("name", ["digits", "stdlib_lm"])
def test_an_example_that_is_killed_again_and_again(tmp_path: Path, name: str, way: str, seed: int) -> None:
    if name == "stdlib_lm" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed (extra `learned`)")
    copied(name, tmp_path)
    chance = random.Random(f"{name} {way} {seed}")
    limits = [f"controller.max_trials={TRIALS}", "controller.max_attempts=9"]  # one that is killed thrice has failed by default
    options = [f"task.path={name}", "policy=tpe", "hydra.run.dir=run", *limits, "telemetry=[ledger]"]
    kills = int(killed(tmp_path, way, chance.randint(1, 20), chance.uniform(0, 0.4), *options, "controller.min_free_disk_mb=1"))
    for _ in range(2):  # in resume itself, mostly while what was lost runs again
        kills += killed(tmp_path, way, chance.randint(1, 5), chance.uniform(0, 0.4), "resume", "run")
    assert kills > 0
    finish(tmp_path, "resume", "run")
    assert "every decision and proposal came out the same" in finish(tmp_path, "replay", "run")
    entries = [entry.record for entry in read(tmp_path / "run")]
    good = [e.number for e in entries if isinstance(e, SettledEvent) and e.outcome.status is not Status.LOST]
    assert sorted(good) == list(range(TRIALS)), "every trial settles once"
    starts = [(e.trial.number, e.trial.attempt) for e in entries if isinstance(e, StartTrial)]
    assert len(set(starts)) == len(starts), "every attempt has a folder of its own"
    rows = [line.split("\t")[0] for line in (tmp_path / "run" / "results.tsv").read_text().splitlines()[1:]]
    assert sorted(map(int, rows)) == list(range(TRIALS))
