"""kill -9 of real controllers at chosen moments; then the campaign is taken up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch_rl.controller.journal import read
from tests.faults.real import check_end, take_up
from tests.test_cli import alive

SCRIPT = """
import os, sys
from pathlib import Path
from tests.controller.plans import go
from tests.faults.real import plan_for
folder = Path(sys.argv[1])
(folder / "pid").write_text(str(os.getpid()))
go(plan_for(folder, sys.argv[2], int(sys.argv[3])), folder)
"""
KILLS = [
    *(("record", count) for count in (1, 2, 3, 4, 5, 7, 9, 12)),
    *(("decision", count) for count in (1, 2, 3, 5)),
    *(("ask", count) for count in (1, 2)),
    *((stage, number) for stage in ("train", "predict", "evaluate") for number in (1, 3)),
]


def kill(folder: Path, where: str, count: int) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) + os.pathsep + str(Path.cwd())}
    command = [sys.executable, "-c", SCRIPT, str(folder), where, str(count)]
    done = subprocess.run(command, env=env, timeout=100, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    (folder / "pid").unlink()
    until_s = time.monotonic() + 10
    while alive(folder) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert alive(folder) == [], "no child survives"
    before = list(read(folder / "run"))
    check_end(folder, take_up(folder, where, count), before)
    assert alive(folder) == []


@pytest.mark.parametrize(("where", "count"), KILLS)
def test_kill_9(tmp_path: Path, where: str, count: int) -> None:
    kill(tmp_path, where, count)


@pytest.mark.soak
@pytest.mark.parametrize("count", range(1, 25))
def test_kill_9_at_every_record(tmp_path: Path, count: int) -> None:
    kill(tmp_path, "record", count)
