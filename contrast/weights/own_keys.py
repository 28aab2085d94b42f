"""Files that name the tensors as the encoder itself does: this project's own, and timm's for a `TimmEncoder`."""

from dataclasses import dataclass, field
from typing import ClassVar

from contrast.weights.key_map import KeyMap

_HEADS = tuple(f"{name}.{tensor}" for name in ("fc", "head", "head.fc", "classifier") for tensor in ("weight", "bias"))


@dataclass(frozen=True, kw_only=True)
class OwnKeys(KeyMap):
    """`weights.safetensors` of a finished stage of this project (`encoder.`), or a file of timm's for its `TimmEncoder`.

    Left out are what stands on the encoder (`top.`) and timm's classifier (`fc`, `head`, `classifier`). `mean` and `std` are those of
    the data that the encoder was trained on; there is no usual one.
    """

    mean: tuple[float, ...] = field()
    std: tuple[float, ...] = field()
    under: ClassVar[tuple[str, ...]] = ("state_dict_ema", "state_dict", "model")

    def ours(self, key: str) -> str | None:
        """The same name, without `encoder.`."""
        return None if key.startswith("top.") or key in _HEADS else key.removeprefix("encoder.")
