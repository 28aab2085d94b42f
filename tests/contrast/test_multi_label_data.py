"""Images that show several classes: VOC 2007 in its official layout, as torchvision reads its annotations, and what refuses such data."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.datasets as peer
import torchvision.transforms.functional as scaling
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits

from analysis import FGSM, KNN, PGD, Accuracy, InPCA, LinearProbe, MeanAveragePrecision, MeanPerClass, Progress, TopK, customary
from contrast import (
    BSS,
    DELTA,
    SGD,
    Classifier,
    ClassPairs,
    CoreTuning,
    CropFlip,
    CropViews,
    CrossEntropy,
    Digits,
    FGVCAircraft,
    Finetune,
    MLPClassifier,
    MLPHead,
    NTXent,
    Pretrain,
    RandomBits,
    SmallResNet,
    SupCon,
    Untrained,
    UserError,
)
from contrast.data import VOC2007
from contrast.data.dataset import IGNORED
from contrast.data.voc2007 import CLASSES
from contrast.losses.binary_cross_entropy import binary_cross_entropy
from tests.bench import Bench, assert_same, curve

pytestmark = pytest.mark.usefixtures("cache")
SIDE, PER_PART = 8, 60
VOC = VOC2007(side=SIDE)


@pytest.fixture
def voc(tmp_path):
    """A devkit of 60 images a part, each with one to four objects, some of them difficult."""
    home, rng = tmp_path / "VOCdevkit" / "VOC2007", np.random.default_rng(0)
    for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (home / folder).mkdir(parents=True)
    for part in ("trainval", "test"):
        values = {one: [] for one in CLASSES}
        names = [f"{(part == 'test') * 5000 + i + 1:06d}" for i in range(PER_PART)]
        for i, name in enumerate(names):
            shown = np.unique([i % 20, *rng.integers(0, 20, rng.integers(0, 4))])
            objects = [(CLASSES[c], bool(rng.random() < 0.3)) for c in shown for _ in range(rng.integers(1, 3))]
            write_image(home, name, objects, rng)
            for one in CLASSES:
                difficult = [hard for c, hard in objects if c == one]
                values[one].append(f"{name} {-1 if not difficult else 0 if all(difficult) else 1:2d}\n")
        (home / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
        for one in CLASSES:
            (home / "ImageSets" / "Main" / f"{one}_{part}.txt").write_text("".join(values[one]))
    return tmp_path


def write_image(home, name, objects, rng):
    Image.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(home / "JPEGImages" / f"{name}.jpg")
    listed = "".join(f"<object><name>{one}</name><difficult>{int(hard)}</difficult></object>" for one, hard in objects)
    (home / "Annotations" / f"{name}.xml").write_text(f"<annotation><filename>{name}.jpg</filename>{listed}</annotation>")


def annotated(root, part):
    """For each image, scaled, the targets that follow from torchvision's annotations."""
    found = {}
    for image, annotation in peer.VOCDetection(root, "2007", part):
        target = np.zeros(20, np.uint8)
        for one in annotation["annotation"]["object"]:
            place = CLASSES.index(one["name"])
            target[place] = 1 if one["difficult"] == "0" or target[place] == 1 else IGNORED
        found[np.asarray(scaling.center_crop(scaling.resize(image, SIDE), SIDE)).transpose(2, 0, 1).tobytes()] = target
    return found


@pytest.mark.parametrize("part", ["whole", "test"])
def test_targets_are_those_of_torchvisions_annotations(voc, part):
    images, wanted = replace(VOC, part=part).load(voc), annotated(voc, "trainval" if part == "whole" else "test")
    assert images.pixels.shape == (PER_PART, 3, SIDE, SIDE)
    assert images.targets.dtype == np.uint8
    for pixels, targets in zip(images.pixels, images.targets, strict=True):
        assert np.array_equal(targets, wanted.pop(pixels.tobytes()))
    assert not wanted
    assert {0, 1, IGNORED} == set(np.unique(images.targets))
    with pytest.raises(ValueError, match="read-only"):
        images.targets[0] = 0


