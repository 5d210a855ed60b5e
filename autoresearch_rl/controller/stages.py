"""The stages of one attempt: train, seal, predict, seal, evaluate. Runs in a worker thread, ends in a value, never raises."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from autoresearch_rl.controller.curve import CurveBuilder
from autoresearch_rl.controller.environment import base_environment, expose, parameter_environment
from autoresearch_rl.controller.hardware import hardware_class
from autoresearch_rl.controller.leases import Lease, Leases
from autoresearch_rl.controller.prepare import Prepared
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.verdict import BAD_OUTPUTS, Guard, ended, judge, verdict_of
from autoresearch_rl.controller.workspace import Workspace, scored_baseline
from autoresearch_rl.errors import EvaluatorError, SealError
from autoresearch_rl.events import Paused, Released, Reported, SettledEvent, StartTrial
from autoresearch_rl.metering import NOTHING
from autoresearch_rl.target import Job, JobResult, Limits, Session, Target, Tree
from autoresearch_rl.target.progress import PAUSED_EXIT
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Conditions, Order, Outcome, Progress, StageSpan, Status, Trial

_METRIC = re.compile(rb"^\s*([A-Za-z_][\w./-]{0,99})\s*[=:]\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*$")
_ARTIFACTS = (
    "patch.diff",
    *(f"{stage}.{stream}.log" for stage in ("train", "predict", "evaluate") for stream in ("stdout", "stderr")),
)
_LAST_BYTES = 1_000_000
_FULL_BYTES = 65_536
_LOW_BYTES = 16_000_000


@dataclass
class Control:
    """What the loop's thread and a worker tell each other. Each field has one writer; a single assignment needs no lock.

    Attributes:
        order: The loop's: the order that stands.
        ordered_s: The loop's: active seconds when the first one of its kind was given.
        grace_s: The worker's: seconds that the trial has to obey.
        latest_s: The worker's: active seconds when the time of the stage under way is over; infinite while there is none.
        trained: The worker's: whether training has ended, so that orders to cancel or to pause come too late.
    """

    order: Order | None = None
    ordered_s: float = math.inf
    grace_s: float = 0.0
    latest_s: float = math.inf
    trained: bool = False


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Runs attempts of one campaign.

    Attributes:
        target: Where the untrusted stages run.
        local: This machine, where the evaluator runs.
        leases: Devices are waited for until no other campaign has them.
        hardware: Facts of this machine.
        clock: Active seconds of the campaign.
        post: Puts an event into the loop's inbox.
    """

    task: Task
    campaign: str
    run_dir: Path
    target: Target
    local: Target
    prepared: Prepared
    sources: Sources
    frozen: Mapping[str, bytes]
    guard: Guard
    grace_s: float
    keep_workspaces: bool
    leases: Leases
    hardware: Mapping[str, str]
    clock: Callable[[], float]
    post: Callable[[Reported | Released], None]

    def run(self, start: StartTrial, control: Control) -> SettledEvent | Paused:
        """Returns how the attempt ended, or that it was paused. Raises EvaluatorError where the evaluator fails on the baseline too."""
        trial = start.trial
        if start.refusal:
            outcome = Outcome(status=Status.REJECTED, message=start.refusal, usage=NOTHING)
            return SettledEvent(number=trial.number, attempt=trial.attempt, outcome=outcome)
        with self.leases.of(start.devices) as lease:
            waited = self._wait(start, control, lease)
            return waited or self._run(start, control, lease)

    def _wait(self, start: StartTrial, control: Control, lease: Lease) -> SettledEvent | None:
        """Waits for the devices; how the attempt ended if an order came first. No folder, no attempt used, no time of the trial."""
        number, attempt = start.trial.number, start.trial.attempt

        def waiting(device: str) -> None:
            self.post(Reported(number=number, attempt=attempt, stage=f"waiting for {device}"))

        if lease.acquire(lambda: control.order is not None, waiting) or control.order is None:
            return None
        outcome = replace(_obeyed("waiting for devices of other campaigns", control.order), usage=NOTHING)
        return SettledEvent(number=number, attempt=attempt, outcome=outcome, interrupted=control.order.kind == "stop")

    def _run(self, start: StartTrial, control: Control, lease: Lease) -> SettledEvent | Paused:
        trial, begun_s = start.trial, self.clock()
        control.grace_s = self.grace_s
        space = Workspace.create(self.run_dir, trial)
        source = {**self.frozen, **{name: text.encode() for name, text in self.sources.files(trial.source_hash).items()}}
        key = f"{self.campaign}/{trial.number}/{trial.attempt}"
        with self.target.open(key, start.resources, start.devices) as session:
            attempt = _Attempt(self, start, space, source, control, session, lease)
            outcome = attempt.outcome()
        order = control.order
        interrupted = outcome.status is Status.LOST and order is not None and order.kind == "stop"
        outcome = replace(outcome, elapsed_s=self.clock() - begun_s, artifacts=_artifacts(space), spans=tuple(attempt.spans))
        space.finish(trial, outcome, keep=self.keep_workspaces, paused=attempt.paused)
        if attempt.paused:
            return Paused(number=trial.number, attempt=trial.attempt, part=outcome)
        return SettledEvent(number=trial.number, attempt=trial.attempt, outcome=outcome, interrupted=interrupted)


