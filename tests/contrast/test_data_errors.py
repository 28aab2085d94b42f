"""What is wrong with data is said: the file, the rule and the cure, never a traceback; and without data or network, all that was tried.

The images are a small data set of the tests' own; the network is replaced by its failures.
"""

import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision.datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrast.component import UserError
from contrast.data import CIFAR10, CIFAR100, MNIST, torchvision_files
from contrast.data.source import find

SETTINGS = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = pytest.mark.usefixtures("cache")


def test_images_that_differ_from_the_pinned_digest_are_refused(tmp_path, toy):
    rng = np.random.default_rng(0)
    toy.parquet(tmp_path, rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), np.arange(20) % 10, name="cifar10")
    with pytest.raises(UserError, match=r"cifar10, split train: .*class 0, 1, .* must be the published ones.*Get the files again"):
        CIFAR10().load(tmp_path)


def test_one_changed_pixel_is_a_changed_data_set_under_the_same_name(tmp_path, toy):
    images, labels = toy.images()
    toy.dataset(classes=(0,)).load(toy.parquet(tmp_path / "a", images, labels))
    images[5, 0, 0, 0] ^= 1
    with pytest.raises(UserError, match=r"class 2 must stay those.*another name, or remove .*toy-train\.json"):
        toy.dataset(classes=(0,)).load(toy.parquet(tmp_path / "b", images, labels))


def test_a_missing_class_is_named_with_those_that_are_there(tmp_path, toy):
    root = toy.parquet(tmp_path, *toy.images())
    with pytest.raises(UserError, match=r"Toy\.classes = \(3, 0\): class 3 .*toy.*only 0-2\. Name classes among those"):
        toy.dataset(classes=(3, 0)).load(root)
    with pytest.raises(UserError, match=r"Toy\.classes = None: class 3 "):
        toy.dataset().load(root)


def test_too_few_images_to_hold_out_are_refused(tmp_path, toy):
    root = toy.parquet(tmp_path, *toy.images())
    with pytest.raises(UserError, match=r"Toy\.per_class = 9: class 0 has 9 images, too few .*Use at least 10"):
        toy.dataset(classes=(0,), per_class=9).held_out("search").load(root)


@given(share=st.floats(0, 0.999))
@SETTINGS
def test_a_parquet_file_torn_anywhere_is_named(tmp_path, share, toy):
    root = toy.parquet(tmp_path / "torn", *toy.images(n=12))
    file = next((root / "toy").iterdir())
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(UserError, match=r"toy/train-00000-of-00001\.parquet: is not a whole Parquet file.*Get that file again"):
        toy.dataset(classes=(0,)).load(root)


@given(share=st.floats(0, 0.8), which=st.integers(0, 5))
@SETTINGS
def test_an_image_torn_anywhere_is_named(tmp_path, share, which, toy):
    images, labels = toy.images(n=6)
    root = toy.class_folders(tmp_path / "torn", images, labels)
    file = root / "toy" / "train" / str(labels[which]) / f"{which}.png"
    file.write_bytes(toy.png(images[which])[: int(share * len(toy.png(images[which])))])
    with pytest.raises(UserError, match=rf"train/{labels[which]}/{which}\.png: is not a whole image.*Get that file again"):
        toy.dataset(classes=(0,)).load(root)
    file.write_bytes(toy.png(images[which]))


def spoiled(table):
    cells = table["img"].to_pylist()
    cells[3]["bytes"] = None
    return table.set_column(0, "img", pa.array(cells, table.schema.field("img").type))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.slice(0, 0), "holds no images. Get that file again, or remove it"),
        (lambda table: table.rename_columns(["img", "answer"]), "has columns img, answer, must have one of label, fine_label"),
        (lambda table: table.rename_columns(["photo", "label"]), "has columns photo, label, must have one of img, image"),
        (lambda table: table.set_column(1, "label", pa.array([None] + [1] * 59)), "column label must be integers without gaps"),
        (lambda table: table.set_column(1, "label", pa.array(["cat"] * 60)), "column label must be integers without gaps"),
        (lambda table: table.set_column(0, "img", pa.array([b""] * 60)), "column img must be {bytes, path}, is binary"),
        (spoiled, "row 3: is not a whole image"),
    ],
)
def test_a_strange_parquet_file_is_named_with_what_is_strange(tmp_path, change, message, toy):
    root = toy.parquet(tmp_path, *toy.images())
    file = next((root / "toy").iterdir())
    pq.write_table(change(pq.read_table(file)), file)
    with pytest.raises(UserError) as error:
        toy.dataset(classes=(0,)).load(root)
    assert str(file) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("image", [np.zeros((7, 6, 3), np.uint8), np.zeros((6, 6), np.uint8), np.zeros((6, 6, 4), np.uint8)])
