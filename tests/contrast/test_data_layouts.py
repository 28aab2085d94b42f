"""The public data sets are read from small files in their official layouts; images of any size are brought to one as torchvision does."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision.datasets
import torchvision.transforms.functional as peer
from PIL import Image
from scipy.io import savemat

from contrast.component import UserError
from contrast.data import STL10, SVHN, FashionMNIST, ImageFolder, ImageNet, STL10Unlabeled, rows
from contrast.data.scaled import decode_scaled
from contrast.data.source import find

pytestmark = pytest.mark.usefixtures("cache")
RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_fashion_mnist_lies_beside_mnist(tmp_path, toy):
    toy.idx(tmp_path)
    shutil.move(tmp_path / "MNIST", tmp_path / "FashionMNIST")
    pixels, labels = find(FashionMNIST(), tmp_path, "test").read()
    assert pixels.shape == (7, 1, 28, 28)
    assert labels.tolist() == list(range(7))


def test_svhn_is_read_from_its_mat_files_with_ten_for_nought(tmp_path, monkeypatch):
    given = {}
    for split, n in (("train", 20), ("test", 10)):
        file = tmp_path / f"{split}_32x32.mat"
        images, labels = noise(32, 32, 3, n), np.arange(n)[:, None] % 10 + 1
        savemat(file, {"X": images, "y": labels})
        given[split] = ["http://nowhere", file.name, md5(file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", given)
    loaded = SVHN().load(tmp_path)
    assert loaded.labels.tolist() == sorted([*range(10)] * 2)
    stored = {images[..., i].transpose(2, 0, 1).tobytes() for i in range(10)}
    assert {image.tobytes() for image in SVHN(part="test").load(tmp_path).pixels} == stored


@pytest.fixture
def stl10(tmp_path, monkeypatch):
    """Files of STL-10: 10 labelled images of train, 20 of test, 5 without labels; as (column, row) with channels first."""
    folder, images = tmp_path / "stl10_binary", {}
    folder.mkdir()
    for name, n in (("train", 10), ("test", 20), ("unlabeled", 5)):
        images[name] = noise(n, 3, 96, 96)
        images[name].transpose(0, 1, 3, 2).tofile(folder / f"{name}_X.bin")
        if name != "unlabeled":
            (np.arange(n) % 10 + 1).astype(np.uint8).tofile(folder / f"{name}_y.bin")
    for listed, names in (("train_list", ("train_X", "train_y", "unlabeled_X")), ("test_list", ("test_X", "test_y"))):
        monkeypatch.setattr(torchvision.datasets.STL10, listed, [[f"{name}.bin", md5(folder / f"{name}.bin")] for name in names])
    return tmp_path, images


def test_stl10_is_read_with_and_without_labels(stl10):
    root, images = stl10
    labelled, test, others = STL10().load(root), STL10(part="test").load(root), STL10Unlabeled().load(root)
    assert (labelled.labels.tolist(), test.labels.tolist()) == (list(range(10)), sorted([*range(10)] * 2))
    assert others.labels.tolist() == [0] * 5
    for loaded, name in ((labelled, "train"), (test, "test"), (others, "unlabeled")):
        assert {x.tobytes() for x in loaded.pixels} == {x.tobytes() for x in images[name]}


def test_a_torn_file_of_torchvisions_is_named_by_its_folder(stl10):
    root, _ = stl10
    (root / "stl10_binary" / "test_X.bin").write_bytes(b"short")
    with pytest.raises(UserError, match=r"stl10_binary: is not whole"):
        STL10().load(root)


def test_unlabelled_images_have_no_test_split():
    with pytest.raises(UserError, match=r"STL10Unlabeled.part = 'test': has no test split"):
        STL10Unlabeled().held_out("confirm")


SIZES = [(40, 30), (30, 40), (24, 24), (91, 33), (25, 60), (16, 16)]
FORMATS = ["png", "JPEG", "webp", "bmp", "jpg", "PNG"]


@pytest.fixture
def birds(tmp_path):
    """Six images a split in class folders, of several sizes and formats."""
    for split, classes in (("train", "abc"), ("val", "abc")):
        for i, (size, kind) in enumerate(zip(SIZES, FORMATS, strict=True)):
            folder = tmp_path / "birds" / split / classes[i % 3]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(size[1], size[0], 3)).save(folder / f"{i}.{kind}")
    return tmp_path


def scaled(file, side):
    """torchvision's Resize and CenterCrop of the image as its loader opens it."""
    with Image.open(file) as image:
        return np.asarray(peer.center_crop(peer.resize(image.convert("RGB"), side), side)).transpose(2, 0, 1)


