"""Least changes that are misclassified: operators against scipy, linear models whose distances are known, foolbox as a peer."""

from dataclasses import replace

import foolbox
import numpy as np
import pytest
import scipy
import torch
from torch import nn

from analysis import PGD, Accuracy, MinimalNorm
from analysis.figures.minimal_norm import misclassified as curve
from analysis.robustness.barrier import misclassified, prox_log_barrier
from analysis.robustness.bisection import bisected
from analysis.robustness.proximal import dual, length, on_l1_ball, prox
from contrast.component import UserError

NORMS = ("l0", "l1", "l2", "linf")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("mu", [0.4, 1.5])
def test_the_proximal_operators_minimise_what_they_say(norm, mu):
    s = np.random.default_rng(0).normal(size=(2, 4))
    found = prox(torch.from_numpy(s), torch.full((2,), mu, dtype=torch.float64), norm).numpy()

    def objective(v, row):
        return mu * float(length(torch.from_numpy(v)[None], norm)) + ((v - row) ** 2).sum() / 2

    for v, row in zip(found, s, strict=True):
        if norm == "l0":  # over all supports
            supports = np.stack(np.meshgrid(*[[0, 1]] * 4), -1).reshape(-1, 4)
            assert objective(v, row) <= min(objective(row * keep, row) for keep in supports) + 1e-12
            continue
        peers = [scipy.optimize.minimize(objective, begin, args=(row,), method="Powell", options={"ftol": 1e-12}) for begin in (row, v)]
        best = min(peer.fun for peer in peers)
        assert objective(v, row) <= best + 1e-9


