"""What the stages of a residual network make of every place of an image, before it is pooled."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import normalize

from contrast import random
from contrast.encoders.encoder import Encoder
from contrast.model import Net


@torch.no_grad()
def feature_maps(net: Net, pixels: UInt8[np.ndarray, "n c h w"], layers: tuple[int, ...]) -> list[Float[Tensor, "n i j d"]]:
    """Of each layer the outputs of its stage, every place's vector of length 1, or 0 where all channels are 0.

    Layer 0 is the pixels as they are. Float32 on the CPU. Images go through the network one by one: rounding, which depends on
    how many there are, would lead k-means to other clusters.
    """
    parts: list[list[Tensor]] = [[] for _ in layers]
    for start in range(len(pixels)):
        x = torch.from_numpy(np.array(pixels[start : start + 1])).to(net.mean.device).float() / 255
        outputs = {0: x, **dict(enumerate(_stages(net.encoder, (x - net.mean) / net.std), 1))}
        for part, layer in zip(parts, layers, strict=True):
            places = outputs[layer].permute(0, 2, 3, 1).float()
            part.append((normalize(places, dim=3) if layer else places).contiguous().cpu())
    return [torch.cat(part) for part in parts]


def _stages(encoder: nn.Module, h: Tensor) -> list[Tensor]:
    """The outputs of stage1, stage2 and so on, which no later layer may change in place."""
    found = []
    for name, part in encoder.named_children():
        h = part(h)
        if name.startswith("stage"):
            found.append(h.clone())
    return found


@lru_cache(maxsize=16)
@torch.no_grad()
def map_sizes(encoder: Encoder, shape: tuple[int, int, int]) -> tuple[tuple[int, int], ...]:
    """Height and width of layer 0, the image of `shape`, and of the map of every stage of `encoder`."""
    net = encoder.build(shape[0], random.generator(0, "encoder")).eval()
    return (shape[1:], *((h.shape[2], h.shape[3]) for h in _stages(net, torch.zeros(1, *shape))))
