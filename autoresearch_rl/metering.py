"""What a campaign spends, followed record by record: by the reducer, which decides on it, and by whoever shows it.

Amounts are whole millionths by name (`gpu_s`, `usd`, `tokens`), so that sums are exact whatever their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from autoresearch_rl.events import (
    Incomparable,
    LlmCall,
    Opened,
    Paused,
    Record,
    Released,
    Reported,
    Resumed,
    SettledEvent,
    StartTrial,
    Terms,
)
from autoresearch_rl.trial import Outcome

MICRO = 1_000_000
UNITS: Mapping[str, str] = {"usd": "USD", "gpu_s": "GPU-seconds", "tokens": "tokens"}
LIMITS = (*(f"max_{name}" for name in UNITS), "max_trial_usd")
"""Settings that a meter needs to know, as they stand in the journal."""
NOTHING: Mapping[str, float] = {"gpu_s": 0.0, "usd": 0.0}
"""`Outcome.usage` of an attempt that never ran."""

Amounts = Mapping[str, int]


@dataclass(slots=True)
class _Attempt:
    """One that runs: since when, on what, what is reserved for it, when it gave back what only training needs."""

    begun_s: float
    resources: Mapping[str, float]
    reserved: Amounts
    released_s: float | None = None


class Meter:
    """One campaign's.

    Attributes:
        limits: Those of `LIMITS` that are set, with the changes of resumes.
        spent: What attempts that have ended and language models came to. A name that is not there is not known.
        ended: What the trial that ended last has cost in all its attempts, by name with unit.
    """

    def __init__(self) -> None:
        self.limits: dict[str, float] = {}
        self.spent: dict[str, int] = {}
        self.ended: Mapping[str, float] = {}
        self._terms = Terms()
        self._attempts: dict[int, _Attempt] = {}
        self._trials: dict[int, Amounts] = {}  # earlier attempts of trials that go on
        self._latest: Amounts = {}

    def begin(self, terms: Terms) -> None:
        """The campaign is opened under these."""
        self._terms = terms
        self._limit(terms.limits)

    def feed(self, record: Record | Reported, elapsed_s: float) -> None:
        """Takes a record of the journal, in constant time; most cost nothing."""
        match record:
            case Opened():
                self.begin(record.terms)
            case Resumed(limits=limits):
                self._limit(limits)
            case LlmCall(reply=reply):
                usd = _micro(reply.usd, round) if reply.usd is not None else None
                self._add({"tokens": (reply.tokens_in + reply.tokens_out) * MICRO, **({} if usd is None else {"usd": usd})})
            case StartTrial(trial=trial):
                reserved = self.longest(record.resources, record.ran_s, trial.number)
                self._attempts[trial.number] = _Attempt(elapsed_s, record.resources, reserved)
            case Released(number=number) if number in self._attempts:
                self._release(self._attempts[number], elapsed_s)
            case Paused():
                self._end(record.number, record.part, elapsed_s, goes_on=True)
            case SettledEvent():
                self._end(record.number, record.outcome, elapsed_s, goes_on=record.outcome.status == "lost")
            case Incomparable(then="again"):
                self._trials[record.number] = self._latest
            case _:
                pass

    def longest(self, resources: Mapping[str, float], ran_s: float = 0.0, number: int = -1) -> Amounts:
        """What an attempt that holds these may cost at most: by the timeouts of its stages, or as declared.

        `ran_s`: seconds of training that trial `number` has behind it, if it goes on from there.
        """
        if self._is_free(resources):
            return {}
        train_s, predict_s, evaluate_s = (self._terms.timeouts.get(stage, 0.0) for stage in ("train", "predict", "evaluate"))
        held_s = train_s + predict_s - min(ran_s, max(0.0, train_s - 1.0))
        most = self._cost(resources, held_s, evaluate_s, math.ceil)
        if "max_trial_usd" in self.limits:
            before = self._trials.get(number, {}).get("usd", 0) if ran_s > 0 else 0
            most["usd"] = max(0, _micro(self.limits["max_trial_usd"], math.ceil) - before)
        return most

    def _is_free(self, resources: Mapping[str, float]) -> bool:
        """Whether nothing is known to cost anything, as where a laptop's cores run the trials."""
        return self._terms.usd_per_h is None and not resources.get("gpu", 0.0) and "max_trial_usd" not in self.limits

    def reserved(self) -> Iterator[Amounts]:
        """What is set aside for each attempt that runs, with what it has used already."""
        return (attempt.reserved for attempt in self._attempts.values())

    def so_far(self, now_s: float) -> dict[str, float]:
        """Spent by name with unit, running attempts included by the time that they have run."""
        total = dict(self.spent)
        for attempt in self._attempts.values():
            since_s = now_s - attempt.begun_s
            after_s = 0.0 if attempt.released_s is None else now_s - attempt.released_s
            for name, amount in self._cost(attempt.resources, since_s - after_s, after_s, round).items():
                total[name] = total.get(name, 0) + max(0, min(amount, attempt.reserved.get(name, amount)))
        return {name: amount / MICRO for name, amount in total.items()}

    def line(self, now_s: float) -> str:
        """What is spent, of how much, in one line; empty where nothing costs anything and nothing is limited."""
        total = self.so_far(now_s)
        limits = {name: self.limits.get(f"max_{name}") for name in UNITS}
        known = [name for name in UNITS if total.get(name, 0.0) > 0 or limits[name] is not None]
        return ", ".join(of_limit(name, total.get(name, 0.0), limits[name]) for name in known)

    def _limit(self, limits: Mapping[str, object]) -> None:
        for name in LIMITS:
            value = limits.get(name, self.limits.get(name))
            if isinstance(value, int | float):
                self.limits[name] = float(value)
            else:
                self.limits.pop(name, None)

    def _cost(
        self, resources: Mapping[str, float], held_s: float, after_s: float, rounded: Callable[[float], int]
    ) -> dict[str, int]:
        """Of an attempt that held everything for a time, and then only its place; what is not known is left out."""
        gpus, places = resources.get("gpu", 0.0), resources.get("trial", 1.0)
        cost = {"gpu_s": _micro(gpus * held_s, rounded)} if gpus > 0 else {}
        whole, place = self._terms.usd_per_h, self._terms.released_usd_per_h
        if whole is not None:  # who has the machine to itself pays for all places
            held = whole + (places - 1.0) * place
            cost["usd"] = _micro((held * held_s + places * place * after_s) / 3600, rounded)
        return cost

    def _release(self, attempt: _Attempt, now_s: float) -> None:
        """From here on it only pays for its place; what was reserved for longer training is free."""
        attempt.released_s = now_s
        least = self._cost(attempt.resources, now_s - attempt.begun_s, self._terms.timeouts.get("evaluate", 0.0), math.ceil)
        if "max_trial_usd" in self.limits:
            least.pop("usd", None)  # its reservation has nothing to do with time
        attempt.reserved = {**attempt.reserved, **least}

    def _end(self, number: int, outcome: Outcome, now_s: float, *, goes_on: bool) -> None:
        attempt = self._attempts.pop(number, None)
        cost = {} if attempt is None else self._actual(attempt, outcome, now_s)
        self._add(cost)
        before = self._trials.pop(number, None)
        total = self._latest = cost if before is None else _sum(before, cost)
        self.ended = {name: amount / MICRO for name, amount in total.items()}
        if goes_on:
            self._trials[number] = total

    def _actual(self, attempt: _Attempt, outcome: Outcome, now_s: float) -> Amounts:
        """As the target reports it, else by the time that it took, else what was declared that it may cost."""
        whole_s = outcome.elapsed_s if outcome.elapsed_s > 0 else now_s - attempt.begun_s
        after_s = 0.0 if attempt.released_s is None else min(whole_s, now_s - attempt.released_s)
        cost = self._cost(attempt.resources, whole_s - after_s, after_s, round)
        if "usd" not in cost and "usd" in attempt.reserved:
            cost["usd"] = attempt.reserved["usd"]
        for name in ("gpu_s", "usd"):
            told = outcome.usage.get(name)
            if told is not None and math.isfinite(told) and told >= 0:
                cost[name] = _micro(told, round)
        return cost

    def _add(self, amounts: Amounts) -> None:
        if amounts:
            self.spent = _sum(self.spent, amounts)


