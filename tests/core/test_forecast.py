"""Forecasts of learning curves as Python sees them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl._core import Forecast, GrowingCurve, forecast, forecasts
from autoresearch_rl.errors import ForecastError

Array = npt.NDArray[np.float64]
STEPS = np.arange(1.0, 31.0)
CURVE = 0.5 + 2.0 * STEPS**-0.7


def noisy(seed: int) -> Array:
    return CURVE + np.random.default_rng(seed).normal(0.0, 0.02, len(STEPS))


def test_a_power_law_is_recovered() -> None:
    made = forecast(STEPS, CURVE, 1000.0)
    assert made.mean == pytest.approx(0.5 + 2.0 * 1000.0**-0.7, abs=1e-4)
    assert made.lo90 <= made.mean <= made.hi90
    assert (made.target_step, made.points, made.informative) == (1000.0, 30, True)
    assert repr(made).startswith("Forecast(mean=0.5")


def test_strided_arrays_and_points_that_are_not_finite_are_taken() -> None:
    steps, values = np.repeat(STEPS, 2), np.repeat(CURVE, 2)
    steps[1::2], values[1::4] = math.nan, math.inf
    assert forecast(steps, values, 100.0).mean == forecast(STEPS, CURVE, 100.0).mean
    assert forecast(steps[::2], values[::2], 100.0).mean == forecast(STEPS, CURVE, 100.0).mean


def test_beats_is_the_distribution_in_the_direction_of_the_metric() -> None:
    down, up = forecast(STEPS, noisy(1), 100.0), forecast(STEPS, noisy(1), 100.0, direction="maximize")
    for p in (0.05, 0.3, 0.5, 0.9):
        assert down.beats(down.quantile(p)) == pytest.approx(p, abs=1e-6)
        assert up.beats(down.quantile(p)) == pytest.approx(1 - p, abs=1e-6)
    assert (down.beats(math.inf), up.beats(math.inf)) == (1.0, 0.0)
    assert (down.lo90, down.hi90) == (down.quantile(0.05), down.quantile(0.95))


def test_three_reference_curves_move_the_forecast() -> None:
    finished = [(STEPS, np.where(STEPS < 20, 1.0, 0.0) + noisy(seed)) for seed in range(4)]
    early = slice(0, 15)
    alone = forecast(STEPS[early], noisy(9)[early], 30.0, reference_curves=finished[:2])
    informed = forecast(STEPS[early], noisy(9)[early], 30.0, reference_curves=finished)
    assert alone.mean == forecast(STEPS[early], noisy(9)[early], 30.0).mean
    assert informed.mean < alone.mean - 0.3
    assert not forecast(STEPS[:1], CURVE[:1], 30.0, reference_curves=finished).informative


@pytest.mark.parametrize("values", [[1.0], [3.0, 2.0, 1.0], [2.0] * 6, [1.0, math.nan, 2.0, math.inf, 3.0]])
def test_a_curve_that_says_nothing_is_not_informative(values: list[float]) -> None:
    made = forecast(np.arange(float(len(values))), np.array(values), 10.0)
    assert not made.informative
    assert made.mean == values[-1]
    assert made.hi90 - made.lo90 > abs(values[-1])


@pytest.mark.parametrize(
    ("steps", "values", "target", "direction", "message"),
    [
        ([1.0, 2.0], [1.0], 5.0, "minimize", "the curve has 2 steps and 1 values"),
        ([1.0, 3.0, 2.0], [1.0] * 3, 5.0, "minimize", "goes back from step 3 to step 2"),
        ([], [], 5.0, "minimize", "no point with a finite step and value"),
        ([1.0, math.nan], [math.nan, 1.0], 5.0, "minimize", "no point with a finite step and value"),
        ([1.0], [1.0], math.nan, "minimize", "target_step=NaN is not a finite number"),
        ([1.0], [1.0], math.inf, "minimize", "target_step=inf is not a finite number"),
        ([1.0, 6.0], [1.0, 1.0], 5.0, "minimize", "target_step=5 lies before the last step 6"),
        ([1.0], [1.0], 5.0, "down", 'direction="down" is unknown; give minimize or maximize'),
    ],
)
def test_curves_that_make_no_sense_are_refused(
    steps: list[float], values: list[float], target: float, direction: str, message: str
) -> None:
    with pytest.raises(ForecastError, match=message):
        forecast(np.array(steps), np.array(values), target, direction=direction)


def test_a_bad_reference_curve_is_named() -> None:
    with pytest.raises(ForecastError, match="reference curve 1 has 30 steps and 2 values"):
        forecast(STEPS, CURVE, 50.0, reference_curves=[(STEPS, CURVE), (STEPS, CURVE[:2])])


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_quantiles_are_of_probabilities(p: float) -> None:
    with pytest.raises(ForecastError, match="is not a probability between 0 and 1"):
        forecast(STEPS, CURVE, 50.0).quantile(p)


def test_nothing_beats_nan() -> None:
    with pytest.raises(ForecastError, match="value=NaN cannot be compared with"):
        forecast(STEPS, CURVE, 50.0).beats(math.nan)


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=20), st.floats(0.0, 2.0))
def test_any_curve_is_forecast_in_finite_numbers_or_refused(points: list[tuple[float, float]], ahead: float) -> None:
    points.sort(key=lambda point: point[0] if math.isfinite(point[0]) else 0.0)
    finite = [step for step, value in points if math.isfinite(step) and math.isfinite(value)]
    steps, values = (np.array(column) for column in ([point[0] for point in points], [point[1] for point in points]))
    if not finite:
        with pytest.raises(ForecastError, match="no point"):
            forecast(steps, values, 1.0)
        return
    target = min(finite[-1] + ahead * abs(finite[-1]), 1e308) if finite[-1] < 1e308 else finite[-1]
    made = forecast(steps, values, target)
    assert all(math.isfinite(number) for number in _numbers(made))
    assert made.lo90 <= made.quantile(0.5) <= made.hi90


def test_a_batch_is_its_curves() -> None:
    curves = [noisy(seed)[: 4 + 3 * seed] for seed in range(5)]
    offsets = np.cumsum([0, *(len(curve) for curve in curves)])
    targets = np.array([40.0, 50.0, 60.0, 70.0, 80.0])
    steps = np.concatenate([STEPS[: len(curve)] for curve in curves])
    finished = [(STEPS, noisy(seed)) for seed in range(3)]
    made = forecasts(offsets, steps, np.concatenate(curves), targets, reference_curves=finished)
    alone = [
        forecast(STEPS[: len(curve)], curve, target, reference_curves=finished)
        for curve, target in zip(curves, targets, strict=True)
    ]
    assert [(one.mean, one.lo90) for one in made] == [(one.mean, one.lo90) for one in alone]
    assert forecasts(np.array([0]), STEPS[:0], CURVE[:0], targets[:0]) == []


@pytest.mark.parametrize(
    ("offsets", "targets", "message"),
    [
        ([0, 4], [9.0, 9.0], "2 offsets for 2 targets"),
        ([0, 8, 4, 30], [50.0] * 3, "offset 2 is 4"),
        ([0, 4, 29], [50.0] * 2, "offset 2 is 29"),
        ([1, 4, 30], [50.0] * 2, "offset 0 is 1"),
        ([0, 0, 30], [50.0] * 2, "curve 0 of the batch: the curve has no point"),
        ([0, 4, 30], [50.0, 20.0], "curve 1 of the batch: target_step=20 lies before the last step 30"),
    ],
)
def test_batches_that_make_no_sense_are_refused(offsets: list[int], targets: list[float], message: str) -> None:
    with pytest.raises(ForecastError, match=message):
        forecasts(np.array(offsets), STEPS, CURVE, np.array(targets))


def test_a_curve_may_grow() -> None:
    finished = [(STEPS, noisy(seed)) for seed in range(4)]
    curve = GrowingCurve(reference_curves=finished, direction="maximize")
    with pytest.raises(ForecastError, match="no point with a finite step and value"):
        curve.forecast(9.0)
    for step, value in zip(STEPS, noisy(7), strict=True):
        curve.push(float(step), float(value))
    curve.push(31.0, math.nan)
    whole = forecast(STEPS, noisy(7), 60.0, reference_curves=finished, direction="maximize")
    grown = curve.forecast(60.0)
    assert (len(curve), grown.mean, grown.hi90) == (30, whole.mean, whole.hi90)
    with pytest.raises(ForecastError, match="goes back from step 30 to step 3"):
        curve.push(3.0, 1.0)
    with pytest.raises(ForecastError, match="target_step=29 lies before the last step 30"):
        curve.forecast(29.0)


def test_the_power_law_alone_can_be_asked_for() -> None:
    line = 10.0 - STEPS / 30.0
    assert forecast(STEPS, CURVE, 1000.0, families="power_law").mean == pytest.approx(0.5 + 2.0 * 1000.0**-0.7, abs=1e-4)
    assert forecast(STEPS, line, 60.0, families="power_law").mean > forecast(STEPS, line, 60.0).mean
    with pytest.raises(ForecastError, match='families="some" is unknown; give all or power_law'):
        forecast(STEPS, CURVE, 50.0, families="some")


def _numbers(made: Forecast) -> list[float]:
    return [made.mean, made.lo90, made.hi90, made.beats(0.0)]
