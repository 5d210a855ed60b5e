import io
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest
import rich.console
from rich.cells import cell_len

from autoresearch_rl.events import Decide, Entry, Failed, Interrupted, OrderTrial, Proposed, Resumed, SettledEvent
from autoresearch_rl.telemetry.console import Console, LiveSink, PlainSink
from autoresearch_rl.telemetry.console_view import View, summary, table
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.testing.entries import HOSTILE, FakeCampaign
from autoresearch_rl.testing.telemetry_contract import TelemetryContract
from autoresearch_rl.trial import Order, Outcome, Status

RUN_DIR = Path("runs/digits/2030-01-02_03-04-05")
# What rich itself writes to redraw: colours, and moves of the cursor by whole lines.
OWN = re.compile(r"\x1b\[[\d;]*[mAK]|\x1b\[\?25[lh]|\x1b\[2K|\r|\n")


def screen(width: int = 100, height: int = 40, terminal: bool = True) -> rich.console.Console:
    return rich.console.Console(file=io.StringIO(), width=width, height=height, force_terminal=terminal, legacy_windows=False)


def written(console: rich.console.Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestLive(TelemetryContract):
    def make(self, folder: Path) -> Console:
        return Console(live=True, console=screen())


class TestPlain(TelemetryContract):
    def make(self, folder: Path) -> Console:
        return Console(live=False, console=screen(terminal=False))


def follow(entries: list[Entry]) -> tuple[Tally, list[Row]]:
    tally, rows = Tally(), []
    for entry in entries:
        row = tally.feed(entry) if tally.is_new(entry) else None
        rows += [row] if row is not None else []
    return tally, rows


def drawn(campaign: FakeCampaign, width: int, height: int = 40, share: float = 0.7, notice: str = "") -> list[str]:
    entries = list(campaign)
    now_s = entries[int(len(entries) * share)].elapsed_s
    tally, rows = follow(entries[: int(len(entries) * share)])
    console = screen(width, height, terminal=False)
    last_s = rows[-1].elapsed_s if rows else 0.0
    settings = {"run_dir": RUN_DIR, "notice": notice, "height": height, "width": width, "now_s": now_s, "settled_s": last_s}
    console.print(table(View(tally=tally, recent=rows[-8:], **settings)))  # type: ignore[arg-type]
    return written(console).splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = FakeCampaign(trials=24, slots=3)
    long.opened = replace(long.opened, metric="accuracy_on_the_held_out_half" * 3, progress_metric=HOSTILE, task="t" * 100)
    for campaign in (FakeCampaign(trials=24, slots=3), long):
        lines = drawn(campaign, width, notice=HOSTILE)
        assert max(cell_len(line) for line in lines) <= width
        assert all(line.isprintable() for line in lines)
        assert len(lines) <= 26


def test_the_table_shows_what_one_wants_to_know_overnight() -> None:
    text = "\n".join(drawn(FakeCampaign(trials=24, slots=3), 100))
    for wanted in (
        "digits  tpe",
        str(RUN_DIR),
        r"1\d/24 trials",
        "a few seconds left",
        r"best  accuracy 0\.9\d+  trial \d+  0\.0\d+ better than baseline",
        r"running +stage +progress +val_accuracy +time +settings",
        r"1\d +train +━.*\d+% +0\.\d+ +\d\.\ds +lr=0\.\d+ width=\d+",
        r"settled +status +accuracy +decision",
        r"1\d +ok +0\.\d+ +discard accuracy .* does not beat",
        r"in use: trial 3/3 · gpu 1\.5/1\.5",
    ):
        assert re.search(wanted, text), wanted


@pytest.mark.parametrize("height", [10, 16, 24, 50])
def test_a_low_terminal_shows_fewer_trials(height: int) -> None:
    lines = drawn(FakeCampaign(trials=40, slots=12), 80, height)
    assert len(lines) <= max(height, 18)


def test_the_first_seconds_and_a_campaign_without_a_limit() -> None:
    campaign = FakeCampaign(trials=5)
    campaign.opened = replace(campaign.opened, max_trials=None, capacity={}, tags={})
    assert "no score yet" in "\n".join(drawn(campaign, 80, share=0.05))
    assert re.search(r"\d trials", "\n".join(drawn(campaign, 80, share=0.9)))


def test_nothing_of_others_reaches_the_terminal_as_a_command() -> None:
    console = screen(60)
    campaign = FakeCampaign(trials=13, hostile=HOSTILE)
    campaign.opened = replace(campaign.opened, task=f"digits{HOSTILE}", metric=f"m{HOSTILE}", tags={"policy": HOSTILE})
    with Console(live=True, console=console).open(RUN_DIR) as sink:
        assert isinstance(sink, LiveSink)
        for i, entry in enumerate(campaign):
            sink.record(entry)
            if i % 20 == 0:
                sink._rendered.refresh()
    text = written(console)
    assert "[red]" in text
    assert OWN.sub("", text).isprintable()


def test_the_live_table_redraws_by_itself_and_leaves_a_summary() -> None:
    console = screen(80)
    with Console(live=True, console=console).open(RUN_DIR) as sink:
        for entry in FakeCampaign(trials=9):
            sink.record(entry)
        deadline_s = time.monotonic() + 10
        while "8/9" not in written(console) and "9/9" not in written(console) and time.monotonic() < deadline_s:
            time.sleep(0.05)
    text = written(console)
    assert re.search(r"[89]/9 trials", OWN.sub("", text))
    end = OWN.sub("", text).rpartition("in use:")[2]
    assert re.search(r"digits  tpe\s+trials: \d ok, .*, in ", end)
    assert "best" not in end, "the campaign's last words say it"


def test_summaries_of_campaigns_that_went_badly() -> None:
    console = screen(80, terminal=False)
    console.print(summary(Tally(), 0.0))
    console.print(summary(follow(list(FakeCampaign(trials=3))[:2])[0], 1.0))
    assert "nothing was run" in written(console)
    assert "none settled" in written(console)


@contextmanager
def log_to(stream: TextIO) -> Iterator[logging.StreamHandler[TextIO]]:
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)


