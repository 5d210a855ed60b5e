"""What of a campaign is written to MLflow, and where.

experiment            the task
└── run               the campaign (`arrl.key` = CAMPAIGN): config.yaml, facts as tags, a summary as its description, `best` by
    │                 and `spent/NAME` by number of settled trials, `trial_score` by trial number
    └── nested run    a trial (`arrl.key` = CAMPAIGN/NUMBER): parameters, evaluator's metrics, `score`, `progress/NAME` by step,
                      `usage/NAME`, tags, patch, logs, model

Everything has the times of the journal, so that writing the same entries again finds what is there and changes nothing.
Reports are written while a trial runs; its compact curve, written at its end, holds the same points or fewer.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch_rl.events import (
    Decide,
    Entry,
    Incomparable,
    Opened,
    Paused,
    Reported,
    Requested,
    Resumed,
    SettledEvent,
    StopCampaign,
)
from autoresearch_rl.telemetry import mlflow_notes, mlflow_values
from autoresearch_rl.telemetry.mlflow_store import Store
from autoresearch_rl.telemetry.mlflow_values import Point, millis
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.telemetry.text import first_line, number
from autoresearch_rl.trial import Decision, Params, Status, Trial

Models = Literal["kept", "all", "none"]
_ENDS = {Status.OK: "FINISHED", Status.CANCELLED: "KILLED", Status.LOST: "KILLED"}


@dataclass(slots=True)
class _Run:
    """A trial's run.

    Attributes:
        attempt: The one it shows.
        params: Whether it has its parameters.
        model: Whether it has its model.
        paused: Whether it waits for the next attempt to go on.
        continued: Whether it holds the curves of attempts that were paused.
    """

    id: str
    attempt: int
    ended: bool = False
    params: bool = False
    model: bool = False
    paused: bool = False
    continued: bool = False


class RunWriter:
    """Turns entries into runs. Used by one thread; raises whatever MLflow raises."""

    def __init__(self, run_dir: Path, uri: str, *, experiment: str | None, logs: bool, models: Models) -> None:
        self._run_dir, self._uri, self._experiment, self._logs, self._models = run_dir, uri, experiment, logs, models
        self._tally = Tally()
        self._runs: dict[int, _Run] = {}
        self._params: dict[int, Params] = {}
        self._reports: dict[int, list[Point]] = {}
        self._parent_points: list[Point] = []
        self._parent_tags: dict[str, str] = {}
        self._parent = ""

    def connect(self) -> None:
        """Opens the store; a database that MLflow has not seen before is migrated now."""
        self._store = Store(self._uri)
        self._client = self._store.client

    def take(self, entry: Entry) -> None:
        """Takes an entry; what need not be written at once waits for `flush`."""
        if not self._tally.is_new(entry):
            return
        record = entry.record
        row = self._tally.feed(entry)
        if row is not None:
            self._finish(row)
        match record:
            case Opened():
                self._open(record, entry.at)
            case Reported(progress=progress) if progress is not None and self._tally.running.get(record.number) is not None:
                running = self._tally.running[record.number]
                if running.trial.attempt == record.attempt:
                    self._reports.setdefault(record.number, []).extend(mlflow_values.reported(progress, millis(running.at)))
            case Paused():
                self._reports.pop(record.number, None)
                self._pause(record)
            case SettledEvent():
                self._reports.pop(record.number, None)
                if record.outcome.status is Status.LOST:
                    self._lose(record, "lost", record.outcome.message, entry.at)
            case Incomparable(then="again"):
                self._lose(record, "incomparable", record.reason, entry.at)
            case Decide(decision=decision):
                self._decide(decision, row)
            case Requested(request="note"):
                noted = {"note": self._tally.notes[-1].text, "mlflow.note.content": self._summary()}
                self._parent_tags |= mlflow_values.tags(noted)
            case Resumed():
                self._client.update_run(self._parent, status="RUNNING")
            case StopCampaign():
                self._end(entry, record)
            case _:
                pass

    def flush(self) -> None:
        """Writes what waits: runs of trials that still run, their reports, the campaign's own metrics and tags."""
        for running in self._tally.running.values():
            run = self._run_of(running.trial, running.at, {"mlflow.runName": f"{running.trial.number:04d}"})
            if run.attempt == running.trial.attempt and not run.ended:
                self._store.log(
                    run.id, points=self._reports.pop(running.trial.number, ()), params=self._params_of(run, running.trial)
                )
        if self._parent:
            self._store.log(self._parent, points=self._parent_points, tags=self._parent_tags)
        self._parent_points, self._parent_tags = [], {}

    def close(self) -> None:
        """Writes the rest; a campaign whose controller failed without a last word is marked as failed."""
        row = self._tally.close()
        if row is not None:
            self._finish(row)
        self.flush()
        if self._parent and self._tally.stop is None:
            self._client.set_terminated(self._parent, "FAILED")

    # ---------------------------------------------------------------- the campaign's run
    def _open(self, opened: Opened, at: str) -> None:
        self._store.open(self._experiment or opened.task, mlflow_notes.about(opened))
        found = self._store.runs(f"tags.`arrl.key` = '{opened.campaign}'")
        facts = {  # shown in this order
            "task": opened.task,
            **opened.tags,
            "run_dir": self._run_dir.absolute(),
            **{f"hardware.{key}": value for key, value in opened.hardware.items()},
            **{f"version.{key}": value for key, value in opened.versions.items()},
            "arrl.kind": "campaign",
            "arrl.key": opened.campaign,
            "mlflow.source.name": "arrl",
            "mlflow.source.type": "LOCAL",
            "mlflow.parentRunId": opened.tags.get("sweep_run"),
            "mlflow.runName": f"{opened.tags.get('policy', 'campaign')} seed {opened.seed} {opened.campaign[-6:]}",
        }
        self._parent = found[0].info.run_id if found else self._store.create(at, facts)
        if found:
            self._client.update_run(self._parent, status="RUNNING")
            for run in self._store.runs(f"tags.`mlflow.parentRunId` = '{self._parent}'"):
                trial, tags = run.data.tags["arrl.key"].rpartition("/")[2], run.data.tags
                ended = run.info.status != "RUNNING"
                self._runs[int(trial)] = _Run(run.info.run_id, int(tags["attempt"]), ended, model=ended and "model" in tags)
        params = {
            "seed": opened.seed,
            "metric": opened.metric,
            "direction": opened.direction,
            "policy": opened.tags.get("policy", ""),
            **{f"capacity.{key}": f"{value:g}" for key, value in opened.capacity.items()},
        }
        self._store.log(self._parent, params=mlflow_values.params(params))
        if not found and opened.config:
            self._client.log_text(self._parent, mlflow_values.encodable(opened.config), "config.yaml")

    def _end(self, entry: Entry, stop: StopCampaign) -> None:
        facts = {"reason": first_line(stop.reason), "mlflow.note.content": self._summary()}
        self._parent_tags |= mlflow_values.tags({**facts, "spent": self._tally.meter.line(entry.elapsed_s)})
        self._parent_points += mlflow_values.spent(self._tally, entry.elapsed_s, millis(entry.at))
        self.flush()
        self._client.set_terminated(
            self._parent, "FAILED" if stop.failed else "KILLED" if stop.interrupted else "FINISHED", millis(entry.at)
        )

    def _lead(self, candidate: int) -> None:
        opened, best = self._tally.opened, self._tally.best
        leader = {"best.trial": candidate, "best.score": number(best), "metric": opened.metric if opened else None}
        settings = {f"best.{name}": value for name, value in self._params.get(candidate, {}).items()}
        self._parent_tags |= mlflow_values.tags({**leader, **settings, "mlflow.note.content": self._summary()})

    def _summary(self) -> str:
        return mlflow_notes.summary(self._tally, self._params.get(self._tally.leader or 0, {}))

    # ---------------------------------------------------------------- the trials' runs
    def _run_of(self, trial: Trial, begun_at: str, facts: Mapping[str, object]) -> _Run:
        """The run that shows this attempt, or a later one; made with `facts` as tags where there is none.

        The run of an earlier attempt, which came to nothing, goes to the trash.
        """
        run = self._runs.get(trial.number)
        if run is not None and run.paused and run.attempt < trial.attempt:
            run.attempt, run.paused = trial.attempt, False
            again = {"attempt": trial.attempt, "status": "running", "message": "", "mlflow.runName": f"{trial.number:04d}"}
            self._store.log(run.id, tags=mlflow_values.tags(again))
            self._client.update_run(run.id, status="RUNNING")
        if run is not None and run.attempt >= trial.attempt:
            return run
        if run is not None:
            self._client.delete_run(run.id)
        run = self._runs[trial.number] = _Run(self._store.create(begun_at, {**self._facts(trial), **facts}), trial.attempt)
        return run

    def _params_of(self, run: _Run, trial: Trial) -> dict[str, str]:
        """The trial's parameters the first time that they are asked for."""
        given, run.params = run.params, True
        return {} if given else mlflow_values.params(trial.proposal.params)

    def _facts(self, trial: Trial) -> dict[str, object]:
        opened, proposal = self._tally.opened, trial.proposal
        assert opened is not None  # nothing is new before
        return {
            "policy": proposal.source,
            "parent": proposal.parent,
            "repeat_of": proposal.repeat_of,
            "rationale": proposal.rationale,
            "attempt": trial.attempt,
            "seed": trial.seed,
            **{key: opened.tags.get(key) for key in ("sweep", "isolation", "target")},
            "source_hash": trial.source_hash,
            "arrl.kind": "trial",
            "arrl.key": f"{opened.campaign}/{trial.number}",
            "arrl.campaign": opened.campaign,
            "hardware": " ".join(f"{key}={value}" for key, value in opened.hardware.items()),
            "mlflow.parentRunId": self._parent,
            "mlflow.source.name": "arrl",
            "mlflow.source.type": "LOCAL",
        }

    def _finish(self, row: Row) -> None:
        """Writes what a settled trial came to."""
        trial, outcome, ended_ms = row.trial, row.outcome, millis(row.at)
        final: dict[str, float] = {}  # MLflow shows metrics in the order in which a run first had them
        if outcome.score is not None:
            final["score"] = outcome.score
            self._params.setdefault(trial.number, trial.proposal.params)
            if self._tally.best is not None:
                # Not by trial number: the point with the highest step is shown as the latest, also if a slower trial beat it.
                self._parent_points.append(("best", self._tally.best, ended_ms, self._tally.done))
            self._parent_points.append(("trial_score", outcome.score, ended_ms, trial.number))
        self._parent_points += mlflow_values.spent(self._tally, row.elapsed_s, ended_ms)
        final |= {**outcome.metrics, "elapsed_s": outcome.elapsed_s}
        final |= {f"usage/{name}": amount for name, amount in outcome.usage.items()}
        facts = mlflow_notes.result(row)
        before = self._runs.get(trial.number)
        run = self._run_of(trial, row.begun_at, facts)
        if run.ended or run.attempt > trial.attempt:
            return
        points = [(mlflow_values.name(name), value, ended_ms, 0) for name, value in final.items() if math.isfinite(value)]
        points += mlflow_values.points(row.curve if run.continued else outcome.curve, millis(row.begun_at))
        tags = mlflow_values.tags(facts) if run is before else {}
        self._store.log(run.id, points=points, params=self._params_of(run, trial), tags=tags)
        self._upload(run, trial.number, outcome.artifacts, row.said)
        self._client.set_terminated(run.id, _ENDS.get(outcome.status, "FAILED"), ended_ms)
        run.ended = True

    def _pause(self, record: Paused) -> None:
        """An attempt was paused: its part of the curve is written, its run waits for the next attempt."""
        paused = self._tally.paused.get(record.number)
        if paused is None:
            return
        run = self._run_of(paused.trial, paused.at, {})
        run.continued = True
        if run.ended or run.attempt > record.attempt:
            return
        run.paused = True
        facts = {"status": "paused", "message": record.part.message, "mlflow.runName": f"{record.number:04d} paused"}
        points = [*mlflow_values.points(record.part.curve, millis(paused.at))]
        self._store.log(run.id, points=points, params=self._params_of(run, paused.trial), tags=mlflow_values.tags(facts))
        self._client.update_run(run.id, status="SCHEDULED")

    def _lose(self, record: SettledEvent | Incomparable, status: str, message: str, at: str) -> None:
        """An attempt came to nothing: its run, if there is one yet, ends here until the next attempt takes its place."""
        run = self._runs.get(record.number)
        if run is not None and run.attempt == record.attempt and not run.ended:
            facts = {"status": status, "message": message, "mlflow.runName": f"{record.number:04d} {status}"}
            self._store.log(run.id, tags=mlflow_values.tags(facts))
            self._client.set_terminated(run.id, "KILLED", millis(at))

    def _decide(self, decision: Decision, row: Row | None) -> None:
        """A decision on an earlier trial changes that one's run too."""
        number_ = decision.candidate
        if decision.leads:
            self._lead(number_)
        run = self._runs.get(number_)
        if run is None or (row is not None and row.trial.number == number_):
            return
        facts = {"decision": decision.verdict, "reason": decision.reason, "mlflow.runName": f"{number_:04d} {decision.verdict}"}
        self._store.log(run.id, tags=mlflow_values.tags(facts))
        self._upload_model(run, number_, decision.verdict)

    def _upload(self, run: _Run, trial: int, artifacts: Mapping[str, str], verdict: str) -> None:
        folder = self._attempt_folder(trial, run.attempt)
        wanted = {
            name: path for name, path in artifacts.items() if name == "patch.diff" or (self._logs and name.endswith(".log"))
        }
        texts = {name: text for name, path in wanted.items() if (text := mlflow_values.head_and_tail(folder / path)) is not None}
        if texts:
            with tempfile.TemporaryDirectory() as scratch:
                (logs := Path(scratch, "logs")).mkdir()
                for name, text in texts.items():
                    (Path(scratch) if name == "patch.diff" else logs).joinpath(name).write_text(text)
                self._client.log_artifacts(run.id, scratch)
        if "model" in artifacts:
            self._upload_model(run, trial, verdict)

    def _upload_model(self, run: _Run, trial: int, verdict: str) -> None:
        folder = self._attempt_folder(trial, run.attempt) / "model"
        wanted = self._models == "all" or (self._models == "kept" and verdict == "keep")
        if wanted and not run.model and folder.is_dir() and not folder.is_symlink() and any(folder.iterdir()):
            self._client.log_artifacts(run.id, str(folder), "model")
            self._store.log(run.id, tags={"model": "model"})
            run.model = True

    def _attempt_folder(self, trial: int, attempt: int) -> Path:
        return self._run_dir / "trials" / f"{trial:04d}" / str(attempt)
