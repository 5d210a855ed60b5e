"""What is spent, in numbers and in words."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch_rl.events import Incomparable, Opened, Released, Resumed, SettledEvent, StartTrial, Terms
from autoresearch_rl.metering import MICRO, Meter, of_limit, shown
from autoresearch_rl.testing.simulation import opening
from autoresearch_rl.trial import Outcome, Proposal, Status, Trial

TIMEOUTS = {"train": 100.0, "predict": 20.0, "evaluate": 30.0}


def opened(**terms: Any) -> Opened:
    chosen = Terms(**{"timeouts": TIMEOUTS, **terms})
    return opening(terms=chosen)


def start(number: int = 1, attempt: int = 1, *, ran_s: float = 0.0, **resources: float) -> StartTrial:
    trial = Trial(number=number, attempt=attempt, proposal=Proposal(params={}), seed=0)
    return StartTrial(trial=trial, resources={"trial": 1.0, **resources}, ran_s=ran_s)


def settled(number: int = 1, attempt: int = 1, status: Status = Status.OK, **outcome: Any) -> SettledEvent:
    return SettledEvent(number=number, attempt=attempt, outcome=Outcome(status=status, **outcome))


def reserved(meter: Meter) -> dict[str, float]:
    return {name: amount / MICRO for amounts in meter.reserved() for name, amount in amounts.items()}


def test_a_reservation_shrinks_as_a_trial_runs() -> None:
    meter = Meter()
    meter.feed(opened(usd_per_h=7200.0, released_usd_per_h=3600.0), 0.0)
    meter.feed(start(gpu=2.0), 10.0)
    assert reserved(meter) == {"gpu_s": 240.0, "usd": 270.0}  # 120 s at 2 a second and 30 s at 1
    assert meter.so_far(60.0) == {"gpu_s": 100.0, "usd": 100.0}
    meter.feed(Released(number=1, attempt=1, resources=("gpu",)), 60.0)
    assert reserved(meter) == {"gpu_s": 100.0, "usd": 130.0}
    assert meter.so_far(70.0) == {"gpu_s": 100.0, "usd": 110.0}
    meter.feed(settled(), 75.0)
    assert reserved(meter) == {}
    assert meter.ended == {"gpu_s": 100.0, "usd": 115.0}
    assert meter.so_far(1e6) == {"gpu_s": 100.0, "usd": 115.0}


def test_what_runs_is_never_shown_beyond_its_reservation() -> None:
    meter = Meter()
    meter.feed(opened(usd_per_h=3600.0, released_usd_per_h=3600.0), 0.0)
    meter.feed(start(), 0.0)
    assert meter.so_far(1e6) == {"usd": 150.0}, "it may wait for a device that another campaign has"
    meter.feed(settled(elapsed_s=40.0), 1e6)
    assert meter.so_far(1e6) == {"usd": 40.0}


@pytest.mark.parametrize(("ran_s", "left_s"), [(0.0, 150.0), (60.0, 90.0), (99.5, 51.0), (500.0, 51.0)])
def test_what_was_trained_before_a_pause_shortens_the_rest(ran_s: float, left_s: float) -> None:
    meter = Meter()
    meter.feed(opened(usd_per_h=3600.0, released_usd_per_h=3600.0), 0.0)
    meter.feed(start(ran_s=ran_s), 0.0)
    assert reserved(meter) == {"usd": left_s}  # training gets a second at least


def test_a_declared_price_holds_for_all_parts_together() -> None:
    meter = Meter()
    meter.feed(opened(limits={"max_trial_usd": 5.0}), 0.0)
    meter.feed(start(), 0.0)
    assert reserved(meter) == {"usd": 5.0}
    meter.feed(settled(status=Status.LOST, usage={"usd": 1.5}), 9.0)
    meter.feed(start(attempt=2, ran_s=9.0), 9.0)
    assert reserved(meter) == {"usd": 3.5}
    meter.feed(settled(attempt=2), 20.0)
    assert meter.ended == {"usd": 5.0}, "nobody said what the rest was, so it is all that it might be"


def test_every_attempt_of_a_trial_counts() -> None:
    meter = Meter()
    meter.feed(opened(usd_per_h=3600.0, released_usd_per_h=3600.0), 0.0)
    meter.feed(start(), 0.0)
    meter.feed(settled(status=Status.LOST), 4.0)
    meter.feed(start(attempt=2), 4.0)
    meter.feed(settled(attempt=2), 9.0)
    meter.feed(Incomparable(number=1, attempt=2, reason="the machine was busy", then="again"), 9.0)
    meter.feed(start(attempt=3, trial=3.0), 9.0)
    meter.feed(settled(attempt=3), 11.0)
    assert meter.ended == {"usd": 15.0}, "alone on the machine it pays for all three places"
    meter.feed(start(number=2), 11.0)
    meter.feed(settled(number=2), 12.0)
    assert meter.ended == {"usd": 1.0}


def test_a_resume_changes_limits() -> None:
    meter = Meter()
    meter.feed(opened(limits={"max_usd": 5.0, "max_tokens": 10}), 0.0)
    meter.feed(Resumed(limits={"max_usd": 7, "max_tokens": None, "max_trials": 9}), 0.0)
    assert meter.limits == {"max_usd": 7.0}
    assert meter.line(0.0) == "0.00 of 7.00 USD"


def test_nothing_is_said_where_nothing_costs() -> None:
    meter = Meter()
    meter.feed(opened(), 0.0)
    meter.feed(start(), 0.0)
    meter.feed(settled(), 5.0)
    assert (meter.line(9.0), meter.ended) == ("", {})


@pytest.mark.parametrize(
    ("name", "amount", "limit", "said"),
    [
        ("usd", 4.2, 5.0, "4.20 of 5.00 USD"),
        ("usd", 5.03, 5.0, "5.03 of 5.00 USD, 0.03 over"),
        ("usd", 5.0000001, 5.0, "5.00 of 5.00 USD"),
        ("usd", 5.00002, 5.0, "5.00 of 5.00 USD, 0.00002 over"),
        ("usd", 1234.5, None, "1,234.50 USD"),
        ("gpu_s", 12.34, 3600.0, "12.3 of 3,600 GPU-seconds"),
        ("tokens", 12345.0, None, "12,345 tokens"),
    ],
)
def test_amounts_in_words(name: str, amount: float, limit: float | None, said: str) -> None:
    assert of_limit(name, amount, limit) == said


@pytest.mark.parametrize(
    ("amount", "said"), [(0.0, "0.00"), (0.1, "0.10"), (0.05, "0.05"), (0.0123, "0.012"), (0.0000004, "0.00"), (3e-6, "0.000003")]
)
def test_cents_and_less(amount: float, said: str) -> None:
    assert shown("usd", amount) == said
