"""Reads the reports that a trial appends to its progress file. Nothing in that file is trusted."""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch_rl.trial import Progress

_LONGEST_LINE = 65_536
_ROUND_BYTES = 262_144
_LAST_BYTES = 4_000_000
_LONGEST_NAME = 200


class Reports:
    """Follows one progress file from its start. Never blocks, and takes a bounded number of bytes at a time.

    Anything but a regular file in its place is not read; the file that is found first is followed for good.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._offset = 0
        self._begun = b""  # of a line whose end has not come
        self._skipping = False  # until the end of a line that is too long

    def __enter__(self) -> Reports:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self) -> list[Progress]:
        """Reports that came since the last call."""
        return self._parsed(self._bytes(_ROUND_BYTES))

    def rest(self) -> list[Progress]:
        """What is left once the trial has ended; where that is very much, the end of it."""
        if self._open():
            size = os.fstat(self._descriptor or 0).st_size
            if size - self._offset > _LAST_BYTES:
                self._offset, self._begun, self._skipping = size - _LAST_BYTES, b"", True
        found = []
        for _ in range(_LAST_BYTES // _ROUND_BYTES + 1):
            found += self._parsed(self._bytes(_ROUND_BYTES))
        # The last line of a trial that was killed may be whole but for its end.
        return found + self._parsed(b"\n")

    def _open(self) -> bool:
        if self._descriptor is None and self._path is not None:
            # O_NONBLOCK: a FIFO put there would otherwise hang us.
            with contextlib.suppress(OSError):
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    self._descriptor = descriptor
                else:
                    os.close(descriptor)
        return self._descriptor is not None

    def _bytes(self, most: int) -> bytes:
        if not self._open() or self._descriptor is None:
            return b""
        try:
            found = os.pread(self._descriptor, most, self._offset)
        except OSError:
            return b""
        self._offset += len(found)
        return found

    def _parsed(self, fresh: bytes) -> list[Progress]:
        *lines, begun = (self._begun + fresh).split(b"\n")
        if lines and self._skipping:
            lines, self._skipping = lines[1:], False
        if len(begun) > _LONGEST_LINE:
            begun, self._skipping = b"", True
        self._begun = begun
        found = (parse(line) for line in lines if 0 < len(line) <= _LONGEST_LINE)
        return [progress for progress in found if progress is not None]


def parse(line: bytes) -> Progress | None:
    """The report in one line, None where there is none: other JSON, a step that is no finite number, not UTF-8."""
    try:
        raw = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    step, target, elapsed_s = (_number(raw.get(name)) for name in ("step", "step_target", "elapsed_s"))
    if step is None or not math.isfinite(step):
        return None
    return Progress(
        step=step,
        step_target=target if target is not None and math.isfinite(target) else None,
        metrics=_metrics(raw.get("metrics")),
        elapsed_s=elapsed_s if elapsed_s is not None and math.isfinite(elapsed_s) else 0.0,
    )


def _metrics(raw: object) -> Mapping[str, float]:
    """Numbers by name. Names that cannot be printed would not survive the journal (lone surrogates)."""
    if not isinstance(raw, dict):
        return {}
    named = ((name, _number(value)) for name, value in raw.items() if 0 < len(name) <= _LONGEST_NAME and name.isprintable())
    return {name: value for name, value in named if value is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
