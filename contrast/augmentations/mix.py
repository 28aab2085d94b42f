"""What mixes the images of a batch with each other, and says how much of each label the mixture has."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from contrast.augmentations.draws import Draws
from contrast.component import Component, require

_POLAR = 3  # uniform numbers that one attempt at a gamma variable takes


@dataclass(frozen=True)
class Mix(Component, ABC):
    """Mixes every image with the one before it in the batch, as torchvision does; the first one's is the last.

    The share of an image in its mixture is drawn from Beta(`alpha`, `alpha`) by its id; `alpha` >= 0.001. All of its views are
    mixed alike.
    """

    alpha: float

    def __post_init__(self) -> None:
        require(
            0.001 <= self.alpha < math.inf,
            self,
            "alpha",
            "must be at least 0.001 and finite",
            "Usual values are 0.2 for MixUp and 1 for CutMix.",
        )

    @abstractmethod
    def __call__(
        self, own: Float[Tensor, "n v c h w"], other: Float[Tensor, "n v c h w"], draws: Draws
    ) -> tuple[Float[Tensor, "n v c h w"], Float[np.ndarray, " n"]]:
        """The mixtures of the views of n images with those of n others, and the share of the label that is the image's own.

        `draws` are those of one view of each image.
        """


def beta(draws: Draws, purpose: str, alpha: float) -> Float[np.ndarray, " rows"]:
    """A Beta(`alpha`, `alpha`) variable in [0, 1] for each view of each sample: x / (x + y) of two gamma variables."""
    one, two = (log_gamma(draws, f"{purpose}/{part}", alpha) for part in ("one", "two"))
    shares: np.ndarray = np.exp(one - np.logaddexp(one, two))
    return shares


def mixed_labels(labels: Int[Tensor, " n"], shares: Float[Tensor, " n"], classes: int) -> Float[Tensor, "n c"]:
    """How much of each class there is in the mixture of each image of a batch with the one before it."""
    own, other = (one_hot(each, classes).to(shares.dtype) for each in (labels, labels.roll(1)))
    return own * shares[:, None] + other * (1 - shares[:, None])


def log_gamma(draws: Draws, purpose: str, alpha: float) -> Float[np.ndarray, " rows"]:
    """The logarithm of a Gamma(`alpha`, 1) variable for each view of each sample (Marsaglia and Tsang, 2000).

    A variable of shape alpha is one of shape alpha + 1 times u^(1 / alpha), so that small shapes need no other method.
    """
    d = alpha + 1 - 1 / 3
    first = draws.uniform(f"{purpose}/power", 1)[:, 0]
    found: np.ndarray = np.empty(len(first))
    missing, attempt = np.ones(len(first), bool), 0
    while missing.any():
        u = 1 - draws.uniform(f"{purpose}/{attempt}", _POLAR)  # in (0, 1]
        normal = np.sqrt(-2 * np.log(u[:, 0])) * np.cos(2 * np.pi * u[:, 1])
        cube = np.maximum(1 + normal / np.sqrt(9 * d), 0) ** 3
        with np.errstate(divide="ignore"):
            taken = missing & (cube > 0) & (np.log(u[:, 2]) < normal**2 / 2 + d - d * cube + d * np.log(cube))
        found[taken] = np.log(d * cube[taken])
        missing &= ~taken
        attempt += 1
    found += np.log(1 - first) / alpha
    return found
