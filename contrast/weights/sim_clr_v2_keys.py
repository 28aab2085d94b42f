"""Google's SimCLR v2 as Separius/SimCLRv2-Pytorch brings it to PyTorch: nets of numbered layers under `resnet`."""

import re
from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap

_STEM = {"0": "0", "1.0": "1"}
_LAYERS = {"0": "conv1", "1.0": "bn1", "2": "conv2", "3.0": "bn2", "4": "conv3", "5.0": "bn3"}
_SHORTCUT = {"shortcut": "0", "bn.0": "1"}
_PLACES = re.compile(
    r"net\.(?:0\.(?P<stem>0|1\.0)"
    r"|(?P<stage>[1-4])\.blocks\.(?P<block>\d+)\.(?:net\.(?P<layer>[024]|[135]\.0)|projection\.(?P<shortcut>shortcut|bn\.0)))"
    r"\.(?P<tensor>\w+)"
)


@dataclass(frozen=True, kw_only=True)
class SimCLRv2Keys(KeyMap):
    """Files such as `r50_1x_sk0.pth`: ResNet-50 or 101 without selective kernels (`sk0`); the classifier `fc` is left out.

    SimCLR feeds pixels in [0, 1] as they are: `mean` 0, `std` 1. Networks with selective kernels (`sk1`) are others and are refused.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    under: ClassVar[tuple[str, ...]] = ("resnet",)

    def ours(self, key: str) -> str | None:
        """All but the classifier."""
        if key.startswith("fc."):
            return None
        found = _PLACES.fullmatch(key)
        if found is None:
            return key
        tensor = found["tensor"]
        if found["stem"]:
            return f"stem.{_STEM[found['stem']]}.{tensor}"
        layer = _LAYERS[found["layer"]] if found["layer"] else f"shortcut.{_SHORTCUT[found['shortcut']]}"
        return f"stage{found['stage']}.{found['block']}.{layer}.{tensor}"
