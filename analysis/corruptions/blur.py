"""Blur: Gaussian, out of focus, through frosted glass, and of zooming while the shutter is open."""

from functools import lru_cache

import numpy as np
import scipy
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.corruptions.borders import enlarged, mirror, smooth
from analysis.corruptions.draws import Draws, Table
from analysis.corruptions.stored import stored

_SIGMA = {"cifar": (0.4, 0.6, 0.7, 0.8, 1), "imagenet": (1, 2, 3, 4, 6)}
# Radius of the disk and deviation of what smooths its rim, in pixels.
_DISK = {
    "cifar": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "imagenet": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
}
# Deviation of the smoothing before and after, furthest shift in pixels, how often.
_GLASS = {
    "cifar": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "imagenet": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
}
# First factor, where to stop, step.
_ZOOM = {
    "cifar": ((1, 1.06, 0.01), (1, 1.11, 0.01), (1, 1.16, 0.01), (1, 1.21, 0.01), (1, 1.26, 0.01)),
    "imagenet": ((1, 1.11, 0.01), (1, 1.16, 0.01), (1, 1.21, 0.02), (1, 1.26, 0.02), (1, 1.31, 0.03)),
}

Batch = Float[Tensor, "n c h w"]


def gaussian_blur(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Smoothed by a Gaussian, the edges repeated."""
    return smooth(x, _SIGMA[table][severity - 1])


def defocus_blur(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Every point becomes a disk, the edges mirrored."""
    kernel = disk(*_DISK[table][severity - 1])
    reach = len(kernel) // 2
    for axis in (2, 3):
        beyond = torch.arange(-reach, x.shape[axis] + reach)
        x = x.index_select(axis, mirror(beyond, x.shape[axis]).to(x.device))
    height, width = (size - 2 * reach for size in x.shape[2:])
    out = x.new_zeros(*x.shape[:2], height, width)
    for i, j in np.argwhere(kernel > 0):
        out.add_(x[..., i : i + height, j : j + width], alpha=float(kernel[i, j]))
    return out


def glass_blur(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Smoothed, each pixel replaced by one near it, and smoothed again.

    From the last pixel to the first each takes the colour that a neighbour has by then. The published sets meant to swap the two,
    and only copied; so does this.
    """
    sigma, furthest, times = _GLASS[table][severity - 1]
    x = stored(smooth(x, sigma))
    for time in range(times):
        u = draws.uniform(f"shift {time}", 2, *x.shape[2:])
        x = _copied(x, (u * 2 * furthest).floor().long().to(x.device) - furthest, furthest)
    return smooth(x, sigma)


def zoom_blur(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """The mean of the image and of its enlargements."""
    factors = np.arange(*_ZOOM[table][severity - 1])
    total = x.double()
    for factor in factors:
        total = total + enlarged(x, float(factor))
    return total / (len(factors) + 1)


@lru_cache(maxsize=16)
def disk(radius: int | float, rim: int | float) -> Float[np.ndarray, "k k"]:
    """A disk of `radius` pixels that sums to 1, its rim smoothed with deviation `rim`, cut to where it is not 0.

    Where the disk fills its square the mirrored smoothing takes a little of the sum, as it does in the published sets.
    """
    places = np.arange(-max(8, radius), max(8, radius) + 1)
    kernel = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    reach = 1 if radius <= 8 else 2
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * rim**2))
    for axis in (0, 1):
        kernel = scipy.ndimage.correlate1d(kernel, taps / taps.sum(), axis=axis, mode="mirror")
    inside = np.abs(places) <= np.abs(places[kernel.any(axis=0)]).max()
    cut: np.ndarray = kernel[inside][:, inside]
    return cut


def _copied(x: Tensor, shift: Int[Tensor, "n 2 h w"], furthest: int) -> Tensor:
    """x after every pixel further than `furthest` from the first row and column, from the last to the first, took that at `shift` from it.

    A pixel whose source comes later was served after its source: it takes what that took. Following the sources of sources, twice
    as far each time, finds all colours at once.
    """
    height, width = x.shape[2:]
    rows, columns = torch.arange(height, device=x.device)[:, None], torch.arange(width, device=x.device)
    own = (rows * width + columns).flatten()
    taking = ((rows > furthest) & (rows <= height - furthest) & (columns > furthest) & (columns <= width - furthest)).flatten()
    source = torch.where(taking, own + (shift[:, 0] * width + shift[:, 1]).flatten(1), own)
    served = taking & (source > own)
    onward = torch.where(served, source, own)
    while not torch.equal(further := onward.gather(1, onward), onward):
        onward = further
    found = source.gather(1, onward)
    return x.flatten(2).gather(2, found[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
