import logging
import socket
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.events import Decide, Entry, Opened, Resumed, SettledEvent, StartTrial
from autoresearch_rl.telemetry.fanout import FanOut
from autoresearch_rl.telemetry.mlflow import Mlflow
from autoresearch_rl.testing.entries import CAMPAIGN, FakeCampaign, curve_of
from autoresearch_rl.testing.telemetry_contract import TelemetryContract
from autoresearch_rl.trial import Status


def address(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def client(folder: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(address(folder))


def runs(folder: Path, query: str = "") -> list[Any]:
    found = client(folder).get_experiment_by_name("digits")
    return [] if found is None else list(client(folder).search_runs([found.experiment_id], query, max_results=1000))


def trials(folder: Path) -> dict[int, Any]:
    """Nested runs by trial number, found through their parent."""
    (parent,) = runs(folder, f"tags.`arrl.key` = '{CAMPAIGN}'")
    children = runs(folder, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert len(runs(folder)) == len(children) + 1
    return {int(run.data.tags["arrl.key"].rpartition("/")[2]): run for run in children}


def history(folder: Path, run: Any, metric: str) -> list[tuple[int, int, float]]:
    found = client(folder).get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.timestamp, point.value) for point in found)


def write(folder: Path, cache: Path, campaign: Any, **settings: Any) -> None:
    with Mlflow(address(folder), cache=str(cache), **settings).open(folder) as sink:
        for entry in campaign:
            sink.record(entry)


class TestMlflow(TelemetryContract):
    many = 30

    @pytest.fixture(autouse=True)
    def _cache(self, mlflow_cache: Path) -> None:
        self.cache = mlflow_cache

    def make(self, folder: Path) -> Mlflow:
        return Mlflow(address(folder), cache=str(self.cache))

    def kept(self, folder: Path) -> object:
        """Everything but the runs' ids: names, times, parameters, tags, all points of all metrics."""
        points: dict[str, list[tuple[object, ...]]] = defaultdict(list)
        with closing(sqlite3.connect(folder / "mlflow.db")) as database:
            for run, *point in database.execute(
                "SELECT run_uuid, key, step, timestamp, value FROM metrics ORDER BY 1, 2, 3, 4, 5"
            ):
                points[run].append(tuple(point))
        found = {}
        for run in runs(folder):
            info = run.info
            tags = {key: value for key, value in run.data.tags.items() if key not in ("mlflow.parentRunId", "run_dir")}
            times = info.start_time, info.end_time
            found[tags["arrl.key"]] = (info.run_name, info.status, times, run.data.params, tags, points[info.run_id])
        return found


def test_trials_are_nested_runs_with_params_metrics_tags_and_times(tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=13))
    found = trials(tmp_path)
    assert sorted(found) == list(range(13))
    baseline = found[0]
    assert baseline.info.run_name == "0000 keep"
    assert baseline.info.status == "FINISHED"
    assert baseline.data.params == {"lr": "0.01", "width": "32", "note": "plain"}
    assert baseline.data.metrics["accuracy"] == baseline.data.metrics["score"] == 0.9
    assert baseline.data.metrics["usage/cpu_s"] == 1.25
    tags = baseline.data.tags
    assert (tags["status"], tags["verdict"], tags["tier"], tags["decision"]) == ("ok", "untrusted", "0", "keep")
    assert (tags["policy"], tags["hardware"], tags["isolation"]) == ("baseline", "cpu=one cores=2", "0")
    assert "beats" in tags["reason"]
    begun_ms = FakeCampaign().begun.timestamp() * 1000
    assert baseline.info.start_time == begun_ms
    assert baseline.info.end_time == begun_ms + 1300
    assert found[1].data.tags["parent"] == "0"
    assert found[5].data.tags["repeat_of"] == "1"
    assert found[3].data.tags["attempt"] == "2"
    ends = {found[number].data.tags["status"]: (found[number].info.status, found[number].info.run_name) for number in (4, 8, 12)}
    assert ends == {
        "timeout": ("FAILED", "0004 timeout"),
        "cancelled": ("KILLED", "0008 cancelled"),
        "rejected": ("FAILED", "0012 rejected"),
    }
    assert "score" not in found[4].data.metrics


