"""A small data set of the tests' own, written in every layout, and a cache folder of the test's own."""

import io
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from contrast.data import Dataset, select
from tests.contrast.checkpoints import network
from tests.layouts import Painter


@dataclass(frozen=True)
class Toy(Dataset):
    name: ClassVar[str] = "toy"
    shape: ClassVar[tuple[int, int, int]] = (3, 6, 6)
    mean: ClassVar[tuple[float, ...]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, ...]] = (0.3, 0.3, 0.3)
    class_count: ClassVar[int] = 4

    def load(self, root):
        return select(self, root)


class ToyFiles:
    """Writers of labelled images: `parquet`, `class_folders`, `idx` (torchvision's MNIST); each returns the root."""

    dataset = Toy

    @staticmethod
    def images(seed=0, n=60, classes=3):
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8), np.arange(n) % classes

    @staticmethod
    def png(image):
        with io.BytesIO() as file:
            Image.fromarray(image).save(file, "PNG")
            return file.getvalue()

    @staticmethod
    def parquet(root, images, labels, *, name="toy", shards=1, columns=("img", "label")):
        (root / name).mkdir(parents=True, exist_ok=True)
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        for shard, rows in enumerate(np.array_split(np.arange(len(labels)), shards)):
            cells = pa.array([{"bytes": ToyFiles.png(images[i]), "path": f"{i}.png"} for i in rows], kind)
            table = pa.table({columns[0]: cells, columns[1]: labels[rows]})
            pq.write_table(table, root / name / f"train-{shard:05d}-of-{shards:05d}.parquet")
        return root

    @staticmethod
    def class_folders(root, images, labels, *, names="{}"):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / "toy" / "train" / names.format(label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.png").write_bytes(ToyFiles.png(image))
        return root

    @staticmethod
    def idx(root):
        rng, raw = np.random.default_rng(0), Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for split in ("train", "t10k"):
            for kind, array in (("images-idx3", rng.integers(0, 256, (7, 28, 28))), ("labels-idx1", np.arange(7))):
                header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
                (raw / f"{split}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
        return root


@pytest.fixture
def toy():
    return ToyFiles


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of decoded images for this test alone; not yet there."""
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def official(tmp_path):
    """A file of torchvision's, and its network."""
    net = network()
    torch.save(net.state_dict(), tmp_path / "official.pth")
    return tmp_path / "official.pth", net


@pytest.fixture(scope="session")
def root_of(tmp_path_factory):
    """The root of what a function of `tests.layouts` builds, built once."""
    return once(lambda build: build(root := tmp_path_factory.mktemp("layout"), Painter()) or root)
