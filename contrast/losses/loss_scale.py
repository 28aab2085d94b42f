"""Factors that published code multiplies a contrastive loss by: they change the learning rate of plain SGD, not of LARS."""

from typing import Literal

LossScale = Literal["times_tau", "tau_over_base", "sum_of_halves"]
_BASE = 0.07


def scale_factor(scale: LossScale | None, temperature: float) -> float:
    """1 for None, the mean over anchors (PROTOCOL 1.4).

    `times_tau`: the temperature, as SupCon's TensorFlow code; `tau_over_base`: temperature / 0.07, as its PyTorch code;
    `sum_of_halves`: 2, since SimCLR's code adds the means over the two views.
    """
    if scale == "times_tau":
        return temperature
    if scale == "tau_over_base":
        return temperature / _BASE
    return 2.0 if scale == "sum_of_halves" else 1.0
