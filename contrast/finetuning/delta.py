"""DELTA: what the filters see is to stay as the pretraining left it, most of all where the task needs it (Li et al., 2019)."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast.component import UserError, require
from contrast.encoders.encoder import Encoder
from contrast.finetuning.attention import Seen, channel_attention
from contrast.finetuning.l2sp import length
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.finetuning.stage_maps import last_convolutions, tapped
from contrast.heads.head import Head
from contrast.losses.loss import full_precision
from contrast.model import Net


@dataclass(frozen=True)
class DELTA(TuningMethod):
    """CE + `alpha` / 2 sum over layers and channels of W_c C |M_c - M0_c|^2 / (H W) + `beta` / 2 |w|^2 over the classifier, both >= 0.

    M are the C feature maps, H x W pixels each, of the last convolution of every stage of a residual network; M0 those of the network
    before the first step, whose batch normalisations go by their running statistics, as in the published code. Those of the network
    in tuning go by the batch, so that even at the start the maps differ by as much as these statistics do.

    W, the attention of a layer, sums to 1. It is softmax(z / 5) over its filters, z the standardised rise of the loss where a filter
    is zeroed; this is measured before the first step with a linear probe (`channel_attention`) and kept. `attention=False` is
    plain feature maps, the sum of |M_c - M0_c|^2 / 2, without W, C and H W.

    Both are means over the images of a batch, which the paper's formula gives for one. The published code sums over them, which is
    batch size times as much: `summed=True`, for which its alpha of 0.01 was chosen; plain maps summed are H W times as much again,
    and diverge at rates such as 0.1. Give the optimiser no weight decay.
    """

    alpha: float = 0.01
    beta: float = 0.01
    attention: Literal[False] | None = None
    summed: Literal[True] | None = None
    decays: ClassVar[bool] = False
    takes_targets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field in ("alpha", "beta"):
            require(0 <= getattr(self, field) < float("inf"), self, field, "must be 0 or above and finite", "0.01 is usual.")

    def check_parts(self, encoder: Encoder | None, head: Head) -> None:
        """The encoder must have stages."""
        if encoder is not None and encoder.stages == 0:
            rule = f"takes the feature maps of stages, and {encoder!r} has none"
            raise UserError(f"{type(self).__name__}: {rule}. Use a ResNet18 or another residual network.")

    def beside(self, net: Net, width: int, classes: int, seed: int) -> nn.Module:
        """The encoder before the first step, which is not saved, and the attention of its layers, which is."""
        return Behaviour(net.encoder, classes)

    def prepare(self, tuned: Tuned, batches: Callable[[], Iterator[Batch]]) -> None:
        """Measure the attention, unless it is off."""
        start = tuned.beside
        assert isinstance(start, Behaviour)
        if self.attention is None:
            start.measure(lambda: ((inputs_of(tuned.net, batch), batch.labels) for batch in batches()))

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        start = tuned.beside
        assert isinstance(start, Behaviour)
        with tapped(tuned.net.encoder) as maps:
            features = features_of(tuned, batch)
        with torch.no_grad(), tapped(start.encoder) as before:
            start.encoder(inputs_of(tuned.net, batch))
        far = map_distance(maps, before, start.attention() if self.attention is None else None)
        if not self.summed:
            far = far / len(batch.labels)
        return cross_entropy(logits_of(tuned, features), batch.labels) + self.alpha * far + self.beta / 2 * length(tuned.net.top)


class Behaviour(nn.Module):
    """An encoder as it was, in eval mode and on its device, and the attention of its layers, equal until it is measured."""

    weights: Tensor

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.channels = [layer.out_channels for layer in last_convolutions(encoder)]
        self._start = (copy.deepcopy(encoder).requires_grad_(False).eval(),)  # in a tuple, where no state dict, optimiser or mode sees it
        self.register_buffer("weights", torch.cat([torch.full((count,), 1 / count) for count in self.channels]))

    @property
    def encoder(self) -> nn.Module:
        """The encoder as it was."""
        return self._start[0]

    def attention(self) -> list[Tensor]:
        """That of each layer, [C]."""
        return list(self.weights.split(self.channels))

    def measure(self, seen: Seen) -> None:
        """Set the attention to what `seen` tells."""
        self.weights.copy_(torch.cat(channel_attention(self.encoder, seen, self.classes)))


def inputs_of(net: Net, batch: Batch) -> Float[Tensor, "n c h w"]:
    """What the encoder of `net` sees of the first view."""
    return (batch.first - net.mean) / net.std


def map_distance(maps: Sequence[Tensor], before: Sequence[Tensor], attention: Sequence[Tensor] | None) -> Float[Tensor, ""]:
    """1/2 sum over layers, images and channels of W_c C |M_c - M0_c|^2 / (H W), or without attention of |M_c - M0_c|^2.

    Of every layer: `maps` and `before` [N, C, H, W], `attention` [C].
    """
    layers = [(full_precision(m) - full_precision(m0)).square().sum((0, 2, 3)) for m, m0 in zip(maps, before, strict=True)]
    if attention is not None:
        layers = [w * len(w) * far / m[0, 0].numel() for w, far, m in zip(attention, layers, maps, strict=True)]
    return torch.stack([far.sum() for far in layers]).sum() / 2
