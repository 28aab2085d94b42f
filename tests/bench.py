"""Runs stages by hand, without a store: whole, or cut off and gone on with; and compares what they left, bit by bit."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from contrast import Workspace
from contrast.model import Artefact
from contrast.stage import Memory


class Bench:
    """Runs stages in folders of its own and hands on what they leave; `data` is the folder of images, if they need one."""

    def __init__(self, folder, data=None):
        self.folder, self.data, self.done, self.memory = Path(folder), data, {}, Memory()

    def workspace(self, folder, monitor=None):
        folder.mkdir(exist_ok=True)
        return Workspace(folder, resolve=self.done.__getitem__, data=self.data, monitor=monitor, memory=self.memory)

    def begin(self, stage, epochs, folder, monitor=None):
        """Run some epochs and leave; what is drawn meanwhile from global generators is another's business."""
        begun = stage.run(self.workspace(folder, monitor))
        list(islice(begun, epochs))
        begun.close()
        torch.manual_seed(epochs)
        np.random.seed(epochs)

    def run(self, stage, stops=(), monitor=None, folder=None):
        """The artefact of a stage that was cut off after so many more epochs at each of `stops`."""
        folder = folder or self.folder / f"{type(stage).__name__}-{len(list(self.folder.iterdir()))}"
        for stop in stops:
            self.begin(stage, stop, folder, monitor)
        running = stage.run(self.workspace(folder, monitor))
        while True:
            try:
                next(running)
            except StopIteration as end:
                self.done[stage] = Artefact(folder, end.value)
                return self.done[stage]

    def net(self, stage):
        return stage.model(self.workspace(self.folder / "nets")).net


def curve(artefact):
    return [json.loads(line) for line in (artefact.folder / "curve.jsonl").read_text().splitlines()]


def assert_same(one, two):
    """Weights to the last bit, the curve, the results and the arrays."""
    weights = one.weights(), two.weights()
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name
    assert curve(one) == curve(two)
    assert one.results == two.results
    arrays = [artefact.arrays() if (artefact.folder / "arrays.npz").exists() else {} for artefact in (one, two)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        assert np.array_equal(array, arrays[1][name]), name
