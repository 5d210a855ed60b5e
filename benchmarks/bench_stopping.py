"""What cancel rules cost and keep, against the rules of named peers, on replayed campaigns.

Campaigns of 100 random configurations over recorded curves. cost: steps made over steps of running all to their end, whatever was
paused and taken up again counted once; loss: what the best finished is worse than the best there was, in units of median minus best
of the task; kept: share of campaigns that finished the best; us: CPU microseconds a report. The rules are those of
`controller/cancel`, at several settings, for their frontier. Their constants were set on seeds 0 to 24 of the ten pools and of the
others, so other seeds are shown and, with --others, other pools, which are the harder and fairer test. In our rules' campaigns the
first configuration is the baseline, which always runs to its end. `control`: with the control group of 5 %.
`dominated by`: our cheapest rule that is neither dearer nor loses more; with checkpoints for those that have them.

--loop drives the same campaigns through the reducer on the virtual clock, with 1 and 4 trials at a time, beside the replay without it.
--reliability says how often a chance to beat the best came true.

Run: ARRL_SHARED=FOLDER python benchmarks/bench_stopping.py [--seeds 25] [--others] [--peers all] [--loop | --reliability], where
FOLDER/curves holds the recorded curves.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from autoresearch_rl._core import forecast
from autoresearch_rl.controller.cancel import CancelRule
from autoresearch_rl.controller.cancel.curves import REFERENCES
from autoresearch_rl.controller.cancel.forecast import ForecastRule
from autoresearch_rl.controller.cancel.halving import HalvingRule
from autoresearch_rl.controller.cancel.textbook import AshaRule, MedianRule
from benchmarks.racing import looped, raced
from benchmarks.recorded import recorded
from benchmarks.rows import Row, report

PAUSING: dict[str, CancelRule] = {
    "halving, pausing, early 0, chance 0.5": HalvingRule(early=0, go_on=2, chance=0.5),
    "halving, pausing, early 0, chance 0.2": HalvingRule(early=0, go_on=2, chance=0.2),
    "halving, pausing, early 0, chance 0.08": HalvingRule(early=0, go_on=2, chance=0.08),
    "halving, pausing, chance 0.2": HalvingRule(chance=0.2),
    "halving, pausing": HalvingRule(),
    "halving, pausing, early 0": HalvingRule(early=0, go_on=2),
}
STOPPING: dict[str, CancelRule] = {
    "halving, survive 0.5, no rescue": HalvingRule(survive=0.5, rescue=1, hopeless=0.02),
    "halving, survive 0.6, no rescue": HalvingRule(survive=0.6, rescue=1, hopeless=0.02),
    "halving, hopeless 0.02": HalvingRule(hopeless=0.02),
    "halving": HalvingRule(),
    "halving, survive 0.9": HalvingRule(survive=0.9),
    "forecast, below 0.05": ForecastRule(below=0.05, min_share=0.05),
    "forecast": ForecastRule(),
    "asha": AshaRule(),
    "median": MedianRule(),
}
SHIPPED = ("halving", "forecast", "asha", "median")
SHARES = {"halving a batch, 0.5": (0.5, 0.25, 0.125, 0.06, 0.03), "halving a batch, 0.6": (0.6, 0.35, 0.2, 0.1, 0.05)}
FIRST_SEED = 100
COLUMNS = ("cost", "rel_loss", "kept", "us")
CUTS = (0.03, 0.06, 0.12, 0.24, 0.48)
EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--others", action="store_true", help="the pools that are not among the ten")
    parser.add_argument("--peers", choices=("quick", "all"), default="quick", help="all: Optuna's pruners and pow3 too")
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--reliability", action="store_true")
    chosen = parser.parse_args()
    bench = recorded("bench_earlystop")
    ten = bench.POOLS["dev"]
    pools = [pool for pool in recorded("curves").load_pools("dev") if len(pool.curves) >= bench.MIN_POOL or pool.name in ten]
    pools = [pool for pool in pools if (pool.name in ten) != chosen.others]
    print(f"{len(pools)} pools, seeds {FIRST_SEED} to {FIRST_SEED + chosen.seeds - 1}")
    if chosen.loop:
        through_the_loop(pools, chosen.seeds)
    elif chosen.reliability:
        reliability(pools, chosen.seeds)
    else:
        frontier(pools, chosen.seeds, chosen.peers)


def frontier(pools: Sequence[Any], seeds: int, peers: str) -> None:
    """All rules by cost."""
    bench, stoppers = recorded("bench_earlystop"), recorded("stoppers")
    ours = {name: over(pools, seeds, partial(raced, rule, checkpoints=True)) for name, rule in PAUSING.items()}
    for name, rule in STOPPING.items():
        ours[name] = over(pools, seeds, partial(raced, rule, checkpoints=False))
        if name in SHIPPED:
            ours[f"{name}, control"] = over(pools, seeds, partial(raced, rule, checkpoints=False, control_share=0.05))
    theirs = {name: over(pools, seeds, partial(batch, shares)) for name, shares in SHARES.items()}
    named: dict[str, Callable[[], Any]] = {f"ASHA, {eta}": partial(stoppers.ASHA, eta) for eta in (2, 3, 4)}
    if peers == "all":
        named |= {name: stoppers.STOPPERS[name] for name in ("optuna_median", "optuna_sha", "optuna_hyperband", "pow3vp_p05")}
    for name, make in named.items():
        rows = [[bench.fixed_trials(make, pool, FIRST_SEED + seed, 100, 1) for seed in range(seeds)] for pool in pools]
        theirs[name] = means(rows)
    print(f"{'':40}{'cost':>7}{'loss':>7}{'kept':>7}{'us':>6}  dominated by")
    for name, (cost, loss, kept, took) in sorted((ours | theirs).items(), key=lambda item: item[1][0]):
        better = [other for other in ours if name in theirs and ours[other][0] <= cost and ours[other][1] <= loss]
        fair = [other for other in better if other in PAUSING or name not in SHARES]
        fair = [other for other in fair if other not in PAUSING] or fair
        cheapest = min(fair, key=lambda other: ours[other][0], default="")
        print(f"{name:40}{cost:7.3f}{loss:7.3f}{kept:7.3f}{took:6.0f}  {cheapest}")
    for name in ("halving", "halving, pausing"):
        for column, what in enumerate(("compute spent, % of all", "what the best finished is worse, % of median minus best")):
            report(Row(f"stopping: {name}: {what}", 100 * ours[name][column], "ASHA, eta 2", 100 * theirs["ASHA, 2"][column]))
        report(Row(f"stopping: {name}: best kept, %", 100 * ours[name][2], "ASHA, eta 2", 100 * theirs["ASHA, 2"][2], more=True))


def through_the_loop(pools: Sequence[Any], seeds: int) -> None:
    """Each rule of the configuration through the reducer, beside the replay without it."""
    rules: dict[str, tuple[CancelRule, bool]] = {"halving, pausing": (HalvingRule(), True)} | {
        name: (STOPPING[name], False) for name in SHIPPED
    }
    print(f"{'':30}{'trials at a time':>18}{'cost':>8}{'kept':>8}{'regret':>8}   without the loop: cost, kept, regret")
    for name, (rule, checkpoints) in rules.items():
        for workers in (1, 4):
            columns = ("cost", "kept", "regret")
            real = over(pools, seeds, partial(looped, rule, workers=workers, checkpoints=checkpoints), columns)
            alone = over(pools, seeds, partial(raced, rule, workers=workers, checkpoints=checkpoints), columns)
            print(f"{name:30}{workers:18}" + "".join(f"{number:8.3f}" for number in (*real, *alone)))


def reliability(pools: Sequence[Any], seeds: int) -> None:
    """How often a chance to beat the best finished came true, in campaigns that cancel nothing."""
    said: list[tuple[float, bool]] = []
    for pool in pools:
        for seed in range(seeds):
            said += _chances([pool.curves[at] for at in ordered(pool, seed)])
    table = np.asarray(said)
    print(f"{'chance said':>14}{'forecasts':>11}{'mean':>8}{'came true':>11}")
    error = 0.0
    for low, high in itertools.pairwise(EDGES):
        inside = (table[:, 0] >= low) & (table[:, 0] <= high if high == 1 else table[:, 0] < high)
        mean, true = table[inside].mean(axis=0) if inside.any() else np.full(2, math.nan)
        error += inside.mean() * abs(mean - true) if inside.any() else 0.0
        print(f"{low:7.2f} - {high:4.2f}{int(inside.sum()):11}{mean:8.3f}{true:11.3f}")
    brier = float(np.mean((table[:, 0] - table[:, 1]) ** 2))
    print(f"calibration error {error:.4f}, Brier score {brier:.4f}, {float(np.var(table[:, 1])):.4f} of a constant")


def _chances(curves: Sequence[Any]) -> list[tuple[float, bool]]:
    """(chance to beat the best so far, whether it came true) of each curve at each cut, with those before it as references."""
    found = []
    references: list[tuple[Any, Any]] = []
    best = math.inf
    for curve in curves:
        if not np.isfinite(curve.values).all():
            continue
        for cut in CUTS:
            count = int(np.searchsorted(curve.steps, cut * curve.steps[-1], side="right"))
            if 1 <= count < len(curve.steps) and len(references) >= 4:
                known = references[-REFERENCES:]
                seen = forecast(curve.steps[:count], curve.values[:count], curve.steps[-1], reference_curves=known)
                found.append((seen.beats(best), bool(curve.final < best)))
        references.append((curve.steps, curve.values))
        best = min(best, curve.final)
    return found


def batch(shares: Sequence[float], pool: Any, order: Sequence[int]) -> dict[str, float]:
    """Halving of the whole batch with checkpoints, ranked by value at common steps: the study's best rule with pausing."""
    curves = [pool.curves[at] for at in order]
    typical = float(np.median([curve.steps[-1] for curve in curves]))
    alive, made = list(range(len(curves))), [0] * len(curves)
    for rung, keep in zip((0.04, 0.08, 0.16, 0.32, 0.64, math.inf), (*shares, 1.0), strict=True):
        value = {}
        for number in alive:
            curve = curves[number]
            upto = max(made[number], min(int(np.searchsorted(curve.steps, rung * typical - 1e-9)) + 1, len(curve.steps)))
            bad = ~np.isfinite(curve.values[:upto])
            made[number] = int(np.argmax(bad)) + 1 if bad.any() else upto
            value[number] = math.inf if bad.any() else float(curve.values[upto - 1])
        ranked = sorted((number for number in alive if value[number] < math.inf), key=value.__getitem__)
        alive = ranked[: max(1, round(keep * len(curves)))]
    finals = pool.finals
    target, scale = np.nanmin(finals[order]), np.nanmedian(finals) - np.nanmin(finals)
    best = min((curves[number].final for number in alive), default=math.nan)
    spent = sum(float(curves[number].steps[count - 1]) for number, count in enumerate(made) if count)
    cost = spent / sum(float(curve.steps[-1]) for curve in curves)
    return {"cost": cost, "rel_loss": (best - target) / scale, "kept": float(best <= target + 1e-12), "us": 0.0}


def ordered(pool: Any, seed: int) -> Sequence[int]:
    """The configurations of a campaign, in the order of the peers' benchmark."""
    drawn: Sequence[int] = recorded("util").rng_for("es", pool.name, FIRST_SEED + seed).permutation(len(pool.curves))[:100]
    return drawn


def over(
    pools: Sequence[Any], seeds: int, campaign: Callable[[Any, Sequence[int]], dict[str, float]], columns: Sequence[str] = COLUMNS
) -> tuple[float, ...]:
    """Means over seeds and then pools."""
    return means([[campaign(pool, ordered(pool, seed)) for seed in range(seeds)] for pool in pools], columns)


def means(rows: Sequence[Sequence[dict[str, float]]], columns: Sequence[str] = COLUMNS) -> tuple[float, ...]:
    """Of campaigns by pool, the means over campaigns and then pools."""
    by_pool = [np.nanmean([[run[name] for name in columns] for run in runs], axis=0) for runs in rows]
    return tuple(float(number) for number in np.mean(by_pool, axis=0))


if __name__ == "__main__":
    main()
