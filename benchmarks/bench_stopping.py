"""What forecasts are for: stopping hopeless trials early, against the rules of named peers, on replayed campaigns.

Campaigns of 100 random configurations over recorded curves. cost: steps made over steps of running all to their end; loss:
what the best finished is worse than the best there was, in units of median minus best of the task; kept: share of campaigns
that finished the best. Our rule is shown at several settings (`keep`, and with a rescue by the chance to beat the best), for
its frontier; its constants were set by hand on seeds 0 to 5 of the ten pools, so other seeds are shown, and with --others other
pools, which are the harder and fairer test.
`dominated by`: our cheapest setting that is neither dearer nor loses more.

Run: ARRL_SHARED=FOLDER python benchmarks/bench_stopping.py [--seeds 25] [--others] [--peers all], where FOLDER/curves holds the recorded curves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.recorded import recorded
from benchmarks.stopping_rule import RungStopper, Setting

OURS = {f"ours, keep {keep}": Setting(keep=keep) for keep in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)} | {
    f"ours, keep {keep}, rescue": Setting(keep=keep, rescue=0.4, hopeless=0.01) for keep in (0.5, 0.6, 0.7, 0.8)
}
FIRST_SEED = 100


def main() -> None:
    """Prints a table of all rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--others", action="store_true", help="the pools that are not among the ten")
    parser.add_argument("--peers", choices=("quick", "all"), default="quick", help="all: Optuna's pruners and pow3 too")
    chosen = parser.parse_args()
    bench, stoppers = recorded("bench_earlystop"), recorded("stoppers")
    ten = bench.POOLS["dev"]
    pools = [pool for pool in recorded("curves").load_pools("dev") if len(pool.curves) >= bench.MIN_POOL or pool.name in ten]
    pools = [pool for pool in pools if (pool.name in ten) != chosen.others]
    peers = {"ASHA, 2": partial(stoppers.ASHA, 2), "ASHA, 3": partial(stoppers.ASHA, 3), "ASHA, 4": partial(stoppers.ASHA, 4)}
    named = ("optuna_median", "optuna_sha", "optuna_hyperband", "pow3vp_p05") if chosen.peers == "all" else ()
    peers |= {name: stoppers.STOPPERS[name] for name in named}
    rules: dict[str, Callable[[], Any]] = {name: partial(RungStopper, setting) for name, setting in OURS.items()}
    found = {name: measured(bench, make, pools, chosen.seeds) for name, make in (rules | peers).items()}
    print(f"{len(pools)} pools, seeds {FIRST_SEED} to {FIRST_SEED + chosen.seeds - 1}")
    print(f"{'':26}{'cost':>7}{'loss':>7}{'kept':>7}{'us':>6}  dominated by")
    for name, (cost, loss, kept, took) in sorted(found.items(), key=lambda item: item[1][0]):
        over = [other for other in OURS if name in peers and found[other][0] <= cost and found[other][1] <= loss]
        cheapest = min(over, key=lambda other: found[other][0], default="")
        print(f"{name:26}{cost:7.3f}{loss:7.3f}{kept:7.3f}{took:6.0f}  {cheapest}")


def measured(bench: Any, make: Callable[[], Any], pools: list[Any], seeds: int) -> tuple[float, float, float, float]:
    """Mean cost, loss, kept and microseconds a decision, over seeds and then pools."""
    columns = ("cost", "rel_loss", "kept", "us")
    rows = []
    for pool in pools:
        runs = [bench.fixed_trials(make, pool, FIRST_SEED + seed, 100, 1) for seed in range(seeds)]
        rows.append(np.nanmean([[run[name] for name in columns] for run in runs], axis=0))
    cost, loss, kept, took = (float(number) for number in np.mean(rows, axis=0))
    return cost, loss, kept, took


if __name__ == "__main__":
    main()
