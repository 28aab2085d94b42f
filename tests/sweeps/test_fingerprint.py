"""Equal values have equal fingerprints and no others do; nothing outside the value counts.

Values are generated from small domains, so that equal ones meet often. Classes of a user's file are written to files,
imported, changed and imported again. Golden fingerprints say when results on disk would be orphaned: raise `version` of
what really changed, then freeze them anew with `python tests/sweeps/test_fingerprint.py`.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
import contrast
from analysis import (
    CKA,
    FGSM,
    KNN,
    MCE,
    PGD,
    Accuracy,
    AdversarialExamples,
    Alignment,
    AutoAttack,
    Calibration,
    ClassIoU,
    Confusion,
    Corruptions,
    Curvature,
    Entropies,
    FeatureSuppression,
    FewLabels,
    GradientMasking,
    HeadLandscape,
    InPCA,
    InPCAProjection,
    IntrinsicDimension,
    KNNCurve,
    Landscape,
    LeftOut,
    LiDAR,
    LinearProbe,
    LocalClusters,
    MeanAveragePrecision,
    MeanPerClass,
    MinimalNorm,
    ModeConnectivity,
    NeuralCollapse,
    PretrainingProgress,
    Progress,
    RadiusFlatness,
    RankMe,
    SameImages,
    Segmentation,
    Sharpness,
    Spectrum,
    TopK,
    TransformProbe,
    Tube,
    Uniformity,
)
from contrast import (
    BSS,
    CIFAR10,
    CIFAR100,
    DELTA,
    L2SP,
    LARS,
    MNIST,
    RIFLE,
    SCL,
    SGD,
    VAE,
    Adam,
    AdversarialTraining,
    AlignmentUniformity,
    BatchHardTriplet,
    BiTuning,
    Classifier,
    ClassPairs,
    Component,
    ContrastiveInputGradient,
    CoreTuning,
    Cosine,
    CosineSteps,
    CropFlip,
    CropViews,
    CrossEntropy,
    CrossView,
    Dataset,
    DecaySteps,
    DeconvN,
    Digits,
    DistanceWeightedTriplet,
    DrLIM,
    FeatureMixup,
    Finetune,
    FullBatches,
    GeneralizedContrastive,
    HardExampleTriplet,
    InputDifference,
    InputGradient,
    Layerwise,
    LayerwiseInputGradient,
    LinearDecay,
    LogisticRegression,
    MaxMargin,
    MixAndMatch,
    MixUp,
    MLPClassifier,
    MLPHead,
    MoCo,
    NPairs,
    NTXent,
    Plain,
    Pretrain,
    ResNet18,
    RMSProp,
    ScaleCrop,
    Segment,
    SemiHardTriplet,
    SimCLRViews,
    SlicedWasserstein,
    SmallResNet,
    Stage,
    StageHeads,
    SupCon,
    SupConIn,
    Triplet,
    TuningMethod,
    Untrained,
    UserError,
    Warmup,
)
from contrast.augmentations import (
    Augment,
    AutoAugment,
    BitsBeside,
    ColorJitter,
    CutMix,
    Cutout,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    RandAugment,
    RandomCrop,
    RandomResizedCrop,
    RandomRotation,
    Resize,
    SparseWarp,
)
from contrast.data import (
    DTD,
    STL10,
    SUN397,
    SVHN,
    VOC2007,
    Birdsnap,
    Caltech101,
    DigitsOnImages,
    FashionMNIST,
    FGVCAircraft,
    Flowers102,
    Food101,
    ImageFolder,
    ImageNet,
    ImageNet20,
    MaskFolder,
    MultiDigits,
    OxfordPets,
    RandomBits,
    Resized,
    StanfordCars,
    STL10Unlabeled,
    TwoSizes,
    VOC2012Segmentation,
)
from contrast.data.domain_folder import DomainFolder
from contrast.data.pacs import PACS
from contrast.data.vlcs import VLCS
from contrast.encoders import ConvN, ResNet34, ResNet50, ResNet101, ResNet200, TimmEncoder
from contrast.heads import BatchNormHead, SupConHead
from contrast.losses.loss import Loss
from contrast.pretrained import Pretrained
from contrast.weights import MoCoKeys, OwnKeys, PyContrastKeys, SimCLRKeys, SimCLRv2Keys, SupContrastKeys, TimmKeys, TorchvisionKeys
from sweeps.fingerprint import canonical, describe, fingerprint, package_digest

GOLDEN = Path(__file__).parents[1] / "golden" / "fingerprints.json"

NET = Pretrain(
    data=Digits(per_class=100),
    encoder=SmallResNet(4),
    views=CropViews(),
    loss=NTXent(0.1),
    head=MLPHead(2),
    batch_size=64,
    epochs=10,
    seed=0,
    optimizer=SGD(lr=0.05),
)
TUNED = Finetune(NET, data=CIFAR100(classes=(3, 1)).fit("search"), seed=10)
CLASSIFIER = Finetune(NET, data=Digits(), seed=10)
SEGMENT = Segment(NET, data=VOC2012Segmentation(), seed=10)
CORRUPTED = Corruptions(CLASSIFIER, on=Digits())
PROBE = LinearProbe(NET, data=Digits(), on=Digits(part="test"))
EXAMPLES: list[Component] = [
    *(CIFAR10(), CIFAR100(), MNIST(), Digits()),
    *(FashionMNIST(), SVHN(), STL10(), STL10Unlabeled(), ImageFolder(images="birds", count=20), ImageNet()),
    *(PACS(target="photo"), VLCS(target="SUN09"), DomainFolder(images="home", domains=("Art", "Product"), target="Art", count=65)),
    *(MultiDigits(), TwoSizes(), DigitsOnImages(pool=4), RandomBits(bits=5), BitsBeside(CropViews(), 5)),
    Resized(of=CIFAR10(), side=256),
    *(Birdsnap(), Caltech101(), DTD(), FGVCAircraft(), Flowers102(), Food101(), ImageNet20(), OxfordPets(), StanfordCars(), SUN397()),
    VOC2007(),
    *(CropFlip(), CropViews(), Plain(), SimCLRViews(), Augment((Grayscale(),)), AutoAugment(), ColorJitter(), Cutout(), GaussianBlur()),
    *(MixUp(), CutMix()),
    *(Grayscale(), HorizontalFlip(), RandAugment(), RandomCrop(), RandomResizedCrop(), RandomRotation(), Resize(272), SparseWarp()),
    *(ResNet18(), SmallResNet(), Classifier(), MLPHead(), MLPClassifier()),
    *(SCL(), L2SP(), BSS(), RIFLE(), CoreTuning(), FeatureMixup(), DELTA(), BiTuning(), MixAndMatch()),
    *(ResNet34(), ResNet50(), ResNet101(), ResNet200(), ConvN(), TimmEncoder("resnet10t"), BatchNormHead(), SupConHead()),
    *(NTXent(0.1), SupCon(0.1), SupConIn(0.1), GeneralizedContrastive(0.1, 0.5), CrossEntropy()),
    *(Layerwise(NTXent(0.1)), StageHeads(), LayerwiseInputGradient(1.0), ClassPairs(), FullBatches()),
    *(CrossView(0.1), AlignmentUniformity(), SlicedWasserstein("sphere", 1.0), DrLIM(), NPairs(), MaxMargin()),
    *(Triplet(), BatchHardTriplet(), SemiHardTriplet(), HardExampleTriplet(), DistanceWeightedTriplet()),
    *(AdversarialTraining(8 / 255), InputDifference(1.0), InputGradient(1.0), ContrastiveInputGradient(1.0)),
    *(SGD(0.1), LARS(0.1), RMSProp(0.1), Adam(0.1)),
    *(Cosine(), CosineSteps(), DecaySteps((60, 75, 90)), LinearDecay(), Warmup(Cosine())),
    LogisticRegression(NET, data=CIFAR100(classes=(3, 1)).fit("search")),
    *(NET, TUNED, Untrained(data=Digits(), encoder=SmallResNet(), seed=0)),
    MoCo(data=Digits(), encoder=SmallResNet(), views=CropViews(), head=MLPHead(), batch_size=64, epochs=10, seed=0, optimizer=SGD(0.06)),
    *(VAE(data=Digits(), encoder=ConvN(), batch_size=1000, epochs=10, seed=0, optimizer=Adam(0.001)), DeconvN()),
    *(TorchvisionKeys(), TimmKeys(), MoCoKeys(), PyContrastKeys(), SimCLRKeys(), SimCLRv2Keys(), SupContrastKeys()),
    OwnKeys(mean=(0.5,), std=(0.25,)),
    Pretrained(address="weights/moco.pth", sha256="0" * 64, encoder=ResNet50("imagenet"), keys=MoCoKeys()),
    *(
        Accuracy(CLASSIFIER, on=Digits()),
        KNN(NET, on=Digits()),
        *(TransformProbe(NET, data=Digits(), on=Digits(part="test")), LocalClusters(NET, on=CIFAR10())),
        FeatureSuppression((PROBE,), without=PROBE, untrained=PROBE, levels=(5.0,)),
        *(Confusion(CLASSIFIER, on=Digits()), ClassIoU(Segmentation(SEGMENT, on=VOC2012Segmentation()))),
        LeftOut((Accuracy(replace(CLASSIFIER, data=PACS(target="photo")), on=PACS(target="photo", part="test")),)),
        *(KNNCurve(NET, on=Digits()), FewLabels(NET, data=Digits(), on=Digits(part="test"))),
        LinearProbe(NET, data=Digits(), on=Digits(part="test")),
    ),
    *(
        MeanPerClass(CLASSIFIER, on=Digits()),
        TopK(CLASSIFIER, on=Digits()),
        MeanAveragePrecision(replace(CLASSIFIER, data=VOC2007()), on=VOC2007()),
    ),
    SameImages((CLASSIFIER, Finetune(NET, data=Digits(), seed=7)), on=Digits(part="test")),
    *(
        Calibration(CLASSIFIER, on=Digits(part="test")),
        Calibration(CLASSIFIER, on=Digits(part="test"), fit_on=Digits(part="held_out"), bins=10),
    ),
    *(Alignment(NET, on=Digits(), views=SimCLRViews()), Uniformity(NET, on=Digits()), Progress(TUNED), InPCA((TUNED,))),
    *(InPCAProjection((TUNED,), onto=InPCA((TUNED,))), Tube((TUNED, replace(TUNED, seed=11)))),
    PretrainingProgress(replace(NET, snapshots=5), on=Digits()),
    *(RankMe(NET, on=Digits()), Spectrum(NET, on=Digits()), LiDAR(NET, on=Digits(), views=SimCLRViews(10)), CKA((NET, NET), on=Digits())),
    *(IntrinsicDimension(NET, on=Digits()), NeuralCollapse(CLASSIFIER, on=Digits()), Entropies(NET, on=Digits())),
    *(
        FGSM(CLASSIFIER, on=Digits()),
        PGD(CLASSIFIER, on=Digits()),
        MinimalNorm(CLASSIFIER, on=Digits()),
        GradientMasking(CLASSIFIER, on=Digits()),
        AdversarialExamples(CLASSIFIER, on=Digits()),
        AutoAttack(CLASSIFIER, on=Digits()),
        Landscape(CLASSIFIER, on=Digits()),
    ),
    *(FGSM(CLASSIFIER, on=Digits()), PGD(CLASSIFIER, on=Digits()), Landscape(CLASSIFIER, on=Digits())),
    *(CORRUPTED, MCE((CORRUPTED, CORRUPTED))),
    *(
        HeadLandscape(CLASSIFIER, on=Digits()),
        RadiusFlatness(CLASSIFIER, on=Digits()),
        ModeConnectivity((CLASSIFIER, replace(CLASSIFIER, seed=11)), on=Digits()),
    ),
    *(Curvature(CLASSIFIER, on=Digits()), Sharpness(CLASSIFIER, on=Digits())),
    *(VOC2012Segmentation(), MaskFolder(images="streets", count=4), ScaleCrop(), SEGMENT, Segmentation(SEGMENT, on=VOC2012Segmentation())),
]


@dataclass(frozen=True)
class Part(Component):
    number: float


@dataclass(frozen=True)
class Whole(Component):
    """A field of every kind."""

    real: float = 0.5
    whole: int = 0
    switch: bool = False
    either: int | float = 0
    maybe: Optional[float] = None  # noqa: UP045 (both ways of writing it)
    anything: Any = None
    text: str | None = None
    word: Literal["a", "b"] = "a"
    many: tuple[float, ...] = ()
    pair: tuple[int, float | None] | None = None
    bare: tuple = ()
    row: Sequence[float] = ()
    part: Component | None = None
    parts: tuple[tuple[Part, ...], ...] = ()


integers = st.sampled_from([0, 1, 2])
numbers = integers | st.sampled_from([0.0, -0.0, 1.0, 2.5])
ones = numbers | st.booleans()
OF_TYPE = {"real": numbers, "whole": integers, "switch": st.booleans(), "either": numbers, "maybe": st.none() | numbers}
OF_TYPE |= {"anything": st.none() | ones, "many": st.lists(numbers, max_size=2).map(tuple)}
OF_TYPE |= {name: st.lists(ones, max_size=2).map(tuple) for name in ("bare", "row")}
parts = st.builds(Part, numbers)
wholes = st.fixed_dictionaries(
    {},
    optional={
        **OF_TYPE,
        "text": st.sampled_from([None, "1", "a", ""]),
        "word": st.sampled_from("ab"),
        "pair": st.none() | st.tuples(integers, st.none() | numbers),
        "part": st.none() | parts | st.builds(SupCon, st.just(1)) | st.builds(NTXent, st.just(1)),
        "parts": st.lists(st.lists(parts, max_size=2).map(tuple), max_size=2).map(tuple),
    },
).map(lambda given: Whole(**given))


@settings(max_examples=300, deadline=None)
@given(wholes, wholes)
def test_equal_values_and_no_others_have_equal_fingerprints(one, two):
    assert (fingerprint(one) == fingerprint(two)) == (one == two)


@given(wholes, st.sampled_from(sorted(OF_TYPE)).flatmap(lambda name: st.tuples(st.just(name), OF_TYPE[name])))
def test_changing_one_field_changes_the_fingerprint_exactly_when_it_changes_the_value(value, change):
    changed = Whole(**{f.name: getattr(value, f.name) for f in fields(Whole)} | dict([change]))
    assert (fingerprint(changed) == fingerprint(value)) == (changed == value)


def test_a_number_agrees_with_itself_however_it_is_written():
    assert fingerprint(NTXent(1)) == fingerprint(NTXent(1.0))
    assert fingerprint(CropViews(2, (1, 1))) == fingerprint(CropViews(2, (1.0, 1.0)))
    assert fingerprint(Whole(either=1, maybe=1, pair=(1, 0), parts=((Part(1),),))) == fingerprint(
        Whole(either=1.0, maybe=1.0, pair=(1, 0.0), parts=((Part(1.0),),))
    )
    assert '"temperature":1.0' in canonical(NTXent(1))
    assert '"batch_size":64' in canonical(NET)


def test_a_field_that_is_none_is_left_out_so_that_a_new_knob_orphans_nothing():
    old = make("Thing", [("x", float)])
    new = make("Thing", [("x", float), ("knob", float | None, field(default=None))])
    assert fingerprint(new(1.0)) == fingerprint(old(1.0))
    assert fingerprint(new(1.0, 0.0)) != fingerprint(old(1.0))


def test_the_order_of_fields_does_not_matter():
    assert fingerprint(make("Thing", [("a", int), ("b", int)])(a=1, b=2)) == fingerprint(make("Thing", [("b", int), ("a", int)])(a=1, b=2))


def test_another_version_or_another_name_is_another_fingerprint():
    first, second, other = (make(name, [("x", float)], version) for name, version in (("Thing", 1), ("Thing", 2), ("Other", 1)))
    assert len({fingerprint(cls(1.0)) for cls in (first, second, other)}) == 3


def make(name, columns, number=1):
    """A class as if it belonged to the package, whose classes count by name and version."""
    namespace = {"version": number, "__module__": "contrast.thing", "__annotations__": {"version": ClassVar[int]}}
    return make_dataclass(name, columns, bases=(Component,), namespace=namespace, frozen=True)


def test_versions_count_at_any_depth(monkeypatch):
    before = {fingerprint(value) for value in (NET, TUNED, Progress(TUNED))}
    monkeypatch.setattr(NTXent, "version", NTXent.version + 1)
    after = {fingerprint(value) for value in (NET, TUNED, Progress(TUNED))}
    assert not before & after
    assert fingerprint(SupCon(0.1)) == json.loads(GOLDEN.read_text())["SupCon"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ([1.0], "list"),
        ({"a": 1}, "dict"),
        ({1, 2}, "set"),
        (Path("/data"), "PosixPath"),
        (len, "builtin_function_or_method"),
        (1j, "complex"),
        (b"raw", "bytes"),
        (object(), "object"),
        (([1],), "list"),
        (Path, "type"),
    ],
)
def test_unknown_types_are_refused_by_field_and_never_turned_into_text(value, name):
    with pytest.raises(UserError, match=rf"Whole\.anything = .*a {name} has no identity\. Use numbers"):
        fingerprint(Whole(anything=value))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_numbers_that_are_not_finite_are_refused(number):
    for value in (Whole(real=number), Whole(anything=number), Whole(many=(1.0, number)), Whole(part=Part(number))):
        with pytest.raises(UserError, match="must be finite"):
            fingerprint(value)


@dataclass(frozen=True)
class Half(Component):
    x: float
    silent: float = field(default=1.0, compare=False)


@dataclass(frozen=True, eq=False)
class Unequal(NTXent):
    """Compared by NT-Xent's fields, or not at all."""


