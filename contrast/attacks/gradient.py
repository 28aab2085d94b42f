"""The gradient that white-box attacks follow: cross-entropy with respect to the pixels, one row a sample."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

Network = Callable[[Tensor], Tensor]


def loss_gradient(
    net: Network, x: Float[Tensor, "n c h w"], y: Int64[Tensor, " n"]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n c h w"]]:
    """Logits at x and the gradient of each sample's own loss: of the *sum*, so that it does not depend on the batch.

    `net` must be in eval mode, since batch statistics would couple the samples. Its parameters are not touched.
    """
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = net(x)
        (gradient,) = torch.autograd.grad(cross_entropy(logits, y, reduction="sum"), x)
    return logits.detach(), gradient
