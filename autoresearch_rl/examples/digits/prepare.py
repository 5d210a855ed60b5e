"""Splits scikit-learn's handwritten digits into training data, test images and their secret labels. Frozen; runs once."""

import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TEST_SHARE = 0.5  # large, so that one image is only 0.1 % of accuracy


def folder(variable: str, by_hand: str) -> Path:
    """The folder that the campaign names, or one below the current folder when this is run by hand; made where missing."""
    path = Path(os.environ.get(variable, by_hand))
    path.mkdir(parents=True, exist_ok=True)
    return path


def main() -> None:
    """Writes data/train.npz, test/images.npy and private/labels.npy: the same bytes for the same AR_DATA_SEED."""
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)  # shape [n, 64], grey levels from 0 to 1
    labels = digits.target.astype(np.int64)
    order = np.random.default_rng(int(os.environ.get("AR_DATA_SEED", "0"))).permutation(len(labels))
    train, test = np.split(order, [round(len(order) * (1 - TEST_SHARE))])
    np.savez(folder("AR_DATA_DIR", "local/data") / "train.npz", images=images[train], labels=labels[train])
    np.save(folder("AR_TEST_DIR", "local/test") / "images.npy", images[test])
    np.save(folder("AR_PRIVATE_DIR", "local/private") / "labels.npy", labels[test])
    print(f"{len(train)} images to train on, {len(test)} to be tested with")


if __name__ == "__main__":
    main()
