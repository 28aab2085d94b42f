"""One epoch of training: its batches, the steps on them, and what they were worth."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from contrast import random
from contrast.augmentations.draws import Draws
from contrast.augmentations.mix import Mix, mixed_labels
from contrast.augmentations.views import Views
from contrast.batches.batches import Batches
from contrast.chunks import Split, embedded, squares
from contrast.component import Component, UserError
from contrast.data.dataset import Images
from contrast.distributed import Processes
from contrast.forward import Forward, outputs
from contrast.losses.loss import Loss
from contrast.norms import frozen_norms
from contrast.optim.rates import set_rate
from contrast.penalties.gradient_penalty import GradientPenalty
from contrast.penalties.penalty import Penalty
from contrast.stage import Diverged, Metrics


@dataclass(frozen=True)
class Place:
    """A step of a training: its seed, its epoch from 1 and its number in the epoch from 0, which name whatever it draws."""

    seed: int
    epoch: int
    step: int


@runtime_checkable
class TrainingStep(Protocol):
    """What one step computes, and where."""

    @property
    def device(self) -> torch.device:
        """That of the network."""

    @property
    def processes(self) -> Processes:
        """Those that take the step together."""

    @property
    def penalty(self) -> Penalty | None:
        """The penalty that is added to the loss."""

    def rows(self, count: int) -> np.ndarray:
        """Which of a batch of `count` this process is to be given."""

    def __call__(self, net: nn.Module, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The loss of one batch and the penalty of this process' part of it: of `Step`."""


