"""Residual networks: a stem, stages of basic or bottleneck blocks, global average pooling (He et al., 2016).

Every ReLU works in place. That is safe under double backward, which gradient penalties need: batch normalisation and
addition remember their inputs and not their outputs, which are what the ReLU overwrites.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

_FEWEST, _LARGEST = 16, 16 * 16  # channels from which, and places of a map up to which, oneDNN's strided 1x1 convolution is sound
EXPANSION = 4  # of a bottleneck: its output is so many times as wide as its 3x3 convolution


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


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with batch normalisation and a shortcut; the middle one is a quarter as wide as the output.

    The stride is the 3x3 convolution's, as in torchvision (ResNet v1.5).
    """

    def __init__(self, channels: int, out: int, stride: int, generator: torch.Generator) -> None:
        super().__init__()
        inner = out // EXPANSION
        self.conv1 = convolution(channels, inner, 1, 1, generator)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = convolution(inner, inner, 3, stride, generator)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = convolution(inner, out, 1, 1, generator)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(convolution(channels, out, 1, stride, generator), nn.BatchNorm2d(out))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """relu(residual(x) + shortcut(x))."""
        inner: Tensor = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        residual: Tensor = self.bn3(self.conv3(inner))
        residual += self.shortcut(x)
        out: Tensor = self.relu(residual)
        return out


Block = Callable[[int, int, int, torch.Generator], nn.Module]


def residual_network(channels: int, widths: Sequence[int], blocks: int, generator: torch.Generator) -> nn.Sequential:
    """[N, channels, H, W] -> [N, widths[-1]]: small stem, `blocks` basic blocks a width; the first stage has stride 1, the others 2."""
    return stages(small_stem(channels, widths[0], generator), widths[0], widths, [blocks] * len(widths), BasicBlock, generator)


def small_stem(channels: int, width: int, generator: torch.Generator) -> list[nn.Module]:
    """One 3x3 convolution that keeps the resolution, for images of up to 64 pixels a side (PROTOCOL 1.2, CIFAR stem)."""
    return [convolution(channels, width, 3, 1, generator), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def large_stem(channels: int, width: int, generator: torch.Generator) -> list[nn.Module]:
    """A 7x7 convolution of stride 2 and a max-pool of stride 2: the ImageNet stem, a quarter of the resolution."""
    seven = convolution(channels, width, 7, 2, generator)
    return [seven, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)]


def stages(
    stem: list[nn.Module], before: int, widths: Sequence[int], blocks: Sequence[int], block: Block, generator: torch.Generator
) -> nn.Sequential:
    """`stem`, which gives `before` channels, a stage of `blocks[i]` blocks of `widths[i]` channels each, pooled to [N, widths[-1]]."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(*stem))
    for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        inputs = [before] + [width] * (count - 1)
        strides = [1 if i == 0 else 2] + [1] * (count - 1)
        stage = (block(c, width, s, generator) for c, s in zip(inputs, strides, strict=True))
        parts[f"stage{i + 1}"] = nn.Sequential(*stage)
        before = width
    return nn.Sequential(parts | {"pool": GlobalMean()})


class GlobalMean(nn.Module):
    """The mean over the image. Its gradient is channels last, as what it is the gradient of: torch's pooling gives it the other way
    round, and the ReLU before it then reads across memory (2 ms a step of SmallResNet at batch 64, of 60).
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """[N, C, H, W] -> [N, C]."""
        return x.permute(0, 2, 3, 1).mean((1, 2))


class Picking(nn.Conv2d):
    """A strided 1x1 convolution that, of maps larger than 16 x 16, picks the places it reads and goes over them without a stride.

    That is the same to rounding. oneDNN's strided one with few channels, which lie last in memory, writes behind its memory in the
    gradient of the weights of larger maps, and the process ends (https://github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """[N, C, H, W] -> [N, K, H / stride, W / stride], rounded up."""
        if x.shape[2] * x.shape[3] <= _LARGEST:
            return super().forward(x)
        down, right = self.stride
        return nn.functional.conv2d(x[:, :, ::down, ::right], self.weight, self.bias)


def convolution(channels: int, out: int, size: int, stride: int, generator: torch.Generator) -> nn.Conv2d:
    """A convolution without bias that keeps the resolution at stride 1; Kaiming-normal by fan-out, drawn from `generator`."""
    kind = Picking if size == 1 and stride > 1 and channels < _FEWEST else nn.Conv2d
    layer = kind(channels, out, size, stride=stride, padding=size // 2, bias=False, device="meta").to_empty(device="cpu")
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    return layer
