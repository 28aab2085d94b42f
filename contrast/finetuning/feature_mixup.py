"""Mixup of features: the classifier is trained on mixtures of random pairs too (manifold mixup; PROTOCOL 7.3, row 3)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from contrast.component import require
from contrast.finetuning.hard_mixing import beta_shares, partners
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of


@dataclass(frozen=True)
class FeatureMixup(TuningMethod):
    """CE of the images + CE of as many mixtures of the features of random pairs, with shares Beta(`alpha`, `alpha`); `alpha` >= 0.001."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        require(0.001 <= self.alpha < float("inf"), self, "alpha", "must be at least 0.001 and finite", "0.1 and 1 are usual.")

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        features = features_of(tuned, batch)
        logits = logits_of(tuned, features)
        classes = one_hot(batch.labels, logits.shape[1]).to(features.dtype)
        order, share = partners(batch.labels, batch.draws), beta_shares(batch.draws, "mixup", self.alpha, features)
        mixed, shares = (share * each + (1 - share) * each[order] for each in (features, classes))
        return cross_entropy(logits, batch.labels) + cross_entropy(logits_of(tuned, mixed), shares)
