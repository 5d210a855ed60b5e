"""The verbs of `arrl`: what is done beside running campaigns. Each takes its arguments and returns the exit code."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
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
    options = parser("validate").parse_args(arguments)
    where = [] if options.config_dir is None else [f"hydra.searchpath=[file://{options.config_dir.absolute()}]"]
    config, run_dir, chosen = composition.compose([*options.overrides, *where])
    from autoresearch_rl.controller.plan import assemble
    from autoresearch_rl.controller.run import check

    composition.use_plugins(config)
    plan = assemble(config)
    problems = check(plan, run_dir)
    composition.say_problems(problems)
    if any(problem.fatal for problem in problems):
        return 2
    cells = plan.task.search_space.size
    where_from = composition.shown(plan.task.path)
    print(f"Ready: task {plan.task.name} in {where_from}, policy {chosen['policy']}, target {chosen['target']}, ", end="")
    limit = "no limit of" if plan.settings.max_trials is None else f"{plan.settings.max_trials}"
    print(f"{limit} trials, {plan.settings.concurrency} at a time, ", end="")
    print(f"keep rule {chosen['controller/keep']}, cancel rule {chosen['controller/cancel']}.")
    names = ", ".join(plan.task.search_space.names) or "none"
    print(f"Search space: {names} ({'infinite' if cells is None else cells} settings); objective: ", end="")
    print(f"{plan.task.objective.direction} {plan.task.objective.metric}.")
    return 0


def run_one(arguments: list[str]) -> int:
    """Runs the baseline and one trial after it."""
    options = parser("run-one").parse_args(arguments)
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

    where = [] if options.config_dir is None else ["--config-dir", str(options.config_dir)]
    return max(composition.run_campaigns([*where, *options.overrides], adjust, then), default=0)


def init(arguments: list[str]) -> int:
    """Lays out a task that runs at once."""
    folder: Path = parser("init").parse_args(arguments).dir
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
    run_dir: Path = parser("stop").parse_args(arguments).run_dir
    from autoresearch_rl.controller.inbox import ask_stop

    ask_stop(run_dir)
    print(f"{run_dir} is asked to stop.")
    return 0


def enqueue(arguments: list[str]) -> int:
    """Asks a campaign to try something next."""
    options = parser("enqueue").parse_args(arguments)
    if options.params is None and options.patch is None:
        message = "There is neither --params nor --patch, so nothing to try."
        remedy = "Say what differs from the leader: --params '{\"lr\": 0.01}', --patch FILE, or both."
        raise ConfigError([Problem(code="enqueue-nothing", message=message, remedy=remedy)])
    from autoresearch_rl.controller.enqueuing import Wish
    from autoresearch_rl.controller.enqueuing import enqueue as put

    params = _object(options.params, "--params") if options.params is not None else {}
    patch = _text(Path(options.patch)) if options.patch is not None else ""
    wish = Wish(params=params, patch=patch, parent=options.parent, rationale=options.rationale)
    print(put(options.run_dir, wish, composition.command()))
    return 0


def note(arguments: list[str]) -> int:
    """Writes a note into a campaign's journal."""
    options = parser("note").parse_args(arguments)
    from autoresearch_rl.controller.enqueuing import note as put

    print(put(options.run_dir, " ".join(options.text), composition.command()))
    return 0


def resume(arguments: list[str]) -> int:
    """Takes a campaign up again."""
    options = parser("resume").parse_args(arguments)
    return composition.resume_run(options.run_dir, options.overrides).exit_code


def replay(arguments: list[str]) -> int:
    """Checks that a journal's decisions and proposals come out the same."""
    options = parser("replay").parse_args(arguments)
    run_dir: Path = options.run_dir.absolute()
    config, _ = composition.recorded(run_dir, options.overrides)
    from autoresearch_rl.controller.plan import assemble
    from autoresearch_rl.controller.run import replay_run

    print(replay_run(assemble(config), run_dir))
    return 0


def status(arguments: list[str]) -> int:
    """Shows a campaign as its journal has it."""
    from autoresearch_rl.controller.status import show_status

    options = parser("status").parse_args(arguments)
    show_status(options.run_dir, last=options.last, as_json=options.json)
    return 0


def explain(arguments: list[str]) -> int:
    """Shows what became of one trial, and why."""
    from autoresearch_rl.controller.explain_view import show_explained

    options = parser("explain").parse_args(arguments)
    show_explained(options.run_dir, options.trial, as_json=options.json)
    return 0


def ui(arguments: list[str]) -> int:
    """Runs MLflow's server on the campaigns of this folder until Ctrl-C or SIGTERM."""
    options = parser("ui").parse_args(arguments)
    from autoresearch_rl.ui import serve

    return serve(options.uri, options.port)


