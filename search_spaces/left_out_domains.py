"""Fine-tuning that is tested on a domain which it never saw, in every rotation (PROTOCOL 7.6); the space draws nothing.

"supervised_ce" begins from the encoder that was trained by labels, all others from the contrastive one; they differ in nothing else
but what is minimised.
"""

from dataclasses import dataclass
from typing import Literal

from optuna.trial import BaseTrial

from analysis import Accuracy, LeftOut
from contrast import SCL, SGD, Classifier, CoreTuning, Cosine, CropFlip, Finetune, Stage, TuningMethod
from contrast.data.dataset import Phase
from contrast.data.domains import Domains

TUNING: dict[str, TuningMethod | None] = {"supervised_ce": None, "ce": None, "scl": SCL(), "core": CoreTuning()}
METHODS = tuple(TUNING)


@dataclass(frozen=True)
class LeftOutDomains:
    """The scale of the comparison. `contrastive` and `supervised` are `Pretrained` encoders, or any that a stage trained."""

    contrastive: Stage
    supervised: Stage
    tasks: tuple[Domains, ...]
    epochs: int = 100
    batch_size: int = 64
    lr: float = 0.01
    precision: Literal["bf16"] | None = None

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """Accuracy in percent on each target, `PACS/photo`, and of all of them `left_out/PACS`, their mean, and `left_out/PACS/worst`.

        The mean of `PACS/*` counts every domain once, too. Nothing is chosen by a target: it is in the test part alone.
        """
        out: dict[str, Stage] = {}
        for folder in dict.fromkeys(task.folder for task in self.tasks):
            tasks = [task for task in self.tasks if task.folder == folder]
            found = {task.target: Accuracy(self.tuned(method, task, phase, seed), on=task.held_out(phase)) for task in tasks}
            out |= {f"{folder}/{target}": accuracy for target, accuracy in found.items()}
            out[f"left_out/{folder}"] = LeftOut(tuple(found.values()))
        return out

    def tuned(self, method: str, task: Domains, phase: Phase, seed: int) -> Finetune:
        """The encoder tuned on the source domains."""
        return Finetune(
            self.supervised if method == "supervised_ce" else self.contrastive,
            data=task.fit(phase),
            seed=seed,
            epochs=self.epochs,
            frozen=False,
            batch_size=self.batch_size,
            optimizer=SGD(lr=self.lr, nesterov=True, weight_decay=1e-4),
            schedule=Cosine(0.0),
            head=Classifier(bias=False),
            views=CropFlip(),
            method=TUNING[method],
            precision=self.precision,
        )
