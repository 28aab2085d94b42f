"""Segmented images are read from small files in the official layouts, and a mask goes where its image goes.

Images are rectangles in the colours of their classes, so a mask can be told from its image. What is wrong with a file is said,
and which file it is.
"""

import numpy as np
import pytest
from PIL import ExifTags, Image

from contrast import MaskFolder, UserError, VOC2012Segmentation
from contrast.data.segmented import IGNORED
from tests.contrast.scenes import SIZES, save_mask, scene, write_folder, write_voc

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def voc(tmp_path):
    return write_voc(tmp_path)


def test_voc_is_read_in_its_official_layout(voc):
    whole, test = VOC2012Segmentation(side=32).scenes(voc), VOC2012Segmentation(side=32, part="test").scenes(voc)
    assert (whole.pixels.shape, whole.masks.shape) == ((12, 3, 32, 32), (12, 32, 32))
    assert len(test.ids) == 5
    assert isinstance(whole.masks, np.memmap)
    assert set(np.unique(whole.masks)) == {0, 1, 2, 3, IGNORED}
    plain = {scene(number)[1].tobytes() for number in range(12) if SIZES[number % len(SIZES)] == (32, 32)}
    assert plain <= {mask.tobytes() for mask in whole.masks}


@pytest.mark.parametrize("mode", ["P", "L"])
def test_palettes_and_grey_masks_are_one_data_set(voc, mode):
    """PNG images, not JPEG, so only the masks are those of the other layout."""
    folder = MaskFolder(images="streets", count=4, side=32)
    masks = folder.scenes(write_folder(voc, mode=mode)).masks
    assert sorted(mask.tobytes() for mask in masks) == sorted(mask.tobytes() for mask in VOC2012Segmentation(side=32).scenes(voc).masks)


