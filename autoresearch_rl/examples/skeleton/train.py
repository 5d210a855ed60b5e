"""Trains a model. Mutable: yours, and what policies change. Reads AR_DATA_DIR and its parameters, fills AR_MODEL_DIR."""

import json
import os
import sys
from pathlib import Path

import numpy as np

from autoresearch_rl.target.progress import emit_progress

# Outside a campaign there are no parameters in the environment, and these hold.
DEFAULTS = {"width": 8, "frequency": 1.0, "optimizer": "sgd", "lr": 0.05, "beta": 0.9}
params = DEFAULTS | json.loads(os.environ.get("AR_PARAMS_JSON", "{}"))
rng = np.random.default_rng(int(os.environ.get("AR_SEED", "0")))

path = Path(os.environ.get("AR_DATA_DIR", "local/data")) / "train.npz"
if not path.exists():
    sys.exit(f"{path} is missing: run `python prepare.py` first.")
with np.load(path) as data:
    x, y = data["x"], data["y"]

# YOURS: the model and its training. This one adds up waves of random frequencies; gradient descent finds their heights.
model = {
    "frequencies": rng.normal(0, params["frequency"], params["width"]),
    "phases": rng.uniform(0, 2 * np.pi, params["width"]),
    "heights": np.zeros(params["width"]),
}
waves = np.cos(x[:, None] * model["frequencies"] + model["phases"]) * (2 / params["width"]) ** 0.5
momentum = params["beta"] if params["optimizer"] == "momentum" else 0.0
speed, steps = np.zeros(params["width"]), 300
for step in range(1, steps + 1):
    error = waves @ model["heights"] - y
    speed = momentum * speed - params["lr"] * (waves.T @ error) / len(y)
    model["heights"] += speed
    if step % 10 == 0:  # one line makes the learning curve; outside a campaign it does nothing
        emit_progress(step=step, step_target=steps, metrics={"rmse": float(np.sqrt(np.mean(error**2)))})

folder = Path(os.environ.get("AR_MODEL_DIR", "local/model"))
folder.mkdir(parents=True, exist_ok=True)
np.savez(folder / "model.npz", **model)
