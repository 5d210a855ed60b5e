"""Makes the data. Frozen: it runs once, and must write the same bytes for the same AR_DATA_SEED."""

import os
from pathlib import Path

import numpy as np


def folder(variable: str, by_hand: str) -> Path:
    """The folder that the campaign names, or one below the current folder when you run this by hand."""
    path = Path(os.environ.get(variable, by_hand))
    path.mkdir(parents=True, exist_ok=True)
    return path


# YOURS: load and split your own data here. This one is a noisy curve.
rng = np.random.default_rng(int(os.environ.get("AR_DATA_SEED", "0")))
x = rng.uniform(-3, 3, 1000)
y = np.sin(3 * x) + 0.3 * x + rng.normal(0, 0.1, 1000)

np.savez(folder("AR_DATA_DIR", "local/data") / "train.npz", x=x[:500], y=y[:500])  # what training sees
np.save(folder("AR_TEST_DIR", "local/test") / "x.npy", x[500:])  # what predict sees, and training does not
np.save(folder("AR_PRIVATE_DIR", "local/private") / "y.npy", y[500:])  # what only the evaluator sees
