"""Three ways to pretrain one encoder, four tasks to transfer it to, and what their geometry and robustness look like.

The space of "To contrast or not to contrast": SimCLR, SupCon and SupCE on CIFAR-10, five-way tasks of CIFAR-100 on the
frozen encoder (PROTOCOL 3, 4.1, 5), with an encoder that is not trained as the baseline. It draws nothing.
"""

from dataclasses import dataclass
from typing import Literal

from optuna.trial import BaseTrial

from analysis import FGSM, PGD, Accuracy, Landscape, Progress
from contrast import (
    CIFAR10,
    CIFAR100,
    SGD,
    Classifier,
    CropFlip,
    CrossEntropy,
    Dataset,
    Finetune,
    MLPHead,
    NTXent,
    Pretrain,
    SimCLRViews,
    Stage,
    SupCon,
    Untrained,
)
from contrast.data.dataset import Phase
from contrast.encoders.encoder import Encoder

TASKS = tuple(CIFAR100(classes=c) for c in ((0, 1, 2, 3, 4), (6, 11, 16, 21, 26), (56, 58, 62, 66, 68), (95, 96, 97, 98, 99)))
METHODS = ("simclr", "supcon", "supce", "random")


@dataclass(frozen=True)
class ContrastOrNot:
    """The scale of the comparison; equal images, epochs and encoder for every method.

    `lr` is that of the contrastive methods, `lr_supce` that of cross-entropy, both for 256 images a batch.
    """

    encoder: Encoder
    data: Dataset = CIFAR10()
    tasks: tuple[Dataset, ...] = TASKS
    epochs: int = 200
    batch_size: int = 256
    finetune_epochs: int = 30
    lr: float = 0.05
    lr_supce: float = 0.2
    temperature: float = 0.07
    points: int = 51
    samples: int | None = None
    attacked: int | None = None
    precision: Literal["fp32", "bf16"] = "fp32"

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """The measures of one method at one seed, over all tasks; the loss landscape is that of the last one."""
        net = self.pretrained(method, seed)
        out: dict[str, Stage] = {}
        for i, task in enumerate(self.tasks):
            tuned, held_out = Finetune(net, data=task.fit(phase), seed=seed, epochs=self.finetune_epochs), task.held_out(phase)
            out |= {f"accuracy/{i}": Accuracy(tuned, on=held_out), f"progress/{i}": Progress(tuned)}
            out |= {f"fgsm/{i}": FGSM(tuned, on=task.fit(phase), samples=self.attacked), f"pgd/{i}": PGD(tuned, on=held_out)}
            if task is self.tasks[-1]:
                out[f"flatness/{i}"] = Landscape(tuned, on=task.fit(phase), points=self.points, samples=self.samples)
        return out

    def pretrained(self, method: str, seed: int) -> Stage:
        """The encoder of one method."""
        if method == "random":
            return Untrained(data=self.data.whole, encoder=self.encoder, seed=seed)
        supervised = method == "supce"
        loss = {"simclr": NTXent(self.temperature), "supcon": SupCon(self.temperature), "supce": CrossEntropy()}[method]
        return Pretrain(
            data=self.data.whole,
            encoder=self.encoder,
            views=CropFlip() if supervised else SimCLRViews(),
            loss=loss,
            head=Classifier() if supervised else MLPHead(2),
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=seed,
            optimizer=SGD(lr=(self.lr_supce if supervised else self.lr) * self.batch_size / 256),
            precision=self.precision,
        )
