"""A key map knows a published layout: where a file has the encoder's tensors, and what each is called here."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from contrast.component import Component, require


@dataclass(frozen=True, kw_only=True)
class KeyMap(Component, ABC):
    """The names of a published layout. `mean` and `std` (above 0): what the network that was saved was fed with, a number a channel.

    A pixel in [0, 1] becomes (pixel - mean) / std; ImageNet's are usual. `under`: entries of the file of which the first that is
    there holds the tensors; a file without them holds the tensors itself, as safetensors always do.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    under: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        require(len(self.mean) >= 1, self, "mean", "must have a number for each channel", "Use (0.485, 0.456, 0.406) for colour.")
        alike = len(self.std) == len(self.mean) and min(self.std) > 0
        require(alike, self, "std", f"must have a number above 0 for each of {len(self.mean)} channels", "Use (1.0, 1.0, 1.0) for none.")

    @abstractmethod
    def ours(self, key: str) -> str | None:
        """The name in the encoder of what the file calls `key`, wrappers left out (`unwrapped`).

        None for what is not the encoder's: a head, a queue, a second network. Any other name must be one of the encoder's.
        """


def unwrapped(key: str) -> str:
    """`key` without what parallel and compiled training put before or into it: `module.` and `_orig_mod.`."""
    return ".".join(part for part in key.split(".") if part not in ("module", "_orig_mod"))