VERBS: Mapping[str, Callable[[list[str]], int]] = {
    "validate": validate,
    "run-one": run_one,
    "init": init,
    "resume": resume,
    "replay": replay,
    "stop": stop,
    "enqueue": enqueue,
    "note": note,
    "status": status,
    "explain": explain,
    "ui": ui,
}

_RUN = "runs/digits/2026-11-25_14-00-22_512077"
_HELP: Mapping[str, tuple[str, str]] = {  # what a verb does, and examples
    "validate": (
        "Find everything wrong with a configuration and task before any trial starts.",
        "arrl validate policy=random task.path=../my_task",
    ),
    "run-one": (
        "Run one trial after the baseline (alone: only the baseline), with everything recorded as in a campaign.",
        "arrl run-one --params '{\"lr\": 0.3}' controller.seed=7",
    ),
    "init": ("Make a folder with a commented task that runs at once.", "arrl init my_task && cd my_task && arrl"),
    "resume": (
        "Take a campaign up again after Ctrl-C, a crash, or to go on beyond a limit.",
        f"arrl resume {_RUN} controller.max_trials=200",
    ),
    "replay": (
        "Feed a journal to the loop again, without a trial: decisions and proposals must come out the same.",
        f"arrl replay {_RUN}",
    ),
    "stop": ("Ask a live campaign to stop: running trials get the stop order and time to obey.", f"arrl stop {_RUN}"),
    "enqueue": (
        "Have a campaign try something of yours next: it starts before all that waits, paused trials too, and counts as a trial. "
        "Without a live controller it waits for resume. Parameters that you leave out are those of the parent, which is the leader "
        "of now unless --parent names another trial; a patch applies to the parent's source.",
        f"arrl enqueue {_RUN} --params '{{\"learning_rate\": 0.02}}' --rationale 'between the two best'\n"
        f"  arrl enqueue {_RUN} --patch wider.diff --parent 7",
    ),
    "note": (
        "Write a note into a campaign's journal; console, status, explain, MLflow and the timeline show it. Without a live "
        "controller it waits for resume.",
        f"arrl note {_RUN} 'the node was restarted, trial 12 may be slow'",
    ),
    "status": ("Show a campaign, live or ended, as its journal has it.", f"arrl status {_RUN} --json --last 0"),
    "explain": (
        "Tell what became of one trial: why it was proposed, what it cost, what happened, what was decided and why. From the "
        "journal alone, also while the campaign runs.",
        f"arrl explain {_RUN} 7",
    ),
    "ui": ("Open the MLflow UI on the campaigns of this folder; Ctrl-C ends it.", "arrl ui --port 5001"),
}


def parser(verb: str) -> argparse.ArgumentParser:
    """The parser of a verb's arguments."""
    said, example = _HELP[verb]
    form = argparse.RawDescriptionHelpFormatter
    text = "\n".join(textwrap.wrap(said, 100))
    made = argparse.ArgumentParser(prog=f"arrl {verb}", description=text, epilog=f"example:\n  {example}", formatter_class=form)
    if verb == "init":
        made.add_argument("dir", type=Path, metavar="DIR", help="a new or empty folder")
    if verb in ("resume", "replay", "stop", "enqueue", "note", "status", "explain"):
        made.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    if verb in ("resume", "replay"):
        limits = ", ".join(f"controller.{name}" for name in composition.LIMITS)
        known = f"limits to change ({limits}), and plugins=[...]" if verb == "resume" else "plugins=[...]"
        made.add_argument("overrides", nargs="*", metavar="OVERRIDE", help=known)
    if verb == "explain":
        made.add_argument("trial", type=int, metavar="TRIAL", help="number of the trial; 0 is the baseline")
    if verb == "note":
        made.add_argument("text", nargs="+", metavar="TEXT", help="what to remember")
    if verb == "status":
        made.add_argument("--last", type=int, default=10, metavar="N", help="how many of the latest trials (10); 0 for all")
    if verb in ("status", "explain"):
        made.add_argument("--json", action="store_true", help="as one JSON object")
    if verb == "ui":
        made.add_argument("--uri", default="sqlite:///mlflow.db", help="where the runs are kept (sqlite:///mlflow.db)")
        made.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (5000)")
    if verb in ("run-one", "enqueue"):
        than = "the defaults" if verb == "run-one" else "the parent's"
        made.add_argument("--params", metavar="JSON", help=f"parameters that differ from {than}, e.g. '{{\"lr\": 0.01}}'")
        made.add_argument("--patch", metavar="FILE", help="a patch of the mutable files")
    if verb == "enqueue":
        made.add_argument("--parent", type=int, metavar="N", help="the trial to begin from (the leader)")
        made.add_argument("--rationale", default="", metavar="TEXT", help="why, shown wherever the trial is")
    if verb in ("validate", "run-one"):
        made.add_argument("--config-dir", type=Path, metavar="DIR", help="a folder with configuration of your own")
        made.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for a campaign, e.g. policy=random task.path=DIR")
    return made


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
