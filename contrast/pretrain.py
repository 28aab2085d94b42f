"""Pretraining: an encoder and its head, trained on views of images under one loss.

SimCLR, SupCon and SupCE are the same stage with different values: `SimCLRViews` with `NTXent` or `SupCon` and an `MLPHead`,
or `CropFlip` with `CrossEntropy` and a `Classifier`. What is transferred is the encoder; the head stays with the stage.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar, Literal

import torch

from contrast import random
from contrast.augmentations.mix import Mix
from contrast.augmentations.views import Views
from contrast.batches.batches import Batches
from contrast.batches.class_pairs import ClassPairs
from contrast.chunks import Split
from contrast.compiling import compile_
from contrast.component import UserError, require
from contrast.data.dataset import Dataset
from contrast.distributed import Processes
from contrast.encoders.encoder import Encoder
from contrast.heads.head import Head
from contrast.heads.stage_heads import StageHeads
from contrast.loop import Step, train_epoch
from contrast.losses.layerwise import Layerwise
from contrast.losses.loss import Loss
from contrast.losses.n_pairs import NPairs
from contrast.model import Artefact, LayerwiseNet, Model, Net
from contrast.norms import does_more
from contrast.optim.cosine import Cosine
from contrast.optim.optimizer import Optimizer
from contrast.optim.schedule import Schedule
from contrast.penalties.gradient_penalty import GradientPenalty
from contrast.penalties.penalty import Penalty
from contrast.snapshots import snapshot_epochs
from contrast.stage import Metrics, Stage, Workspace
from contrast.training import require_a_batch, require_synchronised, require_training, train


@dataclass(frozen=True, kw_only=True)
class Pretrain(Stage):
    """Train `encoder` and `head` on `data` for `epochs` (PROTOCOL 3); `batch_size` counts images, each seen in all its views.

    `seed` decides initial weights, order and views; `batches` None takes the images in random order. A penalty of weight 0 is
    no penalty. `precision` is that of the network's forward and backward pass; losses are always computed in float32.
    `chunk` (images, 2 or more) has a batch embedded so many images at a time, with the loss and the gradient of the whole batch;
    memory for the backward pass is that of one chunk, at the price of a second forward pass. Batch normalisation takes its statistics
    over a chunk then, which is another training than without, and its running statistics once a chunk. None, or so many that the
    batch is one chunk, embeds it at once. `compiled` has `torch.compile` make the network's code, which takes a minute at the start
    and gives the same results to rounding; it takes no penalty, whose second derivative torch does not compile, and one process.
    `mix` (`MixUp`, `CutMix`) mixes each image, after its views are made, with the one before it in the batch, for a loss that takes
    shares of classes. `views` may make images of another size than those of `data`; monitors and measures read these as they are.
    `snapshots` (1 to `epochs`) keeps the encoder of so many epochs, evenly to the last, and the initial one, for `PretrainingProgress`.
    Results: `loss` of the last epoch, and what the loss reports of its constants (such as `lambda_eff`).
    """

    data: Dataset
    encoder: Encoder
    views: Views
    loss: Loss
    head: Head
    batch_size: int
    epochs: int
    seed: int
    optimizer: Optimizer
    schedule: Schedule = Cosine(rate=0.1)
    penalty: Penalty | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    batches: Batches | None = None
    chunk: int | None = None
    compiled: bool | None = None
    mix: Mix | None = None
    snapshots: int | None = None
    parallel: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_training(self)
        fewest, most = self.loss.fewest_views, self.loss.most_views
        fits = fewest <= self.views.count and (most is None or self.views.count <= most)
        wanted = f"{fewest}" if fewest == most else f"at least {fewest}"
        require(fits, self, "views", f"{type(self.loss).__name__} takes {wanted} views", "Use SimCLRViews() or CropViews().")
        classifies = self.head.classifies != self.loss.contrastive
        require(
            classifies,
            self,
            "head",
            f"does not fit {type(self.loss).__name__}",
            "CrossEntropy takes Classifier(), contrastive losses MLPHead().",
        )
        mixes = self.mix is None or self.loss.takes_shares
        require(mixes, self, "mix", f"does not fit {type(self.loss).__name__}", "Mixed images have shares of classes: use CrossEntropy().")
        _require_layers(self)
        _require_chunks(self)
        _require_no_labels(self)
        if not self.compiled:
            object.__setattr__(self, "compiled", None)
        if self.batches is not None:
            self.batches.check(self.batch_size, self.data.num_classes)
        paired = isinstance(self.batches, ClassPairs) or self.views.count == 2 or not isinstance(self.loss, NPairs)
        require(paired, self, "batches", "NPairs with one view needs two images of each class", "Set batches=ClassPairs(), or use 2 views.")
        if self.penalty is not None:
            fits = self.penalty.accepts(self.loss)
            require(
                fits,
                self,
                "penalty",
                f"does not fit {type(self.loss).__name__}",
                "InputGradient and InputDifference go with CrossEntropy or MaxMargin, ContrastiveInputGradient with contrastive losses.",
            )
            if self.penalty.weight == 0:
                object.__setattr__(self, "penalty", None)
        once = self.compiled is None or self.penalty is None
        require(once, self, "compiled", "takes no penalty, since torch compiles no second derivative", "Leave out one of the two.")

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The batch must not be larger than the data, and the views must take its images."""
        require_a_batch(self, size)

    def check_processes(self, count: int) -> None:
        """Compiled code knows no other processes, and batch normalisations must be such that can be synchronised."""
        require_synchronised(self, partial(odd_norm, self.data, self.encoder, self.head), count)
        alone = count == 1 or not self.compiled
        require(alone, self, "compiled", f"is for one process, and {count} would train together", "Ask for one GPU, or leave it out.")

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss and learning rate of each epoch, and the monitor's metrics every twentieth of the schedule."""
        images = workspace.images(self.data)
        net = initial_net(self.data, self.encoder, self.head, self.seed)
        net = net.to(workspace.device).to(memory_format=torch.channels_last)
        workspace.processes.synchronise(net)
        if self.compiled:
            compile_(net, workspace.processes)
        optimizer = self.optimizer.build(net)
        precision = torch.bfloat16 if self.precision == "bf16" else torch.float32
        step = Step(self.views, self.loss, self.penalty, precision, workspace.device, workspace.processes, self.chunk, self.mix)

        def epoch(number: int) -> Metrics:
            lr = partial(self.schedule.within, self.optimizer.lr, number, self.epochs)
            return train_epoch(
                net, images, step, optimizer, batch_size=self.batch_size, lr=lr, seed=self.seed, epoch=number, batching=self.batches
            )

        metrics = yield from train(self, workspace, net, net, optimizer, epoch, snapshots=snapshot_epochs(self.snapshots, self.epochs))
        workspace.keep_weights(net.state_dict())
        with torch.no_grad():
            width = net.eval().forward(torch.zeros(1, *self.data.shape, device=workspace.device)).shape[1]
        return {"loss": metrics["loss"], **self.loss.constants(width)}

    def model(self, workspace: Workspace) -> Model:
        """Encoder with its head: `net(x)` is the projection z, or the pretraining classes' logits."""
        artefact, build = workspace.of(self), partial(initial_net, self.data, self.encoder, self.head, self.seed)
        return Model(self, artefact, partial(trained_net, build, artefact, workspace.device))


