"""Differential entropy of points on the unit sphere, by nearest neighbours, in nats of its surface.

Kozachenko and Leonenko, 1987, with the sphere's own volumes: the cap around a point that reaches to its k-th neighbour holds a share
p of the sphere's surface S, and E log P = psi(k) - psi(n) of the probability P in it. So H = psi(n) - psi(k) + mean log(S p), which
is without bias on the uniform distribution, in any dimension.
"""

import math

import numpy as np
import scipy
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import normalize

from analysis.representation.neighbours import neighbour_distances

_TINY = 1e-250


def sphere_entropy(features: Float[Tensor, "n d"], k: int = 3) -> float:
    """H of the L2-normalised rows, d of 2 or more, at most that of the uniform distribution but for noise; `k` from 1 to n - 1.

    -inf where so many rows are alike that a k-th neighbour is at 0, NaN where a feature is not finite or a row is 0, which has no place.
    """
    if not (features.isfinite().all() and features.any(dim=1).all()):
        return math.nan
    n, d = features.shape
    chords = neighbour_distances(normalize(features.double(), dim=1), k)[:, -1].cpu().numpy()
    if (chords == 0).any():
        return -math.inf
    angles = 2 * np.arcsin(np.minimum(chords / 2, 1))
    caps = log_surface(d) + log_cap_share(angles, d)
    return float(scipy.special.digamma(n) - scipy.special.digamma(k) + caps.mean())


def log_surface(d: int) -> float:
    """The logarithm of the surface of the unit sphere in d dimensions, the entropy of the uniform distribution on it."""
    return float(math.log(2) + d / 2 * math.log(math.pi) - scipy.special.gammaln(d / 2))


def log_cap_share(angles: Float64[np.ndarray, " n"], d: int) -> Float64[np.ndarray, " n"]:
    """The logarithm of the share of the sphere's surface within `angles` (0 to pi) of a point: I(sin^2; (d - 1) / 2, 1 / 2) / 2.

    In many dimensions the incomplete beta function I leaves the range of float64; there its logarithm is that of its series.
    """
    a, x = (d - 1) / 2, np.sin(angles) ** 2
    plain = scipy.special.betainc(a, 0.5, x) / 2
    with np.errstate(divide="ignore"):
        front = a * np.log(x) + 0.5 * np.log1p(-np.minimum(x, 0.9)) - math.log(2 * a) - scipy.special.betaln(a, 0.5)
        series = front + np.log(scipy.special.hyp2f1(a + 0.5, 1, a + 1, np.minimum(x, 0.9)))
        near = np.where(plain > _TINY, np.log(plain), series)
    shares: np.ndarray = np.where(angles > math.pi / 2, np.log1p(-plain), near)
    return shares
