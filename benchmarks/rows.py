"""What a benchmark leaves for the table of all: rows of a figure of ours beside a peer's."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        what: What was measured, with its unit.
        ours: Our figure.
        peer: Name of the peer; empty where there is none.
        theirs: The peer's figure, measured in the same run.
        more: Whether more is better.
    """

    what: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    more: bool = False


def report(row: Row) -> None:
    """Appends a row to the file that $BENCH_ROWS names; does nothing where that is unset."""
    if path := os.environ.get("BENCH_ROWS"):
        with open(path, "a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
