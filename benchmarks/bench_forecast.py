"""Forecasts of learning curves against named peers: accuracy, coverage, what probabilities hold, and speed.

Recorded curves are forecast from their first 10, 20, 30 and 50 per cent, with eight finished curves of the same task at hand,
by us and by the peers in the same run. mdARE: median absolute error relative to the final value, mean over kinds of curves;
AE/IQR: relative to the spread of the finals, median over kinds; rho: rank correlation; cover: share of finals in the 90 %
interval, mean over kinds and worst kind. The ratio columns are ours over the best peer's (below 1 is better, for rho above 1).
Reliability: how often a curve beat the best, or the median, finished curve where that chance was forecast, from 3 and 6 per cent too,
where there may be one report; its expected calibration error is the mean distance of what was said from what came, over bins.

Run: ARRL_SHARED=FOLDER python benchmarks/bench_forecast.py [--peers all], where FOLDER/curves holds the recorded curves;
without it only the speed is measured. `all` adds scipy's fits, which take about an hour.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from autoresearch_rl._core import GrowingCurve, forecast
from benchmarks.recorded import Case, recorded, recorded_cases
from benchmarks.rows import Row, report

Array = npt.NDArray[np.float64]
OURS = ("ours", "ours, no finished curves")
QUICK = ("last_value", "best_so_far", "transfer8", "pow3_vp")
EARLY_CUTS = (0.03, 0.06)  # where cancel rules ask first
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
MEASURES: dict[str, Callable[[Sequence[float]], np.floating[Any]]] = {"mdARE": np.mean, "AE/IQR": np.median, "rho": np.nanmean}


def main() -> None:
    """Prints the tables of speed, accuracy and reliability."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", choices=("quick", "all"), default="quick")
    chosen = parser.parse_args()
    speed()
    bench = recorded("bench_forecast")
    peers = {name: peer for name, peer in bench.FORECASTERS.items() if chosen.peers == "all" or name in QUICK}
    pools = [pool for pool in recorded("curves").load_pools("dev") if not pool.subset]
    rows = bench.run(pools, {OURS[0]: informed, OURS[1]: alone} | peers, 60, bench.CUTS)
    for cut in bench.CUTS:
        accuracy([row for row in rows if row["cut"] == cut], cut)
    reliability([case for case in recorded_cases((*EARLY_CUTS, *bench.CUTS), least=1) if case.judged])


def informed(steps: Array, values: Array, target_step: float, n_total: int, refs: Sequence[Any]) -> tuple[float, float, float]:
    """The forecaster of the benchmark: mean and 90 % interval."""
    made = forecast(steps, values, target_step, reference_curves=[(ref.steps, ref.values) for ref in refs])
    return made.mean, made.lo90, made.hi90


def alone(steps: Array, values: Array, target_step: float, n_total: int, refs: Sequence[Any]) -> tuple[float, float, float]:
    """The same from the curve alone."""
    return informed(steps, values, target_step, n_total, ())


def accuracy(rows: list[dict[str, Any]], cut: float) -> None:
    """Prints one cut's table, a line for each forecaster."""
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        found[name] = {measure: float(mean([row[measure] for row in mine])) for measure, mean in MEASURES.items()}
        rates = [row["cover90"] for row in mine if row["cover90"] is not None]
        found[name] |= {"cover": float(np.mean(rates)) if rates else np.nan, "worst": min(rates, default=np.nan)}
        found[name]["us"] = 1e3 * float(np.mean([row["ms"] for row in mine]))
    peers = {name: line for name, line in found.items() if name not in OURS}
    best = {}
    for measure in MEASURES:
        best[measure], peer = (max if measure == "rho" else min)((line[measure], name) for name, line in peers.items())
        what = f"forecasts from {cut:.0%} of a curve: {measure}"
        report(Row(what, found[OURS[0]][measure], f"best of {len(peers)}: {peer}", best[measure], more=measure == "rho"))
    print(f"\n== from {cut:.0%} of the curve: {len({row['family'] for row in rows})} kinds, {len(found)} forecasters")
    print(f"{'':26}" + "".join(f"{name:>9}{'ratio':>7}" for name in MEASURES) + f"{'cover':>7}{'worst':>7}{'us':>9}")
    for name in sorted(found, key=lambda name: (name not in OURS, found[name]["mdARE"])):
        line = found[name]
        cells = "".join(f"{line[each]:9.4f}{line[each] / best[each]:7.2f}" for each in MEASURES)
        print(f"{name:26}{cells}{line['cover']:7.2f}{line['worst']:7.2f}{line['us']:9.0f}")


