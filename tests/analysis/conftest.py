"""A small world for measures: Gaussian images of four classes, stages whose artefacts are put there by the test."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from contrast.data.dataset import RANKS_PER_CLASS, Dataset, Images
from contrast.heads import Head, MLPHead
from contrast.model import Artefact, Model, Net
from contrast.saved import CURVE, STATE
from contrast.stage import Metrics, Stage, Workspace

_PARTS = {"whole": range(0, 40), "fit": range(0, 36), "held_out": range(36, 40), "test": range(40, 60)}


@dataclass(frozen=True)
class Blobs(Dataset):
    """Images [3, 6, 6] around a mean image a class; 40 a class in train (36 to fit, 4 held out), 20 in test."""

    name = "blobs"
    shape = (3, 6, 6)
    mean = (0.5, 0.4, 0.3)
    std = (0.25, 0.2, 0.3)
    class_count = 4

    def load(self, root: Path | None) -> Images:
        chosen = self.classes if self.classes is not None else range(self.class_count)
        ranks = list(_PARTS[self.part])[: self.per_class]
        pixels, labels, ids = [], [], []
        for label, number in enumerate(chosen):
            draws = np.random.default_rng(number)
            images = draws.uniform(60, 180, (1, *self.shape)) + draws.normal(0, 45, (60, *self.shape))
            pixels.append(images[ranks].clip(0, 255).astype(np.uint8))
            labels.append(np.full(len(ranks), label))
            ids.append(number * RANKS_PER_CLASS + np.array(ranks) % 40)
        return Images(np.concatenate(pixels), np.concatenate(labels), np.concatenate(ids))


@dataclass(frozen=True)
class Shelved(Artefact):
    """An artefact that brings its network along."""

    net: Net | None = None


@dataclass(frozen=True)
class Tuned(Stage):
    """Stands for a fine-tuning on `data`; what it left is what the test put on the shelf."""

    data: Dataset
    seed: int = 0
    method: str = "simclr"

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        return {}
        yield {}

    def model(self, workspace: Workspace) -> Model:
        artefact = workspace.of(self)
        assert isinstance(artefact, Shelved)
        return Model(self, artefact, lambda: artefact.net)


@dataclass(frozen=True)
class Pretrained(Tuned):
    """Stands for a pretraining with `head`."""

    head: Head = MLPHead()


class Lab:
    """Puts stages on the shelf and runs measures of them in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelf: dict[Stage, Artefact] = {}
        self.workspace = Workspace(folder=folder / "measure", resolve=self.shelf.__getitem__)
        self.workspace.folder.mkdir()

    def put(self, stage: Stage, net: Net | None = None, **arrays: np.ndarray) -> Stage:
        folder = self.folder / str(len(self.shelf))
        folder.mkdir()
        np.savez(folder / "arrays.npz", **arrays)
        self.shelf[stage] = Shelved(folder, {}, net.eval() if net is not None else None)
        return stage

    def run(self, measure: Stage) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Results and arrays of a measure."""
        steps = measure.run(self.workspace)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            results = end.value
        for file in (CURVE, STATE):  # the next measure has an attempt of its own
            (self.workspace.folder / file).unlink(missing_ok=True)
        kept = (self.workspace.folder / "arrays.npz").exists()
        return results, Artefact(self.workspace.folder, results).arrays() if kept else {}

    def stopped(self, measure: Stage) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The same of a measure in parts that is stopped after every part and begun anew; fails if it never yields, or too often."""
        for part in range(1, measure.length + 1):
            running = measure.run(self.workspace)
            next(running)
            running.close()
            assert self.workspace.restore()[0] == part
        return self.run(measure)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def blobs() -> type[Blobs]:
    return Blobs


@pytest.fixture
def tuned() -> type[Tuned]:
    return Tuned


@pytest.fixture
def pretrained() -> Callable[[Dataset, Head], Pretrained]:
    return lambda data, head: Pretrained(data, head=head)


@pytest.fixture
def spoiled() -> Callable[[Stage, str, object], None]:
    """Checks a stage again with a field that the tests' type checker would not let through."""

    def check(stage: Stage, field: str, value: object) -> None:
        object.__setattr__(stage, field, value)
        stage.__post_init__()

    return check


@pytest.fixture
def linear_net() -> Net:
    """Flattened pixels under a linear classifier of four classes."""
    torch.manual_seed(0)
    return Net(Blobs.mean, Blobs.std, nn.Flatten(), nn.Linear(108, 4))


@pytest.fixture
def conv_net() -> Net:
    """Two convolutions with batch normalisation, whose statistics and affine parameters are not the initial ones."""
    torch.manual_seed(1)
    encoder = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
    )
    for module in encoder:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return Net(Blobs.mean, Blobs.std, encoder, nn.Linear(32, 4))
