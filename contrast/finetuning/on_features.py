"""A head trained on features that are computed once: all that a frozen encoder needs where nothing changes its inputs."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from contrast.data.dataset import Images
from contrast.distributed import Processes
from contrast.finetuning.method import cross_entropy
from contrast.finetuning.record import HeadRecord, LogProbRecord
from contrast.loop import Place, train_epoch
from contrast.model import Net
from contrast.stage import Metrics, Workspace, extract
from contrast.training import train

if TYPE_CHECKING:
    from contrast.finetune import Finetune


class Course(nn.Module):
    """A head in training, and what it was in every epoch."""

    def __init__(self, head: nn.Module, epochs: int, count: int, classes: int) -> None:
        super().__init__()
        self.head = head
        self.record = HeadRecord(head, epochs) if isinstance(head, nn.Linear) else LogProbRecord(epochs, count, classes)


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
    labels = torch.from_numpy(np.array(images.labels)).to(workspace.device)
    head, seen = net.top, images._replace(pixels=features.numpy(), redrawn=None)
    course = Course(head, stage.epochs, len(labels), stage.data.num_classes).to(workspace.device)
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

    last = yield from train(stage, workspace, course, net, optimizer, epoch, partial(judged, 0))
    workspace.keep_weights(head.state_dict())
    arrays = course.record.arrays(features) if isinstance(course.record, HeadRecord) else course.record.arrays()
    workspace.keep_arrays(**arrays, labels=images.labels, ids=images.ids)
    return {name: last[name] for name in ("loss", "accuracy")}


def fit(logits: Tensor, labels: Tensor) -> Metrics:
    """Mean cross-entropy in nats, and accuracy in percent."""
    accuracy = (logits.argmax(-1) == labels).float().mean().item() * 100
    return {"loss": cross_entropy(logits, labels).item(), "accuracy": accuracy}
