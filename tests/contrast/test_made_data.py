"""Data sets made from others: digits on a canvas, digits over images, random bits, other sizes. The digits are scikit-learn's 8 x 8."""

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as peer
from PIL import Image
from scipy import stats
from torchvision.transforms import InterpolationMode

from analysis import PGD, Accuracy
from contrast import SGD, Classifier, CrossEntropy, Finetune, Plain, Pretrain, SmallResNet, Untrained, Workspace
from contrast.augmentations import Augment, BitsBeside, CropViews, RandomCrop, RandomRotation, Resize, SimCLRViews
from contrast.component import UserError
from contrast.data import VOC2007, Digits, DigitsOnImages, DomainFolder, FGVCAircraft, MultiDigits, RandomBits, Resized, TwoSizes
from contrast.data.derived import paste_
from contrast.data.multi_digits import composition
from contrast.data.random_bits import hashed_bits
from tests.bench import Bench

FEW = Digits(per_class=20)


@pytest.fixture(autouse=True, scope="module")
def shared_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def colour(tmp_path, toy):
    """Colour images of three classes, 60 of 6 x 6, and their root."""
    return toy.dataset(classes=(0, 1, 2)), toy.parquet(tmp_path, *toy.images())


def by_label(images):
    return sorted(zip(images.labels.tolist(), [x.sum() for x in images.pixels.astype(int)], strict=True))


@pytest.mark.parametrize("part", ["whole", "test"])
@pytest.mark.parametrize("placement", ["random", "grid"])
def test_one_digit_a_canvas_shows_each_digit_once_under_its_label(placement, part):
    """The sum of its pixels is the digit's."""
    made = MultiDigits(digits=1, placement=placement, of=FEW, side=32, part=part).load(None)
    assert made.pixels.shape[1:] == (1, 32, 32)
    assert by_label(made) == by_label(Digits(per_class=20, part=part).load(None))


