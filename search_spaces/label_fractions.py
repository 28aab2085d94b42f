"""Few labels: supervised from scratch, or a contrastive encoder that saw all images without labels, frozen or tuned (PROTOCOL 4.2).

All take the same number of steps at every fraction, so that a hundredth of the labels does not mean a hundredth of the training.
The space draws nothing.
"""

from dataclasses import dataclass, replace
from typing import Literal

from optuna.trial import BaseTrial

from analysis import Accuracy
from contrast import CIFAR10, SGD, Dataset, Finetune, MLPClassifier, Stage, Untrained, crop4_flip
from contrast.data.dataset import Phase
from contrast.encoders.encoder import Encoder
from search_spaces.pretraining import PretrainingMethods

METHODS = ("supervised", "frozen", "fine_tuned")


@dataclass(frozen=True)
class LabelFractions:
    """The scale of the comparison. `steps` are those of an epoch.

    `supervised_epochs`, `lr` and `weight_decay` are those of an encoder trained from scratch, and but for the epochs of one that is
    tuned, where the encoder learns at `encoder_rate` times the rate.
    """

    encoder: Encoder
    data: Dataset = CIFAR10()
    fractions: tuple[float, ...] = (1.0, 0.1, 0.01)
    pretraining_epochs: int = 100
    pretraining_batch: int = 512
    epochs: int = 100
    steps: int = 391
    batch_size: int = 128
    supervised_epochs: int = 200
    lr: float = 0.05
    weight_decay: float = 1e-4
    encoder_rate: float = 0.1
    hidden: int = 2048
    precision: Literal["bf16"] | None = None

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """Accuracy of one method at one seed for every fraction of the labels, in percent."""
        out: dict[str, Stage] = {}
        for fraction in self.fractions:
            labelled = replace(self.data.fit(phase), fraction=fraction)
            out[f"accuracy/labels_{100 * fraction:g}"] = Accuracy(self.trained(method, labelled, seed), on=self.data.held_out(phase))
        return out

    def trained(self, method: str, labelled: Dataset, seed: int) -> Finetune:
        """One classifier of all classes from the labels that there are."""
        if method == "supervised":
            whole = self._finetune(Untrained(data=self.data.whole, encoder=self.encoder, seed=seed), labelled, seed)
            return replace(whole, epochs=self.supervised_epochs, views=crop4_flip(self.data.shape[1]))
        scale = PretrainingMethods(
            self.encoder, self.data, self.pretraining_epochs, self.pretraining_batch, precision=self.precision or "fp32"
        )
        net = scale.encoded("simclr", replace(labelled, fraction=None), seed)
        if method == "frozen":
            return replace(self._finetune(net, labelled, seed), frozen=True, optimizer=SGD(0.1, weight_decay=0.0), precision=None)
        tuned = self._finetune(net, labelled, seed)
        return replace(tuned, views=crop4_flip(self.data.shape[1]), head=MLPClassifier(self.hidden), encoder_rate=self.encoder_rate)

    def _finetune(self, net: Stage, labelled: Dataset, seed: int) -> Finetune:
        return Finetune(
            net,
            data=labelled,
            seed=seed,
            epochs=self.epochs,
            frozen=False,
            batch_size=self.batch_size,
            optimizer=SGD(lr=self.lr, weight_decay=self.weight_decay),
            steps=self.steps,
            precision=self.precision,
        )
