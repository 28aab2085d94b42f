"""Calibration errors: how far confidence and accuracy lie apart, 0 to 1 (METRICS 6). NaN where a logit is NaN or infinite."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.calibration.bins import Binned, binned, confidences, equal_mass, equal_width


def ece(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int = 15) -> float:
    """Expected calibration error, 0 to 1, of logits: the mean over samples of |accuracy - confidence| of their bin.

    Confidence is the largest probability; the bins are of equal width and closed on the right (Guo et al., 2017). A network that
    is perfectly calibrated shows about sqrt(M / N), not 0. A logit of -inf is a probability of 0.
    """
    confidence, correct = confidences(outputs, labels)
    return binned(confidence, correct, equal_width(confidence, bins), bins).gap.sum().item()


def ece_equal_mass(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int = 15) -> float:
    """The same over bins of equally many samples (Nguyen and O'Connor, 2015)."""
    return _by_mass(outputs, labels, bins).gap.sum().item()


def debiased_l2(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int = 15) -> float:
    """Root mean square of accuracy - confidence over bins of equal mass, less what chance adds (Kumar et al., 2019).

    From each bin's square a (1 - a) / (n - 1) is taken, where a is its accuracy and n its samples; a bin of one sample adds
    nothing. 0 where the difference is negative, as it is for about half of all perfectly calibrated networks.
    """
    found = _by_mass(outputs, labels, bins)
    several = found.count > 1
    count, confidence, correct = (sums[several] for sums in (found.count, found.confidence, found.correct))
    accuracy = correct / count
    squares = (accuracy - confidence / count) ** 2 - accuracy * (1 - accuracy) / (count - 1)
    return (count / len(labels) @ squares).clamp(min=0).sqrt().item()


def class_wise_ece(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int = 15) -> float:
    """Mean over classes of the ECE of "it is this class" with the probability of the class (Kull et al., 2019).

    A class of which there is no sample counts too: every probability that it was given is error.
    """
    return torch.stack([found.gap.sum() for found in by_class(outputs, labels, bins)]).mean().item()


def by_class(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int) -> list[Binned]:
    """For each class the probabilities of it in bins of equal width, where right is who belongs to it."""
    logs = outputs.log_softmax(dim=1)
    found = []
    for number in range(outputs.shape[1]):
        probability = logs[:, number].exp()
        found.append(binned(probability, labels == number, equal_width(probability, bins), bins))
    return found


def _by_mass(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int) -> Binned:
    confidence, correct = confidences(outputs, labels)
    return binned(confidence, correct, equal_mass(confidence, bins), bins)
