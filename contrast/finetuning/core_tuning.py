"""Core-tuning: fine-tuning with focal contrast on hard mixtures of features (Zhang et al., NeurIPS 2021; PROTOCOL 7.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from contrast import random
from contrast.augmentations.draws import Draws
from contrast.component import require
from contrast.finetuning.focal_contrast import among_all, among_own, focal_contrast
from contrast.finetuning.hard_mixing import (
    Mixed,
    beta_shares,
    hard_negatives,
    hard_positives,
    mined,
    mined_as_official,
    partners,
    strict_partners,
)
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.heads.head import Head
from contrast.heads.mlp_head import MLPHead
from contrast.heads.stage_heads import require_projection
from contrast.losses.loss import full_precision
from contrast.losses.temperature import require_temperature
from contrast.model import Net

_MOST_OFFICIAL = 18  # classes: 10^18 is the last power of ten in 64 bits


@dataclass(frozen=True)
class CoreTuning(TuningMethod):
    """CE of the images + CE of their mixtures + `eta` times the focal contrast of `contrastor`'s output.

    Of each image two mixtures of features are made: of its hardest positive and its hardest negative (shares Beta(`alpha`, `alpha`)),
    which is a positive of the image, and of the image and a random other one, whose share is at least 0.8, a negative. A batch of one
    class has no mixtures. `eta` >= 0; `alpha` >= 0.001; `temperature` from 1e-4 to 1e6.

    All other fields are off at None, which is the paper's reading. `focal=False` weighs all pairs by 1 (the ablation's fourth row);
    `detach_weight` keeps gradients out of the weights; `partner="strict"` draws the random other one from other classes. "official" is
    what the official code does: in `mining`, that most samples are their own hardest positive; in `membership`, that all samples and
    mixtures are anchors, positive to those whose soft labels have one number (at most 18 classes). `normalization="columns"` divides by
    three times the batch in the place of the number of positives; `pooled` takes one mean over images and mixtures in CE; `detached`
    lets the encoder learn by mixtures alone.
    """

    eta: float = 0.1
    alpha: float = 1.0
    temperature: float = 0.07
    contrastor: Head = MLPHead(2, out=256)
    focal: Literal[False] | None = None
    detach_weight: bool | None = None
    partner: Literal["strict"] | None = None
    mining: Literal["official"] | None = None
    membership: Literal["official"] | None = None
    normalization: Literal["columns"] | None = None
    pooled: bool | None = None
    detached: bool | None = None

    def __post_init__(self) -> None:
        require(0 <= self.eta < float("inf"), self, "eta", "must be 0 or above and finite", "0.1, 1 and 10 are usual.")
        require(0.001 <= self.alpha < float("inf"), self, "alpha", "must be at least 0.001 and finite", "0.1 and 1 are usual.")
        require_temperature(self)
        require_projection(self, "contrastor", "Use MLPHead(2, out=256).")
        for field in ("detach_weight", "pooled", "detached"):
            if getattr(self, field) is False:
                object.__setattr__(self, field, None)
        weighs = self.focal is None or self.detach_weight is None
        require(weighs, self, "detach_weight", "has no effect without weights", "Leave it out, or focal=False.")

    def check(self, batch_size: int, epochs: int, classes: int) -> None:
        """The official numbers must be able to tell the classes apart."""
        known = self.membership is None or classes <= _MOST_OFFICIAL
        rule = f"tells at most {_MOST_OFFICIAL} classes apart, and the task has {classes}"
        require(known, self, "membership", rule, "Leave it out for the paper's membership.")

    def beside(self, net: Net, width: int, classes: int, seed: int) -> nn.Module:
        """The contrastor."""
        return self.contrastor.build(width, classes, random.generator(seed, "contrastor"))

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        features = features_of(tuned, batch)
        return self.of_features(features, batch.labels, batch.draws, lambda z: logits_of(tuned, z), tuned.beside)

    def of_features(
        self,
        features: Float[Tensor, "n d"],
        labels: Int[Tensor, " n"],
        draws: Draws,
        classify: Callable[[Tensor], Tensor],
        contrastor: Callable[[Tensor], Tensor],
        images: Float[Tensor, ""] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss of features of any samples, such as pixels: `classify` makes logits of them, `contrastor` what is contrasted.

        `images` is the cross-entropy of the images, where that of the samples does not stand for it.
        """
        own = features.detach() if self.detached else features
        logits = classify(own)
        classes = logits.shape[1]
        mixed = self.mixed(features, labels, classes, draws) if bool((labels != labels[0]).any()) else None
        images = cross_entropy(logits, labels) if images is None else images
        return self._smooth(images, classify, mixed) + self.eta * self._contrast(own, labels, classes, contrastor, mixed)

    def mixed(self, features: Tensor, labels: Tensor, classes: int, draws: Draws) -> tuple[Mixed, Mixed]:
        """The hard positive and the hard negative of every sample."""
        pairs = (mined if self.mining is None else mined_as_official)(features, labels)
        others = (partners if self.partner is None else strict_partners)(labels, draws)
        shares = [beta_shares(draws, purpose, self.alpha, features) for purpose in ("hard positive", "hard negative")]
        return hard_positives(features, labels, classes, pairs, shares[0]), hard_negatives(features, labels, classes, others, shares[1])

    def _smooth(
        self, images: Float[Tensor, ""], classify: Callable[[Tensor], Tensor], mixed: tuple[Mixed, Mixed] | None
    ) -> Float[Tensor, ""]:
        if mixed is None:
            return images
        made = classify(torch.cat([each.features for each in mixed]))
        generated = cross_entropy(made, torch.cat([each.shares for each in mixed]))
        return (images + 2 * generated) / 3 if self.pooled else images + generated

    def _contrast(
        self, own: Tensor, labels: Tensor, classes: int, contrastor: Callable[[Tensor], Tensor], mixed: tuple[Mixed, Mixed] | None
    ) -> Float[Tensor, ""]:
        rows = torch.cat([own, *(each.features for each in mixed or ())])
        projected = full_precision(contrastor(rows)).split(len(own))
        if self.membership is None:
            synthetic = None if mixed is None else (projected[1], projected[2])
            similar, positive = among_own(projected[0], synthetic, labels, self.temperature)
        else:
            shares = torch.cat([nn.functional.one_hot(labels, classes).to(own.dtype), *(each.shares for each in mixed or ())])
            similar, positive = among_all(torch.cat(projected), shares, self.temperature)
        columns = None if self.normalization is None else len(rows)
        return focal_contrast(similar, positive, self.focal is None, bool(self.detach_weight), columns)
