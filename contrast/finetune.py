"""Fine-tuning: a classifier on a pretrained encoder, frozen or tuned with it, its whole trajectory kept.

A frozen encoder whose inputs do not change (PROTOCOL 4.1) sees every image once: features are computed at the start, and each
epoch is a few small matrix products. Otherwise every step goes through the network. The log-probabilities of every epoch on the
task's data are kept, so that progress, InPCA and any later measure of the trajectory read them without training again.
"""

import copy
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from contrast import random
from contrast.attacks.attack import Attack
from contrast.augmentations.plain import Plain
from contrast.augmentations.views import Views
from contrast.batches.passes import Passes
from contrast.component import require, walk
from contrast.data.dataset import Dataset
from contrast.data.segmented import SegmentedImages
from contrast.encoders.encoder import Encoder
from contrast.finetuning.method import TuningMethod
from contrast.finetuning.on_features import tune_head
from contrast.finetuning.on_images import tune_net
from contrast.heads.classifier import Classifier
from contrast.heads.head import Head
from contrast.losses.cross_entropy import CrossEntropy
from contrast.model import Artefact, Model, Net
from contrast.optim.cosine import Cosine
from contrast.optim.optimizer import Optimizer, decays
from contrast.optim.schedule import Schedule
from contrast.optim.sgd import SGD
from contrast.penalties.penalty import Penalty
from contrast.pretrained import require_channels
from contrast.stage import Metrics, Stage, Workspace
from contrast.training import view_size


