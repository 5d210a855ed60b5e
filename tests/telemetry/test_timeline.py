import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from autoresearch_rl.telemetry.timeline import FILE_NAME, Timeline
from autoresearch_rl.testing.entries import FakeCampaign
from autoresearch_rl.testing.telemetry_contract import TelemetryContract


class TestTimeline(TelemetryContract):
    def make(self, folder: Path) -> Timeline:
        return Timeline()


def refuse(constant: str) -> float:
    raise ValueError(constant)


def write(folder: Path, campaign: FakeCampaign) -> list[dict[str, Any]]:
    with Timeline().open(folder) as sink:
        for entry in campaign:
            sink.record(entry)
    found: list[dict[str, Any]] = json.loads((folder / FILE_NAME).read_text(), parse_constant=refuse)
    return found


def test_each_stage_has_a_span_on_the_track_of_its_worker(tmp_path: Path) -> None:
    events = write(tmp_path, FakeCampaign(trials=12, slots=2))
    assert {event["pid"] for event in events} == {1}
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert tracks == {0: "proposer", 1: "worker 1", 2: "worker 2", 1_000_000: "waiting"}
    spans: dict[str, set[int]] = defaultdict(set)
    for event in events:
        if event["ph"] in "Xb":
            spans[event["name"]].add(event["tid"])
    workers = {1, 2}
    assert spans == {
        "propose": {0},
        "language model": {0},
        "wait": {1_000_000},
        **dict.fromkeys(("prepare", "train", "predict", "evaluate", "settle"), workers),
    }


def test_spans_nest_in_their_trial_and_do_not_overlap(tmp_path: Path) -> None:
    events = write(tmp_path, FakeCampaign(trials=12, slots=3))
    for tid in (1, 2, 3):
        open_since, last = None, 0
        for event in (event for event in events if event["tid"] == tid and event["ph"] in "BEX"):
            if event["ph"] == "B":
                assert open_since is None
                open_since = event["ts"]
                assert event["args"]["params"]
            elif event["ph"] == "E":
                assert last <= event["ts"] + 1
                assert event["args"]["status"]
                open_since = None
            else:
                last = max(last, event["ts"] + event["dur"])
        assert open_since is None


def test_a_killed_run_leaves_an_array_that_lacks_only_its_bracket(tmp_path: Path) -> None:
    sink = Timeline().open(tmp_path)
    entries = list(FakeCampaign(trials=5))
    for entry in entries[: len(entries) // 2]:
        sink.record(entry)
        json.loads((tmp_path / FILE_NAME).read_text() + "]") if (tmp_path / FILE_NAME).exists() else None
    text = (tmp_path / FILE_NAME).read_text()
    assert len(json.loads(text + "]")) > 10
    sink.__exit__(None, None, None)
    json.loads((tmp_path / FILE_NAME).read_text())
