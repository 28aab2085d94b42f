"""What pretraining stages share, whatever they train: rules of their common fields, and epochs that are saved, watched and resumed."""

import copy
import math
from collections.abc import Callable, Generator
from functools import lru_cache, partial
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from contrast.augmentations.views import Views
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.encoders.encoder import Encoder
from contrast.model import Model, Net
from contrast.optim.schedule import Schedule
from contrast.snapshots import Snapshots
from contrast.stage import Diverged, Metrics, Stage, Workspace
from contrast.training_state import load_training_state, training_state


@runtime_checkable
class Training(Protocol):
    """The fields that every pretraining has."""

    @property
    def data(self) -> Dataset:
        """The images."""

    @property
    def encoder(self) -> Encoder:
        """What is trained for transfer."""

    @property
    def views(self) -> Views:
        """What is made of each image."""

    @property
    def batch_size(self) -> int:
        """Images a step."""

    @property
    def epochs(self) -> int:
        """Epochs."""

    @property
    def seed(self) -> int:
        """What all draws begin with."""

    @property
    def snapshots(self) -> int | None:
        """How many epochs' encoders are kept beside the initial one; None is none."""

    @property
    def schedule(self) -> Schedule:
        """The learning rate's."""

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """That of the network's forward and backward pass."""


def require_training(stage: Training) -> None:
    """Raise `UserError` where one of the common fields is out of its range."""
    require(stage.batch_size >= 2, stage, "batch_size", "must be at least 2", "Contrast and batch normalisation need a second image.")
    require(stage.epochs >= 1, stage, "epochs", "must be at least 1", "Use Untrained(...) for an encoder that is not trained.")
    least = stage.schedule.fewest_epochs
    require(stage.epochs >= least, stage, "schedule", f"takes {least} epochs or more, not {stage.epochs}", "Train longer or shorten it.")
    require(stage.seed >= 0, stage, "seed", "must be 0 or above", "Give a non-negative integer.")
    few = stage.snapshots is None or 1 <= stage.snapshots <= stage.epochs
    require(few, stage, "snapshots", f"must be from 1 to the number of epochs ({stage.epochs})", "20 is usual; None keeps none.")
    require(stage.precision in ("fp32", "bf16"), stage, "precision", "must be 'fp32' or 'bf16'", "Use 'fp32' when in doubt.")


def require_a_batch(stage: Training, size: Callable[[Dataset], int]) -> None:
    """Raise `UserError` where the batch is larger than the data, or the views cannot be made of its images."""
    available = size(stage.data)
    rule = f"is larger than the data ({available} images)"
    require(stage.batch_size <= available, stage, "batch_size", rule, "Lower batch_size or use more images.")
    view_size(stage.views, stage.data)


@lru_cache(maxsize=32)
def view_size(views: Views, data: Dataset) -> tuple[int, ...]:
    """Channels, height and width of a view of one image; raises the `UserError` of views that take no such images."""
    return tuple(views(torch.zeros(1, *data.shape), np.zeros(1, np.int64), 0, 1).shape[2:])


def require_synchronised(stage: Training, odd_norm: Callable[[], str | None], count: int) -> None:
    """Raise `UserError` where `odd_norm` tells of a batch normalisation that cannot be synchronised over `count` processes, if several."""
    odd = odd_norm() if count > 1 else None
    cure = "Ask for one GPU, or use a network with plain batch normalisations."
    require(odd is None, stage, "encoder", f"{odd} and cannot be synchronised over {count} processes", cure)


def train(
    stage: Stage,
    workspace: Workspace,
    trained: nn.Module,
    net: Net,
    optimizer: torch.optim.Optimizer,
    epoch: Callable[[int], Metrics],
    first: Callable[[], object] | None = None,
    whole: Callable[[int, dict[str, Tensor]], bool] = lambda done, state: True,
    snapshots: tuple[int, ...] = (),
) -> Generator[Metrics, None, Metrics]:
    """Yield what `epoch` tells of each epoch, from the last saved state on, and return what the last one told.

    `first` is called before the first epoch, and not on a resume. All of `trained`, which may be more than `net`, is saved. The
    monitor reads a copy of `net` every twentieth of the epochs. A state that is not of these weights, as of another version of this
    code, is none, nor is one that `whole`, given the epoch too, says no to. `snapshots` are the epochs after which the encoder of `net`
    is kept.
    Raises `Diverged` when a weight of `net`, or what `epoch` tells, is not finite after an epoch.
    """
    shapes = {f"net.{name}": tensor.shape for name, tensor in trained.state_dict().items()}
    kept = Snapshots(workspace, net.encoder, snapshots)
    done, state = workspace.restore(lambda done, state: _fits(shapes, state) and whole(done, state) and kept.whole(done, state))
    if done:
        load_training_state(trained, optimizer, state)
        kept.load(state)
    else:
        if first is not None:
            first()
        kept.put(0)
    metrics: Metrics = workspace.last_metrics()
    for number in range(done + 1, stage.length + 1):
        metrics = epoch(number)
        if not all(bool(weight.isfinite().all()) for weight in net.parameters()):
            raise Diverged(f"the weights became infinite or no numbers in epoch {number}")
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise Diverged(f"the {name} became {value} in epoch {number}")
        if workspace.monitor is not None and (number % max(1, stage.length // 20) == 0 or number == stage.length):
            metrics |= workspace.monitor(Model(stage, workspace.so_far(), partial(copy.deepcopy, net), final=False))
        kept.put(number)
        workspace.save(number, metrics, training_state(trained, optimizer) | kept.state())
        yield metrics
    kept.keep()
    return metrics


def _fits(shapes: dict[str, torch.Size], state: dict[str, Tensor]) -> bool:
    return all(name in state and state[name].shape == shape for name, shape in shapes.items())
