"""Proximal operators of the four norms of attacks: prox(s) = argmin_v mu ||v|| + |v - s|^2 / 2, a strength mu a sample (METRICS 4).

l_0 counts the numbers that are not 0. l_inf follows from the projection on the ball of l_1 by Moreau's identity.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

AnyNorm = Literal["l0", "l1", "l2", "linf"]


def prox(s: Float[Tensor, "n d"], mu: Float[Tensor, " n"], norm: AnyNorm) -> Float[Tensor, "n d"]:
    """The proximal operator of mu times `norm`, row by row; mu above 0."""
    mu = mu[:, None]
    if norm == "l0":
        return torch.where(s.square() > 2 * mu, s, 0.0)
    if norm == "l1":
        shrunk: Tensor = s.sign() * (s.abs() - mu).clamp(min=0)
        return shrunk
    if norm == "l2":
        scaled: Tensor = s * (1 - mu / torch.linalg.vector_norm(s, dim=1, keepdim=True).clamp(min=1e-30)).clamp(min=0)
        return scaled
    return s - mu * on_l1_ball(s / mu)


def on_l1_ball(s: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The nearest point whose absolute values sum to at most 1, by sorting (Duchi et al., 2008); s itself inside."""
    size = s.abs()
    largest = size.sort(dim=1, descending=True).values
    over = largest.cumsum(dim=1) - 1
    counts = torch.arange(1, s.shape[1] + 1, device=s.device)
    kept = (largest * counts > over).sum(dim=1, keepdim=True).clamp(min=1)  # where 1 is lost in the rounding of the largest
    threshold = (over.gather(1, kept - 1) / kept).clamp(min=0)  # below 0 inside the ball
    return s.sign() * (size - threshold).clamp(min=0)


def length(s: Float[Tensor, "n d"], norm: AnyNorm) -> Float[Tensor, " n"]:
    """The norm of every row."""
    order = {"l0": 0, "l1": 1, "l2": 2, "linf": torch.inf}[norm]
    lengths: Tensor = torch.linalg.vector_norm(s, order, dim=1)
    return lengths


def dual(s: Float[Tensor, "n d"], norm: AnyNorm) -> Float[Tensor, " n"]:
    """The dual norm of every row, by which a gradient rises along the best direction of length 1; that of l_1 for l_0."""
    duals: dict[AnyNorm, AnyNorm] = {"l0": "linf", "l1": "linf", "l2": "l2", "linf": "l1"}
    return length(s, duals[norm])
