"""How many trials can start, and how many proposals to keep ready beyond them, from the times of asks and trials seen so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autoresearch_rl.controller.settings import Settings


class Pace:
    """One campaign's. A part of the reducer: its state is a function of the events."""

    def __init__(self) -> None:
        self._asked_s = self._ask_s = self._trial_s = 0.0

    def asked(self, elapsed_s: float) -> None:
        """The policy is asked."""
        self._asked_s = elapsed_s

    def answered(self, elapsed_s: float) -> None:
        """The policy has answered."""
        took_s = elapsed_s - self._asked_s
        self._ask_s = took_s if self._ask_s == 0 else 0.7 * self._ask_s + 0.3 * took_s

    def settled(self, took_s: float) -> None:
        """A trial has settled."""
        # Geometric: times have heavy tails, and one long trial says nothing of how many short ones end meanwhile.
        self._trial_s = self._trial_s**0.7 * took_s**0.3 if self._trial_s > 0 else took_s

    def lookahead(self, settings: Settings) -> int:
        """Proposals to keep ready beyond those that can start."""
        if settings.lookahead != "auto":
            return settings.lookahead
        if self._ask_s <= 0 or self._trial_s <= 0:
            return 0
        # Trials that end while one ask is answered: below a tenth, waiting costs less than deciding on older knowledge.
        ended = settings.concurrency * self._ask_s / self._trial_s
        # One ask is open at a time: what ends while it is may have to wait for the one after it, so twice as many.
        return 0 if ended < 0.1 else min(math.ceil(2 * ended), 4 * settings.concurrency)


def startable(free: Mapping[str, float], request: Mapping[str, float], devices: Mapping[str, Sequence[int]]) -> int:
    """How many more trials can start, each with this request, where so much is free and the others that run have the same one.

    Of a device a trial that shares it has a part: what two devices have left, too little for one more on each, does not add up.
    """

    def more(name: str, amount: float) -> int:
        if amount >= 1 or name not in devices:
            return math.floor(free[name] / amount + 1e-9)
        count = len(devices[name])
        return count * math.floor(1 / amount + 1e-9) - round((count - free[name]) / amount)

    return min(more(name, amount) for name, amount in request.items() if amount > 0)
