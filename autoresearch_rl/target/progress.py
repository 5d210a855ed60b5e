"""The trial's side of a campaign: `emit_progress` reports how training goes and obeys orders. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

CANCELLED_EXIT = 42
PAUSED_EXIT = 43
_LONGEST_ORDER = 65_536
_IMPORTED_S = time.monotonic()


def emit_progress(
    *,
    step: float,
    step_target: float | None = None,
    metrics: Mapping[str, Any],
    save: Callable[[], object] | None = None,
    exit_on_cancel: bool = True,
) -> bool:
    """Reports that `step` of `step_target` steps are done; returns whether training should go on.

    `metrics` maps names to numbers, or to what `float()` takes (numpy scalars, tensors of one element); the rest is left out.
    Outside a campaign this does nothing and returns True. On a cancel or stop order it exits with code 42 (SystemExit), or
    returns False with `exit_on_cancel=False`. On an order to pause, or to stop, it first calls `save`, which writes a checkpoint
    to `$AR_CHECKPOINT_DIR`, and exits with code 43; without `save`, or where that fails, pausing is cancelling.
    Nothing else is ever raised, whatever is given, and a call takes microseconds.
    """
    # Training is worth more than a report of it: a full disk or a strange metric must not end it.
    with contextlib.suppress(Exception):
        _channel.report(step, step_target, metrics)
    order = None
    with contextlib.suppress(Exception):
        order = _channel.order()
    if order is None:
        return True
    if order in ("pause", "stop") and save is not None and _saved(save):
        raise SystemExit(PAUSED_EXIT)
    if exit_on_cancel:
        raise SystemExit(CANCELLED_EXIT)
    return False


class _Channel:
    """Open descriptor of the progress file, and the last order read. Survives a fork: each report is one appending write."""

    def __init__(self) -> None:
        self._path = ""
        self._descriptor = -1
        self._begun_s: float | None = None
        self._seen: tuple[int, int, int] | None = None
        self._order: str | None = None

    def report(self, step: Any, step_target: Any, metrics: Any) -> None:
        path = os.environ.get("AR_PROGRESS_FILE", "")
        if not path:
            return
        if path != self._path:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._path = path
        if self._begun_s is None:
            self._begun_s = _process_start_s()
        numbers = {str(name): number for name, value in metrics.items() if (number := _number(value)) is not None}
        line = {"step": _number(step), "step_target": _number(step_target), "metrics": numbers}
        elapsed_s = round(time.monotonic() - self._begun_s, 3)
        os.write(self._descriptor, (json.dumps({**line, "elapsed_s": elapsed_s}) + "\n").encode())

    def order(self) -> str | None:
        path = os.environ.get("AR_CONTROL_FILE", "")
        if not path:
            return None
        try:
            found = os.stat(path)  # noqa: PTH116 - a Path costs more than the call
        except OSError:
            return None
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._order = _read_order(path)
            self._seen = seen
        return self._order


_channel = _Channel()  # the one piece of state: a process is in at most one trial


def _read_order(path: str) -> str | None:
    with open(path, encoding="utf-8") as stream:
        said = json.loads(stream.read(_LONGEST_ORDER))
    kind = said.get("order")
    return kind if kind in ("cancel", "pause", "stop") else None


def _saved(save: Callable[[], object]) -> bool:
    try:
        save()
    except Exception:
        traceback.print_exc()
        return False
    return True


def _number(value: Any) -> float | None:
    if isinstance(value, float) or value is None:
        return value
    if isinstance(value, str | bytes | bytearray):
        return None
    try:
        return float(value)
    except Exception:
        return None


def _process_start_s() -> float:
    """When this process started, by the monotonic clock; where the system does not tell, when this module was imported."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _IMPORTED_S
    return time.monotonic() - age_s
