"""The forward pass of a training step, and how a penalty looks at the network again without leaving a trace in it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast.distributed import Processes
from contrast.losses.loss import full_precision
from contrast.norms import frozen_norms, without_memory


def outputs(net: nn.Module, inputs: Float[Tensor, "n v c h w"], precision: torch.dtype) -> Float[Tensor, "n v d"]:
    """What `net` makes of every view, computed in `precision`, given in float32 (float64 stays)."""
    n, v = inputs.shape[:2]
    flat = inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, precision, enabled=precision is not torch.float32):
        output = net(flat)
    return full_precision(output.view(n, v, output.shape[1:].numel()))


@dataclass(frozen=True)
class Forward:
    """The network of one step as a function of views [n, v, c, h, w] of this process' images, of the `count` in the batch.

    Every pass gives the outputs [count, v, d] of the whole batch, with gradient. `precision` is that of the step's own pass.
    """

    net: nn.Module
    count: int
    processes: Processes = Processes()
    precision: torch.dtype = torch.float32

    @property
    def rows(self) -> slice:
        """Which of the batch are this process' images."""
        return self.processes.part(self.count)

    def first(self, inputs: Float[Tensor, "n v c h w"]) -> Float[Tensor, "m v d"]:
        """The step's own pass, in its precision; batch normalisations in training add what they see to their running statistics."""
        return self._pass(inputs, self.precision)

    def again(self, inputs: Float[Tensor, "n v c h w"]) -> Float[Tensor, "m v d"]:
        """A further pass in full precision; running statistics stay as they are."""
        with without_memory(self.net):
            return self._pass(inputs, torch.float32)

    def frozen(self, inputs: Float[Tensor, "n v c h w"]) -> Float[Tensor, "m v d"]:
        """The same with batch normalisations by their running statistics, so that no image moves the output of another."""
        with frozen_norms(self.net):
            return self._pass(inputs, torch.float32)

    def _pass(self, inputs: Tensor, precision: torch.dtype) -> Tensor:
        return self.processes.gathered(outputs(self.net, self.processes.shared(inputs), precision), self.count)
