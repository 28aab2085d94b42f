"""What fine-tuning is measured on: a briefly trained ResNet-18, the five-way CIFAR-100 tasks, and stages run by hand."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.simclr_task import root
from contrast import CIFAR10, CIFAR100, SGD, Classifier, CropFlip, CrossEntropy, Pretrain, ResNet18, Stage, Workspace
from contrast.model import Artefact
from contrast.stage import Memory

TASKS = [CIFAR100(classes=c) for c in ((0, 1, 2, 3, 4), (6, 11, 16, 21, 26), (56, 58, 62, 66, 68), (95, 96, 97, 98, 99))]
ENCODER = Pretrain(
    data=CIFAR10(per_class=400),
    encoder=ResNet18("imagenet"),
    views=CropFlip(),
    loss=CrossEntropy(),
    head=Classifier(),
    batch_size=128,
    epochs=3,
    seed=0,
    optimizer=SGD(lr=0.1),
)


class Bench:
    """Runs stages in folders below `folder` and keeps what they left."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done, self.memory = folder, dict[Stage, Artefact](), Memory()

    def workspace(self) -> Workspace:
        """A folder of its own."""
        return Workspace(Path(mkdtemp(dir=self.folder)), self.done.__getitem__, data=root(), memory=self.memory)

    def epochs(self, stage: Stage) -> Iterator[float]:
        """Run `stage` and yield the processor time of each of its epochs, and at last of what comes behind them."""
        workspace = self.workspace()
        running, going = stage.run(workspace), True
        while going:
            began = time.process_time()
            try:
                next(running)
            except StopIteration as end:
                self.done[stage], going = Artefact(workspace.folder, end.value), False
            yield time.process_time() - began

    def run(self, stage: Stage) -> float:
        """Processor time of the whole stage."""
        return sum(self.epochs(stage))
