"""Target `command`: stages as processes of this machine, started by the launcher.

Isolation tier 0 only: scrubbed environment, own session, limits, the whole process tree killed at the end. A stage runs as
the same user and can read and write what that user can, reach the network, and tamper with other trials.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from autoresearch_rl.errors import ConfigError, LaunchError, Problem
from autoresearch_rl.target import Job, JobResult, Report, Session, gpus
from autoresearch_rl.target.launcher import Launcher
from autoresearch_rl.target.reports import Reports
from autoresearch_rl.trial import Order, Progress

_POLL_S = 0.05  # between looks at reports
_SOON_S = 0.02  # after a report, whose order may be there by then
_TERM_S = 2.0
_END_S = 3.0
_LONGEST_S = 1e9
_SILENCE_S = 30.0
_USAGE = ("cpu_s", "peak_rss_bytes", "output_bytes")


class Command:
    """Runs stages on this machine."""

    def __init__(
        self, isolation: Literal["auto", "strict", "off"] = "auto", usd_per_h: Mapping[str, float] | None = None
    ) -> None:
        """Nothing is started yet.

        Args:
            isolation: `auto` and `off` are tier 0, which is all this version has.
            usd_per_h: What an hour of a resource costs, by its name; `trial` is a trial's place. None if it is not known.

        Raises:
            ConfigError: A value makes no sense, or cannot be met.
        """
        if isolation not in ("auto", "strict", "off"):
            message = f"target.isolation is {isolation!r}."
            raise ConfigError([Problem(code="isolation-unknown", message=message, remedy="Use auto, strict or off.")])
        if isolation == "strict":
            message = "target.isolation=strict cannot be met: this version confines nothing yet (tier 0)."
            remedy = "Use target.isolation=auto, and run only code that you trust."
            raise ConfigError([Problem(code="isolation-unavailable", message=message, remedy=remedy)])
        self._usd_per_h = _checked_prices(usd_per_h)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._launcher: Launcher | None = None
        self._connections: set[socket.socket] = set()
        self._closed = False

    def open(self, trial_key: str, resources: Mapping[str, float], devices: Mapping[str, tuple[int, ...]]) -> Session:
        """Returns a session; starts the launcher where none is alive. Raises LaunchError, also once the target is closed."""
        with self._lock:
            if self._closed:
                raise LaunchError(f"the target is closed; {trial_key} cannot be run")
            if self._launcher is not None and not self._launcher.alive:
                self._launcher.close()
                self._launcher = None
            self._launcher = self._launcher or Launcher()
            return _CommandSession(self, self._launcher, _device_environment(resources, devices))

    def price(self, resources: Mapping[str, float]) -> float | None:
        """USD an hour: the sum over what has a price, None if nothing has."""
        known = [amount * self._usd_per_h[name] for name, amount in resources.items() if name in self._usd_per_h]
        return sum(known) if known else None

    def close(self) -> None:
        """Kills what runs; sessions return at once. May be called from any thread, any number of times."""
        with self._lock:
            self._closed = True
            for connection in self._connections:
                _hang_up(connection)
            self._idle.wait_for(lambda: not self._connections, _END_S)
            launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextmanager
    def connection(self, launcher: Launcher) -> Iterator[socket.socket]:
        """A connection to a new keeper, hung up when the target closes. Raises LaunchError."""
        with self._lock:
            if self._closed:
                raise LaunchError("the target is closed")
            connection = launcher.connect()
            self._connections.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._idle.notify_all()
                connection.close()


class _CommandSession(Session):
    """Stages of one attempt; nothing outlives `run`, so leaving it has nothing to do."""

    def __init__(self, target: Command, launcher: Launcher, devices: Mapping[str, str]) -> None:
        self._target, self._launcher, self._devices = target, launcher, devices

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def run(self, job: Job, report: Report) -> JobResult:
        """Blocks until the stage and its whole process tree have ended. Raises only what `report` raises."""
        try:
            request = _request(job, self._devices)
        except UnicodeEncodeError as error:
            return JobResult(exit_code=None, unstartable=f"command, environment or path holds what is no text: {error}")
        try:
            with self._target.connection(self._launcher) as connection, Reports(job.progress) as reports:
                connection.sendall(request)
                stage = _Stage(job, report, connection, reports)
                result = stage.watch()
        except (LaunchError, ConnectionError) as error:
            return JobResult(exit_code=None, lost=str(error))
        if self._target.closed and not result.lost and not result.unstartable and result.signal is not None:
            lost = "it was killed when the target was closed"
            return _result(stage.answer, stage.order, lost)
        return result


class _Stage:
    """A stage under way: its keeper's answer is awaited, its reports are passed on, orders are carried out."""

    def __init__(
        self, job: Job, report: Report, connection: socket.socket, reports: Reports, silence_s: float = _SILENCE_S
    ) -> None:
        self._job, self._report, self._connection, self._reports = job, report, connection, reports
        self._silence_s = silence_s
        self.order: Order | None = None
        self.answer: Mapping[str, Any] = {}
        self._received = b""
        self._mercy_s: float | None = None  # when the grace of an order is over
        self._wait_s = _POLL_S
        self._latest_s = time.monotonic() + min(job.limits.timeout_s, _LONGEST_S) + silence_s
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def watch(self) -> JobResult:
        try:
            while not self._ended():
                self._pass_on()
                self._press()
        except BaseException:
            # The keeper answers once the tree is dead, which is what we promised to wait for.
            _hang_up(self._connection)
            self._connection.settimeout(_END_S)
            with contextlib.suppress(OSError):
                while self._connection.recv(65_536):
                    pass
            raise
        for progress in self._reports.rest():
            self._report(progress)
        return _result(self.answer, self.order, "")

    def _ended(self) -> bool:
        if not self._poll.poll(self._wait_s * 1000):
            return False
        received = self._connection.recv(1 << 20)
        if not received:
            raise LaunchError("the launcher died while the stage ran")
        self._received += received
        if not received.endswith(b"\n"):
            return False
        self.answer = json.loads(self._received)
        return True

    def _pass_on(self) -> None:
        """Passes reports on, and hears the order that stands."""
        order = None
        came: Sequence[Progress | None] = self._reports.read() or [None]
        self._wait_s = _POLL_S if came == [None] else _SOON_S
        for progress in came:
            order = self._report(progress)
        if order is None or (self.order is not None and order.kind == self.order.kind):
            return
        self.order = order
        over_s = time.monotonic() + order.grace_s
        self._mercy_s = min(over_s, self._mercy_s or over_s)
        if self._job.control is not None:
            # A trial that blocks the way does not hear the order, and is killed when its grace is over.
            with contextlib.suppress(OSError):
                _replace(self._job.control, json.dumps({"order": order.kind, "reason": order.reason}))

    def _press(self) -> None:
        if time.monotonic() > self._latest_s:
            raise LaunchError(f"the launcher does not answer, {self._silence_s:g} s after the stage should have been dead")
        if self._mercy_s is not None and time.monotonic() >= self._mercy_s:
            self._mercy_s = float("inf")
            self._latest_s = min(self._latest_s, time.monotonic() + _TERM_S + self._silence_s)
            self._connection.sendall(_line({"grace_s": _TERM_S}))


