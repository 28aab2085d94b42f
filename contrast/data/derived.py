"""Data sets that are made from others: what they share."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch.nn.functional import interpolate

from contrast.component import Component, require
from contrast.data.dataset import Dataset, Images
from contrast.data.source import Found, Split
from contrast.data.spooled import spooled

_AT_ONCE = 64 << 20  # bytes of images made at once


def require_whole(owner: Component, field: str, base: Dataset) -> None:
    """Raise `UserError` unless `base`, a field of `owner`, is all of its training split, the part being chosen outside, and lasts."""
    whole = base.part == "whole" and base.fraction is None
    require(whole, owner, field, "must be whole", "Choose part and fraction of the data set that is made of it.")
    require(not base.multi_label, owner, field, "must show one class an image", "Use CIFAR10().")
    require(
        base.lasts, owner, field, "must be the same in every epoch", "Leave out what has it drawn again: what is made of it is made once."
    )


def derived_name(kind: str, dataset: Dataset, beside: tuple[str, ...] = ()) -> str:
    """A name for what `dataset` is made by: of everything but the selection from it, and the fields `beside` it that change no image."""
    chosen = {field.name for field in fields(Dataset)} | set(beside)
    made_by = [(field.name, getattr(dataset, field.name)) for field in fields(dataset) if field.name not in chosen]
    return f"{kind}-{hashlib.sha256(repr(made_by).encode()).hexdigest()[:16]}"


def base_images(base: Dataset, root: Path | None, split: Split) -> Images:
    """All images of one split of `base`."""
    return replace(base, part="test" if split == "test" else "whole").load(root)


def made(
    bases: tuple[Images, ...],
    make: Callable[[Int[np.ndarray, " n"]], UInt8[np.ndarray, "n c h w"]],
    labels: Int[np.ndarray, " all"],
    shape: tuple[int, int, int],
    content: np.ndarray | None = None,
) -> Found:
    """What `select` reads: `make(rows)` gives the images of `shape` in some rows, of as many as there are `labels`; see `Found`."""

    def read() -> tuple[np.ndarray, np.ndarray]:
        rows = max(1, _AT_ONCE // math.prod(shape))
        parts = (make(np.arange(start, min(start + rows, len(labels)))) for start in range(0, len(labels), rows))
        return spooled((image for part in parts for image in part), shape), labels

    return Found((), read, None if content is None else lambda: content, "/".join(_state(images) for images in bases))


def _state(images: Images) -> str:
    """Changes when the images do: the file of a memory map with its time, of images in memory a hash."""
    digest = hashlib.sha256(images.labels.tobytes() + images.ids.tobytes())
    if isinstance(images.pixels, np.memmap) and isinstance(images.pixels.filename, str | Path):
        path = Path(images.pixels.filename)
        digest.update(f"{path}/{path.stat().st_mtime_ns}".encode())
    else:
        digest.update(images.pixels.tobytes())
    return digest.hexdigest()


def resized(pixels: UInt8[np.ndarray, "n c h w"], side: int) -> UInt8[np.ndarray, "n c side side"]:
    """Scaled to `side` x `side`, bilinear, smoothed where it shrinks."""
    x = torch.from_numpy(np.array(pixels)).float()
    return interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False).round_().to(torch.uint8).numpy()


def paste_(
    canvas: UInt8[np.ndarray, "n c h w"], stamps: UInt8[np.ndarray, "n d s s"], corners: Int[np.ndarray, "n 2"], *, add: bool = False
) -> None:
    """Lay a stamp on each canvas with its upper left corner at (row, column): the larger of the two values, or their clipped sum."""
    along = np.arange(stamps.shape[2])
    rows, columns = corners[:, :1] + along, corners[:, 1:] + along
    where = np.arange(len(canvas))[:, None, None], slice(None), rows[:, :, None], columns[:, None, :]
    below, above = canvas[where], stamps.transpose(0, 2, 3, 1)
    canvas[where] = np.minimum(below.astype(np.uint16) + above, 255).astype(np.uint8) if add else np.maximum(below, above)
