"""A network trained on images, epoch by epoch: of a frozen one the top alone, where its inputs change."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from contrast.attacks.attack import Attack
from contrast.augmentations.views import Views
from contrast.batches.passes import Passes
from contrast.data.dataset import Images
from contrast.distributed import Processes
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy
from contrast.finetuning.on_features import fit, kept, truth
from contrast.finetuning.record import LogProbRecord
from contrast.forward import Forward
from contrast.loop import Place, train_epoch
from contrast.losses.cross_entropy import CrossEntropy
from contrast.losses.loss import full_precision
from contrast.model import Net
from contrast.optim.rates import set_aside
from contrast.penalties.penalty import Penalty
from contrast.stage import Metrics, Workspace, extract
from contrast.training import train

if TYPE_CHECKING:
    from contrast.finetune import Finetune


ATTACKED = 1 << 52  # added to the id of an image for the copy that is attacked, so that it has draws of its own


class NetCourse(nn.Module):
    """A network in tuning, what a method has beside it, and what it said in every epoch."""

    def __init__(self, tuned: Tuned, record: LogProbRecord) -> None:
        super().__init__()
        self.tuned = tuned
        self.record = record

    def whole(self, done: int, state: dict[str, Tensor]) -> bool:
        """Whether all that belongs to a saved state is there."""
        return self.record.whole(state, "net.record", done)


@dataclass(frozen=True)
class TuningStep:
    """One step: views of a batch, attacked if they are to be, and the loss of `method`, or cross-entropy with a `penalty`.

    With `micro_batch` it is the mean over parts of so many images, each by itself; a single image that is left joins the part before.

    `passes` of `count` images in batches of `batch_size` say in which pass over the data a step is, which names its draws.
    """

    method: TuningMethod | None
    views: Views
    penalty: Penalty | None
    attack: Attack | None
    passes: Passes
    count: int
    batch_size: int
    micro_batch: int | None
    precision: torch.dtype
    device: torch.device
    processes: Processes = Processes()

    def rows(self, count: int) -> np.ndarray:
        """All."""
        return np.arange(count)

    def __call__(self, net: nn.Module, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The loss of one batch and its penalty; see `TrainingStep`. `net` is a `Tuned`."""
        assert isinstance(net, Tuned)
        ends = list(range(self.micro_batch, len(ids) - 1, self.micro_batch)) if self.micro_batch is not None else []
        parts = zip(pixels.tensor_split(ends), labels.tensor_split(ends), np.split(ids, ends), strict=True)
        told = [(len(part[2]) / len(ids), self._part(net, self.batch(*part, at))) for part in parts]
        return sum_of(share * loss for share, (loss, _) in told), sum_of(share * penalty for share, (_, penalty) in told)

    def _part(self, net: Tuned, batch: Batch) -> tuple[Tensor, Tensor]:
        batch = self._attacked(net, batch)
        if self.penalty is not None:
            batch.views.requires_grad_(True)
        if self.method is not None:
            with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
                loss = self.method(net, batch)
            return loss, loss.new_zeros(())
        forward = Forward(net.net, len(batch.labels), self.processes, self.precision)
        logits = forward.first(batch.views)
        if self.penalty is None:
            loss = cross_entropy(full_precision(logits)[:, 0], batch.labels)
            return loss, loss.new_zeros(())
        loss = CrossEntropy()(logits, batch.labels)
        return loss, self.penalty(forward, batch.views, logits, batch.labels, CrossEntropy())

    def batch(self, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place) -> Batch:
        """The views of uint8 `pixels` as they are drawn at this place."""
        drawn = self.passes.number(self.count, self.batch_size, at.epoch, at.step)
        return Batch(self.views(pixels.float() / 255, ids, at.seed, drawn), labels, ids, at.seed, drawn)

    def _attacked(self, tuned: Tuned, batch: Batch) -> Batch:
        if self.attack is None:
            return batch
        views = self.attack(tuned.net, batch.first, batch.labels, batch.ids, batch.seed, batch.epoch)[:, None]
        if not self.attack.clean:
            return Batch(views, batch.labels, batch.ids, batch.seed, batch.epoch)
        labels, ids = torch.cat([batch.labels, batch.labels]), np.concatenate([batch.ids, batch.ids + ATTACKED])
        return Batch(torch.cat([batch.views, views]), labels, ids, batch.seed, batch.epoch)


