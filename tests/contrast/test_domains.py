"""A domain that is left out is nowhere but in the test split: not in training, not in selection, whatever the rotation or the phase.

Folders of small images are written in DomainBed's layout; an image's pixels tell which file it was.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as peer
from PIL import Image

from analysis import Accuracy
from contrast import PACS, VLCS, DomainFolder, Finetune, SmallResNet, Untrained, UserError, leave_one_out
from tests.bench import Bench

pytestmark = pytest.mark.usefixtures("cache")
DOMAINS = ("clip", "photo", "sketch")
CLASSES = ("cat", "dog")
SIZES = {("clip", "cat"): 10, ("clip", "dog"): 23, ("photo", "cat"): 31, ("photo", "dog"): 20, ("sketch", "cat"): 12, ("sketch", "dog"): 19}
PETS = DomainFolder(images="pets", domains=DOMAINS, target="sketch", count=2, side=8)


def write(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def pets(tmp_path):
    """The root, and of each image's bytes the domain and the class."""
    origin = {}
    for seed, ((domain, name), count) in enumerate(SIZES.items()):
        images = drawn(count, 8, 8, 3, seed=seed)
        write(tmp_path / "pets" / domain / name, images)
        origin |= {image.transpose(2, 0, 1).tobytes(): (domain, name) for image in images}
    return tmp_path, origin


def origins(images, origin):
    return Counter(origin[pixels.tobytes()] for pixels in images.pixels)


@pytest.mark.parametrize("target", DOMAINS)
def test_the_target_is_all_of_the_test_split_and_in_no_other_part(pets, target):
    """By pixels and by ids, in both phases, with every selection."""
    root, origin = pets
    rotation = leave_one_out(DomainFolder, images="pets", domains=DOMAINS, count=2, side=8)[target]
    assert rotation == replace(PETS, target=target)
    test = rotation.held_out("confirm").load(root)
    assert origins(test, origin) == {cell: n for cell, n in SIZES.items() if cell[0] == target}
    parts = [rotation.whole, rotation.fit("search"), rotation.held_out("search"), rotation.fit("confirm")]
    for part in [
        *parts,
        replace(rotation.whole, classes=(1,)),
        replace(rotation.whole, fraction=0.5),
        replace(rotation.whole, per_class=10),
    ]:
        images = part.load(root)
        assert {domain for domain, _ in origins(images, origin)} == set(DOMAINS) - {target}
        assert not set(images.ids) & set(test.ids)
        assert not {x.tobytes() for x in images.pixels} & {x.tobytes() for x in test.pixels}
    assert origins(rotation.whole.load(root), origin) == {cell: n for cell, n in SIZES.items() if cell[0] != target}


def test_training_reads_no_file_of_the_target(pets):
    """Its images may be no images at all until they are tested on."""
    root, _ = pets
    (root / "pets" / "sketch" / "cat" / "3.png").write_bytes(b"nothing")
    for part in (PETS.whole, PETS.fit("search"), PETS.held_out("search")):
        part.load(root)
    with pytest.raises(UserError, match=r"sketch/cat/3\.png: is not a whole image"):
        PETS.held_out("confirm").load(root)


