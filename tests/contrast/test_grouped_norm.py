"""Groups of a batch are normalised as if each were on a GPU of its own."""

import torch
from torch import nn

from contrast.distributed import Processes
from contrast.grouped_norm import GroupedNorm


def test_groups_have_the_statistics_of_a_batch_each():
    norm, plain = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    for one in (norm, plain):
        nn.init.uniform_(one.weight, generator=torch.Generator().manual_seed(1))
        nn.init.uniform_(one.bias, generator=torch.Generator().manual_seed(2))
    grouped, x = GroupedNorm(norm, 4, Processes()), torch.randn(12, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    parts = [nn.BatchNorm2d(3) for _ in range(4)]
    for part in parts:
        part.load_state_dict(plain.state_dict())
    expected = torch.cat([part(piece) for part, piece in zip(parts, x.split(3), strict=True)])
    torch.testing.assert_close(grouped(x), expected)
    torch.testing.assert_close(grouped.running_mean, torch.stack([part.running_mean for part in parts]).mean(0))
    torch.testing.assert_close(grouped.running_var, torch.stack([part.running_var for part in parts]).mean(0))
    assert int(grouped.num_batches_tracked) == 1
    plain.load_state_dict(grouped.state_dict())
    assert torch.equal(grouped.eval()(x), plain.eval()(x))
