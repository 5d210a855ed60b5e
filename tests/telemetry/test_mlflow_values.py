import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.telemetry import mlflow_database, mlflow_values
from autoresearch_rl.trial import Progress


@given(st.text(st.characters()))
def test_every_name_becomes_one_that_mlflow_takes(text: str) -> None:
    from mlflow.utils.validation import _validate_param_name, _validate_tag_name

    legal = mlflow_values.name(text)
    _validate_param_name(legal)
    _validate_tag_name(legal)
    assert 0 < len(legal) <= 250


@given(st.floats(), st.floats(), st.floats())
def test_every_report_becomes_points_that_mlflow_takes(step: float, elapsed_s: float, value: float) -> None:
    from mlflow.utils.validation import _validate_metric

    for point in mlflow_values.reported(Progress(step=step, metrics={"loss": value}, elapsed_s=elapsed_s), 1_900_000_000_000):
        _validate_metric(*point)
        assert all(abs(number) < 2**63 for number in point[2:])


def test_head_and_tail_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"head" + b"\xff" * 300_000 + b"tail")
    text = mlflow_values.head_and_tail(path)
    assert text is not None
    assert text.startswith("head")
    assert text.endswith("tail")
    assert "[... 172008 bytes left out ...]" in text
    path.write_bytes(b"x" * 100_000)
    assert mlflow_values.head_and_tail(path) == "x" * 100_000


def test_links_pipes_and_what_is_missing_are_no_logs(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    assert [mlflow_values.head_and_tail(tmp_path / name) for name in ("link", "pipe", "empty", "missing")] == [None] * 4


def test_addresses() -> None:
    assert mlflow_database.absolute("sqlite:///a/b.db", Path("/x")) == "sqlite:////x/a/b.db"
    assert mlflow_database.absolute("sqlite:////a.db", Path("/x")) == "sqlite:////a.db"
    for uri in ("http://host:1", "sqlite:///:memory:", "postgresql://u:p@host/db"):
        assert mlflow_database.absolute(uri, Path("/x")) == uri
    assert mlflow_database.shown("postgresql://u:p@host/db") == "postgresql://host/db"


def test_a_new_database_is_a_copy_and_an_old_one_is_left_alone(tmp_path: Path, mlflow_cache: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    mlflow_database.create(path, mlflow_cache)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM experiments").fetchone() == (0,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        database.execute("CREATE TABLE mine (x)")
    mlflow_database.create(path, mlflow_cache)
    with closing(sqlite3.connect(path)) as database:
        database.execute("SELECT x FROM mine")
    assert [item.name for item in path.parent.iterdir() if item.suffix not in (".db-wal", ".db-shm")] == ["mlflow.db"]


def test_a_cache_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/proc/nowhere"):
        mlflow_database.create(tmp_path / "mlflow.db", Path("/proc/nowhere"))
