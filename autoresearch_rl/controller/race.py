"""Which trials go on: feeds the cancel rule, keeps the control group, and what paused trials came to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from autoresearch_rl.controller.cancel import CancelRule, Judge
from autoresearch_rl.controller.curve import CurveBuilder
from autoresearch_rl.events import OrderTrial, Spare
from autoresearch_rl.history import History
from autoresearch_rl.joining import joined
from autoresearch_rl.trial import Curve, Direction, Outcome, Progress, Settled, Trial


class Race:
    """One campaign's. A part of the reducer: its state is a function of the events.

    Attributes:
        paused: Trials that wrote a checkpoint and hold nothing, as their latest attempt, by number.
    """

    def __init__(self, rule: CancelRule | None, *, control_share: float, seed: int) -> None:
        self.paused: dict[int, Trial] = {}
        self._rule, self._share, self._seed = rule, control_share, seed
        self._checkpoints = False
        self._judge: Judge | None = None  # None before the campaign is opened, and where nothing is judged
        self._curves: dict[int, CurveBuilder] = {}
        self._parts: dict[int, list[Outcome]] = {}
        self._ran_s: dict[int, float] = {}
        self._spared: set[int] = set()

    def begin(self, metric: str, direction: Direction, *, checkpoints: bool) -> None:
        """The campaign is opened; its learning curves are of `metric`."""
        self._checkpoints = checkpoints
        if self._rule is not None:
            self._judge = self._rule.follow(metric, direction, checkpoints=self._checkpoints)

    @property
    def watches(self) -> bool:
        """Whether learning curves decide anything."""
        return self._judge is not None

    def report(self, trial: Trial, progress: Progress, elapsed_s: float, history: History) -> OrderTrial | Spare | None:
        """Returns what becomes of a running trial, None where it goes on."""
        if self._judge is None:
            return None
        curve = self._curves.setdefault(trial.number, CurveBuilder())
        curve.add(progress, elapsed_s)
        if trial.number == 0 or trial.proposal.repeat_of is not None or trial.number in self._spared:
            return None  # no baseline for the others, only the lucky seeds in a mean
        order = self._judge.report(trial.number, curve.build(), history)
        if order is None:
            return None
        if order.kind == "pause" and not self._checkpoints:
            order = replace(order, kind="cancel")
        if order.kind == "cancel" and self._controls(trial.number):
            self._spared.add(trial.number)
            return Spare(number=trial.number, attempt=trial.attempt, order=order)
        return OrderTrial(number=trial.number, attempt=trial.attempt, order=order)

    def pause(self, trial: Trial, part: Outcome) -> None:
        """A trial was paused; `part` is what its attempt came to."""
        self.paused[trial.number] = trial
        trained_s = sum(span.ended_s - span.begun_s for span in part.spans if span.stage == "train")
        self._ran_s[trial.number] = self.ran_s(trial.number) + trained_s
        self.leave(trial, part)

    def spare(self, number: int) -> None:
        """A trial is measured again: it has come to its end once, and is not judged on its way there a second time."""
        self._spared.add(number)

    def leave(self, trial: Trial, part: Outcome) -> None:
        """An attempt ended from whose checkpoint the next one may go on; its part counts where the task has checkpoints."""
        if self._checkpoints:
            self._parts.setdefault(trial.number, []).append(part)

    def ran_s(self, number: int) -> float:
        """Seconds that training took before it was paused. Of a part that was lost nobody knows how much the next one has to redo."""
        return self._ran_s.get(number, 0.0)

    def outcome(self, number: int, outcome: Outcome) -> Outcome:
        """The outcome of a trial that has settled, its earlier parts included."""
        self._curves.pop(number, None)
        self._spared.discard(number)
        self._ran_s.pop(number, None)
        self.paused.pop(number, None)
        return joined(self._parts.pop(number, ()), outcome)

    def settled(self, settled: Settled, history: History) -> None:
        """Tells the rule how a trial ended."""
        if self._judge is not None:
            self._judge.settled(settled, history)

    def revive(self, history: History, *, ending: bool, most: int, fits: Callable[[int], bool]) -> Sequence[Trial]:
        """Paused trials to take up again, at most so many, the best first of those that fit; they are paused no longer."""
        if self._judge is None or not self.paused or most < 1:
            return ()
        revived: list[Trial] = []
        for number in self._judge.revive(tuple(self.paused), history, ending=ending):
            if len(revived) < most and fits(number):
                revived.append(self.paused.pop(number))
        return revived

    def best(self, history: History) -> int | None:
        """The paused trial that would be finished first if nothing new came, None if none is worth it."""
        if self._judge is None or not self.paused:
            return None
        return next(iter(self._judge.revive(tuple(self.paused), history, ending=True)), None)

    def finish_s(self, history: History) -> float:
        """Seconds in which the best paused trial is expected to be finished, 0 without one that says how long it takes.

        That is as long as it takes from its start: what runs meanwhile has to come to where it is paused or finished too.
        """
        best = self.best(history)
        curve = self._curves[best].build() if best is not None and best in self._curves else Curve()
        if best is None or not curve.steps or curve.step_target is None or curve.steps[-1] <= 0:
            return 0.0
        return self.ran_s(best) * max(1.0, curve.step_target / curve.steps[-1])

    def _controls(self, number: int) -> bool:
        """Whether a trial is of the control group: a fixed draw for each number."""
        drawn = hashlib.sha256(f"control {self._seed} {number}".encode()).digest()[:8]
        return int.from_bytes(drawn, "big") < self._share * 2**64
