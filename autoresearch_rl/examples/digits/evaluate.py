"""Scores predictions against the secret labels. Frozen, and trusted: it believes nothing that training or predict wrote."""

import json
import os
import sys
from pathlib import Path

import numpy as np

BAD_OUTPUTS = 10  # the exit code that blames the trial, not this evaluator


def load_predictions(path: Path, count: int) -> np.ndarray:
    """Returns digits of shape [count]. Raises ValueError where the file holds anything else."""
    predictions: np.ndarray = np.load(path, allow_pickle=False)
    if predictions.dtype != np.int64 or predictions.shape != (count,):
        raise ValueError(f"expected int64 of shape ({count},), found {predictions.dtype} of shape {predictions.shape}")
    if predictions.min() < 0 or predictions.max() > 9:
        raise ValueError(f"expected digits from 0 to 9, found {predictions.min()} to {predictions.max()}")
    return predictions


def main() -> None:
    """Answers with one JSON object of finite numbers."""
    labels = np.load(Path(os.environ.get("AR_PRIVATE_DIR", "local/private")) / "labels.npy")
    try:
        predictions = load_predictions(Path(os.environ.get("AR_OUTPUT_DIR", "local/outputs")) / "predictions.npy", len(labels))
    except Exception as error:  # whatever goes wrong in here, it is the trial's file that did it
        print(f"predictions.npy: {error}", file=sys.stderr)
        sys.exit(BAD_OUTPUTS)
    accuracy = float(np.mean(predictions == labels))
    answer = json.dumps({"accuracy": accuracy, "error_rate": 1 - accuracy})
    with open(int(os.environ.get("AR_ANSWER_FD", sys.stdout.fileno())), "w", closefd=False) as pipe:
        pipe.write(answer + "\n")


if __name__ == "__main__":
    main()
