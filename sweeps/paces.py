"""How long a stage takes and how much it leaves: as those of its kind did that are in the store, or a guess.

The kind is the class. Fine-tunings on features that are computed once, and those that go through the network, which take a
hundred times as long, are two kinds.
"""

from collections.abc import Sequence
from functools import partial

from contrast.finetune import Finetune
from contrast.stage import Stage
from sweeps.store import Record, Store

THROUGH = "Finetune through the network"  # a kind of stages beside the classes
# Seconds an epoch, a part of a measure in parts, or a whole measure: a ResNet-18 on CIFAR-10 on one GPU; bytes of a stage: its
# weights and arrays.
# What is not named is a measure of a few passes over some features.
GUESSES = {
    "Pretrain": 20.0,
    "MoCo": 20.0,
    "VAE": 10.0,  # one view, not two
    "Untrained": 1.0,
    "Pretrained": 1.0,
    "Finetune": 0.1,
    THROUGH: 13.0,  # one view, and a look at all images after every epoch
    "Segment": 120.0,  # 1,464 images of 512 pixels a side through a ResNet-50
    "LinearProbe": 10.0,  # one fit for each strength of its grid
    "FewLabels": 10.0,  # the same for each share and draw of the labels
    "LogisticRegression": 10.0,
    "Curvature": 15.0,  # 50 products
    **{"Landscape": 4.0, "RadiusFlatness": 1.0, "ModeConnectivity": 5.0},  # a few rows of the grid, a direction, a pair
    "Corruptions": 3.0,  # a corruption of 1,000 images at five severities
    **{"MinimalNorm": 10.0, "GradientMasking": 6.0, "AutoAttack": 90.0},  # an eighth of 256 images, or of 1,000
    "Segmentation": 60.0,
    **{"LocalClusters": 1.0, "Sharpness": 20.0},  # a layer of 32 images
}
GUESS = 5.0
SIZES = {
    **{"Pretrain": 45_000_000, "MoCo": 45_000_000, "VAE": 2_000_000, "Untrained": 45_000_000, "Pretrained": 94_000_000},
    **{"Finetune": 2_000_000, THROUGH: 47_000_000, "LogisticRegression": 4_000_000, "Segment": 160_000_000, "Segmentation": 5_000_000},
}
SIZE = 200_000


class Paces:
    """Seconds an epoch, and bytes, of each kind of stages: the mean of its records, or a guess, and which of the two."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._paces: dict[str, tuple[float, str]] = {}
        self._sizes: dict[str, tuple[float, str]] = {}

    def of(self, stage: Stage) -> float:
        """Seconds an epoch of a stage; of one without epochs, the whole."""
        return self.pace(stage)[0]

    def pace(self, stage: Stage) -> tuple[float, str]:
        """Seconds an epoch of stages like this one, and whether that is of a "record" or a "guess"."""
        kind = kind_of(stage)
        if kind not in self._paces:
            found = self.store.paces(type(stage).__name__, partial(_is_of, kind))
            self._paces[kind] = _mean(found, GUESSES.get(kind, GUESS))
        return self._paces[kind]

    def size(self, stage: Stage) -> tuple[float, str]:
        """The bytes that stages like this one leave, and whether that is of a "record" or a "guess"."""
        kind = kind_of(stage)
        if kind not in self._sizes:
            found = self.store.sizes(type(stage).__name__, partial(_is_of, kind))
            self._sizes[kind] = _mean(found, SIZES.get(kind, SIZE))
        return self._sizes[kind]


def _mean(found: Sequence[float], guess: float) -> tuple[float, str]:
    return (sum(found) / len(found), "record") if found else (guess, "guess")


def kind_of(stage: Stage) -> str:
    """What stages of one pace have in common: the class, of fine-tunings also whether each step goes through the network."""
    return THROUGH if isinstance(stage, Finetune) and not stage.on_features else type(stage).__name__


def recorded_kind(record: Record) -> str:
    """`kind_of` the stage that a record is of; fields that are None are not in it."""
    given = record.value["fields"]
    assert isinstance(given, dict)
    through = record.stage == Finetune.__name__ and not (
        given.get("frozen", True) and given.keys().isdisjoint(("views", "penalty", "attack"))
    )
    return THROUGH if through else record.stage


def _is_of(kind: str, record: Record) -> bool:
    return recorded_kind(record) == kind