def test_curves_are_metrics_by_step_whether_reported_live_or_not(tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=4))
    run, curve = trials(tmp_path)[2], curve_of(2)
    expected = [
        (int(step), run.info.start_time + round(elapsed_s * 1000), value)
        for step, elapsed_s, value in zip(curve.steps, curve.elapsed_s, curve.metrics["val_accuracy"], strict=True)
    ]
    assert history(tmp_path, run, "progress/val_accuracy") == expected
    steps = [step for step, _, _ in history(tmp_path, run, "progress/loss")]
    assert steps == [step for step in range(1, 21) if step % 5 and step != 7]


def test_reports_of_a_running_trial_are_seen_before_it_settles_and_never_twice(tmp_path: Path, mlflow_cache: Path) -> None:
    entries = list(FakeCampaign(trials=2))
    first = next(i for i, entry in enumerate(entries) if isinstance(entry.record, SettledEvent))
    with Mlflow(address(tmp_path), cache=str(mlflow_cache)).open(tmp_path) as sink:
        for entry in entries[:first]:
            sink.record(entry)
        deadline_s = time.monotonic() + 20
        seen: list[tuple[int, int, float]] = []
        while not seen and time.monotonic() < deadline_s:
            time.sleep(0.1)
            seen = [point for run in runs(tmp_path) for point in history(tmp_path, run, "progress/val_accuracy")]
        assert [step for step, _, _ in seen] == [1, 5, 9, 13, 17]
        assert trials(tmp_path)[0].info.status == "RUNNING"
        for entry in entries[first:]:
            sink.record(entry)
    points = history(tmp_path, trials(tmp_path)[0], "progress/val_accuracy")
    assert [step for step, _, _ in points] == list(range(1, 21))
    assert set(seen) <= set(points)


def test_the_parent_shows_the_campaign(tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=9))
    (parent,) = runs(tmp_path, f"tags.`arrl.key` = '{CAMPAIGN}'")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["policy"] == "tpe"
    best = history(tmp_path, parent, "best")
    assert [step - 1 for step, _, _ in best] == [step for step, _, _ in history(tmp_path, parent, "trial_score")]
    found, tags = trials(tmp_path), parent.data.tags
    leader = found[int(tags["best.trial"])]
    assert tags["best.lr"] == leader.data.params["lr"]
    assert tags["reason"] == "9 trials reached"
    note = tags["mlflow.note.content"]
    assert note.startswith(f"**`accuracy` {float(tags['best.score'])}** by trial {tags['best.trial']}; the baseline has 0.9.")
    assert "Trials: 7 ok, 1 timeout, 1 cancelled. Spent: 5.5 GPU-seconds, 20 tokens. Ended: `9 trials reached`" in note
    assert f"\nlr={tags['best.lr']}\n" in note
    assert client(tmp_path).get_experiment(parent.info.experiment_id).tags["mlflow.note.content"].startswith("Campaigns that")
    text = client(tmp_path).download_artifacts(parent.info.run_id, "config.yaml", str(tmp_path))
    assert Path(text).read_text() == "task: digits\npolicy: tpe\n"


def test_the_best_is_up_to_date_also_where_the_slower_of_two_trials_is_it(tmp_path: Path, mlflow_cache: Path) -> None:
    *begun, released1, settled1, decided1, released2, settled2, decided2, stop = FakeCampaign(trials=3)
    entries = [*begun, released2, settled2, decided2, released1, settled1, decided1, stop]
    write(tmp_path, mlflow_cache, [entry if entry.seq < 0 else replace(entry, seq=i) for i, entry in enumerate(entries)])
    (parent,) = runs(tmp_path, f"tags.`arrl.key` = '{CAMPAIGN}'")
    found = trials(tmp_path)
    assert found[1].data.metrics["score"] > found[0].data.metrics["score"] > found[2].data.metrics["score"]
    assert parent.data.metrics["best"] == found[1].data.metrics["score"]


def test_artifacts_are_logs_patch_and_the_models_of_kept_trials(tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=5, run_dir=tmp_path))
    found = trials(tmp_path)

    def paths(number: int, folder: str = "") -> set[str]:
        return {item.path for item in client(tmp_path).list_artifacts(found[number].info.run_id, folder)}

    assert paths(0) == {"logs", "model"}
    assert paths(0, "logs") == {"logs/train.stdout.log"}
    assert paths(0, "model") == {"model/weights.npz"}
    assert paths(2) == {"logs"}
    assert paths(4) == {"logs", "patch.diff"}
    log = client(tmp_path).download_artifacts(found[0].info.run_id, "logs/train.stdout.log", str(tmp_path))
    assert "a line of output" in Path(log).read_text()
    assert not (Path.cwd() / "mlruns").exists()