def _require_layers(stage: Pretrain) -> None:
    """A layer-wise loss and heads on the stages go together, and both have as many layers as the encoder has stages."""
    layers = stage.loss.layers if isinstance(stage.loss, Layerwise) else None
    heads = stage.head.stages if isinstance(stage.head, StageHeads) else None
    if layers is None and heads is None:
        return
    together = heads is not None and layers is not None
    cure = "Layerwise(NTXent(0.5), layers=4) goes with StageHeads(stages=4) and an encoder of 4 stages, such as ResNet18."
    require(together, stage, "head", f"does not fit {type(stage.loss).__name__}", cure)
    for field, number in (("loss", layers), ("head", heads)):
        has = f"is for {number} stages, and {type(stage.encoder).__name__} has {stage.encoder.stages}"
        require(number == stage.encoder.stages, stage, field, has, cure)


def _require_chunks(stage: Pretrain) -> None:
    """A chunk has two images or more and a penalty that can be had in chunks; one that holds the batch is none."""
    if stage.chunk is None:
        return
    require(stage.chunk >= 2, stage, "chunk", "must be at least 2 images", "Use None for the whole batch at once.")
    if stage.penalty is not None:
        rule = f"{type(stage.penalty).__name__} is no sum of squared gradients, which alone can be had in chunks"
        require(isinstance(stage.penalty, GradientPenalty), stage, "chunk", rule, "Use a GradientPenalty, or set chunk=None.")
    if len(Split(stage.batch_size, stage.chunk, Processes()).chunks) == 1:
        object.__setattr__(stage, "chunk", None)


def _require_no_labels(owner: Pretrain) -> None:
    """Raise `UserError` where images that show several classes would be told apart by one."""
    if not owner.data.multi_label:
        return
    inner = owner.loss.loss if isinstance(owner.loss, Layerwise) else owner.loss
    try:
        inner(torch.linspace(-1, 1, 8 * owner.views.count).view(2, owner.views.count, 4), None)
        free = owner.batches is None or not isinstance(owner.batches, ClassPairs)
    except UserError:  # told by a loss that was called without labels
        free = False
    rule = "must show one class an image for a loss or batches that read it"
    require(free, owner, "data", rule, "Use NTXent(0.1), for example, which reads no labels.")


@dataclass(frozen=True, kw_only=True)
class Untrained(Stage):
    """An encoder as it was initialised for `seed`, the baseline that any pretraining has to beat; no head, no training.

    It has the initial weights of a `Pretrain` of the same encoder and seed, so differences between the two are paired.
    """

    data: Dataset
    encoder: Encoder
    seed: int

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Keep the initial weights; no epochs."""
        net = initial_net(self.data, self.encoder, None, self.seed)
        workspace.keep_weights(net.state_dict())
        return {"parameters": float(sum(p.numel() for p in net.parameters()))}
        yield {}

    def model(self, workspace: Workspace) -> Model:
        """The encoder; its top is the identity."""
        artefact, build = workspace.of(self), partial(initial_net, self.data, self.encoder, None, self.seed)
        return Model(self, artefact, partial(trained_net, build, artefact, workspace.device))


def initial_net(data: Dataset, encoder: Encoder, head: Head | None, seed: int) -> Net:
    """A freshly initialised network in the normalisation of `data`; weights depend on (seed, part) alone."""
    body = encoder.build(data.shape[0], random.generator(seed, "encoder"))
    top = torch.nn.Identity() if head is None else head.build(encoder.width, data.num_classes, random.generator(seed, "head"))
    return (LayerwiseNet if isinstance(head, StageHeads) else Net)(data.mean, data.std, body, top)


@lru_cache(maxsize=32)
def odd_norm(data: Dataset, encoder: Encoder, head: Head | None) -> str | None:
    """What `does_more` says of the network; candidates of a search mostly share one."""
    return does_more(initial_net(data, encoder, head, 0))


def trained_net(build: Callable[[], Net], artefact: Artefact, device: torch.device) -> Net:
    """The network that `build` gives, with the weights that its stage left."""
    net = build()
    net.load_state_dict(artefact.weights())
    return net.to(device).to(memory_format=torch.channels_last)
