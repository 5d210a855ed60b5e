"""Cancel rules: which running trials are doomed, and which paused ones go on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from autoresearch_rl.history import History
from autoresearch_rl.trial import Curve, Direction, Order, Settled


class Judge(Protocol):
    """Follows the learning curves of one campaign. Called by the loop's thread; must be a deterministic function of its calls.

    Trials are known by their numbers. Neither the baseline nor repeats are reported on.
    """

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        """Returns an order for a running trial with this curve so far, None to let it go on; at most 20 times a second a trial."""
        ...

    def settled(self, settled: Settled, history: History) -> None:
        """Hears how a trial ended, the baseline and repeats too, with its whole curve; `history` holds it."""
        ...

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        """Returns which of the paused trials should go on now, the best first; asking changes nothing.

        `ending`: no new trial will come, so what is not taken up now or at a later call is given up once nothing runs any more.
        """
        ...


class CancelRule(Protocol):
    """What `controller.cancel` chooses."""

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Judge | None:
        """Begins a campaign whose curves are of `metric`; returns None where it has nothing to say.

        `checkpoints`: trials can be paused, so that an order may be `pause`.
        """
        ...
