"""Views of `simclr_cifar` (32 px, two an image, every view with its own parameters and order) against torchvision's PIL pipeline.

Both make a float batch of 256 images in two views out of uint8 arrays, on one thread, in one process: medians of the processor
time of interleaved runs. The second row is the share of a SimCLR step with ResNet-18, batch 256, that goes into the views.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from benchmarks.row import Row, shown
from contrast import MLPHead, NTXent, ResNet18, SimCLRViews
from contrast.augmentations import Views, recipes

BATCH, REPEATS = 256, 15


def images() -> np.ndarray:
    """Smooth random images [256, 3, 32, 32]; what they show has no influence on the time."""
    small = np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)) for image in small]
    return np.ascontiguousarray(np.stack(large).transpose(0, 3, 1, 2))


def peer() -> Callable[[np.ndarray], Tensor]:
    """torchvision's pipeline, image by image, two views each, as a data loader's worker does it."""
    jitter = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
    one = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, scale=(0.2, 1.0)),
            transforms.RandomHorizontalFlip(),
            jitter,
            transforms.RandomGrayscale(0.2),
            transforms.ToTensor(),
        ]
    )

    def pipeline(pixels: np.ndarray) -> Tensor:
        opened = (Image.fromarray(image.transpose(1, 2, 0)) for image in pixels)
        return torch.stack([torch.stack([one(image), one(image)]) for image in opened])

    return pipeline


def ours(views: Views) -> Callable[[np.ndarray], Tensor]:
    """Our views of the same arrays, as the training loop calls them."""
    ids = np.arange(BATCH)
    return lambda pixels: views(torch.from_numpy(pixels).float() / 255, ids, 0, 1)


def seconds(work: Callable[[], object]) -> float:
    """Of processor time, which other processes on the machine do not lengthen as they do the time on the wall."""
    start = time.process_time()
    work()
    return time.process_time() - start


def medians(*works: Callable[[], object]) -> list[float]:
    """Median seconds of each, taken in turns after one run of each."""
    for work in works:
        work()
    times = [[seconds(work) for work in works] for _ in range(REPEATS)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def network_step() -> Callable[[Tensor], None]:
    """Forward and backward of SimCLR with ResNet-18 on views that are there."""
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(ResNet18().build(3, generator), MLPHead().build(512, 10, generator))
    net = net.to(memory_format=torch.channels_last)
    loss = NTXent(0.5)

    def step(views: Tensor) -> None:
        flat = views.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        loss(net(flat).view(*views.shape[:2], -1), None).backward()

    return step


def rows() -> Iterator[Row]:
    """Views a second of both, then the share of the step."""
    pixels, simclr, theirs = images(), ours(SimCLRViews()), peer()
    mine, others = medians(lambda: simclr(pixels), lambda: theirs(pixels))
    yield Row("views: time of torchvision's against ours", others / mine, "ratio", 4, 8, at_least=True)
    yield Row("views: ours", 2 * BATCH / mine, "a second and core")
    yield Row("views: torchvision's", 2 * BATCH / others, "a second and core")
    for name, views in (("simclr_cifar_tf", recipes.simclr_cifar_tf()), ("randaugment", recipes.randaugment(2))):
        (of_it,) = medians(partial(ours(views), pixels))
        yield Row(f"views: {name}", 2 * BATCH / of_it, "a second and core")
    step, ready = network_step(), simclr(pixels)
    whole = mine + seconds(lambda: step(ready))
    yield Row("views: share of a step, ResNet-18, batch 256", 100 * mine / whole, "%", 5, 2)
    yield Row("views: that step", whole, "s")


def main() -> int:
    """0 if every hold is met."""
    torch.set_num_threads(1)
    return shown(rows())


if __name__ == "__main__":
    sys.exit(main())
