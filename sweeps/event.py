"""Something that happened in a sweep, for whoever shows or logs it."""

from dataclasses import dataclass, field
from typing import Any

from contrast.stage import Metrics


@dataclass(frozen=True)
class Event:
    """Something that happened, for the display, the log and MLflow: a kind, a line of text, and whom it concerns."""

    kind: str
    text: str
    candidate: int | None = None
    fingerprint: str | None = None
    metrics: Metrics = field(default_factory=dict)
    epoch: int = 0


def numbers(metrics: Metrics) -> str:
    """The first four metrics as text."""
    return " ".join(f"{name}={number(value)}" for name, value in list(metrics.items())[:4] if name != "epoch")


def number(value: Any) -> str:  # noqa: ANN401 (a knob or a metric)
    """Four significant digits of a float, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
