"""The fast gradient sign method: one gradient, all radii (Goodfellow et al., 2015; PROTOCOL 5.6).

x_hat = clip(x + eps * scale * sign grad_x CE(f(x), y), box), where sign(0) = 0. The network takes pixels in [0, 1] and
normalises inside, so eps is in pixel units; `scale` per channel gives any other unit: the normalisation's standard
deviations make eps count in normalised space, because the sign does not change under a positive factor.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrast.attacks.gradient import Network, loss_gradient, require_pixels, right
from contrast.attacks.pgd import BATCH, correct, evenly

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
) -> tuple[Float[Tensor, " e"], Float[Tensor, " e"]]:
    """Accuracy in percent and mean cross-entropy at every radius, float64 on the CPU; one gradient a sample."""
    correct, loss = torch.zeros(len(eps), dtype=torch.float64), torch.zeros(len(eps), dtype=torch.float64)
    for start in range(0, len(x), batch):
        labels = y[start : start + batch]
        for e, examples in enumerate(fgsm(net, x[start : start + batch], labels, eps, box, scale)):
            with torch.no_grad():
                logits = net(examples)
            correct[e] += right(logits, labels).sum().item()
            loss[e] += cross_entropy(logits.double(), labels, reduction="sum").item()
    return 100 * correct / len(x), loss / len(x)


def fgsm_robust(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " e"],
    batch: int = BATCH,
) -> Bool[Tensor, "e n"]:
    """Which samples stand at every radius of `eps` (increasing), as in `robust`: one gradient each, and forwards of those that still stand.

    A sample misclassified clean or at a smaller radius stands nowhere beyond, since its example lies in the larger ball, too.
    """
    require_pixels(x)
    standing = torch.zeros(len(eps), len(x), dtype=torch.bool, device=x.device)
    signs, clean = torch.empty_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for part in evenly(torch.arange(len(x), device=x.device), batch):
        logits, gradient = loss_gradient(net, x[part], y[part])
        signs[part], clean[part] = gradient.sign(), right(logits, y[part])
    alive = torch.nonzero(clean)[:, 0]
    for e, radius in enumerate(eps.tolist()):
        if radius > 0:
            alive = alive[correct(net, (x[alive] + radius * signs[alive]).clamp(0, 1), y[alive], batch)]
        standing[e, alive] = True
    return standing
