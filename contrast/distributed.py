"""Several processes that train one network, so that they compute what one process would, to rounding.

Each holds the whole network and a part of every batch. The objective is a sum of shares, one a process, of everything that
the processes exchange; every exchange is a sum over processes, whose derivative of any order is again such a sum. So a loss
that compares all views of a batch, batch statistics and gradient penalties need no further care. (The usual convention, which
averages gradients and lets a gathered embedding carry only its own, is exact for the first derivative alone.)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from contrast.norms import replace_norms, take_over


@dataclass(frozen=True)
class Processes:
    """The process of number `rank` among `size` that train together; one process alone exchanges nothing.

    With more than one, torch's default process group is used, on the CPU (gloo) as on GPUs (nccl).
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that saves, monitors and reports."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.size == 1

    def part(self, count: int) -> slice:
        """Which of `count` samples are this process'; parts are in order of rank and differ by one sample at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def gathered(self, mine: Tensor, count: int) -> Tensor:
        """The rows of all processes, `count` in all, of which this one gives those of `part(count)`."""
        if self.alone:
            return mine
        part = self.part(count)
        before, after = mine.new_zeros(part.start, *mine.shape[1:]), mine.new_zeros(count - part.stop, *mine.shape[1:])
        return self.summed(torch.cat([before, mine, after]))

    def summed(self, mine: Tensor) -> Tensor:
        """The sum over processes."""
        return mine if self.alone else _Sum.apply(mine)

    def shared(self, inputs: Tensor) -> Tensor:
        """`inputs`, unchanged; the gradient at them of what every process computes alike is then counted once."""
        return inputs if self.alone else _Share.apply(inputs, self.size)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over processes, in place."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.alone or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def synchronise(self, net: nn.Module) -> None:
        """Have batch normalisations of `net` take their statistics over all processes; weights and names stay.

        Raises `UserError` for a batch normalisation with a forward pass of its own.
        """
        if self.alone:
            return
        replace_norms(net, lambda norm: SynchronisedNorm(norm, self), "cannot be synchronised. Ask for one GPU.")


class SynchronisedNorm(_BatchNorm):
    """A batch normalisation, with its weights, over the batches of all processes; in eval mode it is the same as before."""

    def __init__(self, norm: _BatchNorm, processes: Processes) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        take_over(self, norm)
        self.processes = processes

    def _check_input_dim(self, x: Tensor) -> None:
        """What the replaced one takes."""

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(variance + eps), scaled and shifted, by channel; statistics in at least float32."""
        if not self.training:
            return super().forward(x)
        given, x = x.dtype, x if x.dtype == torch.float64 else x.float()
        others = [i for i in range(x.dim()) if i != 1]
        shape = [-1 if i == 1 else 1 for i in range(x.dim())]
        here = x.new_tensor([x.numel() / x.shape[1]])
        sums = self.processes.summed(torch.cat([x.sum(others), here]))
        count = sums[-1].detach()
        centred = x - (sums[:-1] / count).view(shape)
        variance = self.processes.summed(centred.square().sum(others)) / count
        self._remember(sums[:-1].detach() / count, variance.detach() * count / (count - 1))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            out = out * self.weight.view(shape)
        if self.bias is not None:
            out = out + self.bias.view(shape)
        return out.to(given)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(variance.to(self.running_var.dtype), weight)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:  # noqa: ANN401 (torch's)
        total = mine.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 (torch's)
        return _Sum.apply(gradient)  # type: ignore[no-any-return]


class _Share(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, size: int) -> Tensor:  # noqa: ANN401 (torch's)
        ctx.size = size
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 (torch's)
        return gradient / ctx.size, None