def test_an_image_is_stratified_by_the_first_class_that_it_shows(voc):
    images = VOC.load(voc)
    for label, targets in zip(images.labels, images.targets, strict=True):
        sought = 1 if (targets == 1).any() else IGNORED
        assert label == list(targets).index(sought)
    again = replace(VOC, per_class=1).load(voc)
    place = np.searchsorted(images.ids, again.ids)
    assert np.array_equal(images.targets[place], again.targets)
    assert np.array_equal(images.pixels[place], again.pixels)


def test_images_of_one_class_have_no_targets(voc):
    assert Digits().load(None).targets is None


def rewrite(root, name, old, new):
    file = root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / f"{name}.txt"
    file.write_text(file.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("cow_trainval", "000007 ", "900007 ", "cow_trainval.txt: says nothing of image 000007"),
        ("cow_trainval", "-1", "-2", "cow_trainval.txt: says -2 of image 0"),
        ("cow_trainval", "-1", "x", "cow_trainval.txt: holds 'x' where an integer must be"),
        ("trainval", "000001\n", "000001\n900001\n", "aeroplane_trainval.txt: says nothing of image 900001"),
        ("test", "005001\n", "000001\n", "000001.jpg: is in the lists of both training and test (1 of 60 are)"),
        ("trainval", "000002\n", "000001\n", "000001.jpg: is named more than once in the data set's lists (1 of 59 are)"),
    ],
)
def test_lists_that_are_wrong_are_named(voc, name, old, new, message):
    rewrite(voc, name, old, new)
    with pytest.raises(UserError, match=re.escape(message)):
        VOC.load(voc)


def test_files_that_lack_are_named(voc, tmp_path):
    home = voc / "VOCdevkit" / "VOC2007"
    (home / "JPEGImages" / "000003.jpg").unlink()
    with pytest.raises(UserError, match=r"000003\.jpg: is named in .* not there \(1 of 60"):
        VOC.load(voc)
    (home / "ImageSets" / "Main" / "sofa_test.txt").unlink()
    with pytest.raises(UserError, match=r"sofa_test\.txt: must be the data set's list"):
        replace(VOC, part="test").load(voc)
    with pytest.raises(UserError, match=r"data = .*: must be the folder that holds VOCdevkit/VOC2007/"):
        VOC.load(home)
    for one in CLASSES:
        for value in " 0", " 1":
            rewrite(voc, f"{one}_trainval", f"000005 {value}", "000005 -1")
    with pytest.raises(UserError, match=r"image 000005 shows none of the 20 classes"):
        VOC.load(voc)


def test_changed_targets_are_changed_data_under_the_same_name(voc):
    """Though the first class of each image stays."""
    VOC.load(voc)
    rewrite(voc, "tvmonitor_trainval", "000001 -1", "000001  1")
    with pytest.raises(UserError, match=r"voc2007-8, split train: the images of class \d+ must stay those"):
        replace(VOC, per_class=2).load(voc)


NET = Untrained(data=Digits(), encoder=SmallResNet(2), seed=0)
SHARED = {"data": VOC, "encoder": SmallResNet(2), "batch_size": 10, "epochs": 1, "seed": 0, "optimizer": SGD(0.05)}
ONE_CLASS = {
    "Accuracy.on": lambda: Accuracy(NET, on=VOC),
    "MeanPerClass.on": lambda: MeanPerClass(NET, on=VOC),
    "TopK.on": lambda: TopK(NET, on=VOC),
    "KNN.on": lambda: KNN(NET, on=VOC),
    "LinearProbe.data": lambda: LinearProbe(NET, data=VOC, on=VOC),
    "FGSM.on": lambda: FGSM(NET, on=VOC),
    "PGD.on": lambda: PGD(NET, on=VOC),
    "Finetune.data": lambda: Finetune(NET, data=VOC, seed=0, frozen=False, method=CoreTuning()),
    "RandomBits.of": lambda: RandomBits(bits=2, of=VOC),
    "Pretrain.data": lambda: Pretrain(**SHARED, views=CropViews(1), loss=CrossEntropy(), head=Classifier()),
    "Pretrain.data ": lambda: Pretrain(**SHARED, views=CropViews(), loss=SupCon(0.1), head=MLPHead()),
    "Pretrain.data  ": lambda: Pretrain(**SHARED, views=CropViews(), loss=NTXent(0.1), head=MLPHead(), batches=ClassPairs()),
}


