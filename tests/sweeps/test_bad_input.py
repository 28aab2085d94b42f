"""A user's mistake ends with one message that names field, value, rule and cure, exit code 2, before any training, with nothing lost.

A row for each mistake: how the command is called, and what its message must say. Everything below the root must be as it was,
to the byte and to the time of writing. There is no network here.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from analysis import KNN, Accuracy
from contrast import CIFAR100, SGD, CropViews, Dataset, Digits, Finetune, MLPHead, NTXent, Pretrain, SmallResNet
from contrast.data import select
from sweeps import TPE, AtLeast, AtMost, Bound, Confirm, Grid, Sweep
from sweeps.candidate import Saved
from sweeps.catalog import CATALOG
from sweeps.lock import Lock
from sweeps.seal import sealed
from tests.driver import REPOSITORY, command, files

DIGITS = Digits(per_class=20)


@dataclass(frozen=True)
class Toy(Dataset):
    """Four classes, of which the files have three."""

    name: ClassVar[str] = "toy"
    shape: ClassVar[tuple[int, int, int]] = (3, 6, 6)
    mean: ClassVar[tuple[float, ...]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, ...]] = (0.3, 0.3, 0.3)
    class_count: ClassVar[int] = 4

    def load(self, root):
        return select(self, root)


TOY = Toy(classes=(0, 3))


def trained(phase, *, data=DIGITS, temperature=0.1, depth=1, batch_size=64, seed=0):
    return Pretrain(
        data=data.fit(phase), encoder=SmallResNet(2), views=CropViews(), loss=NTXent(temperature), head=MLPHead(depth, out=8),
        batch_size=batch_size, epochs=1, seed=seed, optimizer=SGD(lr=0.1),
    )  # fmt: skip


def measured(net, phase, data=DIGITS):
    return {"knn": KNN(net, bank=data.fit(phase), on=data.held_out(phase))}


def sound(trial, seed, phase):
    return measured(trained(phase, temperature=trial.suggest_float("temperature", 0.1, 1.0), seed=seed), phase)


def drawing(knob: Callable) -> Callable:
    """A space that gives what `knob` draws to the pretraining."""
    return lambda trial, seed, phase: measured(trained(phase, seed=seed, **knob(trial)), phase)


def tuned(trial, seed, phase):
    tune = Finetune(trained(phase, temperature=trial.suggest_float("temperature", 0.1, 1.0), seed=seed), data=DIGITS.fit(phase), seed=seed)
    return {"accuracy": Accuracy(tune, on=DIGITS.held_out(phase))}


def peeking(trial, seed, phase):
    return measured(trained(phase, temperature=trial.suggest_float("temperature", 0.1, 1.0)), "confirm")


def asked(space: Callable = sound, **declared) -> Callable[[str], Sweep]:
    return lambda preset: Sweep("asked", space, **({"maximize": "knn"} | declared))


@dataclass(frozen=True)
class Mistake:
    """`says`: field, value, rule and cure as the message has them. `sweep`: another one than the catalogue's."""

    called: str
    argv: Sequence[str]
    says: Sequence[str]
    sweep: Callable[[str], Sweep] | None = None
    prepare: Callable[[Path, Path], None] = field(default=lambda root, data: None)


def empty(root, data):
    (data / "cifar100").mkdir(parents=True)
    (data / "cifar100" / "train-00000-of-00001.parquet").write_bytes(b"")


def torn(root, data):
    empty(root, data)
    (data / "cifar100" / "train-00000-of-00001.parquet").write_bytes(b"PAR1" + bytes(1000))


