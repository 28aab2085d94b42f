"""Bad input of a pretraining is a clear error before any training where it can be known, and a finite result where it cannot.

What is refused is refused by the value itself or by what a launch checks of it: the network is never built for training.
"""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from contrast import (
    DTD,
    SGD,
    SUN397,
    VAE,
    VOC2007,
    BatchHardTriplet,
    BatchNormHead,
    Birdsnap,
    Caltech101,
    Classifier,
    ContrastiveInputGradient,
    ConvN,
    CropViews,
    CrossEntropy,
    CrossView,
    DeconvN,
    Digits,
    DigitsOnImages,
    DrLIM,
    FGVCAircraft,
    Finetune,
    Flowers102,
    Food101,
    GeneralizedContrastive,
    ImageFolder,
    ImageNet,
    ImageNet20,
    Layerwise,
    MaxMargin,
    MLPHead,
    MoCo,
    MultiDigits,
    NTXent,
    OxfordPets,
    Plain,
    Pretrain,
    RandomBits,
    Resize,
    Resized,
    ResNet18,
    ResNet50,
    SimCLRViews,
    SmallResNet,
    StageHeads,
    StanfordCars,
    SupCon,
    SupConHead,
    SupConIn,
    Triplet,
    TwoSizes,
    UserError,
    core256,
)
from contrast.augmentations import Cutout, RandAugment, RandomCrop
from contrast.augmentations.recipes import moco_v2
from contrast.losses.temperature import HIGHEST, LOWEST
from contrast.pretrain import initial_net
from sweeps.launch_checks import check_machine, check_resources, checker
from sweeps.resources import cores_only, parsed
from tests.bench import Bench, curve

SHARED = {"data": Digits(per_class=3), "encoder": SmallResNet(2), "batch_size": 10, "epochs": 1, "seed": 0, "optimizer": SGD(0.05)}
SIMCLR = Pretrain(**SHARED, views=CropViews(), loss=NTXent(0.1), head=MLPHead(1, 8))
SUPCE = replace(SIMCLR, views=CropViews(1), loss=CrossEntropy(), head=Classifier())
MOCO = MoCo(**SHARED, views=CropViews(), head=MLPHead(1, 8), queue=20, norm_groups=None)
AUTOENCODER = VAE(**SHARED, views=Plain())
FOLDER = replace(SIMCLR, data=ImageFolder(images="birds", count=2, side=20), batch_size=2)
PHOTOGRAPHS = [
    Birdsnap(),
    Caltech101(),
    DTD(),
    FGVCAircraft(),
    Flowers102(),
    Food101(),
    ImageNet20(),
    OxfordPets(),
    StanfordCars(),
    SUN397(),
    VOC2007(),
]
ONE_CLASS, BITS = Digits(classes=(3,), per_class=10), RandomBits(bits=3, of=Digits(per_class=3))


def launched(make, root, *options):
    """All that a launch checks before it hands out a unit."""
    stage = make()
    checker(root)({"net": stage}, "confirm")
    check_resources(options, None, [stage])
    check_machine(parsed(list(options), cores_only), [stage])


@pytest.fixture
def root(tmp_path, cache):
    for i in range(4):
        folder = tmp_path / "data" / "birds" / "train" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "data"


REFUSED = {
    "batch of 1": (lambda: replace(SIMCLR, batch_size=1), r"Pretrain\.batch_size = 1: must be at least 2"),
    "batch of 1, MoCo": (lambda: replace(MOCO, batch_size=1), r"MoCo\.batch_size = 1: must be at least 2"),
    "batch of 1, VAE": (lambda: replace(AUTOENCODER, batch_size=1), r"VAE\.batch_size = 1: must be at least 2"),
    "chunk of 1": (lambda: replace(SIMCLR, chunk=1), r"Pretrain\.chunk = 1: must be at least 2"),
    "temperature too low": (lambda: NTXent(LOWEST / 2), r"NTXent\.temperature = 5e-05: must be from 0\.0001"),
    "temperature too high": (lambda: replace(MOCO, temperature=HIGHEST * 2), r"MoCo\.temperature = 2000000\.0: must be from 0\.0001"),
    "views of colours on other channels": (lambda: replace(SIMCLR, data=BITS, views=SimCLRViews()), "1 or 3 channels, not 4"),
    "the same, MoCo": (lambda: replace(MOCO, data=BITS, views=SimCLRViews()), "1 or 3 channels, not 4"),
    "queue not divisible by the batch": (lambda: replace(MOCO, queue=25), r"MoCo\.queue = 25: must be a multiple of batch_size \(10\)"),
    "depth that no head has": (lambda: MLPHead(5), r"MLPHead\.depth = 5: must be an integer from 0 to 4"),
    "views of another size than the tuning's images": (
        lambda: Finetune(SIMCLR, data=Digits(per_class=3), views=core256(), frozen=False, seed=0),
        r"Finetune\.views = .*: makes images of 256 x 256 pixels, and the network is judged by those of the data, 8 x 8",
    ),
    "layer that the encoder lacks": (
        lambda: replace(SIMCLR, loss=Layerwise(NTXent(0.1), 4), head=StageHeads(MLPHead(1, 8), 4)),
        r"Pretrain\.loss = .*: is for 4 stages, and SmallResNet has 3",
    ),
}


