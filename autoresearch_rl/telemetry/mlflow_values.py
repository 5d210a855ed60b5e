"""Values in the form that MLflow takes: names, times, points of curves, heads and tails of files."""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from autoresearch_rl.telemetry.tally import Tally
from autoresearch_rl.telemetry.text import printable, shortened
from autoresearch_rl.trial import Curve, Progress

_MOST_NAME, _MOST_PARAM, _MOST_TAG = 250, 6000, 8000
_FORBIDDEN = re.compile(r"[^\w.\-: /]")
_HALF_BYTES = 64_000
Point = tuple[str, float, int, int]
"""Name, value, UTC milliseconds, step."""


def name(text: str) -> str:
    """A name of a metric, parameter or tag: what MLflow forbids becomes `_`, also what it would take for a path upwards."""
    parts = [part if part.strip(".") else "_" * len(part) for part in _FORBIDDEN.sub("_", text).split("/") if part]
    return "/".join(parts)[:_MOST_NAME].rstrip("/") or "_"


def params(values: Mapping[str, object]) -> dict[str, str]:
    """Parameters by legal names, cut to MLflow's length."""
    return {name(key): shortened(encodable(str(value)), _MOST_PARAM) for key, value in values.items()}


def tags(values: Mapping[str, object]) -> dict[str, str]:
    """Tags by legal names, without those that are None or empty."""
    said = {name(key): shortened(encodable(str(value)), _MOST_TAG) for key, value in values.items() if value is not None}
    return {key: value for key, value in said.items() if value}


def encodable(text: str) -> str:
    """The text without what UTF-8 or a database cannot hold; line breaks and tabs stay."""
    return "\n".join("\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n"))


def millis(at: str) -> int:
    """UTC milliseconds of an entry's time."""
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def points(curve: Curve, begun_ms: int) -> Iterator[Point]:
    """The finite points of a curve, as `progress/NAME`."""
    for metric, values in curve.metrics.items():
        for step, elapsed_s, value in zip(curve.steps, curve.elapsed_s, values, strict=True):
            if math.isfinite(value):
                yield _point(metric, value, step, elapsed_s, begun_ms)


def reported(progress: Progress, begun_ms: int) -> Iterator[Point]:
    """The finite metrics of one report; the very points that a curve with this report gives."""
    for metric, value in progress.metrics.items():
        if math.isfinite(value):
            yield _point(metric, value, progress.step, progress.elapsed_s, begun_ms)


def spent(tally: Tally, elapsed_s: float, at_ms: int) -> list[Point]:
    """What a campaign has spent so far, as `spent/NAME` by number of settled trials."""
    return [(f"spent/{name}", amount, at_ms, tally.done) for name, amount in tally.meter.so_far(elapsed_s).items()]


def _point(metric: str, value: float, step: float, elapsed_s: float, begun_ms: int) -> Point:
    """Steps and times are the trial's own word, and MLflow holds 64-bit integers: fractions of a step are cut off."""
    return name(f"progress/{metric}"), float(value), begun_ms + max(0, _whole(elapsed_s, 1000)), _whole(step, 1)


def _whole(value: float, scale: int) -> int:
    return math.floor(min(2.0**50, max(-(2.0**50), value * scale))) if math.isfinite(value) else 0


def head_and_tail(path: Path) -> str | None:
    """The first and last 64 kB of a file as text; None for an empty one and for what is no regular file.

    Logs lie where untrusted stages could write: a link is not followed, a pipe is not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
            return None
        content = stream.read(_HALF_BYTES)
        left_out = facts.st_size - 2 * _HALF_BYTES
        if left_out > 0:
            stream.seek(-_HALF_BYTES, os.SEEK_END)
            content += f"\n[... {left_out} bytes left out ...]\n".encode()
        return (content + stream.read(_HALF_BYTES)).decode(errors="replace")