def test_on_a_grid_a_canvas_is_its_digits_and_all_cells_are_taken_when_there_are_as_many():
    dataset, digits = MultiDigits(digits=16, placement="grid", of=FEW, side=32), FEW.load(None)
    which, corners = composition(dataset, digits.ids)
    assert {tuple(sorted(map(tuple, c // 8))) for c in corners} == {tuple((i, j) for i in range(4) for j in range(4))}
    sums = sorted(digits.pixels[which].astype(int).sum((1, 2, 3, 4)))
    assert sorted(dataset.load(None).pixels.astype(int).sum((1, 2, 3))) == sums


def test_places_are_uniform_in_the_canvas_and_digits_drawn_alike():
    dataset, ids = MultiDigits(digits=4, of=FEW, side=32), np.arange(3_000)
    which, corners = composition(dataset, ids)
    assert stats.chisquare(np.bincount(corners.ravel(), minlength=25)).pvalue > 1e-3
    assert stats.kstest(which[:, 1:].ravel() / 3_000, "uniform").pvalue > 1e-3
    assert (which[:, 0] == ids).all()


def test_a_canvas_follows_from_seed_and_digit_alone():
    some = [MultiDigits(of=FEW, side=32, seed=seed) for seed in (0, 0, 1)]
    one, again, other = (composition(dataset, FEW.load(None).ids) for dataset in some)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[1], other[1])
    part = MultiDigits(of=FEW, side=32, classes=(3, 1)).load(None)
    whole = MultiDigits(of=FEW, side=32).load(None)
    place = np.searchsorted(whole.ids, part.ids)
    assert np.array_equal(whole.pixels[place], part.pixels)


def test_blending_takes_the_larger_value_or_the_clipped_sum():
    stamps, corners = np.full((1, 1, 2, 2), 200, np.uint8), np.array([[1, 1]])
    canvas = np.full((1, 1, 4, 4), 100, np.uint8)
    paste_(canvas, stamps, corners)
    once = canvas.copy()
    paste_(canvas, stamps, corners)
    assert np.array_equal(canvas, once)
    assert once.sum() == 12 * 100 + 4 * 200
    paste_(canvas, stamps, corners, add=True)
    assert canvas[0, 0, 1, 1] == 255
    assert canvas[0, 0, 0, 0] == 100


def test_both_digits_of_two_sizes_are_the_larger_of_each_alone():
    """Canvases of one id belong together; the labels differ, so the order does."""
    both, first, second = (TwoSizes(second=20, first=8, shown=shown, of=FEW, side=32).load(None) for shown in ("both", "first", "second"))
    alone = {x.tobytes() for x in first.pixels}
    assert len(alone) == len(first.pixels)
    found = 0
    for canvas, label in zip(both.pixels, both.labels, strict=True):
        one = [x for x, y in zip(first.pixels, first.labels, strict=True) if y == label and (x <= canvas).all()]
        two = [x for x in second.pixels if (x <= canvas).all()]
        found += any(np.array_equal(np.maximum(a, b), canvas) for a in one for b in two)
    assert found == len(both.pixels)
    assert np.array_equal(np.bincount(first.labels), np.bincount(both.labels))


def test_a_digit_of_its_own_size_is_itself_and_others_are_torchvisions_bilinear():
    same, large = (TwoSizes(first=size, second=8, shown="first", of=FEW, side=16).load(None) for size in (8, 16))
    assert by_label(same) == by_label(FEW.load(None))
    digits = torch.from_numpy(np.array(FEW.load(None).pixels))
    wanted = peer.resize(digits.float(), [16, 16], antialias=True).round()
    assert sorted(large.pixels.astype(int).sum((1, 2, 3)).tolist()) == sorted(wanted.sum((1, 2, 3)).int().tolist())


def test_a_digit_covers_nine_places_and_the_rest_of_the_image_stays(colour):
    of, root = colour
    made = DigitsOnImages(pool=4, of=of, digits=FEW, side=32).load(root)
    images = of.load(root)
    wanted = peer.resize(torch.from_numpy(np.array(images.pixels)).float(), [32, 32], antialias=True).round().numpy()
    assert np.array_equal(made.ids, images.ids)
    assert np.array_equal(made.labels, images.labels)
    assert (made.pixels >= wanted).all()
    outside = np.ones((32, 32), bool)
    for down in (4, 14, 24):
        for right in (4, 14, 24):
            outside[down : down + 4, right : right + 4] = False
    assert np.array_equal(made.pixels[..., outside], wanted[..., outside])
    covered = made.pixels.astype(int)[..., ~outside].sum() - wanted[..., ~outside].sum()
    assert covered > 0


def test_the_digits_of_a_pool_are_as_many_as_it_says_and_labels_follow_what_is_probed(colour):
    of, root = colour
    with pytest.raises(UserError, match=r"DigitsOnImages.classes = None: class .* which have only"):
        DigitsOnImages(pool=3, probed="digit", of=of, digits=FEW, side=32).load(root)
    all_of_them = DigitsOnImages(pool=200, probed="digit", of=of, digits=FEW, side=32, classes=(1, 7)).load(root)
    assert set(all_of_them.labels) == {0, 1}
    assert len(all_of_them.ids) < 60
    with pytest.raises(UserError, match=r"DigitsOnImages.pool = 500: must be at most 200, the training digits of digits"):
        DigitsOnImages(pool=500, of=of, digits=FEW).load(root)


@pytest.mark.parametrize("selection", [{}, {"part": "fit", "classes": (2, 0)}, {"per_class": 11, "part": "held_out"}], ids=str)
def test_digits_drawn_anew_lie_on_the_same_images_and_follow_from_seed_epoch_and_id(colour, selection):
    """As epoch 0 the draw that measures read; each image alone or in a batch; over the epochs every digit of the pool."""
    of, root = colour
    fixed = DigitsOnImages(pool=4, of=of, digits=FEW, side=32, **selection)
    once, anew = fixed.load(root), replace(fixed, redrawn="each epoch").load(root)
    rows = np.arange(len(once.ids))
    assert once.redrawn is None
    assert replace(fixed, redrawn="each epoch").name == fixed.name
    assert all(np.array_equal(a, b) for a, b in zip(once[:3], anew[:3], strict=True))
    assert np.array_equal(anew.redrawn(rows, 0), once.pixels)
    assert np.array_equal(once.seen(rows, 3), once.pixels)
    epochs = [anew.seen(rows, epoch) for epoch in range(1, 9)]
    assert np.array_equal(anew.seen(rows[::-2], 1), epochs[0][::-2])
    for i in rows:
        drawn = {images[i].tobytes() for images in [once.pixels, *epochs]}
        assert 1 < len(drawn) <= 4
    other = replace(fixed, redrawn="each epoch", seed=1).load(root)
    assert not np.array_equal(other.seen(rows, 1), epochs[0])


def test_a_training_sees_the_digits_of_its_epoch(colour, tmp_path):
    """Three epochs of no learning: the loss differs from epoch to epoch only where digits are drawn anew."""
    of, root = colour
    still = {"encoder": SmallResNet(2), "batch_size": 60, "epochs": 3, "seed": 0, "optimizer": SGD(lr=1e-30, weight_decay=0.0)}
    found = []
    for redrawn in (None, "each epoch"):
        data = DigitsOnImages(pool=8, of=of, digits=FEW, side=16, redrawn=redrawn)
        stage = Pretrain(data=data, views=Plain(), loss=CrossEntropy(), head=Classifier(), **still)
        (tmp_path / str(redrawn)).mkdir()
        lines = stage.run(Workspace(tmp_path / str(redrawn), resolve=lambda stage: None, data=root))
        found.append([round(line["loss"], 4) for line in lines])
    assert len(set(found[0])) == 1
    assert len(set(found[1])) == 3


def test_without_bits_the_data_set_is_the_one_it_is_made_of():
    plain, none = FEW.load(None), RandomBits(bits=0, of=FEW).load(None)
    assert all(np.array_equal(a, b) for a, b in zip(plain, none, strict=True))


def test_bits_are_a_hash_of_the_image_and_samples_keep_their_ids():
    plain, made = FEW.load(None), RandomBits(bits=5, of=FEW).load(None)
    assert np.array_equal(made.pixels[:, :1], plain.pixels)
    assert np.array_equal(made.ids, plain.ids)
    assert np.array_equal(made.labels, plain.labels)
    for image, channels in zip(plain.pixels, made.pixels[:, 1:], strict=True):
        number = int.from_bytes(blake2b(image.tobytes(), digest_size=8, key=b"random bits").digest(), "little") % 2**5
        assert [channel[0, 0] // 255 for channel in channels] == [number >> i & 1 for i in range(5)]
        assert (channels == channels[:, :1, :1]).all()
    assert set(np.unique(made.pixels[:, 1:])) == {0, 255}


def test_bits_are_uniform_and_make_no_more_patterns_than_they_can():
    pixels = np.random.default_rng(0).integers(0, 256, (4_000, 1, 4, 4), dtype=np.uint8)
    for bits in (1, 3, 6):
        numbers = hashed_bits(pixels, bits) @ (1 << np.arange(bits))
        assert len(np.unique(numbers)) <= 2**bits
        assert stats.chisquare(np.bincount(numbers, minlength=2**bits)).pvalue > 1e-3
    assert len(np.unique(hashed_bits(pixels, 32) @ (1 << np.arange(32)))) == 4_000


@pytest.mark.parametrize("of", [CropViews(), SimCLRViews(3)], ids=repr)
def test_views_leave_the_bits_as_they_are_and_without_bits_are_the_usual_ones(of):
    made = RandomBits(bits=4, of=FEW).load(None)
    x, ids = torch.from_numpy(np.array(made.pixels[:50])).float() / 255, made.ids[:50]
    views = BitsBeside(of, 4)(x, ids, seed=0, epoch=1)
    assert torch.equal(views[:, :, :1], of(x[:, :1], ids, seed=0, epoch=1))
    assert torch.equal(views[:, :, 1:], x[:, None, 1:].expand(-1, of.count, -1, -1, -1))
    assert torch.equal(BitsBeside(of, 0)(x[:, :1], ids, 0, 1), of(x[:, :1], ids, 0, 1))


SELECTIONS = [{}, {"part": "fit", "classes": (2, 0)}, {"per_class": 11, "part": "held_out"}, {"fraction": 0.5, "part": "fit"}]


@pytest.mark.parametrize("side", [8, 15, 32])
def test_resized_images_are_torchvisions_of_pil_images_with_labels_and_ids_of_the_base(colour, side):
    """Larger of 6 x 6 pixels in colour, and of 20 x 20 digits smaller, too; of every selection."""
    of, root = colour
    for base, selection in [(of, each) for each in SELECTIONS] + [(MultiDigits(of=FEW, side=20), {"part": "test"})]:
        plain, made = replace(base, **selection).load(root), Resized(of=base, side=side, **selection).load(root)
        assert np.array_equal(made.ids, plain.ids)
        assert np.array_equal(made.labels, plain.labels)
        for image, found in zip(plain.pixels, made.pixels, strict=True):
            pil = Image.fromarray(image.transpose(1, 2, 0).squeeze())
            wanted = peer.pil_to_tensor(peer.resize(pil, [side, side], interpolation=InterpolationMode.BICUBIC))
            assert np.array_equal(found, wanted)


def test_parts_of_resized_images_are_those_of_the_base_however_it_parts_its_own(tmp_path):
    """Classes chosen twice, and domains, each of which holds out its own tenth; equal images stay apart."""
    rng = np.random.default_rng(0)
    for domain in ("Art", "Clipart", "Real"):
        for i in range(24):
            folder = tmp_path / "home" / domain / f"{i % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) * np.uint8(i not in (7, 9))).save(folder / f"{i}.png")
    home = DomainFolder(images="home", domains=("Art", "Clipart", "Real"), target="Art", count=2, side=8)
    chosen = Digits(classes=(5, 3, 8), per_class=30)
    for base, classes, own in [(home, None, None), (home, (1,), (1,)), (chosen, (2, 0), (8, 5)), (chosen, None, chosen.classes)]:
        resized, base_own = Resized(of=base, side=16, classes=classes), replace(base, classes=own)
        parts = {}
        for name in ("whole", "fit", "held_out", "test"):
            made, plain = (replace(each, part=name).load(tmp_path) for each in (resized, base_own))
            parts[name] = set(made.ids)
            assert np.array_equal(made.ids, plain.ids)
            assert np.array_equal(made.labels, plain.labels)
            for image, found in zip(plain.pixels, made.pixels, strict=True):
                assert np.array_equal(found[0], Image.fromarray(image[0]).resize((16, 16), Image.Resampling.BICUBIC))
        assert parts["fit"] | parts["held_out"] == parts["whole"]
        assert not parts["held_out"] & parts["fit"]
        assert not parts["test"] & parts["whole"]


def test_a_tuning_on_resized_images_takes_views_of_their_size_and_is_attacked_at_it(tmp_path):
    task = Resized(of=Digits(per_class=3), side=32)
    start = Untrained(data=task, encoder=SmallResNet(2), seed=0)
    views = Augment((Resize(36), RandomRotation(15.0), RandomCrop(32, 0)), 1)
    tuned = Finetune(start, data=task, views=views, frozen=False, epochs=1, seed=0)
    tuned.check(lambda dataset: len(dataset.load(None).ids))
    bench = Bench(tmp_path)
    for stage in (start, tuned):
        bench.run(stage)
    attacked = bench.run(PGD(tuned, on=task, eps=(0.0,), steps=1)).results
    assert attacked["clean"] == pytest.approx(bench.run(Accuracy(tuned, on=task)).results["accuracy"])


def test_bits_that_the_images_lack_are_refused():
    with pytest.raises(UserError, match=r"BitsBeside.bits = 3: must be below the images' 3 channels"):
        BitsBeside(CropViews(), 3)(torch.rand(2, 3, 8, 8), np.arange(2), 0, 1)


def test_networks_see_bits_as_nought_and_one():
    dataset = RandomBits(bits=2, of=FEW)
    assert dataset.mean == (*FEW.mean, 0.0, 0.0)
    assert dataset.std == (*FEW.std, 1.0, 1.0)
    assert dataset.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: MultiDigits(digits=0), "MultiDigits.digits = 0"),
        (lambda: MultiDigits(digits=17, placement="grid"), "MultiDigits.digits = 17: must be at most 16"),
        (lambda: MultiDigits(side=20), "MultiDigits.side = 20"),
        (lambda: MultiDigits(of=Digits(part="fit")), "MultiDigits.of .*must be whole"),
        (lambda: MultiDigits(of=RandomBits(bits=2)), "MultiDigits.of .*square grey"),
        (lambda: TwoSizes(second=113), "TwoSizes.second = 113"),
        (lambda: TwoSizes(shown="none"), "TwoSizes.shown = 'none'"),
        (lambda: DigitsOnImages(pool=0), "DigitsOnImages.pool = 0"),
        (lambda: DigitsOnImages(pool=4, probed="digit", redrawn="each epoch"), "DigitsOnImages.redrawn = 'each epoch'"),
        (lambda: RandomBits(bits=2, of=DigitsOnImages(pool=4, redrawn="each epoch")), "must be the same in every epoch"),
        (lambda: DigitsOnImages(pool=4, side=4), "DigitsOnImages.side = 4"),
        (lambda: RandomBits(bits=33), "RandomBits.bits = 33"),
        (lambda: RandomBits(bits=3, of=Digits(fraction=0.5)), "RandomBits.of .*must be whole"),
        (lambda: BitsBeside(CropViews(), -1), "BitsBeside.bits = -1"),
        (lambda: Resized(of=FEW, side=7), "Resized.side = 7: must be an integer from 8 to 4096"),
        (lambda: Resized(of=FEW, side=5000), "Resized.side = 5000: must be an integer from 8 to 4096"),
        (lambda: Resized(of=Digits(part="test"), side=16), "Resized.of .*must be whole"),
        (lambda: Resized(of=DigitsOnImages(pool=4, redrawn="each epoch"), side=64), "must be the same in every epoch"),
        (lambda: Resized(of=FGVCAircraft(), side=256), "Resized.of .*judged by mean per class.* Set its own side"),
        (lambda: Resized(of=VOC2007(), side=256), "Resized.of .*must show one class an image"),
    ],
)
def test_values_out_of_range_are_refused_by_field(make, field):
    with pytest.raises(UserError, match=field):
        make()
