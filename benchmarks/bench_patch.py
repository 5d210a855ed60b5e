"""Patches against their gates: a corpus of real changes written as language models write them, large inputs, and peers.

The corpus, the peers (git apply, GNU patch, whatthepatch where it is installed) and a reference in Python lie in the folder that
`ARRL_SHARED` names; the corpus is built from the package index and kept in the user's cache folder.
Run: python benchmarks/bench_patch.py [--seed 11] [--limit 2000]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from platformdirs import user_cache_path

from autoresearch_rl._core import apply_patch
from autoresearch_rl.errors import PatchError
from benchmarks.rows import Row, report

Apply = Callable[[str, str, str], str]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Score:
    """What one applier made of the corpus: shares in per cent, ms for a patch (of processor time, but for programs of their own)."""

    name: str
    exact: float
    wrong: float
    unsafe: float
    clean: float
    crashes: int
    median: float
    p99: float


GATES = Score("gate", exact=98.0, wrong=0.15, unsafe=0.5, clean=100.0, crashes=0, median=0.1, p99=2.0)


def main() -> None:
    """Prints one row for each applier, then ratios to the peers, then the large inputs."""
    arguments = _arguments()
    shared = os.environ.get("ARRL_SHARED")
    if not shared:
        print("skipped: ARRL_SHARED is not set; it names the folder with patches/build_corpus.py")
        return
    folder = Path(shared) / "patches"
    sys.path.insert(0, str(folder))  # its modules import each other by bare names
    sys.dont_write_bytecode = True
    cases = list(_module(folder, "corpus").cases(str(_corpus(folder, arguments.seed))))
    few = Random(5).sample(cases, min(arguments.limit, len(cases)))
    ours = score("ours", ours_apply, cases)
    print(f"seed {arguments.seed}, {len(cases)} cases; peers on {len(few)} of them")
    print(f"{'':20} {'exact %':>8} {'wrong %':>8} {'unsafe %':>8} {'clean %':>8} {'crashes':>8} {'median ms':>10} {'p99 ms':>8}")
    for row in (GATES, ours, *(score(name, apply, few, clock) for name, apply, clock in peers(folder))):
        if row not in (GATES, ours):
            report(
                Row(
                    "patches: applied exactly, % of real changes as models write them", ours.exact, row.name, row.exact, more=True
                )
            )
            report(Row("patches: applied wrongly, %", ours.wrong, row.name, row.wrong))
            report(Row("patches: median of a patch, ms", ours.median, row.name, row.median))
        print(
            f"{row.name:20} {row.exact:8.1f} {row.wrong:8.2f} {row.unsafe:8.2f} {row.clean:8.1f} {row.crashes:8}"
            f" {row.median:10.3f} {row.p99:8.2f}   {row.median / ours.median:7.1f} times our median"
        )
    for name, before, patch, limit in large():
        took = elapsed(before, patch)
        report(Row(f"patches: {name}, ms", took, "gate", limit))
        print(f"{name:52} {took:8.1f} ms, gate {limit} ms")


def ours_apply(before: str, patch: str, name: str) -> str:
    """The text after a patch. Raises PatchError."""
    return apply_patch({name: before}, patch)[name]


def peers(folder: Path) -> Iterable[tuple[str, Apply, Clock]]:
    """The appliers to compare with, those that are installed, each with the clock for it."""
    others, reference = _module(folder, "peers"), _module(folder, "reference")
    yield "prototype in Python", reference.apply, time.process_time
    if importlib.util.find_spec("whatthepatch"):
        yield "whatthepatch", others.whatthepatch_, time.process_time
    if shutil.which("git"):
        yield "git apply", others.git_plain, time.perf_counter
    if shutil.which("patch"):
        yield "GNU patch", others.gnu_patch, time.perf_counter


def score(name: str, apply: Apply, cases: list[dict[str, Any]], clock: Clock = time.process_time) -> Score:
    """Applies every case once. A difference in blank lines only is neither exact nor wrong."""
    counts: Counter[str] = Counter()
    times = []
    for case in cases:
        start = clock()
        after: str | None = None
        try:
            after = apply(case["before"], case["diff"], case["name"])
        except Exception as failure:
            counts["crash"] += not (isinstance(failure, PatchError) or type(failure).__name__ == "ApplyError")
        times.append(1e3 * (clock() - start))
        expected = case["expect"]
        counts[expected] += 1
        counts[f"{expected} {verdict(case, after)}"] += 1
        if case["kind"] == "clean":
            counts["clean"] += 1
            counts["clean exact"] += after == case["after"]
    wrong = counts["after wrong"] + counts["either wrong"]
    times.sort()
    return Score(
        name,
        exact=100 * counts["after exact"] / max(1, counts["after"]),
        wrong=100 * wrong / max(1, counts["after"] + counts["either"]),
        unsafe=100 * counts["refuse wrong"] / max(1, counts["refuse"]),
        clean=100 * counts["clean exact"] / max(1, counts["clean"]),
        crashes=counts["crash"],
        median=statistics.median(times),
        p99=times[int(0.99 * len(times))],
    )


def verdict(case: dict[str, Any], after: str | None) -> str:
    """`refused`, `exact`, `blank` (only blank lines and blanks at ends differ) or `wrong`."""
    if after is None:
        return "refused"
    if case["expect"] == "refuse":
        return "wrong"
    if after == case["after"]:
        return "exact"
    return "blank" if _held(after) == _held(case["after"]) else "wrong"


def large() -> Iterable[tuple[str, str, str, int]]:
    """Name, text, patch and the most ms of the inputs that are slow if anything is."""
    equal = "    x = 1\n" * 2000
    kept = "     x = 1\n" * 80
    yield "2,000 equal lines, 160 of them in the hunk", equal, f"@@\n{kept}-    x = 1\n+    y = 1\n{kept}", 50
    yield "the same with a line that is not there", equal, f"@@\n{kept}-    x = 1\n+    y = 1\n{kept} other\n", 50
    random = Random(1)
    lines = [f"{'    ' * random.randrange(4)}{random.choice(('alpha', 'beta', 'gamma', ''))}" for _ in range(5000)]
    old = "".join(f" {line}\n" for line in lines[1000:1400] if random.random() > 0.1)
    yield "5,000 lines of four kinds, 400 rows, some left out", "\n".join(lines), f"@@\n{old}-alpha\n+x\n", 50
    lines = [f"value_{line} = compute({line}, {'x' * (line % 20)!r})" for line in range(25000)]
    for name, row in (("numbers right", "@@ -{0},3 +{0},3 @@"), ("no numbers", "@@"), ("a line left out of each", "@@ ")):
        hunks = []
        for at in range(20, 24980, 25):
            above = f" {lines[at - 2]}\n" + (f" {lines[at - 1]}\n" if row != "@@ " else "")
            hunks.append(f"{row.format(at - 1)}\n{above}-{lines[at]}\n+changed\n")
        yield f"1 MB, {len(hunks)} hunks, {name}", "\n".join(lines), "".join(hunks), 500


def elapsed(before: str, patch: str) -> float:
    """Least ms of processor time of three runs, applied or refused."""
    times = []
    for _ in range(3):
        start = time.process_time()
        with suppress(PatchError):
            ours_apply(before, patch, "train.py")
        times.append(1e3 * (time.process_time() - start))
    return min(times)


def _held(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _corpus(folder: Path, seed: int) -> Path:
    path = user_cache_path("autoresearch-rl", ensure_exists=True) / f"patches-{seed}.jsonl.gz"
    if not path.exists():
        part = path.with_suffix(".part")
        subprocess.run([sys.executable, str(folder / "build_corpus.py"), str(part), "--seed", str(seed)], check=True)
        part.replace(path)
    return path


def _module(folder: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    if spec is None or spec.loader is None:
        sys.exit(f"skipped: {folder / name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=11, help="of the corpus")
    parser.add_argument("--limit", type=int, default=1000, help="cases for the peers, which are slow")
    return parser.parse_args()


if __name__ == "__main__":
    main()
