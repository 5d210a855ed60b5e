"""A tiny task of real files and processes, for tests: learns nothing, takes milliseconds, and can misbehave in every way."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch_rl.task import Task

PREPARE = """
import os
seed = os.environ["AR_DATA_SEED"]
for folder, name in (("AR_DATA_DIR", "train.txt"), ("AR_TEST_DIR", "inputs.txt"), ("AR_PRIVATE_DIR", "labels.txt")):
    with open(os.path.join(os.environ[folder], name), "w") as stream:
        stream.write("7\\n")
"""
TRAIN = """
import json, os
x = float(os.environ["AR_PARAM_X"])
with open(os.environ["AR_PROGRESS_FILE"], "a") as stream:
    for step in (1, 2, 3):
        stream.write(json.dumps({"step": step, "step_target": 3, "metrics": {"loss": abs(x - 0.3) + 1 / step}}) + "\\n")
with open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json"), "w") as stream:
    json.dump({"x": x}, stream)
"""
PREDICT = """
import json, os
model = json.load(open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json")))
with open(os.path.join(os.environ["AR_OUTPUT_DIR"], "prediction.json"), "w") as stream:
    json.dump(model["x"], stream)
"""
EVALUATE = """
import json, os, sys
prediction = json.load(open(os.path.join(os.environ["AR_OUTPUT_DIR"], "prediction.json")))
if not isinstance(prediction, float):
    sys.exit(10)
label = float(open(os.path.join(os.environ["AR_PRIVATE_DIR"], "labels.txt")).read())
os.write(int(os.environ["AR_ANSWER_FD"]), json.dumps({"loss": (prediction - 0.3) ** 2, "label": label}).encode())
"""


def task_config(folder: Path, texts: Mapping[str, str] | None = None, /, **changes: Any) -> dict[str, Any]:
    """Writes the task's files (some replaced by `texts`) and returns its configuration with `changes`."""
    written = {"prepare.py": PREPARE, "train.py": TRAIN, "predict.py": PREDICT, "evaluate.py": EVALUATE, **(texts or {})}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (folder / name).write_text(textwrap.dedent(text).lstrip())
    config: dict[str, Any] = {
        "path": folder,
        "name": "tiny",
        "files": {"frozen": ["prepare.py", "evaluate.py"], "mutable": ["train.py", "predict.py"]},
        "prepare_cmd": ["python", "prepare.py"],
        "train_cmd": ["python", "train.py"],
        "predict_cmd": ["python", "predict.py"],
        "evaluate_cmd": ["python", "evaluate.py"],
        "outputs": [{"name": "prediction.json", "format": "json", "max_bytes": 1000}],
        "objective": {"metric": "loss", "direction": "minimize"},
        "timeouts": {"train_s": 20, "predict_s": 20, "evaluate_s": 20, "prepare_s": 20},
        "space": {"x": {"low": 0.0, "high": 1.0}},
    }
    return {key: value for key, value in {**config, **changes}.items() if value is not ...}


def tiny_task(folder: Path, texts: Mapping[str, str] | None = None, /, **changes: Any) -> Task:
    """The task itself."""
    return Task(**task_config(folder, texts, **changes))
