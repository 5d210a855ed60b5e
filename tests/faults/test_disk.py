"""Full, limited and read-only disks: the campaign ends with a sentence or goes on, and is whole once there is room again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, resource, shutil, subprocess, sys
from pathlib import Path
from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.inbox import ask_stop
from autoresearch_rl.controller.run import replay_run
from autoresearch_rl.controller.status import show_status
from autoresearch_rl.errors import ArrlError
from tests.controller.plans import go
from tests.faults.real import check_end, plan_for, take_up

folder, kind, count, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
(folder / "run").mkdir()
ballast = folder / "run" / "ballast"


def mount(*options):
    subprocess.run(["mount", *options, str(folder / "run")], check=True)


def fill():
    with ballast.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            stream.truncate(max(0, stream.tell() - left))


def limit():
    # Files may not grow beyond this, in this process and in the launcher's children that are yet to come.
    size = (folder / "run" / "journal.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + left, resource.RLIM_INFINITY))


def free():
    ballast.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if kind != "limit":
    mount("-t", "tmpfs", "-o", "size=2m", "tmpfs")
said = ""
try:
    where = {"readonly": "nowhere", "hog": "hog"}.get(kind, "record")
    finished = go(plan_for(folder, where, count, limit if kind == "limit" else fill), folder)
    said = finished.stop.reason if finished.stop.failed else ""
    print("ended:", finished.stop.reason)
except ArrlError as error:
    said = str(error)
    print("raised:", type(error).__name__, error)
if kind == "hog":
    assert not said
    check_end(folder, finished, [], "hog")
    (lost,) = [e.record.outcome for e in read(folder / "run") if getattr(e.record, "outcome", None) and e.record.number == count][:-1]
    print(lost.status, lost.message)
    print("WHOLE")
    raise SystemExit
if kind == "readonly":
    mount("-o", "remount,ro")
    for act in (lambda: take_up(folder, "nowhere", 0), lambda: ask_stop(folder / "run")):
        try:
            act()
            raise SystemExit("it should have been refused")
        except ArrlError as error:
            print("refused:", error)
    print(replay_run(plan_for(folder, "nowhere", 0), folder / "run"))
    show_status(folder / "run", last=3, as_json=True)
    mount("-o", "remount,rw")
else:
    free()
before = list(read(folder / "run"))
if said:
    assert any(word in said for word in ("space", "large", "cannot be written")), said
finished = take_up(folder, "nowhere", 0)
check_end(folder, finished, before)
print("WHOLE")
"""


def run(folder: Path, kind: str, count: int, left: int) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) + os.pathsep + str(Path.cwd())}
    command = [sys.executable, "-c", SCRIPT, str(folder), kind, str(count), str(left)]
    if kind != "limit":
        probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        try:
            subprocess.run(probe, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted in a namespace of one's own here: {error}")
        command = ["unshare", "-m", *command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("WHOLE\n")
    return done.stdout


FULL = [(1, 0), (3, 0), (6, 0), (6, 3000), (9, 0), (9, 12_000), (12, 0), (15, 50_000)]


@pytest.mark.parametrize(("count", "left"), FULL)
def test_a_full_disk(tmp_path: Path, count: int, left: int) -> None:
    run(tmp_path, "full", count, left)


@pytest.mark.parametrize(("count", "left"), [(2, 0), (4, 1000), (8, 300)])
def test_a_limit_on_the_size_of_files(tmp_path: Path, count: int, left: int) -> None:
    run(tmp_path, "limit", count, left)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["full", "limit"])
@pytest.mark.parametrize("count", range(1, 25))
@pytest.mark.parametrize("left", [0, 500, 8_000])
def test_no_room_at_any_record(tmp_path: Path, kind: str, count: int, left: int) -> None:
    run(tmp_path, kind, count, left)


@pytest.mark.parametrize("number", [1, 3])
def test_a_trial_that_fills_the_disk_runs_again_and_nobody_else_suffers(tmp_path: Path, number: int) -> None:
    said = run(tmp_path, "hog", number, 0)
    assert f"lost the disk of {tmp_path / 'run'} was full: train ended with exit code 1" in said


def test_a_read_only_run_directory(tmp_path: Path) -> None:
    said = run(tmp_path, "readonly", 0, 0)
    refused = [line for line in said.splitlines() if line.startswith("refused: ")]
    assert "cannot be written: Read-only file system" in refused[0]
    assert "Read-only file system" in refused[1] or "nothing to stop" in refused[1]
    assert "came out the same" in said
    assert '"state": "ended"' in said
