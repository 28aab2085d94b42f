"""timm's plain residual networks, in torchvision's names; with timm's own modules, `OwnKeys` is the map."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap
from contrast.weights.residual_names import residual_name


@dataclass(frozen=True, kw_only=True)
class TimmKeys(KeyMap):
    """timm's `resnet18` to `resnet101` for a ResNet of this project; the classifier `fc` is left out.

    Those with another stem or pooling (`resnet50d`, `resnet50s`) are other networks: use `TimmEncoder` with
    `OwnKeys(mean=..., std=...)`. timm states for each model which `mean` and `std` it was trained with (`default_cfg`): ImageNet's,
    as they are here if not given, or others such as (0.5, 0.5, 0.5).
    """

    under: ClassVar[tuple[str, ...]] = ("state_dict_ema", "state_dict", "model")

    def ours(self, key: str) -> str | None:
        """All but the classifier."""
        return None if key.startswith("fc.") else residual_name(key)
