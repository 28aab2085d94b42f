"""What may vary, each range once, with its reason and source.

A knob is a function of an Optuna trial. Seeds are no knob: they are replicates.
"""

import math

from optuna.trial import BaseTrial


def temperature(trial: BaseTrial, low: float = 0.03, high: float = 1.0) -> float:
    """tau of a contrastive loss, log-uniform.

    0.07 (SupCon), 0.1 (SimCLR on ImageNet) and 0.5 (SimCLR on CIFAR-10) are all in use; outside 0.03 to 1 the softmax is
    one-hot or flat (PROTOCOL 10).
    """
    return trial.suggest_float("temperature", low, high, log=True)


def batch_size(trial: BaseTrial, choices: tuple[int, ...] = (128, 256, 512, 1024)) -> int:
    """Images a batch, powers of two: the number of negatives is about twice that (PROTOCOL 10)."""
    return int(trial.suggest_categorical("batch_size", choices))


def distribution_weight(trial: BaseTrial, low: float = 1e-4, high: float = 10.0) -> float:
    """lambda of the generalised contrastive loss, log-uniform: weight of the distribution term (PROTOCOL 2.6, 10).

    Compare `lambda_eff` = lambda d / tau, which the stage reports, since 1 there is NT-Xent at any width and temperature.
    """
    return trial.suggest_float("distribution_weight", low, high, log=True)


def penalty_weight(trial: BaseTrial, low: float = 0.01, high: float = 10.0) -> float:
    """lambda of an input-gradient penalty, log-uniform around the published 0.1, 1 and 10 (PROTOCOL 6.1)."""
    return trial.suggest_float("penalty_weight", low, high, log=True)


def projection_depth(trial: BaseTrial, low: int = 0, high: int = 4) -> int:
    """Dense layers of the projection head; 0 contrasts the encoder's output itself (PROTOCOL 1.3)."""
    return trial.suggest_int("projection_depth", low, high)


def learning_rate(trial: BaseTrial, around: float, batch: int = 256, octaves: float = 2.0) -> float:
    """Learning rate, log-uniform within `octaves` doublings of `around`, which holds for 256 images and scales with the batch."""
    centre = around * batch / 256
    factor = math.pow(2.0, octaves)
    return centre * trial.suggest_float("learning_rate_factor", 1 / factor, factor, log=True)
