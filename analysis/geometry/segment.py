"""Networks between two others: weights on the segment between theirs, and normalisation statistics taken anew (METRICS 1)."""

import copy

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from contrast.model import Net
from contrast.norms import batch_norms

_BATCH = {"cpu": 64}
_BATCH_ELSEWHERE = 1024
NORM_BATCH = 128


class Segment:
    """The networks (1 - a) `first` + a `second`, 0 <= a <= 1, of one architecture; neither of them is touched."""

    def __init__(self, first: Net, second: Net) -> None:
        self.ends = [net.state_dict() for net in (first, second)]
        self.net = copy.deepcopy(first).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.normalised = bool(batch_norms(self.net))

    def at(self, a: float) -> Net:
        """The network at `a`, its running statistics between those of the ends, too; the one given before becomes this one."""
        first, second = self.ends
        between = {name: ((1 - a) * weight + a * second[name] if weight.is_floating_point() else weight) for name, weight in first.items()}
        self.net.load_state_dict(between)
        return self.net

    def renormalised(self, pixels: Float[Tensor, "n c h w"]) -> Net:
        """The network last asked for, each batch normalisation with the statistics of its own input for `pixels`.

        One pass in train mode, in equal batches of at most 128, over which means and variances are averaged; nothing of earlier
        statistics is left.
        """
        with torch.no_grad():
            update_bn(pixels.chunk(-(-len(pixels) // NORM_BATCH)), self.net)
        return self.net.eval()


@torch.inference_mode()
def loss_and_accuracy(net: Net, pixels: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"]) -> tuple[float, float]:
    """Mean cross-entropy in nats, infinite where outputs are not finite, and accuracy in per cent."""
    size = _BATCH.get(pixels.device.type, _BATCH_ELSEWHERE)
    outputs = torch.cat([net(x).double() for x in pixels.split(size)])
    sound = outputs.isfinite().all(dim=1)
    right = (outputs.argmax(dim=1) == labels) & sound
    return cross_entropy(outputs, labels).item() if sound.all() else torch.inf, 100 * right.double().mean().item()


def barrier(values: Float[np.ndarray, "k a"], alphas: Float[np.ndarray, " a"]) -> Float[np.ndarray, " k"]:
    """max over a of f(a) - ((1 - a) f(0) + a f(1)), at least 0: how far a curve rises above the line between its ends."""
    line = (1 - alphas) * values[..., :1] + alphas * values[..., -1:]
    highest: np.ndarray = (values - line).max(axis=-1)
    return highest
