"""Learns the table of rust/forecast/calibration.rs: how wide a forecast must be, from recorded curves.

The 95 % quantiles of the errors to either side, final - location and location - final, are fitted as one log-linear function of the
evidence that the core reports for that side, by quantile regression in which every kind of curves at every cut weighs the same. The
location is the one before it is drawn to where finished curves ended. Curves that bench_forecast.py forecasts are not used. For
each kind the fit is repeated without it, and the coverage on it printed: that is how the table does on kinds it has not seen. A
margin is then added to the constant until every kind is covered in about four fifths at every cut. The core may hold any table while this
runs: only the evidence is read.

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
JUDGED = (0.1, 0.2, 0.3, 0.5)
Z95 = 2.919986  # Student's t with 2 degrees of freedom
LEVEL, RIDGE, SMOOTH = 0.95, 2e-3, 0.05
LEAST = {"ALONE": 0.805, "INFORMED": 0.815}  # drawing a forecast to the ends of finished curves narrows its interval a little


def main() -> None:
    """Prints the two tables and the coverage they give, seen and unseen."""
    cases = [case for case in recorded_cases(CUTS) if not case.judged]
    for name, references in (("ALONE", False), ("INFORMED", True)):
        evidence, wrong, family, cut = measured(cases, references)
        weights = even(family, cut)
        table = fitted(evidence, wrong, weights)
        print(f"\n{name}: 90 % coverage of training curves by kind: seen, and unseen in the fit")
        for kind in sorted(set(family)):
            mine = (family == kind) & np.isin(cut, JUDGED)
            unseen = fitted(evidence, wrong, even(family, cut) * (family != kind))
            rates = [np.mean(inside(each, evidence, wrong)[mine]) for each in (table, unseen)]
            print(f"  {kind:28} {rates[0]:.2f} {rates[1]:.2f}")
        while worst(table, evidence, wrong, family, cut) < LEAST[name]:
            table[0] += 0.01
        table[0] -= np.log(Z95)
        print(f"const {name}: [f64; EVIDENCE] = [{', '.join(f'{number:.3f}' for number in table)}];")


def measured(cases: list[Case], references: bool) -> tuple[Array, Array, npt.NDArray[np.str_], Array]:
    """Evidence [n, 2, 4], logarithms [n, 2] of the errors to either side relative to the curves' spread, kinds [n], cuts [n]."""
    evidence, wrong, family, cut = [], [], [], []
    for case in cases:
        curves = case.references if references else []
        made = forecast(case.steps, case.values, case.target_step, reference_curves=curves)
        if made.informative:
            unit, location, *rest = made.evidence
            error = np.array([location - case.final, case.final - location])
            evidence.append(np.reshape(rest, (2, -1)))
            wrong.append(np.log((np.maximum(error, 0) + 1e-9 * abs(case.final)) / (unit + 1e-12 * abs(case.final))))
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
    """Coefficients of the 95 % quantile of `wrong`: smoothed pinball loss with a little ridge."""
    evidence, wrong, weights = evidence.reshape(-1, evidence.shape[-1]), wrong.ravel(), np.repeat(weights, 2) / 2

    def loss(table: Array) -> tuple[float, Array]:
        rest = wrong - evidence @ table
        value = LEVEL * rest + np.logaddexp(0, -rest / SMOOTH) * SMOOTH
        slope = LEVEL - 1 / (1 + np.exp(np.clip(rest / SMOOTH, -500, 500)))
        ridge = np.concatenate([[0.0], table[1:]])
        return float(weights @ value + RIDGE * ridge @ ridge), -(weights * slope) @ evidence + 2 * RIDGE * ridge

    found = minimize(loss, np.zeros(evidence.shape[1]), jac=True, method="L-BFGS-B")
    return np.array(found.x, dtype=np.float64)


def inside(table: Array, evidence: Array, wrong: Array) -> npt.NDArray[np.bool_]:
    """Whether the final lies in the 90 % interval [n]."""
    within: npt.NDArray[np.bool_] = np.all(wrong < evidence @ table, axis=1)
    return within


def worst(table: Array, evidence: Array, wrong: Array, family: npt.NDArray[np.str_], cut: Array) -> float:
    """Least coverage of a kind at a judged cut."""
    covered = inside(table, evidence, wrong)
    groups = [(family == kind) & (cut == at) for kind in set(family) for at in JUDGED]
    return min(float(np.mean(covered[group])) for group in groups if group.sum() >= 15)


if __name__ == "__main__":
    main()
