"""What a fine-tuning remembers of each of its epochs: its log-probabilities on the task's images, or, which is less, a linear head."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


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
        with torch.inference_mode():
            epochs = [functional.log_softmax(functional.linear(features, w, b), -1) for w, b in zip(weights, biases, strict=True)]
        return {"log_probs": torch.stack(epochs).numpy(), "head_weight": weights.numpy(), "head_bias": biases.numpy()}


class LogProbRecord(nn.Module):
    """The log-probabilities of every epoch, float32 [E+1, N, C] in id order. Saved with the training."""

    log_probs: Tensor

    def __init__(self, epochs: int, count: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("log_probs", torch.zeros(epochs + 1, count, classes))

    def put(self, epoch: int, logits: Tensor) -> None:
        """Those of `logits` [N, C] after `epoch`."""
        self.log_probs[epoch].copy_(functional.log_softmax(logits, -1))

    def arrays(self) -> dict[str, np.ndarray]:
        """`log_probs`."""
        return {"log_probs": self.log_probs.cpu().numpy()}
