"""SimCLR as lightly's users write it: its transform, head and loss, torch's DataLoader and a loop. Prints JSON.

Runs in `.venv-peers`. The transform is its own for small images (half the jitter, no blur). The encoder is ours with the weights that
ours begins with, under our normalisation and schedule. One thread does everything, as in ours: the loader has no worker processes.
"""

import json
import sys
from collections.abc import Iterator

import numpy as np
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.simclr_task import BATCH, ENCODERS, LR, TAU, Task, knn, root, timed
from contrast import Cosine
from contrast.random import generator


class Pictures(Dataset[tuple[list[Tensor], int]]):
    """Our images as torchvision's data sets give them: a PIL image goes through the transform."""

    def __init__(self, task: Task, transform: SimCLRTransform) -> None:
        images = task.data.load(root())
        self.pixels, self.labels, self.transform = np.array(images.pixels).transpose(0, 2, 3, 1), images.labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[list[Tensor], int]:
        return self.transform(Image.fromarray(self.pixels[i])), int(self.labels[i])


def training(task: Task, model: nn.Module) -> Iterator[None]:
    """Yields after each epoch."""
    constants = {"mean": list(task.data.mean), "std": list(task.data.std)}
    transform = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0, normalize=constants)
    loader = DataLoader(Pictures(task, transform), batch_size=BATCH, shuffle=True, drop_last=True)
    criterion = NTXentLoss(temperature=TAU)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4)
    for epoch in range(1, task.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = Cosine().at(LR, epoch, task.epochs)
        for (one, other), _labels in loader:
            loss = criterion(model(one), model(other))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        yield


def main() -> None:
    """Train, then judge by kNN."""
    task = Task.read(sys.argv[1:])
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    width = ENCODERS[task.encoder].width
    encoder = ENCODERS[task.encoder].build(3, generator(task.seed, "encoder"))
    found = timed(task, training(task, nn.Sequential(encoder, SimCLRProjectionHead(width, width, 128))))
    encoder.eval()
    mean, std = (torch.tensor(constant).view(-1, 1, 1) for constant in (task.data.mean, task.data.std))
    print(json.dumps(found | ({} if task.encoder != "small" else {"knn": knn(task, lambda x: encoder((x - mean) / std))})))


if __name__ == "__main__":
    main()
