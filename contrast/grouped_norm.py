"""Batch normalisation in groups of a batch, as if each group were on a GPU of its own.

A network that sees a whole batch can tell a query's key by the batch statistics that the two share. Statistics of groups, which
are other images for keys than for queries, leave nothing to tell it by (PROTOCOL 2.7).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from contrast.component import UserError
from contrast.distributed import Processes
from contrast.norms import replace_norms, take_over


def require_shared(groups: int, count: int) -> None:
    """Raise `UserError` where `count` processes cannot share the groups evenly."""
    if groups % count:
        rule = f"must be a multiple of the {count} processes that share the batch, one a GPU"
        raise UserError(f"norm_groups = {groups}: {rule}. Use another number, norm_groups=None, or fewer GPUs.")


def group_norms(net: nn.Module, groups: int, processes: Processes) -> None:
    """Have batch normalisations of `net` take their statistics over each of `groups` equal parts of a batch; weights and names stay.

    Raises `UserError` where `processes` cannot share the groups evenly, and for a batch normalisation with a forward pass of its own.
    """
    require_shared(groups, processes.size)
    replace_norms(net, lambda norm: GroupedNorm(norm, groups, processes), "cannot be grouped. Set norm_groups=None.")


class GroupedNorm(_BatchNorm):
    """A batch normalisation, with its weights, over each of `groups` consecutive equal parts of the batch of all processes.

    Running statistics move by the mean over groups; in eval mode it is the same as before.
    """

    def __init__(self, norm: _BatchNorm, groups: int, processes: Processes) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        take_over(self, norm)
        self.groups, self.processes = groups, processes

    def _check_input_dim(self, x: Tensor) -> None:
        """What the replaced one takes."""

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(variance + eps), scaled and shifted, by channel and group."""
        if not self.training:
            return super().forward(x)
        mean, var, tracked = self.running_mean, self.running_var, self.num_batches_tracked
        parts = x.chunk(self.groups // self.processes.size)
        if mean is None or var is None or tracked is None:
            return torch.cat([batch_norm(part, None, None, self.weight, self.bias, True, 0.0, self.eps) for part in parts])
        tracked.add_(1)
        weight = 1 / float(tracked) if self.momentum is None else self.momentum
        means, variances = [mean.clone() for _ in parts], [var.clone() for _ in parts]
        out = [
            batch_norm(part, m, v, self.weight, self.bias, True, weight, self.eps)
            for part, m, v in zip(parts, means, variances, strict=True)
        ]
        with torch.no_grad():
            moved = self.processes.summed(torch.stack([torch.stack(means).sum(0), torch.stack(variances).sum(0)])) / self.groups
            mean.copy_(moved[0])
            var.copy_(moved[1])
        return torch.cat(out)
