"""Fine-tuning for semantic segmentation: DeepLab-V3 on a pretrained encoder, trained end to end (PROTOCOL 7.5)."""

import copy
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from contrast import random
from contrast.augmentations.draws import Draws
from contrast.component import require, walk
from contrast.data.dataset import Dataset
from contrast.data.segmented import IGNORED, Scenes, SegmentedImages
from contrast.encoders.encoder import Encoder
from contrast.finetuning.core_tuning import CoreTuning
from contrast.finetuning.method import Tuned
from contrast.loop import in_order
from contrast.model import Artefact, Model, Net
from contrast.optim.cosine_steps import CosineSteps
from contrast.optim.optimizer import Optimizer
from contrast.optim.rates import set_rate
from contrast.optim.schedule import Schedule
from contrast.optim.sgd import SGD
from contrast.pretrained import require_channels
from contrast.segmentation.deep_lab import WIDTH, SegmentationNet, deep_lab_head
from contrast.segmentation.dilation import dilate_, reachable, strides_of
from contrast.segmentation.pixel_samples import pixel_samples, rows_of_map
from contrast.segmentation.scale_crop import ScaleCrop
from contrast.stage import Diverged, Metrics, Stage, Workspace
from contrast.training import train

_MOST_RATE = 4096


@dataclass(frozen=True)
class Segment(Stage):
    """Train DeepLab-V3 on the encoder of `of`, which has stages, to tell the class of every pixel of `data`.

    The loss is the mean cross-entropy of the pixels that have a class; logits are bilinear between the places of the map.
    `output_stride`: how many pixels a side a place of the encoder's last map stands for. Below the encoder's own, which None
    keeps (32 of a ResNet with the ImageNet stem, 8 with the CIFAR stem), the strides of its last stages become dilations.
    `rates`: the dilations in the head; 12, 24, 36 are usual at stride 8 and half of them at 16. `crop` is what is done to the
    images, None nothing. `method`: Core-tuning on up to 64 places of each class and batch, of the map that the last layer
    classifies; a place has the class of the pixel in its middle, and the cross-entropy of the images in it is that of all their
    pixels. None is cross-entropy alone. The batch has 2 images or more. The optimiser is that of PROTOCOL 7.1, the schedule its
    cosine to 0, step by step. `normalization`: None is the task's, "encoder" the one that the encoder was trained in, as in `Finetune`.
    Results: `loss`, the cross-entropy, mean over the steps of the last epoch.
    """

    of: Stage
    data: SegmentedImages
    seed: int
    epochs: int = 100
    batch_size: int = 16
    output_stride: int | None = None
    rates: tuple[int, ...] = (12, 24, 36)
    crop: ScaleCrop | None = None
    optimizer: Optimizer = SGD(lr=0.01, weight_decay=1e-4, nesterov=True)
    schedule: Schedule = CosineSteps(warmup=0)
    method: CoreTuning | None = None
    normalization: Literal["encoder"] | None = None

    def __post_init__(self) -> None:
        require(isinstance(self.of, Stage), self, "of", "must be the stage that trained the encoder", "Pass a Pretrain or an Untrained.")
        encoder = _encoder(self.of)
        staged = encoder is not None and encoder.stages > 0
        require(staged, self, "of", "must train an encoder with stages, whose last map is segmented", "Use a ResNet or a SmallResNet.")
        require(self.epochs >= 1, self, "epochs", "must be at least 1", "Use 100, as the protocol does.")
        least = self.schedule.fewest_epochs
        require(self.epochs >= least, self, "schedule", f"takes {least} epochs or more, not {self.epochs}", "Train longer or shorten it.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        require(self.batch_size >= 2, self, "batch_size", "must be at least 2", "Batch normalisation needs a second image.")
        rates = len(self.rates) > 0 and all(1 <= rate <= _MOST_RATE for rate in self.rates)
        require(rates, self, "rates", f"must be dilations from 1 to {_MOST_RATE}, one or more", "Use (12, 24, 36).")

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs

    def check(self, size: Callable[[Dataset], int]) -> None:
        """A batch must not be larger than the data, colour must be what the encoder knows, and dilation must have an effect."""
        available = size(self.data)
        rule = f"is larger than the data ({available} images)"
        require(self.batch_size <= available, self, "batch_size", rule, "Lower batch_size or use more images.")
        require_channels(self)
        encoder = _encoder(self.of)
        if self.output_stride is not None and encoder is not None:
            found = strides_of(encoder, 3)
            possible = ", ".join(map(str, reachable(found)))
            rule = f"must be {f'one of {possible}' if possible else 'None'}, below the encoder's own stride and not inside its stem"
            require(self.output_stride in reachable(found), self, "output_stride", rule, "Use None for the encoder's own.")
        if self.method is not None:
            self.method.check(self.batch_size, self.epochs, self.data.pixel_classes)

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss and learning rate of each epoch, and with a method the objective, which is what is minimised."""
        scenes, net = self.data.scenes(workspace.data), self._net(workspace)
        tuned = Tuned(net, self._beside(net), frozen=False).to(workspace.device)
        optimizer = self.optimizer.build(tuned)
        metrics = yield from train(self, workspace, tuned, net, optimizer, partial(_epoch, self, tuned, scenes, optimizer))
        workspace.keep_weights(net.state_dict())
        return {"loss": metrics["loss"]}

    def model(self, workspace: Workspace) -> Model:
        """The trained network: `net(x)` gives the logits of every pixel."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(self._trained, workspace, artefact))

    def _beside(self, net: Net) -> nn.Module:
        """What the method trains beside `net`."""
        return nn.Module() if self.method is None else self.method.beside(net, WIDTH, self.data.pixel_classes, self.seed)

    def _trained(self, workspace: Workspace, artefact: Artefact) -> SegmentationNet:
        net = self._net(workspace)
        net.load_state_dict(artefact.weights())
        return net

    def _net(self, workspace: Workspace) -> SegmentationNet:
        """The pretrained encoder, dilated, under a freshly initialised head."""
        source = workspace.model(self.of).net
        encoder = copy.deepcopy(source.encoder).requires_grad_(True)
        if self.output_stride is not None:
            dilate_(encoder, self.output_stride, 3)
        with torch.no_grad():
            width = encoder.eval()(torch.zeros(1, *self.data.shape, device=workspace.device)).shape[1]
        head = deep_lab_head(width, self.data.pixel_classes, self.rates, random.generator(self.seed, "segmentation head"))
        mean, std = source.constants if self.normalization == "encoder" else (self.data.mean, self.data.std)
        net = SegmentationNet(mean, std, encoder, head)
        return net.to(workspace.device).to(memory_format=torch.channels_last)


def _encoder(of: Stage) -> Encoder | None:
    """That of the stage itself, or of the nearest one that it was made from."""
    return next((part for part in walk(of) if isinstance(part, Encoder)), None)


def pixel_cross_entropy(logits: Float[Tensor, "n k h w"], masks: UInt8[Tensor, "n h w"]) -> Float[Tensor, ""]:
    """The mean over the pixels that have a class, in nats; 0 where none has."""
    total = functional.cross_entropy(logits, masks.long(), ignore_index=IGNORED, reduction="sum")
    return total / (masks != IGNORED).sum().clamp(min=1)


def _epoch(stage: Segment, tuned: Tuned, scenes: Scenes, optimizer: torch.optim.Optimizer, epoch: int) -> Metrics:
    """One epoch in an order drawn for (seed, epoch). Raises `Diverged` at the first non-finite loss."""
    tuned.train()
    batches, told, device = in_order(scenes.ids, stage.batch_size, stage.seed, epoch), [], tuned.net.mean.device
    for i, rows in enumerate(batches):
        lr = stage.schedule.within(stage.optimizer.lr, epoch, stage.epochs, i, len(batches))
        set_rate(optimizer, lr)
        pixels = torch.from_numpy(scenes.pixels[rows]).to(device, non_blocking=True).float() / 255
        masks = torch.from_numpy(scenes.masks[rows]).to(device, non_blocking=True)
        if stage.crop is not None:
            pixels, masks = stage.crop(pixels, masks, tuned.net.mean, scenes.ids[rows], stage.seed, epoch)
        with _dropping(random.key(stage.seed, "dropout", epoch, i), device):
            loss, objective = losses(stage.method, tuned, pixels, masks, Draws(stage.seed, scenes.ids[rows], epoch, 1))
        told.append((loss.item(), objective.item()))
        if not math.isfinite(told[-1][1]):
            raise Diverged(f"the segmentation loss became {told[-1][1]} in epoch {epoch}")
        optimizer.zero_grad(set_to_none=True)
        objective.backward()
        optimizer.step()
    means = dict(zip(("loss", "objective"), np.mean(told, axis=0).tolist(), strict=True))
    return (means if stage.method is not None else {"loss": means["loss"]}) | {"lr": lr}


def losses(
    method: CoreTuning | None, tuned: Tuned, pixels: Float[Tensor, "n 3 h w"], masks: UInt8[Tensor, "n h w"], draws: Draws
) -> tuple[Tensor, Tensor]:
    """The cross-entropy of the pixels, and what is minimised: the same without a method, or where no place of the map has a class."""
    net = tuned.net
    assert isinstance(net, SegmentationNet)
    features = net.pixel_features(pixels.contiguous(memory_format=torch.channels_last))
    own = features.detach() if method is not None and method.detached else features
    loss = pixel_cross_entropy(net.logits(own, (masks.shape[1], masks.shape[2])), masks)
    if method is None:
        return loss, loss
    samples = pixel_samples(masks, (features.shape[2], features.shape[3]), draws)
    if len(samples.rows) == 0:
        return loss, loss
    chosen, labels = rows_of_map(features, samples.rows), torch.from_numpy(samples.labels).to(features.device)
    return loss, method.of_features(chosen, labels, samples.draws, net.classify, tuned.beside, images=loss)


@contextmanager
def _dropping(key: int, device: torch.device) -> Iterator[None]:
    """What the head's dropout draws is a function of `key`, and no other generator moves."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(key & (2**63 - 1))
        yield
