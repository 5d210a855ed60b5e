"""Scores the predictions. Frozen and trusted: it must not believe, import or unpickle anything that a trial wrote."""

import json
import os
import sys
from pathlib import Path

import numpy as np

y = np.load(Path(os.environ.get("AR_PRIVATE_DIR", "local/private")) / "y.npy")
try:
    predictions = np.load(Path(os.environ.get("AR_OUTPUT_DIR", "local/outputs")) / "predictions.npy", allow_pickle=False)
    if predictions.dtype != np.float64 or predictions.shape != y.shape or not np.isfinite(predictions).all():
        raise ValueError(f"expected {len(y)} finite float64, found {predictions.dtype} of shape {predictions.shape}")
except Exception as error:  # whatever goes wrong in here, it is the trial's file that did it
    print(f"predictions.npy: {error}", file=sys.stderr)
    sys.exit(10)  # bad outputs: the trial's fault; any other failure is this evaluator's own

# YOURS: any metrics, as finite numbers; task.yaml says which one is the objective.
metrics = {"rmse": float(np.sqrt(np.mean((predictions - y) ** 2))), "mae": float(np.mean(np.abs(predictions - y)))}
with open(int(os.environ.get("AR_ANSWER_FD", sys.stdout.fileno())), "w", closefd=False) as pipe:
    pipe.write(json.dumps(metrics) + "\n")
