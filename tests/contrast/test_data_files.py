"""One data set in every layout, decoded once: Parquet, torchvision's files and class folders give identical arrays, and the node's
cache is whole or absent, shared, and rebuilt when damaged.

The images are a small data set of the tests' own, and MNIST-like files in torchvision's layout. Nothing needs a network.
"""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from contrast.component import UserError
from contrast.data import MNIST, Digits
from contrast.data.cache import open_decoded
from contrast.data.cache_folder import cache_folder
from contrast.data.source import find

pytestmark = pytest.mark.usefixtures("cache")


def same(a, b):
    """Whether pixels, labels and ids are equal."""
    return all(np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))


def test_row_order_shards_and_layout_change_nothing(tmp_path, toy):
    images, labels = toy.images()
    roots = [
        toy.parquet(tmp_path / "one", images, labels),
        toy.parquet(tmp_path / "permuted", images[::-1], labels[::-1], shards=3, columns=("image", "fine_label")),
        toy.class_folders(tmp_path / "folders", images, labels),
    ]
    first, *others = [toy.dataset(classes=(2, 0, 1)).load(root) for root in roots]
    assert first.pixels.shape == (60, 3, 6, 6)
    assert all(same(first, other) for other in others)
    assert {x.tobytes() for x in images.transpose(0, 3, 1, 2)} == {x.tobytes() for x in first.pixels}


def test_named_class_folders_are_numbered_in_order_of_name(tmp_path, toy):
    images, labels = toy.images()
    root = toy.class_folders(tmp_path, images, labels, names="class-{}")
    assert same(toy.dataset(classes=(0, 1, 2)).load(root), toy.dataset(classes=(0, 1, 2)).load(toy.parquet(tmp_path / "p", images, labels)))


def test_torchvisions_layout_is_read_and_a_torn_file_of_it_named(tmp_path, toy):
    toy.idx(tmp_path)
    pixels, labels = find(MNIST(), tmp_path, "test").read()
    assert pixels.shape == (7, 1, 28, 28)
    assert labels.tolist() == list(range(7))
    torn = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    for size in (0, 3, 10, 1000):
        torn.write_bytes(torn.read_bytes()[:size])
        with pytest.raises(UserError, match=r"MNIST/raw: is not whole.*Remove it"):
            find(MNIST(), tmp_path, "test").read()


def test_loading_again_costs_nothing_and_whole_is_a_view_of_the_shared_map(cache, tmp_path, toy):
    root = toy.parquet(tmp_path, *toy.images())
    dataset = toy.dataset(classes=(0, 1, 2))
    first = dataset.load(root)
    assert dataset.load(root) is first
    assert isinstance(first.pixels, np.memmap)
    assert first.pixels.filename == next(cache.glob("toy-train-*/pixels.npy"))
    assert isinstance(toy.dataset(classes=(1, 2)).load(root).pixels, np.memmap)
    assert not isinstance(toy.dataset(classes=(2, 0)).load(root).pixels, np.memmap)


@pytest.mark.parametrize("file", ["pixels.npy", "labels.npy", "about.json"])
@pytest.mark.parametrize("size", [None, 0, 100])
def test_a_damaged_entry_is_built_again(cache, tmp_path, file, size, toy):
    root = toy.parquet(tmp_path, *toy.images())
    first = toy.dataset(classes=(0, 1)).load(root)
    path = next(cache.glob(f"toy-train-*/{file}"))
    whole = path.read_bytes()
    path.unlink()  # a new file: the first result still maps the old one
    if size is not None:
        path.write_bytes(whole[:size])
    again = toy.dataset(classes=(0, 1, 2)).load(root)
    assert same(first, (again.pixels[:40], again.labels[:40], again.ids[:40]))
    assert path.read_bytes() == whole
    assert not list(cache.glob(".building-*"))


def altered(path, where, change):
    content = bytearray(path.read_bytes())
    content[where] ^= change
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "where", "change"), [("pixels.npy", -5, 1), ("labels.npy", -8, 1), ("about.json", 30, 1), ("about.json", 40, 2)]
)
def test_an_entry_with_a_changed_byte_is_built_again(cache, tmp_path, file, where, change, toy):
    root = toy.parquet(tmp_path, *toy.images())
    first = toy.dataset(classes=(0, 1)).load(root)
    path = next(cache.glob(f"toy-train-*/{file}"))
    whole = path.read_bytes()
    altered(path, where, change)
    again = toy.dataset(classes=(0, 1, 2)).load(root)
    assert same(first, (again.pixels[:40], again.labels[:40], again.ids[:40]))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "null", "{}", '{"about": []}', '{"about": {"digests": 1, "files": []}}', '{"about": 1}', "\0"]
)
def test_an_entry_whose_account_is_none_is_built_again(cache, tmp_path, text, toy):
    root = toy.parquet(tmp_path, *toy.images())
    toy.dataset(classes=(0, 1)).load(root)
    path = next(cache.glob("toy-train-*/about.json"))
    whole = path.read_bytes()
    path.write_text(text)
    toy.dataset(classes=(0, 1, 2)).load(root)
    assert path.read_bytes() == whole


def test_arrays_are_read_once_a_process_to_compare_them(cache, tmp_path, toy, monkeypatch):
    root, read, digest = toy.parquet(tmp_path, *toy.images()), [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: (read.append(file.name), digest(file, kind))[1])
    for classes in ((0,), (1,), (0, 1)):
        toy.dataset(classes=classes).load(root)
    assert sorted(Path(name).name for name in read if ".building-" not in str(name)) == ["labels.npy", "pixels.npy"]


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_digests_of_images_seen_before_that_cannot_be_read_are_named(cache, tmp_path, text, toy):
    images, labels = toy.images()
    toy.dataset(classes=(0,)).load(toy.parquet(tmp_path / "a", images, labels))
    (cache / "toy-train.json").write_text(text)
    with pytest.raises(UserError, match=r"toy-train.json: does not hold the digests .* Remove it"):
        toy.dataset(classes=(0,)).load(toy.parquet(tmp_path / "b", images, labels))


def test_builders_at_the_same_time_do_no_harm(cache, tmp_path, toy):
    root, together = toy.parquet(tmp_path, *toy.images()), threading.Barrier(4)

    def build(_):
        together.wait()
        return open_decoded(toy.dataset(), "train", find(toy.dataset(), root, "train"), cache)

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(build, range(4))
    assert all(same(first, other) for other in others)
    assert sorted(path.suffix for path in cache.iterdir()) == ["", ".json"]


def test_a_class_may_be_added_to_the_files_under_the_same_name(tmp_path, toy):
    images, labels = toy.images()
    old = toy.dataset(classes=(0,)).load(toy.parquet(tmp_path, images, labels))
    more, _ = toy.images(seed=1, n=5)
    toy.parquet(tmp_path, np.concatenate([images, more]), np.concatenate([labels, np.full(5, 3)]))
    assert same(old, [part[:20] for part in toy.dataset(classes=(0, 3)).load(tmp_path)[:3]])
    assert len(toy.dataset(classes=(3,)).load(tmp_path).ids) == 5


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path(os.environ["CONTRAST_CACHE"])
    monkeypatch.delenv("CONTRAST_CACHE")
    assert cache_folder() == Path("/caches/contrast-sweeps")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "contrast-sweeps"


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"CONTRAST_CACHE = .*file/cache.*cannot be written.*Set CONTRAST_CACHE"):
        Digits().load(None)
