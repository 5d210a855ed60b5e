"""Which scores can be compared: where training takes a fixed time, only those that were measured under equal conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from autoresearch_rl.controller.hardware import hardware_class
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.events import Entry, Incomparable, Opened, SettledEvent, StartTrial
from autoresearch_rl.joining import remarked
from autoresearch_rl.trial import Conditions, Outcome, Status, Trial


class Comparability:
    """One campaign's. A part of the reducer: its state is a function of the events.

    All are compared with the baseline: the same class of hardware, and a contention that differs by at most
    `controller.contention_tolerance`, in either direction, as a baseline that was disturbed makes all others look better. So the
    baseline itself is measured again while others keep it from CPUs by more than that, and accepted as it is in the end: on
    some machines it is never quieter. What nobody measured binds nobody.
    """

    def __init__(self) -> None:
        self._binds = False
        self._reference: Conditions | None = None
        self._remarks: dict[int, list[Incomparable]] = {}

    def begin(self, *, time_budgeted: bool) -> None:
        """The campaign is opened; conditions bind only where training takes a fixed time."""
        self._binds = time_budgeted

    def request(self, number: int, request: Mapping[str, float], settings: Settings) -> Mapping[str, float]:
        """What a trial asks of the pool: one that is measured again has the machine to itself."""
        return {**request, "trial": float(settings.concurrency)} if number in self._remarks else request

    def judge(self, trial: Trial, outcome: Outcome, settings: Settings) -> tuple[Incomparable | None, Outcome]:
        """What is to be said of an attempt, None if nothing, and the outcome with it; to be asked once for each that ended.

        Only scores and timeouts are judged: to fail or to be cancelled says the same on a faster machine.
        """
        remarks = self._remarks.get(trial.number, [])
        reason = self._reason(outcome, settings) if outcome.status in (Status.OK, Status.TIMEOUT) else ""
        if not reason:
            self._settle(trial.number, outcome)
            return None, remarked(outcome, remarks)
        measured = len(remarks) + 1
        then: Literal["again", "fail", "accept"] = "again"
        if measured >= settings.max_attempts:
            then = "accept" if self._reference is None else "fail"
            reason = f"{reason}; measured {measured} times (controller.max_attempts)"
        remark = Incomparable(number=trial.number, attempt=trial.attempt, reason=reason, then=then)
        remarks = [*remarks, remark]
        if then == "again":
            self._remarks[trial.number] = remarks
            return remark, outcome
        outcome = remarked(outcome, remarks)
        self._settle(trial.number, outcome)
        return remark, outcome

    def _settle(self, number: int, outcome: Outcome) -> None:
        self._remarks.pop(number, None)
        if self._reference is None and outcome.score is not None:
            self._reference = outcome.conditions

    def _reason(self, outcome: Outcome, settings: Settings) -> str:
        """Why a measurement cannot be compared with the baseline's, empty if it can."""
        mine, theirs, tolerance = outcome.conditions, self._reference, settings.contention_tolerance
        if not self._binds or mine is None:
            return ""
        if theirs is None:
            if mine.contention is None or mine.contention <= tolerance:
                return ""
            return f"others kept its training from CPUs for {_percent(mine)} of its time, more than {_allowed(tolerance)}"
        if mine.hardware != theirs.hardware:
            return f"it ran on {mine.hardware}, the baseline on {theirs.hardware}"
        if mine.contention is None or theirs.contention is None or abs(mine.contention - theirs.contention) <= tolerance:
            return ""
        return (
            f"others kept its training from CPUs for {_percent(mine)} of its time, the baseline's for {_percent(theirs)}, "
            f"which is apart by more than {_allowed(tolerance)}"
        )


def check_hardware(opened: Opened, entries: Iterable[Entry], now: Mapping[str, str]) -> None:
    """Raises ConfigError where a time-budgeted campaign's baseline was measured on hardware that this machine has not.

    `now` are this machine's facts. A baseline that a target measured elsewhere says nothing of this machine.
    """
    start: StartTrial | None = None
    measured: Conditions | None = None
    for record in (entry.record for entry in entries):
        if isinstance(record, StartTrial) and record.trial.number == 0:
            start = record
        elif isinstance(record, SettledEvent) and record.number == 0:
            measured = record.outcome.conditions or measured
    if not opened.time_budgeted or start is None or measured is None:
        return
    then = hardware_class(opened.hardware, start.resources, start.devices)
    here = hardware_class(now, start.resources, start.devices)
    if measured.hardware != then or here == then:
        return
    message = f"Task {opened.task} is time-budgeted, and the baseline was measured on {then}; this machine is {here}."
    remedy = "Resume it on such a machine, or start a new campaign: in the same time other hardware reaches another score."
    raise ConfigError([Problem(code="hardware-changed", message=message, remedy=remedy)])


def _percent(conditions: Conditions) -> str:
    return f"{100 * (conditions.contention or 0.0):.3g} %"


def _allowed(tolerance: float) -> str:
    return f"{100 * tolerance:.3g} % (controller.contention_tolerance={tolerance:g})"