@pytest.mark.parametrize(("make", "says"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_before_training(make, says):
    with pytest.raises(UserError, match=rf"{says}.*\. [A-Z0-9]"):
        launched(make, None)


SIZES = {
    "queue": MOCO,
    "latent": AUTOENCODER,
    "n": [ConvN(), DeconvN()],
    "base_width": [SmallResNet(2), ResNet18(), ResNet50()],
    "blocks": SmallResNet(2),
    "out": [MLPHead(), BatchNormHead(), SupConHead()],
    "hidden": [MLPHead(), BatchNormHead()],
    "views": [CropViews(), SimCLRViews(), moco_v2()],
    "side": [
        Resize(16),
        RandomCrop(),
        Cutout(16),
        ImageNet(),
        FOLDER.data,
        MultiDigits(),
        TwoSizes(),
        DigitsOnImages(pool=4),
        Resized(of=Digits(), side=16),
        *PHOTOGRAPHS,
    ],
    "padding": RandomCrop(),
    "layers": RandAugment(),
    "digits": MultiDigits(),
    "bits": BITS,
    "count": FOLDER.data,
}
SIZED = [(field, one) for field, some in SIZES.items() for one in (some if isinstance(some, list) else [some])]


@pytest.mark.parametrize(("field", "component"), SIZED, ids=[f"{type(one).__name__}.{field}" for field, one in SIZED])
def test_a_size_without_end_is_refused_by_its_value(field, component):
    """What a slip of the pen would have the driver or a worker ask the memory for."""
    with pytest.raises(UserError, match=rf"^{type(component).__name__}\.{field} = 1000000000000: must be .*from \d+ to \d+\. [A-Z0-9]"):
        replace(component, **{field: 10**12})


SPOILED = {
    "none": (lambda train: None, None),
    "empty class folder": (lambda train: (train / "c").mkdir(), r"train/c: is a class folder without images"),
    "corrupt image": (lambda train: (train / "a" / "0.png").write_bytes(b"no image"), r"train/a/0\.png: is not a whole image"),
    "grey image": (lambda train: Image.new("L", (20, 20)).save(train / "a" / "0.png"), r"a/0\.png: is a grey image where colour is needed"),
    "a class too many": (
        lambda train: [(train / "c").mkdir(), Image.new("RGB", (20, 20)).save(train / "c" / "4.png")],
        r"birds: names 3 classes, must name 2\. Complete the folders, or state",
    ),
}


@pytest.mark.parametrize(("spoil", "says"), SPOILED.values(), ids=SPOILED)
def test_a_bad_file_is_named_before_training(root, spoil, says):
    spoil(root / "birds" / "train")
    with pytest.raises(UserError, match=says) if says else nullcontext():
        launched(lambda: FOLDER, root)


@pytest.mark.parametrize("stage", [SIMCLR, MOCO, AUTOENCODER], ids=lambda stage: type(stage).__name__)
def test_more_processes_than_gpus_are_refused_before_training(stage):
    asked = torch.cuda.device_count() + 2
    with pytest.raises(UserError, match=rf"--resources = .*gpu:{asked}.*: this machine has cpu:\d+ gpu:{asked - 2}\. Ask for less"):
        launched(lambda: stage, None, f"{type(stage).__name__}=gpu:{asked}")


FINITE = {
    **{f"one class, {type(loss).__name__}": replace(SIMCLR, data=ONE_CLASS, loss=loss) for loss in (SupCon(0.1), SupConIn(0.1), Triplet())},
    "one class, negatives alone": replace(SIMCLR, data=ONE_CLASS, loss=SupCon(0.1, denominator="only_negatives")),
    "one class, CrossEntropy": replace(SUPCE, data=ONE_CLASS),
    "one class, MaxMargin": replace(SUPCE, data=ONE_CLASS, loss=MaxMargin()),
    **{
        f"no positives, {loss}": replace(SIMCLR, data=Digits(per_class=1), views=CropViews(1), loss=loss)
        for loss in (SupCon(0.1), SupConIn(0.1, mean_over_valid=True), BatchHardTriplet(), DrLIM())
    },
    **{
        f"{loss} in bf16": replace(SIMCLR, loss=loss, precision="bf16", penalty=ContrastiveInputGradient(0.1))
        for tau in (LOWEST, HIGHEST)
        for loss in (NTXent(tau), CrossView(tau), SupCon(tau), SupConIn(tau), GeneralizedContrastive(tau, 0.1))
    },
    **{f"MoCo at {tau} in bf16": replace(MOCO, temperature=tau, precision="bf16") for tau in (LOWEST, HIGHEST)},
}


@pytest.mark.parametrize("stage", FINITE.values(), ids=FINITE)
def test_it_trains_to_finite_weights_and_a_finite_loss(stage, tmp_path):
    left = Bench(tmp_path).run(stage)
    assert all(weight.isfinite().all() for weight in left.weights().values())
    assert np.isfinite([line["loss"] for line in curve(left)]).all()


def test_a_batch_in_which_nothing_has_a_positive_moves_no_weight(tmp_path):
    """A class of one image in one view has none: the loss is 0, as `SupCon` says, and without decay the weights stay."""
    stage = replace(SIMCLR, data=Digits(per_class=1), views=CropViews(1), loss=SupCon(0.1), optimizer=SGD(0.05, weight_decay=0.0))
    left, start = Bench(tmp_path).run(stage), initial_net(stage.data, stage.encoder, stage.head, 0)
    assert left.results["loss"] == 0
    assert all(torch.equal(left.weights()[name], weight) for name, weight in start.named_parameters())
