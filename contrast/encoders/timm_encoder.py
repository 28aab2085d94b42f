"""Any model of the library timm, an extra: `pip install "contrast-sweeps[timm]"`. Imported only where such a model is built."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from contrast.component import UserError, require
from contrast.encoders.encoder import Encoder


@dataclass(frozen=True)
class TimmEncoder(Encoder):
    """timm's `model` without its classifier and without pretrained weights, drawn by timm's own initialisation.

    timm decides which image sizes the model takes. Raises `UserError` when timm is not installed or does not know the name.
    """

    model: str

    def __post_init__(self) -> None:
        require(self.model != "", self, "model", "must name a model of timm", "See timm.list_models().")

    @property
    def width(self) -> int:
        """The number of features that timm states for the model."""
        with torch.device("meta"):
            features: int = self._model(3).head_hidden_size
        return features

    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """[N, channels, H, W] -> [N, width]."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator
            torch.manual_seed(seed)
            model: nn.Module = self._model(channels)
        return model

    def _model(self, channels: int) -> Any:  # noqa: ANN401 (a module with timm's attributes)
        try:
            import timm
        except ImportError as error:
            cure = "Install it with pip install 'contrast-sweeps[timm]', on the workers too."
            rule = f"needs the library timm, which cannot be imported ({error})"
            raise UserError(f"TimmEncoder.model = {self.model!r}: {rule}. {cure}") from error
        require(timm.is_model(self.model), self, "model", "must name a model of timm", "See timm.list_models().")
        return timm.create_model(self.model, pretrained=False, in_chans=channels, num_classes=0)
