"""Cross-entropy with supervised contrast: images of a class are to lie together on the contrastor's sphere (PROTOCOL 7.4, SCL)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from contrast import random
from contrast.component import require
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.heads.head import Head
from contrast.heads.mlp_head import MLPHead
from contrast.heads.stage_heads import require_projection
from contrast.losses.sup_con import SupCon
from contrast.losses.temperature import require_temperature


@dataclass(frozen=True)
class SCL(TuningMethod):
    """CE + `eta` SupCon of one view, on what `contrastor` makes of the features; `eta` >= 0, `temperature` from 1e-4 to 1e6.

    Row 2 of Core-tuning's ablation. Anchors without another image of their class count as zero.
    """

    eta: float = 0.1
    temperature: float = 0.07
    contrastor: Head = MLPHead(2, out=256)

    def __post_init__(self) -> None:
        require(0 <= self.eta < float("inf"), self, "eta", "must be 0 or above and finite", "0.1, 1 and 10 are usual.")
        require_temperature(self)
        require_projection(self, "contrastor", "Use MLPHead(2, out=256).")

    def beside(self, net: nn.Module, width: int, classes: int, seed: int) -> nn.Module:
        """The contrastor."""
        return self.contrastor.build(width, classes, random.generator(seed, "contrastor"))

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        features = features_of(tuned, batch)
        contrast = SupCon(self.temperature)(tuned.beside(features)[:, None], batch.labels)
        return cross_entropy(logits_of(tuned, features), batch.labels) + self.eta * contrast
