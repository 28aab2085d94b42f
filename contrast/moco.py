"""MoCo: contrast against a queue of keys, which a slowly moving copy of the network made of earlier images.

So the number of negatives is not bound to the batch (He, Fan, Wu, Xie, Girshick, CVPR 2020). What is transferred is the encoder
of the query network, the one that is trained.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch

from contrast import random
from contrast.augmentations.views import Views
from contrast.batches.full_batches import FullBatches
from contrast.component import require, require_count
from contrast.data.dataset import Dataset
from contrast.encoders.encoder import Encoder
from contrast.grouped_norm import group_norms, require_shared
from contrast.heads.head import Head
from contrast.heads.stage_heads import require_projection
from contrast.loop import train_epoch
from contrast.losses.temperature import require_temperature
from contrast.model import Model
from contrast.momentum import MomentumPair, MomentumStep, random_queue
from contrast.optim.cosine import Cosine
from contrast.optim.optimizer import Optimizer
from contrast.optim.schedule import Schedule
from contrast.pretrain import initial_net, odd_norm, trained_net
from contrast.snapshots import snapshot_epochs
from contrast.stage import Metrics, Stage, Workspace
from contrast.training import require_a_batch, require_synchronised, require_training, train


@dataclass(frozen=True, kw_only=True)
class MoCo(Stage):
    """Train `encoder` and `head` on `data` for `epochs`, queries of one view against keys of the other and a queue (PROTOCOL 2.7).

    `queue` is K, the number of earlier keys, a multiple of `batch_size` and at most 4194304; what is left of an epoch after its last
    full batch is left out. `momentum`, from 0 to 1, is the share of the key network that stays at each step: 1 keeps it as it was
    initialised, at 0 it is the query network. `temperature` is from 1e-4 to 1e6. Batch normalisations take the statistics of
    `norm_groups` equal parts of the batch, and keys are made in a shuffled order; None or 1 is the whole batch, where a network can
    cheat, and is what a network without batch normalisation takes. The defaults of these four are those published for CIFAR-10, with
    batches of 512, `SGD(0.06, weight_decay=5e-4)`, `Cosine(0.0)` and 200 epochs; for ImageNet they are 65536, 0.999, 0.07 and batches
    of 256. Several processes compute what one does; then `norm_groups` must be a multiple of their number.
    `snapshots` keeps encoders of the query network as in `Pretrain`. Results: `loss` of the last epoch.
    """

    data: Dataset
    encoder: Encoder
    views: Views
    head: Head
    batch_size: int
    epochs: int
    seed: int
    optimizer: Optimizer
    schedule: Schedule = Cosine(rate=0.1)
    queue: int = 4096
    momentum: float = 0.99
    temperature: float = 0.1
    norm_groups: int | None = 8
    precision: Literal["fp32", "bf16"] = "fp32"
    snapshots: int | None = None
    parallel: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_training(self)
        require(self.views.count == 2, self, "views", "must make exactly 2 views", "Use SimCLRViews() or CropViews().")
        require_projection(self, "head", "Use MLPHead(2), or MLPHead(1) as in the first MoCo.")
        require_count(self, "queue", 2**22, "4096 is usual for CIFAR-10, 65536 for ImageNet.")
        multiple = f"must be a multiple of batch_size ({self.batch_size})"
        nearest = max(1, round(self.queue / self.batch_size)) * self.batch_size
        require(self.queue % self.batch_size == 0, self, "queue", multiple, f"Use {nearest}, or another batch_size.")
        require(0 <= self.momentum <= 1, self, "momentum", "must be from 0 to 1", "Usual values are 0.99 to 0.999.")
        require_temperature(self)
        if self.norm_groups is not None:
            require(self.norm_groups >= 1, self, "norm_groups", "must be at least 1", "8 is usual; None is the whole batch.")
            fits = self.batch_size % self.norm_groups == 0 and self.batch_size >= 2 * self.norm_groups
            rule = f"must part batch_size ({self.batch_size}) into equal groups of 2 or more"
            require(fits, self, "norm_groups", rule, "Use another number, or None for statistics of the whole batch.")
            if self.norm_groups == 1:
                object.__setattr__(self, "norm_groups", None)

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The batch must not be larger than the data, views must take its images, and batch normalisations be such that can be grouped."""
        require_a_batch(self, size)
        if self.norm_groups is not None:
            odd = odd_norm(self.data, self.encoder, self.head)
            require(odd is None, self, "norm_groups", f"{odd} and cannot be grouped", "Set norm_groups=None.")

    def check_processes(self, count: int) -> None:
        """Groups of batch normalisation must be shared evenly; without groups it must be such that can be synchronised."""
        if self.norm_groups is not None:
            require_shared(self.norm_groups, count)
        else:
            require_synchronised(self, partial(odd_norm, self.data, self.encoder, self.head), count)

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss and learning rate of each epoch, and the monitor's metrics every twentieth of the schedule."""
        images = workspace.images(self.data)
        pair = momentum_pair(self, workspace)
        optimizer = self.optimizer.build(pair.query)
        step = momentum_step(self, pair, workspace)

        def epoch(number: int) -> Metrics:
            lr = partial(self.schedule.within, self.optimizer.lr, number, self.epochs)
            size, seed = self.batch_size, self.seed
            return train_epoch(pair.query, images, step, optimizer, batch_size=size, lr=lr, seed=seed, epoch=number, batching=FullBatches())

        kept = snapshot_epochs(self.snapshots, self.epochs)
        metrics = yield from train(self, workspace, pair, pair.query, optimizer, epoch, snapshots=kept)
        workspace.keep_weights(pair.query.state_dict())
        return {"loss": metrics["loss"]}

    def model(self, workspace: Workspace) -> Model:
        """The query network's encoder with its head: `net(x)` is the projection z."""
        artefact, build = workspace.of(self), partial(initial_net, self.data, self.encoder, self.head, self.seed)
        return Model(self, artefact, partial(trained_net, build, artefact, workspace.device))


def momentum_pair(stage: MoCo, workspace: Workspace) -> MomentumPair:
    """Both networks with equal weights, in training mode on the workspace's device, and the queue of random keys."""
    net = initial_net(stage.data, stage.encoder, stage.head, stage.seed)
    with torch.no_grad():
        width = net.eval()(torch.zeros(1, *stage.data.shape)).shape[1]
    if stage.norm_groups is None:
        workspace.processes.synchronise(net)
    else:
        group_norms(net, stage.norm_groups, workspace.processes)
    queue = random_queue(stage.queue, width, random.generator(stage.seed, "queue"))
    return MomentumPair(net.train(), queue).to(workspace.device).to(memory_format=torch.channels_last)


def momentum_step(stage: MoCo, pair: MomentumPair, workspace: Workspace) -> MomentumStep:
    """What a step of the training computes."""
    return MomentumStep(
        pair,
        stage.views,
        stage.temperature,
        stage.momentum,
        shuffled=stage.norm_groups is not None,
        precision=torch.bfloat16 if stage.precision == "bf16" else torch.float32,
        device=workspace.device,
        processes=workspace.processes,
    )
