"""The rules of the code base that a machine can check, and the public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autoresearch_rl
from autoresearch_rl import errors

PACKAGE = Path(autoresearch_rl.__file__).parent
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "examples" not in path.parts)
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}

# The one list of exceptions, each with its reason.
LONG_FUNCTIONS: dict[str, str] = {}

LAYERS = [  # what a package may import is what stands after it
    ("cli", "verbs", "composition", "ui", "unknown"),
    ("testing",),
    ("controller",),
    ("policy", "target", "telemetry"),
    ("llm",),
    ("task", "metering"),
    ("events", "joining", "waiting"),
    ("trial", "history", "space", "space_config", "parameter"),
    ("errors",),
    ("_core",),
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
SEPARATE = {"policy", "target", "telemetry"}  # never import each other


def home(module: str) -> str:
    return module.removeprefix("autoresearch_rl").strip(".").partition(".")[0]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module) -> set[str]:
    """Modules of our own that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("autoresearch_rl"):
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("autoresearch_rl.")}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sizes(path: Path) -> None:
    assert path.read_text().count("\n") <= 400
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            lines = (node.body[-1].end_lineno or 0) - node.body[0].lineno + 1
            assert lines <= 50 or node.name in LONG_FUNCTIONS, f"{node.name} has {lines} lines"
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [argument for argument in parameters if argument.arg not in ("self", "cls")]
            assert node.name == "__init__" or len(named) <= 7, f"{node.name} has {len(named)} parameters"
        if isinstance(node, ast.ExceptHandler):
            assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), f"line {node.lineno} swallows an exception"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    mine = home(module_of(path))
    if not mine:
        return
    for name in imports(TREES[path]):
        theirs = home(name)
        if theirs in LEVEL and theirs != mine:
            assert LEVEL[theirs] >= LEVEL[mine], f"{mine} imports {name}"
            assert not {mine, theirs} <= SEPARATE, f"{mine} imports {name}"


def test_every_module_is_reachable() -> None:
    entry = {"autoresearch_rl", "autoresearch_rl.cli"}
    named = {name for path in PACKAGE.rglob("conf/**/*.yaml") for name in re.findall(r"autoresearch_rl[\w.]+", path.read_text())}
    seen = {module for path in SOURCES if "testing" in path.parts for module in [module_of(path)]}
    todo = entry | {name.rpartition(".")[0] for name in named} | seen
    by_name = {module_of(path): TREES[path] for path in SOURCES}
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name in reached or name not in by_name:
            continue
        reached.add(name)
        todo |= imports(by_name[name]) | {name.rpartition(".")[0]}
    assert set(by_name) - reached == {"autoresearch_rl.llm"}, "llm is filled by the policies that need it"


def test_one_instantiate() -> None:
    callers = [path.name for path, tree in TREES.items() if "hydra.utils" in ast.dump(tree)]
    assert callers == ["plan.py"]


def test_public_names() -> None:
    assert sorted(autoresearch_rl.__all__) == autoresearch_rl.__all__
    assert set(autoresearch_rl.__all__) == {
        *("ArrlError", "Ask", "Budget", "CampaignError", "Candidate", "ConfigError", "Curve", "Decision", "Entry"),
        *("EvaluatorError", "ForecastError", "History", "Job", "JobResult", "JournalError", "LaunchError", "Limits"),
        *("Order", "Outcome", "PatchError", "Policy", "PolicyError", "PoolError", "Problem", "Progress", "Proposal"),
        *("SealError", "SearchSpace", "Session", "Settled", "Sink", "Status", "Target", "Telemetry", "Tree", "Trial"),
        *("Verdict", "emit_progress"),
    }
    for name in autoresearch_rl.__all__:
        assert getattr(autoresearch_rl, name).__doc__, name


def test_the_drawn_exception_tree_is_the_real_one() -> None:
    drawn = set(re.findall(r"\w+Error", errors.__doc__ or ""))
    assert drawn == {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.ArrlError)
    }


def test_a_training_script_pays_for_nothing_heavy() -> None:
    script = "import sys, autoresearch_rl; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "hydra", "omegaconf", "mlflow", "optuna", "rich"} & set(ast.literal_eval(done.stdout))


def test_nothing_names_this_machine() -> None:
    root = PACKAGE.parent
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("no git checkout")
    for name in listed:
        path = root / name
        if path.is_file() and path.suffix in (".py", ".rs", ".md", ".yaml", ".toml", ".pyi", ".txt", ""):
            text = path.read_text(errors="replace")
            assert not re.search(r"(^|[\s\"'`(])/(root|home/\w+|work)/", text), name
