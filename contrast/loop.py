"""One epoch of training, and the tensors it must remember to go on as if it had never stopped.

Randomness comes from counters (`contrast/random.py`), so the whole state of a training is its weights, its buffers and its
optimiser's momentum; no generator has to be saved.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from contrast import random
from contrast.augmentations.views import Views
from contrast.component import Component, UserError
from contrast.data.dataset import Images
from contrast.losses.loss import Loss
from contrast.model import Net
from contrast.penalties.penalty import Penalty
from contrast.stage import Diverged, Metrics


@dataclass(frozen=True)
class Step:
    """What one step computes: views of a batch, the loss of the network's output, and an optional gradient penalty."""

    views: Views
    loss: Loss
    penalty: Penalty | None
    precision: torch.dtype
    device: torch.device

    def __call__(self, net: Net, pixels: Tensor, labels: Tensor, ids: np.ndarray, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """The loss and the penalty of one batch: `pixels` uint8 [N, C, H, W], `labels` int64 [N]."""
        inputs = self.views(pixels.float() / 255, ids, seed, epoch)
        n, v = inputs.shape[:2]
        if self.penalty is not None:
            inputs.requires_grad_(True)
        flat = inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            output = net(flat)
        output = output.float().view(n, v, -1)
        loss = _one_number(self.loss, self.loss(output, labels))
        if self.penalty is None:
            return loss, loss.new_zeros(())
        return loss, _one_number(self.penalty, self.penalty(inputs, output, labels, self.loss))


def _one_number(part: Component, value: object) -> Tensor:
    """What a loss or a penalty returned, if it can be trained on; raises `UserError`."""
    name, cure = type(part).__name__, "Return a tensor of one number that follows from the network's output, such as a mean."
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise UserError(f"{name}: returned {found}, and what is minimised must be one number. {cure}")
    if isinstance(part, Loss) and not value.requires_grad:
        raise UserError(f"{name}: returned a number that has no gradient. {cure}")
    return value


def train_epoch(
    net: Net, images: Images, step: Step, optimizer: torch.optim.Optimizer, *, batch_size: int, lr: float, seed: int, epoch: int
) -> Metrics:
    """Train `net` for one epoch in an order drawn for (seed, epoch); a last batch of one image is left out.

    Returns the mean loss (and penalty) a step. Raises `Diverged` at the first non-finite loss.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    net.train()
    order = random.permutation(seed, "order", images.ids, epoch=epoch)
    losses, penalties = [], []
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        if len(rows) < 2:
            continue
        pixels = torch.from_numpy(images.pixels[rows]).to(step.device, non_blocking=True)
        labels = torch.from_numpy(images.labels[rows]).to(step.device, non_blocking=True)
        loss, penalty = step(net, pixels, labels, images.ids[rows], seed, epoch)
        total = loss + penalty
        if not torch.isfinite(total):
            raise Diverged(f"the loss became {total.item()} in epoch {epoch}")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        losses.append(loss.item())
        penalties.append(penalty.item())
    metrics = {"loss": float(np.mean(losses)), "lr": lr}
    return metrics if step.penalty is None else metrics | {"penalty": float(np.mean(penalties))}


def training_state(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, buffers and momentum by name."""
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        momentum = optimizer.state[parameter].get("momentum_buffer") if parameter in optimizer.state else None
        if momentum is not None:
            state[f"momentum.{name}"] = momentum
    return state


def load_training_state(net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Tensor]) -> None:
    """Put back what `training_state` gave."""
    net.load_state_dict({name.removeprefix("net."): tensor for name, tensor in state.items() if name.startswith("net.")})
    for name, parameter in net.named_parameters():
        if f"momentum.{name}" in state:
            momentum = state[f"momentum.{name}"].to(parameter.device).to(memory_format=torch.preserve_format)
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)
