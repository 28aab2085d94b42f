"""The variational autoencoder, a baseline without contrast: it has to reconstruct every channel, random bits and all (PROTOCOL 2.8).

What is transferred is the encoder's output, as from any pretraining; posterior and decoder stay with the stage.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from contrast import random
from contrast.augmentations.plain import Plain
from contrast.augmentations.views import Views
from contrast.component import require, require_count
from contrast.data.dataset import Dataset, Images
from contrast.decoders.deconv_n import DeconvN
from contrast.distributed import Processes
from contrast.encoders.encoder import Encoder
from contrast.heads.head import dense
from contrast.loop import in_order
from contrast.model import Model, Net
from contrast.norms import does_more
from contrast.optim.linear_decay import LinearDecay
from contrast.optim.optimizer import Optimizer
from contrast.optim.rates import set_rate
from contrast.optim.schedule import Schedule
from contrast.pretrain import initial_net, trained_net
from contrast.snapshots import snapshot_epochs
from contrast.stage import Diverged, Metrics, Stage, Workspace
from contrast.training import require_a_batch, require_synchronised, require_training, train, view_size


@dataclass(frozen=True, kw_only=True)
class VAE(Stage):
    """Train `encoder` and `decoder` to reconstruct `data` through `latent` (1 to 65536) normal variables (Kingma and Welling, 2014).

    The loss is the negative evidence lower bound in nats an image: Bernoulli cross-entropy of the pixels, as values in [0, 1],
    summed over channels and pixels, and `beta` (0 or above) times KL(q(z|x) || N(0, 1)) summed over the latent variables. One
    z is drawn an image and epoch. `views` gives the one view that is encoded and reconstructed. `precision` is that of the
    networks; the terms are always computed in float32. The protocol has batches of 1,000, 10 epochs and Adam(1e-3); the
    encoder's initial weights are those of a `Pretrain` of the same encoder and seed.
    `snapshots` keeps encoders as in `Pretrain`.
    Results: `loss`, `reconstruction` and `kl` (without `beta`), means over the steps of the last epoch.
    """

    data: Dataset
    encoder: Encoder
    batch_size: int
    epochs: int
    seed: int
    optimizer: Optimizer
    latent: int = 64
    beta: float = 1.0
    decoder: DeconvN = DeconvN()
    views: Views = Plain()
    schedule: Schedule = LinearDecay()
    precision: Literal["fp32", "bf16"] = "fp32"
    snapshots: int | None = None
    parallel: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_training(self)
        require_count(self, "latent", 2**16, "Use 64, as the protocol does.")
        finite = math.isfinite(self.beta) and self.beta >= 0
        require(finite, self, "beta", "must be finite and 0 or above", "1 is the evidence lower bound; larger values weigh the prior more.")
        require(self.views.count == 1, self, "views", "must make one view", "Use Plain() or CropViews(1).")
        self.decoder.check(self.data.shape)

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The batch must not be larger than the data, and the view must be as large as the image that the decoder makes."""
        require_a_batch(self, size)
        shape = view_size(self.views, self.data)
        other = f"makes images of {shape}, and those of the data are {self.data.shape}"
        require(shape == self.data.shape, self, "views", other, "Use views that keep the size, such as Plain() or CropViews(1).")

    def check_processes(self, count: int) -> None:
        """Batch normalisations must be such that can be synchronised."""
        require_synchronised(self, lambda: does_more(initial_vae(self)), count)

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss, its two terms and the learning rate of each epoch, and the monitor's metrics every twentieth of the schedule."""
        images = workspace.images(self.data)
        net = initial_vae(self).to(workspace.device).to(memory_format=torch.channels_last)
        workspace.processes.synchronise(net)
        optimizer = self.optimizer.build(net)
        epoch = partial(_train_epoch, self, net, images, optimizer, workspace)
        metrics = yield from train(self, workspace, net, net, optimizer, epoch, snapshots=snapshot_epochs(self.snapshots, self.epochs))
        workspace.keep_weights(net.state_dict())
        return {name: metrics[name] for name in ("loss", "reconstruction", "kl")}

    def model(self, workspace: Workspace) -> Model:
        """Encoder, posterior and decoder: `net(x)` is the mean of q(z|x)."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(trained_net, partial(initial_vae, self), artefact, workspace.device))


class Latent(nn.Module):
    """What stands on the encoder: features h to the posterior q(z|x), and z back to an image. Calling it gives the mean of q."""

    def __init__(self, posterior: nn.Linear, decoder: nn.Module) -> None:
        super().__init__()
        self.posterior = posterior
        self.decoder = decoder

    def moments(self, h: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and logarithm of the variance of each latent variable, which are independent given the image."""
        mean, log_variance = self.posterior(h).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, h: Float[Tensor, "n d"]) -> Float[Tensor, "n z"]:
        """The mean of q(z|x)."""
        return self.moments(h)[0]


