"""Learns the table of rust/forecast/calibration.rs: how wide a forecast must be, from recorded curves.

The 90 % quantile of |final - location| is fitted as a log-linear function of the evidence that the core reports, by quantile
regression in which every kind of curves at every cut weighs the same. The location is the one before it is drawn to where finished
curves ended. EARLY is for curves that are too short for a fit and have finished curves beside them. Curves that bench_forecast.py
forecasts are not used. For each kind the fit is repeated without it, and the coverage on it printed: that is how the table does on
kinds it has not seen. A margin is then added to the constant until every kind is covered in 80.5 % at every cut. The core may hold
any table while this runs: only the evidence is read.

Run: ARRL_SHARED=FOLDER python benchmarks/calibrate_forecast.py, where FOLDER/curves holds the recorded curves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from autoresearch_rl._core import forecast
from benchmarks.recorded import Case, recorded_cases

Array = npt.NDArray[np.float64]
CUTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.85)
FIRST_CUTS = (0.015, 0.03, 0.06, 0.1)
JUDGED = (0.1, 0.2, 0.3, 0.5)
Z95 = 2.919986  # Student's t with 2 degrees of freedom
LEVEL, RIDGE, SMOOTH, LEAST = 0.9, 2e-3, 0.05, 0.805


def main() -> None:
    """Prints the tables and the coverage they give, seen and unseen."""
    for name, cuts, references in (("ALONE", CUTS, False), ("INFORMED", CUTS, True), ("EARLY", FIRST_CUTS, True)):
        early = name == "EARLY"
        cases = [case for case in recorded_cases(cuts, least=early) if not case.judged]
        evidence, wrong, family, cut = measured(cases, references, informative=not early)
        weights = even(family, cut)
        judged = FIRST_CUTS if early else JUDGED
        table = fitted(evidence, wrong, weights)
        print(f"\n{name}: 90 % coverage of training curves by kind: seen, and unseen in the fit")
        for kind in sorted(set(family)):
            mine = (family == kind) & np.isin(cut, judged)
            unseen = fitted(evidence, wrong, even(family, cut) * (family != kind))
            rates = [np.mean(wrong[mine] < evidence[mine] @ each) for each in (table, unseen)]
            print(f"  {kind:28} {rates[0]:.2f} {rates[1]:.2f} of {mine.sum()}")
        while worst(table, evidence, wrong, family, cut, judged) < LEAST:
            table[0] += 0.01
        table[0] -= np.log(Z95)
        print(f"const {name}: [f64; {len(table)}] = [{', '.join(f'{number:.3f}' for number in table)}];")


def measured(
    cases: list[Case], references: bool, informative: bool
) -> tuple[Array, Array, npt.NDArray[np.str_], Array]:
    """Evidence [n, 4 or 2], logarithms [n] of the errors relative to its unit, kinds [n], cuts [n]."""
    evidence, wrong, family, cut = [], [], [], []
    for case in cases:
        curves = case.references if references else []
        made = forecast(case.steps, case.values, case.target_step, reference_curves=curves)
        if made.informative == informative and made.evidence:
            unit, location, *rest = made.evidence
            evidence.append(rest)
            wrong.append(np.log((abs(location - case.final) + 1e-9 * abs(case.final)) / (unit + 1e-12 * abs(case.final))))
            family.append(case.family)
            cut.append(case.cut)
    return np.array(evidence), np.array(wrong), np.array(family), np.array(cut)


def even(family: npt.NDArray[np.str_], cut: Array) -> Array:
    """Weights [n] by which every kind at every cut counts the same; none where fewer than 15 curves are there."""
    weights = np.zeros(len(cut))
    for kind in set(family):
        for at in set(cut):
            here = (family == kind) & (cut == at)
            weights[here] = 1 / here.sum() if here.sum() >= 15 else 0.0
    share: Array = weights / weights.sum()
    return share


def fitted(evidence: Array, wrong: Array, weights: Array) -> Array:
    """Coefficients of the 90 % quantile of `wrong`: smoothed pinball loss with a little ridge."""

    def loss(table: Array) -> tuple[float, Array]:
        rest = wrong - evidence @ table
        value = LEVEL * rest + np.logaddexp(0, -rest / SMOOTH) * SMOOTH
        slope = LEVEL - 1 / (1 + np.exp(np.clip(rest / SMOOTH, -500, 500)))
        ridge = np.concatenate([[0.0], table[1:]])
        return float(weights @ value + RIDGE * ridge @ ridge), -(weights * slope) @ evidence + 2 * RIDGE * ridge

    found = minimize(loss, np.zeros(evidence.shape[1]), jac=True, method="L-BFGS-B")
    return np.array(found.x, dtype=np.float64)


def worst(
    table: Array, evidence: Array, wrong: Array, family: npt.NDArray[np.str_], cut: Array, judged: tuple[float, ...]
) -> float:
    """Least coverage of a kind at a judged cut."""
    inside = wrong < evidence @ table
    groups = [(family == kind) & (cut == at) for kind in set(family) for at in judged]
    return min(float(np.mean(inside[group])) for group in groups if group.sum() >= 15)


if __name__ == "__main__":
    main()
