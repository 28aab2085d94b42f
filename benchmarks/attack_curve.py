"""Accuracy under PGD at 8 radii, and under FGSM at 15, against torchattacks called once a radius; same starts and steps, one thread.

ResNet-8 on CIFAR-10, trained as usual and then on, adversarially, by PGD of 2 steps at 8/255, is attacked on 200 test images in l_inf, 10
steps of 2.5 eps / 10. Torchattacks has no criterion of its own: its examples are those of the last iterate. A network that notes its own
predictions tells what its other iterates would have found. So three accuracies are shown a radius: theirs by the last iterate; theirs by
any iterate, as a monotone envelope over the radii; ours, which must be equal to that, sample by sample. Times are processor time, the
median of repeats that alternate, those of FGSM for information, since its measure keeps the loss of every sample at every radius; theirs
is in whichever batch is faster, 64 or all. Memory is the rise of the peak.
"""

import sys
import time
from collections.abc import Callable, Iterator
from ctypes import CDLL
from functools import partial
from statistics import median

import numpy as np
import torch
import torchattacks
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis.folding import fold
from benchmarks import own_memory
from benchmarks.row import Row, shown
from benchmarks.simclr_task import root
from contrast import CIFAR10, SmallResNet
from contrast.attacks import BATCH, fgsm_curve, maximized, robust
from contrast.data.dataset import Dataset
from contrast.model import Net

IMAGES, STEPS, REPEATS = 200, 10, 3
PGD_RADII = [level / 255 for level in range(1, 9)]
FGSM_RADII = [level / 255 for level in range(1, 16)]
ENCODER, EPOCHS, PER_CLASS, LR = SmallResNet(16), 8, 1000, 0.1


