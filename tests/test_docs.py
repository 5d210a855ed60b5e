"""What the documentation says is so: links lead somewhere, examples run, tables are complete."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from pydantic import BaseModel

import autoresearch_rl
from autoresearch_rl import composition, verbs
from autoresearch_rl.controller.plan import assemble
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import ArrlError, ConfigError
from autoresearch_rl.events import KINDS
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.task import Files, ModelLimits, Objective, Output, Task, Timeouts
from autoresearch_rl.trial import Conditions, Curve, Decision, Order, Outcome, Progress, Proposal, Trial
from tests.controller.plans import go, plan_of
from tests.tasks import EVALUATE, PREDICT, PREPARE, TRAIN, task_config, tiny_task

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "autoresearch_rl"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(PACKAGE.rglob("*.md"))]
SECTIONS: Mapping[str, type[BaseModel]] = {
    "files": Files,
    "outputs": Output,
    "model": ModelLimits,
    "objective": Objective,
    "timeouts": Timeouts,
}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def blocks(*languages: str) -> list[tuple[str, str]]:
    """(page and number of the block, text) of all blocks in one of the languages."""
    found = []
    for path in PAGES:
        for number, (language, text) in enumerate(
            re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
        ):
            if language in languages:
                found.append((f"{path.relative_to(ROOT)}:{number}", text))
    return found


def rows(text: str) -> Iterator[list[str]]:
    """Cells of all table rows; a bar in code does not end a cell."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def coded(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# ---------------------------------------------------------------- links and examples
def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_every_page_is_in_the_index() -> None:
    linked = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in LINK.findall(page("index.md"))}
    pages = {path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts and path.name != "index.md"}
    assert pages <= linked


def test_paths_in_messages_exist() -> None:
    for path in PACKAGE.rglob("*.py"):
        for name in re.findall(r"docs/[\w/-]+\.md", path.read_text()):
            assert (ROOT / name).is_file(), (path, name)


@pytest.mark.parametrize(("where", "text"), blocks("python"))
def test_python_compiles(where: str, text: str) -> None:
    compile(text, where, "exec")


