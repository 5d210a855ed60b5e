"""How many trials can start is what the pool then grants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl._core import Pool
from autoresearch_rl.controller.pace import startable

PARTS = st.sampled_from([0.1, 0.15, 0.25, 0.3, 1 / 3, 0.4, 0.5, 0.51, 0.6, 0.9, 1.0, 2.0])


@given(devices=st.integers(1, 4), gpu=PARTS, places=st.integers(1, 12), ends=st.lists(st.integers(0, 30), max_size=12))
def test_as_many_can_start_as_the_pool_grants(devices: int, gpu: float, places: int, ends: list[int]) -> None:
    named = {"gpu": tuple(range(devices))}
    request = {"trial": 1.0, "gpu": min(gpu, float(devices))}
    pool = Pool({"trial": float(places), "gpu": float(devices)}, named)
    key = 0
    for end in [None, *ends]:
        if end is not None and pool.holding:
            pool.release(pool.holding[end % len(pool.holding)])
        if end is None or end % 3:  # otherwise what is free adds up first
            expected, granted = startable(pool.free, request, named), 0
            while pool.submit(key, request):
                granted, key = granted + 1, key + 1
            pool.withdraw(key)
            key += 1
            assert granted == expected