class Noting(nn.Module):
    """A network that remembers the classes it gave, call by call."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.given = net, list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        self.given.append(logits.detach().argmax(1))
        return logits


def pixels(data: Dataset, count: int | None = None) -> tuple[Tensor, Tensor]:
    images = data.load(root())
    chosen = np.random.default_rng(0).permutation(len(images.labels))[:count]
    return torch.from_numpy(np.array(images.pixels)[chosen]).float() / 255, torch.from_numpy(np.array(images.labels)[chosen])


def trained(net: Net, x: Tensor, y: Tensor, eps: float) -> Net:
    """SGD with a linearly falling rate, adversarial training unless `eps` is 0; in eval mode."""
    draws = torch.Generator().manual_seed(0)
    net = net.to(memory_format=torch.channels_last).requires_grad_(True)
    optimizer = torch.optim.SGD(net.parameters(), LR, momentum=0.9, weight_decay=5e-4, nesterov=True)
    fading = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, EPOCHS * (len(x) // BATCH))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=draws).split(BATCH)[: len(x) // BATCH]:
            images = x[rows].contiguous(memory_format=torch.channels_last)
            if eps > 0:
                noise = (2 * torch.rand(images.shape, generator=draws) - 1) * eps
                images = maximized(net.eval(), images, y[rows], torch.full((len(rows),), eps), noise, steps=2)
            loss = cross_entropy(net.train()(images), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fading.step()
    return net.to(memory_format=torch.contiguous_format).eval().requires_grad_(False)


def theirs(
    attack: Callable[[nn.Module, float], torchattacks.attack.Attack], net: Net, x: Tensor, y: Tensor, radii: list[float], batch: int
) -> Tensor:
    """Bool [2, radii, n]: who stands by the last iterate, and who by all of them."""
    standing = torch.empty(2, len(radii), len(x), dtype=torch.bool)
    for e, radius in enumerate(radii):
        for start in range(0, len(x), batch):
            rows = slice(start, start + batch)
            noting = Noting(net).eval()  # which torchattacks would put back into training mode with all that is in it
            torch.manual_seed(start)
            examples = attack(noting, radius)(x[rows], y[rows])
            with torch.no_grad():
                noting(examples)
            right = torch.stack(noting.given) == y[rows]
            standing[0, e, rows], standing[1, e, rows] = right[-1], right.all(0)
    return standing


def unit_noise(x: Tensor, batch: int) -> Tensor:
    """The starts that torchattacks draws, at radius 1."""
    parts = []
    for start in range(0, len(x), batch):
        torch.manual_seed(start)
        parts.append(torch.empty_like(x[start : start + batch]).uniform_(-1, 1))
    return torch.cat(parts)


def ours_pgd(net: Net, x: Tensor, y: Tensor, batch: int) -> Tensor:
    """From the unprepared network, as the measure does it."""
    noise = unit_noise(x, batch)
    x = x.contiguous(memory_format=torch.channels_last)
    folded = fold(net, x[:2])[0].to(memory_format=torch.channels_last)
    return robust(folded, x, y, torch.tensor(PGD_RADII, dtype=torch.float64), lambda rows, _: noise[rows], steps=STEPS)


def ours_fgsm(net: Net, x: Tensor, y: Tensor, _: int) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    folded = fold(net, x[:2])[0].to(memory_format=torch.channels_last)
    return fgsm_curve(folded, x, y, torch.tensor(FGSM_RADII, dtype=torch.float64))[0].cummin(0).values[1:]


def timed(run: Callable[[], Tensor]) -> tuple[float, float, Tensor]:
    """Seconds of the processor, MB by which the peak rose, and what came out."""
    CDLL("libc.so.6").malloc_trim(0)  # what was freed before shall not hide what is taken now
    before = own_memory.resident()
    own_memory.reset_peak()
    began = time.process_time()
    found = run()
    return time.process_time() - began, own_memory.peak() - before, found


def compared(
    name: str, peer: Callable[[int], Tensor], own: Callable[[int], Tensor], batch: int, limits: tuple[float | None, float | None]
) -> Iterator[Row]:
    """Rows of one attack on one network."""
    runs = [(timed(partial(own, batch)), timed(partial(peer, batch))) for _ in range(REPEATS)]
    (_, own_mb, found), (_, peer_mb, (last, every)) = runs[0]
    yield Row(f"{name}: torchattacks against ours", median(b[0] / a[0] for a, b in runs), "ratio", *limits, at_least=True)
    yield Row(f"{name}: ours, {len(found)} radii", median(a[0] for a, _ in runs), "s")
    envelope = every.cummin(0).values
    yield Row(f"{name}: samples judged otherwise", int((found != envelope).any(0).sum()), f"of {IMAGES}", 0, 0, exactly=True)
    for title, standing in (("last iterate", last), ("any, envelope", envelope), ("ours", found)):
        print(f"{name}: {title:<14}", *(f"{100 * share:5.1f}" for share in standing.double().mean(1).tolist()), "%")
    yield Row(f"{name}: memory of torchattacks", peer_mb, "MB")
    yield Row(f"{name}: memory of ours", own_mb, "MB")


def iterates(net: Net, x: Tensor, y: Tensor) -> Iterator[Row]:
    """The greatest difference of a pixel after each of the steps, without random starts."""
    x, y = x[:BATCH], y[:BATCH]
    for norm, kind, radius, extra in (
        ("linf", torchattacks.PGD, 8 / 255, {}),
        ("l2", torchattacks.PGDL2, 0.5, {"eps_for_division": 1e-12}),
    ):
        worst = 0.0
        for steps in range(1, STEPS + 1):
            peer = kind(net, eps=radius, alpha=2.5 * radius / STEPS, steps=steps, random_start=False, **extra)(x, y)
            own = maximized(net, x, y, torch.full((len(x),), radius), None, norm, steps, 2.5 * steps / STEPS)
            worst = max(worst, float((peer - own).abs().max()))
        yield Row(f"{norm}: iterates differ by at most", worst, "pixel in [0, 1]", 1e-6, 0)


def rows() -> Iterator[Row]:
    """Both networks, both attacks."""
    x, y = pixels(CIFAR10().held_out("confirm"), IMAGES)
    pgd = lambda net, eps: torchattacks.PGD(net, eps=eps, alpha=2.5 * eps / STEPS, steps=STEPS, random_start=True)  # noqa: E731
    fgsm = lambda net, eps: torchattacks.FGSM(net, eps=eps)  # noqa: E731
    torch.manual_seed(0)
    net = Net(CIFAR10.mean, CIFAR10.std, ENCODER.build(3, torch.Generator().manual_seed(0)), nn.Linear(ENCODER.width, 10))
    for name, eps, limits in (("standard", 0.0, (5, 8)), ("adversarially trained", 8 / 255, (2, 3))):
        net = trained(net, *pixels(CIFAR10(per_class=PER_CLASS)), eps)
        yield Row(f"{name}: accuracy without attack", 100 * float((net(x).argmax(1) == y).double().mean()), "%")
        peers = {attack: partial(theirs, attack, net, x, y) for attack in (pgd, fgsm)}
        batch = min((BATCH, IMAGES), key=lambda size: timed(partial(peers[fgsm], FGSM_RADII, size))[0])
        yield from compared(f"FGSM, {name}", partial(peers[fgsm], FGSM_RADII), partial(ours_fgsm, net, x, y), batch, (None, None))
        yield from compared(f"PGD, {name}", partial(peers[pgd], PGD_RADII), partial(ours_pgd, net, x, y), batch, limits)
    yield from iterates(net, x, y)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(shown(rows()))
