"""Multinomial logistic regression for many strengths of regularisation and several tasks at once, to the optimum.

The objective is mean cross-entropy + l2/2 |W|^2 with a free bias; in scikit-learn's terms C = 1 / (N l2). For every l2 > 0 it is
convex and has one optimum, where the biases are taken to have the sum that their start has.

Newton's method runs on all strengths of a task together: their logits are one matrix product, and a strength that is done leaves.
A Newton step needs no Hessian but its products with vectors, which conjugate gradients ask for in float32; gradients and weights
are float64, so the optimum is exact to float64. Features are turned to their principal axes, which leaves the objective as it is.
There the Hessian is near (mean of diag(p) - p p') x (variance of each axis) + l2, which an eigenvalue problem of C x C inverts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_CELLS = 1 << 24  # logits held at once: strengths beyond are fitted after one another
_ROUNDING = 1e-14
_ACCURACY = 0.1  # of a Newton step, at the start; it rises as the gradient falls
_PRODUCTS = 1000  # Hessian products of one step


@dataclass(frozen=True)
class LogisticFits:
    """Of T tasks and R strengths: `weight` [T, R, C, d], `bias` [T, R, C], float64.

    `excess` [T, R] estimates by how many nats the objective is above its optimum; `converged` [T, R] says where the tolerance was met.
    """

    weight: Float[Tensor, "t r c d"]
    bias: Float[Tensor, "t r c"]
    excess: Float[Tensor, "t r"]
    converged: Bool[Tensor, "t r"]


def fit_logistic(
    x: Float[Tensor, "t n d"] | Sequence[Float[Tensor, "_ d"]],
    y: Int64[Tensor, "t n"] | Sequence[Int64[Tensor, " _"]],
    l2: Sequence[float],
    *,
    tolerance: float = 1e-8,
    iterations: int = 100,
) -> LogisticFits:
    """The optimum of every task under every strength `l2` (above 0).

    A fit has converged when the norm of its gradient, in the metric of the approximate Hessian, is `tolerance` times that of weights 0
    under the best biases; half the square of that norm is its `excess`. One that does not get there within `iterations` Newton steps is
    marked. Raises `ValueError` where tasks differ in their classes, or a class has no sample, since then no bias is the best.
    """
    strengths = torch.tensor(l2, dtype=torch.float64)
    classes = {int(labels.max()) + 1 for labels in y}
    present = all(len(labels.unique()) == int(labels.max()) + 1 for labels in y)
    if len(classes) != 1 or not present or not bool((strengths > 0).all()):
        raise ValueError(f"every task must have samples of the same classes 0 to C - 1, and l2 must be above 0; l2 = {tuple(l2)}")
    tasks = [
        _task(features.double(), labels, strengths.to(features.device), tolerance, iterations)
        for features, labels in zip(x, y, strict=True)
    ]
    return LogisticFits(*(torch.stack(parts) for parts in zip(*tasks, strict=True)))


def _task(x: Tensor, y: Tensor, l2: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weight [R, C, d], bias [R, C], excess [R] and converged [R] of one task."""
    x, l2 = x.double(), l2.to(x.device)
    centre = x.mean(dim=0)
    scale = max((x - centre).square().mean().sqrt().item(), 1e-12 * x.abs().max().item()) or 1.0
    axes = _principal_axes(x - centre)
    turned = torch.cat([(x - centre) @ axes / scale, x.new_ones(len(x), 1)], dim=1)
    per_chunk = max(1, _CELLS // (len(x) * (int(y.max()) + 1)))
    parts = [_minimise(turned, y, some / scale**2, tolerance, iterations) for some in l2.split(per_chunk)]
    found, excess, converged = (torch.cat(part) for part in zip(*parts, strict=True))
    weight = found[..., :-1] @ (axes / scale).T
    return weight, found[..., -1] - weight @ centre, excess, converged


def _principal_axes(centred: Float[Tensor, "n d"]) -> Float[Tensor, "d k"]:
    """Orthonormal axes, k = min(n, d) columns, that span the rows and along which they are uncorrelated."""
    if len(centred) > centred.shape[1]:
        axes: Tensor = torch.linalg.eigh(centred.T @ centred)[1]
    else:
        axes = torch.linalg.svd(centred, full_matrices=False)[2].T
    return axes


def _minimise(x: Tensor, y: Tensor, l2: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """Parameters [R, C, k + 1], excess [R] and converged [R] for features [N, k + 1] whose last column is 1, of the bias."""
    truth = torch.nn.functional.one_hot(y).T.to(x.dtype)
    ridge = l2[:, None].repeat(1, x.shape[1])
    ridge[:, -1] = 0
    solved = x.new_zeros(len(l2), len(truth), x.shape[1])
    solved[..., -1] = truth.mean(dim=1).log()
    size, first = torch.full_like(l2, torch.inf), torch.full_like(l2, torch.inf)
    data = _Data(x, x.float(), truth, y, x.square().mean(dim=0))
    rest, ids = torch.ones_like(l2, dtype=torch.bool), torch.arange(len(l2), device=x.device)
    now = _Point(solved.clone(), (solved @ x.T), ridge)
    for step in range(iterations + 1):
        p = now.logits.softmax(dim=1)
        gradient = ((p - truth) @ x) / len(x) + now.ridge[:, None] * now.parameters
        metric = _Metric.of(p, data.energy, now.ridge)
        solved[ids], size[ids] = now.parameters, (gradient * metric.solve(gradient)).sum((1, 2)).clamp(min=0).sqrt()
        first = size.clone() if step == 0 else first
        rest = size > tolerance * first + _ROUNDING
        open_ = rest[ids]
        if not open_.any() or step == iterations:
            break
        ids, now, p, gradient, metric = ids[open_], now.where(open_), p[open_], gradient[open_], metric.where(open_)
        accuracy = _ACCURACY * (size[ids] / first[ids]).clamp(max=1) ** 0.25
        direction = _newton(data, p, gradient, now.ridge, metric, accuracy)
        now = _moved(data, now, p, direction)
    return solved, size.square() / 2, ~rest


@dataclass(frozen=True)
class _Data:
    """Features [N, k + 1] in two precisions, one-hot labels [C, N], labels [N], mean square of each feature [k + 1]."""

    x: Tensor
    coarse: Tensor
    truth: Tensor
    y: Tensor
    energy: Tensor


@dataclass(frozen=True)
class _Point:
    """Where the strengths are that are not done: parameters [r, C, k + 1], logits [r, C, N], ridge [r, k + 1] (0 for the bias)."""

    parameters: Tensor
    logits: Tensor
    ridge: Tensor

    def where(self, chosen: Tensor) -> "_Point":
        return _Point(self.parameters[chosen], self.logits[chosen], self.ridge[chosen])


@dataclass(frozen=True)
class _Metric:
    """The approximate Hessian among weights that sum to 0 over the classes, as all gradients do: `diagonal` [r, C - 1, k + 1] in the
    basis `turn` [r, C, C - 1].
    """

    turn: Tensor
    diagonal: Tensor

    @staticmethod
    def of(p: Tensor, energy: Tensor, ridge: Tensor) -> "_Metric":
        curvature = torch.diag_embed(p.mean(dim=2)) - p @ p.mT / p.shape[2]
        basis = _sum_zero(curvature)
        values, turn = torch.linalg.eigh(basis.T @ curvature @ basis)
        diagonal = values.clamp(min=0)[..., None] * energy + ridge[:, None]
        return _Metric(basis @ turn, diagonal.clamp(min=1e-30))

    def solve(self, gradient: Tensor) -> Tensor:
        return self.turn @ ((self.turn.mT @ gradient) / self.diagonal)

    def where(self, chosen: Tensor) -> "_Metric":
        return _Metric(self.turn[chosen], self.diagonal[chosen])

    def to(self, dtype: torch.dtype) -> "_Metric":
        return _Metric(self.turn.to(dtype), self.diagonal.to(dtype))


def _sum_zero(like: Tensor) -> Tensor:
    """Orthonormal columns [C, C - 1] that sum to 0, C being the last dimension of `like`."""
    size = like.shape[-1]
    basis: Tensor = torch.linalg.qr(torch.eye(size, dtype=like.dtype, device=like.device)[:, 1:] - 1 / size)[0]
    return basis


def _newton(data: _Data, p: Tensor, gradient: Tensor, ridge: Tensor, metric: _Metric, accuracy: Tensor) -> Tensor:
    """Newton directions [r, C, k + 1], float64; one that float32 does not make a way down is computed again in float64."""
    direction = _solve(data.coarse, data.y, p, gradient, ridge, metric, accuracy)
    odd = ~((gradient * direction).sum((1, 2)) < 0)
    if odd.any():
        direction[odd] = _solve(data.x, data.y, p[odd], gradient[odd], ridge[odd], metric.where(odd), accuracy[odd])
    return direction


def _solve(x: Tensor, y: Tensor, p: Tensor, gradient: Tensor, ridge: Tensor, metric: _Metric, accuracy: Tensor) -> Tensor:
    """Conjugate gradients for H d = -gradient in the precision of `x`, until the residual has fallen to `accuracy` [r] of what it was."""
    scale = gradient.abs().amax((1, 2), keepdim=True)
    p, ridge, metric, residual = p.to(x.dtype), ridge.to(x.dtype), metric.to(x.dtype), (-gradient / scale).to(x.dtype)
    found, ids = torch.zeros_like(residual), torch.arange(len(p), device=x.device)
    ahead = direction = metric.solve(residual)
    energy = (residual * ahead).sum((1, 2))
    enough = energy * accuracy.to(x.dtype) ** 2
    for _ in range(_PRODUCTS):
        product = _hessian(x, y, p, direction) + ridge[:, None] * direction
        length = (energy / (direction * product).sum((1, 2)))[:, None, None]
        found[ids] += length * direction
        residual = residual - length * product
        ahead = metric.solve(residual)
        before, energy = energy, (residual * ahead).sum((1, 2))
        open_ = energy > enough
        if not open_.all():
            if not open_.any():
                break
            ids, p, ridge, metric, residual = ids[open_], p[open_], ridge[open_], metric.where(open_), residual[open_]
            ahead, direction, energy, before, enough = (part[open_] for part in (ahead, direction, energy, before, enough))
        direction = ahead + (energy / before)[:, None, None] * direction
    return found.double() * scale


def _hessian(x: Tensor, y: Tensor, p: Tensor, direction: Tensor) -> Tensor:
    """The cross-entropy's Hessian times `direction` [r, C, k + 1].

    Changes of logits are taken against the label's: of a sample that is sure of its label, the small rest is exact then.
    """
    change = direction @ x.T
    change -= change.gather(1, y.expand(len(change), 1, -1))
    change *= p
    change -= p * change.sum(dim=1, keepdim=True)
    return change @ x / len(x)


def _moved(data: _Data, now: _Point, p: Tensor, direction: Tensor) -> _Point:
    """The point along `direction` where the slope is at most 0.3 of what it was: the length 1, or Newton's method in a bracket."""
    change, samples = direction @ data.x.T, len(data.x)
    ridged = now.ridge[:, None] * direction
    fixed = (ridged * now.parameters).sum((1, 2)) - (data.truth * change).sum((1, 2)) / samples
    bend = (ridged * direction).sum((1, 2))
    first = (p * change).sum((1, 2)) / samples + fixed
    t, low, high = torch.ones_like(first), torch.zeros_like(first), torch.full_like(first, torch.inf)
    for _ in range(50):
        weighted = (now.logits + t[:, None, None] * change).softmax(dim=1) * change
        mean = weighted.sum(dim=1)
        slope = mean.sum(dim=1) / samples + fixed + t * bend
        curvature = ((weighted * change).sum((1, 2)) - mean.square().sum(dim=1)) / samples + bend
        good = slope.abs() <= 0.3 * first.abs()
        if good.all():
            break
        low, high = torch.where(slope < 0, t, low), torch.where(slope >= 0, t, high)
        newton = (t - slope / curvature).clamp(max=4 * t)
        middle = torch.where(high.isinf(), 2 * t, (low + high) / 2)
        t = torch.where(good, t, torch.where((newton > low) & (newton < high), newton, middle))
    length = t[:, None, None]
    return _Point(now.parameters + length * direction, now.logits + length * change, now.ridge)
