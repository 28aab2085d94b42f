"""Google's SimCLR (v1) as tonylins/simclr-converter brings it to PyTorch: torchvision's names under `state_dict`."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap
from contrast.weights.residual_names import residual_name


@dataclass(frozen=True, kw_only=True)
class SimCLRKeys(KeyMap):
    """ResNet-50 of width 1, 2 or 4 (`base_width=64`, 128, 256); the classifier `fc` is left out.

    SimCLR feeds pixels in [0, 1] as they are: `mean` 0, `std` 1.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    under: ClassVar[tuple[str, ...]] = ("state_dict",)

    def ours(self, key: str) -> str | None:
        """All but the classifier."""
        return None if key.startswith("fc.") else residual_name(key)
