"""What a fine-tuning remembers of each of its epochs: a linear head, or its log-probabilities on the task's images.

Those of many images and classes take gigabytes, so an epoch's are written once, beside the state of the training, which only
knows their checksums: what is not as it was written is no state.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast.saved import row_file


class HeadRecord(nn.Module):
    """The linear head of every epoch: `weight` [E+1, C, d] and, where it has one, `bias` [E+1, C]. Saved with the training."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, head: nn.Linear, epochs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(epochs + 1, *head.weight.shape))
        self.register_buffer("bias", None if head.bias is None else torch.zeros(epochs + 1, *head.bias.shape))

    @torch.no_grad()
    def put(self, epoch: int, head: nn.Linear) -> None:
        """The head after `epoch`."""
        self.weight[epoch].copy_(head.weight)
        if self.bias is not None:
            self.bias[epoch].copy_(head.bias)

    def arrays(self, features: Tensor) -> dict[str, np.ndarray]:
        """`log_probs` float32 [E+1, N, C] of `features` [N, d], `head_weight` and `head_bias`, which is 0 where there is none."""
        biases = torch.zeros(self.weight.shape[:2]) if self.bias is None else self.bias.cpu()
        weights = self.weight.cpu()
        log_probs = torch.empty(len(weights), len(features), weights.shape[1])
        with torch.inference_mode():
            for epoch, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                log_probs[epoch] = functional.log_softmax(functional.linear(features, weight, bias), -1)
        return {"log_probs": log_probs.numpy(), "head_weight": weights.numpy(), "head_bias": biases.numpy()}


class LogProbRecord(nn.Module):
    """The log-probabilities of every epoch, float32 [N, C] in id order, in files of `folder`; the training saves their checksums."""

    checksums: Tensor

    def __init__(self, folder: Path, epochs: int) -> None:
        super().__init__()
        self.folder = folder
        self.register_buffer("checksums", torch.zeros(epochs + 1, hashlib.sha256().digest_size, dtype=torch.uint8))

    def put(self, epoch: int, logits: Tensor) -> None:
        """Write those of `logits` [N, C] after `epoch`."""
        rows = functional.log_softmax(logits, -1).float().cpu().numpy()
        with open(row_file(self.folder, epoch), "wb") as file:
            np.save(file, rows, allow_pickle=False)
        self.checksums[epoch] = torch.from_numpy(_checksum(row_file(self.folder, epoch)))

    def whole(self, state: dict[str, Tensor], name: str, done: int) -> bool:
        """Whether the files of epochs 0 to `done` are those of a saved `state`, where this record is called `name`."""
        checksums = state[f"{name}.checksums"].numpy()
        files = [row_file(self.folder, epoch) for epoch in range(done + 1)]
        return all(file.exists() and np.array_equal(_checksum(file), checksums[epoch]) for epoch, file in enumerate(files))

    def arrays(self) -> dict[str, np.ndarray]:
        """`log_probs` float32 [E+1, N, C]."""
        return {"log_probs": np.stack([np.load(row_file(self.folder, e), allow_pickle=False) for e in range(len(self.checksums))])}


def _checksum(file: Path) -> np.ndarray:
    with open(file, "rb") as content:
        return np.frombuffer(hashlib.file_digest(content, "sha256").digest(), np.uint8).copy()
