"""The verbs of `arrl`: what is done beside running campaigns. Each takes its arguments and returns the exit code."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch_rl import composition
from autoresearch_rl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from autoresearch_rl.controller.run import Finished


def validate(arguments: list[str]) -> int:
    """Composes, assembles and checks everything on this machine; starts nothing."""
    parser = _parser("validate", "Find everything wrong with a configuration and task before any trial starts.")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for a campaign, e.g. policy=random task.path=DIR")
    config, run_dir = composition.compose(parser.parse_args(arguments).overrides)
    from autoresearch_rl.controller.plan import assemble
    from autoresearch_rl.controller.run import check

    composition.use_plugins(config)
    plan = assemble(config)
    problems = check(plan, run_dir)
    composition.say_problems(problems)
    if any(problem.fatal for problem in problems):
        return 2
    cells = plan.task.search_space.size
    print(
        f"Ready: task {plan.task.name} in {composition.shown(plan.task.path)}, policy {plan.labels['policy']}, target {plan.labels['target']}."
    )
    names = ", ".join(plan.task.search_space.names) or "none"
    print(f"Search space: {names} ({'infinite' if cells is None else cells} settings); objective: ", end="")
    print(f"{plan.task.objective.direction} {plan.task.objective.metric}.")
    return 0


def run_one(arguments: list[str]) -> int:
    """Runs the baseline and one trial after it."""
    parser = _parser(
        "run-one", "Run one trial after the baseline (alone: only the baseline), with everything recorded as in a campaign."
    )
    parser.add_argument("--params", metavar="JSON", help="parameters that differ from the defaults, e.g. '{\"lr\": 0.01}'")
    parser.add_argument("--patch", metavar="FILE", help="a patch of the mutable files")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for a campaign, e.g. task.path=DIR")
    options = parser.parse_args(arguments)
    params = _object(options.params, "--params") if options.params is not None else {}
    patch = _text(Path(options.patch)) if options.patch is not None else ""
    single = not params and not patch

    def adjust(config: DictConfig) -> None:
        config.policy = {
            "_target_": "autoresearch_rl.policy.static.Static",
            "_partial_": True,
            "params": params,
            "patch": patch,
        }
        config.controller.max_trials = 1 if single else 2

    def then(finished: Finished) -> int:
        last = finished.history.find(0 if single else 1)
        if last is not None and last.outcome.message:
            print(f"Trial {last.trial.number} {last.outcome.status}: {last.outcome.message}")
        return 0 if last is not None and last.outcome.score is not None else 3

    return max(composition.run_campaigns(options.overrides, adjust, then), default=0)


def init(arguments: list[str]) -> int:
    """Lays out a task that runs at once."""
    parser = _parser("init", "Make a folder with a commented task that runs at once: cd DIR && arrl.")
    parser.add_argument("dir", type=Path, metavar="DIR", help="a new or empty folder")
    folder: Path = parser.parse_args(arguments).dir
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} exists and is not an empty folder."
        raise ConfigError([Problem(code="folder-not-empty", message=message, remedy="Name a new one.")])
    skeleton = Path(__file__).parent / "examples" / "skeleton"
    try:
        shutil.copytree(skeleton, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except (OSError, shutil.Error) as error:
        message = f"{folder} cannot be made: {error}."
        raise ConfigError([Problem(code="folder-not-writable", message=message, remedy="Name another.")]) from error
    print(f"{folder} holds a task that runs: cd {folder} && {composition.command()}")
    for path in sorted(folder.iterdir()):
        print(f"  {path.name}")
    return 0


def stop(arguments: list[str]) -> int:
    """Asks a live campaign to stop."""
    parser = _parser("stop", "Ask a live campaign to stop: running trials get the stop order and time to obey.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    run_dir: Path = parser.parse_args(arguments).run_dir
    from autoresearch_rl.controller.live import ask_stop

    ask_stop(run_dir)
    print(f"{run_dir} is asked to stop.")
    return 0


def status(arguments: list[str]) -> int:
    """Shows a campaign as its journal has it."""
    from autoresearch_rl.controller.status import show_status

    parser = _parser("status", "Show a campaign, live or ended, as its journal has it.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("--last", type=int, default=10, metavar="N", help="how many of the latest trials (10); 0 for all")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    options = parser.parse_args(arguments)
    show_status(options.run_dir, last=options.last, as_json=options.json)
    return 0


def ui(arguments: list[str]) -> int:
    """Runs MLflow's server on the campaigns of this folder until Ctrl-C or SIGTERM."""
    parser = _parser("ui", "Open the MLflow UI on the campaigns of this folder; Ctrl-C ends it.")
    parser.add_argument("--uri", default="sqlite:///mlflow.db", help="where the runs are kept (sqlite:///mlflow.db)")
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (5000)")
    options = parser.parse_args(arguments)
    from autoresearch_rl.ui import serve

    return serve(options.uri, options.port)


VERBS: Mapping[str, Callable[[list[str]], int]] = {
    "validate": validate,
    "run-one": run_one,
    "init": init,
    "stop": stop,
    "status": status,
    "ui": ui,
}


def _parser(verb: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"arrl {verb}", description=description)


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        message = f"{option} {text!r} is no JSON: {error}."
        raise ConfigError(
            [Problem(code="not-json", message=message, remedy="Write an object, e.g. '{\"lr\": 0.01}'.")]
        ) from error
    if not isinstance(value, dict):
        message = f"{option} {text!r} is no JSON object."
        raise ConfigError([Problem(code="not-json", message=message, remedy="Write an object, e.g. '{\"lr\": 0.01}'.")])
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(code="file-unreadable", message=f"{path}: {error}.", remedy="Name a UTF-8 file.")]) from error
