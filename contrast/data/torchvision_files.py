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

_CLASSES = {
    **{"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion-mnist": "FashionMNIST"},
    **{"svhn": "SVHN", "stl10": "STL10", "stl10-unlabeled": "STL10"},
}
_FILES = {
    **{"cifar10": "cifar-10-batches-py/*", "cifar100": "cifar-100-python/*", "mnist": "MNIST/raw/*"},
    **{"fashion-mnist": "FashionMNIST/raw/*", "svhn": "*_32x32.mat", "stl10": "stl10_binary/*", "stl10-unlabeled": "stl10_binary/*"},
}
_BY_SPLIT = ("svhn", "stl10", "stl10-unlabeled")  # torchvision takes `split`, and not `train`, and calls the labels so
_PATIENCE = 4.0  # seconds until a silent server counts as no network
_STALLED = 30.0  # seconds without a byte that end a download


def torchvision_files(root: Path, name: str) -> tuple[Path, ...]:
    """The files of data set `name` in torchvision's layout under `root`, sorted; none where torchvision does not know it."""
    if name not in _FILES:
        return ()
    return tuple(sorted(file for file in root.glob(_FILES[name]) if file.is_file()))


def read_torchvision(root: Path, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, C, H, W] and labels int64 [N]. Raises `UserError` when a file is missing or torn."""
    try:
        if name not in _BY_SPLIT:
            stored = _dataset(name)(str(root), train=split == "train")
            return _channels_first(np.asarray(stored.data)), np.asarray(stored.targets, dtype=np.int64)
        stored = _dataset(name)(str(root), split="unlabeled" if name == "stl10-unlabeled" else split)
    except (RuntimeError, OSError, ValueError, AssertionError) as error:
        raise UserError(f"{(root / _FILES[name]).parent}: is not whole ({error}). Remove it, so that it is downloaded again.") from error
    labels = np.asarray(stored.labels).astype(np.int64)
    return np.asarray(stored.data), np.zeros_like(labels) if name == "stl10-unlabeled" else labels


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)


def download(root: Path, name: str) -> None:
    """Download data set `name` into `root`. Raises OSError when there is no network or `root` cannot be written."""
    root.mkdir(parents=True, exist_ok=True)
    dataset = _dataset(name)
    _reach(_address(dataset, name))
    patience = socket.getdefaulttimeout()
    with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
        socket.setdefaulttimeout(_STALLED)
        try:
            for given in ({"split": "train"}, {"split": "test"}) if name in _BY_SPLIT else ({},):
                dataset(temporary, download=True, **given)
        except (RuntimeError, http.client.HTTPException) as error:
            raise OSError(str(error)) from error
        finally:
            socket.setdefaulttimeout(patience)
        folder = Path(_FILES[name]).parent
        parts = [folder] if folder.name else [file.relative_to(temporary) for file in Path(temporary).glob(_FILES[name])]
        for part in parts:
            _publish(Path(temporary) / part, root / part)


def _address(dataset: Any, name: str) -> str:  # noqa: ANN401 (torchvision is untyped)
    """Where the download begins."""
    if name == "svhn":
        return str(dataset.split_list["train"][0])
    return str(dataset.mirrors[0] if name in ("mnist", "fashion-mnist") else dataset.url)


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
        if not target.exists():
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
