"""The environment of stages: everything of the controller's own is dropped but for an allow-list."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from autoresearch_rl.task import Task, parameter_text
from autoresearch_rl.trial import Params

# Who keeps devices from us keeps them from trials too; the resources granted to a trial replace these.
_DEVICES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
_ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_HOME", *_DEVICES)


def base_environment(task: Task, home: Path) -> dict[str, str]:
    """Variables that every stage gets: the allow-list, what `task.env` names, and HOME and TMPDIR inside the workspace."""
    passed = {name: os.environ[name] for name in (*_ALLOWED, *task.env) if name in os.environ}
    # Stages import the same few packages again and again; without byte code each start compiles them anew.
    path = {"PATH": _path(task.interpreter, passed.get("PATH", os.defpath))}
    return {**passed, **path, "HOME": str(home), "TMPDIR": str(home), "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}


def _path(interpreter: str, path: str) -> str:
    """PATH in which `python` is the task's interpreter, for scripts that call it: its folder comes first if need be."""
    folder = Path(interpreter).parent
    found = shutil.which("python", path=path)
    return path if found is not None and Path(found).parent == folder else f"{folder}{os.pathsep}{path}"


def expose(folders: Mapping[str, Path]) -> dict[str, str]:
    """Paths as variables."""
    return {name: str(path) for name, path in folders.items()}


def parameter_environment(params: Params) -> dict[str, str]:
    """`AR_PARAMS_JSON` and one `AR_PARAM_<NAME>` for each parameter."""
    named = {f"AR_PARAM_{name.upper()}": parameter_text(value) for name, value in params.items()}
    return {"AR_PARAMS_JSON": json.dumps(dict(params)), **named}
