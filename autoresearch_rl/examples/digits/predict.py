"""Labels the test images with the model that train.py left. A fresh process: it has no training data, and no labels."""

import os
from pathlib import Path

import numpy as np
from train import forward


def main() -> None:
    """Writes predictions.npy: a digit for each test image, int64 of shape [n]."""
    with np.load(Path(os.environ.get("AR_MODEL_DIR", "local/model")) / "weights.npz", allow_pickle=False) as file:
        weights = dict(file)
    activation = str(weights.pop("activation"))
    images = np.load(Path(os.environ.get("AR_TEST_DIR", "local/test")) / "images.npy")
    _, logits = forward(weights, images, activation)
    outputs = Path(os.environ.get("AR_OUTPUT_DIR", "local/outputs"))
    outputs.mkdir(parents=True, exist_ok=True)
    np.save(outputs / "predictions.npy", logits.argmax(axis=1).astype(np.int64))


if __name__ == "__main__":
    main()