def test_an_image_of_another_size_or_mode_is_refused_not_converted(tmp_path, image, toy):
    root = toy.class_folders(tmp_path, [image], [0])
    with pytest.raises(UserError, match=r"0\.png: has \(mode, height, width\) = .*must be \('RGB', 6, 6\)"):
        toy.dataset(classes=(0,)).load(root)


def test_a_missing_shard_is_noticed(tmp_path, toy):
    root = toy.parquet(tmp_path, *toy.images(), shards=3)
    (root / "toy" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(UserError, match="holds 2 of 3 files train-"):
        toy.dataset(classes=(0,)).load(root)


def test_a_dangling_link_is_named(tmp_path, toy):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "train-00000-of-00001.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"train-00000-of-00001\.parquet: cannot be read"):
        toy.dataset(classes=(0,)).load(tmp_path)


def test_a_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"data = .*nowhere.*is not a folder. Set CONTRAST_DATA or --data"):
        CIFAR10().load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def offline(*args, **kwargs):
    raise urllib.error.URLError("no network")


@pytest.mark.parametrize("dataset", [CIFAR10(), CIFAR100(classes=(0,)), MNIST()], ids=lambda d: d.name)
@pytest.mark.parametrize("given_root", [True, False])
def test_without_data_and_network_every_place_tried_is_named(tmp_path, cache, monkeypatch, dataset, given_root):
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    (tmp_path / "root").mkdir()
    root = tmp_path / "root" if given_root else None
    with pytest.raises(UserError) as error:
        dataset.load(root)
    message, home = str(error.value), root or cache / "downloads"
    folder = home / dataset.name
    for place in (folder / "train-*.parquet", folder / "train" / "<class>" / "*.png", f"files in {home}", f"download into {home} ("):
        assert str(place) in message
    assert "no network" in message
    assert f"data = '{root}'" in message if given_root else "data is not set" in message
    assert message.endswith(f"Set CONTRAST_DATA or --data to the folder that holds {dataset.name}/.")
    assert not list((tmp_path / "root").iterdir())


def test_a_data_set_that_cannot_be_downloaded_is_not_asked_for(tmp_path, monkeypatch, toy):
    monkeypatch.setattr(torchvision_files, "download", None)
    with pytest.raises(UserError, match=r"the train images of toy must be in one of the places tried.*\(3\)"):
        toy.dataset().load(tmp_path)


def test_a_silent_server_counts_as_no_network(tmp_path, monkeypatch):
    silence = threading.Event()

    def silent(*args, **kwargs):
        silence.wait()
        offline()

    monkeypatch.setattr(urllib.request, "urlopen", silent)
    monkeypatch.setattr(torchvision_files, "_PATIENCE", -0.95)
    with pytest.raises(UserError, match="no answer from http"):
        CIFAR10().load(tmp_path)
    silence.set()


def test_a_download_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision_files, "_reach", lambda url: None)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", offline)
    with pytest.raises(UserError, match=r"a download into .* no network"):
        CIFAR10().load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_download_is_published_whole_and_found_by_the_next(tmp_path, monkeypatch, toy):
    monkeypatch.setattr(torchvision_files, "_reach", lambda url: None)
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", lambda self: toy.idx(Path(self.root)))
    pixels, _ = find(MNIST(), tmp_path, "train").read()
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]
    torchvision_files.download(tmp_path, "mnist")  # a second worker, late: the first one's files stay
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", offline)
    np.testing.assert_array_equal(find(MNIST(), tmp_path, "train").read()[0], pixels)