def of_limit(name: str, amount: float, limit: float | None) -> str:
    """`4.20 of 5.00 USD`, `5.03 of 5.00 USD, 0.03 over`, `12,345 tokens`: an amount in words."""
    if limit is None:
        return f"{shown(name, amount)} {UNITS[name]}"
    over = f", {shown(name, amount - limit)} over" if round((amount - limit) * MICRO) > 0 else ""
    return f"{shown(name, amount)} of {shown(name, limit)} {UNITS[name]}{over}"


def shown(name: str, amount: float) -> str:
    """The amount's number: cents, or two digits of what is less, up to millionths; whole tokens; tenths of a second below 100."""
    if name == "usd":
        digits = 2 if amount >= 0.1 or amount < 1e-6 else min(6, 1 - math.floor(math.log10(amount)))
        text = f"{amount:,.{digits}f}"
        return text if digits == 2 else text.rstrip("0")
    return f"{amount:,.0f}" if name == "tokens" or amount >= 100 or amount == int(amount) else f"{amount:.1f}"


def _micro(amount: float, rounded: Callable[[float], int]) -> int:
    # A product of floats may miss a whole number of millionths by a hair, which is not to be rounded up to the next one.
    return rounded(round(amount * MICRO, 3))


def _sum(left: Amounts, right: Amounts) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in (*left, *(name for name in right if name not in left))}
