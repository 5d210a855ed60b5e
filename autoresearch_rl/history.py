"""The record of a campaign's trials and decisions, and views of it as of one moment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from autoresearch_rl.trial import Candidate, Decision, Direction, Outcome, Settled, Trial


class HistoryLog:
    """Append-only record behind `History`; only the campaign's reducer and readers of journals extend it."""

    def __init__(self, direction: Direction) -> None:
        self.direction: Direction = direction
        self.settled: list[Settled] = []
        self.decisions: list[Decision] = []
        self._index: dict[int, int] = {}
        self._again: dict[int, list[Settled]] = {}  # trials of candidates that were measured again; most are not
        self._newest: dict[int, Candidate] = {}  # the same as they were when somebody asked last
        self._pending: dict[int, Trial] = {}
        self.leader: int | None = None
        self.confirmed: int | None = None

    def submit(self, trial: Trial) -> None:
        """Adds a trial that waits, runs, or runs again as its next attempt."""
        self._pending[trial.number] = trial

    def settle(self, trial: Trial, outcome: Outcome) -> None:
        """Records a final outcome; each trial settles once."""
        del self._pending[trial.number]
        self._index[trial.number] = len(self.settled)
        self.settled.append(settled := Settled(trial=trial, outcome=outcome))
        root = trial.candidate
        if root != trial.number or root in self._again:
            self._again.setdefault(root, [self.settled[self._index[root]]] if root in self._index else []).append(settled)

    def decide(self, decision: Decision) -> None:
        """Records the keep rule's decision."""
        self.decisions.append(decision)
        if decision.leads:
            self.leader = decision.candidate
        if decision.verdict == "keep":
            self.confirmed = decision.candidate

    def view(self) -> History:
        """Snapshot as of now, in time independent of the number of settled trials."""
        return History(self, tuple(self._pending.values()))

    def find(self, number: int, length: int) -> Settled | None:
        """The trial of that number, if it is among the first `length` that settled."""
        position = self._index.get(number)
        return self.settled[position] if position is not None and position < length else None

    def candidate(self, root: int, length: int) -> Candidate | None:
        """A candidate as of then, None if it has no trial; made once for each of its trials, as it may have a thousand of them."""
        again = self._again.get(root)
        if again is None:
            return None if (once := self.find(root, length)) is None else _candidate(root, (once,))
        count = len(again)  # asked for first: another thread may settle one meanwhile
        if length < len(self.settled):
            count = bisect_left(again, length, key=lambda settled: self._index[settled.trial.number])
        newest = self._newest.get(root)
        if newest is None or len(newest.trials) != count:
            newest = self._newest[root] = _candidate(root, tuple(again[:count]))
        return newest if count else None


class History:
    """Read-only view of a campaign's trials as of one moment; later trials do not show in it.

    Attributes:
        direction: `minimize` or `maximize`.
        pending: Trials that wait or run.
        leader: Number of the leading candidate, None before the first score.
        confirmed: Number of the last candidate proven better than the one confirmed before it.
    """

    __slots__ = ("_decided", "_length", "_log", "confirmed", "direction", "leader", "pending")

    def __init__(self, log: HistoryLog, pending: tuple[Trial, ...]) -> None:
        self._log, self._length, self._decided = log, len(log.settled), len(log.decisions)
        self.direction, self.leader, self.confirmed, self.pending = log.direction, log.leader, log.confirmed, pending

    def __len__(self) -> int:
        """Number of settled trials."""
        return self._length

    @property
    def settled(self) -> Sequence[Settled]:
        """Settled trials in the order settled; a copy, O(n)."""
        return self._log.settled[: self._length]

    def last(self, count: int) -> Sequence[Settled]:
        """The last `count` settled trials (fewer if there are fewer), O(count)."""
        return self._log.settled[max(0, self._length - count) : self._length]

    @property
    def decisions(self) -> Sequence[Decision]:
        """Decisions in the order made; a copy, O(n)."""
        return self._log.decisions[: self._decided]

    def find(self, number: int) -> Settled | None:
        """The settled trial of that number, None if it has not settled in this view."""
        return self._log.find(number, self._length)

    def candidate(self, number: int) -> Candidate | None:
        """The candidate that began with trial `number`, None if none of its trials has settled in this view."""
        return self._log.candidate(number, self._length)

    @property
    def candidates(self) -> Sequence[Candidate]:
        """All candidates with a settled trial, by number, O(n)."""
        roots = {s.trial.candidate for s in self.settled}
        return [candidate for root in sorted(roots) if (candidate := self.candidate(root)) is not None]

    def better(self, left: float, right: float) -> bool:
        """Whether score `left` beats score `right`."""
        return left < right if self.direction == "minimize" else left > right


def _candidate(number: int, trials: tuple[Settled, ...]) -> Candidate:
    scores = [settled.outcome.score for settled in trials if settled.outcome.score is not None]
    n = len(scores)
    mean = sum(scores) / n if n else None
    sd = (sum((score - mean) ** 2 for score in scores) / (n - 1)) ** 0.5 if mean is not None and n > 1 else None
    return Candidate(number=number, trials=trials, n=n, mean=mean, sd=sd)
