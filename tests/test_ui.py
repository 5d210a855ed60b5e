"""`arrl ui` as people start and end it; what its pages show is tested in telemetry/test_mlflow_ui.py."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.test_cli import ARRL, arrl


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def coming_up(folder: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """`arrl ui` on an empty database, with its server, which has only just been started."""
    (folder / "mlflow.db").touch()
    argv = [ARRL, "ui", "--port", str(free_port())]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as verb:
        try:
            deadline_s, children = time.monotonic() + 20, list[psutil.Process]()
            while not children and verb.poll() is None and time.monotonic() < deadline_s:
                time.sleep(0.02)
                children = psutil.Process(verb.pid).children()
            assert children, verb.stderr and verb.stderr.read()
            yield verb, children[0]
        finally:
            verb.terminate()


def test_a_port_in_use_and_a_missing_database_are_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        said = arrl("ui", "--port", str(port), cwd=tmp_path, code=2).stderr
    assert "[no-database] mlflow.db does not exist here. Run a campaign first" in said
    assert f"[port-unusable] Port {port} of 127.0.0.1: Address already in use. Choose another with --port PORT" in said


def test_a_port_that_there_is_not_and_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("text" * 1000)
    said = arrl("ui", "--port", "70000", cwd=tmp_path, code=2).stderr
    assert "[port-unusable] There is no port 70000. Choose one from 1 to 65535" in said
    assert "[database-unusable] mlflow.db: file is not a database. Name MLflow's database with --uri." in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_comes_up_ends_it_quietly(tmp_path: Path, number: int) -> None:
    with coming_up(tmp_path) as (verb, server):
        verb.send_signal(number)
        out, err = verb.communicate(timeout=30)
    assert verb.returncode == 0
    assert out.startswith("MLflow comes up")
    assert err == ""
    assert not server.is_running()


def test_a_server_that_ends_by_itself_is_an_error(tmp_path: Path) -> None:
    with coming_up(tmp_path) as (verb, server):
        server.kill()
        _, err = verb.communicate(timeout=30)
    assert verb.returncode == 1
    assert err == "arrl: MLflow's server ended by itself with exit code -9; above is what it said.\n"
