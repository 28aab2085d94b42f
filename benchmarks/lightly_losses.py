"""Our losses against lightly's where these are the same, in float64: value and gradient.

    .venv-peers/bin/python -m benchmarks.lightly_losses

lightly lives in `.venv-peers` (make peers).
"""

from collections.abc import Callable, Iterator

import torch
from lightly.loss import NTXentLoss
from lightly.loss.hypersphere_loss import HypersphereLoss
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.row import Row, shown
from contrast import AlignmentUniformity, NTXent
from contrast.losses.info_nce import info_nce

IMAGES, WIDTH, QUEUE = 48, 16, 200
HOLD = 1e-10


def apart(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], views: Tensor) -> float:
    """The largest relative difference of the losses and of their gradients by the views [N, 2, d]."""
    found = []
    for loss in (ours, theirs):
        given = views.clone().requires_grad_()
        value = loss(given)
        found.append((value.detach(), torch.autograd.grad(value, given)[0]))
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*found, strict=True))


def rows() -> Iterator[Row]:
    """One row a loss and temperature."""
    draws = torch.Generator().manual_seed(0)
    views = torch.randn(IMAGES, 2, WIDTH, generator=draws, dtype=torch.float64)
    labels = torch.arange(IMAGES)
    queue = normalize(torch.randn(QUEUE, WIDTH, generator=draws, dtype=torch.float64), dim=1)
    for tau in (0.05, 0.1, 0.5, 1.0):
        peer = NTXentLoss(tau)
        found = apart(lambda z, tau=tau: NTXent(tau)(z, labels), lambda z, peer=peer: peer(z[:, 0], z[:, 1]), views)
        yield Row(f"NT-Xent against lightly, temperature {tau:g}", found, "relative", HOLD)
        banked = NTXentLoss(tau, memory_bank_size=(QUEUE, WIDTH))
        banked.memory_bank.bank = queue.clone()
        found = apart(
            lambda z, tau=tau: info_nce(normalize(z[:, 0], dim=1), normalize(z[:, 1], dim=1), queue, tau),
            lambda z, peer=banked: peer(z[:, 0], z[:, 1]),
            views,
        )
        yield Row(f"InfoNCE against lightly, temperature {tau:g}", found, "relative", HOLD)
    peer = HypersphereLoss(t=2.0, lam=1.0, alpha=2.0)
    found = apart(lambda z: AlignmentUniformity()(z, labels), lambda z: peer(z[:, 0], z[:, 1]), views)
    yield Row("alignment and uniformity against lightly", found, "relative", HOLD)


if __name__ == "__main__":
    raise SystemExit(shown(rows()))