@pytest.mark.parametrize(("models", "kept"), [("all", {0, 1, 2}), ("none", set())])
def test_models_and_logs_as_configured(models: Any, kept: set[int], tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=3, run_dir=tmp_path), models=models, logs=False)
    artifacts = {number: client(tmp_path).list_artifacts(run.info.run_id) for number, run in trials(tmp_path).items()}
    assert {number for number, items in artifacts.items() if [item.path for item in items] == ["model"]} == kept
    assert all(len(items) == (number in kept) for number, items in artifacts.items())


def test_an_interrupted_campaign_is_taken_up_again(tmp_path: Path, mlflow_cache: Path) -> None:
    whole, begun = list(FakeCampaign(trials=9)), list(FakeCampaign(trials=9, interrupted=True))
    write(tmp_path, mlflow_cache, begun)
    (parent,) = runs(tmp_path, f"tags.`arrl.key` = '{CAMPAIGN}'")
    assert parent.info.status == "KILLED"
    assert not {7, 8} & {number for number, run in trials(tmp_path).items() if run.info.status == "FINISHED"}
    records: list[Any] = [Resumed()]
    for entry in whole:
        record = entry.record
        if isinstance(record, StartTrial) and record.trial.number in (7, 8):
            records.append(replace(record, trial=replace(record.trial, attempt=2)))
        elif isinstance(record, SettledEvent) and record.number in (7, 8) and record.outcome.status is not Status.LOST:
            records.append(replace(record, attempt=2))
        elif isinstance(record, Decide) and record.decision.candidate in (7, 8):
            records.append(record)
    records.append(whole[-1].record)
    last = begun[-1]
    again = [Entry(seq=last.seq + 1 + i, at=last.at, elapsed_s=last.elapsed_s, record=record) for i, record in enumerate(records)]
    write(tmp_path, mlflow_cache, [*begun, *again])
    found = trials(tmp_path)
    assert sorted(found) == list(range(9))
    assert [found[number].data.tags["attempt"] for number in (6, 7, 8)] == ["1", "2", "2"]
    assert all(run.info.status != "RUNNING" for run in found.values())
    (parent,) = runs(tmp_path, f"tags.`arrl.key` = '{CAMPAIGN}'")
    assert parent.info.status == "FINISHED"


def test_campaigns_of_a_sweep_share_a_tag_and_a_parent(tmp_path: Path, mlflow_cache: Path) -> None:
    campaign = FakeCampaign(trials=2)
    campaign.opened = replace(campaign.opened, tags={"policy": "random", "sweep": "night", "sweep_run": "a" * 32})
    write(tmp_path, mlflow_cache, campaign)
    found = runs(tmp_path, "tags.sweep = 'night'")
    assert len(found) == 3
    (parent,) = [run for run in found if run.data.tags["arrl.kind"] == "campaign"]
    assert parent.data.tags["mlflow.parentRunId"] == "a" * 32


def test_long_and_hostile_names_and_values_and_thousands_of_points(tmp_path: Path, mlflow_cache: Path) -> None:
    params = {f"p{i}": "x" * 7000 for i in range(150)} | {"../a=b\n": 1, "ünï": 2.5}
    entries = []
    for entry in FakeCampaign(trials=1):
        if isinstance(entry.record, Opened):
            entry = replace(entry, record=replace(entry.record, defaults=params))
        if isinstance(entry.record, SettledEvent):
            names = {f"{'m' * 300}{i}": tuple(float(j) for j in range(20)) for i in range(2)}
            many = {f"deep/../{i}": tuple(float(j) for j in range(20)) for i in range(100)}
            curve = replace(entry.record.outcome.curve, metrics={**names, **many}, steps=(1e300,) * 10 + (0.5,) * 10)
            entry = replace(entry, record=replace(entry.record, outcome=replace(entry.record.outcome, curve=curve)))
        if isinstance(entry.record, StartTrial):
            proposal = replace(entry.record.trial.proposal, params=params)
            entry = replace(entry, record=replace(entry.record, trial=replace(entry.record.trial, proposal=proposal)))
        entries.append(entry)
    write(tmp_path, mlflow_cache, entries)
    (run,) = trials(tmp_path).values()
    assert len(run.data.params) == 152
    assert len(run.data.params["p7"]) == 6000
    assert run.data.params["__/a_b_"] == "1"
    assert run.data.params["ünï"] == "2.5"
    assert len(history(tmp_path, run, "progress/deep/__/99")) == 20


