"""SimCLR, SupCon and SupCE as HobbitLong/SupContrast saves them: `encoder` and `head` under `model`, options beside."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap
from contrast.weights.residual_names import residual_name

_ENCODER = "encoder."


@dataclass(frozen=True, kw_only=True)
class SupContrastKeys(KeyMap):
    """`encoder.module` of several GPUs, `encoder` of one; the projection `head` and the classifier `fc` are left out.

    Its networks have the small stem (`stem=None`) and name shortcuts as this project does. `mean` and `std` are CIFAR-10's, as
    that code has them; of CIFAR-100 they are (0.5071, 0.4867, 0.4408) and (0.2675, 0.2565, 0.2761).
    """

    mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465)
    std: tuple[float, ...] = (0.2023, 0.1994, 0.2010)
    under: ClassVar[tuple[str, ...]] = ("model",)

    def ours(self, key: str) -> str | None:
        """What is below `encoder`."""
        if key.startswith(("head.", "fc.")):
            return None
        return residual_name(key.removeprefix(_ENCODER)) if key.startswith(_ENCODER) else key
