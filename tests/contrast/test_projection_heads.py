"""Each variant of the projection head (PROTOCOL 1.3): its layers, its size in closed form, and what its last layer does."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from contrast.component import UserError
from contrast.heads import BatchNormHead, MLPHead, SupConHead


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", [None, 20])
def test_heads_have_the_weights_their_shape_implies(depth, hidden):
    """Input 12, output 8: layers 12 -> hidden -> ... -> 8, hidden = 12 where it is not said."""
    k = hidden or 12
    widths = [12, *[k] * (depth - 1), 8]
    dense = sum(a * b for a, b in pairwise(widths))
    assert size(MLPHead(depth, 8, hidden).build(12, 3, seeded())) == dense + sum(widths[1:])
    assert size(BatchNormHead(depth, 8, hidden).build(12, 3, seeded())) == dense + 2 * k * (depth - 1) + 8
    assert size(BatchNormHead(depth, 8, hidden, last=False).build(12, 3, seeded())) == dense + 2 * k * (depth - 1)
    if hidden is None:
        assert size(SupConHead(depth, 8).build(12, 3, seeded())) == dense + 12 * (depth - 1)


def test_the_last_layer_of_simclrs_head_is_normalised_without_a_shift_or_relu():
    """In training each output has mean 0 and deviation 1, to 1e-4, and negative values."""
    head = BatchNormHead(3, 8).build(12, 3, seeded()).double()
    z = head(torch.randn(64, 12, dtype=torch.float64, generator=seeded(1)))
    torch.testing.assert_close(z.mean(0), torch.zeros(8, dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(8, dtype=torch.float64), atol=1e-2, rtol=0)
    assert head[-1].bias is None


@pytest.mark.parametrize("last", [True, False])
def test_simclrs_head_is_the_composition_of_its_layers(last):
    """To 1e-10, in float64, by running statistics."""
    head = BatchNormHead(2, 5, last=last).build(7, 10, seeded()).double().eval()
    h = torch.randn(6, 7, dtype=torch.float64, generator=seeded(1))
    scale = (1 + 1e-5) ** -0.5
    z = (h @ head[0].weight.T * scale).clamp(min=0) @ head[3].weight.T
    torch.testing.assert_close(head(h), z * scale if last else z, rtol=1e-10, atol=1e-10)


def test_supcons_head_reads_the_direction_of_the_features_alone():
    h = torch.randn(6, 7, dtype=torch.float64, generator=seeded(1))
    one, two = SupConHead().build(7, 10, seeded()).double(), SupConHead(2, 4, unit_input=False).build(7, 10, seeded()).double()
    torch.testing.assert_close(one(3 * h), normalize(h, dim=1) @ one[1].weight.T)
    torch.testing.assert_close(two(h), (h @ two[0].weight.T + two[0].bias).clamp(min=0) @ two[2].weight.T)


def test_a_head_as_wide_as_its_input_is_the_same_said_or_not():
    said, unsaid = (MLPHead(3, 8, hidden).build(12, 3, seeded()).state_dict() for hidden in (12, None))
    assert all(torch.equal(said[name], unsaid[name]) for name in unsaid)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: MLPHead(2, 128, 0), "MLPHead.hidden = 0"),
        (lambda: MLPHead(2, 128, 10**12), "MLPHead.hidden = 1000000000000: must be an integer from 1 to 16384"),
        (lambda: BatchNormHead(2, 8, 10**12), "BatchNormHead.hidden = 1000000000000"),
        (lambda: BatchNormHead(2, 10**12), "BatchNormHead.out = 1000000000000"),
        (lambda: SupConHead(1, 10**12), "SupConHead.out = 1000000000000"),
        (lambda: BatchNormHead(0), "BatchNormHead.depth = 0"),
        (lambda: BatchNormHead(5), "BatchNormHead.depth = 5"),
        (lambda: BatchNormHead(2, 0), "BatchNormHead.out = 0"),
        (lambda: BatchNormHead(2, 8, 0), "BatchNormHead.hidden = 0"),
        (lambda: SupConHead(0), "SupConHead.depth = 0"),
        (lambda: SupConHead(1, 0), "SupConHead.out = 0"),
    ],
)
def test_a_shape_out_of_range_is_refused_by_name(make, field):
    with pytest.raises(UserError, match=field):
        make()
