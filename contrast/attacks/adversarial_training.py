"""Adversarial training: every batch is learnt as the network, as it is then, would least like to see it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from contrast.attacks.attack import Attack
from contrast.attacks.ball import Norm, start_noise
from contrast.attacks.maximized import maximized
from contrast.component import require
from contrast.losses.loss import none_where_false
from contrast.norms import without_memory


@dataclass(frozen=True)
class AdversarialTraining(Attack):
    """Projected gradient ascent of the cross-entropy within `eps` of every image, at the pixels, clipped to [0, 1] (PROTOCOL 7.7).

    `eps` >= 0 is a distance for pixels in [0, 1]: of the channel that is moved most ("linf", such as 8 / 255) or of the whole
    image ("l2", such as 0.5), which is less a pixel the larger the image. `steps` steps of `step_size` * eps / steps from a
    start drawn from the ball by sample, anew in every epoch. The attack maximises cross-entropy, whatever is minimised in
    training. It sees the network in eval mode; `train_mode` leaves batch normalisations in training with the statistics of the attacked
    batch, which couples its images. Modes are restored, and running statistics and gradients of weights stay as they are. `clean`
    learns the images themselves too, beside the attacked ones.
    """

    eps: float
    norm: Norm = "linf"
    _: KW_ONLY
    steps: int = 10
    step_size: float = 2.5
    train_mode: bool | None = None
    clean: bool | None = None
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(0 <= self.eps < math.inf, self, "eps", "must be 0 or above and finite", "Use 8 / 255 for 'linf', 0.5 for 'l2'.")
        require(self.norm in ("linf", "l2"), self, "norm", "must be 'linf' or 'l2'", "Use 'linf'.")
        reachable = self.norm != "linf" or self.eps <= 1
        require(reachable, self, "eps", "must be at most 1, the range of a pixel, for 'linf'", "Write 8 / 255 for 8 of 255 pixel levels.")
        require(self.steps >= 1, self, "steps", "must be at least 1", "10 is usual.")
        require(0 < self.step_size < math.inf, self, "step_size", "must be above 0 and finite", "2.5 reaches all of the ball.")
        none_where_false(self, "train_mode", "clean")

    def __call__(
        self, net: nn.Module, pixels: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], ids: Int[np.ndarray, " n"], seed: int, epoch: int
    ) -> Float[Tensor, "n c h w"]:
        """The attacked images, without gradient; `net` gives logits of pixels in [0, 1]. At eps 0 the images themselves."""
        if self.eps == 0:
            return pixels
        n, c, h, w = pixels.shape
        start = self.eps * start_noise(ids, (c, h, w), self.norm, seed, epoch).to(pixels)
        eps = torch.full((n,), self.eps, dtype=pixels.dtype, device=pixels.device)
        with _crafting(net, self.train_mode):
            return maximized(net, pixels.detach(), labels, eps, start, self.norm, self.steps, self.step_size)


@contextmanager
def _crafting(net: nn.Module, train_mode: bool | None) -> Iterator[None]:
    """In eval mode; with `train_mode` batch normalisations stay in the mode they are in, and remember nothing. Modes are put back."""
    before = [(module, module.training) for module in net.modules()]
    for module, training in before:
        module.training = bool(train_mode) and training and isinstance(module, _BatchNorm)
    try:
        with without_memory(net):
            yield
    finally:
        for module, training in before:
            module.training = training
