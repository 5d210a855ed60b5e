"""Guesses the byte after each test window with the model that train.py left. A fresh process: it never sees those bytes."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from train import Transformer


@torch.inference_mode()
def main() -> None:
    """Writes logits.npy: float16 of shape [n, 256], the logits of the byte that follows each of n windows."""
    folder = Path(os.environ.get("AR_MODEL_DIR", "local/model"))
    model = Transformer(**json.loads((folder / "config.json").read_text())).eval()
    with np.load(folder / "weights.npz", allow_pickle=False) as weights:
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights})
    contexts = torch.from_numpy(np.load(Path(os.environ.get("AR_TEST_DIR", "local/test")) / "contexts.npy")).long()
    logits = torch.cat([model(batch)[:, -1] for batch in contexts.split(64)])
    outputs = Path(os.environ.get("AR_OUTPUT_DIR", "local/outputs"))
    outputs.mkdir(parents=True, exist_ok=True)
    np.save(outputs / "logits.npy", logits.numpy().clip(-1000, 1000).astype(np.float16))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
