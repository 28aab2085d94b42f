"""The learning rate that a batch of another size should have (PROTOCOL 1.4)."""

import math


def linear_scaling(base: float, batch_size: int) -> float:
    """base * batch_size / 256: `base` is the rate for 256 images (Goyal et al., 2017)."""
    return base * batch_size / 256


def sqrt_scaling(base: float, batch_size: int) -> float:
    """base * sqrt(batch_size): `base` is the rate for one image (SimCLR); 0.075 agrees with 0.3 of `linear_scaling` at 4096."""
    return base * math.sqrt(batch_size)