def test_log_lines_go_above_the_table_while_it_is_there() -> None:
    console = screen(80)
    with log_to(sys.stderr) as handler:
        before = handler.stream
        with Console(live=True, console=console).open(RUN_DIR):
            logging.getLogger("autoresearch_rl").warning("a log line \x1b[2J")
        assert handler.stream is before
    assert "a log line" in written(console)
    assert "\x1b[2J" not in written(console)


# ---------------------------------------------------------------- plain lines
def plain(entries: list[Entry], run_dir: Path = RUN_DIR) -> list[str]:
    console = screen(terminal=False)
    with Console(console=console).open(run_dir) as sink:
        assert isinstance(sink, PlainSink)
        for entry in entries:
            sink.record(entry)
    return written(console).splitlines()


def test_one_plain_line_for_each_start_end_and_decision() -> None:
    lines = plain(list(FakeCampaign(trials=6)))
    assert lines[0].startswith("[  0.0s] campaign 01KAV5Q")
    assert "task digits, policy tpe, up to 6 trials, in runs/digits" in lines[0]
    assert lines[1] == "[  0.0s] trial 0 starts: lr=0.01 width=32 note=plain (baseline)"
    assert lines[2] == "[  1.3s] trial 0 ok after 1.3s: accuracy 0.9"
    assert lines[3].startswith("[  1.3s] trial 0 keep: accuracy 0.9 beats")
    assert any(re.search(r"trial 3 lost: the node went away", line) for line in lines)
    assert any("trial 3 starts again (attempt 2)" in line for line in lines)
    assert any(line.endswith("trial 5 repeats trial 1 under another seed") for line in lines)
    assert lines[-1].endswith("the campaign ends: 6 trials reached"), "what it came to is said after it, once"
    counts = [sum(f" {word}" in line for line in lines) for word in ("starts", "after", "keep:", "discard:")]
    assert counts == [6, 6, 3, 2]


def test_plain_lines_have_no_control_characters_and_no_markup_is_read() -> None:
    lines = plain(list(FakeCampaign(trials=13, hostile=f"[red]{HOSTILE}")))
    assert all(line.isprintable() for line in lines)
    assert any("[red]" in line for line in lines)


def test_the_reason_of_an_order_is_said_once() -> None:
    reason = "the chance to lead is 0.1 %"
    entries = list(FakeCampaign(trials=2))
    place = next(i for i, entry in enumerate(entries) if isinstance(entry.record, SettledEvent) and entry.record.number == 1)
    settled, before = entries[place], entries[place - 1]
    assert isinstance(settled.record, SettledEvent)
    order = Entry(
        seq=settled.seq,
        at=before.at,
        elapsed_s=1.0,
        record=OrderTrial(number=1, attempt=1, order=Order(kind="cancel", reason=reason)),
    )
    for message, again in ((f"train: {reason}", False), ("it was killed", True)):
        outcome = Outcome(status=Status.CANCELLED, elapsed_s=1.0, message=message)
        end = replace(settled, seq=settled.seq + 1, record=replace(settled.record, outcome=outcome))
        lines = plain([*entries[:place], order, end])
        assert lines[-2].endswith(f"trial 1 is told to cancel: {reason}")
        assert lines[-1].endswith(f"trial 1 cancelled after 1.0s{f': {message}' if again else ''}")


def test_what_happened_before_a_resume_is_not_printed_again(tmp_path: Path) -> None:
    entries = [entry for entry in FakeCampaign(trials=4) if entry.seq >= 0]
    (tmp_path / "journal.jsonl").write_text("{}\n" * len(entries))
    last = entries[-1]
    new = replace(last, seq=last.seq + 1, elapsed_s=9.0, record=Resumed())  # in the same second, or with the clock set back
    lines = plain([*entries, new], tmp_path)
    assert [line for line in lines if line.startswith("[")] == ["[  9.0s] resumed"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (Interrupted(signal=2), "interrupted: running trials are given time to stop (Ctrl-C again kills them)"),
        (Interrupted(signal=2, again=True), "interrupted again: running trials are killed"),
        (Failed(message="the disk is full"), "the campaign cannot go on: the disk is full"),
        (Proposed(ask=1, error="ValueError: no\nmore"), "the policy failed: ValueError: no"),
    ],
)
def test_what_goes_wrong_has_a_line(record: Interrupted | Failed | Proposed, said: str) -> None:
    first = next(iter(FakeCampaign()))
    assert plain([first, replace(first, seq=1, record=record)])[1] == f"[  0.0s] {said}"


def test_smaller_is_better_where_the_task_says_so() -> None:
    campaign = FakeCampaign(trials=2)
    campaign.opened = replace(campaign.opened, direction="minimize")
    assert any("worse than baseline" in line for line in drawn(campaign, 100, share=0.99))
    assert sum(isinstance(entry.record, SettledEvent | Decide) for entry in campaign) == 4