@pytest.mark.parametrize("part", ["whole", "test"])
def test_class_folders_of_any_size_are_scaled_and_cut_as_torchvision_does(birds, part):
    loaded = ImageFolder(images="birds", count=3, side=20, part=part).load(birds)
    files = sorted((birds / "birds" / ("train" if part == "whole" else "val")).glob("*/*"))
    wanted = sorted((file.parent.name, scaled(file, 20).tobytes()) for file in files)
    assert sorted(("abc"[y], x.tobytes()) for x, y in zip(loaded.pixels, loaded.labels, strict=True)) == wanted


def test_parquet_of_any_size_is_the_same_data_set(birds, tmp_path_factory):
    """As on the hub: a folder `data`, and splits train and validation."""
    other = tmp_path_factory.mktemp("hub") / "birds" / "data"
    other.mkdir(parents=True)
    for split, name in (("train", "train"), ("val", "validation")):
        files = sorted((birds / "birds" / split).glob("*/*"))
        table = pa.table(
            {"image": [{"bytes": f.read_bytes(), "path": f.name} for f in files], "label": ["abc".index(f.parent.name) for f in files]}
        )
        pq.write_table(table, other / f"{name}-00000-of-00001.parquet")
    for part in ("whole", "test"):
        dataset = ImageFolder(images="birds", count=3, side=20, part=part)
        for one, two in zip(dataset.load(birds), dataset.load(other.parent.parent), strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize("size", [(300, 31), (31, 300), (200, 9), (8, 640)])
def test_of_a_strip_only_the_middle_is_scaled_and_is_the_same_to_a_level(tmp_path, size):
    folder = tmp_path / "strips" / "train" / "a"
    folder.mkdir(parents=True)
    Image.fromarray(noise(size[1], size[0], 3)).save(folder / "1.png")
    (pixels,) = ImageFolder(images="strips", count=1, side=20).load(tmp_path).pixels
    assert np.abs(pixels.astype(int) - scaled(folder / "1.png", 20)).max() <= 1


def test_a_strip_needs_no_more_memory_than_its_middle():
    """All of it, scaled, would be more than a thousand million pixels."""
    image = io.BytesIO()
    Image.new("RGB", (20000, 1), (1, 2, 3)).save(image, "PNG")
    assert (decode_scaled(image.getvalue(), "strip", 256, False) == np.array([1, 2, 3])[:, None, None]).all()


def test_grey_images_that_were_converted_once_are_still_refused_where_they_are_not_to_be(birds):
    Image.fromarray(noise(9, 9)).save(birds / "birds" / "train" / "a" / "0.png")
    ImageFolder(images="birds", count=3, side=20, convert=True).load(birds)
    with pytest.raises(UserError, match=r"a/0\.png: is a grey image where colour is needed"):
        ImageFolder(images="birds", count=3, side=20).load(birds)


def test_a_class_has_one_id_in_every_split(birds):
    """Though the test split has no image of the first class."""
    for file in (birds / "birds" / "val" / "a").iterdir():
        file.unlink()
    (birds / "birds" / "val" / "a").rmdir()
    loaded = ImageFolder(images="birds", count=3, side=20, part="test", classes=(1, 2)).load(birds)
    assert {x.tobytes() for x in loaded.pixels[loaded.labels == 0]} == {scaled(f, 20).tobytes() for f in (birds / "birds/val/b").iterdir()}


def test_imagenet_takes_grey_and_cmyk_images_and_counts_synsets_in_their_order(tmp_path):
    for split in ("train", "val"):
        for i, mode in ((443, "L"), (440, "CMYK"), (441, "RGB")):
            folder = tmp_path / "imagenet" / split / f"n01440{i}"
            folder.mkdir(parents=True)
            Image.fromarray(noise(30, 40, 3)).convert(mode).save(folder / "x.JPEG")
    for i in range(997):  # the other synsets
        (tmp_path / "imagenet" / "train" / f"n02{i:06d}").mkdir()
        shutil.copy(folder / "x.JPEG", tmp_path / "imagenet" / "train" / f"n02{i:06d}")
    loaded = ImageNet(side=24, classes=(0, 1, 2)).load(tmp_path)
    files = [tmp_path / "imagenet" / "train" / f"n01440{i}" / "x.JPEG" for i in (440, 441, 443)]
    assert np.array_equal(loaded.pixels, np.stack([scaled(f, 24) for f in files]))
    assert ImageNet(side=24, classes=(0, 1, 2), part="test").load(tmp_path).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: (a / "0.png").write_bytes(b"no image"), r"train/a/0\.png: is not a whole image .*Get that file again"),
        (
            lambda a: Image.fromarray(noise(9, 9)).save(a / "0.png"),
            r"a/0\.png: is a grey image where colour is needed \(mode L.*convert=True",
        ),
        (lambda a: Image.fromarray(noise(9, 9, 4)).save(a / "0.png"), r"a/0\.png: is no plain colour image \(mode RGBA, must be RGB"),
        (
            lambda a: Image.fromarray(noise(9, 9).astype(np.uint16) * 256).save(a / "0.png"),
            r"a/0\.png: has more than 8 bits a channel \(mode I;16, must be RGB\)\. Convert it first",
        ),
        (lambda a: (a.parent / "empty").mkdir(), r"train/empty: is a class folder without images .*or remove the folder"),
        (
            lambda a: [(a.parent / "d").mkdir(), Image.fromarray(noise(9, 9, 3)).save(a.parent / "d" / "9.png")],
            r"birds: names 4 classes, must name 3\. Complete the folders, or state the right number",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(birds, spoil, message):
    spoil(birds / "birds" / "train" / "a")
    with pytest.raises(UserError, match=message):
        ImageFolder(images="birds", count=3, side=20).load(birds)


def test_a_label_outside_the_classes_in_parquet_is_named(tmp_path, toy):
    images, labels = toy.images()
    labels[7] = 4
    with pytest.raises(UserError, match=r"toy.*: label 4 of train image 7 is outside the classes 0 to 3 of toy"):
        toy.dataset(classes=(0,)).load(toy.parquet(tmp_path, images, labels))


def test_where_there_is_nothing_every_place_is_named(tmp_path):
    with pytest.raises(UserError, match=r"data is not set: must be the folder that holds birds/"):
        ImageFolder(images="birds", count=3).load(None)
    with pytest.raises(
        UserError, match=r"the test images must be .* in none: .*birds/test/<class>.*birds/val/<class>.*validation-\*\.parquet"
    ):
        ImageFolder(images="birds", count=3, part="test").load(tmp_path)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"images": "../x", "count": 3}, "ImageFolder.images"),
        ({"images": "/x", "count": 3}, "ImageFolder.images"),
        ({"images": "", "count": 3}, "ImageFolder.images"),
        ({"images": "x", "count": 0}, "ImageFolder.count = 0"),
        ({"images": "x", "count": 3, "side": 4}, "ImageFolder.side = 4"),
        ({"images": "x", "count": 3, "fraction": 0.0}, "ImageFolder.fraction = 0.0"),
        ({"images": "x", "count": 3, "fraction": 1.5}, "ImageFolder.fraction = 1.5"),
    ],
)
def test_values_out_of_range_are_refused_by_field(given, field):
    with pytest.raises(UserError, match=field):
        ImageFolder(**given)


