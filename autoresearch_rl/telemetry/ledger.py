"""The ledger `results.tsv`: one row a settled trial, for spreadsheets, `column -t` and pandas. See docs/reference/ledger.md."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_rl.events import Entry, Opened
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.telemetry.text import first_line, printable
from autoresearch_rl.trial import Outcome

FILE_NAME = "results.tsv"
Cell = str | int | float | None

COLUMNS: Mapping[str, Callable[[Row, Opened], Cell]] = {
    "trial": lambda row, _: row.trial.number,
    "attempt": lambda row, _: row.trial.attempt,
    "status": lambda row, _: row.outcome.status,
    "decision": lambda row, _: row.said,
    "metric": lambda _, opened: opened.metric,
    "score": lambda row, _: row.outcome.score,
    "params": lambda row, _: json.dumps(dict(row.trial.proposal.params), separators=(",", ":")),
    "parent": lambda row, _: row.trial.proposal.parent,
    "repeat_of": lambda row, _: row.trial.proposal.repeat_of,
    "seed": lambda row, _: row.trial.seed,
    "source": lambda row, _: row.trial.proposal.source,
    "source_hash": lambda row, _: row.trial.source_hash[:12],
    "elapsed_s": lambda row, _: round(row.outcome.elapsed_s, 3),
    "cpu_s": lambda row, _: _used(row.outcome, "cpu_s"),
    "gpu_s": lambda row, _: _used(row.outcome, "gpu_s"),
    "usd": lambda row, _: _used(row.outcome, "usd", 6),
    "peak_rss_mb": lambda row, _: _used(row.outcome, "peak_rss_bytes", 1, 1e6),
    "contention": lambda row, _: _contention(row.outcome),
    "verdict": lambda row, _: row.outcome.verdict.kind if row.outcome.verdict is not None else None,
    "tier": lambda row, _: row.outcome.verdict.tier if row.outcome.verdict is not None else None,
    "reason": lambda row, _: first_line(row.reason),
    "message": lambda row, _: first_line(row.outcome.message),
    "at": lambda row, _: row.at,
}
_HEADER = "\t".join(COLUMNS)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class Ledger:
    """Writes `results.tsv` into the run directory."""

    def open(self, run_dir: Path) -> LedgerSink:
        """Returns the sink; rows that stand in the file already are not written again."""
        return LedgerSink(run_dir / FILE_NAME)


class LedgerSink:
    """Appends a row as soon as the decision on a trial is known; each row is with the kernel before `record` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tally = Tally()

    def __enter__(self) -> Self:
        """Raises ValueError where the file has other columns, OSError where it cannot be written."""
        text = self._path.read_bytes() if self._path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]  # a power cut may have torn the last row
        lines = whole.decode(errors="replace").splitlines()
        if lines and lines[0] != _HEADER:
            raise ValueError(f"{self._path} has other columns than this version writes; move it away")
        self._written = {line.partition("\t")[0] for line in lines[1:]}
        self._file = FileIO(self._path, "a")
        self._file.truncate(len(whole))
        if not lines:
            self._file.write(f"{_HEADER}\n".encode())
        return self

    def record(self, entry: Entry) -> None:
        """Takes an entry; see `Sink`."""
        if self._tally.is_new(entry):
            self._write(self._tally.feed(entry))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._file:
            self._write(self._tally.close())

    def _write(self, row: Row | None) -> None:
        if row is None or self._tally.opened is None or str(row.trial.number) in self._written:
            return
        line = "\t".join(cell(take(row, self._tally.opened)) for take in COLUMNS.values()) + "\n"
        self._file.write(line.encode())


def cell(value: Cell) -> str:
    """One cell: empty for what is unknown, never NaN, nothing that ends a cell or that a spreadsheet would run as a formula."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    text = printable(str(value)).strip()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not _NUMBER.fullmatch(text) else text


def _contention(outcome: Outcome) -> float | None:
    conditions = outcome.conditions
    return None if conditions is None or conditions.contention is None else round(conditions.contention, 4)


def _used(outcome: Outcome, name: str, digits: int = 3, unit: float = 1.0) -> float | None:
    amount = outcome.usage.get(name)
    return round(amount / unit, digits) if amount is not None else None
