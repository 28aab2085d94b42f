"""DeconvN: the mirror image of `ConvN`, a dense layer and three transposed convolutions; the decoder of the VAE baseline."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import Component, UserError, require_count
from contrast.heads.head import dense

LARGEST = 32  # the side beyond which ConvN pools its last feature map, which has no mirror image


@dataclass(frozen=True)
class DeconvN(Component):
    """Dense layers of 128 `n` units and of the last feature map of `ConvN(n)`, then 3x3 transposed convolutions of stride 2.

    These have 64 `n`, 32 `n` and the image's channels as outputs and the sizes of ConvN's feature maps in reverse: 4, 7, 14, 28
    for MNIST, 1, 2, 4, 8 for Digits. Batch normalisation and ReLU after every layer but the last, which gives the logits of
    pixels (PROTOCOL 2.8). `n` is from 1 to 64.
    """

    n: int = 1

    def __post_init__(self) -> None:
        require_count(self, "n", 64, "Use the n of the encoder ConvN.")

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise `UserError` for images (channels, height, width) of more than 32 pixels a side."""
        height, width = shape[1:]
        if max(height, width) > LARGEST:
            rule = f"{self!r} makes images of at most {LARGEST} x {LARGEST} pixels, not {height} x {width}"
            raise UserError(f"VAE.decoder: {rule}: the pooling of larger ones has no mirror image. Use MNIST(), CIFAR10() or Digits().")

    def build(self, latent: int, shape: tuple[int, int, int], generator: torch.Generator) -> nn.Module:
        """[N, latent] -> logits [N, channels, height, width] for images of `shape`; all weights are drawn from `generator`."""
        self.check(shape)
        sizes = [shape[1:]]
        for _ in range(3):
            sizes.append(_halved(sizes[-1]))
        wide, filters = 128 * self.n, 64 * self.n
        (height, width), outputs = sizes[-1], (filters, 32 * self.n, shape[0])
        layers: list[nn.Module] = [dense(latent, wide, generator, bias=False), nn.BatchNorm1d(wide), nn.ReLU()]
        layers += [dense(wide, filters * height * width, generator, bias=False), nn.Unflatten(1, (filters, height, width))]
        for before, after, small, large in zip((filters, *outputs[:-1]), outputs, sizes[:0:-1], sizes[-2::-1], strict=True):
            layers += [nn.BatchNorm2d(before), nn.ReLU(inplace=True), _transposed(before, after, small, large, generator)]
        last = layers[-1]
        last.bias = nn.Parameter(torch.zeros(shape[0]))
        return nn.Sequential(*layers)


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    """The feature map that a 3x3 convolution of stride 2 leaves."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _transposed(before: int, after: int, small: tuple[int, int], large: tuple[int, int], generator: torch.Generator) -> nn.ConvTranspose2d:
    """From `small` to `large` without bias; Kaiming-normal by its inputs, drawn from `generator`."""
    missing = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
    with torch.device("meta"):  # which draws nothing from the global generator
        layer = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=missing, bias=False)
    layer = layer.to_empty(device="cpu")
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    return layer
