"""Calibration errors: how far confidence and accuracy lie apart, 0 to 1 (METRICS 6)."""

from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.calibration.bins import binned, confidences, equal_width


def ece(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int = 15) -> float:
    """Expected calibration error, 0 to 1, of logits: the mean over samples of |accuracy - confidence| of their bin.

    Confidence is the largest probability; the bins are of equal width and closed on the right (Guo et al., 2017). A network that
    is perfectly calibrated shows about sqrt(M / N), not 0. NaN where a logit is NaN or +inf; -inf is a probability of 0.
    """
    confidence, correct = confidences(outputs, labels)
    return binned(confidence, correct, equal_width(confidence, bins), bins).gap.sum().item()
