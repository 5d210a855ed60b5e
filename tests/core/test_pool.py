"""The resource pool as Python sees it."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl._core import Grant, Pool
from autoresearch_rl.errors import PoolError


def test_grants_carry_amounts_and_devices() -> None:
    pool = Pool(MappingProxyType({"cpu": 2.5, "gpu": 2.0}), {"gpu": [3, 5]})
    (grant,) = pool.submit(7, MappingProxyType({"cpu": 0.5, "gpu": 2, "tpu": 0}))
    assert (grant.key, grant.amounts, grant.devices) == (7, {"cpu": 0.5, "gpu": 2.0}, {"gpu": (3, 5)})
    assert pool.free == {"cpu": 2.0, "gpu": 0.0}
    assert (pool.holding, pool.waiting) == ([7], [])
    assert "key=7" in repr(grant)
    with pytest.raises(AttributeError):
        grant.key = 8  # type: ignore[misc]


def test_requests_wait_in_order_and_start_when_others_release() -> None:
    pool = Pool({"trial": 2})
    assert [_keys(pool.submit(key, {"trial": 1})) for key in range(4)] == [[0], [1], [], []]
    assert pool.waiting == [2, 3]
    assert _keys(pool.release(1)) == [2]
    assert _keys(pool.withdraw(3)) == []
    assert pool.holding == [0, 2]


def test_names_are_released_apart() -> None:
    pool = Pool({"trial": 2}, {"gpu": [0]})
    pool.submit(0, {"trial": 1, "gpu": 1})
    pool.submit(1, {"trial": 1, "gpu": 1})
    (grant,) = pool.release(0, ["gpu"])
    assert (grant.key, grant.devices) == (1, {"gpu": (0,)})
    assert pool.release(0, []) == []
    assert pool.holding == [0, 1]
    pool.release(0)
    assert pool.holding == [1]


def test_withdrawing_the_head_lets_the_next_start() -> None:
    pool = Pool({"cpu": 2})
    pool.submit(0, {"cpu": 1})
    pool.submit(1, {"cpu": 2})
    assert pool.submit(2, {"cpu": 1}) == []
    assert _keys(pool.withdraw(1)) == [2]


@pytest.mark.parametrize("amount", [-1.0, float("nan"), float("inf"), -float("inf"), 1e13])
def test_what_is_no_amount_is_refused_with_its_name(amount: float) -> None:
    with pytest.raises(PoolError, match=r"cpu=.* is not an amount; give a finite number from 0 to 1e12"):
        Pool({"cpu": amount})
    with pytest.raises(PoolError, match=r"cpu=.* is not an amount"):
        Pool({"cpu": 1}).submit(0, {"cpu": amount})


def test_bad_pools_are_refused() -> None:
    with pytest.raises(PoolError, match=r"capacity gpu=3 is not the number of its devices \(2\)"):
        Pool({"gpu": 3}, {"gpu": [0, 1]})
    with pytest.raises(PoolError, match="device 1 of gpu is listed twice"):
        Pool({}, {"gpu": [1, 0, 1]})
    with pytest.raises(PoolError, match="less than a millionth"):
        Pool({"cpu": 1e-9})


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "request 1 asks for nothing; ask for more than 0 of at least one of: cpu, gpu"),
        ({"cpu": 0.0}, "request 1 asks for nothing"),
        ({"cpu": 1e-9}, "less than a millionth"),
        ({"tpu": 1.0}, "request 1 asks for tpu=1, but there is no tpu; there is: cpu, gpu"),
        ({"cpu": 4.5}, "request 1 can never be granted: it asks for cpu=4.5 and the capacity is 4"),
        ({"gpu": 3}, "request 1 can never be granted: it asks for gpu=3 and the capacity is 2"),
        ({"gpu": 1.5}, "request 1 asks for gpu=1.5, which is neither a fraction of one device nor whole devices"),
    ],
)
def test_requests_that_make_no_sense_are_refused(request_: dict[str, float], message: str) -> None:
    pool = Pool({"cpu": 4.0}, {"gpu": [0, 1]})
    with pytest.raises(PoolError, match=message):
        pool.submit(1, request_)
    assert pool.waiting == pool.holding == []
    assert pool.free == {"cpu": 4.0, "gpu": 2.0}


def test_keys_out_of_place_are_refused() -> None:
    pool = Pool({"cpu": 1}, {"gpu": [0]})
    pool.submit(1, {"cpu": 1})
    pool.submit(2, {"cpu": 1})
    for key in (1, 2):
        with pytest.raises(PoolError, match=f"key {key} already waits or holds"):
            pool.submit(key, {"cpu": 1})
    with pytest.raises(PoolError, match="key 1 does not wait"):
        pool.withdraw(1)
    with pytest.raises(PoolError, match="key 2 holds nothing"):
        pool.release(2)
    with pytest.raises(PoolError, match="key 1 does not hold gpu; it holds: cpu"):
        pool.release(1, ["cpu", "gpu"])
    assert (pool.holding, pool.waiting) == ([1], [2])


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), min_size=1, max_size=30))
def test_everything_given_back_is_free_again(amounts: list[tuple[float, float]]) -> None:
    pool = Pool({"cpu": 1.0}, {"gpu": [0, 1]})
    for key, (cpu, gpu) in enumerate(amounts):
        pool.submit(key, {"cpu": cpu, "gpu": gpu})
    ended = []
    while pool.holding:
        ended.append(pool.holding[0])
        pool.release(ended[-1])
    assert sorted(ended) == list(range(len(amounts)))
    assert pool.free == {"cpu": 1.0, "gpu": 2.0}


def _keys(grants: list[Grant]) -> list[int]:
    return [grant.key for grant in grants]
