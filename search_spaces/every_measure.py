"""Everything that is measured, on the encoders and the tasks of "To contrast or not to contrast"; it draws nothing."""

from dataclasses import dataclass

from optuna.trial import BaseTrial

from analysis import FGSM, KNN, PGD, Accuracy, Alignment, Calibration, Corruptions, Landscape, LinearProbe, Progress, Uniformity
from contrast import Finetune, SimCLRViews, Stage
from contrast.data.dataset import Phase
from search_spaces.contrast_or_not import ContrastOrNot


@dataclass(frozen=True)
class EveryMeasure:
    """What is trained is that of `trained`, and so is shared with its sweep; the dear measures read `samples` images."""

    trained: ContrastOrNot
    samples: int

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """The measures of the encoder, and those of its classifier on every task."""
        net = self.trained.pretrained(method, seed)
        out = self.of_encoder(net, phase)
        for i, task in enumerate(self.trained.tasks):
            tuned = Finetune(net, data=task.fit(phase), seed=seed, epochs=self.trained.finetune_epochs)
            fit, held_out = task.fit(phase), task.held_out(phase)
            out |= {
                f"accuracy/{i}": Accuracy(tuned, on=held_out),
                f"calibration/{i}": Calibration(tuned, on=held_out),
                f"progress/{i}": Progress(tuned),
                f"landscape/{i}": Landscape(tuned, on=fit, points=self.trained.points, samples=self.samples),
                f"fgsm/{i}": FGSM(tuned, on=held_out, samples=self.samples),
                f"pgd/{i}": PGD(tuned, on=held_out, samples=self.samples),
                f"corruptions/{i}": Corruptions(tuned, on=held_out, samples=self.samples, severities=(1, 3, 5)),
            }
        return out

    def of_encoder(self, net: Stage, phase: Phase) -> dict[str, Stage]:
        """What is measured of features alone."""
        fit, held_out = self.trained.data.fit(phase), self.trained.data.held_out(phase)
        return {
            "knn": KNN(net, on=held_out, bank=fit),
            "linear": LinearProbe(net, data=fit, on=held_out),
            "alignment": Alignment(net, on=held_out, views=SimCLRViews()),
            "uniformity": Uniformity(net, on=held_out),
        }
