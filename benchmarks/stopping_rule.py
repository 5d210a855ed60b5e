"""A stop rule on top of the forecasts: rungs that rank by where trials are forecast to end, and a chance to beat the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoresearch_rl._core import Forecast, forecast

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Attributes:
    keep: Share of the trials that came to a rung before that a trial must be among, by forecast, to go on.
    rescue: Chance to beat the best from which a trial goes on although it fails a rung; 1 for never.
    hopeless: Chance to beat the best below which a trial is stopped, at a rung or between.
    rungs: Shares of the typical last step.
    first: Share of it from which the chance is looked at between rungs, each time a trial has come 15 % further.
    finished: Finished trials that are needed before the chance counts, and the most that forecasts look at.
    cheap: Share of a typical trial; one that has less than that left is let through.
    """

    keep: float = 0.6
    rescue: float = 1.0
    hopeless: float = 0.02
    rungs: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
    first: float = 0.04
    finished: tuple[int, int] = (2, 48)
    cheap: float = 0.05


class RungStopper:
    """The plug-in interface of the early-stopping benchmark; one campaign, values are minimised."""

    n_reports = 0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def start_campaign(self, horizon: float, n_trials: int) -> None:
        """`horizon`: the typical last step."""
        self._horizon = horizon
        self._ranked: list[list[float]] = [[] for _ in self._setting.rungs]
        self._passed: dict[int, int] = {}
        self._looked: dict[int, float] = {}
        self._running: dict[int, tuple[Array, Array, float]] = {}
        self._finished: list[tuple[Array, Array]] = []

    def start_trial(self, tid: int) -> None:
        """Nothing to do."""

    def end_trial(self, tid: int, final: float | None, completed: bool) -> None:
        """Keeps the curves of trials that ran to their end."""
        steps, values, last = self._running.pop(tid, (None, None, 0.0))
        if completed and final is not None and steps is not None and values is not None:
            self._finished.append((np.append(steps, last), np.append(values, final)))

    def should_stop(self, tid: int, steps: Array, values: Array, horizon: float, n_total: int, best: float | None) -> bool:
        """After every report but the last; `horizon`: this trial's last step, `best`: the best final so far."""
        setting = self._setting
        self._running[tid] = steps, values, horizon
        share = steps[-1] / self._horizon
        if (horizon - steps[-1]) / self._horizon < setting.cheap:
            return False
        rung = sum(share >= at - 1e-9 for at in setting.rungs) - 1
        if rung > self._passed.get(tid, -1):
            self._passed[tid], self._looked[tid] = rung, share
            seen = self._forecast(steps, values, horizon)
            others = self._ranked[rung]
            behind = bool(others) and seen.mean > np.quantile(others, setting.keep)
            others.append(seen.mean)
            chance = 1.0 if best is None else seen.beats(best)
            return (behind and chance < setting.rescue) or self._hopeless(seen, best)
        if share < max(setting.first, 1.15 * self._looked.get(tid, 0.0)):
            return False
        self._looked[tid] = share
        return best is not None and self._hopeless(self._forecast(steps, values, horizon), best)

    def _forecast(self, steps: Array, values: Array, horizon: float) -> Forecast:
        return forecast(steps, values, horizon, reference_curves=self._finished[-self._setting.finished[1] :])

    def _hopeless(self, seen: Forecast, best: float | None) -> bool:
        enough = best is not None and len(self._finished) >= self._setting.finished[0] and seen.informative
        return enough and best is not None and seen.beats(best) < self._setting.hopeless
