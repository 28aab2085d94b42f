"""A measure is a stage that reads what other stages left and returns named numbers.

A subclass is a frozen dataclass that adds fields and writes `measure(model, workspace)`. The first number it returns is
its main result, named by the key under which the space returned the measure (`pgd/0`); the others are `key/name`
(`pgd/0/eps_2`). Arrays go to `workspace.keep_arrays`; pictures are drawn from them later, without the model.

A measure of minutes is written in parts, as training is in epochs: `measure` is then a generator that saves what it has
(`workspace.save(part, {}, state)`) and yields after each of `length` parts, and begins with `workspace.restore()`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.pretrained import require_channels
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

Parts = Generator[Metrics, None, Metrics]


@dataclass(frozen=True)
class Drawn:
    """One finished measure as a figure sees it: whose it is, what it found.

    `method` is the arm's label, or the candidate's where a sweep has no arms; `panel` the rest of the key (`0` of
    `pgd/0`, empty without one); `of` says for each upstream stage of a tuple whose it is, as (method, seed).
    """

    method: str
    panel: str
    seed: int
    results: dict[str, float]
    arrays: dict[str, np.ndarray]
    measure: "Measure"
    of: tuple[tuple[str, int], ...] = ()

    @property
    def finite(self) -> bool:
        """Whether the main result is a number that can be drawn and averaged."""
        return math.isfinite(next(iter(self.results.values()), math.nan))


@dataclass(frozen=True)
class Measure(Stage, ABC):
    """`of` is the stage, or the tuple of stages, that is measured; first and positional.

    `alone` marks a measure of minutes: it becomes a unit of work of its own instead of following in its stage's worker.
    `label_free` marks one that reads no labels: as a monitor it prunes only once it has shown what it tells of the objective.
    `keeps_log_probs`: it leaves log-probabilities of epochs, as a training does, for those that compare trajectories.
    `unit` names the fields that say in what a measure counts, such as the norm of a radius: other values, another picture and mean.
    """

    of: Stage | tuple[Stage, ...]
    alone: ClassVar[bool] = False
    label_free: ClassVar[bool] = False
    keeps_log_probs: ClassVar[bool] = False
    unit: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        stages = self.of if isinstance(self.of, tuple) else (self.of,)
        good = len(stages) > 0 and all(isinstance(stage, Stage) for stage in stages)
        require(good, self, "of", "must be a stage or a tuple of stages", "Pass what Pretrain(...) or Finetune(...) gave.")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Images must have the channels that the measured networks know; a measure with further rules calls this one, too."""
        require_channels(self)

    @abstractmethod
    def measure(self, model: Any, workspace: Workspace) -> Metrics | Parts:  # noqa: ANN401 (a Model, or a tuple of them as `of` is)
        """Named numbers, the main one first; `model` is a `Model`, or a tuple of them when `of` is a tuple."""

    @classmethod
    def in_parts(cls) -> bool:
        """Whether `measure` is a generator, which saves its state in the running stage's folder."""
        return isgeneratorfunction(cls.measure)

    def run(self, workspace: Workspace) -> Parts:
        """Measure once, at a stretch or in parts."""
        model = tuple(stage.model(workspace) for stage in self.of) if isinstance(self.of, tuple) else workspace.model(self.of)
        found = self.measure(model, workspace)
        return (yield from found) if isinstance(found, Generator) else found

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure | None":
        """One picture of all panels, methods and seeds of a family of measures; None when there is nothing to draw.

        What draws it is imported here: only a driver draws, and matplotlib would take each worker a third of a second.
        """
        return None
