"""How many pairs of submit and release the resource pool takes a second, against a plain pool in Python.

Each request is for 1 of 8 processors and 1 of 8 devices: with nobody waiting; with 100 that wait and take turns; and beside 100
that wait for 7 devices, of which the first is owed a reservation. The plain pool lends to whoever fits, without reservations, so
it does less. Processor time. Run: python benchmarks/bench_pool.py [PAIRS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from autoresearch_rl._core import Pool
from benchmarks.rows import Row, report

WAITING, REQUEST = 100, {"cpu": 1.0, "gpu": 1.0}
GATE = 500_000


Started = list[tuple[int, dict[str, list[int]]]]


class PlainPool:
    """The peer: amounts in integer millionths, whole devices, first in first out with backfill to whoever fits."""

    def __init__(self, capacity: Mapping[str, float], devices: Mapping[str, tuple[int, ...]]) -> None:
        self.free = {name: round(amount * 1e6) for name, amount in capacity.items()}
        self.indices = {name: list(indices) for name, indices in devices.items()}
        self.queue: list[tuple[int, dict[str, int], dict[str, int]]] = []
        self.held: dict[int, tuple[dict[str, int], dict[str, list[int]]]] = {}

    def submit(self, key: int, request: Mapping[str, float]) -> Started:
        """Queues a request; returns what starts."""
        if key in self.held or any(key == other for other, _, _ in self.queue):
            raise ValueError(f"key {key} is in use")
        amounts = {name: round(amount * 1e6) for name, amount in request.items() if name in self.free}
        self.queue.append((key, amounts, {name: int(count) for name, count in request.items() if name in self.indices}))
        return self._start()

    def release(self, key: int) -> Started:
        """Gives back what a key holds; returns what starts."""
        amounts, devices = self.held.pop(key)
        for name, amount in amounts.items():
            self.free[name] += amount
        for name, indices in devices.items():
            self.indices[name] += indices
        return self._start()

    def _start(self) -> Started:
        started: Started = []
        for key, amounts, counts in [each for each in self.queue if self._fits(each)]:
            if not self._fits((key, amounts, counts)):
                continue  # another one took it meanwhile
            for name, amount in amounts.items():
                self.free[name] -= amount
            taken = {name: [self.indices[name].pop() for _ in range(count)] for name, count in counts.items()}
            self.held[key] = amounts, taken
            started.append((key, taken))
        if started:
            self.queue = [each for each in self.queue if each[0] not in self.held]
        return started

    def _fits(self, request: tuple[int, dict[str, int], dict[str, int]]) -> bool:
        for name, amount in request[1].items():
            if self.free[name] < amount:
                return False
        return all(len(self.indices[name]) >= count for name, count in request[2].items())


def main() -> None:
    """Prints a row for each load of the pool."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    print(f"{'pairs a second of processor time':52} {'ours':>10} {'plain':>10} {'ratio':>7}   gate {GATE} with 100 waiting")
    for name, measure in (
        ("nobody waits", lambda pool, count: alone(pool, count, waiting=0)),
        ("100 wait and take turns", turns),
        ("100 wait for 7 devices behind one that has 4", lambda pool, count: alone(pool, count, waiting=WAITING)),
    ):
        ours = max(measure(_new(Pool), pairs) for _ in range(5))
        theirs = max(measure(_new(PlainPool), pairs // 20) for _ in range(3))
        print(f"{name:52} {ours:10.0f} {theirs:10.0f} {ours / theirs:7.1f}")
        report(Row(f"pool: pairs of submit and release a second, {name}", ours, "plain Python pool", theirs, more=True))


def alone(pool: Any, count: int, waiting: int) -> float:
    """Pairs a second, each granted and given back at once."""
    if waiting:
        pool.submit(0, {"gpu": 4.0})
        for key in range(1, waiting + 1):
            pool.submit(key, {"gpu": 7.0})
    begun_s = time.process_time()
    for key in range(1000, 1000 + count):
        pool.submit(key, REQUEST)
        pool.release(key)
    return count / (time.process_time() - begun_s)


def turns(pool: Any, count: int) -> float:
    """Pairs a second, where each release starts the request that has waited longest."""
    ahead = 8 + WAITING
    for key in range(ahead):
        pool.submit(key, REQUEST)
    begun_s = time.process_time()
    for key in range(ahead, ahead + count):
        pool.submit(key, REQUEST)
        pool.release(key - ahead)
    return count / (time.process_time() - begun_s)


def _new(make: Callable[..., Any]) -> Any:
    return make({"cpu": 8.0}, {"gpu": tuple(range(8))})


if __name__ == "__main__":
    main()
