"""Trains a small byte-level transformer on the text of Python's standard library. This is the file to improve."""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoresearch_rl import emit_progress

DEFAULTS = {
    "lr": 0.0005,
    "schedule": "constant",
    "final_lr": 0.1,
    "warmup": 0.1,
    "beta2": 0.999,
    "weight_decay": 0.01,
    "d_model": 64,
    "layers": 2,
    "batch_size": 32,
}
CONTEXT = 128
TOKENS = 500_000  # read by every trial, whatever its batch size
REPORTS = 25
HELD_OUT = 0.02  # share of the training text, at its end, that only measures progress


class Block(nn.Module):
    """Causal attention, then an MLP, each added to its normalised input."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.mlp = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Maps shape [batch, time, d_model] to the same shape."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, dim=2))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Logits of the next byte at every position; at most CONTEXT positions."""

    def __init__(self, d_model: int, layers: int, heads: int = 4) -> None:
        super().__init__()
        self.bytes, self.positions = nn.Embedding(256, d_model), nn.Embedding(CONTEXT, d_model)
        self.blocks = nn.Sequential(*(Block(d_model, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(d_model), nn.Linear(d_model, 256)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps bytes of shape [batch, time] to logits of shape [batch, time, 256]."""
        x = self.bytes(tokens) + self.positions.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def windows(text: np.ndarray, starts: np.ndarray) -> Tensor:
    """Windows of CONTEXT + 1 bytes, shape [n, CONTEXT + 1]."""
    return torch.from_numpy(text[starts[:, None] + np.arange(CONTEXT + 1)]).long()


def loss_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of the next byte in nats."""
    return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def learning_rate(done: float, params: dict[str, Any]) -> float:
    """The learning rate when a share `done` of the training is over: linear warm-up, then constant or a cosine."""
    lr, warmup, final_lr = (float(params[name]) for name in ("lr", "warmup", "final_lr"))
    if done < warmup:
        return lr * done / warmup
    if params["schedule"] == "constant":
        return lr
    fall = 0.5 * (1 - math.cos(math.pi * (done - warmup) / (1 - warmup)))
    return lr * (1 - (1 - final_lr) * fall)


def load_text() -> np.ndarray:
    """The training text as bytes, shape [n]; exits with a hint where it is missing."""
    path = Path(os.environ.get("AR_DATA_DIR", "local/data")) / "train.bin"
    if not path.exists():
        sys.exit(f"{path} is missing: run `python prepare.py` first.")
    return np.fromfile(path, np.uint8)


def save(model: nn.Module, config: dict[str, int]) -> None:
    """Leaves the model for predict.py; first under another name, so that there is never half a model."""
    folder = Path(os.environ.get("AR_MODEL_DIR", "local/model"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    np.savez(folder / "partial.npz", **{name: value.numpy() for name, value in model.state_dict().items()})
    (folder / "partial.npz").replace(folder / "weights.npz")


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Keeps what training goes on from after a pause; first under another name, so that there is never half a checkpoint."""
    torch.save(state, path.with_suffix(".partial"))
    path.with_suffix(".partial").replace(path)


def main() -> None:
    """Trains with the parameters of this trial."""
    params = DEFAULTS | json.loads(os.environ.get("AR_PARAMS_JSON", "{}"))
    seed = int(os.environ.get("AR_SEED", "0"))
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    text = load_text()
    text, held_out = np.split(text, [round(len(text) * (1 - HELD_OUT))])
    checks = windows(held_out, np.linspace(0, len(held_out) - CONTEXT - 1, 32).astype(int))

    config = {"d_model": params["d_model"], "layers": params["layers"]}
    model = Transformer(**config)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, params["beta2"]), weight_decay=params["weight_decay"])
    steps, begun = TOKENS // (params["batch_size"] * CONTEXT), 0
    checkpoint = Path(os.environ.get("AR_CHECKPOINT_DIR", "local")) / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        rng.bit_generator.state = json.loads(state["rng"])
        begun = state["step"]

    def save_state() -> None:
        now = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": json.dumps(rng.bit_generator.state)}
        save_checkpoint(checkpoint, {**now, "step": step})

    for step in range(begun + 1, steps + 1):
        optimizer.param_groups[0]["lr"] = learning_rate(step / steps, params)
        batch = windows(text, rng.integers(len(text) - CONTEXT, size=params["batch_size"]))
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % (steps // REPORTS) == 0 or step == steps:
            with torch.inference_mode():
                bpb = loss_of(model, checks).item() / math.log(2)
            emit_progress(step=step, step_target=steps, metrics={"val_bpb": bpb}, save=save_state)
    save(model, config)
    print(f"bits per byte of held-out training text: {bpb:.4f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
