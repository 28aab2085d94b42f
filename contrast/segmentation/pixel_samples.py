"""Some pixels of each class of a batch, as samples for a method of fine-tuning that compares them (PROTOCOL 7.5)."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from contrast.augmentations.draws import Draws
from contrast.data.segmented import IGNORED

MOST = 64  # samples of a class


class PixelSamples(NamedTuple):
    """Places of a map, as rows of it flattened [N h w, d], with their labels, and who draws for each of them."""

    rows: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    draws: Draws


def pixel_samples(masks: UInt8[Tensor, "n h w"], size: tuple[int, int], draws: Draws, most: int = MOST) -> PixelSamples:
    """Up to `most` places of each class, of maps of `size`, all equally likely; a place has the class of the pixel at its middle.

    What is drawn for a place follows from its image's id and its number in the image, so not from the batch or its order.
    """
    labels = resized_masks(masks, size).flatten().cpu().numpy().astype(np.int64)
    places = size[0] * size[1]
    chance = draws.uniform("pixel sample", places).reshape(-1)
    order = np.lexsort((chance, labels))
    ranked = labels[order]
    rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    rows = order[(rank < most) & (ranked != IGNORED)]
    ids = draws.ids[rows // places] * places + rows % places
    return PixelSamples(rows, labels[rows], Draws(draws.seed, ids, draws.epoch, 1))


def resized_masks(masks: UInt8[Tensor, "n h w"], size: tuple[int, int]) -> UInt8[Tensor, "n i j"]:
    """The class of the pixel in the middle of each place of a map of `size`."""
    return interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0].to(torch.uint8)


def rows_of_map(features: Float[Tensor, "n d h w"], rows: Int[np.ndarray, " m"]) -> Float[Tensor, "m d"]:
    """The features of some places of a map."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)[torch.from_numpy(rows).to(features.device)]