@dataclass
class _Attempt:
    """One attempt on its way. Each step returns an outcome that ends it, or None to go on."""

    stages: Stages
    start: StartTrial
    space: Workspace
    source: Mapping[str, bytes]
    control: Control
    session: Session
    lease: Lease
    curve: CurveBuilder = field(default_factory=CurveBuilder)
    spans: list[StageSpan] = field(default_factory=list)
    usage: dict[str, float] = field(default_factory=dict)
    sealed: dict[str, str] = field(default_factory=dict)
    conditions: Conditions | None = None
    tier: int = 0
    stage: str = ""
    paused: bool = False
    told: Order | None = None  # the first order that came while it trained: what is ending already ends as it was told first

    def outcome(self) -> Outcome:
        task = self.stages.task
        end = self._untrusted("train") or self._seal("model", self.space.seal_model)
        end = end or (self._untrusted("predict") if task.predict_cmd else None) or self._seal("output", self.space.seal_outputs)
        if end is None:
            self.lease.release()
            held = tuple(name for name in self.start.resources if name in task.resources)  # what it asked 0 of it does not hold
            if held:
                self.stages.post(Released(number=self._trial.number, attempt=self._trial.attempt, resources=held))
            end = self._evaluate() if task.evaluate_cmd is not None else self._self_reported()
        if end.status is Status.FAILED and self._disk_was_full(end.message):
            # Which may be its own doing or not; it runs again, at most `max_attempts` times, once its folders are dropped.
            end = Outcome(status=Status.LOST, message=f"the disk of {self.stages.run_dir} was full: {end.message}")
        end = replace(end, curve=self.curve.build(), reported=self.curve.last, usage=self.usage, sealed=self.sealed)
        return replace(end, conditions=self.conditions)

    def _disk_was_full(self, message: str) -> bool:
        """Also where a trial beside it has ended since and left some room."""
        free = shutil.disk_usage(self.stages.run_dir).free
        return free < _FULL_BYTES or (free < _LOW_BYTES and os.strerror(errno.ENOSPC) in message)

    @property
    def _trial(self) -> Trial:
        return self.start.trial

    # ---------------------------------------------------------------- steps
    def _untrusted(self, stage: str) -> Outcome | None:
        guard, key = self.stages.guard, f"{self._trial.number}/{self._trial.attempt}"
        self.space.renew(self.source)
        guard.enter(key)
        result = self._run(stage, self._job(stage))
        changed = guard.leave(key)
        self.tier = min(self.tier, result.tier) if self.tier else result.tier
        if changed:
            message = f"{stage}: frozen files or data were changed while it ran: {', '.join(changed[:3])}"
            return Outcome(status=Status.TAMPERED, message=message)
        self.paused = stage == "train" and self._saved(result)
        if stage == "train" and result.obeyed is not None and result.exit_code == 0 and not self._trained():
            return _obeyed(stage, result.obeyed)
        return _failed(stage, result)

    def _saved(self, result: JobResult) -> bool:
        """Whether training wrote its checkpoint on an order to pause."""
        pausing = self.told is not None and self.told.kind == "pause"
        return pausing and result.exit_code == PAUSED_EXIT and self.stages.task.checkpoints

    def _trained(self) -> bool:
        """Whether training that ended well under an order did so by itself: it reached its last step, or never reported at all."""
        curve = self.curve.build()
        return not curve.steps or (curve.step_target is not None and curve.steps[-1] >= curve.step_target)

    def _seal(self, what: str, seal: Callable[[Task], Mapping[str, str]]) -> Outcome | None:
        try:
            self.sealed |= seal(self.stages.task)
        except SealError as error:
            return Outcome(status=Status.FAILED, message=f"{what} refused ({error.code}): {error}")
        return None

    def _evaluate(self) -> Outcome:
        stages, epoch = self.stages, self.stages.guard.verify()
        result = self._score(self.space)
        if stages.guard.verify() != epoch:
            return Outcome(status=Status.LOST, message="frozen files were changed by another trial while this one was evaluated")
        if result.lost:
            return Outcome(status=Status.LOST, message=f"evaluate: {result.lost}")
        if result.obeyed is not None and result.signal is not None:
            return _obeyed("evaluate", result.obeyed)  # it outlived the grace of an order, which is no fault of its own
        if result.exit_code == BAD_OUTPUTS:
            return Outcome(status=Status.FAILED, message=f"the evaluator refused the outputs\n{result.stderr_tail}".strip())
        metrics = judge(result, stages.task)
        if isinstance(metrics, str):
            return self._evaluator_failed(metrics, result)
        return self._scored(metrics)

    def _evaluator_failed(self, message: str, result: JobResult) -> Outcome:
        """Not the trial's fault unless the same evaluator still scores the baseline, or never did (`require_baseline=false`)."""
        if self._trial.number != 0:
            baseline = scored_baseline(self.stages.run_dir)
            again = self._score(baseline) if baseline is not None else None
            if again is None or not isinstance(judge(again, self.stages.task), str):
                return Outcome(status=Status.FAILED, message=f"{message} on this trial's outputs\n{result.stderr_tail}".strip())
        raise EvaluatorError(f"{message}, on the baseline too\n{result.stderr_tail or result.unstartable}".strip())

    def _self_reported(self) -> Outcome:
        metrics = _printed(self.space.root / "train.stdout.log")
        if self.stages.task.objective.metric not in metrics:
            name = self.stages.task.objective.metric
            message = f"train printed no line `{name}=<finite number>`, and the task has no evaluator"
            return Outcome(status=Status.FAILED, message=message)
        return self._scored(metrics)

    def _scored(self, metrics: Mapping[str, float]) -> Outcome:
        task = self.stages.task
        score = metrics[task.objective.metric]
        return Outcome(status=Status.OK, score=score, metrics=metrics, verdict=verdict_of(task, self.tier))

    # ---------------------------------------------------------------- jobs
    def _run(self, stage: str, job: Job, session: Session | None = None) -> JobResult:
        self.stage, begun_s = stage, self.stages.clock()
        self.stages.post(Reported(number=self._trial.number, attempt=self._trial.attempt, stage=stage))
        self.control.latest_s = begun_s + job.limits.timeout_s
        result = (session or self.session).run(job, self._report)
        self.control.latest_s, self.control.trained = math.inf, True
        self.spans.append(StageSpan(stage=stage, begun_s=begun_s, ended_s=self.stages.clock()))
        for name, amount in result.usage.items():
            before = self.usage.get(name, 0.0)
            self.usage[name] = max(before, amount) if name.startswith("peak_") else before + amount
        gpus = self.start.resources.get("gpu", 0.0)
        if gpus and stage != "evaluate" and "gpu_s" not in result.usage:
            self.usage["gpu_s"] = self.usage.get("gpu_s", 0.0) + gpus * result.elapsed_s
        if stage == "train":
            here = hardware_class(self.stages.hardware, self.start.resources, self.start.devices)
            self.conditions = Conditions(hardware=result.hardware or here, contention=result.contention)
        return result

    def _report(self, progress: Progress | None) -> Order | None:
        if progress is not None and self.curve.add(progress, self.stages.clock()):
            number, attempt = self._trial.number, self._trial.attempt
            self.stages.post(Reported(number=number, attempt=attempt, stage="train", progress=progress))
        order = self.control.order
        if self.stage == "train":
            order = self.told = self.told or order
        if order is None or (self.stage != "train" and order.kind != "stop"):
            return None  # cancelling and pausing are about the training: once it has ended they come too late
        self.control.grace_s = max(self.stages.grace_s, 3 * statistics.median(self.curve.intervals_s or [0.0]))
        return replace(order, grace_s=self.control.grace_s)

    def _job(self, stage: str) -> Job:
        task, space, trial = self.stages.task, self.space, self._trial
        # Where there is a predict stage, the outputs are its own: training cannot know the test inputs.
        writable = {} if stage == "train" and task.predict_cmd else {"AR_OUTPUT_DIR": space.scratch_outputs}
        prepared = self.stages.prepared
        if stage == "train":
            inputs = {"AR_DATA_DIR": Tree(path=prepared.data, sha256=prepared.hashes["data"])}
            writable |= {"AR_MODEL_DIR": space.scratch_model, "AR_CHECKPOINT_DIR": space.checkpoint}
        else:
            inputs = {"AR_TEST_DIR": Tree(path=prepared.test, sha256=prepared.hashes["test"])}
            inputs["AR_MODEL_DIR"] = Tree(path=space.model, sha256="")
        own = {"AR_TRIAL": str(trial.number), "AR_SEED": str(trial.seed), "AR_RUN_DIR": str(space.root)}
        if stage == "train":
            own |= {"AR_PROGRESS_FILE": str(space.progress), "AR_CONTROL_FILE": str(space.control)}
        folders = {name: tree.path for name, tree in inputs.items()} | writable
        env = {**base_environment(task, space.home), **parameter_environment(trial.proposal.params), **own, **expose(folders)}
        timeout_s: float = getattr(task.timeouts, f"{stage}_s")
        if stage == "train":
            timeout_s = max(timeout_s - self.start.ran_s, 1.0)
        return Job(
            stage=stage,
            argv=task.command(stage, trial.proposal.params),
            env=env,
            cwd=space.work,
            inputs=inputs,
            writable=writable,
            logs=space.root,
            progress=space.progress if stage == "train" else None,
            control=space.control if stage == "train" else None,
            limits=Limits(timeout_s=timeout_s, grace_s=self.stages.grace_s, log_bytes=task.log_bytes),
        )

    def _score(self, space: Workspace) -> JobResult:
        """Runs the frozen evaluator on sealed outputs, in an empty folder, from pristine copies."""
        task, prepared = self.stages.task, self.stages.prepared
        folders = {"AR_OUTPUT_DIR": space.outputs, "AR_MODEL_DIR": space.model, "AR_PRIVATE_DIR": prepared.private}
        cwd = self.space.evaluation
        shutil.rmtree(cwd, ignore_errors=True)
        cwd.mkdir()
        job = Job(
            stage="evaluate",
            argv=_isolated(task, self.stages.run_dir / "frozen"),
            env={**base_environment(task, cwd), **expose(folders)},
            cwd=cwd,
            logs=self.space.root,
            answer=True,
            limits=Limits(timeout_s=task.timeouts.evaluate_s, log_bytes=task.log_bytes),
        )
        with self.stages.local.open(f"evaluate {self._trial.number}", {}, {}) as session:
            return self._run("evaluate", job, session)


