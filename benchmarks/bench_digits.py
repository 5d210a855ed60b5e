"""TPE against random search on the digits task: 24 trials, paired campaign seeds, best test accuracy, real training.

Prints the mean difference with its bootstrap interval. Takes about 15 minutes on two cores.
Run: python benchmarks/bench_digits.py [PAIRS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from autoresearch_rl.composition import compose
from autoresearch_rl.controller.plan import assemble
from autoresearch_rl.controller.prepare import cache_root
from autoresearch_rl.controller.run import run
from benchmarks.rows import Row, report


def main() -> None:
    """Prints one row a pair, then the summary."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"{'seed':>4} {'tpe':>8} {'random':>8}   best test accuracy of 24 trials", flush=True)
    rows = []
    for seed in range(1, pairs + 1):
        rows.append([best("tpe", seed), best("random", seed)])
        print(f"{seed:4} {rows[-1][0]:8.4f} {rows[-1][1]:8.4f}", flush=True)
    scores = np.array(rows)
    difference = scores[:, 0] - scores[:, 1]
    rng = np.random.default_rng(0)
    means = rng.choice(difference, (10_000, len(difference))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    report(
        Row(
            f"digits: best accuracy of 24 trials, mean of {pairs}",
            scores[:, 0].mean(),
            "random search",
            scores[:, 1].mean(),
            more=True,
        )
    )
    print(f"mean {scores.mean(axis=0)[0]:8.4f} {scores.mean(axis=0)[1]:8.4f}")
    print(
        f"tpe - random: {difference.mean():+.4f} (95 % bootstrap interval {low:+.4f} to {high:+.4f}), {(difference > 0).sum()} of {pairs} won"
    )


def best(policy: str, seed: int) -> float:
    """Best test accuracy of one campaign."""
    config, _, _ = compose([f"policy={policy}", "task=digits", f"controller.seed={seed}", "telemetry=off"])
    with tempfile.TemporaryDirectory() as folder:
        finished = run(assemble(config), Path(folder), cache_dir=cache_root(), tags={}, announce=lambda _: None)
        return max(s.outcome.metrics["accuracy"] for s in finished.history.settled if s.outcome.metrics)


if __name__ == "__main__":
    main()
