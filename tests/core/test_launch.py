import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from autoresearch_rl import _core
from autoresearch_rl.errors import LaunchError
from autoresearch_rl.target.launcher import Launcher
from tests.target.running import alive

ROOT = Path(_core.__file__).parent.parent

CONTROLLER = """
import sys, threading
from pathlib import Path
from autoresearch_rl.target import Job, Limits
from autoresearch_rl.target.command import Command

folder, marker, children = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "fork"
target = Command()
def run(number):
    text = f"trap '' TERM; setsid sh -c 'sleep 300; true' {marker} & (setsid sh -c 'sleep 300 & wait' {marker} &) ; sleep 300"
    job = Job(stage=f"s{number}", argv=("sh", "-c", text, marker), env={"PATH": "/usr/bin:/bin"}, cwd=folder, logs=folder,
              limits=Limits(timeout_s=600))
    with target.open(f"c/{number}/1", {}, {}) as session:
        session.run(job, lambda _: None)
with target.open("c/0/1", {}, {}):
    print(target._launcher.pid, flush=True)
threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
if children:
    import os, time
    time.sleep(0.5)
    if os.fork() == 0:
        time.sleep(20)  # holds copies of all sockets
        os._exit(0)
"""


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


@pytest.fixture
def marker() -> Iterator[str]:
    marker = f"marker-{uuid4()}"
    yield marker
    for pid in alive(marker):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["plain", "fork"])
def test_nothing_outlives_a_killed_controller(tmp_path: Path, marker: str, kind: str) -> None:
    command = [sys.executable, "-c", CONTROLLER, str(tmp_path), marker, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, start_new_session=True) as controller:
        assert controller.stdout is not None
        launcher = int(controller.stdout.readline())
        assert until(lambda: len(alive(marker)) >= 10, 20)
        time.sleep(0.7 if kind == "fork" else 0)
        os.kill(controller.pid, signal.SIGKILL)
        # A forked copy of the controller, in its process group, is no stage.
        assert until(lambda: ended(launcher) and all(group(pid) in (controller.pid, 0) for pid in alive(marker)), 2)
        os.killpg(controller.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_launcher_that_is_told_to_end_ends(number: int) -> None:
    launcher = Launcher()
    os.kill(launcher.pid, number)
    assert until(lambda: not launcher.alive, 5)
    with pytest.raises(LaunchError, match="the launcher died"):
        launcher.connect()
    launcher.close()


def test_the_launcher_is_small_and_has_nothing_of_our_environment() -> None:
    launcher = Launcher()
    names = [entry.partition(b"=")[0] for entry in Path(f"/proc/{launcher.pid}/environ").read_bytes().split(b"\0")]
    status = dict(line.split(":", 1) for line in Path(f"/proc/{launcher.pid}/status").read_text().splitlines())
    assert set(names) <= {b"", b"LD_LIBRARY_PATH", b"LC_CTYPE"}
    assert status["Threads"].strip() == "1"
    assert int(status["VmRSS"].split()[0]) < 30_000
    assert os.getsid(launcher.pid) == launcher.pid
    launcher.close()


def keeper_of(launcher: Launcher) -> int:
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    assert until(lambda: children.read_text() != "", 5)
    return int(children.read_text().split()[0])


def started(launcher: Launcher, folder: Path, marker: str):
    connection = launcher.connect()
    connection.settimeout(20)
    text = f"setsid sh -c 'sleep 300; true' {marker} & sleep 300"
    command = f'["sh", "-c", "{text}", "{marker}"]'
    logs = f'"stdout": "{folder}/out", "stderr": "{folder}/err"'
    rest = '"env": [], "answer": false, "timeout_s": 99, "log_bytes": 9, "memory_bytes": null, "file_bytes": null'
    connection.sendall(f'{{"argv": {command}, "cwd": "/", {logs}, {rest}}}\n'.encode())
    assert until(lambda: len(alive(marker)) >= 2, 10)
    return connection


def test_a_dead_keeper_leaves_nothing(tmp_path: Path, marker: str) -> None:
    launcher = Launcher()
    with started(launcher, tmp_path, marker) as connection, started(launcher, tmp_path, f"other-{marker}") as other:
        os.kill(keeper_of(launcher), signal.SIGKILL)
        assert connection.recv(10) == b""
        assert until(lambda: len(alive(marker)) == len(alive(f"other-{marker}")), 5)
        assert len(alive(f"other-{marker}")) >= 2, "the other keeper's stage goes on"
        other.close()
        assert until(lambda: not alive(marker), 5)
    launcher.close()


def test_a_request_that_is_none_is_told(tmp_path: Path) -> None:
    launcher = Launcher()
    for request in (b"\n", b"{}\n", b"[1]\n", b'{"argv": ["\\ud800"]}\n'):
        with launcher.connect() as connection:
            connection.settimeout(20)
            connection.sendall(request)
            assert b"cannot read the job" in connection.recv(10_000)
    with launcher.connect() as connection:
        assert connection.send(b"half a line") == 11
    assert launcher.alive
    launcher.close()


def test_the_servers_function_refuses_what_is_no_descriptor() -> None:
    with pytest.raises(LaunchError, match="-1 is no descriptor"):
        _core.run_launcher(-1)