def test_a_value_whose_equality_leaves_something_out_is_refused_since_equal_values_are_one_piece_of_work():
    """Else the second of two such values would be given the first one's results."""
    assert Half(1.0, 1.0) == Half(1.0, 2.0)
    with pytest.raises(UserError, match=r"Half\.silent = 2\.0: is declared with compare=False.*Leave out compare=False"):
        fingerprint(Half(1.0, 2.0))
    with pytest.raises(UserError, match=r"Unequal: is declared with eq=False.*Leave out eq=False"):
        fingerprint(Unequal(0.1))


class Undecorated(NTXent):
    pass


def test_what_is_no_frozen_dataclass_is_refused():
    with pytest.raises(UserError, match=r"Undecorated is not a frozen dataclass.*@dataclass\(frozen=True\)"):
        fingerprint(Undecorated(0.1))


def test_a_class_made_in_a_function_is_refused_since_its_source_does_not_say_what_it_closes_over():
    @dataclass(frozen=True)
    class Closed(Component):
        x: float

    with pytest.raises(UserError, match=r"Closed: is made when the program runs.*top level of its file"):
        fingerprint(Closed(1.0))


SCRIPT = '''
"""A user's file."""
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from math import sqrt as root, floor
from contrast import Loss
if TYPE_CHECKING:
    from nowhere import Nothing

SCALE, SHIFT = 2.0, 0.0
TABLE = {"a": 1.0}
TABLE["b"] = 2.0
TABLE.update(c=3.0)
dict.update(TABLE, d=4.0)
del TABLE["d"]
OTHER = 5.0
try:
    import numpy as np
except ImportError:
    np = None

def helper(x):
    return deeper(x) * SCALE

def deeper(x):
    return root(x)

def unrelated(x):
    return floor(x) + OTHER

@dataclass(frozen=True)
class Base(Loss):
    contrastive = True

    def __call__(self, output, labels):
        return helper(output).mean()

@dataclass(frozen=True)
class Mine(Base):
    temperature: float = 1.0

    def __call__(self, output, labels):
        return super().__call__(output, labels) + TABLE["a"] * np.pi

if __name__ == "__main__":
    from sweeps.fingerprint import fingerprint
    print(fingerprint(Mine()))
'''
COUNTS = {
    "the class": ('TABLE["a"] *', 'TABLE["a"] /'),
    "a default": ("temperature: float = 1.0", "temperature: float = 1"),
    "its base class": (".mean()", ".sum()"),
    "a function it names": ("deeper(x) * SCALE", "deeper(x) + SCALE"),
    "a function that one names": ("return root(x)", "return root(x + 1)"),
    "a constant": ("SCALE, SHIFT = 2.0", "SCALE, SHIFT = 3.0"),
    "a constant that is changed later": ('TABLE["b"] = 2.0', 'TABLE["b"] = 3.0'),
    "a constant that a method changes": ("TABLE.update(c=3.0)", "TABLE.update(c=4.0)"),
    "a constant that a function is given": ("dict.update(TABLE, d=4.0)", "dict.update(TABLE, d=4.0, e=1.0)"),
    "a constant that loses a part": ('del TABLE["d"]', 'del TABLE["c"]'),
    "where a function comes from": ("from math import sqrt as root", "from math import cbrt as root"),
    "an import inside try": ("import numpy as np", "import torch as np"),
}
DOES_NOT_COUNT = {
    "a function it does not name": ("floor(x) + OTHER", "floor(x) - OTHER"),
    "a constant it does not name": ("OTHER = 5.0", "OTHER = 6.0"),
    "an import it does not name": ("floor\n", "floor, ceil\n"),
    "a call without it": ("OTHER = 5.0", "OTHER = 5.0\nprint(OTHER, end='')"),
    "comments and blank lines": ("OTHER = 5.0", "\n\nOTHER = 5.0  # five\n"),
    "a comment inside": ("return root(x)", "return root(x)  # of x"),
    "the script's end": ("print(fingerprint", "print('', end=''); print(fingerprint"),
}


