"""How far ahead to ask: from the times that asks and trials have taken so far."""

from __future__ import annotations

import math

_DECAY = 0.7


class Pace:
    """Times of one campaign. A part of the reducer: its state is a function of the events."""

    def __init__(self) -> None:
        self._asked_s = self._ask_s = self._trial_s = 0.0

    def asked(self, elapsed_s: float) -> None:
        """The policy is asked."""
        self._asked_s = elapsed_s

    def answered(self, elapsed_s: float) -> None:
        """It has answered."""
        took_s = elapsed_s - self._asked_s
        self._ask_s = took_s if self._ask_s == 0 else _DECAY * self._ask_s + (1 - _DECAY) * took_s

    def settled(self, trial_s: float) -> None:
        """A trial took so long."""
        # Geometric: times have heavy tails, and one long trial says nothing of how many short ones end meanwhile.
        self._trial_s = self._trial_s**_DECAY * trial_s ** (1 - _DECAY) if self._trial_s > 0 else trial_s

    def lookahead(self, concurrency: int) -> int:
        """Proposals to keep ready beyond those that can start, so that no place is idle while the policy thinks."""
        if self._ask_s <= 0 or self._trial_s <= 0:
            return 0
        # Trials that end while one ask is answered: below a tenth, waiting costs less than deciding on older knowledge.
        ended = concurrency * self._ask_s / self._trial_s
        # One ask is open at a time: what ends while it is may have to wait for the one after it, so twice as many.
        return 0 if ended < 0.1 else min(math.ceil(2 * ended), 4 * concurrency)
