"""InsDis, PIRL, MoCo, MoCo v2 and InfoMin as HobbitLong/PyContrast publishes them: `encoder` and heads under `model`."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap
from contrast.weights.residual_names import residual_name

_ENCODER = "encoder."


@dataclass(frozen=True, kw_only=True)
class PyContrastKeys(KeyMap):
    """`module.encoder` of PyContrast's model zoo: InsDis.pth, PIRL.pth, MoCo.pth, MoCov2.pth, InfoMin_200.pth, InfoMin_800.pth.

    The projection `head` and the jigsaw head `head_jig` (of PIRL and InfoMin) are left out. CMC, which splits the colour
    channels over two encoders, is another network and is refused.
    """

    under: ClassVar[tuple[str, ...]] = ("model",)

    def ours(self, key: str) -> str | None:
        """What is below `encoder`."""
        if key.startswith(("head.", "head_jig.")):
            return None
        return residual_name(key.removeprefix(_ENCODER)) if key.startswith(_ENCODER) else key
