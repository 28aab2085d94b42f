"""Fine-tuning for semantic segmentation: DeepLab-V3 on a pretrained encoder, trained end to end (PROTOCOL 7.5)."""

import copy
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from contrast import random
from contrast.component import require, walk
from contrast.data.dataset import Dataset
from contrast.data.segmented import IGNORED, Scenes, SegmentedImages
from contrast.encoders.encoder import Encoder
from contrast.loop import in_order, set_rate
from contrast.model import Artefact, Model
from contrast.optim.cosine_steps import CosineSteps
from contrast.optim.optimizer import Optimizer
from contrast.optim.schedule import Schedule
from contrast.optim.sgd import SGD
from contrast.segmentation.deep_lab import SegmentationNet, deep_lab_head
from contrast.segmentation.dilation import dilate_, reachable, strides_of
from contrast.segmentation.scale_crop import ScaleCrop
from contrast.stage import Diverged, Metrics, Stage, Workspace
from contrast.training import train

_MOST_RATE = 4096


@dataclass(frozen=True)
class Segment(Stage):
    """Train DeepLab-V3 on the encoder of `of`, which has stages, to tell the class of every pixel of `data`, in the task's normalisation.

    The loss is the mean cross-entropy of the pixels that have a class; logits are bilinear between the places of the map.
    `output_stride`: how many pixels a side a place of the encoder's last map stands for. Below the encoder's own, which None
    keeps (32 of a ResNet with the ImageNet stem, 8 with the CIFAR stem), the strides of its last stages become dilations.
    `rates`: the dilations in the head; 12, 24, 36 are usual at stride 8 and half of them at 16. `crop` is what is done to the
    images, None nothing. The batch has 2 images or more. The optimiser is that of PROTOCOL 7.1, the schedule its cosine to 0,
    step by step.
    Results: `loss`, mean over the steps of the last epoch.
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
        channels = next((part.shape[0] for part in walk(self.of) if isinstance(part, Dataset)), 3)
        require(channels == 3, self, "of", f"trained on images of {channels} channels, and those of the data have 3", "Pretrain on colour.")
        encoder = _encoder(self.of)
        if self.output_stride is not None and encoder is not None:
            found = strides_of(encoder, 3)
            rule = f"must be one of the strides before the encoder's last ({', '.join(map(str, np.cumprod(found)))})"
            require(reachable(found, self.output_stride), self, "output_stride", rule, "Use None for the encoder's own.")

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss and learning rate of each epoch."""
        scenes = self.data.scenes(workspace.data)
        net = self._net(workspace)
        optimizer = self.optimizer.build(net)
        metrics = yield from train(self, workspace, net, net, optimizer, partial(_epoch, self, net, scenes, optimizer, workspace.device))
        workspace.keep_weights(net.state_dict())
        return {"loss": metrics["loss"]}

    def model(self, workspace: Workspace) -> Model:
        """The trained network: `net(x)` gives the logits of every pixel."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(self._trained, workspace, artefact))

    def _trained(self, workspace: Workspace, artefact: Artefact) -> SegmentationNet:
        net = self._net(workspace)
        net.load_state_dict(artefact.weights())
        return net

    def _net(self, workspace: Workspace) -> SegmentationNet:
        """The pretrained encoder, dilated, under a freshly initialised head."""
        encoder = copy.deepcopy(workspace.model(self.of).net.encoder).requires_grad_(True)
        if self.output_stride is not None:
            dilate_(encoder, self.output_stride, 3)
        with torch.no_grad():
            width = encoder.eval()(torch.zeros(1, *self.data.shape, device=workspace.device)).shape[1]
        head = deep_lab_head(width, self.data.pixel_classes, self.rates, random.generator(self.seed, "segmentation head"))
        net = SegmentationNet(self.data.mean, self.data.std, encoder, head)
        return net.to(workspace.device).to(memory_format=torch.channels_last)


def _encoder(of: Stage) -> Encoder | None:
    """That of the stage itself, or of the nearest one that it was made from."""
    return next((part for part in walk(of) if isinstance(part, Encoder)), None)


def pixel_cross_entropy(logits: Float[Tensor, "n k h w"], masks: UInt8[Tensor, "n h w"]) -> Float[Tensor, ""]:
    """The mean over the pixels that have a class, in nats; 0 where none has."""
    total = functional.cross_entropy(logits, masks.long(), ignore_index=IGNORED, reduction="sum")
    return total / (masks != IGNORED).sum().clamp(min=1)


def _epoch(
    stage: Segment, net: SegmentationNet, scenes: Scenes, optimizer: torch.optim.Optimizer, device: torch.device, epoch: int
) -> Metrics:
    """One epoch in an order drawn for (seed, epoch). Raises `Diverged` at the first non-finite loss."""
    net.train()
    batches, losses = in_order(scenes.ids, stage.batch_size, stage.seed, epoch), []
    for i, rows in enumerate(batches):
        lr = stage.schedule.within(stage.optimizer.lr, epoch, stage.epochs, i, len(batches))
        set_rate(optimizer, lr)
        pixels = torch.from_numpy(scenes.pixels[rows]).to(device, non_blocking=True).float() / 255
        masks = torch.from_numpy(scenes.masks[rows]).to(device, non_blocking=True)
        if stage.crop is not None:
            pixels, masks = stage.crop(pixels, masks, net.mean, scenes.ids[rows], stage.seed, epoch)
        with _dropping(random.key(stage.seed, "dropout", epoch, i), device):
            logits = net(pixels.contiguous(memory_format=torch.channels_last))
        loss = pixel_cross_entropy(logits, masks)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise Diverged(f"the segmentation loss became {losses[-1]} in epoch {epoch}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return {"loss": float(np.mean(losses)), "lr": lr}


@contextmanager
def _dropping(key: int, device: torch.device) -> Iterator[None]:
    """What the head's dropout draws is a function of `key`, and no other generator moves."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(key & (2**63 - 1))
        yield
