"""MLflow is down at the start, goes in the middle or at the end: no trial is affected, and one warning says so."""

from __future__ import annotations

import logging
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.telemetry.mlflow import Mlflow
from tests.controller.plans import go, plan_of
from tests.faults.real import AtRecord
from tests.tasks import tiny_task


def closed_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def campaign(folder: Path, uri: str, sinks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Runs a campaign of four trials; returns the warnings about MLflow."""
    task = tiny_task(folder / "task")
    mlflow = Mlflow(uri, drain_s=2.0, cache=str(folder / "templates"))
    with caplog.at_level(logging.WARNING):
        finished = go(plan_of(task, max_trials=4, telemetry={**sinks, "mlflow": mlflow}), folder)
    assert len(finished.history) == 4
    assert finished.stop.reason.startswith("all 4 trials are done")
    return [record.getMessage() for record in caplog.records if "telemetry.mlflow" in record.getMessage()]


def test_down_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (said,) = campaign(tmp_path, f"http://127.0.0.1:{closed_port()}", {}, caplog)
    assert "switched off" in said
    assert "Connection refused" in said


def test_no_database_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").mkdir()
    (said,) = campaign(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", {}, caplog)
    assert "switched off" in said


def replaced(path: Path) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text("this is no database\n" * 1000)
    scratch.replace(path)


def taken_away(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize("harm", [replaced, taken_away])
@pytest.mark.parametrize("count", [8, 14])
def test_gone_in_the_middle(
    tmp_path: Path, mlflow_cache: Path, harm: Callable[[Path], None], count: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copytree(mlflow_cache, tmp_path / "templates")
    said = campaign(tmp_path, f"sqlite:///{path}", {"harm": AtRecord(count, lambda: harm(path))}, caplog)
    assert len(said) == 1
    assert "switched off" in said[0]


def test_locked_at_the_end(tmp_path: Path, mlflow_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody's long transaction: what is left to write is waited for, and no longer than it may be."""
    shutil.copytree(mlflow_cache, tmp_path / "templates")
    path = tmp_path / "mlflow.db"
    locks: list[sqlite3.Connection] = []

    def lock() -> None:
        if path.exists():
            connection = sqlite3.connect(path, check_same_thread=False, timeout=20)
            connection.execute("BEGIN EXCLUSIVE")
            locks.append(connection)

    try:
        said = campaign(tmp_path, f"sqlite:///{path}", {"harm": AtRecord(16, lock)}, caplog)
    finally:
        for connection in locks:
            connection.rollback()
            connection.close()
    (warning,) = said
    assert "switched off" in warning
    for thread in threading.enumerate():  # in real life the process ends, and the writer that was not waited for with it
        if thread.name == "mlflow":
            thread.join(30)
    with Mlflow(f"sqlite:///{path}", cache=str(tmp_path / "templates")).open(tmp_path / "run") as sink:  # as resume does
        for entry in read(tmp_path / "run"):
            sink.record(entry)
    with closing(sqlite3.connect(path)) as database:
        (runs,) = database.execute("SELECT count(*) FROM runs").fetchone()
        ended = database.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall()
    assert (runs, ended) == (5, [("FINISHED", 5)]), "what was missed is made up for, and nothing is doubled"
