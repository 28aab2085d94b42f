"""Robust fine-tuning: cross-entropy, and three losses on images that are attacked in every step (PROTOCOL 7.7); the space draws nothing.

Every method tunes one SimCLR encoder on small tasks at equal steps; the attack is the same for all, and maximises cross-entropy alone.
"""

from dataclasses import dataclass, replace

from optuna.trial import BaseTrial

from analysis import PGD, Accuracy
from contrast import SCL, AdversarialTraining, CoreTuning, Dataset, Stage, TuningMethod
from contrast.data.dataset import Phase
from search_spaces.fine_tuning import FineTuningMethods

LOSSES: dict[str, TuningMethod | None] = {"at_ce": None, "at_ce_con": SCL(), "at_core": CoreTuning()}
METHODS = ("ce", *LOSSES)


@dataclass(frozen=True)
class AdversarialTuning:
    """`scale` is that of fine-tuning without an attack; robustness is judged in the norm of `attack`, at `radii` by `steps` steps."""

    scale: FineTuningMethods
    attack: AdversarialTraining = AdversarialTraining(4 / 255)
    radii: tuple[float, ...] = (0.0, 2 / 255, 4 / 255, 8 / 255)
    steps: int = 20

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """Accuracy on clean and on attacked images of every task, of one method at one seed."""
        net, out = self.scale.pretrained("ce", seed), dict[str, Stage]()
        for i, task in enumerate(self.scale.tasks):
            tuned, held_out = self.scale.tuned(net, "ce", task.fit(phase), seed), task.held_out(phase)
            if method != "ce":
                tuned = replace(tuned, method=LOSSES[method], attack=self.attack)
            out |= {f"clean/{i}": Accuracy(tuned, on=held_out), f"robust/{i}": self.judged(tuned, held_out)}
        return out

    def judged(self, tuned: Stage, on: Dataset) -> PGD:
        """How robust a network is."""
        return PGD(tuned, on=on, norm=self.attack.norm, eps=self.radii, steps=self.steps)
