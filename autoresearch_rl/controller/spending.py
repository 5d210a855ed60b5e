"""Budgets: a trial starts only if what it may cost at most fits into what is left of each."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from autoresearch_rl.controller.race import Race
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import Problem
from autoresearch_rl.events import Incomparable, Record, StartTrial, Terms
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.metering import LIMITS, MICRO, UNITS, Amounts, Meter, of_limit, shown
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Budget

_USED = {"usd": "spent", "gpu_s": "used", "tokens": "used"}


class Spending:
    """Trials on their way to the pool, first come first served. A part of the reducer: its state is a function of the records.

    Without limits everything goes through at once.

    Attributes:
        meter: What is spent.
    """

    def __init__(self, request: Callable[[int], Mapping[str, float]], race: Race, log: HistoryLog) -> None:
        """`request`: what a trial will hold, by its number; -1 for one that is yet to come."""
        self.meter, self._now_s = Meter(), 0.0
        self._request, self._race, self._log = request, race, log
        self._first: deque[int] = deque()
        self._later: deque[int] = deque()
        self._promised: dict[int, Amounts] = {}  # reserved for trials that have gone to the pool and wait there

    def feed(self, record: Record, elapsed_s: float) -> None:
        """Takes an event, before it is acted upon."""
        self._now_s = elapsed_s
        self.meter.feed(record, elapsed_s)

    def follow(self, effect: StartTrial | Incomparable) -> None:
        """Takes an effect of the latest event."""
        self.meter.feed(effect, self._now_s)
        if isinstance(effect, StartTrial):
            self._promised.pop(effect.trial.number, None)

    def queue(self, number: int, *, first: bool) -> None:
        """Lines a trial up; `first`: before all that are not."""
        (self._first if first else self._later).append(number)

    def take_back(self, numbers: Sequence[int]) -> None:
        """Lines trials up again, before the others, that have gone to the pool and wait there; nothing is reserved for them."""
        for number in reversed(numbers):
            del self._promised[number]
            self._later.appendleft(number)

    def admit(self) -> list[int]:
        """Trials that may go to the pool now, in order; nobody overtakes one that does not fit."""
        admitted = []
        for line in (self._first, self._later):
            while line and not self._short(self._most(line[0]), self._kept()):
                number = line.popleft()
                self._promised[number] = self._most(number)
                admitted.append(number)
            if line:
                break
        return admitted

    def reserve(self, number: int) -> bool:
        """Reserves what a paused trial may need to its end, if it is there; then it may go to the pool."""
        most = self._most(number)
        if fits := not self._short(most, {}):
            self._promised[number] = most
        return fits

    def withdraw(self) -> None:
        """Nobody is on the way any more."""
        self._first.clear()
        self._later.clear()
        self._promised.clear()

    def room(self) -> float:
        """How many trials beyond those that are known may be started, infinite without limits."""
        rooms = [math.inf]
        for name in self._limited:
            most, free = self._most(-1).get(name, 0), self._free(name)
            spare = free - self._kept().get(name, 0) - (len(self._first) + len(self._later)) * most
            rooms.append(0 if free <= 0 else spare // most if most else math.inf)
        return max(0, min(rooms))

    def shortage(self) -> str:
        """Why the next trial cannot start although nothing runs, as a sentence; empty if it can."""
        head = next(iter((*self._first, *self._later)), -1)
        for name in self._limited if head < 0 else ():
            if self._free(name) <= 0:
                return self._sentence(name, 0, 0)
        return self._short(self._most(head), self._kept())

    def left(self, name: str) -> float | None:
        """What is neither spent nor reserved, in the unit of its name; None where there is no limit."""
        return max(0, self._free(name)) / MICRO if name in self._limited else None

    def budget(self, settings: Settings, trials: int, elapsed_s: float) -> Budget:
        """What is left of each limit after so many trials and active seconds."""
        limit, limit_s = settings.max_trials, settings.max_wall_s
        return Budget(
            trials=None if limit is None else max(0, limit - trials),
            wall_s=None if limit_s is None else max(0.0, limit_s - elapsed_s),
            **{name: self.left(name) for name in UNITS},
        )

    @property
    def _limited(self) -> list[str]:
        return [name for name in UNITS if f"max_{name}" in self.meter.limits]

    def _most(self, number: int) -> Amounts:
        return self.meter.longest(self._request(number), self._race.ran_s(number), number)

    def _kept(self) -> Amounts:
        """What the best paused trial may need, which new ones leave alone."""
        best = self._race.best(self._log.view()) if self._limited else None
        return {} if best is None else self._most(best)

    def _free(self, name: str) -> int:
        taken = self.meter.spent.get(name, 0)
        taken += sum(amounts.get(name, 0) for amounts in (*self.meter.reserved(), *self._promised.values()))
        return round(self.meter.limits[f"max_{name}"] * MICRO) - taken

    def _short(self, most: Amounts, kept: Amounts) -> str:
        """Which budget a trial does not fit into, as a sentence; empty if it fits."""
        for name in self._limited:
            need, also = most.get(name, 0), kept.get(name, 0)
            if need > 0 and need + also > self._free(name):
                return self._sentence(name, need, also)
        return ""

    def _sentence(self, name: str, need: int, also: int) -> str:
        spent, limit = self.meter.spent.get(name, 0) / MICRO, self.meter.limits[f"max_{name}"]
        said = f"{of_limit(name, spent, limit)}{',' if spent > limit else ''} are {_USED[name]}"
        if need and spent < limit:
            said += f", and a trial may take {shown(name, need / MICRO)}"
            said += f" beside {shown(name, also / MICRO)} that the best paused one may need" if also else ""
        return f"{said} (controller.max_{name})"


def limits_of(settings: Settings) -> dict[str, float]:
    """The budgets that are set, as `Opened` has them."""
    return {name: value for name in LIMITS if (value := getattr(settings, name)) is not None}


def stage_timeouts(task: Task) -> dict[str, float]:
    """Seconds that each stage of a trial may take, by stage."""
    stages = ("train", "predict", "evaluate")
    return {stage: getattr(task.timeouts, f"{stage}_s") for stage in stages if getattr(task, f"{stage}_cmd") is not None}


def check_budgets(terms: Terms, gpus: float) -> list[Problem]:
    """Budgets that cannot be kept, or that not even one trial, which takes so many GPUs, fits into."""
    meter = Meter()
    meter.begin(terms)
    most = meter.longest({"gpu": gpus})
    problems = []
    if "max_usd" in meter.limits and "usd" not in most:
        message = f"controller.max_usd={meter.limits['max_usd']:g}, but nothing says what a trial costs."
        remedy = (
            "Say what a trial costs an hour, e.g. target.usd_per_h={trial: 0.10, gpu: 2.49} (0 if it is free), "
            "or what a trial may cost at most: controller.max_trial_usd."
        )
        problems.append(Problem(code="budget-without-price", message=message, remedy=remedy))
    if "max_gpu_s" in meter.limits and "gpu_s" not in most:
        message = f"controller.max_gpu_s={meter.limits['max_gpu_s']:g}, but a trial takes no gpu."
        remedy = "Say in the task that it does, resources: {gpu: 1}, or leave the limit out."
        problems.append(Problem(code="budget-without-gpu", message=message, remedy=remedy))
    for name in UNITS:
        limit, need = meter.limits.get(f"max_{name}"), most.get(name, 0) / MICRO
        if limit is not None and need > limit:
            message = f"controller.max_{name} is {shown(name, limit)}, but one trial may take {shown(name, need)} {UNITS[name]}."
            declared = name == "usd" and "max_trial_usd" in meter.limits
            remedy = "controller.max_trial_usd" if declared else "task.timeouts (train_s above all)"
            problems.append(Problem(code="budget-too-small", message=message, remedy=f"Raise it, or lower {remedy}."))
    return problems
