"""Ways to fine-tune one pretrained encoder on small tasks, at equal steps, images and optimiser (PROTOCOL 7.3, 7.4).

What is compared is the method of `Finetune`; "sl_ce" alone begins elsewhere, from a pretraining by cross-entropy. The space
draws nothing.
"""

from dataclasses import dataclass
from typing import Literal

from optuna.trial import BaseTrial

from analysis import Accuracy
from contrast import (
    BSS,
    CIFAR10,
    DELTA,
    L2SP,
    RIFLE,
    SCL,
    SGD,
    Augment,
    BiTuning,
    Classifier,
    CoreTuning,
    Cosine,
    CropFlip,
    CrossEntropy,
    Dataset,
    FeatureMixup,
    Finetune,
    HorizontalFlip,
    MixAndMatch,
    Pretrain,
    RandomResizedCrop,
    Stage,
    TuningMethod,
)
from contrast.data.dataset import Phase
from contrast.encoders.encoder import Encoder
from search_spaces.contrast_or_not import TASKS
from search_spaces.pretraining import PretrainingMethods

# The rows of Core-tuning's ablation; "scl" is also one of its baselines.
ABLATION: dict[str, TuningMethod | None] = {
    "ce": None,
    "scl": SCL(),
    "mixup": FeatureMixup(),
    "core_plain": CoreTuning(focal=False),
    "core": CoreTuning(),
}
TUNING: dict[str, TuningMethod | None] = ABLATION | {
    "l2sp": L2SP(),
    "m_and_m": MixAndMatch(),
    "delta": DELTA(),
    "delta_plain": DELTA(1e-4, attention=False),  # at 0.01 the sum over maps of 32 x 32 places diverges
    "bss": BSS(),
    "rifle": RIFLE(1),
    "bi_tuning": BiTuning(),
}
METHODS = (*TUNING, "sl_ce")
NO_DECAY = ("l2sp", "delta", "delta_plain")  # they draw the weights to their start in the place of weight decay


@dataclass(frozen=True)
class FineTuningMethods:
    """The scale of the comparison; `lr` is the rate at the start of the cosine, which ends at 0."""

    encoder: Encoder
    data: Dataset = CIFAR10()
    tasks: tuple[Dataset, ...] = TASKS
    pretraining_epochs: int = 200
    pretraining_batch: int = 256
    epochs: int = 100
    batch_size: int = 64
    lr: float = 0.01
    precision: Literal["bf16"] | None = None

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """Accuracy on every task of one method at one seed."""
        net = self.pretrained(method, seed)
        tuned = [self.tuned(net, method, task.fit(phase), seed) for task in self.tasks]
        return {f"accuracy/{i}": Accuracy(tuned[i], on=task.held_out(phase)) for i, task in enumerate(self.tasks)}

    def pretrained(self, method: str, seed: int) -> Stage:
        """SimCLR, or cross-entropy on the same images."""
        scale = PretrainingMethods(
            self.encoder, self.data, self.pretraining_epochs, self.pretraining_batch, precision=self.precision or "fp32"
        )
        if method != "sl_ce":
            return scale.encoded("simclr", self.data.whole, seed)
        return Pretrain(
            data=self.data.whole,
            encoder=self.encoder,
            views=CropFlip(),
            loss=CrossEntropy(),
            head=Classifier(),
            batch_size=self.pretraining_batch,
            epochs=self.pretraining_epochs,
            seed=seed,
            optimizer=SGD(lr=scale.lr),
            precision=scale.precision,
        )

    def tuned(self, net: Stage, method: str, task: Dataset, seed: int) -> Finetune:
        """The encoder tuned by one method; Bi-tuning alone compares two views of an image, of like crops."""
        return Finetune(
            net,
            data=task,
            seed=seed,
            epochs=self.epochs,
            frozen=False,
            batch_size=self.batch_size,
            optimizer=SGD(lr=self.lr, nesterov=True, weight_decay=0.0 if method in NO_DECAY else 1e-4),
            schedule=Cosine(0.0),
            head=Classifier(bias=False),
            views=Augment((RandomResizedCrop((0.2, 1.0)), HorizontalFlip()), 2) if method == "bi_tuning" else CropFlip(),
            method=TUNING.get(method),
            precision=self.precision,
        )
