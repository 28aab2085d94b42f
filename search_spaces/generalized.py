"""Four knobs of the generalised contrastive loss, judged by everything downstream of one pretraining.

Temperature, batch size, lambda and projection depth belong to the pretraining; a fine-tuning and its measures hang on it.
"""

from dataclasses import dataclass

from optuna.trial import BaseTrial

from analysis import FGSM, KNN, PGD, Accuracy, Landscape, Progress
from contrast import SGD, CropViews, Dataset, Finetune, GeneralizedContrastive, MLPHead, Pretrain, SmallResNet, Stage
from contrast.data.dataset import Phase
from search_spaces.knobs import batch_size, distribution_weight, projection_depth, temperature


@dataclass(frozen=True)
class Generalized:
    """The space over one data set. `points` is the side of the loss landscape's grid, `samples` the images it and the attacks see."""

    data: Dataset
    width: int
    epochs: int
    finetune_epochs: int
    batches: tuple[int, ...]
    points: int
    samples: int

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase) -> dict[str, Stage]:
        """One pretraining, one fine-tuning, and their measures."""
        batch = batch_size(trial, self.batches)
        tau, weight = temperature(trial), distribution_weight(trial, low=1e-3, high=1.0)
        fit, held_out = self.data.fit(phase), self.data.held_out(phase)
        net = Pretrain(
            data=fit,
            encoder=SmallResNet(self.width),
            views=CropViews(),
            loss=GeneralizedContrastive(tau, weight, scale=64.0),
            head=MLPHead(projection_depth(trial), out=64),
            batch_size=batch,
            epochs=self.epochs,
            seed=seed,
            optimizer=SGD(lr=0.1 * batch / 256),
        )
        tuned = Finetune(net, data=fit, seed=seed, epochs=self.finetune_epochs)
        return {
            "knn": KNN(net, bank=fit, on=held_out),
            "accuracy": Accuracy(tuned, on=held_out),
            "progress": Progress(tuned, on=held_out),
            "flatness": Landscape(tuned, on=fit, points=self.points, samples=self.samples),
            "fgsm": FGSM(tuned, on=held_out, samples=self.samples),
            "pgd": PGD(tuned, on=held_out, samples=self.samples),
        }
