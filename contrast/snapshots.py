"""The encoder as it was at some epochs of its pretraining, kept beside the weights of the last one.

While the training runs, each snapshot is a file beside the training's state, which knows their checksums: what is not as it was
written is no state, and a training goes on from the earlier one. At the end all of them become one file of the result.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from contrast.model import Artefact
from contrast.saved import row_file
from contrast.stage import Workspace

FILE, _STATE = "snapshots.safetensors", "snapshots.checksums"


def snapshot_epochs(count: int | None, epochs: int) -> tuple[int, ...]:
    """Epoch 0, before any training, and `count` others up to the last, evenly; none for None."""
    return () if count is None else tuple(i * epochs // count for i in range(count + 1))


class Snapshots:
    """Writes the weights of `encoder` after each of `epochs`, maybe none, into the attempt's folder; only the first process writes."""

    def __init__(self, workspace: Workspace, encoder: nn.Module, epochs: tuple[int, ...]) -> None:
        self.workspace = workspace
        self.encoder = encoder
        self.epochs = epochs
        self.checksums = torch.zeros(len(epochs), hashlib.sha256().digest_size, dtype=torch.uint8)

    def put(self, epoch: int) -> None:
        """Write the encoder if this is one of the epochs; before the state of that epoch is saved."""
        if epoch not in self.epochs or not self.workspace.processes.first:
            return
        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in self.encoder.state_dict().items()})
        with open(row_file(self.workspace.folder, epoch), "wb") as file:
            np.save(file, np.frombuffer(content, np.uint8), allow_pickle=False)
        self.checksums[self.epochs.index(epoch)] = _checksum(content)

    def state(self) -> dict[str, Tensor]:
        """What the state of the training has to remember of them."""
        return {_STATE: self.checksums} if self.epochs else {}

    def whole(self, done: int, state: dict[str, Tensor]) -> bool:
        """Whether the snapshots up to the epoch `done` are those that the training wrote before it saved `state`."""
        if not self.epochs:
            return True
        if _STATE not in state or state[_STATE].shape != self.checksums.shape:
            return False
        wanted = [(epoch, checksum) for epoch, checksum in zip(self.epochs, state[_STATE], strict=True) if epoch <= done]
        return all(torch.equal(_checksum(self._content(epoch)), checksum) for epoch, checksum in wanted)

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        if self.epochs:
            self.checksums.copy_(state[_STATE])

    def keep(self) -> None:
        """Make all of them one file of the result."""
        if not (self.epochs and self.workspace.processes.first):  # which alone has them in its folder for certain
            return
        tensors = {f"{epoch}/{name}": tensor for epoch in self.epochs for name, tensor in load(self._content(epoch)).items()}
        self.workspace.keep_weights(tensors, FILE)

    def _content(self, epoch: int) -> bytes:
        file = row_file(self.workspace.folder, epoch)
        try:
            return np.load(file, allow_pickle=False).tobytes() if file.exists() else b""
        except ValueError:  # cut short, or no array
            return b""


def read_snapshots(artefact: Artefact) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Epoch and the encoder's weights by name, in order of epochs; nothing where there are none."""
    path = artefact.folder / FILE
    if not path.exists():
        return
    with safe_open(path, framework="pt") as file:
        names = [name.partition("/") for name in file.keys()]  # noqa: SIM118 (not a dict)
        for epoch in sorted({int(epoch) for epoch, _, _ in names}):
            yield epoch, {name: file.get_tensor(f"{epoch}/{name}") for of, _, name in names if int(of) == epoch}


def _checksum(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(hashlib.sha256(content).digest()), dtype=torch.uint8)