def _result(answer: Mapping[str, Any], order: Order | None, lost: str) -> JobResult:
    return JobResult(
        exit_code=answer["exit_code"],
        signal=answer["signal"],
        timed_out=answer["timed_out"],
        obeyed=order,
        elapsed_s=answer["elapsed_s"],
        usage={name: float(answer[name]) for name in _USAGE},
        stderr_tail=answer["stderr_tail"],
        answer=answer["answer"],
        contention=answer["contention"],
        lost=lost or answer["lost"],
        unstartable=answer["unstartable"],
    )


def _checked_prices(usd_per_h: Mapping[str, float] | None) -> dict[str, float]:
    """Raises ConfigError naming what is no price."""
    prices: Mapping[str, object] = (
        usd_per_h if isinstance(usd_per_h, Mapping) else {"": usd_per_h} if usd_per_h is not None else {}
    )
    checked = {}
    for name, price in prices.items():
        if not name or not isinstance(price, int | float) or isinstance(price, bool) or not 0 <= price < float("inf"):
            message = f"target.usd_per_h{'.' * bool(name)}{name} is {price!r}."
            remedy = "It must be USD an hour from 0, by resource: {gpu: 2.49, trial: 0.10}, or null."
            raise ConfigError([Problem(code="target-price", message=message, remedy=remedy)])
        checked[str(name)] = float(price)
    return checked


def _request(job: Job, devices: Mapping[str, str]) -> bytes:
    limits = job.limits
    return _line(
        {
            "argv": [_raw(part) for part in job.argv],
            "env": [(_raw(name), _raw(value)) for name, value in {**job.env, **devices}.items()],
            "cwd": _raw(str(job.cwd)),
            "stdout": _raw(str(job.logs / f"{job.stage}.stdout.log")),
            "stderr": _raw(str(job.logs / f"{job.stage}.stderr.log")),
            "answer": job.answer,
            "timeout_s": min(limits.timeout_s, _LONGEST_S),
            "log_bytes": limits.log_bytes,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
        }
    )


def _raw(text: str) -> str:
    """Text whose characters are the bytes of `text` as the system knows it, so that paths need not be UTF-8."""
    return os.fsencode(text).decode("latin-1")


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _hang_up(connection: socket.socket) -> None:
    """Tells the keeper to kill its stage; it still answers."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _device_environment(resources: Mapping[str, float], devices: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Shows the granted GPUs to the stage; hides all where GPUs are counted but none was granted."""
    if "gpu" not in resources and "gpu" not in devices:
        return {}
    return gpus.shown(devices.get("gpu", ()))


def _replace(path: Path, text: str) -> None:
    """Writes a file in one step; a link in its place is replaced, not followed."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
