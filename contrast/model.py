"""A network as a measure sees it: pixels in, features or logits out, normalisation inside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

if TYPE_CHECKING:
    from contrast.stage import Stage


class Net(nn.Module):
    """Normalisation, encoder and top in one module.

    `features(x)` is h [N, d] of pixels x [N, C, H, W] in [0, 1]; calling it gives the top's output: the projection z of a
    contrastive pretraining, logits of a classifier. Normalisation lives inside, so that attacks live in pixel space.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], encoder: nn.Module, top: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.encoder = encoder
        self.top = top

    @property
    def constants(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of its normalisation, a number a channel."""
        return tuple(self.mean.flatten().tolist()), tuple(self.std.flatten().tolist())

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The encoder's output h, after global average pooling."""
        h: Tensor = self.encoder((x - self.mean) / self.std)
        return h

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The top's output: z for a projection head, logits for a classifier."""
        out: Tensor = self.top(self.features(x))
        return out


class LayerwiseNet(Net):
    """A network whose top has a head for every stage of the encoder, by the stage's name (`StageHeads`).

    Calling it gives the projections of all stages side by side, [N, stages * out]; `features(x)` is what it is in any `Net`.
    """

    top: nn.ModuleDict

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """z_1 to z_r: each stage's output pooled over the image, through its own head."""
        h, projections = (x - self.mean) / self.std, []
        for name, part in self.encoder.named_children():
            h = part(h)
            if name in self.top:
                projections.append(self.top[name](h.mean((2, 3))))
        return torch.cat(projections, 1)


@dataclass(frozen=True)
class Artefact:
    """What a finished stage left: its scalar results and, in its attempt folder, curve, arrays and weights."""

    folder: Path
    results: dict[str, float]

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that the stage kept, by name."""
        with np.load(self.folder / "arrays.npz", allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def weights(self) -> dict[str, Tensor]:
        """The weights that the stage kept, by parameter name."""
        return load_file(self.folder / "weights.safetensors")


@dataclass
class Model:
    """A stage and its network; the network is built and loaded when it is first asked for.

    `final` is False for a network in training, of which nothing may be remembered.
    """

    stage: "Stage"
    artefact: Artefact
    build: Callable[[], Net]
    final: bool = True

    @cached_property
    def net(self) -> Net:
        """The network in eval mode, its parameters not requiring gradients."""
        net = self.build().eval()
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        return net
