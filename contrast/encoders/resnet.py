"""Residual networks for small images: a 3x3 stem that keeps the resolution, stages of basic blocks, global average pooling.

Every ReLU works in place. That is safe under double backward, which gradient penalties need: batch normalisation and
addition remember their inputs and not their outputs, which are what the ReLU overwrites.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int, generator: torch.Generator) -> None:
        super().__init__()
        self.conv1 = convolution(channels, out, 3, stride, generator)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = convolution(out, out, 3, 1, generator)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(convolution(channels, out, 1, stride, generator), nn.BatchNorm2d(out))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """relu(residual(x) + shortcut(x))."""
        residual: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        residual += self.shortcut(x)
        out: Tensor = self.relu(residual)
        return out


def residual_network(channels: int, widths: Sequence[int], blocks: int, generator: torch.Generator) -> nn.Sequential:
    """[N, channels, H, W] -> [N, widths[-1]]: a stage of `blocks` blocks a width, the first with stride 1, the others 2."""
    stem = nn.Sequential(convolution(channels, widths[0], 3, 1, generator), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    before = widths[0]
    for i, width in enumerate(widths):
        inputs = [before] + [width] * (blocks - 1)
        strides = [1 if i == 0 else 2] + [1] * (blocks - 1)
        stage = (BasicBlock(c, width, s, generator) for c, s in zip(inputs, strides, strict=True))
        parts[f"stage{i + 1}"] = nn.Sequential(*stage)
        before = width
    return nn.Sequential(parts | {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()})


def convolution(channels: int, out: int, size: int, stride: int, generator: torch.Generator) -> nn.Conv2d:
    """A convolution without bias that keeps the resolution at stride 1; Kaiming-normal by fan-out, drawn from `generator`."""
    layer = nn.Conv2d(channels, out, size, stride=stride, padding=size // 2, bias=False, device="meta").to_empty(device="cpu")
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    return layer
