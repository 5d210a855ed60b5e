from collections.abc import Iterable
from dataclasses import replace

from autoresearch_rl.events import Decide, Entry, Proposed, Record, Resumed, SettledEvent, StartTrial, StopCampaign
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.testing.entries import FakeCampaign
from autoresearch_rl.testing.simulation import opening
from autoresearch_rl.trial import Decision, Outcome, Proposal, Status, Trial


def feed(tally: Tally, entries: Iterable[Entry]) -> list[Row]:
    return [row for entry in entries if tally.is_new(entry) and (row := tally.feed(entry)) is not None]


def test_each_trial_gives_one_row_with_its_decision() -> None:
    tally = Tally()
    rows = feed(tally, FakeCampaign(trials=24, slots=3))
    assert sorted(row.trial.number for row in rows) == list(range(24))
    assert all(row.decision is not None for row in rows)
    assert [row.trial.attempt for row in rows if row.trial.number == 3] == [2]
    assert tally.done == 24
    assert not tally.running
    assert tally.close() is None


def test_leader_and_gain_follow_decisions_and_repeats() -> None:
    tally = Tally()
    rows = feed(tally, FakeCampaign(trials=10))
    repeat = next(row for row in rows if row.trial.proposal.repeat_of is not None)
    first = next(row for row in rows if row.trial.number == repeat.trial.proposal.repeat_of)
    assert repeat.decision is not None
    assert repeat.decision.candidate == first.trial.number
    scores = first.outcome.score, repeat.outcome.score
    assert tally.mean(first.trial.number) == sum(score for score in scores if score is not None) / 2
    best, baseline, gain = tally.best, tally.mean(0), tally.gain()
    assert best is not None
    assert baseline is not None
    assert gain == best - baseline


def test_gain_is_positive_for_smaller_scores_where_less_is_better() -> None:
    tally = Tally()
    campaign = FakeCampaign(trials=1)
    campaign.opened = replace(campaign.opened, direction="minimize")
    entries = list(campaign)
    feed(tally, entries[:-1])
    seq = entries[-1].seq
    trial = Trial(number=1, proposal=Proposal(params={}), seed=1)
    outcome = Outcome(status=Status.OK, score=0.5)
    decision = Decision(candidate=1, verdict="keep", reason="better", leads=True)
    records: tuple[Record, ...] = (
        StartTrial(trial=trial),
        SettledEvent(number=1, attempt=1, outcome=outcome),
        Decide(decision=decision),
    )
    feed(
        tally,
        [Entry(seq=seq + i, at="2030-01-01T00:00:00+00:00", elapsed_s=9.0, record=record) for i, record in enumerate(records)],
    )
    gain = tally.gain()
    assert gain is not None
    assert gain > 0


def test_a_loss_on_which_the_keep_rule_is_heard_is_final_and_failed() -> None:
    campaign = FakeCampaign(trials=1)
    entries = list(campaign)
    lost = Outcome(status=Status.LOST, message="the node went away")
    entries = [
        replace(entry, record=replace(entry.record, outcome=lost)) if isinstance(entry.record, SettledEvent) else entry
        for entry in entries
    ]
    tally = Tally()
    (row,) = feed(tally, entries)
    assert row.outcome.status is Status.FAILED
    assert row.outcome.message == "lost 1 times, the last time: the node went away"


def test_losses_are_counted_and_not_attempts_and_a_resume_changes_the_limit() -> None:
    tally = Tally()
    interrupted = Outcome(status=Status.LOST, message="interrupted")
    gone = Outcome(status=Status.LOST, message="gone")
    records: tuple[Record, ...] = (
        opening(max_trials=3),
        StartTrial(trial=(trial := Trial(number=0, proposal=Proposal(params={}), seed=1))),
        SettledEvent(number=0, attempt=1, outcome=interrupted, interrupted=True),
        StopCampaign(reason="interrupted", interrupted=True),
        Resumed(limits={"max_trials": 5}),
        StartTrial(trial=replace(trial, attempt=2)),
        SettledEvent(number=0, attempt=2, outcome=gone),
        Decide(decision=Decision(candidate=0, verdict="discard", reason="lost")),
    )
    (row,) = feed(tally, [Entry(seq=i, at="", elapsed_s=1.0 * i, record=record) for i, record in enumerate(records)])
    assert row.outcome.message == "lost 1 times, the last time: gone"
    assert tally.opened is not None
    assert tally.opened.max_trials == 5
    assert tally.stop is None


def test_a_trial_without_a_decision_is_a_row_at_the_next_event() -> None:
    entries = [entry for entry in FakeCampaign(trials=1) if not isinstance(entry.record, Decide)]
    tally = Tally()
    assert feed(tally, entries) == []
    last = entries[-1]
    (row,) = feed(tally, [Entry(seq=last.seq + 1, at=last.at, elapsed_s=9.0, record=Proposed(ask=1))])
    assert row.decision is None
    assert row.outcome.status is Status.OK


def test_slots_are_the_lowest_free_ones() -> None:
    tally, seen = Tally(), set()
    for entry in FakeCampaign(trials=24, slots=3):
        if tally.is_new(entry):
            tally.feed(entry)
        slots = [run.slot for run in tally.running.values()]
        assert len(slots) == len(set(slots))
        seen |= set(slots)
    assert seen == {1, 2, 3}
