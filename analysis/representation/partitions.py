"""How good a partition is, and how alike two are: silhouette, purity, adjusted Rand index."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def silhouette(distances: Float[Tensor, "n n"], labels: Int64[Tensor, " n"]) -> float:
    """Mean over the points of (b - a) / max(a, b), -1 to 1 (Rousseeuw, 1987).

    a is the mean distance to the others of its cluster, b that to the nearest other cluster. A point alone in its cluster has 0, and
    so have all where there is but one cluster.
    """
    present, of = labels.unique(return_inverse=True)
    if len(present) < 2:
        return 0.0
    belongs = torch.nn.functional.one_hot(of, len(present)).to(distances.dtype)
    sizes, sums = belongs.sum(dim=0), distances @ belongs
    own = of[:, None]
    inside = sums.gather(1, own)[:, 0] / (sizes[of] - 1).clamp(min=1)
    outside = (sums / sizes).scatter(1, own, torch.inf).min(dim=1).values
    larger = torch.maximum(inside, outside)
    good = (sizes[of] > 1) & (larger > 0)
    return float(torch.where(good, (outside - inside) / larger.clamp(min=1e-300), 0.0).mean())


def contingency(a: Int64[Tensor, " n"], b: Int64[Tensor, " n"]) -> Int64[Tensor, "i j"]:
    """How many points have label i in `a` and j in `b`."""
    columns = int(b.max()) + 1
    return torch.bincount(a * columns + b, minlength=(int(a.max()) + 1) * columns).view(-1, columns)


def purity(clusters: Int64[Tensor, " n"], classes: Int64[Tensor, " n"]) -> float:
    """Share of the points, 0 to 1, that are of the class most frequent in their cluster; it grows with the number of clusters."""
    return int(contingency(clusters, classes).amax(dim=1).sum()) / len(classes)


def adjusted_rand(a: Int64[Tensor, " n"], b: Int64[Tensor, " n"]) -> float:
    """Share of pairs of points that both partitions keep together or apart, 0 where it is that of chance, 1 where they agree.

    Hubert and Arabie, 1985.
    """
    counts = contingency(a, b).double()
    together = _pairs(counts).sum()
    rows, columns, every = _pairs(counts.sum(dim=1)).sum(), _pairs(counts.sum(dim=0)).sum(), _pairs(counts.sum())
    expected = rows * columns / every if len(a) > 1 else every
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((together - expected) / (most - expected))


def _pairs(count: Tensor) -> Tensor:
    return count * (count - 1) / 2
