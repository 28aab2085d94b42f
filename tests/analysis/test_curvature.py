"""Products with curvature matrices, spectra and traces against matrices that are written out, in float64 where they are exact.

A network of 300 weights stands for all, with normalisation that is folded, and a linear one, whose matrices have a closed form.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.func import hessian as written_out
from torch.nn.functional import cross_entropy

from analysis import Curvature
from analysis.geometry.objective import Objective
from analysis.geometry.products import drawn_labels, fisher_empirical, fisher_mc, ggn, hessian
from analysis.geometry.spectrum import density, lanczos, largest_known, trace
from analysis.subset import stratified
from contrast.component import UserError
from contrast.model import Net

PRODUCTS = {"hessian": hessian, "ggn": ggn, "fisher_empirical": fisher_empirical}


@pytest.fixture(scope="module")
def batch():
    draws = torch.Generator().manual_seed(0)
    return torch.rand(12, 3, 6, 6, generator=draws, dtype=torch.float64), torch.arange(12) % 4


@pytest.fixture(scope="module")
def net():
    """Two convolutions with batch normalisation, whose statistics and affine parameters are not the initial ones; float64."""
    torch.manual_seed(1)
    first, second = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Conv2d(4, 3, 3, stride=2)
    norms = nn.BatchNorm2d(4), nn.BatchNorm2d(3)
    for norm in norms:
        nn.init.normal_(norm.running_mean, std=0.2)
        nn.init.uniform_(norm.running_var, 0.3, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
    encoder = nn.Sequential(first, norms[0], nn.ReLU(inplace=True), second, norms[1], nn.ReLU(inplace=True), nn.Flatten())
    return Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(12, 4)).double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def linear():
    torch.manual_seed(0)
    return Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), nn.Linear(27, 4)).double().eval()


@pytest.fixture(scope="module")
def wanted(net, batch):
    """The Hessian, written out."""
    return written_out(loss_at(net, *batch))(flat(net))


def flat(net):
    return torch.cat([weight.reshape(-1) for weight in net.parameters()]).detach()


def loss_at(net, x, y):
    """The mean loss as a function of one vector of all weights."""
    sizes = [weight.numel() for weight in net.parameters()]

    def loss(vector):
        parts = zip(net.named_parameters(), vector.split(sizes), strict=True)
        return cross_entropy(functional_call(net, {name: part.view(weight.shape) for (name, weight), part in parts}, (x,)), y)

    return loss


def matrix(product, size):
    return product(torch.eye(size, dtype=torch.float64))


def known(values, seed=0):
    """A symmetric matrix of given eigenvalues, as its product, and the matrix."""
    draws = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=draws, dtype=torch.float64)).Q
    a = basis @ torch.diag(torch.as_tensor(values, dtype=torch.float64)) @ basis.T
    return lambda vectors: vectors @ a, a


def signs(size, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return lambda: 2.0 * torch.randint(2, (size,), generator=draws).double() - 1


def start(size):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def last(steps):
    *_, ritz = steps
    return ritz


# Products


def test_the_hessian_is_the_written_out_second_derivative(net, batch, wanted):
    assert len(flat(net)) < 2000
    some = torch.randn(12, len(wanted), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(hessian(Objective(net, *batch, batch=7))(some), some @ wanted, rtol=1e-9, atol=1e-12)
    eigenvalues = torch.linalg.eigvalsh(wanted).flip(0)
    for ritz in lanczos(hessian(Objective(net, *batch)), start(len(wanted)), 60, torch.float64):
        if largest_known(ritz, 5, 1e-6):
            break
    assert ritz.values[::-1][:5] == pytest.approx(eigenvalues[:5].numpy(), rel=1e-6)


def test_ggn_and_fisher_are_their_sums_over_written_out_jacobians(net, batch):
    x, y = batch
    sizes = [weight.numel() for weight in net.parameters()]

    def logits(vector):
        parts = zip(net.named_parameters(), vector.split(sizes), strict=True)
        return functional_call(net, {name: part.view(weight.shape) for (name, weight), part in parts}, (x,))

    j = torch.func.jacrev(logits)(flat(net))
    p = logits(flat(net)).softmax(1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    gradients = torch.einsum("nc,ncp->np", p - nn.functional.one_hot(y, 4), j)
    objective = Objective(net, x, y, batch=9)
    vectors = torch.stack([start(len(flat(net))), flat(net)])
    assert torch.allclose(ggn(objective)(vectors), torch.einsum("kp,nap,nab,nbq->kq", vectors, j, middle, j) / len(x), rtol=1e-9)
    assert torch.allclose(fisher_empirical(objective)(vectors), vectors @ gradients.T @ gradients / len(x), rtol=1e-9)


def test_of_a_linear_classifier_hessian_ggn_and_fisher_are_one_closed_form(linear, batch):
    net, (x, y) = linear, batch
    h = torch.cat([net.features(x), torch.ones(len(x), 1)], 1).double()
    p = net(x).softmax(1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    closed = torch.einsum("nab,nf,ng->afbg", middle, h, h) / len(x)  # of weights and biases, class by class
    inner, outer = closed[:, :-1, :, :-1].reshape(108, 108), closed[:, -1, :, -1]
    for make in (hessian, ggn):
        found = matrix(make(Objective(net, x, y)), 112)
        assert torch.allclose(found[:108, :108], inner, rtol=1e-6, atol=1e-12)
        assert torch.allclose(found[108:, 108:], outer, rtol=1e-6, atol=1e-12)
    objective = Objective(net, x, y)
    of_samples = torch.einsum("nc,nf->ncf", p - nn.functional.one_hot(y, 4), h).square().sum((1, 2))
    assert matrix(fisher_empirical(objective), 112).trace().item() == pytest.approx(of_samples.mean().item(), rel=1e-9)
    draws = torch.stack([fisher_mc(objective, np.arange(len(x)), seed)(start(112)[None]) for seed in range(60)])
    assert ((draws.mean(0) - ggn(objective)(start(112)[None])).abs() < 5 * draws.std(0) / 60**0.5 + 1e-12).all()


def test_labels_of_the_fisher_matrix_are_drawn_by_id_with_the_networks_probabilities():
    logits = torch.tensor([[0.0, 2.0, -1.0]], dtype=torch.float64).expand(4000, 3)
    ids = np.arange(4000)
    labels = drawn_labels(logits, ids, 0)
    shares = torch.bincount(labels, minlength=3) / 4000
    assert torch.allclose(shares.double(), logits[0].softmax(0), atol=0.03)
    assert torch.equal(drawn_labels(logits[:10], ids[:10], 0), labels[:10])
    assert not torch.equal(drawn_labels(logits, ids, 1), labels)


@pytest.mark.parametrize("operator", PRODUCTS)
def test_products_are_symmetric_and_the_same_for_any_micro_batch_and_block_of_vectors(net, batch, operator):
    net, (x, y) = copy.deepcopy(net).float(), batch
    make, vectors = PRODUCTS[operator], torch.stack([start(len(flat(net))), flat(net).double().roll(5)])
    vectors /= vectors.norm(dim=1, keepdim=True)
    whole = make(Objective(net, x.float(), y))(vectors)
    for size in (1, 5, 40):
        assert torch.allclose(make(Objective(net, x.float(), y, batch=size))(vectors), whole, rtol=1e-4, atol=1e-6)
    apart = torch.cat([make(Objective(net, x.float(), y))(vector[None]) for vector in vectors])
    assert torch.allclose(apart, whole, rtol=1e-6, atol=1e-9)
    assert abs(vectors[0] @ whole[1] - vectors[1] @ whole[0]) < 1e-6


def test_a_product_is_the_central_difference_of_gradients(net, batch):
    objective = Objective(net, *batch)
    vector = start(len(objective.at)) / start(len(objective.at)).norm()
    step = 1e-5
    difference = (objective.gradient(objective.at + step * vector) - objective.gradient(objective.at - step * vector)) / (2 * step)
    assert ((hessian(objective)(vector[None])[0] - difference).norm() / difference.norm()).item() < 1e-4


class Attention(nn.Module):
    """Places of an image attend to each other; a layer norm, which is not folded, and a weight that nothing reads."""

    def __init__(self):
        super().__init__()
        self.norm, self.maps, self.unread = nn.LayerNorm(3), nn.Linear(3, 12), nn.Parameter(torch.ones(2))

    def forward(self, x):
        q, k, v = self.maps(self.norm(x.flatten(2).transpose(1, 2))).split(4, dim=2)
        return nn.functional.scaled_dot_product_attention(q, k, v).mean(1)


@pytest.mark.parametrize("make", [hessian, ggn])
def test_attention_and_weights_that_nothing_reads_are_differentiated_like_the_rest(batch, make):
    torch.manual_seed(0)
    net = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), Attention(), nn.Linear(4, 4)).double().eval()
    objective = Objective(net, *batch)
    vector = start(len(objective.at))
    product = make(objective)(vector[None])[0]
    assert not objective.named(product)["encoder.unread"].any()
    if make is hessian:
        step = 1e-5 * vector / vector.norm()
        difference = (objective.gradient(objective.at + step) - objective.gradient(objective.at - step)) / 2e-5 * vector.norm()
        assert ((product - difference).norm() / difference.norm()).item() < 1e-4
    else:
        assert vector @ product > 0


def test_the_objective_is_the_networks_loss_and_gradient_and_leaves_the_network_alone(net, batch):
    x, y = batch
    kept = copy.deepcopy(net.state_dict())
    objective = Objective(net, x, y, batch=7)
    assert objective.loss() == pytest.approx(cross_entropy(net(x), y).item(), rel=1e-12)
    elsewhere = objective.at + 0.01 * start(len(objective.at))
    for at in (objective.at, elsewhere):
        assert objective.loss(at) == pytest.approx(loss_at(net, x, y)(at).item(), rel=1e-12)
        assert torch.allclose(objective.gradient(at), torch.func.grad(loss_at(net, x, y))(at), rtol=1e-9, atol=1e-14)
    assert all(torch.equal(kept[name], tensor) for name, tensor in net.state_dict().items())
    assert not any(weight.requires_grad for weight in net.parameters())


# Spectra


def test_lanczos_gives_both_ends_of_a_known_spectrum_with_residuals_that_hold():
    values = np.concatenate([np.linspace(-1, 1, 190), [3, 5, 8, 13, 21], [-4, -6]])
    product, a = known(values)
    ritz = last(lanczos(product, start(len(values)), 60, torch.float64))
    assert ritz.values[::-1][:5] == pytest.approx([21, 13, 8, 5, 3], rel=1e-6)
    assert ritz.values[:2] == pytest.approx([-6, -4], rel=1e-6)
    for early in list(lanczos(product, start(len(values)), 20, torch.float64)):
        for value, residual in zip(early.values, early.residuals, strict=True):
            assert np.abs(np.array(sorted(values)) - value).min() <= residual + 1e-9  # an eigenvalue is that near
    assert a.trace().item() == pytest.approx(values.sum())


def test_lanczos_ends_where_a_matrix_of_low_rank_has_no_more():
    product, _ = known(np.concatenate([[5.0, 2.0], np.zeros(98)]))
    steps = list(lanczos(product, start(100), 50, torch.float64))
    assert len(steps) == 3
    assert steps[-1].values[::-1] == pytest.approx([5, 2, 0], abs=1e-9)


@pytest.mark.parametrize("products", [12, 30, 60])
def test_the_trace_lies_within_three_errors_and_blocks_add_up(net, batch, wanted, products):
    sizes = [weight.numel() for weight in net.parameters()]
    blocks = torch.stack([block.sum() for block in wanted.diagonal().split(sizes)]).numpy()
    found = trace(hessian(Objective(net, *batch)), signs(len(wanted)), products, sizes, torch.float64)
    assert abs(found.trace - wanted.trace().item()) < 3 * found.error
    errors = found.blocks.std(axis=0, ddof=1) / len(found.blocks) ** 0.5
    assert (np.abs(found.blocks.mean(axis=0) - blocks) < 5 * errors + 1e-12).all()


def test_errors_of_traces_are_honest_and_hutch_is_exact_for_low_rank():
    values = np.concatenate([np.linspace(0, 2, 76), [50, 30, 20, 10]])
    product, _ = known(values)
    for count, rms in ((15, 0.2), (60, 0.03)):
        found = [trace(product, signs(80, seed), count, [80], torch.float64) for seed in range(40)]
        z = np.array([(one.trace - values.sum()) / one.error for one in found])
        assert np.abs(z).mean() < 1.3
        assert np.sqrt(np.mean([(one.trace / values.sum() - 1) ** 2 for one in found])) < rms
    low, _ = known(np.concatenate([[5.0, 2.0], np.zeros(98)]))
    assert trace(low, signs(100), 30, [60, 40], torch.float64).trace == pytest.approx(7, rel=1e-9)


def test_the_density_integrates_to_one_and_has_the_traces_first_moment(net, batch, wanted):
    product, draw = hessian(Objective(net, *batch)), signs(len(wanted))
    runs = [last(lanczos(product, draw(), 15, torch.float64)) for _ in range(8)]
    nodes, weights = np.stack([run.values for run in runs]), np.stack([run.weights for run in runs])
    assert weights.sum(1) == pytest.approx(1)
    moments = (weights * nodes).sum(1)
    assert abs(moments.mean() - wanted.trace().item() / len(wanted)) < 4 * moments.std(ddof=1) / 8**0.5
    second = (weights * nodes**2).sum(1)  # v'HHv / n of every probe
    assert abs(second.mean() - wanted.square().sum().item() / len(wanted)) < 4 * second.std(ddof=1) / 8**0.5
    at = np.linspace(nodes.min() - 1, nodes.max() + 1, 4001)
    curve = density(nodes, weights, at, 0.05)
    assert np.trapezoid(curve, at) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(curve * at, at) == pytest.approx(moments.mean(), abs=1e-6)


def test_curvlinops_agrees(net, batch):
    from curvlinops import EFLinearOperator, GGNLinearOperator, HessianLinearOperator

    x, y = batch
    objective, vector = Objective(net, x, y), start(len(flat(net)))
    free = copy.deepcopy(net).requires_grad_(True)
    peers = {"hessian": HessianLinearOperator, "ggn": GGNLinearOperator, "fisher_empirical": EFLinearOperator}
    for name, peer in peers.items():
        operator = peer(free, nn.CrossEntropyLoss(), list(free.parameters()), [(x, y)])
        assert torch.allclose(PRODUCTS[name](objective)(vector[None])[0], operator @ vector, rtol=1e-8, atol=1e-12)


# The measure


def small(stage, data, **fields):
    return Curvature(stage, on=data, **{"samples": 8, "steps": 40, "trace_products": 6, "probes": 2, "density_steps": 5} | fields)


def test_the_measure_names_its_operator_and_its_numbers_are_those_of_the_written_out_matrix(lab, blobs, tuned, net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), copy.deepcopy(net).float())
    results, arrays = lab.run(small(stage, data, tolerance=1e-4))
    rows = stratified(lab.workspace.images(data).labels, 8)
    x, y = lab.workspace.pixels(data, rows)
    assert arrays["ids"].tolist() == lab.workspace.images(data).ids[rows].tolist()
    eigenvalues = torch.linalg.eigvalsh(written_out(loss_at(net, x.double(), y))(flat(net))).flip(0)
    assert next(iter(results)) == "hessian_lambda_max"
    assert results["hessian_lambda_max"] == pytest.approx(eigenvalues[0].item(), rel=1e-4)
    assert arrays["eigenvalues"] == pytest.approx(eigenvalues[:5].numpy(), rel=1e-4)
    assert results["hessian_lambda_5_over_max"] == pytest.approx((eigenvalues[4] / eigenvalues[0]).item(), rel=1e-3)
    assert results["hessian_residual"] < 1e-4
    assert abs(results["hessian_lambda_min"] - eigenvalues[-1].item()) <= results["hessian_lambda_min_residual"] + 1e-5
    assert abs(results["hessian_trace"] - eigenvalues.sum().item()) < 5 * results["hessian_trace_se"]
    assert results["hessian_trace_per_weight"] == results["hessian_trace"] / len(eigenvalues)
    assert arrays["nodes"].shape == arrays["weights"].shape == (2, 5)


def test_a_flat_loss_has_no_curvature_and_no_ratio(lab, blobs, tuned, linear):
    net = copy.deepcopy(linear).float()
    nn.init.zeros_(net.top.weight)
    net.top.bias.data = torch.tensor([1e4, 0.0, 0.0, 0.0])
    data = blobs().held_out("confirm")
    results, _ = lab.run(small(lab.put(tuned(data), net), data, operator="ggn", top=5))
    assert results["ggn_lambda_max"] == results["ggn_residual"] == 0
    assert np.isnan(results["ggn_lambda_5_over_max"])


@pytest.mark.parametrize("operator", ["ggn", "fisher_mc", "fisher_empirical"])
def test_a_measure_that_is_stopped_after_every_part_ends_with_the_same_bytes(lab, blobs, tuned, net, operator):
    data = blobs().held_out("confirm")
    measure = small(lab.put(tuned(data), copy.deepcopy(net).float()), data, operator=operator, top=2, tolerance=1e-2)
    results, arrays = lab.run(measure)
    for file in lab.workspace.folder.iterdir():
        file.unlink()
    again, kept = lab.stopped(measure)
    assert again == results
    assert all(name.startswith(operator) for name in results)
    assert f"{operator}_lambda_min" not in results
    assert arrays.keys() == kept.keys()
    assert all(np.array_equal(arrays[name], kept[name]) for name in arrays)


def test_relative_flatness_is_a_sum_over_layers_that_rescaling_leaves_alone(lab, blobs, tuned):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False), nn.ReLU(), nn.Flatten())
    one, data = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(12, 4)).requires_grad_(False), blobs().held_out("confirm")
    other = copy.deepcopy(one)
    other.encoder[0].weight *= 4
    other.encoder[0].bias *= 4
    other.encoder[2].weight /= 4
    exact, found = [], []
    for seed, each in enumerate((one, other)):
        stage = lab.put(tuned(data, seed), each)
        found.append(lab.run(small(stage, data, trace_products=90, probes=0, top=1))[0])
        lab.workspace.restore(lambda epoch, state: False)
        x, y = lab.workspace.pixels(data, stratified(lab.workspace.images(data).labels, 8))
        each = copy.deepcopy(each).double()
        diagonal = written_out(loss_at(each, x.double(), y))(flat(each)).diagonal().split([w.numel() for w in each.parameters()])
        exact.append(sum(part.sum() * w.square().sum() for part, w in zip(diagonal, each.parameters(), strict=True) if w.dim() > 1).item())
    assert exact[0] == pytest.approx(exact[1], rel=1e-9)
    for results, closed in zip(found, exact, strict=True):
        assert abs(results["hessian_relative_flatness"] - closed) < 4 * results["hessian_relative_flatness_se"]
    assert found[0]["hessian_trace"] != pytest.approx(found[1]["hessian_trace"], rel=0.1)


def test_bad_fields_and_bad_networks_are_refused(lab, blobs, tuned, spoiled, net):
    data, stage = blobs().held_out("confirm"), tuned(blobs())
    for fields, field in (
        ({"top": 0}, "top"),
        ({"samples": 0}, "samples"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"steps": 5}, "steps"),
        ({"trace_products": 1}, "trace_products"),
        ({"probes": -1}, "probes"),
        ({"density_steps": 1}, "density_steps"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(UserError, match=rf"Curvature\.{field} = "):
            Curvature(stage, on=data, **fields)
    with pytest.raises(UserError, match=r"Curvature\.operator = 'fisher'"):
        spoiled(Curvature(stage, on=data), "operator", "fisher")
    certain, lost = copy.deepcopy(net).float(), copy.deepcopy(net).float()
    certain.top = nn.Sequential(certain.top, nn.Softmax(1))
    lost.top.weight[0, 0] = torch.inf
    for seed, (bad, words) in enumerate(((certain, "these are probabilities"), (lost, "not finite"))):
        with pytest.raises(UserError, match=words):
            lab.run(small(lab.put(tuned(data, seed), bad), data))
