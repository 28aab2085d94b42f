"""A loss and a measure of one's own, in a file outside the package."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from analysis import Measure
from contrast import SGD, CropViews, Dataset, Digits, Loss, MLPHead, Pretrain, SmallResNet
from sweeps import Sweep, main

SHARPNESS = 2.0


def similarity(output):
    z = torch.nn.functional.normalize(output, dim=-1)
    return (z[:, 0] * z[:, 1]).sum(-1)


@dataclass(frozen=True)
class Attract(Loss):
    """Pull the two views of an image together; collapses, as it should."""

    contrastive: ClassVar[bool] = True
    margin: float = 0.1

    def __call__(self, output, labels):
        return torch.relu(1 - self.margin - similarity(output)).mean() * SHARPNESS


@dataclass(frozen=True)
class ParticipationRatio(Measure):
    on: Dataset

    def measure(self, model, workspace):
        energy = torch.linalg.svdvals(workspace.features(model, self.on)) ** 2
        return {"ratio": float(energy.sum() ** 2 / (energy @ energy))}


def space(trial, seed, phase):
    digits = Digits(per_class=20)
    net = Pretrain(
        data=digits.fit(phase),
        encoder=SmallResNet(2),
        views=CropViews(),
        loss=Attract(),
        head=MLPHead(1, out=8),
        batch_size=64,
        epochs=1,
        seed=seed,
        optimizer=SGD(lr=0.1),
    )
    return {"participation": ParticipationRatio(net, on=digits.held_out(phase))}


if __name__ == "__main__":
    main(Sweep("own_parts", space, seeds=(0, 1)))
