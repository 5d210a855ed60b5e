"""Small campaigns on the virtual clock, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.journal import Blobs
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.events import Opened, Record, StartTrial
from autoresearch_rl.history import History
from autoresearch_rl.policy import Ask
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.simulation import FakeRun, Simulation, opening
from autoresearch_rl.trial import Curve, Direction, Order, Outcome, Proposal, Settled, Status

SPACE = SearchSpace.from_config({"x": {"low": 0.0, "high": 1.0}})
FILES = {"train.py": "x = 1\n"}


class Uniform:
    """Proposes uniformly; `left` limits how many in all, by what the history shows."""

    def __init__(self, left: int = 10**9) -> None:
        self.left = left

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        seen = len(ask.history) + len(ask.history.pending)
        count = max(0, min(ask.count, self.left - seen))
        return [Proposal(params={"x": float(ask.rng.uniform())}, source="uniform") for _ in range(count)]


class Condemning:
    """Base of cancel rules without memory, for which `doomed` says what becomes of a curve."""

    metric = ""

    def doomed(self, curve: Curve) -> Order | None:
        raise NotImplementedError

    def follow(self, metric: str, direction: Direction, *, checkpoints: bool) -> Condemning:
        self.metric = metric
        return self

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        return self.doomed(curve)

    def settled(self, settled: Settled, history: History) -> None:
        pass

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        return ()


class Scripted:
    """Calls one function after the other, the last one for ever."""

    def __init__(self, *answers: Callable[[Ask], Sequence[Proposal]]) -> None:
        self.answers = list(answers)

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(ask)


def ok(score: float, **more: Any) -> Outcome:
    return Outcome(status=Status.OK, score=score, metrics={"loss": score}, **more)


def heavy_tail(start: StartTrial) -> FakeRun:
    """Lognormal times (sigma 1), loss (x - 0.3)^2."""
    x = float(start.trial.proposal.params["x"])
    seconds = float(np.random.default_rng(start.trial.number).lognormal(0.0, 1.0))
    return FakeRun(seconds=seconds, outcome=ok((x - 0.3) ** 2, elapsed_s=seconds))


def simulation(
    tmp_path: Path,
    run_trial: Callable[[StartTrial], FakeRun] = heavy_tail,
    *,
    policy: Any = None,
    request: Mapping[str, float] | None = None,
    devices: Mapping[str, Sequence[int]] | None = None,
    driver: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Simulation:
    chosen = Settings(**{"keep": StrictRule("loss"), "max_trials": 20, **settings})
    sources = Sources(Blobs(tmp_path))
    campaign = Campaign(chosen, sources, direction="minimize", request=request or {}, devices=devices or {})
    sources.add(FILES)
    proposer = Proposer(policy or Uniform(), SPACE, chosen)
    return Simulation(campaign, proposer, run_trial, **(driver or {}))


def records(sim: Simulation, kind: type[Record]) -> list[Any]:
    return [entry.record for entry in sim.entries if isinstance(entry.record, kind)]


def opened(sim: Simulation, tmp_path: Path, progress_metric: str = "loss") -> Opened:
    return opening(Sources(Blobs(tmp_path)).add(FILES), SPACE.defaults, progress_metric=progress_metric)