@pytest.mark.parametrize(("where", "text"), blocks("yaml"))
def test_yaml_is_what_it_looks_like(tmp_path: Path, where: str, text: str) -> None:
    config: Any = OmegaConf.to_container(OmegaConf.create(text))  # as a task.yaml is read
    if "train_cmd" in config:
        for name in (*config["files"].get("frozen", ()), *config["files"]["mutable"], config["files"].get("guidance")):
            if name:
                (tmp_path / name).write_text("")
        if "python" in config:
            (tmp_path / ".venv" / "bin").mkdir(parents=True)
            (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
        assert Task(path=tmp_path, **config).check() == []
    elif "space" in config:
        SearchSpace.from_config(config["space"])
    else:
        assert "_target_" in text, "a block of yaml is a task, a space or an option"


def test_the_two_readers_of_numbers_agree() -> None:
    assert OmegaConf.create("lr: 1e-4").lr == 1e-4  # which YAML itself takes for a text
    assert yaml.safe_load("lr: 1e-4")["lr"] == "1e-4"


def command_lines() -> list[tuple[str, tuple[str, ...]]]:
    """Every `arrl ...` of the sh blocks, each once, with the page on which it stands first."""
    found: dict[tuple[str, ...], str] = {}
    for where, text in blocks("sh", "bash"):
        for line in text.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
            lexer.commenters, lexer.whitespace_split = "#", True
            words = list(lexer)
            for command in " ".join(shlex.quote(word) if set(word) - set(";&|") else "\n" for word in words).split("\n"):
                argv = tuple(shlex.split(command))
                if argv[:1] == ("arrl",):
                    found.setdefault(argv[1:], where)
    return [(where, argv) for argv, where in found.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task as `arrl init my_task` makes it, with the options of one's own of the how-to pages."""
    made = tmp_path_factory.mktemp("docs") / "my_task"
    assert verbs.init([str(made)]) == 0
    for text in own_files():
        path = made / text.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


def own_files() -> list[str]:
    """Blocks of the how-to pages that begin with the name of the file that they are."""
    return [text for where, text in blocks("python", "yaml") if "how-to/write" in where and re.match(r"# [\w/]+\.\w+\n", text)]


@pytest.mark.parametrize(
    ("where", "argv"), command_lines(), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_command_lines_are_understood(folder: Path, where: str, argv: tuple[str, ...]) -> None:
    if argv and argv[0] in verbs.VERBS:
        options = verbs.parser(argv[0]).parse_args(argv[1:])
        overrides, config_dir = getattr(options, "overrides", []), getattr(options, "config_dir", None)
        if not hasattr(options, "overrides"):
            return
    else:
        overrides, config_dir = campaign(argv)
    where_from = [] if config_dir is None else [f"hydra.searchpath=[file://{folder / config_dir}]"]
    with contextlib.chdir(folder):
        config, _, _ = composition.compose([*map(first_choice, overrides), *where_from])
        if config.plugins:
            return
        if "task.space.width.low=200" in argv:  # the tutorial's example of an error
            with pytest.raises(ConfigError) as caught:
                assemble(config)
            assert f"error: {caught.value}" in page("tutorial.md")
        else:
            assemble(config)


def campaign(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """Overrides and folder of options of a campaign's command line; flags are those that the reference names."""
    overrides, config_dir, words = [], None, iter(argv)
    for word in words:
        if word == "--config-dir":
            config_dir = next(words)
        elif word == "--cfg":
            assert next(words) == "job"
        elif word.startswith("-"):
            assert word in ("-m", "--help"), word
        else:
            assert "=" in word or word.startswith("~"), word
            overrides.append(word)
    return overrides, config_dir


def first_choice(override: str) -> str:
    """`policy=random,tpe` of a sweep as `policy=random`."""
    key, _, value = override.partition("=")
    return override if set("[{('") & set(value) else f"{key}={value.partition(',')[0]}" if value else override


def passed(folder: Path, *tests: str) -> list[str]:
    """Names of the tests that passed, in a process of its own; all must."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", *tests]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return re.findall(r"^(\S+) PASSED", done.stdout, re.MULTILINE)


def test_plugins_of_the_how_to_pages_keep_their_contracts(folder: Path) -> None:
    of_policy = [name for name in passed(folder, "test_nearby.py", "test_winners.py") if name.startswith("test_nearby.py")]
    assert f"{len(of_policy)} passed in" in page("how-to/write-a-policy.md")


@pytest.mark.slow
def test_the_target_of_the_how_to_page_keeps_its_contract(folder: Path) -> None:
    assert len(passed(folder, "test_threads.py")) > 10


# ---------------------------------------------------------------- tables
def test_every_problem_code_is_listed_and_no_other(tmp_path: Path) -> None:
    listed = [code for row in rows(page("reference/problems.md")) for code in coded(row[0])]
    assert len(set(listed)) == len(listed)
    used = codes_of_broken_tasks(tmp_path)
    for path in PACKAGE.rglob("*.py"):
        used |= set(re.findall(r"""(?:code=|_add\()"([a-z0-9-]+)\"""", path.read_text()))
    assert set(listed) == used


def codes_of_broken_tasks(folder: Path) -> set[str]:
    """Codes that the schema of a task gives, found by putting all sorts of values in all places."""
    values: list[Any] = [None, 5, 0.5, -1, "", "x y", "yes", [], {}, ["../x"], [5], [[]], {"a": "b"}, [""], {"gpu": -1}]
    base = task_config(folder)
    broken: list[dict[str, Any]] = [{**base, "unknown": 1}]
    for key in Task.model_fields:
        broken += [{name: value for name, value in base.items() if name != key}, *({**base, key: value} for value in values)]
    for section, model in SECTIONS.items():
        given = base.get(section, {})
        for key in model.model_fields:
            for value in values:
                changed = [{**given[0], key: value}] if section == "outputs" else {**given, key: value}
                broken.append({**base, section: changed})
    found = set()
    for config in broken:
        try:
            Task(**config)
        except ConfigError as error:
            found |= {problem.code for problem in error.problems}
    return found


def test_codes_of_refused_patches_and_outputs_are_listed() -> None:
    refused = page("reference/errors.md")
    listed = {code for row in rows(refused) for code in coded(row[0])}
    files = [*(ROOT / "rust" / "patch").rglob("*.rs"), ROOT / "rust" / "seal" / "error.rs", ROOT / "rust" / "python" / "patch.rs"]
    source = "".join(path.read_text() for path in files if path.name != "tests.rs")
    codes = set(re.findall(r'=> "([a-z_]+)",', source)) | set(re.findall(r'\(message, "([a-z_]+)"\)', source))
    assert len(codes) > 20
    assert codes <= listed


def test_every_exception_is_listed() -> None:
    listed = {coded(row[0])[0]: coded(row[1]) for row in rows(page("reference/errors.md").partition("## ")[0]) if coded(row[0])}
    public = {name: getattr(autoresearch_rl, name) for name in autoresearch_rl.__all__}
    ours = {name: kind for name, kind in public.items() if inspect.isclass(kind) and issubclass(kind, ArrlError)}
    assert listed == {name: [kind.__bases__[0].__name__] for name, kind in ours.items()}


def defaults(text: str) -> dict[str, str]:
    """The default column by key, of the tables that have one."""
    found = {}
    header: list[str] = []
    for row in rows(text):
        if "default" in row:
            header = row
        elif header and len(row) == len(header) and coded(row[0]):
            found[coded(row[0])[0]] = row[header.index("default")]
    return found


def test_every_key_of_the_controller_is_listed_with_its_default() -> None:
    section = page("reference/configuration.md").partition("## controller\n")[2].partition("### Resources")[0]
    listed = defaults(section)
    assert list(listed) == [field.name for field in dataclasses.fields(Settings)]
    shipped = yaml.safe_load((PACKAGE / "conf" / "controller" / "default.yaml").read_text())
    for key, value in listed.items():
        if key in shipped:
            assert yaml.safe_load(value.strip("`")) == shipped[key], key


@pytest.mark.parametrize("path", sorted((PACKAGE / "conf").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_argument_of_a_shipped_class_is_listed(path: Path) -> None:
    for node in yaml.safe_load(path.read_text()).values() if "telemetry" in path.parts else [yaml.safe_load(path.read_text())]:
        name = node.get("_target_", "")
        if not name or name.endswith(("Task", "Settings")):
            continue
        module, _, kind = name.rpartition(".")
        arguments = set(inspect.signature(getattr(importlib.import_module(module), kind)).parameters) - {"space"}
        listed = {code for row in rows(page("reference/configuration.md")) for cell in row[:3] for code in coded(cell)}
        assert arguments - {"console", "metric"} <= listed, name


def keys(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    return {f"{prefix}{name}": field.get_default() for name, field in model.model_fields.items()}


def test_every_key_of_a_task_is_listed_with_its_default() -> None:
    listed = defaults(page("reference/task.md").partition("## The search space")[0])
    known = keys(Task)
    for section, model in SECTIONS.items():
        known |= keys(model, f"{section}.")
    assert set(listed) == set(known)
    for key, default in known.items():
        if isinstance(default, bool | int | float) or (isinstance(default, str) and key != "objective.progress_metric"):
            assert yaml.safe_load(listed[key].strip("`")) == default, key


def test_every_record_of_the_journal_is_listed_with_its_fields() -> None:
    listed = {coded(row[0])[0]: set(coded(row[1])) for row in rows(page("reference/journal.md")) if coded(row[0])}
    for kind, record in KINDS.items():
        assert {field.name for field in dataclasses.fields(record)} <= listed[kind], kind
    values: Mapping[str, Any] = {
        "proposal": Proposal,
        "trial": Trial,
        "progress": Progress,
        "outcome": Outcome,
        "curve": Curve,
        "conditions": Conditions,
    }
    for name, value in values.items():
        assert {field.name for field in dataclasses.fields(value)} == listed[name]
    assert {field.name for field in dataclasses.fields(Decision)} <= listed["decide"]
    assert {field.name for field in dataclasses.fields(Order)} <= listed["order"]


def test_every_verb_and_its_options_are_listed() -> None:
    listed = [coded(row[0])[0] for row in rows(page("reference/commands.md")) if coded(row[0])]
    for verb in verbs.VERBS:
        (line,) = [line for line in listed if line.startswith(f"arrl {verb} ")]
        options = set(re.findall(r"--[a-z-]+", verbs.parser(verb).format_help())) - {"--help"}
        assert set(re.findall(r"--[a-z-]+", line)) == options
    (line,) = [row[1] for row in rows(page("reference/commands.md")) if "arrl resume" in row[0]]
    assert {name.removeprefix("controller.") for name in coded(line)} == {*composition.LIMITS, "plugins"}


def test_the_table_of_variables_is_what_stages_see(tmp_path: Path) -> None:
    say = "import os\nprint('SEEN', *sorted(os.environ))\n"
    scripts = {"prepare.py": PREPARE, "train.py": TRAIN, "predict.py": PREDICT, "evaluate.py": EVALUATE}
    task = tiny_task(
        tmp_path / "task", {name: say + text for name, text in scripts.items()}, resources={"gpu": 1}, env=["PYTHONPATH"]
    )
    finished = go(plan_of(task, max_trials=1, resources={"gpu": 1}), tmp_path)
    assert finished.exit_code == 0, finished.stop
    logs = dict.fromkeys(("train", "predict", "evaluate"), finished.run_dir / "trials" / "0000" / "1")
    (logs["prepare"],) = (tmp_path / "cache" / "tiny").glob("*/logs")
    section = page("reference/task.md").partition("### Variables")[2]
    allowed = set(coded(section.partition("From your environment come")[2].partition("\n\n")[0]))
    header, *table = list(rows(section.partition("From your environment")[0]))
    for stage, folder in logs.items():
        seen = set((folder / f"{stage}.stdout.log").read_text().partition("SEEN ")[2].split())
        listed = {name for row in table if row[header.index(stage)] for name in coded(row[0])}
        expected = {"AR_PARAM_X" if name == "AR_PARAM_<NAME>" else name for name in listed}
        assert expected <= seen, stage
        assert seen - expected <= allowed | {"PYTHONPATH"}, stage
