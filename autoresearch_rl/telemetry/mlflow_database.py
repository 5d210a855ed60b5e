"""A new MLflow database on SQLite in milliseconds rather than after all of MLflow's migrations."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

_MEMORY = Path("/dev/shm")


def absolute(uri: str, folder: Path) -> str:
    """The address with a relative SQLite path taken from `folder`; others as they are."""
    path = sqlite_path(uri)
    return uri if path is None else f"sqlite:///{folder.absolute() / path}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a plain SQLite address, None for any other address."""
    path = uri.removeprefix("sqlite:///")
    if path == uri or not path or path.startswith((":", "file:")) or "?" in path:
        return None
    return Path(path)


def shown(uri: str) -> str:
    """The address without user and password."""
    parts = urlsplit(uri)
    return uri if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def create(path: Path, cache: Path) -> None:
    """Makes the database where there is none, as a copy of a template that `cache` holds for this version of MLflow.

    The template is MLflow's own work: an empty database after its migrations, in write-ahead mode. Raises OSError where a
    file cannot be written, sqlite3.DatabaseError where it is no database.
    """
    if path.exists() and path.stat().st_size:
        check(path)
        return
    template = _template(cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.copyfile(template, scratch)
    try:
        # Unlike a rename, a link never replaces a database that another process has made meanwhile.
        with suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        scratch.unlink()


def check(path: Path) -> None:
    """Raises OSError or sqlite3.DatabaseError where a file is no database to write to; MLflow would try it for minutes."""
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "no permission to write", str(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA schema_version")


def _template(cache: Path) -> Path:
    import mlflow
    from mlflow.tracking import MlflowClient

    template = cache / f"empty-{mlflow.__version__}.db"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(template.with_suffix(".lock")):
        if template.exists():
            return template
        # The migrations commit hundreds of times: on a disk most of their time is spent waiting for it.
        with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else cache) as folder:
            fresh = Path(folder, "fresh.db")
            MlflowClient(f"sqlite:///{fresh}").search_experiments()
            with closing(sqlite3.connect(fresh)) as database:
                # Its artifact folder is named after this working directory; MLflow makes it anew on first use of a copy.
                database.execute("DELETE FROM experiments")
                database.commit()
                database.execute("VACUUM")
                database.execute("PRAGMA journal_mode=WAL")
            scratch = template.with_suffix(".tmp")
            shutil.copyfile(fresh, scratch)
            scratch.replace(template)
    return template