def loaded(folder: Path, text: str, name: str):
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("old", "new"), [*COUNTS.values(), *DOES_NOT_COUNT.values()], ids=[*COUNTS, *DOES_NOT_COUNT])
def test_a_class_of_a_users_file_counts_with_what_it_names_of_the_file(tmp_path, old, new):
    assert SCRIPT.count(old) == 1
    before = loaded(tmp_path, SCRIPT, "before")
    after = loaded(tmp_path, SCRIPT.replace(old, new), "after")
    assert (fingerprint(before.Mine()) != fingerprint(after.Mine())) == ((old, new) in COUNTS.values())


def test_a_class_agrees_with_itself_imported_under_any_name_and_as_main_in_another_process(tmp_path):
    """With another order of sets and dictionaries by hash; the golden file, too, comes from another process."""
    imported = fingerprint(loaded(tmp_path, SCRIPT, "mine").Mine())
    assert fingerprint(loaded(tmp_path, SCRIPT, "other_name").Mine()) == imported
    environment = os.environ | {"PYTHONHASHSEED": "4242"}
    ran = subprocess.run([sys.executable, str(tmp_path / "mine.py")], env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == imported


def test_a_base_class_in_another_file_of_the_users_counts(tmp_path):
    child = (
        "from dataclasses import dataclass\nfrom base_file import Base\n@dataclass(frozen=True)\nclass Child(Base):\n    x: float = 1.0\n"
    )
    found = []
    for number, text in enumerate((SCRIPT, SCRIPT, SCRIPT.replace(".mean()", ".sum()"))):
        (tmp_path / str(number)).mkdir()
        loaded(tmp_path / str(number), text, "base_file")
        found.append(fingerprint(loaded(tmp_path, child, f"child_{number}").Child()))
    assert found[0] == found[1] != found[2]


def test_a_class_of_an_interactive_session_is_refused(monkeypatch):
    namespace = {"__name__": "console"}
    lines = (
        "from dataclasses import dataclass",
        "from contrast import Component",
        "@dataclass(frozen=True)",
        "class Typed(Component): pass",
    )
    exec("\n".join(lines), namespace)
    monkeypatch.setitem(sys.modules, "console", type(sys)("console"))
    with pytest.raises(UserError, match=r"Typed: its source cannot be read.*Define the class in a file"):
        fingerprint(namespace["Typed"]())


def test_a_type_that_cannot_be_found_is_the_users_mistake(tmp_path):
    text = SCRIPT.replace("temperature: float", 'temperature: "Nothing"')
    with pytest.raises(UserError, match=r"Mine: the type of a field cannot be found \(name 'Nothing'"):
        fingerprint(loaded(tmp_path, text, "hidden").Mine())


def test_a_record_of_the_value_can_be_read():
    described = describe(TUNED)
    assert json.loads(canonical(TUNED)) == json.loads(json.dumps(described))
    assert described["fields"]["data"] == {"class": "CIFAR100", "version": 1, "fields": {"classes": [3, 1], "part": "fit"}}
    assert "source" not in described
    assert "source" in describe(Part(1.0))


def test_place_and_hardware_are_no_fields():
    names = {f.name for value in EXAMPLES for f in fields(value)}
    assert not names & {"device", "gpus", "cpus", "threads", "root", "path", "folder", "host", "workers", "name", "version"}


def test_class_names_are_unique_since_they_stand_for_the_class():
    exported = exported_components()
    assert len({cls.__name__ for cls in exported}) == len(exported)


def test_the_digest_of_the_code_is_one_for_the_process():
    assert package_digest() == package_digest()
    assert len(package_digest()) == 32


def exported_components() -> set[type[Component]]:
    found = {c for package in (contrast, analysis) for c in vars(package).values() if isinstance(c, type) and issubclass(c, Component)}
    return found - {Component, Dataset, Loss, Stage, TuningMethod, analysis.Measure}


def test_every_exported_component_has_a_golden_fingerprint():
    assert {type(value) for value in EXAMPLES} == exported_components()
    assert {type(value).__name__: fingerprint(value) for value in EXAMPLES} == json.loads(GOLDEN.read_text())


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({type(value).__name__: fingerprint(value) for value in EXAMPLES}, indent=1) + "\n")
