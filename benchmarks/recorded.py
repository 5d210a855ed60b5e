"""Recorded learning curves for the forecast's benchmarks: the folder `curves` below $ARRL_SHARED, with its loaders and peers."""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The beginning of a curve and where it ended; lower is better. `judged`: the forecasting benchmark asks for it."""

    family: str
    pool: str
    cut: float
    judged: bool
    steps: Array
    values: Array
    target_step: float
    final: float
    references: list[tuple[Array, Array]] = field(repr=False)


def recorded(module: str) -> Any:
    """The module of that name beside the curves. Ends the program with status 0 and a reason where $ARRL_SHARED is unset."""
    folder = Path(os.environ.get("ARRL_SHARED", "")) / "curves"
    if not os.environ.get("ARRL_SHARED") or not folder.is_dir():
        print("skipped: set ARRL_SHARED to a folder that has the recorded curves in curves/")
        raise SystemExit(0)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # first, because a benchmark there has the name of one of ours
    return importlib.import_module(module)


def recorded_cases(cuts: Sequence[float], least: int | None = None) -> list[Case]:
    """Curves that the forecasting benchmark judges, and as many others of each pool, at every cut.

    `least`: reports before the cut that a curve must have, as many as the benchmark asks for where it is None.
    """
    bench, util = recorded("bench_forecast"), recorded("util")
    pools = [pool for pool in recorded("curves").load_pools("dev") if not pool.subset]
    in_family = Counter(pool.family for pool in pools)
    cases = []
    for pool in pools:
        take = max(6, min(60, -(-bench.PER_FAMILY // in_family[pool.family])))
        curves = bench.usable(pool)
        if len(curves) < 2 * bench.N_REFS:
            continue
        shuffled = [curves[at] for at in util.rng_for("forecast", pool.name).permutation(len(curves))]
        references = [(curve.steps, curve.values) for curve in shuffled[: bench.N_REFS]]
        for number, curve in enumerate(shuffled[bench.N_REFS : bench.N_REFS + 2 * take]):
            for cut in cuts:
                seen = int(np.searchsorted(curve.steps, cut * curve.steps[-1] + 1e-9, side="right"))
                if (bench.MIN_OBS if least is None else least) <= seen < len(curve.steps):
                    cases.append(
                        Case(
                            family=pool.family,
                            pool=pool.name,
                            cut=cut,
                            judged=number < take,
                            steps=curve.steps[:seen],
                            values=curve.values[:seen],
                            target_step=float(curve.steps[-1]),
                            final=curve.final,
                            references=references,
                        )
                    )
    return cases