def _isolated(task: Task, frozen: Path) -> tuple[str, ...]:
    """The evaluator's command: frozen files by absolute path, and `python` so that no variable or folder of the user's matters.

    Not with -I: an evaluator may import its frozen neighbours. -B leaves no byte code, so that any that is there was planted.
    """
    command = task.command("evaluate")
    argv = [str(frozen / part) if part.removeprefix("./") in task.files.frozen else part for part in command]
    return (argv[0], "-E", "-s", "-B", *argv[1:]) if argv[0] == task.interpreter else tuple(argv)


def _failed(stage: str, result: JobResult) -> Outcome | None:
    """The outcome of an untrusted stage that did not end well, None if it did."""
    tail = f"\n{result.stderr_tail}".rstrip()
    if result.lost:
        return Outcome(status=Status.LOST, message=f"{stage}: {result.lost}")
    if result.unstartable:
        return Outcome(status=Status.FAILED, message=f"{stage} could not be started: {result.unstartable}")
    if result.obeyed is not None and result.exit_code != 0:
        return _obeyed(stage, result.obeyed)
    if result.timed_out:
        return Outcome(status=Status.TIMEOUT, message=f"{stage} took longer than its timeout and was killed{tail}")
    if result.exit_code != 0:
        return Outcome(status=Status.FAILED, message=f"{stage} ended with {ended(result)}{tail}")
    return None


def _obeyed(stage: str, order: Order) -> Outcome:
    """The outcome of an attempt that an order ended."""
    status = Status.LOST if order.kind == "stop" else Status.CANCELLED
    return Outcome(status=status, message=f"{stage}: {order.reason}")


def _artifacts(space: Workspace) -> Mapping[str, str]:
    found = tuple(name for name in _ARTIFACTS if (space.root / name).is_file())
    return _named((*found, "model") if space.model.is_dir() else found)


@cache  # nearly all trials of a campaign have the same ones, and all outcomes are kept
def _named(names: tuple[str, ...]) -> Mapping[str, str]:
    return {name: name for name in names}


def _printed(path: Path) -> dict[str, float]:
    """Metrics printed as `name=value` or `name: value`, the last of a name wins; from the last megabyte of a log."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _LAST_BYTES))
        lines = stream.read().splitlines()
    found = (match for line in lines if len(line) < 200 and (match := _METRIC.match(line)))
    return {match[1].decode(): value for match in found if abs(value := float(match[2])) != float("inf")}
