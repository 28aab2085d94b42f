"""Ways to pretrain one encoder on one data set, against the same encoder as it was initialised; the space draws nothing.

Self-supervised (SimCLR, the generalised contrastive loss with both of its distribution terms, MoCo) and supervised (SupCon-out and
-in) on equal images, views, epochs, batches and head (PROTOCOL 2.1, 2.2, 2.6, 2.7), judged on the data they were trained on.
"""

from dataclasses import dataclass
from typing import Literal

from optuna.trial import BaseTrial

from analysis import KNN, LinearProbe
from contrast import (
    SGD,
    Dataset,
    GeneralizedContrastive,
    Loss,
    MLPHead,
    MoCo,
    NTXent,
    Pretrain,
    SimCLRViews,
    SlicedWasserstein,
    Stage,
    SupCon,
    SupConIn,
    Untrained,
)
from contrast.data.dataset import Phase
from contrast.encoders.encoder import Encoder

WIDTH = 128
# The mean over the width makes the terms of the generalised losses small: so scaled, they learn at the rate of the others.
LOSSES: dict[str, Loss] = {
    "simclr": NTXent(0.2),
    "supcon_out": SupCon(0.1),
    "supcon_in": SupConIn(0.1),
    "log_sum_exp": GeneralizedContrastive(0.2, 0.001, scale=WIDTH / 0.2),
    "sliced_wasserstein": SlicedWasserstein("sphere", 2.0, scale=WIDTH / 0.1),
}
METHODS = (*LOSSES, "moco", "random")


@dataclass(frozen=True)
class PretrainingMethods:
    """The scale of the comparison. `lr` is the rate at the start of the cosine for batches of `batch_size`."""

    encoder: Encoder
    data: Dataset
    epochs: int
    batch_size: int
    lr: float = 0.05
    precision: Literal["fp32", "bf16"] = "fp32"

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """Nearest neighbours and a linear probe on the frozen encoder of one method at one seed."""
        fit, held_out = self.data.fit(phase), self.data.held_out(phase)
        net = self.encoded(method, fit, seed)
        return {"knn": KNN(net, bank=fit, on=held_out), "linear": LinearProbe(net, data=fit, on=held_out)}

    def encoded(self, method: str, fit: Dataset, seed: int) -> Stage:
        """The encoder of one method."""
        if method == "random":
            return Untrained(data=fit, encoder=self.encoder, seed=seed)
        if method == "moco":
            return self._moco(fit, seed)
        return Pretrain(
            data=fit,
            encoder=self.encoder,
            views=SimCLRViews(),
            loss=LOSSES[method],
            head=MLPHead(2, out=WIDTH),
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=seed,
            optimizer=SGD(lr=self.lr),
            precision=self.precision,
        )

    def _moco(self, fit: Dataset, seed: int) -> Stage:
        """The queue has the keys of 16 batches, fewer than the published 4096: in a short training old keys are soon out of date."""
        return MoCo(
            data=fit,
            encoder=self.encoder,
            views=SimCLRViews(),
            head=MLPHead(2, out=WIDTH),
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=seed,
            optimizer=SGD(lr=self.lr),
            queue=16 * self.batch_size,
            norm_groups=4,
            precision=self.precision,
        )