@pytest.mark.parametrize("side", [16, 32, 50])
def test_a_mask_goes_where_its_image_goes(tmp_path, side):
    """Every pixel of a class, away from borders, has its colour; what the image leaves free of the square has no class."""
    root = write_folder(tmp_path, train=4, void=False)
    scenes = MaskFolder(images="streets", count=4, side=side).scenes(root)
    colours = np.random.default_rng(99).integers(40, 216, (256, 3))
    for pixels, mask in zip(scenes.pixels, scenes.masks, strict=True):
        same = np.pad(mask, 1, mode="edge")
        inner = np.all([same[1 + i : 1 + i + side, 1 + j : 1 + j + side] == mask for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
        seen = inner & (mask != IGNORED)
        assert np.abs(pixels[:, seen].T.astype(int) - colours[mask[seen]]).max() <= 21
        assert (pixels[:, mask == IGNORED] == np.array([[124], [116], [104]])).all()
    free = sorted((mask == IGNORED).mean() for mask in scenes.masks)
    wanted = sorted(1 - min(size) / max(size) for size in SIZES)
    assert free == pytest.approx(wanted, abs=1 / side)


def test_parts_are_a_cut_by_content_and_images_alone_have_no_labels(voc):
    data = VOC2012Segmentation(side=32)
    fit, held_out, whole = (part.scenes(voc) for part in (data.fit("search"), data.held_out("search"), data))
    assert (len(fit.ids), len(held_out.ids)) == (11, 1)
    assert sorted([*fit.ids, *held_out.ids]) == whole.ids.tolist()
    assert data.held_out("confirm").part == "test"
    images = data.load(voc)
    assert np.array_equal(images.pixels, whole.pixels)
    assert not images.labels.any()
    assert len(VOC2012Segmentation(side=32, fraction=0.5).scenes(voc).ids) == 6


def test_a_changed_mask_is_a_changed_data_set(voc):
    VOC2012Segmentation(side=32).scenes(voc)
    file = voc / "VOCdevkit/VOC2012/SegmentationClass/2012_000000.png"
    save_mask(np.zeros((32, 32), dtype=np.uint8), file)
    with pytest.raises(UserError, match=r"voc2012-segmentation-32, split train: the images of class 0 must stay"):
        VOC2012Segmentation(side=32, fraction=0.9).scenes(voc)


HOME = "VOCdevkit/VOC2012"
LISTED = f"{HOME}/ImageSets/Segmentation/train.txt"
MASK = f"{HOME}/SegmentationClass/2012_000000.png"
IMAGE = f"{HOME}/JPEGImages/2012_000000.jpg"


def turned():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    return exif


OTHER = np.zeros((32, 33), dtype=np.uint8)
WRONG = {
    "a mask of another size": (
        lambda root: save_mask(OTHER, root / MASK),
        r"SegmentationClass/2012_000000\.png: has \(width, height\) = \(33, 32\), and 2012_000000\.jpg has \(32, 32\): a mask must have",
    ),
    "a class too many": (
        lambda root: save_mask(np.full((32, 32), 21, dtype=np.uint8), root / MASK),
        r"2012_000000\.png: class 21 of a pixel is outside the classes 0 to 20 \(and 255 for none\)\. Mend the mask",
    ),
    "a mask of colours": (
        lambda root: Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(root / MASK),
        r"2012_000000\.png: must hold palette indices or grey levels \(mode P or L\), and has mode RGB",
    ),
    "a grey image": (lambda root: Image.new("L", (32, 32)).save(root / IMAGE), r"2012_000000\.jpg: is no plain colour image \(mode L"),
    "a torn mask": (lambda root: (root / MASK).write_bytes(b"no image"), r"2012_000000\.png: is not a whole image .*Get that file again"),
    "no mask": (lambda root: (root / MASK).unlink(), r"2012_000000\.png: the mask that belongs to .*2012_000000\.jpg is missing"),
    "no image": (lambda root: (root / IMAGE).unlink(), r"2012_000000\.jpg: the image that belongs to .*2012_000000\.png is missing"),
    "no list": (lambda root: (root / LISTED).unlink(), r"train\.txt: must list the images, a name a line, and cannot be read"),
    "an empty list": (lambda root: (root / LISTED).write_text("\n"), r"train\.txt: lists no image"),
    "a name of the other list": (
        lambda root: (root / LISTED).with_name("val.txt").write_text("2012_000003\n"),
        r"train\.txt: lists 2012_000003, as val\.txt does \(1 are in both\)",
    ),
    "an image to be turned": (
        lambda root: Image.open(root / IMAGE).save(root / IMAGE, exif=turned()),
        r"2012_000000\.jpg: is to be turned before it is shown \(EXIF orientation 3\), so image and mask may not lie on each other\. Turn",
    ),
    "a name twice": (lambda root: (root / LISTED).write_text("2012_000000\n" * 2), r"train\.txt: lists 2012_000000 twice"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_file_is_named(voc, wrong):
    spoil, message = WRONG[wrong]
    spoil(voc)
    with pytest.raises(UserError, match=message):
        VOC2012Segmentation(side=32).scenes(voc)


def test_what_is_wrong_with_a_folder_is_named(tmp_path):
    data = MaskFolder(images="streets", count=4, side=32)
    with pytest.raises(UserError, match=r"data is not set: must be the folder that holds streets/"):
        data.scenes(None)
    with pytest.raises(UserError, match=r"data = .*: must be the folder that holds VOCdevkit/VOC2012/"):
        VOC2012Segmentation(side=32).scenes(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"the train images must be in one of the places tried, and are in none: .*streets/train/images/\*.*Put them there"
    ):
        data.scenes(tmp_path)
    root = write_folder(tmp_path)
    (root / "streets/train/images/._0.png").write_bytes(b"what macOS lays beside a file")
    (root / "streets/train/masks/0.png").rename(root / "streets/train/masks/zero.png")
    with pytest.raises(UserError, match=r"train/masks/0\.png: the mask that belongs to .*train/images/0\.png is missing"):
        data.scenes(root)
    (root / "streets/train/masks/zero.png").rename(root / "streets/train/masks/0.png")
    Image.new("RGB", (8, 8)).save(root / "streets/train/images/0.bmp")
    with pytest.raises(UserError, match=r"images/0\.png: has the name of 0\.bmp, and a mask belongs to one image"):
        data.scenes(root)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"images": "../x", "count": 3}, r"MaskFolder\.images"),
        ({"images": "x", "count": 0}, r"MaskFolder\.count = 0"),
        ({"images": "x", "count": 256}, r"MaskFolder\.count = 256"),
        ({"images": "x", "count": 3, "side": 4}, r"MaskFolder\.side = 4"),
    ],
)
def test_values_out_of_range_are_refused_by_field(given, field):
    with pytest.raises(UserError, match=field):
        MaskFolder(**given)
