"""The environment of stages: everything of the controller's own is dropped but for an allow-list."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from autoresearch_rl.task import Task
from autoresearch_rl.trial import Params

_ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_HOME")


def base_environment(task: Task, home: Path) -> dict[str, str]:
    """Variables that every stage gets: the allow-list, what `task.env` names, and HOME and TMPDIR inside the workspace."""
    passed = {name: os.environ[name] for name in (*_ALLOWED, *task.env) if name in os.environ}
    # Stages import the same few packages again and again; without byte code each start compiles them anew.
    return {**passed, "HOME": str(home), "TMPDIR": str(home), "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}


def expose(folders: Mapping[str, Path]) -> dict[str, str]:
    """Paths as variables."""
    return {name: str(path) for name, path in folders.items()}


def parameter_environment(params: Params) -> dict[str, str]:
    """`AR_PARAMS_JSON` and one `AR_PARAM_<NAME>` for each parameter."""
    named = {f"AR_PARAM_{name.upper()}": _text(value) for name, value in params.items()}
    return {"AR_PARAMS_JSON": json.dumps(dict(params)), **named}


def _text(value: bool | int | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
