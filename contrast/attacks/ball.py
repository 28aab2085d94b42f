"""The l_inf and the l_2 ball around an image: projection, steepest direction and points drawn evenly from it, sample by sample."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from contrast.random import uniform

Norm = Literal["linf", "l2"]


def project(delta: Float[Tensor, "n c h w"], eps: Float[Tensor, " n"], norm: Norm) -> Float[Tensor, "n c h w"]:
    """The nearest point to `delta` in the ball of radius eps around 0, sample by sample."""
    if norm == "linf":
        return torch.minimum(torch.maximum(delta, -column(eps)), column(eps))
    return delta * column((eps / _length(delta)).clamp(max=1))


def steepest(gradient: Float[Tensor, "n c h w"], norm: Norm) -> Float[Tensor, "n c h w"]:
    """The point of the unit sphere along which `gradient` rises fastest; 0 where it is 0."""
    return gradient.sign() if norm == "linf" else gradient / column(_length(gradient))


def start_noise(ids: np.ndarray, shape: tuple[int, int, int], norm: Norm, seed: int, epoch: int = 0) -> Float[Tensor, "n c h w"]:
    """Float32 noise uniform in the unit ball, row i a function of (seed, epoch, ids[i]) alone; times eps it is a start."""
    size = int(np.prod(shape))
    draws = torch.from_numpy(uniform(seed, "pgd", ids, size + 1, epoch=epoch))
    if norm == "linf":
        noise = 2 * draws[:, :size] - 1
    else:
        # A Gaussian's direction is uniform on the sphere; u^(1/D) spreads the radius evenly over the ball's volume.
        normal = torch.special.ndtri(draws[:, :size] + 2.0**-54)
        noise = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True) * draws[:, size:] ** (1 / size)
    return noise.float().view(len(ids), *shape)


def column(values: Float[Tensor, " n"]) -> Float[Tensor, "n 1 1 1"]:
    """One number a sample, to multiply images with."""
    return values.view(-1, 1, 1, 1)


def _length(delta: Tensor) -> Tensor:
    """l_2 lengths [n], never 0, so that a saturated sample's zero gradient gives a zero step."""
    lengths: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1)
    return lengths.clamp(min=1e-12)