def test_a_keep_rule_heard_late_changes_the_earlier_trial(tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=6))
    found = trials(tmp_path)
    assert found[5].data.tags["repeat_of"] == "1"
    assert found[1].data.tags["reason"] == found[5].data.tags["reason"]
    assert found[1].data.tags["reason"].endswith("again")


def test_a_lost_trial_without_another_attempt_has_failed(tmp_path: Path, mlflow_cache: Path) -> None:
    entries = list(FakeCampaign(trials=1))
    for i, entry in enumerate(entries):
        if isinstance(entry.record, SettledEvent):
            outcome = replace(entry.record.outcome, status=Status.LOST, score=None, message="gone")
            entries[i] = replace(entry, record=replace(entry.record, outcome=outcome))
    write(tmp_path, mlflow_cache, entries)
    assert trials(tmp_path)[0].data.tags["status"] == "failed"
    assert trials(tmp_path)[0].info.status == "FAILED"


# ---------------------------------------------------------------- what can go wrong
def told(caplog: pytest.LogCaptureFixture, folder: Path, sink: Mlflow) -> str:
    with caplog.at_level(logging.WARNING, "autoresearch_rl"), FanOut({"mlflow": sink}, folder) as out:
        for entry in FakeCampaign(trials=3):
            out.record(entry)
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("autoresearch_rl")]
    return said


def test_a_place_where_nothing_can_be_written(tmp_path: Path, mlflow_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = told(caplog, tmp_path, Mlflow("sqlite:////proc/nowhere/mlflow.db", cache=str(mlflow_cache)))
    assert said.startswith("telemetry.mlflow is switched off: writing to sqlite:////proc/nowhere/mlflow.db failed: ")
    assert "No such file" in said


def test_a_database_that_refuses_to_be_written(tmp_path: Path, mlflow_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, mlflow_cache, [])
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    assert "the disk is full" in told(caplog, tmp_path, Mlflow(address(tmp_path), cache=str(mlflow_cache)))


@pytest.mark.parametrize(
    ("make", "said"), [(Path.mkdir, "unable to open"), (lambda path: path.write_text("x" * 999), "not a database")]
)
def test_something_else_in_the_database_s_place(
    make: Callable[[Path], object], said: str, tmp_path: Path, mlflow_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "mlflow.db")
    assert said in told(caplog, tmp_path, Mlflow(address(tmp_path), cache=str(mlflow_cache)))


def test_a_server_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun_s = time.monotonic()
    said = told(caplog, tmp_path, Mlflow(f"http://user:secret@127.0.0.1:{port}"))
    assert time.monotonic() - begun_s < 10
    assert f"writing to http://127.0.0.1:{port} failed" in said
    assert "secret" not in said


def test_a_server_that_never_answers_is_waited_for_no_longer_than_agreed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun_s = time.monotonic()
        said = told(caplog, tmp_path, Mlflow(f"http://127.0.0.1:{silent.getsockname()[1]}", drain_s=0.3))
        assert time.monotonic() - begun_s < 10
    assert "records were not yet written" in said
    assert "telemetry.mlflow.drain_s waits longer" in said


def test_a_locked_database_is_waited_for(tmp_path: Path, mlflow_cache: Path) -> None:
    write(tmp_path, mlflow_cache, [])
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Mlflow(address(tmp_path), cache=str(mlflow_cache)).open(tmp_path) as sink:
            for entry in FakeCampaign(trials=3):
                sink.record(entry)
            time.sleep(0.5)
            other.execute("ROLLBACK")
    assert sorted(trials(tmp_path)) == [0, 1, 2]


def test_an_experiment_in_the_trash(tmp_path: Path, mlflow_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, mlflow_cache, FakeCampaign(trials=1))
    client(tmp_path).delete_experiment(client(tmp_path).get_experiment_by_name("digits").experiment_id)
    said = told(caplog, tmp_path, Mlflow(address(tmp_path), cache=str(mlflow_cache)))
    assert "experiment 'digits' is in MLflow's trash; restore it, or set telemetry.mlflow.experiment" in said


def test_arguments_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match=r"telemetry.mlflow.uri is empty; it must be an address"):
        Mlflow("")
    with pytest.raises(ValueError, match=r"telemetry.mlflow.models is 'some'; it must be kept, all or none"):
        Mlflow(models="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"telemetry.mlflow.drain_s is -1"):
        Mlflow(drain_s=-1)
