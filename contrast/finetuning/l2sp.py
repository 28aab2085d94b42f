"""L2-SP: weights are to stay near those that the pretraining left (Li, Grandvalet and Davoine, 2018; PROTOCOL 7.4)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast.component import require
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.model import Net


@dataclass(frozen=True)
class L2SP(TuningMethod):
    """CE + `alpha` / 2 |w - w_0|^2 over all weights of the encoder + `beta` / 2 |w|^2 over those of the classifier, both >= 0.

    Biases and batch normalisations count too. It stands in the place of weight decay: give the optimiser none.
    """

    alpha: float = 0.01
    beta: float = 0.01
    decays: ClassVar[bool] = False
    takes_targets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field in ("alpha", "beta"):
            require(0 <= getattr(self, field) < float("inf"), self, field, "must be 0 or above and finite", "0.01 is usual.")

    def beside(self, net: Net, width: int, classes: int, seed: int) -> nn.Module:
        """The weights before the first step, which are not saved: they are those of the stage that is tuned."""
        return Start(net.encoder)

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        assert isinstance(tuned.beside, Start)
        loss = cross_entropy(logits_of(tuned, features_of(tuned, batch)), batch.labels)
        with torch.autocast(loss.device.type, enabled=False):
            far, large = tuned.beside.distance(tuned.net.encoder), length(tuned.net.top)
        return loss + self.alpha / 2 * far + self.beta / 2 * large


class Start(nn.Module):
    """The weights of an encoder as they were."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        for i, weight in enumerate(encoder.parameters()):
            self.register_buffer(str(i), weight.detach().clone(), persistent=False)

    def distance(self, encoder: nn.Module) -> Tensor:
        """The squared distance of all weights of `encoder` from them."""
        pairs = zip(encoder.parameters(), self.buffers(), strict=True)
        return torch.stack([(weight - before).square().sum() for weight, before in pairs]).sum()


def length(module: nn.Module) -> Tensor:
    """The squared length of all weights."""
    return torch.stack([weight.square().sum() for weight in module.parameters()]).sum()
