"""A tuning method says what is minimised when a network is fine-tuned, and what is trained or remembered beside it for that.

None in `Finetune(method=None)` is cross-entropy alone; every method adds to it or changes it. A method sees one batch at a time
and draws by sample (`contrast/random.py`), so that a resumed training goes on to the last bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from contrast.augmentations.draws import Draws
from contrast.component import Component
from contrast.encoders.encoder import Encoder
from contrast.heads.head import Head
from contrast.losses.binary_cross_entropy import binary_cross_entropy
from contrast.losses.loss import full_precision
from contrast.model import Net


class Tuned(nn.Module):
    """`net`, which is tuned, and `beside`, what a method trains or remembers with it; all of it is saved.

    Of a `frozen` network only the top learns: its encoder stays in eval mode, with weights that take no gradient.
    """

    def __init__(self, net: Net, beside: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.net = net
        self.beside = beside
        self.frozen = frozen

    def train(self, mode: bool = True) -> "Tuned":
        """As in any module, but for a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.net.encoder.eval()
        return self


@dataclass(frozen=True)
class Batch:
    """Views [N, V, C, H, W] in [0, 1] of N images, their labels and ids [N], and who draws: `seed` and `epoch`.

    Labels are int64 [N], or uint8 targets [N, C] where images show several classes.
    """

    views: Float[Tensor, "n v c h w"]
    labels: Int[Tensor, " n"] | UInt8[Tensor, "n k"]
    ids: Int[np.ndarray, " n"]
    seed: int
    epoch: int

    @property
    def first(self) -> Float[Tensor, "n c h w"]:
        """The first view of every image, channels last."""
        return self.views[:, 0].contiguous(memory_format=torch.channels_last)

    @property
    def draws(self) -> Draws:
        """The random numbers of these images."""
        return Draws(self.seed, self.ids, self.epoch, 1)


@dataclass(frozen=True)
class TuningMethod(Component, ABC):
    """What `Finetune` minimises. `views`: how many views of an image it compares.

    `decays`: whether an optimiser's weight decay may stand beside it. `takes_targets`:
    whether an image may show several classes (`Images.targets`), which `cross_entropy` then judges one by one.
    """

    views: ClassVar[int] = 1
    decays: ClassVar[bool] = True
    takes_targets: ClassVar[bool] = False

    def beside(self, net: Net, width: int, classes: int, seed: int) -> nn.Module:
        """What is trained or remembered beside `net`, which has features of `width` and gives logits of `classes`."""
        return nn.Module()

    def prepare(self, tuned: Tuned, batches: Callable[[], Iterator[Batch]]) -> None:
        """Look at the data once before the first step; what is found is kept in `tuned.beside`."""

    def begin(self, tuned: Tuned, head: Callable[[torch.Generator], nn.Module], seed: int, epoch: int, epochs: int) -> None:
        """What is to be done before `epoch` (1 to `epochs`); `head` makes a fresh top."""

    def head_lr(self, lr: float, epoch: int, epochs: int) -> float | None:
        """The top's learning rate in `epoch`, where `lr` is the optimiser's; None is the schedule's."""
        return None

    def check(self, batch_size: int, epochs: int, classes: int) -> None:
        """Raise `UserError` where it cannot do with batches of so many images, so many epochs, or so many classes."""

    def check_parts(self, encoder: Encoder | None, head: Head) -> None:
        """Raise `UserError` where it cannot do with this encoder, None where it is not known, or this classifier."""

    @abstractmethod
    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """The loss of a batch, in full precision. It may run under autocast."""


def features_of(tuned: Tuned, batch: Batch) -> Float[Tensor, "n d"]:
    """h of the first view, in full precision."""
    return full_precision(tuned.net.features(batch.first))


def logits_of(tuned: Tuned, features: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
    """The classifier's output for features, in full precision."""
    return full_precision(tuned.net.top(features))


def cross_entropy(logits: Float[Tensor, "n c"], labels: Tensor) -> Float[Tensor, ""]:
    """The mean over images; `labels` are classes [N], shares of all classes [N, C], or uint8 targets [N, C] (`Images.targets`)."""
    if labels.dtype == torch.uint8:
        return binary_cross_entropy(logits, labels)
    return functional.cross_entropy(logits, labels)
