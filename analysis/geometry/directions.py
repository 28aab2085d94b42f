"""Filter-normalised random directions in weight space (Li et al., 2018; PROTOCOL 5.4, METRICS 1).

A direction is Gaussian, then every filter (slice of the first axis) of every tensor of two or more axes gets the length of
the network's own filter; tensors of one axis (biases, normalisation) stay where they are. So a step of 1 is as large as
the weights for every network, and for ReLU networks the picture does not depend on how scale is spread over layers.
"""

from functools import partial
from math import sqrt

import torch
from torch import Tensor, nn

from contrast.random import generator

_GUARD = 1e-10


def filter_normalised(net: nn.Module, seed: int, index: int) -> dict[str, Tensor]:
    """Direction `index` of `seed` for every parameter by name, float32 on the parameter's device.

    The draw, on the CPU and in order of the parameters, depends on seed, index and shapes alone: networks of one
    architecture share their raw directions.
    """
    draws = generator(seed, f"landscape direction {index}")
    directions = {}
    for name, weight in net.named_parameters():
        raw = torch.randn(weight.shape, generator=draws).to(weight.device)
        directions[name] = torch.zeros_like(raw) if weight.dim() < 2 else raw * _ratio(weight.detach().float(), raw)
    return directions


def cosine(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Cosine of two directions over all parameters together; 0 when one of them is zero."""

    def product(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
        return sum((a[name].double() * b[name].double()).sum().item() for name in a)

    lengths = sqrt(product(first, first) * product(second, second))
    return product(first, second) / lengths if lengths > 0 else 0.0


def _ratio(weight: Tensor, raw: Tensor) -> Tensor:
    """Length of the weight's filter over length of the raw one, shaped to multiply the raw tensor."""
    norm = partial(torch.linalg.vector_norm, dim=1)
    lengths: Tensor = norm(weight.flatten(1)) / (norm(raw.flatten(1)) + _GUARD)
    return lengths.view(-1, *[1] * (raw.dim() - 1))
