"""InfoNCE against a queue is cross-entropy of the own key, and against random keys its closed form (PROTOCOL 2.7)."""

import math

import pytest
import torch
from scipy.special import hyp0f1
from torch.nn.functional import cross_entropy, normalize

from contrast.losses.info_nce import info_nce
from contrast.losses.similarity import unit_views
from contrast.losses.temperature import HIGHEST, LOWEST
from contrast.momentum import random_queue


def unit(seed, *shape, dtype=torch.float64):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype), dim=-1)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize("length", [1, 5, 40])
def test_the_loss_is_cross_entropy_of_the_own_key_among_all_with_its_gradient(temperature, length):
    queries, keys, queue = unit(0, 6, 8).requires_grad_(), unit(1, 6, 8), unit(2, length, 8)
    logits = [[float(q @ k) / temperature for k in (own, *queue)] for q, own in zip(queries, keys, strict=True)]
    expected = sum(math.log(sum(math.exp(s) for s in row)) - row[0] for row in logits) / 6
    found = info_nce(queries, keys, queue, temperature)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(found, queries)
    all_logits = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ queue.T], 1) / temperature
    (plain,) = torch.autograd.grad(cross_entropy(all_logits, torch.zeros(6, dtype=torch.long)), queries)
    torch.testing.assert_close(gradient, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("temperature", [LOWEST, HIGHEST])
def test_at_the_ends_of_the_temperatures_loss_and_gradient_are_finite_and_right_to_a_hundredth(temperature):
    """In float32 against float64, of queries and keys of bfloat16 that have nearly collapsed."""
    rows = (unit(0, 1, 16) + 0.01 * unit(1, 60, 16)).bfloat16()
    found = []
    for kind in (torch.float32, torch.float64):
        given = rows.to(kind).requires_grad_()
        queries, keys, queue = unit_views(given[:, None])[:, 0].split(20)
        loss = info_nce(queries, keys.detach(), queue.detach(), temperature)
        loss.backward()
        found.append((float(loss.detach()), given.grad.double()))
    assert found[0][0] == pytest.approx(found[1][0], rel=0.01)
    assert (found[0][1] - found[1][1]).norm() < 0.01 * found[1][1].norm()


@pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("cosine", [-0.5, 0.0, 0.9])
def test_against_a_random_queue_the_loss_is_its_closed_form(temperature, cosine):
    """log(1 + K E[e^{cos / t}] / e^{pos / t}); on the sphere in d dimensions the mean is 0F1(d / 2; 1 / (4 t^2))."""
    length, width = 1 << 15, 16
    queue = random_queue(length, width, torch.Generator().manual_seed(0)).double()
    queries = unit(1, 64, width)
    aside = unit(2, 64, width)
    aside = normalize(aside - (aside * queries).sum(1, keepdim=True) * queries, dim=1)
    keys = cosine * queries + math.sqrt(1 - cosine**2) * aside
    expected = math.log1p(length * hyp0f1(width / 2, 0.25 / temperature**2) * math.exp(-cosine / temperature))
    assert float(info_nce(queries, keys, queue, temperature)) == pytest.approx(expected, abs=0.02)
