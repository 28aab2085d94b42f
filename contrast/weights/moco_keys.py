"""MoCo v1 and v2 as facebookresearch/moco saves them: a query and a key encoder under `state_dict`, and the queue."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.weights.key_map import KeyMap
from contrast.weights.residual_names import residual_name

_QUERY = "encoder_q."


@dataclass(frozen=True, kw_only=True)
class MoCoKeys(KeyMap):
    """The query encoder `module.encoder_q`, which is what the official evaluation takes, without its head `fc`.

    The key encoder and the queue are left out.
    """

    under: ClassVar[tuple[str, ...]] = ("state_dict",)

    def ours(self, key: str) -> str | None:
        """What the query encoder has below its head."""
        name = key.removeprefix(_QUERY)
        if key.startswith(("encoder_k.", "queue")) or name.startswith("fc."):
            return None
        return residual_name(name) if key.startswith(_QUERY) else key
