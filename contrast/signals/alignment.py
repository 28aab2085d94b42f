"""Alignment: how far apart two views of one image lie on the unit sphere. Smaller is better aligned.

Wang and Isola, 2020, "Understanding contrastive representation learning through alignment and uniformity on the
hypersphere"; PROTOCOL 2.9.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def alignment(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], alpha: float = 2.0) -> Float[Tensor, ""]:
    """mean_i |x_i - y_i|^alpha of the L2-normalised rows of two views; 0 when the views agree, at most 2^alpha."""
    squared = (normalize(first, dim=1) - normalize(second, dim=1)).square().sum(dim=1)
    return squared.pow(alpha / 2).mean()
