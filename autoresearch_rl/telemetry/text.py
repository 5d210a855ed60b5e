"""Untrusted text made fit to be shown: policies, models and trials write parameters, rationales and messages."""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoresearch_rl.trial import Params


def printable(text: str) -> str:
    """The text as one line in which nothing moves a cursor or reorders characters: each such character becomes a space.

    It does not protect against look-alikes or piled-up accents.
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def first_line(text: str, most: int = 500) -> str:
    """The first line that is not blank, printable, at most `most` characters; empty if there is none."""
    lines = text[: 4 * most].strip().splitlines()
    return shortened(printable(lines[0]).strip(), most) if lines else ""


def shortened(text: str, most: int) -> str:
    """The text, cut to `most` characters with an ellipsis as the last one where it is longer."""
    return text if len(text) <= most else text[: max(0, most - 1)] + "…"


def number(value: float | None) -> str:
    """Six significant digits; a dash for what is unknown."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.6g}"


def duration(seconds: float) -> str:
    """Seconds as `1.4s`, `45s`, `3m20s`, `2h05m` or `1d04h`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    for size, unit, below, lower in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // below:02d}{lower}"
    raise AssertionError(whole)  # 60 is the least that gets here


def steps(step: float, target: float | None) -> str:
    """How far training has come, as `step 40 of 100`."""
    return f"step {number(step)}" + (f" of {number(target)}" if target is not None else "")


def settings(params: Params, defaults: Mapping[str, object] | None = None) -> str:
    """Parameters as `lr=0.003 width=64`, printable; those that differ from `defaults` come first."""
    known = defaults or {}
    names = sorted(params, key=lambda name: name in known and params[name] == known[name])
    return " ".join(f"{printable(name)}={_short(params[name])}" for name in names)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return shortened(printable(str(value)), 40)
