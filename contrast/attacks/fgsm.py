"""The fast gradient sign method: one gradient, all radii (Goodfellow et al., 2015; PROTOCOL 5.6).

x_hat = clip(x + eps * scale * sign grad_x CE(f(x), y), box), where sign(0) = 0. The network takes pixels in [0, 1] and
normalises inside, so eps is in pixel units; `scale` per channel gives any other unit: the normalisation's standard
deviations make eps count in normalised space, because the sign does not change under a positive factor.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrast.attacks.gradient import Network, loss_gradient

Box = tuple[float, float]


def fgsm(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " e"],
    box: Box | None = (0.0, 1.0),
    scale: Float[Tensor, "1 c 1 1"] | float = 1.0,
) -> Float[Tensor, "e n c h w"]:
    """The adversarial examples at every radius; `box=None` leaves them unclipped. `net` must be in eval mode."""
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
    batch: int = 128,
) -> tuple[Float[Tensor, " e"], Float[Tensor, " e"]]:
    """Accuracy in percent and mean cross-entropy at every radius, float64 on the CPU; one gradient a sample."""
    correct, loss = torch.zeros(len(eps), dtype=torch.float64), torch.zeros(len(eps), dtype=torch.float64)
    for start in range(0, len(x), batch):
        labels = y[start : start + batch]
        for e, examples in enumerate(fgsm(net, x[start : start + batch], labels, eps, box, scale)):
            with torch.no_grad():
                logits = net(examples)
            correct[e] += (logits.argmax(dim=1) == labels).sum().item()
            loss[e] += cross_entropy(logits.double(), labels, reduction="sum").item()
    return 100 * correct / len(x), loss / len(x)
