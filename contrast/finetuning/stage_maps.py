"""The feature maps of a residual network: what the last convolution of each stage gives, before batch normalisation and shortcut."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from contrast.component import UserError


def last_convolutions(encoder: nn.Module) -> list[nn.Conv2d]:
    """The last convolution of the last block of stage1, stage2 and so on. Raises `UserError` where there is no stage."""
    found = [last_convolution(part) for name, part in encoder.named_children() if name.startswith("stage")]
    if not found:
        raise UserError(f"{type(encoder).__name__}: the encoder has no stages, whose feature maps are wanted. Use a residual network.")
    return found


def last_convolution(stage: nn.Module) -> nn.Conv2d:
    """The last convolution of the last block of `stage`, which is none of a shortcut."""
    *_, block = stage.children()
    return [layer for layer in block.children() if isinstance(layer, nn.Conv2d)][-1]


@contextmanager
def tapped(encoder: nn.Module) -> Iterator[list[Tensor]]:
    """A list that fills with the maps [N, C, H, W] of every stage, in order, when `encoder` is called."""
    maps: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        maps.append(output)

    handles = [layer.register_forward_hook(keep) for layer in last_convolutions(encoder)]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def without_filters(layer: nn.Conv2d) -> Iterator[None]:
    """`layer` gives zeros, as if all its filters were zero."""

    def blank(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.zeros_like(output)

    handle = layer.register_forward_hook(blank)
    try:
        yield
    finally:
        handle.remove()
