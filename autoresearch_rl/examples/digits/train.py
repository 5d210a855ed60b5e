"""Trains a small network on 8x8 images of handwritten digits, in plain numpy. This is the file to improve."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: trials that run side by side must not fight for cores

import numpy as np

from autoresearch_rl.target.progress import emit_progress

DEFAULTS = {
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.5,
    "beta2": 0.999,
    "weight_decay": 0.0001,
    "hidden": 32,
    "activation": "relu",
    "batch_size": 32,
    "dropout": 0.0,
    "shift": 0.0,
}
EPOCHS = 160
EPOCHS_PER_REPORT = 4
HELD_OUT = 0.15  # share of the training data that only measures progress

Weights = dict[str, np.ndarray]
ACTIVATIONS: Mapping[str, Any] = {  # name: (function, its derivative in terms of the function's value)
    "relu": (lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(np.float32)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "sigmoid": (lambda x: 0.5 * (1 + np.tanh(x / 2)), lambda y: y * (1 - y)),
}


def forward(weights: Weights, images: np.ndarray, activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the hidden layer, shape [n, hidden], and the logits, shape [n, 10], of images of shape [n, 64]."""
    hidden = ACTIVATIONS[activation][0](images @ weights["w1"] + weights["b1"])
    return hidden, hidden @ weights["w2"] + weights["b2"]


def initial_weights(hidden: int, rng: np.random.Generator) -> Weights:
    """Random weights that keep the size of the signal, and zero biases."""
    w1 = rng.normal(0, (2 / 64) ** 0.5, (64, hidden))
    w2 = rng.normal(0, (1 / hidden) ** 0.5, (hidden, 10))
    weights = {"w1": w1, "b1": np.zeros(hidden), "w2": w2, "b2": np.zeros(10)}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def gradients(weights: Weights, images: np.ndarray, labels: np.ndarray, params: Mapping[str, Any], rng: Any) -> Weights:
    """Gradients of the mean cross-entropy of a batch, with dropout on the hidden layer."""
    activation, slope = ACTIVATIONS[params["activation"]]
    hidden = activation(images @ weights["w1"] + weights["b1"])
    kept = (rng.random(hidden.shape, np.float32) >= params["dropout"]) / np.float32(1 - params["dropout"])
    d_logits = softmax(hidden * kept @ weights["w2"] + weights["b2"])
    d_logits[np.arange(len(labels)), labels] -= 1
    d_logits /= len(labels)
    d_hidden = d_logits @ weights["w2"].T * kept * slope(hidden)
    return {
        "w1": images.T @ d_hidden,
        "b1": d_hidden.sum(axis=0),
        "w2": (hidden * kept).T @ d_logits,
        "b2": d_logits.sum(axis=0),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row."""
    odds: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


class Optimizer:
    """SGD with momentum, or Adam; both with decoupled weight decay."""

    def __init__(self, weights: Weights, params: Mapping[str, Any]) -> None:
        self.params, self.steps = params, 0
        self.mean = {name: np.zeros_like(value) for name, value in weights.items()}
        self.square = {name: np.zeros_like(value) for name, value in weights.items()}

    def step(self, weights: Weights, grads: Weights, lr: float) -> None:
        """Changes the weights in place."""
        self.steps += 1
        for name, grad in grads.items():
            if name.startswith("w"):
                weights[name] *= 1 - lr * self.params["weight_decay"]
            weights[name] -= lr * (self._adam(name, grad) if self.params["optimizer"] == "adam" else self._sgd(name, grad))

    def _sgd(self, name: str, grad: np.ndarray) -> np.ndarray:
        self.mean[name] = self.params["momentum"] * self.mean[name] + grad
        return self.mean[name]

    def _adam(self, name: str, grad: np.ndarray) -> np.ndarray:
        beta1, beta2 = 0.9, float(self.params["beta2"])
        self.mean[name] = beta1 * self.mean[name] + (1 - beta1) * grad
        self.square[name] = beta2 * self.square[name] + (1 - beta2) * grad * grad
        mean = self.mean[name] / (1 - beta1**self.steps)
        return mean / (np.sqrt(self.square[name] / (1 - beta2**self.steps)) + 1e-8)


def shifted(images: np.ndarray) -> np.ndarray:
    """All nine versions of the images moved by at most one pixel, shape [9, n, 64]; number 4 is not moved."""
    padded = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    return np.stack([padded[:, y : y + 8, x : x + 8].reshape(-1, 64) for y in range(3) for x in range(3)])


def batches(
    views: np.ndarray, labels: np.ndarray, params: Mapping[str, Any], rng: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch in random order, each image moved by up to `shift` pixels in a direction of its own."""
    order = rng.permutation(len(labels))
    for start in range(0, len(order), params["batch_size"]):
        rows = order[start : start + params["batch_size"]]
        distance = params["shift"] * rng.random((len(rows), 1), np.float32)
        yield (1 - distance) * views[4, rows] + distance * views[rng.integers(9, size=len(rows)), rows], labels[rows]


def check(weights: Weights, images: np.ndarray, labels: np.ndarray, activation: str) -> tuple[float, float]:
    """Accuracy and mean cross-entropy in nats."""
    _, logits = forward(weights, images, activation)
    certainty = softmax(logits)[np.arange(len(labels)), labels]
    return float(np.mean(logits.argmax(axis=1) == labels)), float(-np.log(certainty + 1e-12).mean())


def save(weights: Weights, activation: str) -> None:
    """Leaves the model for predict.py; first under another name, so that there is never half a model."""
    folder = Path(os.environ.get("AR_MODEL_DIR", "local/model"))
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {**weights, "activation": np.array(activation)}
    np.savez(folder / "partial.npz", **arrays)
    (folder / "partial.npz").replace(folder / "weights.npz")


def main() -> None:
    """Trains with the parameters of this trial, and keeps the weights that were best on held-out images."""
    params = DEFAULTS | json.loads(os.environ.get("AR_PARAMS_JSON", "{}"))
    rng = np.random.default_rng(int(os.environ.get("AR_SEED", "0")))
    path = Path(os.environ.get("AR_DATA_DIR", "local/data")) / "train.npz"
    if not path.exists():
        sys.exit(f"{path} is missing: run `python prepare.py` first.")
    with np.load(path) as data:
        images, labels = data["images"], data["labels"]
    count = round(len(labels) * HELD_OUT)  # prepare.py has shuffled them
    views = shifted(images[count:])

    weights = initial_weights(params["hidden"], rng)
    optimizer, best = Optimizer(weights, params), -1.0
    for epoch in range(1, EPOCHS + 1):
        lr = params["lr"] * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS))
        for batch, answers in batches(views, labels[count:], params, rng):
            optimizer.step(weights, gradients(weights, batch, answers, params, rng), lr)
        if epoch % EPOCHS_PER_REPORT == 0:
            accuracy, loss = check(weights, images[:count], labels[:count], params["activation"])
            if accuracy >= best:
                best = accuracy
                save(weights, params["activation"])
            emit_progress(step=epoch, step_target=EPOCHS, metrics={"accuracy": accuracy, "loss": loss})
    print(f"accuracy on {count} held-out images: {best:.4f}")


if __name__ == "__main__":
    np.seterr(over="ignore", invalid="ignore")  # a learning rate that is too high costs score, not a page of warnings
    main()
