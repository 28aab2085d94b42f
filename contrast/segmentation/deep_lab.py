"""DeepLab-V3: convolutions of several dilations side by side on an encoder's last map, and a classifier of its places."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear

from contrast.model import Net
from contrast.segmentation.dilation import spatial_parts

WIDTH = 256  # of the map that is classified


class SegmentationNet(Net):
    """An encoder with stages under DeepLab's head: calling it gives the logits of every pixel.

    `features(x)` is what it is in any `Net`: the encoder's last map, averaged over the image.
    """

    top: nn.Sequential

    def pixel_features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The map that the head's last layer, a linear classifier, reads."""
        h = (x - self.mean) / self.std
        for _, part in spatial_parts(self.encoder):
            h = part(h)
        for layer in list(self.top)[:-1]:
            h = layer(h)
        return h

    def logits(self, features: Float[Tensor, "n d i j"], size: tuple[int, int]) -> Float[Tensor, "n k h w"]:
        """Of every pixel of images of `size`, bilinear between those of the places of the map."""
        return interpolate(self.top[-1](features), size, mode="bilinear", align_corners=False)

    def classify(self, samples: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The logits of single places of the map."""
        last = self.top[-1]
        assert isinstance(last, nn.Conv2d)
        return linear(samples, last.weight.flatten(1), last.bias)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """The logits of every pixel."""
        return self.logits(self.pixel_features(x), (x.shape[-2], x.shape[-1]))


def deep_lab_head(width: int, classes: int, rates: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """torchvision's head on maps of `width` channels, initialised as torch does from `generator`; its last layer classifies."""
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead

    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
        torch.manual_seed(seed)
        return nn.Sequential(*DeepLabHead(width, classes, rates))
