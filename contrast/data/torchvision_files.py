"""Data sets in torchvision's own layout, and their download.

torchvision verifies its files by checksum. A download goes into a temporary folder and is renamed when it is whole, so
that two workers that start at once do not write into each other's files; without a network it ends within seconds.
"""

import http.client
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from contrast.component import UserError

_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST"}
_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python", "mnist": "MNIST/raw"}
_PATIENCE = 4.0  # seconds until a silent server counts as no network
_STALLED = 30.0  # seconds without a byte that end a download


def torchvision_files(root: Path, name: str) -> tuple[Path, ...]:
    """The files of data set `name` in torchvision's layout under `root`, sorted; none where torchvision does not know it."""
    if name not in _FOLDERS:
        return ()
    return tuple(sorted(file for file in (root / _FOLDERS[name]).glob("*") if file.is_file()))


def read_torchvision(root: Path, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, C, H, W] and labels int64 [N]. Raises `UserError` when a file is missing or torn."""
    folder = root / _FOLDERS[name]
    try:
        stored = _dataset(name)(str(root), train=split == "train")
    except (RuntimeError, OSError, ValueError, AssertionError) as error:
        raise UserError(f"{folder}: is not whole ({error}). Remove it, so that it is downloaded again.") from error
    pixels = np.asarray(stored.data)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return pixels, np.asarray(stored.targets, dtype=np.int64)


def download(root: Path, name: str) -> None:
    """Download data set `name` into `root`. Raises OSError when there is no network or `root` cannot be written."""
    root.mkdir(parents=True, exist_ok=True)
    dataset = _dataset(name)
    _reach(dataset.mirrors[0] if name == "mnist" else dataset.url)
    patience = socket.getdefaulttimeout()
    with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
        socket.setdefaulttimeout(_STALLED)
        try:
            dataset(temporary, download=True)
        except (RuntimeError, http.client.HTTPException) as error:
            raise OSError(str(error)) from error
        finally:
            socket.setdefaulttimeout(patience)
        _publish(Path(temporary) / _FOLDERS[name], root / _FOLDERS[name])


def downloadable(name: str) -> bool:
    """Whether torchvision can download data set `name`."""
    return name in _CLASSES


def _dataset(name: str) -> Any:  # noqa: ANN401 (torchvision is untyped)
    import torchvision.datasets

    return getattr(torchvision.datasets, _CLASSES[name])


def _publish(whole: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        whole.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(whole)  # another process was first; torchvision verified its files too


def _reach(url: str) -> None:
    """Raise OSError unless `url` answers soon; in a thread, since no timeout covers the resolution of names."""
    outcome: list[Exception] = [TimeoutError(f"no answer from {url} within {_PATIENCE:.0f} s")]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE).close()
            outcome.clear()
        except urllib.error.HTTPError:
            outcome.clear()  # it answered; whether it has the file, the download will tell
        except (OSError, http.client.HTTPException) as error:
            outcome[:] = [error]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE + 1)
    if outcome:
        raise OSError(str(outcome[0]))
