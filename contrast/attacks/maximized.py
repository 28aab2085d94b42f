"""The inner problem of adversarial training: the loss of every sample is driven up in its ball (Madry et al., 2018; PROTOCOL 7.7)."""

from jaxtyping import Float, Int64
from torch import Tensor

from contrast.attacks.ball import Norm, column, project, steepest
from contrast.attacks.gradient import Network, loss_gradient, require_pixels


def maximized(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " n"],
    start: Float[Tensor, "n c h w"] | None = None,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float = 2.5,
) -> Float[Tensor, "n c h w"]:
    """`steps` steps of length step_size * eps / steps up the cross-entropy from x + start, each projected on ball and box [0, 1].

    As `pgd`, but a sample goes on when it is misclassified: training asks for the worst loss, not for an error. `start` lies in
    the ball of radius eps (see `start_noise`); None starts at x. Raises `UserError` unless x lies in [0, 1].
    """
    require_pixels(x)
    examples = (x if start is None else x + start).clamp(0, 1)
    for _ in range(steps):
        _, gradient = loss_gradient(net, examples, y)
        moved = examples + column(step_size * eps / steps) * steepest(gradient, norm)
        examples = (x + project(moved - x, eps, norm)).clamp(0, 1)
    return examples
