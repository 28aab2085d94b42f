"""A preset is one scale of a sweep: `smoke` (seconds, for tests), `mini` (minutes on two cores), `paper` (the published numbers)."""

from typing import TypeVar

from contrast.component import UserError

T = TypeVar("T")


def chosen(preset: str, scales: dict[str, T]) -> T:
    """The scale called `preset`, or an error that lists what there is."""
    if preset not in scales:
        raise UserError(f"--preset = {preset!r}: this sweep has no such preset. Choose one of {', '.join(scales)}.")
    return scales[preset]