def sum_of(numbers: Iterable[Tensor]) -> Tensor:
    """Their sum; of one number it is that number, to the last bit."""
    first, *others = numbers
    return sum(others, first)


def tune_net(stage: "Finetune", workspace: Workspace, net: Net, images: Images) -> Generator[Metrics, None, Metrics]:
    """Yield the metrics of each epoch, leave the weights and the arrays of `Finetune`, return loss and accuracy."""
    images = images._replace(labels=truth(images))
    labels = torch.from_numpy(images.labels).to(workspace.device)
    net = net.to(memory_format=torch.channels_last)
    width = extract(net, images.pixels[:2], workspace.device).shape[1]
    course = _course(stage, workspace, net, width)
    step = _step(stage, workspace, len(labels))
    optimizer = _optimizer(stage, course)
    fixed = extract(net, images.pixels, workspace.device) if stage.frozen else None

    def judged(number: int) -> Metrics:
        features = extract(net, images.pixels, workspace.device) if fixed is None else fixed
        with torch.inference_mode():
            logits = full_precision(net.top.eval()(features.to(workspace.device)))
            course.record.put(number, logits)
        return fit(logits, labels)

    def first() -> None:
        if stage.method is not None:
            stage.method.prepare(course.tuned, partial(_batches, stage, step, images))
        judged(0)

    def epoch(number: int) -> Metrics:
        if stage.method is not None:
            head = partial(stage.fresh_head, width, workspace.device)
            stage.method.begin(course.tuned, head, stage.seed, number, stage.epochs)
            if (own := stage.method.head_lr(stage.optimizer.lr, number, stage.epochs)) is not None:
                set_aside(optimizer, net.top.parameters(), {"own": own})
        lr = partial(stage.schedule.within, stage.optimizer.lr, number, stage.epochs)
        batching, size = stage.passes, stage.batch_size
        told = train_epoch(course.tuned, images, step, optimizer, batch_size=size, lr=lr, seed=stage.seed, epoch=number, batching=batching)
        found = judged(number)
        return found | {"objective" if name == "loss" else name: value for name, value in told.items()}

    last = yield from train(stage, workspace, course, net, optimizer, epoch, first, course.whole)
    workspace.keep_weights((net.top if stage.frozen else net).state_dict())
    workspace.keep_arrays(**kept(course.record.arrays(), images))
    return {name: last[name] for name in ("loss", "accuracy")}


def _course(stage: "Finetune", workspace: Workspace, net: Net, width: int) -> NetCourse:
    beside, classes = nn.Module(), stage.data.num_classes
    if stage.method is not None:
        beside = stage.method.beside(net, width, classes, stage.seed)
    tuned = Tuned(net, beside, stage.frozen)
    return NetCourse(tuned, LogProbRecord(workspace.folder, stage.epochs)).to(workspace.device)


def _optimizer(stage: "Finetune", course: NetCourse) -> torch.optim.Optimizer:
    """Of what learns, the encoder at its own rate."""
    net = course.tuned.net
    optimizer = stage.optimizer.build(net.top if stage.frozen else course.tuned)
    if stage.encoder_rate is not None:
        set_aside(optimizer, net.encoder.parameters(), {"share": stage.encoder_rate})
    return optimizer


def _step(stage: "Finetune", workspace: Workspace, count: int) -> TuningStep:
    precision = torch.bfloat16 if stage.precision == "bf16" else torch.float32
    return TuningStep(
        stage.method,
        stage.seen_as,
        stage.penalty,
        stage.attack,
        stage.passes,
        count,
        stage.batch_size,
        stage.micro_batch,
        precision,
        workspace.device,
        workspace.processes,
    )


def _batches(stage: "Finetune", step: TuningStep, images: Images) -> Iterator[Batch]:
    """The batches of the first epoch."""
    for i, rows in enumerate(stage.passes(images.labels, images.ids, stage.batch_size, stage.seed, 1)):
        pixels = torch.from_numpy(images.seen(rows, 1)).to(step.device)
        labels = torch.from_numpy(images.labels[rows]).to(step.device)
        yield step.batch(pixels, labels, images.ids[rows], Place(stage.seed, 1, i))
