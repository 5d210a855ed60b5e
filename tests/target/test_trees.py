import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from autoresearch_rl.target.command import Command
from autoresearch_rl.trial import Order, Progress
from tests.target.running import BARE, alive, job, quiet, run

# ---------------------------------------------------------------- trees

TREES = {
    "background": "sh -c 'sleep 300 & sleep 300 & true' {marker}",
    "session": "setsid sh -c 'sleep 300; true' {marker} & sleep 0.1",
    "double fork": "(setsid sh -c 'sleep 300 & true' {marker} &) ; sleep 0.1",
    "deaf": "trap '' TERM HUP INT; sh -c 'while :; do sleep 300; done' {marker} & sleep 0.1",
    "forks": "setsid sh -c 'while :; do sh -c true {marker} & done' {marker} & sleep 0.3",
    "stopped": "sh -c 'kill -STOP $$' {marker} & sleep 0.1",
}


@pytest.mark.parametrize("text", TREES.values(), ids=TREES)
def test_no_process_outlives_its_stage(target: Command, tmp_path: Path, text: str) -> None:
    marker = f"marker-{uuid4()}"
    begun_s = time.monotonic()
    result = run(target, job(tmp_path, "sh", "-c", text.format(marker=marker), marker))
    assert (result.exit_code, result.lost) == (0, "")
    assert alive(marker) == []
    assert time.monotonic() - begun_s < 8


def test_a_chain_of_forks_that_leave_their_sessions_dies(target: Command, tmp_path: Path) -> None:
    marker = f"marker-{uuid4()}"
    text = """
import os, time
if os.fork():
    time.sleep(0.2)
    os._exit(0)
while True:
    if os.getsid(0) != os.getpid():
        os.setsid()
    if os.fork():
        os._exit(0)
"""
    result = run(target, job(tmp_path, *BARE, text, marker))
    assert (result.exit_code, result.lost) == (0, "")
    assert alive(marker) == []


def test_who_keeps_a_pipe_open_delays_nothing(target: Command, tmp_path: Path) -> None:
    begun_s = time.monotonic()
    assert run(target, job(tmp_path, "sh", "-c", "setsid sleep 300 & echo done")).exit_code == 0
    assert time.monotonic() - begun_s < 8
    assert (tmp_path / "train.stdout.log").read_text() == "done\n"


def test_one_stage_ends_without_harm_to_another(target: Command, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(
            run, target, job(tmp_path / "a", "sh", "-c", "setsid sh -c 'sleep 1; echo alive' & wait; echo over")
        )
        for _ in range(5):
            assert run(target, job(tmp_path / "b", "sh", "-c", "setsid sleep 300 & true")).exit_code == 0
        assert other.result().exit_code == 0
    assert (tmp_path / "a" / "train.stdout.log").read_text() == "alive\nover\n"


def test_a_timeout_kills_the_whole_tree(target: Command, tmp_path: Path) -> None:
    marker = f"marker-{uuid4()}"
    text = f"trap '' TERM; setsid sh -c 'sleep 300; true' {marker} & sleep 300"
    result = run(target, job(tmp_path, "sh", "-c", text, marker, timeout_s=0.5))
    assert (result.timed_out, result.signal, result.exit_code) == (True, signal.SIGKILL, None)
    assert alive(marker) == []


def test_usage_counts_the_whole_tree(target: Command, tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nx = bytearray(60_000_000)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {burn!r}])"
    result = run(target, job(tmp_path, sys.executable, "-c", code))
    assert 0.3 <= result.usage["cpu_s"] < 3
    assert result.usage["peak_rss_bytes"] > 60e6


# ---------------------------------------------------------------- deaths


def test_a_dead_launcher_loses_its_stages_and_is_replaced(target: Command, tmp_path: Path) -> None:
    marker, started = f"marker-{uuid4()}", threading.Event()
    text = f"setsid sh -c 'sleep 300; true' {marker} & sleep 300"
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, target, job(tmp_path, "sh", "-c", text, marker), lambda _: started.set())
        assert started.wait(20)
        os.kill(target._launcher.pid, signal.SIGKILL)
        result = running.result(timeout=20)
    assert "launcher" in result.lost
    assert alive(marker) == []
    assert run(target, job(tmp_path, "true")).exit_code == 0


def test_a_session_of_a_dead_launcher_is_lost(target: Command, tmp_path: Path) -> None:
    with target.open("c/1/1", {}, {}) as session:
        os.kill(target._launcher.pid, signal.SIGKILL)
        while target._launcher.alive:
            time.sleep(0.01)
        assert "the launcher died" in session.run(job(tmp_path, "true"), quiet).lost


def test_closing_says_lost(tmp_path: Path) -> None:
    target, started = Command(), threading.Event()
    order = Order(kind="stop", reason="twice", grace_s=60)

    def report(_: Progress | None) -> Order:
        started.set()
        return order

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, target, job(tmp_path, "sleep", "300"), report)
        assert started.wait(20)
        begun_s = time.monotonic()
        target.close()
        result = running.result(timeout=20)
    assert time.monotonic() - begun_s < 8
    assert (result.lost, result.obeyed) == ("it was killed when the target was closed", order)


def test_many_sessions_leave_nothing_behind(target: Command, tmp_path: Path) -> None:
    assert run(target, job(tmp_path, "true")).exit_code == 0
    launcher = target._launcher.pid
    before = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), launcher)]

    def many(number: int) -> list[int | None]:
        folder = tmp_path / str(number)
        folder.mkdir()
        with target.open(f"c/{number}/1", {}, {}) as session:
            return [session.run(job(folder, "true"), quiet).exit_code for _ in range(20)]

    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(many, range(8)))
    assert codes == [[0] * 20] * 8
    deadline_s = time.monotonic() + 5
    while (left := Path(f"/proc/{launcher}/task/{launcher}/children").read_text()) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert left == ""
    assert [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), launcher)] == before
