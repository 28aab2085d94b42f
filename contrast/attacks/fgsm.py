"""The fast gradient sign method: one gradient, all radii (Goodfellow et al., 2015; PROTOCOL 5.6).

x_hat = clip(x + eps * scale * sign grad_x CE(f(x), y), box), where sign(0) = 0. The network takes pixels in [0, 1] and
normalises inside, so eps is in pixel units; `scale` per channel gives any other unit: the normalisation's standard
deviations make eps count in normalised space, because the sign does not change under a positive factor.
"""

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrast.attacks.gradient import Network, loss_gradient, require_pixels, right
from contrast.attacks.pgd import BATCH

Box = tuple[float, float]


def fgsm(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " e"],
    box: Box | None = (0.0, 1.0),
    scale: Float[Tensor, "1 c 1 1"] | float = 1.0,
) -> Float[Tensor, "e n c h w"]:
    """The adversarial examples at every radius; `box=None` leaves them unclipped. `net` must be in eval mode.

    Raises `UserError` unless x lies in [0, 1], where there is a box.
    """
    if box is not None:
        require_pixels(x)
    _, gradient = loss_gradient(net, x, y)
    moved = x + eps.to(x).view(-1, 1, 1, 1, 1) * (scale * gradient.sign())
    return moved if box is None else moved.clamp(*box)


def fgsm_curve(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " e"],
    box: Box | None = (0.0, 1.0),
    scale: Float[Tensor, "1 c 1 1"] | float = 1.0,
    batch: int = BATCH,
) -> tuple[Bool[Tensor, "e+1 n"], Float64[Tensor, " e"]]:
    """Which samples are right without attack and at every radius, and the mean cross-entropy at every radius; one gradient a sample."""
    found, loss = torch.zeros(len(eps) + 1, len(x), dtype=torch.bool), torch.zeros(len(eps), dtype=torch.float64)
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        with torch.no_grad():
            found[0, part] = right(net(x[part]), y[part])
        for e, examples in enumerate(fgsm(net, x[part], y[part], eps, box, scale)):
            with torch.no_grad():
                logits = net(examples)
            found[e + 1, part] = right(logits, y[part])
            loss[e] += cross_entropy(logits.double(), y[part], reduction="sum").item()
    return found, loss / len(x)
