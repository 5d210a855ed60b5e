"""kill -9 of real controllers at chosen moments; then the campaign is taken up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import Entry, Resumed
from tests.faults.real import check_end, take_up
from tests.test_cli import alive

SCRIPT = """
import os, sys
from pathlib import Path
from autoresearch_rl.controller.run import resume, run
from tests.faults.real import plan_for
folder, where, count, again = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
(folder / "pid").write_text(str(os.getpid()))
more = {"limits": {}} if again else {"tags": {}}
(resume if again else run)(plan_for(folder, where, count), folder / "run", cache_dir=folder / "cache", announce=print, **more)
"""
KILLS = [
    *(("record", count) for count in (1, 2, 4, 7, 12)),
    *(("group", count) for count in (3, 9)),
    *(("decision", count) for count in (1, 3)),
    *(("ask", count) for count in (1, 2)),
    *((stage, number) for stage in ("train", "predict", "evaluate") for number in (1, 3)),
]
TWICE = [(9, 1), (5, 4), (12, 8)]


def kill(folder: Path, where: str, count: int, *, again: bool = False) -> list[Entry]:
    """Lets a controller die; returns what is in the journal."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) + os.pathsep + str(Path.cwd())}
    command = [sys.executable, "-c", SCRIPT, str(folder), where, str(count), "again" * again]
    done = subprocess.run(command, env=env, timeout=100, capture_output=True, text=True, check=False, start_new_session=True)
    assert done.returncode == -9, done.stderr
    (folder / "pid").unlink()
    until_s = time.monotonic() + 10
    while alive(folder) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert alive(folder) == [], "no child survives"
    return list(read(folder / "run"))


def check_taken_up(folder: Path, where: str, count: int, before: list[Entry]) -> None:
    check_end(folder, take_up(folder, where, count), before)
    assert alive(folder) == []


@pytest.mark.parametrize(("where", "count"), KILLS)
def test_kill_9(tmp_path: Path, where: str, count: int) -> None:
    check_taken_up(tmp_path, where, count, kill(tmp_path, where, count))


@pytest.mark.parametrize(("first", "second"), TWICE)
def test_kill_9_again_while_it_is_taken_up(tmp_path: Path, first: int, second: int) -> None:
    """`second`: record after those of the first controller."""
    before = kill(tmp_path, "record", first)
    after = kill(tmp_path, "record", len(before) + second, again=True)
    assert [entry.record for entry in after[: len(before)]] == [entry.record for entry in before]
    assert any(isinstance(entry.record, Resumed) for entry in after)
    check_taken_up(tmp_path, "record", first, after)


@pytest.mark.soak
@pytest.mark.parametrize("where", ["record", "group"])
@pytest.mark.parametrize("count", range(1, 21))  # a campaign of five trials has 21 at least
def test_kill_9_at_every_record(tmp_path: Path, where: str, count: int) -> None:
    check_taken_up(tmp_path, where, count, kill(tmp_path, where, count))


@pytest.mark.soak
@pytest.mark.parametrize("first", [2, 6, 10])
@pytest.mark.parametrize("second", range(1, 9))
def test_kill_9_at_every_record_of_the_takeover(tmp_path: Path, first: int, second: int) -> None:
    test_kill_9_again_while_it_is_taken_up(tmp_path, first, second)
