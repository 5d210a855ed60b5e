"""How well the loop keeps 8 workers busy, on the virtual clock: the real reducer and pool, made-up trials.

Against the online list schedule of the same sequence (each trial to the worker that is free first); whether small trials starve a
large one; and how busy the workers are where asks take 20 s and trials 30 s. Run: python benchmarks/bench_schedule.py
"""

from __future__ import annotations

import heapq
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from autoresearch_rl._core import Grant, Pool
from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.journal import Blobs
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.events import SettledEvent, StartTrial
from autoresearch_rl.policy.random import Random
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.simulation import FakeRun, Simulation, opening
from autoresearch_rl.trial import Outcome, Status
from benchmarks.rows import Row, report

WORKERS, TRIALS, SEEDS = 8, 400, range(10)
ASK_S, TRIAL_S = 20.0, 30.0
SPACE = SearchSpace.from_config({"x": {"low": 0.0, "high": 1.0}})


def main() -> None:
    """Prints a table."""
    shares = [100 * against_list_schedule(seed) for seed in SEEDS]
    report(Row("schedule: least throughput, % of the peer's", min(shares), "online list schedule", 100.0, more=True))
    print(f"{'throughput of the list schedule, lognormal (sigma 1), instant asks':72} {_least(shares)}")
    least: dict[int | str, float] = {}
    for name, seconds in (("constant", constant), ("lognormal (sigma 1)", lognormal)):
        lookaheads: Sequence[int | Literal["auto"]] = ("auto", 0)
        for lookahead in lookaheads:
            busy = [100 * busy_share(seed, seconds, lookahead) for seed in SEEDS]
            least[lookahead] = min(busy)
            print(f"{f'busy workers, asks of 20 s, {name} trials of 30 s, lookahead={lookahead}':72} {_least(busy)}")
        what = f"schedule: workers busy while asks take 20 s, {name} trials of 30 s, least %"
        report(Row(what, least["auto"], "no lookahead", least[0], more=True))
    waits = [large_behind_small(seed) for seed in SEEDS]
    print(f"{'a trial of all 8 GPUs behind endless small ones starts at':72} {max(waits):.2f} of when those before it have ended")


def constant(_: int, __: int) -> float:
    """Seconds of a trial: all the same."""
    return TRIAL_S


def lognormal(number: int, seed: int) -> float:
    """Seconds of a trial: heavy-tailed with the same mean."""
    return float(np.random.default_rng([seed, number]).lognormal(np.log(TRIAL_S) - 0.5, 1.0))


def against_list_schedule(seed: int) -> float:
    """Makespan of the list schedule of the same trials in the same order, over the loop's."""
    sim = campaign(seed, lognormal, ask_s=0.0, lookahead="auto")
    free, end_s = [lognormal(0, seed)] * WORKERS, 0.0  # the baseline runs alone
    for number in range(1, TRIALS):
        done_s = heapq.heappop(free) + lognormal(number, seed)
        heapq.heappush(free, done_s)
        end_s = max(end_s, done_s)
    return end_s / sim.now_s


def busy_share(seed: int, seconds: Callable[[int, int], float], lookahead: int | Literal["auto"]) -> float:
    """Share of worker seconds in use between ramp (all workers were busy once) and tail (the last trial has started)."""
    sim = campaign(seed, seconds, ask_s=ASK_S, lookahead=lookahead)
    running, begun_s, last_s, used_s, ramp_s = 0, 0.0, 0.0, 0.0, -1.0
    end_s = max(e.elapsed_s for e in sim.entries if isinstance(e.record, StartTrial))
    for entry in sim.entries:
        if entry.elapsed_s > end_s:
            break
        if ramp_s >= 0:
            used_s += running * (entry.elapsed_s - last_s)
        last_s = entry.elapsed_s
        running += isinstance(entry.record, StartTrial) - isinstance(entry.record, SettledEvent)
        if ramp_s < 0 and running == WORKERS:
            ramp_s = begun_s = entry.elapsed_s
    return used_s / (WORKERS * (end_s - begun_s))


def large_behind_small(seed: int) -> float:
    """When a request for all GPUs starts behind others that never cease to come, over the time when those before it have ended."""
    rng = np.random.default_rng(seed)
    pool = Pool({"gpu": 8.0}, {"gpu": tuple(range(8))})
    ends: list[tuple[float, int]] = []

    def begin(grants: Sequence[Grant], now_s: float) -> bool:
        """Lets what was granted run; whether the large one is among it."""
        for grant in grants:
            heapq.heappush(ends, (now_s + float(rng.lognormal(0.0, 1.0)), grant.key))
        return any(grant.key == 0 for grant in grants)

    for key in range(1, 17):  # 8 run, 8 wait
        begin(pool.submit(key, {"gpu": 1.0}), 0.0)
    pool.submit(0, {"gpu": 8.0})
    fair_s, key, large = 0.0, 16, False
    while not large:
        now_s, ended = heapq.heappop(ends)
        fair_s = now_s if ended <= 16 else fair_s
        key += 1
        large = begin([*pool.release(ended), *pool.submit(key, {"gpu": 1.0})], now_s)
    return now_s / fair_s


def campaign(seed: int, seconds: Callable[[int, int], float], *, ask_s: float, lookahead: int | Literal["auto"]) -> Simulation:
    """A finished campaign of random proposals."""

    def run_trial(start: StartTrial) -> FakeRun:
        took_s = seconds(start.trial.number, seed)
        outcome = Outcome(status=Status.OK, score=1.0, metrics={"loss": 1.0}, elapsed_s=took_s)
        return FakeRun(seconds=took_s, outcome=outcome)

    settings = Settings(
        keep=StrictRule("loss"),
        seed=seed,
        concurrency=WORKERS,
        max_trials=TRIALS,
        lookahead=lookahead,
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = Sources(Blobs(Path(folder)))
        driven = Campaign(settings, sources, direction="minimize", request={}, devices={})
        sim = Simulation(driven, Proposer(Random(space=SPACE), SPACE, settings), run_trial, ask_s=lambda _: ask_s)
        sim.run([opening(sources.add({"train.py": "x = 1\n"}), SPACE.defaults, seed=seed)])
    return sim


def _least(percent: Sequence[float]) -> str:
    return f"least {min(percent):6.2f} %, median {statistics.median(percent):6.2f} %"


if __name__ == "__main__":
    main()
