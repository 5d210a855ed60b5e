"""The task: what a user brings. Schema and checks against the disk of `task.yaml`."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import ParamValue

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


def _inside(name: str) -> str:
    """A relative path that stays inside its folder."""
    if any(part in (".", "..") for part in PurePosixPath(name).parts) or PurePosixPath(name).as_posix() != name:
        raise ValueError("must be a plain relative path inside the folder")
    return name


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_./ -]*$"), AfterValidator(_inside)]
Command = Annotated[tuple[str, ...], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Files(_Strict):
    """The two halves of a task, as paths relative to its folder.

    Attributes:
        frozen: Data and scoring: what is correct. Hashed, never changed.
        mutable: How to get there: what policies may patch.
        guidance: Text for people and language models.
    """

    frozen: tuple[FileName, ...] = ()
    mutable: Annotated[tuple[FileName, ...], Field(min_length=1)]
    guidance: FileName | None = None


class Output(_Strict):
    """A file that predict (or train, where there is no predict stage) must leave, sealed before it is scored."""

    name: FileName
    format: Literal["npy", "npz", "json", "jsonl", "safetensors", "text", "binary"]
    max_bytes: Annotated[int, Field(gt=0)] = 100_000_000


class ModelLimits(_Strict):
    """Size limits of the model folder."""

    max_bytes: Annotated[int, Field(gt=0)] = 1_000_000_000
    max_files: Annotated[int, Field(gt=0)] = 1000


class Objective(_Strict):
    """What is optimised.

    Attributes:
        metric: Name of the evaluator's metric that is the score.
        direction: `minimize` or `maximize`.
        progress_metric: Name of the reported metric that makes the learning curve; default the objective's.
        time_budgeted: Whether training stops after a fixed time, so that scores are compared under equal conditions only.
    """

    metric: Annotated[str, Field(min_length=1)]
    direction: Literal["minimize", "maximize"]
    progress_metric: str = ""
    time_budgeted: bool = False

    @model_validator(mode="before")
    @classmethod
    def _default_progress(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and not raw.get("progress_metric"):
            return {**raw, "progress_metric": raw.get("metric", "")}
        return raw


class Timeouts(_Strict):
    """Wall seconds after which a stage and its whole process tree are killed."""

    prepare_s: Annotated[float, Field(gt=0)] = 600.0
    train_s: Annotated[float, Field(gt=0)] = 3600.0
    predict_s: Annotated[float, Field(gt=0)] = 600.0
    evaluate_s: Annotated[float, Field(gt=0)] = 600.0

    @property
    def trial_s(self) -> float:
        """The longest that a trial can take."""
        return self.train_s + self.predict_s + self.evaluate_s


class Task(_Strict):
    """A task folder with its `task.yaml`.

    Attributes:
        path: The task's folder.
        name: Also the name of the MLflow experiment and of the registered model.
        files: See `Files`.
        prepare_cmd: Trusted, run once; writes `AR_DATA_DIR`, `AR_TEST_DIR` and `AR_PRIVATE_DIR`. None where nothing is to prepare.
        train_cmd: Untrusted; `{name}` in an argument is replaced by that parameter.
        predict_cmd: Untrusted, fresh process, sees the sealed model and `AR_TEST_DIR`. None where train writes the outputs.
        evaluate_cmd: Trusted; None makes scores self-reported (`name=value` on train's stdout).
        python: Interpreter, or folder of a virtual environment, that `python` in commands stands for.
        env: Names of variables of the user's environment that the stages may see.
        caches: Read-only folders that stages may use (model hubs).
        hidden: Files of the machine that training must not read: paths, globs, or `module:package/path`.
        labels: `public` where the answers can be found on the machine, which is said in every report.
        checkpoints: Whether training writes checkpoints to `AR_CHECKPOINT_DIR` and can go on from them.
        outputs: See `Output`.
        model: See `ModelLimits`.
        objective: See `Objective`.
        resources: What a trial needs, by name (`gpu: 1`).
        timeouts: See `Timeouts`.
        log_bytes: Size to which stdout and stderr of a stage are cut each, head and tail kept.
        space: The search space; may be empty where only code is to change.
    """

    path: Path
    name: Name
    description: str = ""
    files: Files
    prepare_cmd: Command | None = None
    train_cmd: Command
    predict_cmd: Command | None = None
    evaluate_cmd: Command | None = None
    python: str | None = None
    env: tuple[str, ...] = ()
    caches: tuple[Path, ...] = ()
    hidden: tuple[str, ...] = ()
    labels: Literal["private", "public"] = "private"
    checkpoints: bool = False
    outputs: tuple[Output, ...] = ()
    model: ModelLimits = ModelLimits()
    objective: Objective
    resources: Mapping[str, Annotated[float, Field(ge=0)]] = {}
    timeouts: Timeouts = Timeouts()
    log_bytes: Annotated[int, Field(ge=4096)] = 10_000_000
    space: Mapping[str, Any] = {}

    def __init__(self, **fields: Any) -> None:
        """Validates everything at once. Raises ConfigError with one Problem for each thing that is wrong."""
        problems: list[Problem] = []
        try:
            SearchSpace.from_config(fields.get("space") or {})
        except ConfigError as error:
            problems.extend(error.problems)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            problems.extend(_problem(detail) for detail in error.errors())
        if problems:
            raise ConfigError(problems)

    @cached_property
    def search_space(self) -> SearchSpace:
        """The search space as a value."""
        return SearchSpace.from_config(self.space)

    @property
    def request(self) -> dict[str, float]:
        """What a trial is granted: `resources`, but whole GPUs if training is time-budgeted: a neighbour's share cannot be measured."""
        whole = self.objective.time_budgeted
        return {name: float(math.ceil(n)) if whole and name == "gpu" else n for name, n in self.resources.items()}

    @property
    def interpreter(self) -> str:
        """Path of the interpreter that `python` in commands stands for."""
        if self.python is None:
            return sys.executable
        path = Path(self.python).expanduser()
        path = path if path.is_absolute() else self.path / path
        return str(path / "bin" / "python") if path.is_dir() else str(path)

    def command(self, stage: str, params: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Argv of a stage, with `python` and `{parameter}` replaced. Raises KeyError for a stage that the task does not have."""
        template: tuple[str, ...] | None = getattr(self, f"{stage}_cmd")
        if template is None:
            raise KeyError(f"task {self.name} has no {stage}_cmd")
        argv = [_fill(part, params or {}) for part in template]
        if argv[0] in ("python", "python3"):
            argv[0] = self.interpreter
        return tuple(argv)

    def sources(self) -> dict[str, str]:
        """Texts of the mutable files by path. Raises ConfigError where one cannot be read or is not UTF-8."""
        return {name: _read(self.path / name) for name in self.files.mutable}

    def frozen_texts(self) -> dict[str, bytes]:
        """Bytes of the frozen files by path. Raises ConfigError where one cannot be read."""
        return {name: _bytes(self.path / name) for name in self.files.frozen}

    def prepared_key(self, data_seed: int) -> str:
        """SHA-256 that names the prepared data: over frozen files, command, interpreter and data seed."""
        digest = hashlib.sha256()
        for name, content in sorted(self.frozen_texts().items()):
            digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        digest.update(repr((self.prepare_cmd, self.interpreter, data_seed)).encode())
        return digest.hexdigest()

    def check(self) -> list[Problem]:
        """Everything that is wrong with the task on this disk; empty if nothing is."""
        if not self.path.is_dir():
            message = f"task.path {str(self.path)!r} is not a folder."
            remedy = "Name the folder that holds task.yaml."
            return [Problem(code="task-folder-missing", message=message, remedy=remedy)]
        return [*self._check_files(), *self._check_commands(), *self._check_names()]

    def _check_files(self) -> list[Problem]:
        problems: list[Problem] = []
        for role in ("frozen", "mutable"):
            for name in getattr(self.files, role):
                try:
                    _read(self.path / name) if role == "mutable" else _bytes(self.path / name)
                except ConfigError as error:
                    problems.extend(error.problems)
        both = sorted(set(self.files.frozen) & set(self.files.mutable))
        if both:
            message = f"files.frozen and files.mutable both name {both[0]!r}."
            problems.append(Problem(code="file-twice", message=message, remedy="A file is either frozen or mutable."))
        if self.files.guidance and not (self.path / self.files.guidance).is_file():
            message = f"files.guidance {self.files.guidance!r} is not in {self.path}."
            problems.append(Problem(code="file-missing", message=message, remedy="Create it or leave the key out."))
        return problems

    def _check_commands(self) -> list[Problem]:
        problems = []
        for stage in ("prepare", "train", "predict", "evaluate"):
            template = getattr(self, f"{stage}_cmd")
            if template is None:
                continue
            for part in template:
                problems.extend(self._unknown_fields(stage, part))
            program = self.command(stage, self.search_space.defaults)[0]
            found = shutil.which(program if "/" not in program else str(self.path / program))
            if found is None:
                message = f"{stage}_cmd: {program!r} is not an executable program."
                remedy = "Name a program on PATH, or `python` for the interpreter of the task (task.python)."
                problems.append(Problem(code="command-not-executable", message=message, remedy=remedy))
        if self.evaluate_cmd is None and self.predict_cmd is not None:
            message = "predict_cmd is set, but no evaluate_cmd would look at what it writes."
            problems.append(Problem(code="predict-unscored", message=message, remedy="Set evaluate_cmd or drop predict_cmd."))
        return problems

    def _unknown_fields(self, stage: str, part: str) -> list[Problem]:
        unknown = [name for name in _FIELD.findall(part) if name not in self.search_space.names]
        remedy = "Use a name of task.space, or write the braces in another way."
        message = (
            f"{stage}_cmd: {part!r} names the parameter {unknown[0]!r}, which is not in the search space." if unknown else ""
        )
        return [Problem(code="command-parameter", message=message, remedy=remedy)] if unknown else []

    def _check_names(self) -> list[Problem]:
        names = [output.name for output in self.outputs]
        twice = sorted({name for name in names if names.count(name) > 1})
        problems = []
        if twice:
            message = f"outputs names {twice[0]!r} twice."
            problems.append(Problem(code="output-twice", message=message, remedy="Give each output a name of its own."))
        for cache in self.caches:
            if not cache.expanduser().is_dir():
                message = f"caches: {str(cache)!r} is not a folder."
                problems.append(Problem(code="cache-missing", message=message, remedy="Create it or drop the entry."))
        return problems


_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _fill(part: str, params: Mapping[str, Any]) -> str:
    return _FIELD.sub(lambda match: parameter_text(params[match[1]]) if match[1] in params else match[0], part)


def parameter_text(value: ParamValue) -> str:
    """A parameter's value as a trial sees it in its arguments and variables."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise ConfigError([Problem(code="file-unreadable", message=message, remedy="Check files in task.yaml.")]) from error


def _read(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 (byte {error.start})."
        raise ConfigError([Problem(code="file-not-utf8", message=message, remedy="Save it as UTF-8.")]) from error


def _problem(detail: Any) -> Problem:
    where = ".".join(str(part) for part in detail["loc"])
    given = "" if detail["type"] == "missing" else f" (given: {str(detail['input'])[:80]!r})"
    remedies: Mapping[str, str] = {
        "missing": f"Add {where} to task.yaml.",
        "extra_forbidden": f"Drop it, or look at docs/reference/task.md for the key that you meant by {where!r}.",
    }
    remedy = remedies.get(str(detail["type"]), "See docs/reference/task.md for what it may be.")
    message = f"task.{where}: {detail['msg']}{given}."
    return Problem(code=f"task-{str(detail['type']).replace('_', '-')}", message=message, remedy=remedy)
