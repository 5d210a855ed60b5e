"""All benchmarks, at sizes that end in a quarter of an hour: one table of ratios, and docs/benchmarks.md.

A benchmark is a module `bench_NAME` beside this one; it prints what it finds and reports rows. Run: python -m benchmarks.run_all [NAME ...]
(or `make bench`); with names nothing is written.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parent.parent
# Arguments that make one short; whole runs have none.
QUICK = {
    "digits": ["1"],
    "expected_gain": ["20"],
    "keep": ["60"],
    "null_edits": ["2"],
    "patch": ["--limit", "200"],
    "scale": ["1000"],
    "stopping": ["--seeds", "5"],
}
LIMIT_S = 240


def main() -> None:
    """Runs what is named, or all, and prints the table; writes the page after all."""
    named = sys.argv[1:]
    found = sorted(path.stem.removeprefix("bench_") for path in ROOT.glob("benchmarks/bench_*.py"))
    if unknown := [name for name in named if name not in found]:
        sys.exit(f"there is no benchmark {', '.join(unknown)}; there is: {', '.join(found)}")
    rows, printed = [], {}
    load = os.getloadavg()[0]
    for name in named or [*found, "rust"]:
        print(f"== {name}", flush=True)
        begun_s = time.monotonic()
        made, printed[name] = from_rust() if name == "rust" else from_python(name)
        rows += made
        print(f"{printed[name]}({time.monotonic() - begun_s:.0f} s)", flush=True)
    print("\n" + table(rows))
    if not named:
        (ROOT / "docs" / "benchmarks.md").write_text(page(rows, printed, load))


def from_python(name: str) -> tuple[list[Row], str]:
    """Rows and output of a benchmark. One that fails or takes more than four minutes says so in its output."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", *QUICK.get(name, [])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.touch()
        output = _run(command, {"BENCH_ROWS": str(path), "PYTHONWARNINGS": "ignore"})
        return [Row(**json.loads(line)) for line in path.read_text().splitlines()], output


def from_rust() -> tuple[list[Row], str]:
    """Rows and output of the crate's own benchmarks, which print a name, a tab and nanoseconds a line."""
    output = _run(["cargo", "bench", "--quiet", "--no-default-features", "--bench", "core"], {})
    lines = [line.split("\t") for line in output.splitlines() if line.count("\t") == 1]
    return [Row(f"{name}, from Rust, us", float(took) / 1e3) for name, took in lines], output


def _run(command: list[str], more: dict[str, str]) -> str:
    try:
        made = subprocess.run(
            command, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {LIMIT_S} s\n"
    failed = f"exit {made.returncode}: {made.stderr.strip().splitlines()[-1:]}\n" if made.returncode else ""
    return made.stdout + failed


def table(rows: Iterable[Row]) -> str:
    """All rows as Markdown."""
    lines = ["| what | ours | peer | peer's | ours / peer's | better is |", "|---|--:|---|--:|--:|---|"]
    for row in rows:
        if row.theirs is None:
            peer = " | | "
        else:
            peer = f"{row.peer} | {row.theirs:.4g} | {row.ours / row.theirs:.3g}" if row.theirs else f"{row.peer} | 0 | "
        lines.append(f"| {row.what} | {row.ours:.4g} | {peer} | {'more' if row.more else 'less'} |")
    return "\n".join(lines) + "\n"


def page(rows: Iterable[Row], printed: dict[str, str], load: float) -> str:
    """The page: when and on what, the table, and what each benchmark printed."""
    parts = [
        "# Benchmarks",
        "Written by `make bench`: figures of ours beside those of named peers, measured in the same run at short sizes. "
        "Each benchmark in `benchmarks/` says in its docstring what it measures, and how to run it in full.",
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores (load {load:.1f} at the start), "
        f"Python {platform.python_version()}.",
        table(rows).rstrip(),
        "## What each printed",
    ]
    for name, output in printed.items():
        parts.append(f"### {name}\n\n```text\n{output.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


if __name__ == "__main__":
    main()
