"""A contrastive loss on every stage of the encoder, the last of which counts most."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError, require
from contrast.losses.loss import Loss


@dataclass(frozen=True)
class Layerwise(Loss):
    """sum_k alpha_k L_k over the `layers` r of `StageHeads`, alpha_k = decay^(r - k), L_k `loss` of projection k (PROTOCOL 6.3).

    0 <= `decay` <= 1: 0 is `loss` on the last stage alone, 1 the plain sum. `layers` >= 1 is the number of the encoder's stages.
    """

    loss: Loss
    layers: int = 4
    decay: float = 0.1
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        inner = self.loss.contrastive and not isinstance(self.loss, Layerwise)
        require(inner, self, "loss", "must be a contrastive loss of one layer", "Give NTXent(0.5), for example.")
        require(self.layers >= 1, self, "layers", "must be at least 1", "ResNet18 has 4, SmallResNet 3.")
        require(0 <= self.decay <= 1, self, "decay", "must lie in 0 to 1", "0.1 lets the last layer dominate.")

    @property
    def fewest_views(self) -> int:  # type: ignore[override]
        """As many as `loss` takes."""
        return self.loss.fewest_views

    @property
    def most_views(self) -> int | None:  # type: ignore[override]
        """As many as `loss` takes."""
        return self.loss.most_views

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of the projections of all layers side by side."""
        weighted = [w * part for w, part in zip(weights(self.layers, self.decay), self.parts(output, labels), strict=True) if w]
        return torch.stack(weighted).sum()

    def parts(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> list[Float[Tensor, ""]]:
        """L_1 to L_r, not weighted."""
        if output.shape[2] % self.layers:
            rule = f"{output.shape[2]} numbers a view cannot be shared out among {self.layers} layers"
            raise UserError(f"{type(self).__name__}.layers = {self.layers}: {rule}. Use StageHeads with as many stages.")
        return [self.loss(part, labels) for part in output.chunk(self.layers, 2)]

    def at_step(self, seed: int, epoch: int, step: int) -> Loss:
        """With `loss` as it is in that step."""
        return replace(self, loss=self.loss.at_step(seed, epoch, step))

    def constants(self, width: int) -> dict[str, float]:
        """Those of `loss` at the width of one layer."""
        return self.loss.constants(width // self.layers)


def weights(layers: int, decay: float) -> list[float]:
    """decay^(r - k) for k = 1..r; the last is 1."""
    return [decay ** (layers - k) for k in range(1, layers + 1)]
