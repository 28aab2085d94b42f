"""A stage is a component that runs; a workspace is where and how it runs.

What a stage is (its fields) decides its identity; where it runs (folder, device, data root) lives in the
workspace and never enters it. `run` is a generator: it saves its state, *then* yields one dict of metrics an epoch, and at
the end returns its results. Whoever drives it may close it between two epochs, and nothing saved is lost.
"""

import json
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from contrast.component import Component, UserError, nested
from contrast.data.dataset import Dataset, Images
from contrast.distributed import Processes
from contrast.model import Artefact, Model, Net
from contrast.saved import CURVE, STATE, encoded, first_lines, read_saved, row_files

Metrics = dict[str, float]
_FEATURE_BYTES = 512 << 20


class Diverged(ArithmeticError):
    """A non-finite loss: a result of the stage's value, not an accident; committed as such and not tried again."""


@dataclass(frozen=True)
class Stage(Component, ABC):
    """A component that runs. Fields that are stages are its upstream; there is no other way to depend on one.

    `parallel`: whether several processes can run it together, each with its own workspace; then it yields the same in all.
    """

    parallel: ClassVar[bool] = False

    @abstractmethod
    def run(self, workspace: "Workspace") -> Generator[Metrics, None, Metrics]:
        """Yield the metrics of each epoch (after saving state), return the results; the first result is the main one."""

    def model(self, workspace: "Workspace") -> Model:
        """The network this stage leaves, from its artefact in `workspace`. Only stages that train or make one have it."""
        raise UserError(f"{type(self).__name__} leaves no network. Measure a Pretrain, an Untrained or a Finetune.")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Raise `UserError` for what only the data can tell, such as a batch larger than the data; before any training."""

    def check_files(self, root: Path | None) -> None:
        """Raise `UserError` for what only files below the data root, or from elsewhere, can tell; before any training."""

    def check_processes(self, count: int) -> None:
        """Raise `UserError` where `count` processes cannot run it together; before any training."""

    @property
    def length(self) -> int:
        """How many times `run` yields: its epochs."""
        return 0


def upstream(stage: Stage) -> tuple[Stage, ...]:
    """The stages that `stage` needs: those nested in its fields, through components that are not stages, each once."""
    return tuple(dict.fromkeys(_nearest(stage)))


def _nearest(value: Component) -> Iterator[Stage]:
    for part in nested(value):
        if isinstance(part, Stage):
            yield part
        else:
            yield from _nearest(part)


class Memory:
    """What a worker process keeps between stages: networks, and features up to a fixed number of bytes."""

    def __init__(self) -> None:
        self.models: OrderedDict[Stage, Model] = OrderedDict()
        self.features: OrderedDict[tuple[Stage, Dataset], Tensor] = OrderedDict()

    def keep_features(self, key: tuple[Stage, Dataset], value: Tensor) -> None:
        """Remember features, forgetting the oldest beyond the byte limit."""
        self.features[key] = value
        while sum(t.nbytes for t in self.features.values()) > _FEATURE_BYTES and len(self.features) > 1:
            self.features.popitem(last=False)

    def keep_model(self, stage: Stage, model: Model) -> None:
        """Remember a network, forgetting the oldest beyond four."""
        self.models[stage] = model
        while len(self.models) > 4:
            self.models.popitem(last=False)


@dataclass
class Workspace:
    """Where and how a stage runs; never part of its identity.

    `folder`: the attempt's own folder, the only place it writes to. `resolve`: the artefact of an upstream stage. `data`:
    the image folder, or None. `monitor`: called on the network in training at chosen epochs, returns metrics to yield.
    `processes`: those that run the stage together; only the first of them writes.
    """

    folder: Path
    resolve: Callable[[Stage], Artefact]
    data: Path | None = None
    device: torch.device = torch.device("cpu")
    monitor: Callable[[Model], Metrics] | None = None
    memory: Memory = field(default_factory=Memory)
    processes: Processes = Processes()

    def of(self, stage: Stage) -> Artefact:
        """What the upstream `stage` left."""
        return self.resolve(stage)

    def model(self, stage: Stage) -> Model:
        """The network that `stage` left; kept in memory for the measures that follow."""
        if stage not in self.memory.models:
            self.memory.keep_model(stage, stage.model(self))
        return self.memory.models[stage]

    def images(self, dataset: Dataset) -> Images:
        """The images of `dataset`, memory-mapped."""
        return dataset.load(self.data)

    def pixels(self, dataset: Dataset, rows: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """The images in some `rows`, None for all, as float32 [n, C, H, W] in [0, 1], and labels int64 [n], on the device."""
        images, these = self.images(dataset), slice(None) if rows is None else rows
        pixels = torch.from_numpy(np.array(images.pixels[these])).to(self.device).float() / 255
        return pixels, torch.from_numpy(np.array(images.labels[these])).to(self.device)

    def features(self, model: Model, dataset: Dataset) -> Tensor:
        """Encoder features float32 [N, d] of `dataset` in id order, eval mode, fp32, no gradient; kept in memory."""
        key = (model.stage, dataset)
        if not model.final:
            return extract(model.net, self.images(dataset).pixels, self.device)
        if key not in self.memory.features:
            self.memory.keep_features(key, extract(model.net, self.images(dataset).pixels, self.device))
        return self.memory.features[key]

    def keep_arrays(self, **arrays: np.ndarray) -> None:
        """Keep arrays beside the results; a second call replaces the first."""
        if not self.processes.first:
            return
        with _replacing(self.folder / "arrays.npz") as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def keep_weights(self, weights: dict[str, Tensor], file: str = "weights.safetensors") -> None:
        """Keep weights beside the results, as safetensors."""
        if not self.processes.first:
            return
        with _replacing(self.folder / file) as temporary:
            temporary.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in weights.items()}))

    def save(self, epoch: int, metrics: Metrics, state: dict[str, Tensor]) -> None:
        """Save the state after `epoch` (1-based) and its metrics; call it before yielding them.

        The curve is written first: a kill between the two leaves a line too many, which `restore` cuts, never one too few.
        """
        if not self.processes.first:
            return
        with open(self.folder / CURVE, "a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, **metrics}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with _replacing(self.folder / STATE) as temporary:
            temporary.write_bytes(encoded(epoch, state, self.folder / CURVE))

    def last_metrics(self) -> Metrics:
        """The metrics last saved, or none."""
        path = self.folder / "curve.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {k: v for k, v in json.loads(lines[-1]).items() if k != "epoch"} if lines else {}

    def so_far(self) -> Artefact:
        """What the running stage has left so far."""
        return Artefact(self.folder, {})

    def restore(self, sound: Callable[[int, dict[str, Tensor]], bool] = lambda epoch, state: True) -> tuple[int, dict[str, Tensor]]:
        """The last saved (epoch, state), or (0, {}) at the start; lines of the curve beyond that epoch are cut.

        A state or a curve that is not as it was saved does not count, nor does one that is not `sound`: the stage begins at the start.
        """
        epoch, state = read_saved(self.folder)
        if epoch and not sound(epoch, state):
            epoch, state = 0, {}
        if not self.processes.first:
            return epoch, state
        if not epoch:
            for file in (self.folder / CURVE, self.folder / STATE, *row_files(self.folder)):
                file.unlink(missing_ok=True)
            return 0, {}
        lines = first_lines(self.folder / CURVE, epoch)
        with _replacing(self.folder / CURVE) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in lines))
        return epoch, state


def extract(net: Net, pixels: np.ndarray, device: torch.device, batch: int = 256) -> Tensor:
    """Features float32 [N, d] of uint8 pixels [N, C, H, W], in batches, without gradient; the result lies on the CPU."""
    net = net.to(device).eval()
    with torch.no_grad():
        parts = [
            net.features(torch.from_numpy(np.array(pixels[i : i + batch])).to(device).float() / 255).float().cpu()
            for i in range(0, len(pixels), batch)
        ]
    return torch.cat(parts)


class _replacing:
    """A temporary path beside `target`, flushed to disk and renamed onto it at the end: readers see old or new, whole."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.temporary = target.with_name(target.name + ".tmp")

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        with open(self.temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.temporary, self.target)