def three_classes(root, data):
    for label in range(3):
        folder = data / "toy" / "train" / str(label)
        folder.mkdir(parents=True)
        for i in range(10):
            Image.fromarray(np.random.default_rng([label, i]).integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(folder / f"{i}.png")


def newer(root, data):
    (root / "store" / "format.json").write_text(json.dumps({"format": 99}))


def no_folder(root, data):
    (root / "file").write_text("not a folder")


def needed(root, data):
    """A stage of 2 KB that a candidate wants."""
    folder = root / "store" / "Untrained" / ("0" * 32) / "1-a"
    folder.mkdir(parents=True)
    (folder / "arrays.npz").write_bytes(bytes(2000))
    replicate = {"seed": 0, "phase": "search", "state": "open", "stages": {"a": "0" * 32}, "needs": {"0" * 32: []}, "metrics": {}}
    saved = Saved(0, "", {}, {}, "open", None, 0, {}, "", [replicate | {"reason": ""}])
    (root / "sweeps" / "asked" / "candidates").mkdir(parents=True)
    (root / "sweeps" / "asked" / "candidates" / "00000.json").write_text(sealed("candidate", asdict(saved)))


def torn_candidate(root, data):
    needed(root, data)
    (root / "sweeps" / "asked" / "candidates" / "00000.json").write_text("{")


def seedy(trial, seed, phase):
    if seed:
        trial.suggest_int("width", 1, 2)
    return sound(trial, seed, phase)


def phased(trial, seed, phase):
    stages = sound(trial, seed, phase)
    return stages | ({"more": stages["knn"]} if phase == "confirm" else {})


def searched(root, sweep, knobs, fingerprint):
    """A sweep whose first candidate has these knobs, and a stage of this fingerprint."""
    replicate = {"seed": 0, "phase": "search", "state": "complete", "stages": {"knn": fingerprint}, "metrics": {"knn": 50.0}, "reason": ""}
    at = root / "sweeps" / sweep / "candidates" / "00000.json"
    at.parent.mkdir(parents=True)
    at.write_text(sealed("candidate", asdict(Saved(0, "", knobs, {}, "complete", [50.0], 1, {}, "", [replicate]))))


def broken_sampler(seed):
    return {}[seed]


def akin(root, data):
    searched(root, "akin", {"tau": 0.1}, "00ff00ff")


SMOKE = ("run", "quickstart", "--preset", "smoke", "--engine", "inline")
MINE = ("run", "asked", "--engine", "inline")
CIFAR = ("run", "to_contrast", "--preset", "mini", "--engine", "inline")

MISTAKES = [
    Mistake(
        "unknown sweep",
        ("run", "quickest"),
        (
            "sweep = 'quickest'",
            "there is no such sweep",
            "Choose one of quickstart, to_contrast, pretraining, fine_tuning",
        ),
    ),
    Mistake(
        "unknown preset", ("run", "quickstart", "--preset", "huge"), ("--preset = 'huge'", "no such preset", "Choose one of smoke, mini")
    ),
    Mistake("unknown option", (*SMOKE, "--trails", "3"), ("--trails", "No such option", "--trials", "--help")),
    Mistake("unknown command", ("runn",), ("runn", "No such command", "run", "--help")),
    Mistake("unknown engine", ("run", "quickstart", "--engine", "spark"), ("--engine", "spark", "is not one of", "inline")),
    Mistake(
        "slots in process", ("run", "quickstart", "--slots", "2", "--engine", "inline"), ("--slots = 2", "one unit at a time", "Leave out")
    ),
    Mistake("no slots", ("run", "quickstart", "--slots", "0"), ("--slots = 0", "must be at least 1", "Give the number of units")),
    Mistake(
        "seeds that are no numbers", (*SMOKE, "--seeds", "0,ten"), ("--seeds = '0,ten'", "must be numbers", "Write for example 0,10,20")
    ),
    Mistake("no seeds", (*SMOKE, "--seeds", ""), ("--seeds = ''", "must be numbers", "Write for example 0,10,20")),
    Mistake("a seed twice", (*SMOKE, "--seeds", "0,0"), ("Sweep.seeds = (0, 0)", "must name each seed once", "Drop the repeated seed")),
    Mistake("a negative seed", (*SMOKE, "--seeds", "-1"), ("Sweep.seeds = (-1,)", "must be 0 or above", "Use non-negative seeds")),
    Mistake(
        "seeds kept for confirmation",
        (*SMOKE, "--seeds", "0,1"),
        ("Sweep.confirm = Confirm(top=1, seeds=(1, 2))", "shares seeds with seeds=(0, 1)", "Confirm on seeds that the search did not use"),
    ),
    Mistake("no trials", (*SMOKE, "--trials", "0"), ("--trials = 0", "must be at least 1", "Give the number of candidates")),
    Mistake(
        "a temperature of 0",
        ("one", "quickstart", "temperature=0"),
        ("temperature = 0", "does not offer this value", "Choose a value that it"),
    ),
    Mistake(
        "a temperature that is no number",
        ("one", "quickstart", "temperature=warm"),
        ("temperature = 'warm'", "does not offer this value", "Choose a value that it offers"),
    ),
    Mistake(
        "a range that begins at a temperature of 0",
        MINE,
        ("NTXent.temperature = 0.0", "must be from 0.0001", "Usual values are"),
        asked(drawing(lambda trial: {"temperature": trial.suggest_float("temperature", 0.0, 1.0)})),
    ),
    Mistake(
        "a logarithmic range that begins below 0",
        MINE,
        ("temperature = -0.1 to 1.0", "cannot be drawn from. `low > 0` must hold", "Mend the range"),
        asked(drawing(lambda trial: {"temperature": trial.suggest_float("temperature", -0.1, 1.0, log=True)})),
    ),
    Mistake(
        "a range the wrong way round",
        MINE,
        ("temperature = 1.0 to 0.1", "cannot be drawn from", "Mend the range"),
        asked(drawing(lambda trial: {"temperature": trial.suggest_float("temperature", 1.0, 0.1)})),
    ),
    Mistake(
        "a batch larger than the data",
        MINE,
        ("Pretrain.batch_size = 512", "is larger than the data (180 images)", "Lower batch_size or use more images"),
        asked(drawing(lambda trial: {"batch_size": trial.suggest_categorical("batch_size", (64, 512))})),
    ),
    Mistake(
        "depth out of range",
        ("one", "quickstart", "projection_depth=9"),
        ("projection_depth = 9", "does not offer this value", "Choose a value"),
    ),
    Mistake(
        "half a layer",
        ("one", "quickstart", "projection_depth=1.5"),
        ("projection_depth = 1.5", "does not offer this value", "Choose a value"),
    ),
    Mistake(
        "a range of depths that goes too far",
        MINE,
        ("MLPHead.depth = 9", "must be an integer from 0 to 4", "0 is no head"),
        asked(drawing(lambda trial: {"depth": trial.suggest_int("depth", 0, 9)})),
    ),
    Mistake(
        "a class id that the data set cannot have",
        MINE,
        ("Digits.classes = (3, 12)", "digits has class ids 0 to 9", "Name ids in that range"),
        asked(lambda trial, seed, phase: measured(trained(phase, data=Digits(classes=(3, 12))), phase)),
    ),
    Mistake(
        "a class id that the files lack",
        (*MINE, "--data", "DATA"),
        ("Toy.classes = (0, 3)", "class 3 must be in the train files of toy, which have only 0-2", "Name classes among those"),
        asked(lambda trial, seed, phase: measured(trained(phase, data=TOY, batch_size=4), phase, TOY), maximize=None),
        three_classes,
    ),
    Mistake(
        "an empty data file",
        (*CIFAR, "--data", "DATA"),
        ("train-00000-of-00001.parquet", "is not a whole", "Get that file again"),
        None,
        empty,
    ),
    Mistake(
        "a torn data file",
        (*CIFAR, "--data", "DATA"),
        ("train-00000-of-00001.parquet", "is not a whole", "Get that file again"),
        None,
        torn,
    ),
    Mistake(
        "a data folder that is none", (*CIFAR, "--data", "nowhere"), ("data = 'nowhere'", "is not a folder", "Set CONTRAST_DATA or --data")
    ),
    Mistake(
        "a data set that the folder lacks",
        (*CIFAR, "--data", "DATA"),
        ("data = ", "the train images of cifar100 must be in one of the places tried", "no network", "Set CONTRAST_DATA or --data"),
    ),
    Mistake(
        "no data and no network",
        CIFAR,
        ("data is not set", "must be in one of the places tried", "no network", "Set CONTRAST_DATA or --data"),
    ),
    Mistake("a root that is a file", (*SMOKE, "--root", "ROOT/file"), ("--root = ", "cannot be written", "Name a folder"), None, no_folder),
    Mistake("a root below a file", (*SMOKE, "--root", "ROOT/file/x"), ("--root = ", "cannot be written", "Name a folder"), None, no_folder),
    Mistake(
        "a root that takes no files", (*SMOKE, "--root", "/proc/runs"), ("--root = '/proc/runs'", "cannot be written", "Name a folder")
    ),
    *(
        Mistake(
            f"a store of a newer version, {argv[0]}",
            argv,
            ("--root = ", "format 99", "reads up to 1", "Update contrast-sweeps"),
            None,
            newer,
        )
        for argv in (
            SMOKE,
            ("one", "quickstart"),
            ("plan", "quickstart"),
            ("status", "quickstart"),
            ("report", "quickstart"),
            ("show", "00"),
        )
    ),
    Mistake("no such stage", ("show", "beef"), ("beef", "names 0 stages", "Give more digits, or another --root")),
    Mistake("an unknown knob", ("one", "quickstart", "temprature=1"), ("temprature = 1", "no such knob", "It has", "temperature")),
    Mistake(
        "a knob without a value",
        ("one", "quickstart", "temperature"),
        ("knob = 'temperature'", "must read name=value", "Write for example"),
    ),
    Mistake("an unknown arm", ("one", "to_contrast", "--arm", "moco"), ("--arm = 'moco'", "no such arm", "Choose one of simclr")),
    Mistake(
        "resources without a unit", (*SMOKE, "--resources", "Pretrain=4"), ("--resources = 'Pretrain=4'", "must read", "Write for example")
    ),
    Mistake(
        "resources that are no number", (*SMOKE, "--resources", "Pretrain=cpu:1.2.3"), ("'Pretrain=cpu:1.2.3'", "must read", "Write for")
    ),
    Mistake(
        "less than a core",
        (*SMOKE, "--resources", "Pretrain=cpu:0"),
        ("'Pretrain=cpu:0'", "needs at least one core", "Write cpu:1 or more"),
    ),
    Mistake(
        "resources of a stage that is not there",
        (*SMOKE, "--resources", "Pretrian=cpu:2"),
        ("--resources = 'Pretrian=cpu:2'", "has no stage Pretrian", "Name one of Accuracy", "Pretrain"),
    ),
    Mistake("a monitor that is not there", MINE, ("Sweep.monitor = 'kn'", "no such key", "Name one of knn"), asked(monitor="kn")),
    Mistake(
        "a monitor that watches no pretraining",
        MINE,
        ("Sweep.monitor = 'accuracy'", "watches no pretraining", "Name a key whose value is a measure of one Pretrain"),
        asked(tuned, maximize="accuracy", monitor="accuracy"),
    ),
    Mistake(
        "a pruner with two objectives",
        MINE,
        ("Sweep.monitor = 'knn'", "judges by one objective, and there are several", "Leave it out"),
        asked(tuned, maximize=("accuracy", "knn"), monitor="knn"),
    ),
    Mistake(
        "a bound over one seed",
        MINE,
        ("Sweep.maximize = Bound(key='knn')", "needs an interval over seeds", "Give two seeds or more"),
        asked(maximize=Bound("knn")),
    ),
    Mistake(
        "an objective named twice",
        MINE,
        ("Sweep.maximize = ('knn', 'knn')", "names a key twice"),
        asked(maximize=("knn", "knn")),
    ),
    Mistake(
        "a constraint on nothing",
        MINE,
        ("Sweep.constraints: AtMost(key='loss', limit=1.0)", "matches none", "Name one of knn"),
        asked(constraints=(AtMost("loss", 1.0),)),
    ),
    Mistake(
        "a point with a knob that is not there",
        MINE,
        ("Sweep.points: tau = 0.1", "has no such knob", "It has temperature"),
        asked(points=({"tau": 0.1},)),
    ),
    Mistake(
        "a point outside of the space",
        MINE,
        ("Sweep.points: temperature = 9.0", "does not offer this value", "Choose a value that it offers"),
        asked(points=({"temperature": 9.0},)),
    ),
    Mistake(
        "a fixed knob that is not there",
        (*MINE, "--fix", "tau=0.1"),
        ("Sweep.fixed: tau = 0.1", "no such knob. It has temperature"),
        asked(),
    ),
    Mistake(
        "a fixed knob without a value", (*MINE, "--fix", "tau"), ("knob = 'tau'", "must read name=value", "Write for example"), asked()
    ),
    Mistake(
        "a plan with a fixed knob outside of the space",
        ("plan", "asked", "--fix", "temperature=cold"),
        ("Sweep.fixed: temperature = 'cold'", "does not offer this value", "Choose a value"),
        asked(),
    ),
    Mistake(
        "a grid of a continuous knob",
        MINE,
        ("temperature = 0.1 to 1.0", "is continuous, and Grid() runs every combination", "Give it a step"),
        asked(sampler=Grid()),
    ),
    Mistake(
        "a fixed knob named twice",
        (*MINE, "--fix", "temperature=0.1", "--fix", "temperature=0.2"),
        ("temperature = 0.2", "is given twice, before as 0.1", "Give it once"),
        asked(),
    ),
    Mistake(
        "a knob of a point named twice",
        ("one", "quickstart", "temperature=0.1", "temperature=0.2"),
        ("temperature = 0.2", "is given twice, before as 0.1", "Give it once"),
    ),
    Mistake(
        "more points than trials",
        MINE,
        ("Sweep.points = ", "are 2, and trials=1", "Raise trials, or leave some points out"),
        asked(points=({"temperature": 0.1}, {"temperature": 0.2})),
    ),
    Mistake(
        "a point named twice",
        MINE,
        ("Sweep.points = ", "has a point twice", "Name each point once"),
        asked(points=({"temperature": 0.1}, {"temperature": 0.1}), trials=2),
    ),
    Mistake("an empty point", MINE, ("Sweep.points = ({},)", "has a point without knobs", "Leave it out"), asked(points=({},))),
    Mistake("a window wider than the search", MINE, ("Sweep.open = 3", "is above trials=2", "Lower it"), asked(open=3, trials=2)),
    Mistake(
        "a constraint named twice",
        MINE,
        ("Sweep.constraints: AtMost(key='knn', limit=2.0)", "AtMost(key='knn', limit=1.0) is there too", "Leave out one"),
        asked(constraints=(AtMost("knn", 1.0), AtMost("knn", 2.0))),
    ),
    Mistake(
        "constraints that contradict each other",
        MINE,
        ("Sweep.constraints: AtLeast(key='knn', limit=2.0)", "nothing keeps this and AtMost(key='knn', limit=1.0)", "Change one"),
        asked(constraints=(AtMost("knn", 1.0), AtLeast("knn", 2.0))),
    ),
    Mistake(
        "a constraint without a key",
        MINE,
        ("AtMost.key = ''", "must name a key", "Name one that the space returns"),
        lambda preset: asked(constraints=(AtMost("", 1.0),))(preset),
    ),
    Mistake(
        "a monitor where all is fixed",
        (*MINE, "--fix", "temperature=0.1"),
        ("Sweep.monitor = 'knn'", "draws no free knobs, so an arm has one candidate and this has no effect", "Leave out monitor="),
        asked(monitor="knn"),
    ),
    Mistake(
        "a class of samplers",
        MINE,
        ("Sweep.sampler = <class 'sweeps.samplers.TPE'>", "must be a value, and is its class", "Make one, such as TPE()"),
        asked(sampler=TPE),
    ),
    Mistake(
        "a sampler that is none",
        MINE,
        ("Sweep.sampler = <function", "must make one of Optuna's samplers, and made None", "Make one, such as TPE()"),
        asked(sampler=lambda seed: None),
    ),
    Mistake(
        "a sampler that raises",
        MINE,
        ("Sweep.sampler: KeyError in broken_sampler, test_bad_input.py", "Mend that line"),
        asked(sampler=broken_sampler),
    ),
    Mistake(
        "a grid of too many",
        MINE,
        ("Sweep.sampler = Grid(): width alone has more than 10000 combinations", "Draw from fewer values"),
        asked(lambda trial, seed, phase: sound(trial, trial.suggest_int("width", 1, 10**7), phase), sampler=Grid()),
    ),
    Mistake(
        "a confirmed grid",
        MINE,
        ("Sweep.confirm = Confirm(", "has no effect with sampler=Grid()", "Leave out confirm="),
        asked(sampler=Grid(), confirm=Confirm()),
    ),
    Mistake(
        "a warm start from nowhere",
        MINE,
        ("Sweep.warm_start = 'akin'", "there is no such sweep under", "Run it first, or leave out"),
        asked(warm_start="akin"),
    ),
    Mistake(
        "a warm start with other knobs",
        MINE,
        (
            "Sweep.warm_start = 'akin': candidate 0 has other knobs",
            "temperature: the space draws this knob",
            "Start from a sweep",
        ),
        asked(warm_start="akin"),
        prepare=akin,
    ),
    Mistake(
        "knobs that depend on the seed",
        MINE,
        ("space of sweep 'asked'", "draws knobs that depend on seed or phase (width, at seed 1", "Let them depend on the arm"),
        asked(seedy, seeds=(0, 1)),
    ),
    Mistake(
        "measures that depend on the phase",
        MINE,
        ("space of sweep 'asked'", "returns keys that depend on seed or phase (more, at seed 0 in phase 'search')", "Let them depend on"),
        asked(phased, confirm=Confirm()),
    ),
    Mistake("nothing to maximize", MINE, ("Sweep.maximize = 'acc/*'", "matches none", "Name one of knn"), asked(maximize="acc/*")),
    Mistake(
        "nothing to minimize", MINE, ("Sweep.minimize = 'loss'", "matches none", "Name one of knn"), asked(maximize=None, minimize="loss")
    ),
    Mistake(
        "an objective without a key", MINE, ("Sweep.maximize = ('knn', '')", "must name a key", "Name one"), asked(maximize=("knn", ""))
    ),
    Mistake("no objective", MINE, ("Sweep.maximize = None", "something must be judged", "Name a key"), asked(maximize=None)),
    Mistake("a headline of nothing", MINE, ("Sweep.headline = 'pgd'", "matches none", "Name one of knn"), asked(headline=("knn", "pgd"))),
    Mistake(
        "a headline named twice", MINE, ("Sweep.headline = ('knn', 'knn')", "names a key twice", "once"), asked(headline=("knn", "knn"))
    ),
    Mistake(
        "confirmation on a seed twice",
        MINE,
        ("Confirm.seeds = (1, 1)", "must name each seed once", "Drop the repeated seed"),
        lambda preset: asked(confirm=Confirm(seeds=(1, 1)))(preset),
    ),
    Mistake(
        "confirmation on a negative seed",
        MINE,
        ("Confirm.seeds = (-1,)", "must be 0 or above", "Use non-negative seeds"),
        lambda preset: asked(confirm=Confirm(seeds=(-1,)))(preset),
    ),
    Mistake(
        "confirmation on seeds of the search",
        MINE,
        (
            "Sweep.confirm = Confirm(top=1, seeds=(1, 2, 3, 4))",
            "shares seeds with seeds=(0, 4)",
            "Confirm on seeds that the search did not",
        ),
        asked(seeds=(0, 4), confirm=Confirm()),
    ),
    Mistake(
        "a space that returns a list",
        MINE,
        ("space of sweep 'asked'", "must return a dict of stages", "got [KNN(", "Return {"),
        asked(lambda trial, seed, phase: list(sound(trial, seed, phase).values())),
    ),
    Mistake(
        "a comparison that returns a list",
        MINE,
        ("across of sweep 'asked'", "must return a dict of stages", "got []", "Return {"),
        asked(confirm=Confirm(), across=lambda done: []),
    ),
    Mistake(
        "the test split in a search", MINE, ("knn", "part='test'", "is a test split in phase 'search'", "Use .fit(phase)"), asked(peeking)
    ),
    Mistake(
        "MLflow over an open network",
        (*SMOKE, "--mlflow", "http://tracking.example.org:5000"),
        ("--mlflow = 'http://tracking.example.org:5000'", "must not send results over an open network", "Use https, or a tunnel"),
    ),
    Mistake(
        "MLflow at an address that is none",
        (*SMOKE, "--mlflow", "http://[::1"),
        ("--mlflow = 'http://[::1'", "is no address", "Write https://host:port"),
    ),
    Mistake(
        "MLflow in a folder",
        (*SMOKE, "--mlflow", "sqlite:///ROOT/store"),
        ("--mlflow = 'sqlite:///", "is a folder, not a SQLite database", "Move it away"),
    ),
    Mistake(
        "a report of a root that is none",
        ("report", "quickstart", "--root", "ROOT/typo"),
        ("--root = ", "has no store", "Name the --root of a run"),
    ),
    Mistake("a quota that is no size", ("gc", "--quota", "20"), ("--quota = '20'", "is no size", "Write a number and B, KB, MB, GB or TB")),
    Mistake(
        "a quota smaller than what the sweeps need",
        ("gc", "--quota", "1KB", "--yes"),
        ("--quota = 1 KB", "need 2 KB of the store (asked 2 KB); nothing was removed", "Give a larger quota, or `forget` a sweep"),
        prepare=needed,
    ),
    Mistake("the store of a root that is none", ("gc", "--quota", "1GB", "--root", "ROOT/typo"), ("--root = ", "has no store", "Name the")),
    Mistake("a stage that is not there", ("forget", "00ff", "--yes"), ("00ff: names 0 stages", "and no sweep", "Give more digits")),
    Mistake("a candidate that is not there", ("forget", "asked/3"), ("asked/3: there is no sweep 'asked'", "Sweeps there: none")),
    Mistake("a comparison with nothing", ("diff", "00ff", "asked"), ("00ff: names 0 stages", "or the name of a sweep there")),
    Mistake(
        "a candidate that no file shows rightly",
        ("gc", "--quota", "1TB", "--yes"),
        ("candidates/00000.json: is not a candidate's file", "Delete it"),
        prepare=torn_candidate,
    ),
    Mistake("a pattern for a stage", ("show", "**"), ("**", "is no fingerprint", "Give its first digits")),
    Mistake(
        "MLflow nowhere", (*SMOKE, "--mlflow", "https://127.0.0.1:1"), ("--mlflow = 'https://127.0.0.1:1'", "does not answer", "Start it")
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.called.replace(" ", "-") for mistake in MISTAKES])
def test_a_mistake_is_told_and_nothing_is_touched(mistake, tmp_path, monkeypatch):
    monkeypatch.delenv("CONTRAST_DATA", raising=False)
    monkeypatch.setattr("contrast.data.source.download", _no_network)
    root, data = tmp_path / "root", tmp_path / "data"
    (root / "store").mkdir(parents=True)
    (root / "store" / "format.json").write_text('{"format": 1}')
    data.mkdir()
    mistake.prepare(root, data)
    argv = [part.replace("ROOT", str(root)).replace("DATA", str(data)) for part in mistake.argv]
    before = files(tmp_path)
    known = CATALOG if mistake.sweep is None else {"asked": mistake.sweep}
    ended = command(*argv, *([] if "--root" in argv or argv == ["runn"] else ["--root", root]), known=known)
    told = " ".join(ended.err.replace("│", " ").split())
    for part in mistake.says:
        assert part in told
    assert ended.code == 2
    assert "Traceback" not in ended.err + ended.out
    assert "epoch" not in ended.out
    assert files(tmp_path) == before


def _no_network(root, name):
    raise OSError("no network")


def test_a_second_driver_says_so_and_leaves(tmp_path):
    with Lock(tmp_path / "sweeps" / "quickstart-smoke"):
        ended = command(*SMOKE, "--root", tmp_path)
    assert ended.code == 2
    assert "another driver works on this sweep (pid" in ended.err
    assert "Wait for it or end it" in ended.err


def test_a_bad_value_at_the_top_of_a_script_is_told_like_any_other(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("from contrast import CIFAR100\nfrom sweeps import main\nTASK = CIFAR100(classes=(100,))\n")
    ended = subprocess.run(
        [sys.executable, script, "run"], capture_output=True, text=True, check=False, cwd=tmp_path, env=_with_the_packages()
    )
    assert ended.returncode == 2
    assert ended.stderr == f"error: {_message(lambda: CIFAR100(classes=(100,)))}\n"


def _message(make) -> str:
    with pytest.raises(ValueError, match="Name ids") as raised:
        make()
    return str(raised.value)


def _with_the_packages() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": str(REPOSITORY)}
