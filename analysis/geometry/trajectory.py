"""Trajectories at equal progress: what a training passes through on its way, whatever the pace (METRICS 3).

Trainings take different epochs for the same way, so they are compared where their t_w agree. Between two checkpoints a trajectory is
taken to be the geodesic, on the sphere of each sample, and t_w to grow along it in proportion.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.geometry.bhattacharyya import FLOOR, arc, spheres


def riemann_length(log_probs: Float[Tensor, "t n c"]) -> float:
    """Length of a trajectory: the sum of the arcs between its checkpoints, in radians, each the root mean square over samples."""
    return arc(log_probs[:-1], log_probs[1:]).sum().item() if len(log_probs) > 1 else 0.0


def passes(t: Float[Tensor, " t"], wanted: float) -> bool:
    """Whether a trajectory comes to `wanted`: it does not begin beyond, and gets there."""
    return t[0].item() <= wanted <= t.max().item()


def at_progress(log_probs: Float[Tensor, "t n c"], t: Float[Tensor, " t"], wanted: float) -> Float[Tensor, "n c"]:
    """Square roots of the probabilities where a trajectory first comes to `wanted`, which it passes."""
    after = int((t >= wanted).nonzero()[0])
    if after == 0:
        return spheres(log_probs[0])
    share = (wanted - t[after - 1]) / (t[after] - t[after - 1])
    return between_points(spheres(log_probs[after - 1]), spheres(log_probs[after]), share.item())


def between_points(start: Float[Tensor, "n c"], end: Float[Tensor, "n c"], share: float) -> Float[Tensor, "n c"]:
    """The points of the geodesics between unit vectors at a share of the way, 0 to 1."""
    angle = 2 * (torch.linalg.vector_norm(start - end, dim=1, keepdim=True) / 2).clamp(max=1).asin()
    far = angle > 1e-6  # nearer ones are on a straight line as far as numbers tell
    sine = torch.where(far, angle.sin(), 1.0)
    first = torch.where(far, ((1 - share) * angle).sin() / sine, 1 - share)
    second = torch.where(far, (share * angle).sin() / sine, share)
    return first * start + second * end


def mutual(points: Float[Tensor, "r n c"]) -> Float[Tensor, "r r"]:
    """d_B of every pair of points, given by their square roots."""
    rows = []
    for point in points:
        rows.append(-(points * point).sum(dim=2).clamp(FLOOR, 1).log().mean(dim=1))
    return torch.stack(rows).fill_diagonal_(0)