def test_a_tenth_of_each_class_of_each_domain_is_held_out(pets):
    root, origin = pets
    fit, held_out, whole = (part.load(root) for part in (PETS.fit("search"), PETS.held_out("search"), PETS.whole))
    sources = {cell: n for cell, n in SIZES.items() if cell[0] != "sketch"}
    assert origins(held_out, origin) == {cell: n // 10 for cell, n in sources.items()}
    assert origins(fit, origin) == {cell: n - n // 10 for cell, n in sources.items()}
    assert sorted([*fit.ids, *held_out.ids]) == list(whole.ids)


def test_labels_are_the_classes_and_an_id_is_one_image_in_every_rotation_and_selection(pets):
    root, origin = pets
    seen = {}
    for rotation in leave_one_out(DomainFolder, images="pets", domains=DOMAINS, count=2, side=8).values():
        for part in (rotation.whole, rotation.fit("search"), replace(rotation, classes=(1, 0), per_class=11)):
            images = part.load(root)
            names = CLASSES if part.classes is None else CLASSES[::-1]
            for pixels, label, number in zip(images.pixels, images.labels, images.ids, strict=True):
                assert origin[pixels.tobytes()][1] == names[label]
                assert seen.setdefault(number, pixels.tobytes()) == pixels.tobytes()
            assert (np.diff(images.labels) >= 0).all()
        assert rotation.whole.load(root).pixels is rotation.whole.load(root).pixels
    assert len(seen) == sum(SIZES.values())


def test_amounts_count_in_each_class_of_each_domain_and_lie_within_larger_ones(pets):
    root, origin = pets
    for few, more, wanted in (
        (replace(PETS, per_class=5), replace(PETS, per_class=11), lambda n: min(n, 5)),
        (replace(PETS, fraction=0.2), replace(PETS, fraction=0.5), lambda n: round(0.2 * n)),
    ):
        small, large = few.load(root), more.load(root)
        assert origins(small, origin) == {cell: wanted(n) for cell, n in SIZES.items() if cell[0] != "sketch"}
        assert set(small.ids) <= set(large.ids)


@pytest.mark.parametrize("kind", [PACS, VLCS])
def test_the_published_sets_are_read_from_domainbeds_layout_at_any_size(tmp_path, kind):
    """Scaled and cut as torchvision does; grey images become colour."""
    rotations, files = leave_one_out(kind, side=9), {}
    assert set(rotations) == set(kind.domain_names)
    for i, domain in enumerate(kind.domain_names):
        for k in range(kind.class_count):
            folder = tmp_path / kind.folder / domain / f"class{k}"
            folder.mkdir(parents=True)
            image = Image.fromarray(drawn(11 + k, 14, 3, seed=10 * i + k))
            (image.convert("L") if k == 2 else image).save(folder / f"x.{'JPG' if k % 2 else 'png'}")
            files[domain, k] = folder / f"x.{'JPG' if k % 2 else 'png'}"
    for domain, rotation in rotations.items():
        assert rotation.num_classes == kind.class_count
        for part, shown in ((rotation.whole, rotation.sources), (rotation.held_out("confirm"), (domain,))):
            images, wanted = part.load(tmp_path), []
            for (place, k), file in files.items():
                if place in shown:
                    with Image.open(file) as image:
                        scaled = peer.center_crop(peer.resize(image.convert("RGB"), 9), 9)
                    wanted.append((k, np.asarray(scaled).transpose(2, 0, 1).tobytes()))
            assert sorted((k, x.tobytes()) for k, x in zip(images.labels, images.pixels, strict=True)) == sorted(wanted)


class DataBench(Bench):
    def workspace(self, folder, monitor=None):
        workspace = super().workspace(folder, monitor)
        workspace.data = self.folder.parent
        return workspace


def test_accuracies_of_all_rotations_are_those_counted_by_hand(tmp_path):
    """Dark and bright images, of which each domain has some in the wrong folder: that many are wrong when it is the target."""
    sizes, odd = {"clip": 12, "photo": 20, "sketch": 16}, {"clip": 3, "photo": 1, "sketch": 4}
    for seed, (domain, count) in enumerate(sizes.items()):
        for k, name in enumerate(CLASSES):
            bright = np.full(count, k == 1)
            bright[: odd[domain] if k else 0] ^= True
            noise = drawn(count, 8, 8, 3, seed=10 * seed + k) // 8
            write(tmp_path / "pets" / domain / name, noise + np.where(bright, 200, 20).astype(np.uint8)[:, None, None, None])
    (tmp_path / "bench").mkdir()
    bench, measured, counted = DataBench(tmp_path / "bench"), {}, {}
    start = Untrained(data=PETS.whole, encoder=SmallResNet(2), seed=0)
    bench.run(start)
    for domain, task in leave_one_out(DomainFolder, images="pets", domains=DOMAINS, count=2, side=8).items():
        tuned = Finetune(start, data=task.fit("confirm"), frozen=True, epochs=20, batch_size=8, seed=0)
        bench.run(tuned)
        measured[domain] = next(iter(bench.run(Accuracy(tuned, on=task.held_out("confirm"))).results.values()))
        net, right = bench.net(tuned), []
        for k, name in enumerate(CLASSES):
            for file in (tmp_path / "pets" / domain / name).iterdir():
                with Image.open(file) as image:
                    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
                right.append(int(net(pixels).argmax()) == k)
        counted[domain] = 100 * sum(right) / len(right)
    assert measured == pytest.approx(counted, abs=1e-4)
    assert measured == pytest.approx({domain: 100 * (1 - odd[domain] / (2 * n)) for domain, n in sizes.items()}, abs=1e-4)


def renamed(root):
    (root / "pets" / "photo" / "dog").rename(root / "pets" / "photo" / "wolf")


def emptied(root):
    for file in (root / "pets" / "photo" / "dog").iterdir():
        file.unlink()


def without(root):
    (root / "pets" / "photo").rename(root / "pets" / "photos")


SAME = r"pets: must have the same classes in every domain, and compared with clip, "
WRONG = {
    "another class": (renamed, PETS, SAME + r"photo lacks dog and has wolf\. Name"),
    "a further class": (lambda root: write(root / "pets" / "sketch" / "fish", drawn(1, 8, 8, 3)), PETS, SAME + r"sketch has fish\. Name"),
    "an empty class": (emptied, PETS, r"pets/photo/dog: is a class folder without images"),
    "no such domain": (without, PETS, r"has no images of photo; its folders are clip, photos, sketch\. Put"),
    "another number of classes": (
        lambda root: None,
        replace(PETS, count=3),
        r"pets/clip: has 2 classes \(cat, dog\), must have 3\. Complete",
    ),
    "no folder": (
        lambda root: None,
        replace(PETS, images="birds"),
        r"birds: must hold .+ and has no images of clip, photo, sketch; its folders are none",
    ),
    "too few to hold out": (
        lambda root: None,
        replace(PETS, per_class=9),
        r"class cat of clip has 9 images, and one of 10 is held out\. Use",
    ),
}


@pytest.mark.parametrize(("change", "dataset", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_folder_is_refused_before_any_image_is_read(pets, change, dataset, says):
    """Also where only a domain is wrong that this part does not show."""
    root, _ = pets
    change(root)
    for part in (dataset.held_out("search"), *([] if dataset.per_class else [dataset.whole, dataset.held_out("confirm")])):
        with pytest.raises(UserError, match=says):
            part.load(root)


@pytest.mark.parametrize("root", [None, "nowhere"])
def test_without_a_data_folder_the_set_says_what_it_needs(tmp_path, root):
    with pytest.raises(UserError, match=r"data .+: must be the folder that holds PACS/\. Set CONTRAST_DATA"):
        PACS(target="photo").load(root and tmp_path / root)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target": "paint"}, r"DomainFolder\.target = 'paint': must be one of clip, photo, sketch\. Name"),
        ({"domains": ("sketch",)}, r"DomainFolder\.domains = \('sketch',\): must name at least two domains, each once"),
        ({"domains": ("sketch", "clip", "clip")}, "at least two domains, each once"),
        ({"domains": ("sketch", "../clip")}, "must be names of folders"),
        ({"images": "../pets"}, "must name a folder under the data root"),
        ({"count": 0}, r"DomainFolder\.count = 0: must be an integer from 1 to 1000000"),
        ({"side": 4}, r"DomainFolder\.side = 4: must be an integer from 8 to 4096"),
    ],
)
def test_bad_fields_are_refused_by_the_value(fields, says):
    with pytest.raises(UserError, match=says):
        replace(PETS, **fields)


def test_rotations_need_domains_and_no_target():
    for fields in ({"images": "pets", "count": 2}, {"images": "pets", "count": 2, "domains": DOMAINS, "target": "clip"}):
        with pytest.raises(
            UserError, match=r"leave_one_out\(DomainFolder\): takes the domains, .+ Each domain becomes the target in turn\."
        ):
            leave_one_out(DomainFolder, **fields)


def test_names_differ_where_the_images_do():
    """Also in another order of the domains, in which ids count."""
    values = [*leave_one_out(PACS).values(), PACS(target="photo", side=64), PETS, replace(PETS, domains=DOMAINS[::-1])]
    assert len({value.name for value in values}) == len(values)
