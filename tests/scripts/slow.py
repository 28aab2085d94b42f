"""Stages that do nothing, slowly: many short epochs, so that a run can be watched and broken off anywhere."""

import time
from dataclasses import dataclass

import torch

from analysis import Measure
from contrast import Stage
from contrast.model import Model
from sweeps import Sweep, main


@dataclass(frozen=True)
class Slow(Stage):
    """`epochs` epochs of `pause` seconds."""

    rate: float
    seed: int
    epochs: int = 40
    pause: float = 0.1

    @property
    def length(self):
        return self.epochs

    def run(self, workspace):
        done, _ = workspace.restore()
        for epoch in range(done + 1, self.epochs + 1):
            time.sleep(self.pause)
            metrics = {"loss": self.rate / epoch}
            workspace.save(epoch, metrics, {"epoch": torch.tensor(epoch)})
            yield metrics
        return {"loss": self.rate / self.epochs}

    def model(self, workspace):
        return Model(self, workspace.of(self), build=lambda: None)


@dataclass(frozen=True)
class Loss(Measure):
    """The loss that was reached."""

    def measure(self, model, workspace):
        return {"loss": model.artefact.results["loss"]}


def space(trial, seed, phase):
    return {"loss": Loss(Slow(trial.suggest_float("rate", 1, 2), seed))}


if __name__ == "__main__":
    main(Sweep("slow", space, trials=2, minimize="loss"))
