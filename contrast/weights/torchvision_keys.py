"""torchvision's residual networks: `conv1`, `layer1.0.conv1`, `layer1.0.downsample.0`, `fc`."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap
from contrast.weights.residual_names import residual_name


@dataclass(frozen=True, kw_only=True)
class TorchvisionKeys(KeyMap):
    """A ResNet of torchvision's, supervised, or any network saved under those names; the classifier `fc` is left out.

    Also the file `pretrain_moco_v2.pkl` of Core-tuning's official code.
    """

    under: ClassVar[tuple[str, ...]] = ("state_dict", "model")

    def ours(self, key: str) -> str | None:
        """All but the classifier."""
        return None if key.startswith("fc.") else residual_name(key)