@dataclass(frozen=True)
class Finetune(Stage):
    """Train a classifier on the encoder of `of` for the task `data`; the defaults are PROTOCOL 4.1.

    `frozen`: the encoder stays as it is, in eval mode, and only the classifier learns. Else all weights learn, the encoder's at
    `encoder_rate` (above 0, at most 1; None is 1) times the rate. `head` (None: a linear one) is the classifier, `views` (None: the
    images as they are) what it is trained on, `method` (None: cross-entropy) what is minimised, `penalty` a gradient penalty of the
    cross-entropy, `attack` what every batch is changed by in adversarial training. An epoch is one pass over `data`, or `steps`
    steps (at least 1), whatever there is of it, as label fractions need it. `micro_batch` (at least 2; None: the whole) parts a batch:
    batch normalisation, and a method, which contrasts and mines, see so many images at once, and gradients are those of the mean.
    `precision`: None is float32. `normalization`: None is the task's, "encoder" the one that the encoder was trained in, which matters
    where they are far apart: SimCLR's own weights (`SimCLRKeys`) know pixels from 0 to 1.

    Images that show several classes (`VOC2007`) are learnt class by class, with binary cross-entropy; then there are no `log_probs`.

    Results: `loss` and `accuracy` (percent) on `data` after the last epoch. Arrays: `log_probs` float32 [E+1, N, C] of
    epochs 0..E in id order, `labels` and `ids` [N], and of a linear head on a frozen encoder without views, penalty and attack
    `head_weight` [E+1, C, d] and `head_bias` [E+1, C].
    """

    of: Stage
    data: Dataset
    seed: int
    epochs: int = 30
    frozen: bool = True
    batch_size: int = 256
    optimizer: Optimizer = SGD(lr=0.1, weight_decay=0.0)
    schedule: Schedule = Cosine(rate=0.2)
    head: Head | None = None
    views: Views | None = None
    method: TuningMethod | None = None
    penalty: Penalty | None = None
    attack: Attack | None = None
    encoder_rate: float | None = None
    steps: int | None = None
    micro_batch: int | None = None
    precision: Literal["bf16"] | None = None
    normalization: Literal["encoder"] | None = None

    def __post_init__(self) -> None:
        leaves = isinstance(self.of, Stage) and type(self.of).model is not Stage.model
        require(leaves, self, "of", "must be the stage that trained the encoder", "Pass a Pretrain or an Untrained.")
        require(self.epochs >= 1, self, "epochs", "must be at least 1", "Use 30, as the protocol does.")
        least = self.schedule.fewest_epochs
        require(self.epochs >= least, self, "schedule", f"takes {least} epochs or more, not {self.epochs}", "Train longer or shorten it.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        several = self.data.num_classes >= 2 and not isinstance(self.data, SegmentedImages)
        require(several, self, "data", "must have images of two classes or more", "Name more classes, or use Segment for masks.")
        if self.data.multi_label:
            one_by_one = (self.method is None or self.method.takes_targets) and self.penalty is None and self.attack is None
            cure = "Use method=None, L2SP(), DELTA(), BSS() or RIFLE() without penalty and attack, or other data."
            require(one_by_one, self, "data", "must show one class an image for what is minimised", cure)
        classifies = self.head is None or self.head.classifies
        require(classifies, self, "head", "gives no logits of the classes", "Use Classifier() or MLPClassifier().")
        fewest = 1 if self.frozen else 2
        require(self.batch_size >= fewest, self, "batch_size", f"must be at least {fewest}", "Use 256, as the protocol does.")
        require(self.steps is None or self.steps >= 1, self, "steps", "must be at least 1", "None is one pass over the data an epoch.")
        parted = self.micro_batch is None or self.micro_batch >= 2
        require(parted, self, "micro_batch", "must be at least 2", "Use 64 of 256, as Core-tuning does; None is the whole batch.")
        if self.micro_batch is not None and self.micro_batch >= self.batch_size:
            object.__setattr__(self, "micro_batch", None)
        _require_regime(self)
        if self.method is not None:
            self.method.check(self.seen_together, self.epochs, self.data.num_classes)
            fits = self.method.decays or not decays(self.optimizer)
            rule = f"has weight decay beside {type(self.method).__name__}, which stands in its place"
            require(fits, self, "optimizer", rule, "Set weight_decay=0.0.")
            self.method.check_parts(_encoder_of(self.of), self.head or Classifier())
        _require_views(self)
        if self.penalty is not None:
            fits = self.method is None and self.penalty.accepts(CrossEntropy())
            require(fits, self, "penalty", "goes with cross-entropy alone", "Use InputGradient(0.1) with method=None.")
            if self.penalty.weight == 0:
                object.__setattr__(self, "penalty", None)
        if self.views == Plain() and not self.frozen:
            object.__setattr__(self, "views", None)
        for field, usual in (("head", Classifier()), ("encoder_rate", 1.0)):
            if getattr(self, field) == usual:
                object.__setattr__(self, field, None)

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs

    @property
    def on_features(self) -> bool:
        """Whether it learns on features that are computed once: those of a frozen encoder whose inputs nothing changes."""
        return self.frozen and self.views is None and self.penalty is None and self.attack is None

    @property
    def keeps_heads(self) -> bool:
        """Whether the classifier of every epoch is kept."""
        return self.on_features and (self.head is None or isinstance(self.head, Classifier))

    @property
    def seen_as(self) -> Views:
        """`views`, or the images as they are."""
        return self.views or Plain()

    @property
    def seen_together(self) -> int:
        """Images that a method sees at once."""
        return self.micro_batch or self.batch_size

    @property
    def passes(self) -> Passes:
        """The batches of its epochs. A last batch of one image, of which batch normalisation makes nothing, is left out unless frozen."""
        return Passes(self.steps, single=True if self.frozen else None)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The task must have data, with as many channels as the encoder knows, and the views must take its images."""
        require_channels(self)
        require(size(self.data) >= self.data.num_classes, self, "data", "has fewer images than classes", "Use more images a class.")
        if self.method is not None:
            self.method.check(min(self.seen_together, size(self.data)), self.epochs, self.data.num_classes)
        if not self.frozen:
            require(size(self.data) >= 2, self, "data", "has fewer than 2 images", "Use more images.")
        if self.views is not None:
            made, judged = view_size(self.views, self.data), self.data.shape
            rule = "makes images of {1} x {2} pixels, and the network is judged by those of the data, {4} x {5}".format(*made, *judged)
            cure = f"Use views that keep the size, or data of that size, such as Resized(of=CIFAR10(), side={made[1]})."
            require(made == judged, self, "views", rule, cure)

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss and accuracy on `data` of each epoch, the learning rate, and what was minimised where that is more."""
        images, net = workspace.images(self.data), self._net(workspace)
        return (yield from (tune_head if self.on_features else tune_net)(self, workspace, net, images))

    def model(self, workspace: Workspace) -> Model:
        """The encoder with the trained classifier: `net(x)` gives logits of the task's classes."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(self._trained, workspace, artefact))

    def fresh_head(self, width: int, device: torch.device, generator: torch.Generator) -> nn.Module:
        """A classifier of features of `width`, drawn from `generator`."""
        return (self.head or Classifier()).build(width, self.data.num_classes, generator).to(device)

    def _trained(self, workspace: Workspace, artefact: Artefact) -> Net:
        net = self._net(workspace)
        (net.top if self.frozen else net).load_state_dict(artefact.weights())
        return net.to(workspace.device).to(memory_format=torch.channels_last)

    def _net(self, workspace: Workspace) -> Net:
        """The encoder, normalised, under a freshly initialised classifier; a copy of it where it is to be tuned."""
        source = workspace.model(self.of).net
        encoder = source.encoder if self.frozen else copy.deepcopy(source.encoder).requires_grad_(True)
        mean, std = source.constants if self.normalization == "encoder" else (self.data.mean, self.data.std)
        net = Net(mean, std, encoder, nn.Identity()).to(workspace.device).eval()
        net.top = self.fresh_head(width_of(net, self.data), workspace.device, random.generator(self.seed, "classifier"))
        return net.eval()


def width_of(net: Net, data: Dataset) -> int:
    """The width of the features of an image of `data`; `net` is in eval mode."""
    with torch.no_grad():
        return net.features(torch.zeros(2, *data.shape, device=net.mean.device)).shape[1]


def _encoder_of(stage: Stage) -> Encoder | None:
    """The encoder that `stage`, or the one it goes back to, trained; None where it names none."""
    return next((part for part in walk(stage) if isinstance(part, Encoder)), None)


def _require_regime(stage: Finetune) -> None:
    """What only a tuned encoder has a use for is refused for a frozen one."""
    if stage.frozen:
        cure = "Set frozen=False, or leave it out."
        require(stage.method is None, stage, "method", "tunes the encoder, and frozen=True keeps it", cure)
        require(stage.encoder_rate is None, stage, "encoder_rate", "has no effect on a frozen encoder", cure)
    for field in ("precision", "micro_batch"):
        acts = getattr(stage, field) is None or not stage.on_features
        require(acts, stage, field, "has no effect on features that are computed once", "Leave it out, or set frozen=False.")
    rate = stage.encoder_rate is None or 0 < stage.encoder_rate <= 1
    require(rate, stage, "encoder_rate", "must be above 0 and at most 1", "0.1 is usual; frozen=True is 0.")


def _require_views(stage: Finetune) -> None:
    """One view, or as many as the method compares; an attack changes the only one."""
    wanted = 1 if stage.method is None else stage.method.views
    rule = f"makes {stage.seen_as.count} views, and {wanted} of an image are compared"
    require(stage.seen_as.count == wanted, stage, "views", rule, "Use CropFlip() for one view, CropViews() for two.")
    if stage.attack is not None:
        require(wanted == 1, stage, "attack", f"goes with one view, and {type(stage.method).__name__} takes {wanted}", "Leave out one.")
