"""Scores guesses of the next byte against the secret bytes. Frozen, and trusted: it believes nothing that predict wrote."""

import json
import os
import sys
from pathlib import Path

import numpy as np

BAD_OUTPUTS = 10  # the exit code that blames the trial, not this evaluator


def load_logits(path: Path, count: int) -> np.ndarray:
    """Returns logits of shape [count, 256]. Raises ValueError where the file holds anything else."""
    logits: np.ndarray = np.load(path, allow_pickle=False)
    if logits.dtype not in (np.float16, np.float32) or logits.shape != (count, 256):
        raise ValueError(f"expected float16 or float32 of shape ({count}, 256), found {logits.dtype} of shape {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("some logits are not finite")
    return logits.astype(np.float64)


def main() -> None:
    """Answers with one JSON object of finite numbers. Probabilities are made here, so that they add up to one."""
    targets = np.load(Path(os.environ.get("AR_PRIVATE_DIR", "local/private")) / "targets.npy")
    try:
        logits = load_logits(Path(os.environ.get("AR_OUTPUT_DIR", "local/outputs")) / "logits.npy", len(targets))
    except Exception as error:  # whatever goes wrong in here, it is the trial's file that did it
        print(f"logits.npy: {error}", file=sys.stderr)
        sys.exit(BAD_OUTPUTS)
    logits -= logits.max(axis=1, keepdims=True)
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets]
    accuracy = float(np.mean(logits.argmax(axis=1) == targets))
    answer = json.dumps({"val_bpb": float(nats.mean() / np.log(2)), "accuracy": accuracy})
    with open(int(os.environ.get("AR_ANSWER_FD", sys.stdout.fileno())), "w", closefd=False) as pipe:
        pipe.write(answer + "\n")


if __name__ == "__main__":
    main()