@pytest.mark.parametrize(("field", "make"), ONE_CLASS.items(), ids=ONE_CLASS)
def test_what_reads_one_class_an_image_refuses_images_of_several(field, make):
    with pytest.raises(UserError, match=rf"^{field.strip()} = .*must show one class an image"):
        make()


TUNINGS = [
    *({}, {"head": MLPClassifier(8), "views": CropFlip()}),
    *({"frozen": False}, {"frozen": False, "method": BSS()}, {"frozen": False, "method": DELTA()}),
]


@pytest.mark.parametrize("changes", TUNINGS, ids=repr)
def test_a_fine_tuning_learns_them_class_by_class_and_goes_on_to_the_last_bit(voc, tmp_path_factory, changes):
    """Its loss is the binary cross-entropy of the logits that are left, it falls, and the measure of such data judges it."""
    bench = Bench(tmp_path_factory.mktemp("bench"), voc)
    start = Untrained(data=VOC, encoder=SmallResNet(2), seed=0)
    bench.run(start)
    stage = Finetune(start, data=VOC, seed=0, epochs=4, batch_size=20, optimizer=SGD(0.5, weight_decay=0.0), **changes)
    whole = bench.run(stage)
    assert_same(bench.run(stage, [2]), whole)
    images = VOC.load(voc)
    logits = bench.net(stage)(torch.from_numpy(np.array(images.pixels)).float() / 255)
    expected = binary_cross_entropy(logits, torch.from_numpy(np.array(images.targets)))
    assert whole.results["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert "log_probs" not in whole.arrays()
    assert whole.results["loss"] < curve(whole)[0]["loss"]
    assert 0 < bench.run(MeanAveragePrecision(stage, on=VOC)).results["map"] < 100


def test_the_way_of_a_fine_tuning_on_them_has_no_progress_to_a_class():
    tuned = Finetune(NET, data=VOC, seed=0)
    for make in (lambda: Progress(tuned), lambda: InPCA((tuned,))):
        with pytest.raises(UserError, match=r"\.of = .*must be tuned on images of one class each"):
            make()


def test_what_reads_no_class_takes_them():
    assert Pretrain(**SHARED, views=CropViews(), loss=NTXent(0.1), head=MLPHead()).data == VOC


def test_classes_of_such_images_are_not_selected():
    with pytest.raises(UserError, match=r"VOC2007\.classes = \(1, 2\): must be None, since an image shows several classes"):
        VOC2007(classes=(1, 2))


def test_average_precision_is_for_them_alone():
    with pytest.raises(UserError, match=r"MeanAveragePrecision\.on = .*must be images that may show several classes"):
        MeanAveragePrecision(NET, on=Digits())


def test_each_data_set_has_its_customary_measure():
    assert [customary(dataset) for dataset in (VOC, FGVCAircraft(), Digits())] == [MeanAveragePrecision, MeanPerClass, Accuracy]


def test_binary_cross_entropy_is_torchs_where_all_is_judged_and_leaves_out_what_is_open():
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=draws, requires_grad=True)
    targets = torch.randint(0, 2, (6, 4), generator=draws, dtype=torch.uint8)
    assert torch.allclose(binary_cross_entropy(logits, targets), binary_cross_entropy_with_logits(logits, targets.float()))
    left_open = targets.clone()
    left_open[2:, 1] = IGNORED
    judged = left_open != IGNORED
    loss = binary_cross_entropy(logits, left_open)
    assert torch.allclose(loss, binary_cross_entropy_with_logits(logits[judged], targets[judged].float()))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[~judged] == 0).all()
    assert binary_cross_entropy(logits, torch.full_like(targets, IGNORED)).item() == 0
