"""The range of temperatures at which a loss of cosines is right in float32.

A cosine is right to 1e-7, a similarity, which is one divided by the temperature, to 1e-7 / temperature, and so are, relative to
themselves, the probabilities of a softmax and the gradient: to 1 % at 1e-4, not at all at 1e-7, and they overflow near 1e-9. At the
other end all others are equally likely to 1e-6, and nothing is left to learn.
"""

from typing import Protocol

from contrast.component import require

LOWEST, HIGHEST = 1e-4, 1e6


class Tempered(Protocol):
    """What has a temperature."""

    @property
    def temperature(self) -> float:
        """What cosines are divided by."""


def require_temperature(owner: Tempered) -> None:
    """Raise `UserError` unless the temperature of `owner` is from 1e-4 to 1e6."""
    rule = f"must be from {LOWEST} to {HIGHEST:g}, where float32 tells similarities apart"
    require(LOWEST <= owner.temperature <= HIGHEST, owner, "temperature", rule, "Usual values are 0.03 to 1.")
