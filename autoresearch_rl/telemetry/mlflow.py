"""MLflow: the campaign as a run, its trials as nested runs. See `mlflow_runs` for what is written where."""

from __future__ import annotations

import logging
import queue
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from autoresearch_rl.events import Entry
from autoresearch_rl.telemetry import mlflow_database
from autoresearch_rl.telemetry.mlflow_runs import Models, RunWriter

_LOG = logging.getLogger(__name__)
_PAUSE_S = 1.0
_CONNECT_S = 5.0


class Mlflow:
    """Writes to an MLflow tracking server or database."""

    def __init__(
        self,
        uri: str = "sqlite:///mlflow.db",
        experiment: str | None = None,
        logs: bool = True,
        models: Models = "kept",
        drain_s: float = 30.0,
        cache: str | None = None,
    ) -> None:
        """Nothing is connected to before the sink is entered.

        Args:
            uri: Tracking address; a relative SQLite path is taken from the working directory.
            experiment: Name of the experiment, by default the task's.
            logs: Whether heads and tails of the trials' logs are uploaded.
            models: Whose models are uploaded: of trials that are `kept`, `all` or `none`.
            drain_s: Seconds that the end of a campaign waits for what is still to be written.
            cache: Folder for the template of new databases, by default the user's cache.

        Raises:
            ValueError: `models` is none of the three, or `drain_s` is negative.
        """
        if models not in ("kept", "all", "none"):
            raise ValueError(f"telemetry.mlflow.models is {models!r}; it must be kept, all or none")
        if drain_s < 0:
            raise ValueError(f"telemetry.mlflow.drain_s is {drain_s!r}; it must be seconds from 0")
        self._uri, self._experiment, self._logs, self._models, self._drain_s = uri, experiment, logs, models, drain_s
        self._cache = Path(cache) if cache is not None else user_cache_path("arrl") / "mlflow"

    def open(self, run_dir: Path) -> MlflowSink:
        """Returns the sink."""
        uri = mlflow_database.absolute(self._uri, Path.cwd())
        writer = RunWriter(run_dir, uri, experiment=self._experiment, logs=self._logs, models=self._models)
        return MlflowSink(writer, uri, self._cache, self._drain_s)


class MlflowSink:
    """Queues entries for one writer thread, which connects, makes a new database if need be, and writes once a second.

    What stops the thread is raised by the next `record`, or when the context is left.
    """

    def __init__(self, writer: RunWriter, uri: str, cache: Path, drain_s: float) -> None:
        self._writer, self._uri, self._cache, self._drain_s = writer, uri, cache, drain_s
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        # A daemon: a server that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def record(self, entry: Entry) -> None:
        """Takes an entry; see `Sink`."""
        self._raise()
        self._queue.put(entry)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Waits for what is still to be written. Raises TimeoutError if that takes longer than `drain_s`."""
        self._queue.put(None)
        self._closing.set()
        self._thread.join(min(1.0, self._drain_s))
        if self._thread.is_alive():
            _LOG.info("MLflow: writing what is left, %d records, for up to %g s ...", self._queue.qsize(), self._drain_s)
            self._thread.join(max(0.0, self._drain_s - 1.0))
        if self._thread.is_alive():
            address = mlflow_database.shown(self._uri)
            raise TimeoutError(
                f"about {self._queue.qsize()} records were not yet written to {address} after {self._drain_s:g} s; its runs stay "
                "incomplete unless the program lives long enough (telemetry.mlflow.drain_s waits longer)"
            )
        self._raise()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            address = mlflow_database.shown(self._uri)
            said = str(failure).strip().partition("\n")[0] or type(failure).__name__
            raise RuntimeError(f"writing to {address} failed: {said}") from failure

    def _work(self) -> None:
        try:
            self._connect()
            closing = False
            while not closing:
                entry = self._queue.get()
                while entry is not None:
                    self._writer.take(entry)
                    if self._queue.empty():
                        break
                    entry = self._queue.get()
                closing = entry is None
                self._writer.flush()
                self._closing.wait(_PAUSE_S)
            self._writer.close()
        except Exception as error:
            self._failure = error

    def _connect(self) -> None:
        parts = urlsplit(self._uri)
        if parts.scheme in ("http", "https"):
            # MLflow itself tries again for minutes, which is right for a server that restarts, not for a wrong address.
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_S).close()
        import mlflow  # noqa: F401  # takes seconds, hence here

        for name, level in (("mlflow", logging.CRITICAL), ("alembic", logging.WARNING)):
            logging.getLogger(name).setLevel(level)
        path = mlflow_database.sqlite_path(self._uri)
        if path is not None:
            mlflow_database.create(path, self._cache)
        self._writer.connect()
