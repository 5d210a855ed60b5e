"""Soft halving: rungs at growing shares of the steps, at which trials wait until they are worth going on with."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from autoresearch_rl._core import Forecast
from autoresearch_rl.controller.cancel import Judge
from autoresearch_rl.controller.cancel.curves import REFERENCES, Finished, Horizon, finite_points, latest, progress, rankable
from autoresearch_rl.controller.cancel.cutting import Cuts, CuttingJudge
from autoresearch_rl.controller.checking import check_values, counts, share
from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Order, Settled

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_REFRESHED = 32  # of the paused trials, the best ones are forecast anew when a trial has finished
_CHEAP = 0.05  # of a typical trial: pausing one that has less left saves nothing
_LEAST = 0.003  # chance below which a share to keep does not help


class HalvingRule:
    """Pauses a trial at a rung and takes it up again when it is worth it; where trials cannot be paused, cancels it.

    Successive halving ranks trials by their values at a rung and ends all but a share of them. Here a trial that is not among them
    waits with its checkpoint, and trials are ranked by their chance to end better than the leader's curve did, over the work that
    is left to them in typical trials. The best `keep` of all trials by value pass a rung even where that chance is small, though not
    next to nothing, which guards against forecasts; and no more than `most` of them and one more do, which bounds the cost where
    curves tell nothing. While new trials come, `early` of `keep` pass, and those with an index of `go_on`; at the end the
    rest, and those with an index of `chance`.

    Rungs are shares of the trial's own planned steps or, where those are fewer, of the median's of the campaign: a trial much longer
    than the others shows what it is worth in steps that cost what the others' do.
    """

    def __init__(
        self,
        rungs: Sequence[float] = (0.03, 0.06, 0.12, 0.24, 0.48),
        keep: Sequence[float] = (0.5, 0.4, 0.2, 0.08, 0.03),
        most: Sequence[float] = (0.95, 0.9, 0.8, 0.7, 0.6),
        early: float = 0.5,
        go_on: float = 0.5,
        chance: float = 0.03,
        survive: float = 0.8,
        rescue: float = 0.3,
        hopeless: float = 0.01,
        min_reports: int = 1,
        warmup_trials: int = 1,
    ) -> None:
        """The last three numbers before `min_reports` are for trials that cannot be paused, see `Cuts`. Raises ConfigError."""
        falls = "as many shares above 0 and up to 1 as there are rungs, none larger than the one before"
        check_values(
            "controller.cancel",
            ("rungs", rungs, _rises(rungs), "shares of the steps between 0 and 1, each larger than the one before"),
            ("keep", keep, _falls(keep, rungs), falls),
            (
                "most",
                most,
                _falls(most, rungs) and _no_less(most, keep),
                f"{falls}, and none smaller than that of controller.cancel.keep",
            ),
            ("early", early, early in (0, 1) or share(early), "from 0 to 1"),
            ("go_on", go_on, _positive(go_on), "a number above 0"),
            ("chance", chance, _positive(chance) and chance <= go_on, "a number above 0, at most controller.cancel.go_on"),
            ("survive", survive, share(survive), "between 0 and 1"),
            ("rescue", rescue, rescue == 1 or share(rescue), "above 0 and up to 1"),
            ("hopeless", hopeless, hopeless == 0 or share(hopeless), "from 0 to below 1"),
            ("min_reports", min_reports, counts(min_reports, 1), "a whole number from 1"),
            ("warmup_trials", warmup_trials, counts(warmup_trials, 1), "a whole number from 1"),
            code="cancel-value",
        )
        self.rungs, self.keep, self.most = tuple(rungs), tuple(keep), tuple(most)
        self.early, self.go_on, self.chance = early, go_on, chance
        self.min_reports, self.warmup_trials = min_reports, warmup_trials
        self.cuts = Cuts(self.rungs, survive, rescue, hopeless, min_reports, warmup_trials)

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge:
        """See `CancelRule`."""
        return _PausingJudge(self, metric, direction) if checkpoints else CuttingJudge(self.cuts, metric, direction)


@dataclass(slots=True)
class _Place:
    """Where a trial stands that has come to a rung.

    Attributes:
        came: As it ranks among those that came to the rung: by value, then by where it was forecast to end, then by number.
        index: Its chance over the work left; `bar`: what the chance was for.
    """

    rung: int
    came: tuple[float, float, int]
    steps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    target: float
    done: float
    left: float
    diverged: bool
    seen: Forecast
    bar: float | None = None
    index: float = 0.0


@dataclass
class _PausingJudge:
    """Attributes:
    held: Places of trials that were told to pause, until they report again.
    """

    rule: HalvingRule
    metric: str
    direction: Direction
    held: dict[int, _Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._finished = Finished(self.metric, self.direction, REFERENCES)
        self._come: dict[int, int] = {}  # the highest rung that a trial was judged at
        self._horizon = Horizon()
        self._passed: Counter[int] = Counter()
        # by rung and the best first: all that came to it, those of them that wait, and the same by what they are worth
        self._came: list[list[tuple[float, float, int]]] = [[] for _ in self.rule.rungs]
        self._waiting: list[list[tuple[float, float, int]]] = [[] for _ in self.rule.rungs]
        self._bar: tuple[int, float] | None = None
        self._order: list[list[tuple[float, float, int]]] = [[] for _ in self.rule.rungs]

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        done, target = progress(curve), curve.step_target
        if done is None or target is None:
            return None
        if number in self.held:
            self._let_go(number)
        typical = self._horizon.typical(number, target)
        rung = bisect_right(self.rule.rungs, curve.steps[-1] / min(target, typical) + 1e-9) - 1
        if rung <= self._come.get(number, -1) or len(history) < self.rule.warmup_trials:
            return None
        value = latest(curve, self.metric)
        steps, values = finite_points(curve, self.metric)
        diverged = value is not None and not math.isfinite(value)
        left = (target - curve.steps[-1]) / typical
        if value is None or not len(steps) or len(steps) < self.rule.min_reports or (left < _CHEAP and not diverged):
            return None
        self._come[number] = rung
        seen = self._finished.forecast(steps, values, target)
        came = (math.inf if diverged else rankable(value, self.direction), rankable(seen.mean, self.direction), number)
        place = _Place(rung, came, steps, values, target, done, left, diverged, seen)
        insort(self._came[rung], came)
        self._look_up_to(self._finished.leader(history))
        self._weigh(place)
        self.held[number] = place
        insort(self._waiting[rung], came)
        insort(self._order[rung], self._key(number))
        if number in self._chosen(self.held, ending=False):
            self._let_go(number)
            return None
        return Order(kind="pause", reason=self._reason(place, value))

    def settled(self, settled: Settled, history: History) -> None:
        number = settled.trial.number
        self._come.pop(number, None)
        if number in self.held:
            self._let_go(number)
        if not self._finished.add(settled):
            return
        self._look_up_to(self._finished.leader(history))
        for _, _, number in sorted(key for waiting in self._order for key in waiting[:_REFRESHED])[:_REFRESHED]:
            place = self.held[number]
            place.seen, place.bar = self._finished.forecast(place.steps, place.values, place.target), None
            self._weigh(place)
        self._rank()

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        self._look_up_to(self._finished.leader(history))  # the keep rule has decided on what settled last
        return self._chosen(paused, ending=ending)

    def _mean(self, place: _Place) -> float:
        return math.inf if place.diverged else rankable(place.seen.mean, self.direction)

    def _key(self, number: int) -> tuple[float, float, int]:
        """Sorts the best first: by index and, where that is the same, as without a leader, by where they are forecast to end."""
        place = self.held[number]
        return -place.index, self._mean(place), number

    def _look_up_to(self, bar: tuple[int, float] | None) -> None:
        """The trial to beat; weighs those that wait anew if it is another one."""
        if bar != self._bar:
            self._bar = bar
            for place in self.held.values():
                self._weigh(place)
            self._rank()

    def _weigh(self, place: _Place) -> None:
        bar = None if self._bar is None else self._bar[1]
        if bar is None or place.diverged:
            place.index = 0.0
        elif bar != place.bar:
            place.index = place.seen.beats(bar) / max(place.left, _CHEAP)
        place.bar = bar

    def _rank(self) -> None:
        self._order = [[] for _ in self.rule.rungs]
        for key in sorted(map(self._key, self.held)):
            self._order[self.held[key[2]].rung].append(key)

    def _let_go(self, number: int) -> None:
        """A trial has passed its rung."""
        place = self.held[number]
        for waiting, key in ((self._order[place.rung], self._key(number)), (self._waiting[place.rung], place.came)):
            del waiting[bisect_left(waiting, key)]
        self._passed[self.held.pop(number).rung] += 1

    def _chosen(self, numbers: Collection[int], *, ending: bool) -> Sequence[int]:
        """Those that pass their rung now, the best first."""
        rule, started, passed = self.rule, len(self._horizon), Counter(self._passed)
        if len(numbers) < len(self.held):  # the others were taken up, and have not reported yet
            numbers = set(numbers)
            passed.update(self.held[number].rung for number in self.held.keys() - numbers)
        else:
            numbers = self.held
        part, enough = (1.0, rule.chance) if ending else (rule.early, rule.go_on)
        chosen: list[tuple[float, float, int]] = []
        for rung, order in enumerate(self._order):
            keep = math.floor(max(float(ending), part * rule.keep[rung] * started + 0.5))
            most = math.ceil(rule.most[rung] * started + 1) - passed[rung]
            worth = takewhile(lambda key: -key[0] >= enough, order)
            able = [key for key in (*self._best(rung, keep), *worth) if key[2] in numbers and not self.held[key[2]].diverged]
            chosen += list(dict.fromkeys(able))[: max(most, 0)]
        return [number for _, _, number in sorted(chosen)]

    def _best(self, rung: int, keep: int) -> Iterator[tuple[float, float, int]]:
        """Of those that wait at a rung, those that are among the best `keep` of all that came there."""
        came = self._came[rung]
        for key in takewhile(lambda waiting: bisect_left(came, waiting) < keep, self._waiting[rung]):
            place = self.held[key[2]]
            if self._bar is None or place.index * place.left >= _LEAST:
                yield self._key(key[2])

    def _reason(self, place: _Place, value: float) -> str:
        where = f"{self.metric} {value:.4g} after {place.done:.0%} of the steps"
        if place.diverged:
            return f"{where} has diverged"
        came = self._came[place.rung]
        rank = f"{bisect_left(came, place.came) + 1} of {len(came)} at rung {place.rung + 1}"
        said = f"{where}, {rank}, is forecast to end at {place.seen.mean:.4g}"
        if self._bar is None:
            return f"{said}; it waits for a trial to end, or for a better rank"
        number, bar = self._bar
        return f"{said}, with a chance of {place.index * place.left:.1%} to beat {bar:.4g} of trial {number}; it waits"


def _rises(numbers: Sequence[float]) -> bool:
    return bool(numbers) and all(share(number) for number in numbers) and list(numbers) == sorted(set(numbers))


def _falls(shares: Sequence[float], rungs: Sequence[float]) -> bool:
    legal = len(shares) == len(rungs) and all(number == 1 or share(number) for number in shares)
    return legal and list(shares) == sorted(shares, reverse=True)


def _no_less(shares: Sequence[float], least: Sequence[float]) -> bool:
    return len(shares) == len(least) and all(high >= low for high, low in zip(shares, least, strict=True))


def _positive(value: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


class AutoRule:
    """`HalvingRule` where trials can be paused, so that nothing is lost by it; elsewhere every trial runs to its end."""

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge | None:
        """See `CancelRule`."""
        return HalvingRule().follow(metric, direction, checkpoints=True) if checkpoints else None
