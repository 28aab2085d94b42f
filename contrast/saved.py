"""What an unfinished stage saved last: the epoch, the tensors of its training, and a digest over both and the curve up to there.

State and digest are one file that is replaced as a whole, so a kill at any moment leaves the earlier state or the new one.
Training that went on from an altered byte would end in a record with sound checksums; so what has another digest is no state.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, uint8

CURVE, STATE = "curve.jsonl", "state.safetensors"


def row_file(folder: Path, epoch: int) -> Path:
    """Where an attempt writes what belongs to the state after `epoch` and is too large to be written again with every state."""
    return folder / f"row-{epoch:05d}.npy"


def row_files(folder: Path) -> list[Path]:
    """All of them."""
    return sorted(folder.glob("row-*.npy"))


def encoded(epoch: int, tensors: Mapping[str, Tensor], curve: Path) -> bytes:
    """The file of the state after `epoch`; the first `epoch` lines of `curve` go into its digest."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(kept, metadata={"epoch": str(epoch), "digest": _digest(epoch, kept, first_lines(curve, epoch))})


def saved_epoch(folder: Path) -> int:
    """The epoch that the state in an attempt's folder states, 0 where there is none; only `read_saved` tells whether it is sound."""
    try:
        with safe_open(folder / STATE, framework="pt") as file:
            return max(0, int(file.metadata()["epoch"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return 0


def read_saved(folder: Path) -> tuple[int, dict[str, Tensor]]:
    """The last saved (epoch, tensors) of an attempt; (0, {}) where there is none, or state or curve are not as they were saved."""
    try:
        with safe_open(folder / STATE, framework="pt") as file:
            epoch, digest = int(file.metadata()["epoch"]), file.metadata()["digest"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        lines = first_lines(folder / CURVE, epoch)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return 0, {}
    return (epoch, tensors) if epoch > 0 and _digest(epoch, tensors, lines) == digest else (0, {})


def first_lines(curve: Path, epoch: int) -> list[bytes]:
    """The lines of a curve up to `epoch`, fewer where it is shorter."""
    return curve.read_bytes().splitlines()[:epoch]


def _digest(epoch: int, tensors: Mapping[str, Tensor], lines: list[bytes]) -> str:
    names = sorted(tensors)
    shapes = [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([epoch, shapes, [hashlib.sha256(line).hexdigest() for line in lines]]).encode())
    for name in names:
        digest.update(tensors[name].reshape(-1).view(uint8).numpy().data)
    return digest.hexdigest()