class VAENet(Net):
    """A network whose top is a `Latent`; `features(x)` is what it is in any `Net`."""

    top: Latent


class Terms(NamedTuple):
    """The two terms of the negative evidence lower bound of each image, in nats."""

    reconstruction: Float[Tensor, " n"]
    kl: Float[Tensor, " n"]


def bound_terms(net: VAENet, x: Float[Tensor, "n c h w"], noise: Float[Tensor, "n z"], precision: torch.dtype = torch.float32) -> Terms:
    """Of pixels in [0, 1] and one standard normal draw a latent variable: z = mean + noise * deviation."""
    with torch.autocast(x.device.type, precision, enabled=precision is not torch.float32):
        mean, log_variance = net.top.moments(net.features(x))
        mean, log_variance = _full_precision(mean), _full_precision(log_variance)
        logits = _full_precision(net.top.decoder(mean + noise * (0.5 * log_variance).exp()))
    entropies = binary_cross_entropy_with_logits(logits, x, reduction="none")
    return Terms(entropies.flatten(1).sum(1), kl_from_standard_normal(mean, log_variance))


def _full_precision(x: Tensor) -> Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


def kl_from_standard_normal(mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"]) -> Float[Tensor, " n"]:
    """KL(N(mean, variance) || N(0, 1)), summed over independent variables, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def initial_vae(stage: VAE) -> VAENet:
    """A freshly initialised network; weights depend on (seed, part) alone."""
    base, generator = initial_net(stage.data, stage.encoder, None, stage.seed), random.generator(stage.seed, "vae")
    posterior = dense(stage.encoder.width, 2 * stage.latent, generator)
    top = Latent(posterior, stage.decoder.build(stage.latent, stage.data.shape, generator))
    return VAENet(stage.data.mean, stage.data.std, base.encoder, top)


def noise(stage: VAE, ids: np.ndarray, epoch: int) -> Float[Tensor, "n z"]:
    """The draws of `epoch`, float32; those of an image follow from its id alone."""
    return torch.from_numpy(random.normal(stage.seed, "latent", ids, stage.latent, epoch=epoch)).float()


def backward(stage: VAE, net: VAENet, x: Tensor, drawn: Tensor, count: int, processes: Processes) -> Terms:
    """Gradients of the loss of a batch of `count` images, of which `x` are this process'; gives the terms' means over the batch."""
    reconstruction, kl = bound_terms(net, x, drawn, torch.bfloat16 if stage.precision == "bf16" else torch.float32)
    ((reconstruction + stage.beta * kl).sum() / count).backward()
    processes.sum_gradients(net.parameters())
    means = processes.summed(torch.stack([reconstruction.detach().sum(), kl.detach().sum()]) / count)
    return Terms(means[0], means[1])


def _train_epoch(stage: VAE, net: VAENet, images: Images, optimizer: torch.optim.Optimizer, workspace: Workspace, epoch: int) -> Metrics:
    """One epoch in an order drawn for (seed, epoch). Raises `Diverged` at the first non-finite loss."""
    net.train()
    batches = in_order(images.ids, stage.batch_size, stage.seed, epoch)
    steps = []
    for i, rows in enumerate(batches):
        lr = stage.schedule.within(stage.optimizer.lr, epoch, stage.epochs, i, len(batches))
        set_rate(optimizer, lr)
        mine = rows[workspace.processes.part(len(rows))]
        pixels = torch.from_numpy(images.seen(mine, epoch)).to(workspace.device, non_blocking=True).float() / 255
        x = stage.views(pixels, images.ids[mine], stage.seed, epoch)[:, 0].contiguous(memory_format=torch.channels_last)
        drawn = noise(stage, images.ids[mine], epoch).to(workspace.device)
        optimizer.zero_grad(set_to_none=True)
        reconstruction, kl = (term.item() for term in backward(stage, net, x, drawn, len(rows), workspace.processes))
        loss = reconstruction + stage.beta * kl
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {epoch}")
        optimizer.step()
        steps.append((loss, reconstruction, kl))
    means = np.mean(steps, axis=0).tolist()
    return {**dict(zip(("loss", "reconstruction", "kl"), means, strict=True)), "lr": lr}
