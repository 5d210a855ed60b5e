"""Composes configurations and runs their campaigns in Hydra's main."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import TYPE_CHECKING, Any

from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from autoresearch_rl.errors import CampaignError, ConfigError, Problem

if TYPE_CHECKING:
    from autoresearch_rl.controller.run import Finished
    from autoresearch_rl.history import History
    from autoresearch_rl.trial import Proposal

_HERE = Path(__file__).parent
LIMITS = (
    "max_trials",
    "max_wall_s",
    "max_gpu_s",
    "max_usd",
    "max_tokens",
    "max_trial_usd",
    "patience",
    "min_gain",
    "concurrency",
)

OmegaConf.register_new_resolver("example", lambda name: str(_HERE / "examples" / name), replace=True)


class Stopped(KeyboardInterrupt):
    """A campaign was interrupted: no Exception, so that a sweep ends with it. Attribute `code` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"interrupted (exit code {code})")
        self.code = code


# ---------------------------------------------------------------- campaigns
def run_campaigns(
    arguments: list[str], adjust: Callable[[DictConfig], None] | None = None, then: Callable[[Finished], int] | None = None
) -> list[int]:
    """Runs one campaign, or with -m one for each combination, in Hydra's main; returns their exit codes.

    `adjust` may change the composed configuration; `then` gets each finished campaign and returns its exit code.
    """
    codes: list[int] = []
    begun: list[bool] = []

    @hydra_main(version_base="1.3", config_path=str(_HERE / "conf"), config_name="config")
    def job(config: DictConfig) -> None:
        begun.append(True)
        if adjust is not None:
            adjust(config)
        finished = run_composed(config, chosen=adjust is None)
        code = finished.exit_code if then is None else then(finished)
        codes.append(code)
        with suppress(
            OSError
        ):  # a launcher may run this in another process, where `codes` is a copy; on another machine it is lost
            os.close(mkstemp(prefix=f"{code}-", dir=elsewhere)[0])

    words = ["arrl", *with_task_folder(arguments)]
    elsewhere = Path(mkdtemp(prefix="arrl-"))
    before, sys.argv = sys.argv, words
    try:
        job()
        return codes or [int(path.name.partition("-")[0]) for path in elsewhere.iterdir()]
    except ValueError as error:
        if begun or isinstance(error, HydraException):
            raise
        raise ConfigError([_uncomposed(error)]) from error
    except OSError as error:
        if begun or isinstance(error, HydraException):
            raise
        # Hydra makes the run directory before our own checks are reached.
        message = f"The run directory {error.filename} cannot be made: {error.strerror}."
        remedy = "Choose another with hydra.run.dir=DIR (a sweep: hydra.sweep.dir=DIR)."
        raise ConfigError([Problem(code="run-dir-not-writable", message=message, remedy=remedy)]) from error
    finally:
        sys.argv = before
        shutil.rmtree(elsewhere, ignore_errors=True)


def run_composed(config: DictConfig, *, chosen: bool) -> Finished:
    """Runs the campaign of a composed configuration inside a Hydra job. Raises CampaignError, or Stopped when interrupted.

    `chosen`: policy and target are those of the command line, and go by the names that they have there.
    """
    from autoresearch_rl.controller.plan import assemble
    from autoresearch_rl.controller.prepare import cache_root
    from autoresearch_rl.controller.run import run

    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    tags = {group: str(hydra.runtime.choices[group]) for group in ("policy", "target")} if chosen else {}
    if hydra.mode == RunMode.MULTIRUN:
        tags["sweep"] = Path(hydra.sweep.dir).name
    use_plugins(config)
    plan = assemble(config)
    if "sweep" in tags:
        swept = [override for override in hydra.overrides.task if override != "task=folder"]
        _announce(f"campaign {hydra.job.num} of the sweep: {' '.join(swept)}")
    with logging_to(run_dir / "arrl.log"):
        finished = run(plan, run_dir, cache_dir=cache_root(), tags=tags, announce=_announce)
    return conclude(finished, config)


def resume_run(run_dir: Path, overrides: Sequence[str]) -> Finished:
    """Takes up the campaign of a run directory. `overrides` may change limits, and name plugins. Raises as `run_composed`."""
    from autoresearch_rl.controller.plan import assemble
    from autoresearch_rl.controller.prepare import cache_root
    from autoresearch_rl.controller.run import resume

    run_dir = run_dir.absolute()
    config, limits = recorded(run_dir, overrides)
    plan = assemble(config)
    with logging_to(run_dir / "arrl.log"):
        finished = resume(plan, run_dir, limits=limits, cache_dir=cache_root(), announce=_announce)
    return conclude(finished, config)


