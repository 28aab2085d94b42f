"""Dilation in place of stride: an encoder's last stages keep the resolution, and see as far as they did (Chen et al., 2017).

At every place that the strided encoder has, the dilated one computes the same, with the same weights; it has places between.
"""

from functools import lru_cache
from math import prod

import torch
from torch import nn

from contrast import random
from contrast.encoders.encoder import Encoder

_SIDE = 256  # of the image that is sent through to see how far it shrinks


@lru_cache(maxsize=32)
def strides_of(encoder: Encoder, channels: int) -> tuple[int, ...]:
    """By how much the stem and each stage of `encoder` shrink an image's side."""
    return tuple(strides(encoder.build(channels, random.generator(0, "encoder")), channels).values())


def strides(encoder: nn.Module, channels: int) -> dict[str, int]:
    """By how much the stem and each stage shrink an image's side, by their names in `encoder`."""
    found, training = {}, encoder.training
    encoder.eval()
    x = next(encoder.parameters()).new_zeros(1, channels, _SIDE, _SIDE)
    with torch.no_grad():
        for name, part in spatial_parts(encoder):
            before, x = x.shape[-1], part(x)
            found[name] = round(before / x.shape[-1])
    encoder.train(training)
    return found


def spatial_parts(encoder: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children of an encoder with stages that give maps: all but its pooling."""
    return [(name, part) for name, part in encoder.named_children() if name != "pool"]


def dilate_(encoder: nn.Module, output_stride: int, channels: int) -> None:
    """Have no stage of `encoder` go beyond `output_stride` pixels a place: from the first that would, strides become dilations."""
    reached, gap = 1, 1
    for name, stride in strides(encoder, channels).items():
        if gap > 1 or reached * stride > output_stride:
            _dilate_stage_(encoder.get_submodule(name), gap, gap * stride)
            gap *= stride
        else:
            reached *= stride


def _dilate_stage_(stage: nn.Module, before: int, after: int) -> None:
    """Take the stride out of `stage`: convolutions up to where it was read with gaps of `before`, those behind with `after`."""
    gap = before
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d):
            strided, layer.stride = max(layer.stride) > 1, (1, 1)
            if (size := layer.kernel_size[0]) > 1:
                layer.dilation, layer.padding = (gap, gap), (gap * (size // 2),) * 2
                gap = after if strided else gap


def reachable(found: tuple[int, ...]) -> tuple[int, ...]:
    """The strides to which dilation changes an encoder of the strides `found`, stem first: not below the stem's, and less than its own."""
    reached = dict.fromkeys(prod(found[:n]) for n in range(1, len(found)))
    return tuple(stride for stride in reached if stride < prod(found))