# ---- selections


@pytest.mark.parametrize("part", ["whole", "fit"])
def test_fractions_are_stratified_and_nested_and_leave_what_is_scored_whole(tmp_path, toy, part):
    root = toy.parquet(tmp_path, *toy.images(n=300))
    kept = {}
    for fraction in (1.0, 0.5, 0.1, 0.02):
        dataset = toy.dataset(classes=(0, 1, 2), part=part, fraction=fraction)
        images = dataset.load(root)
        whole = 100 if part == "whole" else 90
        assert np.bincount(images.labels).tolist() == [max(1, round(fraction * whole))] * 3
        kept[fraction] = set(images.ids.tolist())
        scored = dataset.held_out("search").load(root)
        assert np.bincount(scored.labels).tolist() == [10] * 3
        assert not kept[fraction] & set(scored.ids.tolist()) or part == "whole"
    assert kept[0.02] < kept[0.1] < kept[0.5] < kept[1.0]


def test_all_of_it_is_no_fraction(toy):
    assert toy.dataset(fraction=1.0) == toy.dataset()


def test_a_large_selection_is_a_map_that_workers_share(cache, tmp_path, toy, monkeypatch):
    root = toy.parquet(tmp_path, *toy.images())
    copied = toy.dataset(classes=(2, 0)).load(root).pixels
    monkeypatch.setattr(rows, "_SMALL", 0)
    dataset = toy.dataset(classes=(2, 0), per_class=20)
    mapped = dataset.load(root).pixels
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, copied)
    (file,) = cache.glob("toy-train-*/rows-*.npy")
    written = file.stat().st_mtime_ns
    places = np.concatenate([np.arange(40, 60), np.arange(20)])
    pixels = np.load(file.with_name("pixels.npy"), mmap_mode="r")
    assert np.array_equal(rows.rows_of(pixels, places), copied)
    assert file.stat().st_mtime_ns == written
    for damage in (b"", file.read_bytes()[:-4] + b"wrong"[:4]):
        file.unlink()
        file.write_bytes(damage)
        assert np.array_equal(rows.rows_of(pixels, places), copied)
    assert [path.name for path in file.parent.glob("*.tmp")] == []


