"""Images as files keep them: 256 levels."""

from jaxtyping import Float, Float32
from torch import Tensor

_ROUNDING = 1e-3  # of a level: what is a level up to rounding must not fall to the one below


def stored(x: Float[Tensor, "n c h w"]) -> Float32[Tensor, "n c h w"]:
    """x clipped to [0, 1] and cut down to a multiple of 1/255, as the published sets were written."""
    return (x.clamp(0, 1) * 255 + _ROUNDING).floor().div(255).float()
