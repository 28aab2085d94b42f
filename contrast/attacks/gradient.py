"""The gradient that white-box attacks follow, with respect to the pixels, one row a sample, and when an output is right."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrast.component import UserError

Network = Callable[[Tensor], Tensor]
Loss = Literal["cross_entropy", "margin"]


def loss_gradient(
    net: Network, x: Float[Tensor, "n c h w"], y: Int64[Tensor, " n"], loss: Loss = "cross_entropy"
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n c h w"]]:
    """Logits at x and the gradient of each sample's own loss: of the *sum*, so that it does not depend on the batch.

    "margin" is max_{k != y} z_k - z_y, whose gradient does not vanish where the softmax saturates. `net` must be in eval mode,
    since batch statistics would couple the samples. Its parameters are not touched.
    """
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = net(x)
        total = cross_entropy(logits, y, reduction="sum") if loss == "cross_entropy" else -lead(logits, y).sum()
        (gradient,) = torch.autograd.grad(total, x)
    return logits.detach(), gradient


def lead(logits: Float[Tensor, "n k"], y: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    """By how much the label's logit is above every other: negative where the sample is misclassified."""
    label = y[:, None]
    others = logits.scatter(1, label, -torch.inf).amax(dim=1)
    return logits.gather(1, label)[:, 0] - others


def right(logits: Float[Tensor, "n k"], y: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Whether the largest logit is the label's; False where a logit is not finite, which torch would call the largest."""
    return (logits.argmax(dim=1) == y) & logits.isfinite().all(dim=1)


def require_pixels(x: Float[Tensor, "n c h w"]) -> None:
    """Raise `UserError` unless all of x lies in [0, 1]: a radius means nothing elsewhere, and clipping would change the images."""
    low, high = (float(bound) for bound in torch.aminmax(x)) if x.numel() else (0.0, 1.0)
    if not (low >= 0 and high <= 1):  # false for NaN, too
        rule = "must be pixels in [0, 1], since radii are in their unit"
        raise UserError(f"images = {low:g} to {high:g}: {rule}. Divide bytes by 255, and let the network normalise its input itself.")