def recorded(run_dir: Path, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The configuration that a run directory's campaign was opened with, and the limits that overrides change.

    Plugins come from the overrides alone: a run directory must not name what is imported. Raises ConfigError, JournalError.
    """
    from autoresearch_rl.controller.journal import read
    from autoresearch_rl.controller.resuming import first

    opened = first(read(run_dir))
    given = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
    assert isinstance(given, dict)
    limits = given.pop("controller", None) or {}
    plugins = given.pop("plugins", [])
    wrong = [*given, *(f"controller.{name}" for name in limits if name not in LIMITS)]
    if wrong:
        remedy = f"Only limits can be changed: {', '.join(f'controller.{name}' for name in LIMITS)}; and plugins=[...]."
        meant = get_close_matches(wrong[0], [f"controller.{name}" for name in LIMITS], 1)
        remedy = f"Did you mean {meant[0]}? {remedy}" if meant else remedy
        message = f"{wrong[0]} cannot be changed when a campaign is resumed or replayed."
        raise ConfigError([Problem(code="resume-override", message=message, remedy=remedy)])
    if opened.cwd and Path(opened.cwd).is_dir():
        os.chdir(opened.cwd)  # mlflow.db and the like are where they were
    config = OmegaConf.create(opened.config)
    assert isinstance(config, DictConfig)
    config.plugins = plugins
    use_plugins(config)
    return config, limits


def conclude(finished: Finished, config: DictConfig) -> Finished:
    """Prints the end of a campaign. Raises CampaignError where it failed, Stopped where it was interrupted by a signal."""
    say_end(finished, ui="mlflow" in (config.get("telemetry") or {}))
    resume = f"{command()} resume {shlex.quote(str(shown(finished.run_dir)))}"
    if finished.untried:
        raised = "" if finished.stop.interrupted or finished.stop.failed else ", with the limit raised at which it ended,"
        print(f"Not tried yet: {finished.untried} of what was enqueued; `{resume}`{raised} begins with it.")
    if finished.stop.failed:
        raise CampaignError(finished.stop.reason)
    if finished.stop.interrupted:
        print(f"Go on with: {resume}")
    if finished.stop.signal:
        raise Stopped(finished.exit_code)
    return finished


def _announce(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class logging_to:  # reads as a verb where it is used
    """Sends log records to a file for as long as the context lasts, warnings to stderr too."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Opens the file; the run directory is Hydra's and exists by now."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(self._path, delay=True)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        to_stderr = logging.StreamHandler()
        to_stderr.setLevel(logging.WARNING)
        to_stderr.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        self._handlers = (to_file, to_stderr)
        logger = logging.getLogger("autoresearch_rl")
        logger.setLevel(logging.INFO)
        for handler in self._handlers:
            logger.addHandler(handler)

    def __exit__(self, *_: object) -> None:
        for handler in self._handlers:
            logging.getLogger("autoresearch_rl").removeHandler(handler)
            handler.close()


def say_end(finished: Finished, *, ui: bool) -> None:
    """Prints why a campaign ended, its best result, where that lies, and what to do next."""
    history, run_dir = finished.history, shown(finished.run_dir)
    if not finished.stop.failed:
        print(f"\nEnded: {finished.stop.reason}.")
    best = history.candidate(history.leader) if history.leader is not None else None
    if best is not None and best.mean is not None:
        trial = best.trials[0]
        baseline = history.candidate(0)
        against = f" (baseline {baseline.mean:.6g})" if baseline is not None and baseline.mean is not None and best.number else ""
        print(f"Best:  trial {best.number} with {best.mean:.6g}{against}")
        print(f"       {_tried(trial.trial.proposal)}")
        if history.confirmed != best.number:
            print(f"       not confirmed: {_latest_reason(history, best.number)}")
        verdict = trial.outcome.verdict
        if verdict is not None and verdict.reason:
            print(f"       verdict {verdict.kind}: {verdict.reason}")
        print(f"       {run_dir}/trials/{best.number:04d}/{trial.trial.attempt}")
    confirmed = history.candidate(history.confirmed) if history.confirmed is not None else None
    if confirmed is not None and confirmed.number:
        print(f"Confirmed: trial {confirmed.number}: {_latest_reason(history, confirmed.number)}")
        if confirmed.number != history.leader:
            print(f"       {_tried(confirmed.trials[0].trial.proposal)}")
        print(f"       {run_dir}/best -> trials/{confirmed.number:04d}/{confirmed.trials[0].trial.attempt}")
    if finished.spent:
        print(f"Spent: {finished.spent}")
    ledger = f"{run_dir}/results.tsv, or " if (finished.run_dir / "results.tsv").is_file() else ""
    print(f"All trials: {ledger}`{command()} status {shlex.quote(str(run_dir))}`")
    if ui:
        print(f"Look at it in MLflow: {command()} ui")


def _latest_reason(history: History, candidate: int) -> str:
    return next((d.reason for d in reversed(history.decisions) if d.candidate == candidate), "nothing was decided on it")


def _tried(proposal: Proposal) -> str:
    """Parameters, and whether the code was changed."""
    said = [f"{name}={_short(value)}" for name, value in proposal.params.items()] + ["patched"] * bool(proposal.patch)
    return ", ".join(said) or "code as it is"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shown(path: Path) -> Path:
    """A path as people would type it: relative to the working directory where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


def command() -> str:
    """How `arrl` was called, so that a printed command works when pasted."""
    found = shutil.which("arrl")
    called = Path(sys.executable).parent / "arrl"
    if not called.is_file() or (found is not None and Path(found).resolve() == called.resolve()):
        return "arrl"
    return str(shown(called))


# ---------------------------------------------------------------- composition
def with_task_folder(arguments: list[str]) -> list[str]:
    """Overrides in which a task folder has become the option `task=folder`, whose content is its `task.yaml`.

    The folder is `task.path=DIR` where that is given (alone or with task=folder), else the working directory if it has a
    `task.yaml` and no task is named. Raises ConfigError where the file is missing or broken.
    """
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument and not argument.startswith("-"))
    named = given.get("task.path")
    if given.get("task", "folder") != "folder" or "--hydra-help" in arguments:
        return arguments
    if named is None and not (Path("task.yaml").is_file() or "task" in given):
        return arguments
    if named is None and any(name in ("experiment",) for name in given) and not Path("task.yaml").is_file():
        return arguments
    folder = Path(named or ".").expanduser().absolute()
    ConfigStore.instance().store(group="task", name="folder", node=_load_task(folder), provider="task.yaml")
    rest = [argument for argument in arguments if argument.split("=", 1)[0] not in ("task", "task.path")]
    # Overrides must stand side by side, or Hydra refuses those after its own flags (`arrl controller.seed=1 --cfg job`).
    first = next((place for place, argument in enumerate(rest) if "=" in argument and not argument.startswith("-")), len(rest))
    return [*rest[:first], "task=folder", *rest[first:]]


def _load_task(folder: Path) -> dict[str, Any]:
    import yaml

    path = folder / "task.yaml"
    try:
        text = path.read_text(encoding="utf-8")
        # OmegaConf's loader reads 1e-4 as a number, which YAML's own does not, but takes bare words for keys.
        loaded = OmegaConf.to_container(OmegaConf.create(text)) if isinstance(yaml.safe_load(text) or {}, dict) else None
    except OSError as error:
        remedy = "Name a folder that holds one, or make a new task with `arrl init DIR`."
        raise ConfigError([Problem(code="task-yaml-missing", message=f"{path}: {error.strerror}.", remedy=remedy)]) from error
    except (yaml.YAMLError, ValueError) as error:
        message = f"{path} is no YAML: {' '.join(str(error).split())}."
        raise ConfigError([Problem(code="task-yaml-broken", message=message, remedy="Fix that line.")]) from error
    if not isinstance(loaded, dict):
        message = f"{path} holds no mapping of keys to values."
        raise ConfigError([Problem(code="task-yaml-broken", message=message, remedy="See docs/reference/task.md.")])
    content = {"name": folder.name, **{str(key): value for key, value in loaded.items()}}
    # A folder's file says what is run, never which class is imported; a packaged example's path is its folder all the same.
    return {**content, "_target_": "autoresearch_rl.task.Task", "_convert_": "all", "path": str(folder)}


def compose(arguments: list[str]) -> tuple[DictConfig, Path, dict[str, str]]:
    """What a command line composes to: the configuration, the run directory it would have, and the option chosen in each group.

    Raises HydraException, ConfigError.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    overrides = with_task_folder(arguments)
    with initialize_config_dir(version_base="1.3", config_dir=str(_HERE / "conf")):
        try:
            config = hydra_compose("config", overrides, return_hydra_config=True)
            run_dir = Path(str(config.hydra.run.dir))
        except ValueError as error:
            raise ConfigError([_uncomposed(error)]) from error
    with_flags = OmegaConf.to_container(config, resolve=False)
    assert isinstance(with_flags, dict)
    chosen = {str(group): str(option) for group, option in config.hydra.runtime.choices.items()}
    return OmegaConf.create({key: value for key, value in with_flags.items() if key != "hydra"}), run_dir, chosen


def _uncomposed(error: ValueError) -> Problem:
    """Hydra says some things about overrides as plain ValueErrors (`policy=null`)."""
    message = f"The configuration cannot be composed: {' '.join(str(error).split()).rstrip('.')}."
    return Problem(code="override-broken", message=message, remedy="Choose with GROUP=OPTION, as `arrl --help` shows.")


def use_plugins(config: DictConfig) -> None:
    """Makes modules of the working directory importable where the user names plugins."""
    if config.get("plugins") and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def say_problems(problems: Sequence[Problem]) -> None:
    """Lists problems on stderr, errors before warnings."""
    for problem in sorted(problems, key=lambda problem: not problem.fatal):
        print(f"{'error' if problem.fatal else 'warning'}: {problem}", file=sys.stderr)