WORKER = """
import re
from contrast.data import CIFAR10
anonymous = lambda: int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = anonymous()
images = CIFAR10().fit("search").load(__import__("pathlib").Path({root!r}))
total = sum(int(images.pixels[i : i + 1000].sum()) for i in range(0, len(images.pixels), 1000))
print(anonymous() - before)
"""


@pytest.mark.data
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_second_worker_adds_less_than_50_mb_of_its_own_for_the_data(cache):
    root = os.environ.get("CONTRAST_DATA")
    if not root:
        pytest.skip("CONTRAST_DATA does not name a folder with the real images")
    environment = os.environ | {"CONTRAST_CACHE": str(cache)}
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", WORKER.format(root=root)], env=environment, check=True, capture_output=True, text=True)
    assert int(ran.stdout) * 1024 < 50e6


@pytest.mark.data
def test_the_real_fashion_mnist_has_the_pinned_content_and_constants(tmp_path):
    """From Debian's package dataset-fashion-mnist, where it is installed."""
    source = "/usr/share/datasets/fashion-mnist"
    if not os.path.isdir(source):
        pytest.skip("the package dataset-fashion-mnist is not installed")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in os.listdir(source):
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(Path(source, name).read_bytes()))
    pixels = FashionMNIST().load(tmp_path).pixels / 255
    assert len(FashionMNIST(part="test").load(tmp_path).ids) == 10_000
    assert (round(pixels.mean(), 4), round(pixels.std(), 4)) == (FashionMNIST.mean[0], FashionMNIST.std[0])