def test_points_inside_the_l1_ball_are_their_own_projections():
    s = torch.tensor([[0.3, -0.2, 0.1], [1.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    wanted = torch.tensor([[0.3, -0.2, 0.1], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(on_l1_ball(s), wanted)
    assert torch.allclose(on_l1_ball(torch.tensor([[0.9, -0.7]])), torch.tensor([[0.6, -0.4]]))


def test_far_from_the_l1_ball_the_prox_of_l_inf_is_still_one():
    s = torch.tensor([[1e9, -3.0, 0.5], [2e-3, 1e-3, 0.0]])
    for mu in (torch.tensor([1e-3, 1e-12]), torch.tensor([1e-9, 1e-30])):
        found = prox(s, mu, "linf")
        assert found.isfinite().all()
        assert torch.allclose(found, s, atol=2e-3, rtol=1e-6), "of next to no strength it leaves every point alone"


@pytest.fixture(scope="module")
def linear():
    """Two classes of a linear model, images away from the walls: (net, x, y, least distance by norm)."""
    draws = torch.Generator().manual_seed(0)
    w = torch.randn(2, 27, dtype=torch.float64, generator=draws)
    x = 0.5 + 0.02 * torch.randn(12, 3, 3, 3, dtype=torch.float64, generator=draws)

    def net(x):
        return (x.flatten(1) - 0.5) @ w.T

    z = net(x)
    y = z.argmax(1)
    least = {}
    for norm in ("l2", "linf"):
        rise = dual((w[None] - w[y][:, None]).flatten(0, 1), norm).view(12, 2)
        far = (z.gather(1, y[:, None]) - z) / rise
        least[norm] = far.masked_fill(nn.functional.one_hot(y, 2).bool(), torch.inf).amin(1)
    return net, x, y, least


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_on_a_linear_model_the_least_distances_are_reached(linear, norm):
    net, x, y, least = linear
    start = misclassified(net, x, y, np.arange(12), x)
    ratio = prox_log_barrier(net, x, y, start, norm).distances / least[norm]
    assert ((ratio > 1 - 1e-9) & (ratio < 1.02)).all()
    ratio = bisected(net, x, y, None, norm, 4 * float(least[norm].max()), steps=40, bisections=12).distances / least[norm]
    assert ((ratio > 1 - 1e-9) & (ratio < 1.01)).all()


@pytest.mark.parametrize(("margin", "few", "small"), [(0.4, 1, 0.1), (2.4, 2, 0.7), (3.2, 3, 1.2)])
def test_few_and_small_changes_of_a_linear_model_are_those_of_the_largest_weights(margin, few, small):
    w = torch.tensor([4.0, -2.0, 1.0, 0.5], dtype=torch.float64)
    x, y = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)

    def net(u):
        crossed = (u - 0.5).flatten(1) @ w - margin
        return torch.stack([torch.zeros_like(crossed), crossed], 1)

    start = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
    assert prox_log_barrier(net, x, y, start, "l0", 8, 8).distances.item() == few
    assert prox_log_barrier(net, x, y, start, "l1").distances.item() == pytest.approx(small, rel=0.02)


@pytest.fixture(scope="module")
def small():
    """A network with smooth activations and what it sees: (net, x, y), some labels wrong."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(72, 4))
    net = nn.Sequential(*layers).eval().requires_grad_(False)
    x = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    y = net(x).argmax(1)
    y[::7] = (y[::7] + 1) % 4
    return net, x, y


@pytest.mark.parametrize("norm", NORMS)
def test_examples_are_misclassified_in_the_box_and_free_of_the_batch(small, norm):
    net, x, y = small
    start = misclassified(net, x, y, np.arange(20), x)
    found = prox_log_barrier(net, x, y, start, norm, 4, 4)
    assert (net(found.examples).argmax(1) != y).all()
    assert ((found.examples >= 0) & (found.examples <= 1)).all()
    assert torch.allclose(length((found.examples - x).flatten(1), norm), found.distances, rtol=1e-5)
    assert (found.distances[::7] == 0).all()
    assert torch.equal(found.examples[::7], x[::7])
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    again = misclassified(net, x[order], y[order], order.numpy(), x, batch=3)
    assert torch.equal(again, start[order])
    apart = prox_log_barrier(net, x[order], y[order], again, norm, 4, 4, batch=3)
    assert torch.allclose(apart.distances, found.distances[order], rtol=1e-3)


def test_a_sample_without_a_misclassified_start_is_infinitely_far(small):
    net, x, y = small
    constant = lambda x: 0 * net(x) + torch.tensor([1.0, 0.0, 0.0, 0.0])  # noqa: E731
    zeros = torch.zeros_like(y)
    start = misclassified(constant, x, zeros, np.arange(20), x)
    assert torch.equal(start, x)
    for norm in NORMS:
        assert prox_log_barrier(constant, x, zeros, start, norm).distances.isinf().all()
    assert bisected(constant, x, zeros, None, "linf", 0.1).distances.isinf().all()


PEERS = {
    "l0": lambda: foolbox.attacks.L0FMNAttack(steps=100),
    "l1": lambda: foolbox.attacks.L1FMNAttack(steps=100),
    "l2": lambda: foolbox.attacks.DDNAttack(steps=100),
    "linf": lambda: foolbox.attacks.LInfFMNAttack(steps=100),
}


@pytest.mark.parametrize("norm", PEERS)
def test_distances_are_close_to_foolbox(small, norm):
    net, x, y = small
    right = torch.nonzero(net(x).argmax(1) == y)[:8, 0]
    x, y = x[right], y[right]
    _, examples, found = PEERS[norm]()(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), x, y, epsilons=None)
    x, y, examples = x[found], y[found], examples[found]
    bound = length((examples - x).flatten(1), norm)
    ours = prox_log_barrier(net, x, y, misclassified(net, x, y, np.arange(len(x)), x), norm).distances

    assert len(x) >= 5
    assert (ours / bound).median() < (1.05 if norm == "l1" else 1.03)  # in l1 both stop in different local minima
    if norm in ("l2", "linf"):
        by_pgd = bisected(net, x, y, None, norm, 2 * float(bound.max()), 30, loss="margin").distances
        assert (by_pgd / bound).median() < 1.03


@pytest.mark.slow  # foolbox compiles its solver for 20 s
def test_distances_in_l2_are_those_of_brendel_and_bethge_sample_by_sample(small):
    net, x, y = small
    right = torch.nonzero(net(x).argmax(1) == y)[:8, 0]
    x, y = x[right], y[right]
    start = misclassified(net, x, y, np.arange(8), x)
    attack = foolbox.attacks.L2BrendelBethgeAttack(steps=200)
    _, examples, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), x, y, epsilons=None, starting_points=start)
    peer = length((examples - x).flatten(1), "l2")
    torch.testing.assert_close(prox_log_barrier(net, x, y, start, "l2").distances, peer, rtol=0.01, atol=0)


@pytest.mark.parametrize("attack", ["plb", "pgd"])
def test_the_measure_tells_the_distribution_and_goes_on_where_it_was_stopped(lab, blobs, tuned, linear_net, attack):
    data = blobs(per_class=3).held_out("confirm")
    stage = lab.put(tuned(data), linear_net.requires_grad_(False))
    measure = MinimalNorm(stage, on=data, attack=attack, eps=(0.1, 0.4, 3.0), samples=None)
    results, arrays = lab.run(measure)
    distances = arrays["distances"]
    assert next(iter(results)) == "median"
    assert results["median"] == np.median(distances)
    assert results["clean"] == pytest.approx(100 - lab.run(Accuracy(stage, on=data))[0]["accuracy"])
    assert results["misclassified_0.4"] == 100 * (distances <= 0.4).mean()
    fine = np.linspace(0, 3, 30_001)
    for name, relative in (("auc", False), ("auc_relative", True)):
        assert results[name] == pytest.approx(curve(distances, fine, relative).mean(), abs=0.02)
    assert results["failed"] == 100 * np.isinf(distances).mean()
    z, y = linear_net(lab.workspace.pixels(data)[0]), lab.workspace.pixels(data)[1]
    w = linear_net.top.weight / linear_net.std.expand(1, 3, 6, 6).reshape(1, -1)
    rise = (w[None] - w[y][:, None]).norm(dim=2)
    least = ((z.gather(1, y[:, None]) - z) / rise).masked_fill(nn.functional.one_hot(y, 4).bool(), torch.inf).amin(1).clamp(min=0)
    assert (np.sort(distances) >= np.sort(least.numpy()) - 1e-6).all()  # the box can only add
    if attack == "pgd":
        attacked = lab.run(PGD(stage, on=data, norm="l2", eps=(3.0,), steps=20, samples=None))[0]
        assert attacked["accuracy"] == pytest.approx(results["failed"])
        few, found = lab.run(replace(measure, eps=(1e-4,)))
        assert np.isinf(found["distances"]).any()
        assert few["median_relative"] == 1e-4, "at least as far as was looked"
    again, kept = lab.stopped(measure)
    assert again == results
    assert np.array_equal(kept["distances"], distances)


def test_fields_of_the_measure_that_mean_nothing_are_refused(blobs, tuned, spoiled):
    data, stage = blobs(), tuned(blobs())
    for make, field in (
        (lambda: MinimalNorm(stage, data, norm="l1", attack="pgd"), "attack"),
        (lambda: MinimalNorm(stage, data, eps=(0.0,)), "eps"),
        (lambda: MinimalNorm(stage, data, norm="linf"), "eps"),
        (lambda: MinimalNorm(stage, data, eps=(0.5, 0.2)), "eps"),
        (lambda: spoiled(MinimalNorm(stage, data), "norm", "l3"), "norm"),
        (lambda: MinimalNorm(stage, data, samples=0), "samples"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()