@dataclass(frozen=True)
class Step:
    """What one step computes: views of a batch, the loss of the network's output, and an optional gradient penalty.

    Of several `processes` each sees its part of the batch, and the outputs of all come together in the loss. With `chunk` the
    batch is embedded in chunks of at most so many images, and only one of them is remembered at a time (`contrast/chunks.py`).
    With `mix` every image is mixed with the one before it in the batch, and so are their labels.
    """

    views: Views
    loss: Loss
    penalty: Penalty | None
    precision: torch.dtype
    device: torch.device
    processes: Processes = Processes()
    chunk: int | None = None
    mix: Mix | None = None

    def rows(self, count: int) -> np.ndarray:
        """Which of a batch of `count` this process is to be given."""
        return np.concatenate(self._split(count).read)

    def _split(self, count: int) -> Split:
        return Split(count, self.chunk, self.processes, self.mix is not None)

    def __call__(self, net: nn.Module, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The loss of one batch and the penalty of this process' part of it.

        `labels` int64 [N] are those of the batch; `pixels` uint8 [N, C, H, W] and `ids` [N] those of this process' `rows`.
        """
        split = self._split(len(labels))
        drawn = self.loss.at_step(at.seed, at.epoch, at.step)
        if len(split.chunks) > 1:
            return self._in_chunks(net, pixels, labels, ids, at, split, drawn)
        inputs, shares = self._inputs(pixels, ids, at)
        forward = Forward(net, len(labels), self.processes, self.precision)
        output = forward.first(inputs)
        wanted = self._wanted(labels, [shares], split, output)
        loss = _one_number(drawn, drawn(output, wanted))
        if self.penalty is None:
            return loss, loss.new_zeros(())
        return loss, _one_number(self.penalty, self.penalty(forward, inputs, output, wanted, drawn))

    def _in_chunks(
        self, net: nn.Module, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place, split: Split, drawn: Loss
    ) -> tuple[Tensor, Tensor]:
        ends = np.cumsum([len(rows) for rows in split.read])[:-1]
        parts = list(zip(pixels.tensor_split(ends.tolist()), np.split(ids, ends), strict=True))
        shares = [pixels.new_zeros(0)] * len(parts)

        def embed(i: int) -> tuple[Tensor, Tensor]:
            inputs, shares[i] = self._inputs(*parts[i], at)
            return inputs, outputs(net, inputs, self.precision)

        output = embedded(embed, net, split)
        whole = split.gathered(output)
        wanted = self._wanted(labels, shares, split, whole)
        loss = _one_number(drawn, drawn(whole, wanted))
        if self.penalty is None:
            return loss, loss.new_zeros(())
        penalty = _of_squares(self.penalty)

        def frozen(i: int) -> tuple[Tensor, Tensor]:
            inputs, _ = self._inputs(*parts[i], at)
            with frozen_norms(net):
                return inputs, outputs(net, inputs, torch.float32)

        seen, output = (frozen, embedded(frozen, net, split)) if penalty.frozen_norms else (embed, output)
        return loss, squares(lambda given: penalty.squares(given, wanted, drawn), penalty.scale(net), output, seen, net, split)

    def _inputs(self, pixels: Tensor, ids: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The views of some images, mixed if they are to be, and each image's own share of its mixture [n]."""
        inputs = self.views(pixels.float() / 255, ids, at.seed, at.epoch)
        shares = inputs.new_ones(len(inputs))
        if self.mix is not None:
            inputs, own = self.mix(inputs[1:], inputs[:-1], Draws(at.seed, ids[1:], at.epoch, 1))
            shares = torch.from_numpy(own).to(inputs.device, inputs.dtype)
        return (inputs if self.penalty is None else inputs.requires_grad_(True)), shares

    def _wanted(self, labels: Tensor, shares: list[Tensor], split: Split, output: Tensor) -> Tensor:
        """What the loss is to find: the labels of the batch, or of mixed images their shares of all classes."""
        return labels if self.mix is None else mixed_labels(labels, split.gathered(torch.cat(shares)), output.shape[2])


def _of_squares(penalty: Penalty) -> GradientPenalty:
    if not isinstance(penalty, GradientPenalty):
        raise UserError(f"{penalty!r} is no sum of squared gradients and cannot be had in chunks. Train without chunks.")
    return penalty


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
    net: nn.Module,
    images: Images,
    step: TrainingStep,
    optimizer: torch.optim.Optimizer,
    *,
    batch_size: int,
    lr: Callable[[int, int], float],
    seed: int,
    epoch: int,
    batching: Batches | None = None,
) -> Metrics:
    """Train `net` for one epoch in an order drawn for (seed, epoch), or in the batches that `batching` makes.

    `lr` gives the learning rate of step i of n. Returns the mean loss (and penalty) a step and the last learning rate. Raises
    `Diverged` at the first non-finite loss.
    """
    net.train()
    if batching is None:
        batches = in_order(images.ids, batch_size, seed, epoch)
    else:
        batches = batching(images.labels, images.ids, batch_size, seed, epoch)
    losses, penalties = [], []
    for i, rows in enumerate(batches):
        set_rate(optimizer, lr(i, len(batches)))
        mine = rows[step.rows(len(rows))]
        pixels = torch.from_numpy(images.seen(mine, epoch)).to(step.device, non_blocking=True)
        labels = torch.from_numpy(images.labels[rows]).to(step.device, non_blocking=True)
        loss, penalty = step(net, pixels, labels, images.ids[mine], Place(seed, epoch, i))
        with torch.no_grad():
            penalties.append(step.processes.summed(penalty).item())
        losses.append(loss.item())
        if not math.isfinite(losses[-1] + penalties[-1]):
            raise Diverged(f"the loss became {losses[-1] + penalties[-1]} in epoch {epoch}")
        optimizer.zero_grad(set_to_none=True)
        (loss / step.processes.size + penalty).backward()
        step.processes.sum_gradients(net.parameters())
        optimizer.step()
    metrics = {"loss": float(np.mean(losses)), "lr": lr(len(batches) - 1, len(batches))}
    return metrics if step.penalty is None else metrics | {"penalty": float(np.mean(penalties))}


def in_order(ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of the order drawn for (seed, epoch); a last batch of one image is left out. Raises `UserError` for fewer than 2 ids."""
    if len(ids) < 2:
        raise UserError(f"data has {len(ids)} image(s): a batch needs 2 or more, whatever batch_size ({batch_size}). Use more images.")
    order = random.permutation(seed, "order", ids, epoch=epoch)
    return [rows for start in range(0, len(order), batch_size) if len(rows := order[start : start + batch_size]) > 1]