def reliability(cases: list[Case]) -> None:
    """Prints how often curves beat the best and the median finished curve where that probability was forecast."""
    said, came = [], []
    for case in cases:
        made = forecast(case.steps, case.values, case.target_step, reference_curves=case.references)
        ends = [values[-1] for _, values in case.references]
        bars = (min(ends), float(np.median(ends)))
        said.append([made.beats(bar) for bar in bars])
        came.append([case.final < bar for bar in bars])
    chances, beaten, cuts = np.array(said), np.array(came), np.array([case.cut for case in cases])
    print("\n== P(final beats the best, or the median, finished curve): said, and how often it came")
    for low, high, mean, share, count in diagram(chances.ravel(), beaten.ravel()):
        print(f"{low:4.2f} to {high:4.2f}: said {mean:.3f}, came {share:.3f} of {count}")
    print(f"{'':14}{'forecasts':>10}{'calibration error':>19}{'Brier score':>13}{'of a constant':>15}")
    groups = {"all": cuts > 0} | {f"from {cut:.0%}": cuts == cut for cut in sorted(set(cuts))}
    for name, bar, of in [("to best", 0, cuts > 0), ("to median", 1, cuts > 0)] + [
        (name, slice(None), of) for name, of in groups.items()
    ]:
        mine, true = chances[of, bar].ravel(), beaten[of, bar].ravel()
        error = sum(count * abs(mean - share) for _, _, mean, share, count in diagram(mine, true)) / len(mine)
        score, constant = float(np.mean((mine - true) ** 2)), float(np.mean((true.mean() - true) ** 2))
        print(f"{name:14}{len(mine):10}{error:19.4f}{score:13.4f}{constant:15.4f}")
        if name == "all":
            report(Row("forecasts: calibration error of chances to beat finished curves", error))
            report(Row("forecasts: Brier score of chances to beat finished curves", score, "a constant", constant))


def diagram(chances: Array, beaten: npt.NDArray[np.bool_]) -> list[tuple[float, float, float, float, int]]:
    """Edges of each bin that is not empty, mean of what was said in it, share of what came, and number."""
    bins = np.clip(np.searchsorted(EDGES, chances, side="right") - 1, 0, len(EDGES) - 2)
    found = []
    for at, (low, high) in enumerate(pairwise(EDGES)):
        inside = bins == at
        if inside.any():
            found.append((low, high, float(chances[inside].mean()), float(beaten[inside].mean()), int(inside.sum())))
    return found


def speed() -> None:
    """Prints microseconds of processor time for noisy power laws, beside scipy's fit of one."""
    random = np.random.default_rng(0)
    print(f"{'us':24}{'all':>9}{'power law':>11}{'curve_fit':>11}{'ratio':>8}")
    for count in (5, 20, 100, 1000):
        steps = np.arange(1.0, count + 1)
        values = 0.5 + 2 * steps**-0.6 + random.normal(0, 0.01, count)
        fits = (partial(forecast, steps, values, 4.0 * count, families=families) for families in ("all", "power_law"))
        times = [timed(fit) for fit in fits]
        peer = timed(partial(curve_fit, law, steps, values, (0.5, 1.0, 0.5), maxfev=10_000), calls=5)
        report(Row(f"forecasts: all families, {count} points, us", times[0], "scipy curve_fit, one power law", peer))
        print(f"{count:5} points{times[0]:22.1f}{times[1]:11.1f}{peer:11.0f}{times[0] / peer:8.4f}")
    for count in (64, 1000, 100_000):
        reports = [(float(at), float(0.5 + 2 * at**-0.6 + random.normal(0, 0.01))) for at in range(1, count + 1)]
        pushed = timed(partial(grown, reports, ask=False), calls=1) / count
        asked = timed(partial(grown, reports, ask=True), calls=1) / count
        print(f"{count:6} reports one by one: {pushed:.2f} a report, {asked:.2f} with a forecast after each")


def law(step: Array, end: float, drop: float, exponent: float) -> Array:
    """A power law, for scipy."""
    value: Array = end + drop * step ** -np.abs(exponent)
    return value


def grown(reports: list[tuple[float, float]], ask: bool) -> None:
    """Takes reports one by one."""
    curve = GrowingCurve()
    for step, value in reports:
        curve.push(step, value)
        if ask:
            curve.forecast(1e6)


def timed(call: Callable[[], object], calls: int = 300) -> float:
    """Least microseconds of processor time of a call, of five rounds."""
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(calls):
            call()
        rounds.append((time.process_time() - start) / calls * 1e6)
    return min(rounds)


if __name__ == "__main__":
    main()
