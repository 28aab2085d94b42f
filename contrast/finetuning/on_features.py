"""A head trained on features that are computed once: all that a frozen encoder needs where nothing changes its inputs."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from contrast.data.dataset import IGNORED, Images
from contrast.distributed import Processes
from contrast.finetuning.method import cross_entropy
from contrast.finetuning.record import HeadRecord, LogProbRecord
from contrast.loop import Place, train_epoch
from contrast.model import Net
from contrast.stage import Metrics, Workspace, extract
from contrast.training import train

if TYPE_CHECKING:
    from contrast.finetune import Finetune


class HeadCourse(nn.Module):
    """A head in training, and what it was in every epoch."""

    def __init__(self, head: nn.Module, epochs: int, folder: Path) -> None:
        super().__init__()
        self.head = head
        self.record = HeadRecord(head, epochs) if isinstance(head, nn.Linear) else LogProbRecord(folder, epochs)

    def whole(self, done: int, state: dict[str, Tensor]) -> bool:
        """Whether all that belongs to a saved state is there."""
        return isinstance(self.record, HeadRecord) or self.record.whole(state, "net.record", done)


@dataclass(frozen=True)
class FeatureStep:
    """Cross-entropy of a head on features, which stand in the place of pixels."""

    device: torch.device
    processes: Processes = Processes()
    penalty: None = None

    def rows(self, count: int) -> np.ndarray:
        """All."""
        return np.arange(count)

    def __call__(self, net: nn.Module, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The loss of one batch of features [N, d], and no penalty; see `TrainingStep`."""
        loss = cross_entropy(net(pixels), labels)
        return loss, loss.new_zeros(())


def tune_head(stage: "Finetune", workspace: Workspace, net: Net, images: Images) -> Generator[Metrics, None, Metrics]:
    """Yield the metrics of each epoch, leave the head's weights and the arrays of `Finetune`, return loss and accuracy."""
    features = extract(net, images.pixels, workspace.device)
    wanted = truth(images)
    labels = torch.from_numpy(wanted).to(workspace.device)
    head, seen = net.top, images._replace(pixels=features.numpy(), labels=wanted, redrawn=None)
    course = HeadCourse(head, stage.epochs, workspace.folder).to(workspace.device)
    on_device, step = features.to(workspace.device), FeatureStep(workspace.device)
    optimizer = stage.optimizer.build(head)

    def judged(number: int) -> Metrics:
        with torch.inference_mode():
            logits = head.eval()(on_device)
            if isinstance(course.record, LogProbRecord):
                course.record.put(number, logits)
        if isinstance(course.record, HeadRecord):
            assert isinstance(head, nn.Linear)
            course.record.put(number, head)
        return fit(logits, labels)

    def epoch(number: int) -> Metrics:
        lr = partial(stage.schedule.within, stage.optimizer.lr, number, stage.epochs)
        batching, size = stage.passes, stage.batch_size
        told = train_epoch(head, seen, step, optimizer, batch_size=size, lr=lr, seed=stage.seed, epoch=number, batching=batching)
        return judged(number) | {"lr": told["lr"]}

    last = yield from train(stage, workspace, course, net, optimizer, epoch, partial(judged, 0), course.whole)
    workspace.keep_weights(head.state_dict())
    arrays = course.record.arrays(features) if isinstance(course.record, HeadRecord) else course.record.arrays()
    workspace.keep_arrays(**kept(arrays, images))
    return {name: last[name] for name in ("loss", "accuracy")}


def fit(logits: Tensor, labels: Tensor) -> Metrics:
    """Mean cross-entropy in nats, and accuracy in percent: of images, or, of those that show several classes, of all classes judged."""
    several = labels.dtype == torch.uint8
    right = ((logits > 0) == (labels == 1))[labels != IGNORED] if several else logits.argmax(-1) == labels
    return {"loss": cross_entropy(logits, labels).item(), "accuracy": right.float().mean().item() * 100}


def truth(images: Images) -> np.ndarray:
    """What is learnt of each image: its class [N], or the targets [N, C] of images that show several."""
    return np.array(images.labels if images.targets is None else images.targets)


def kept(arrays: dict[str, np.ndarray], images: Images) -> dict[str, np.ndarray]:
    """The arrays of a fine-tuning; logits of several classes at once are no distribution, so they have no log-probabilities."""
    names = ("head_weight", "head_bias") if images.targets is not None else tuple(arrays)
    return {name: arrays[name] for name in names if name in arrays} | {"labels": truth(images), "ids": images.ids}
