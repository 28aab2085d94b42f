"""A mistake in a user's own functions and values ends with one message, exit code 2, before any training, with nothing lost.

The sweeps here are declared wrongly, or call functions that fail; what a message must say stands beside each.
"""

import sys
from dataclasses import dataclass, field

import pytest
from optuna.samplers import RandomSampler

from analysis import KNN, Measure
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet
from sweeps import AtMost, Sweep
from sweeps.results import last_launch
from tests.driver import command, files

DIGITS = Digits(per_class=20)


def net(phase, loss=NTXent(0.1), seed=0):
    return Pretrain(
        data=DIGITS.fit(phase), encoder=SmallResNet(2), views=CropViews(), loss=loss, head=MLPHead(1, out=8),
        batch_size=64, epochs=1, seed=seed, optimizer=SGD(lr=0.1),
    )  # fmt: skip


def knn(phase, **changed):
    return KNN(net(phase, **changed), bank=DIGITS.fit(phase), on=DIGITS.held_out(phase))


def told(space, tmp_path, *argv, **declared) -> str:
    """What `run` says about the sweep of this space, after checking that it ended well and left nothing."""
    before = files(tmp_path)
    known = {"asked": Sweep("asked", space, **({"maximize": "knn"} | declared))}
    ended = command("run", "asked", "--engine", "inline", "--root", tmp_path, *argv, known=known)
    assert ended.code == 2
    assert "Traceback" not in ended.err + ended.out
    assert files(tmp_path) == before
    return " ".join(ended.err.split())


@dataclass(frozen=True)
class Unreadable(Digits):
    def load(self, root):
        return {}["images"]


def test_what_a_data_set_of_ones_own_raises_is_told_with_its_line(tmp_path):
    def space(trial, seed, phase):
        on = Unreadable(per_class=20).held_out(phase)
        return {"knn": KNN(net(phase, seed=trial.suggest_int("seed", 0, 1)), bank=DIGITS.fit(phase), on=on)}

    assert "Unreadable.load (Unreadable): KeyError in load, test_bad_scripts.py:" in told(space, tmp_path)


@dataclass(frozen=True)
class Silent(NTXent):
    note: float = field(default=1.0, compare=False)


def test_a_value_without_identity_is_refused_before_anything_is_touched(tmp_path):
    def space(trial, seed, phase):
        return {"knn": knn(phase, loss=Silent(0.1, note=trial.suggest_float("note", 1.0, 2.0)))}

    assert "Silent.note = 1.0: is declared with compare=False" in told(space, tmp_path)


def test_a_key_below_another_ones_is_refused_since_results_would_overwrite_each_other(tmp_path):
    def space(trial, seed, phase):
        return {"knn": knn(phase, seed=trial.suggest_int("seed", 0, 1)), "knn/b": knn(phase), "knnb": knn(phase)}

    assert "key 'knn/b' lies below key 'knn', whose further results are named there too. Rename" in told(space, tmp_path)


def undefined(trial, seed, phase):
    return {"knn": KNN(net(phase), on=DIGITS.held_out(phas))}


def deeper(trial, seed, phase):
    return helper({})


def helper(table):
    return {"knn": table["accuracy"]}


def narrow(trial, seed):
    return {}


def sound(trial, seed, phase):
    return {"knn": knn(phase, seed=seed)}


def searched(trial, seed, phase):
    return {"knn": knn(phase, loss=NTXent(trial.suggest_float("temperature", 0.1, 1.0)), seed=seed)}


@dataclass(frozen=True)
class Unwritten(Measure):
    """Says not what it measures."""


def unwritten(trial, seed, phase):
    return {"knn": Unwritten(net(phase))}


def dividing(runs):
    return {"ratio": 1 / 0}


class Tired(RandomSampler):
    """Draws one point."""

    def sample_independent(self, study, trial, name, distribution):
        return super().sample_independent(study, trial, name, distribution) / (1 - trial.number)


FAILING = {
    "an unknown name": (
        undefined,
        {},
        "space of sweep 'asked': NameError in undefined, test_bad_scripts.py:",
        "name 'phas' is not defined",
    ),
    "an exception deeper down": (deeper, {}, "KeyError in helper, test_bad_scripts.py:", "'accuracy'. Mend that line."),
    "a parameter too few": (
        narrow,
        {},
        "TypeError in narrow, test_bad_scripts.py:",
        "takes 2 positional arguments but 3 were given. It is called as space(trial, seed, phase).",
    ),
    "an arm that the space does not take": (
        sound,
        {"arms": {"views": [1]}},
        "TypeError in sound",
        "unexpected keyword argument 'views'. It is called as space(trial, seed, phase, views=...).",
    ),
    "a measure without its method": (unwritten, {}, "TypeError in unwritten, test_bad_scripts.py:", "abstract class Unwritten"),
    "an exception in across": (
        sound,
        {"across": dividing},
        "across of sweep 'asked': ZeroDivisionError in dividing, test_bad_scripts.py:",
        "division by zero. Mend that line.",
    ),
    "across without parameters": (sound, {"across": lambda: {}}, "TypeError in <lambda>", "It is called as across(runs)."),
    "a space that returns nothing": (
        lambda trial, seed, phase: None,
        {},
        "space of sweep 'asked': must return a dict of stages by name, got None.",
        "Return {'accuracy': Accuracy(...)}.",
    ),
    "a space without stages": (
        lambda trial, seed, phase: {},
        {},
        "space of sweep 'asked': returned no stages.",
        "Return {'accuracy': Accuracy(...)}.",
    ),
    "trials of nothing": (sound, {"trials": 3}, "Sweep.trials = 3: the space draws no knobs", "Leave out trials="),
}


@pytest.mark.parametrize("command_", ["run", "plan"])
@pytest.mark.parametrize(("space", "declared", "where", "what"), FAILING.values(), ids=[name.replace(" ", "-") for name in FAILING])
def test_what_a_users_function_raises_is_told_with_its_line(tmp_path, command_, space, declared, where, what):
    known = {"asked": Sweep("asked", space, **declared)}
    ended = command(command_, "asked", *(["--engine", "inline"] if command_ == "run" else []), "--root", tmp_path, known=known)
    said = " ".join(ended.err.split())
    assert where in said
    assert what in said
    assert ended.code == 2
    assert "Traceback" not in ended.err + ended.out
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"maximize": "knn/5"}, "objective = 'knn/5': matches none of the keys knn. Name one of them"),
        ({"maximize": "knn", "constraints": (AtMost("knn/eps", 1.0),)}, "knn/eps"),
        ({"maximize": "knn", "sampler": Tired, "open": 1}, "Sweep.sampler (Tired): ZeroDivisionError in sample_independent, test_bad"),
    ],
    ids=["objective", "constraint", "sampler"],
)
def test_a_mistake_that_shows_only_in_the_run_ends_it_in_order_and_what_was_committed_stays(tmp_path, declared, says):
    asked = Sweep("asked", searched, trials=2, **declared)
    ended = command("run", "asked", "--engine", "inline", "--root", tmp_path, known={"asked": asked})
    assert (ended.code, says in " ".join(ended.err.split())) == (2, True), ended.err
    assert "Traceback" not in ended.err + ended.out
    page = (tmp_path / "reports" / "asked" / "index.html").read_text()
    assert "over 0 seeds" not in page
    corrected = {"asked": Sweep("asked", searched, trials=2, maximize="knn")}
    assert command("run", "asked", "--engine", "inline", "--root", tmp_path, known=corrected).code == 0
    assert last_launch(tmp_path, "asked")["reused"] == 2


@dataclass(frozen=True)
class Returns(NTXent):
    what: str = "nothing"

    def __call__(self, output, labels):
        mean = output.mean()
        return {"nothing": None, "float": mean.item(), "vector": output.mean((1, 2)), "constant": mean.detach()}[self.what]


@dataclass(frozen=True)
class Unmeasured(KNN):
    def measure(self, model, workspace):
        return {}


@dataclass(frozen=True)
class Leaves(KNN):
    def measure(self, model, workspace):
        sys.exit(3)


def ran(tmp_path, **stages):
    """How a run of these stages, given a phase, ends; one that draws so that a monitor has an objective."""

    def space(trial, seed, phase):
        trial.suggest_categorical("any", (1,))
        return {key: make(phase) for key, make in stages.items()}

    known = {"asked": Sweep("asked", space, maximize="knn", monitor="knn" if "monitored" in stages else None)}
    return command("run", "asked", "--engine", "inline", "--root", tmp_path, known=known)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("nothing", "Returns: returned None, and what is minimised must be one number. Return a tensor"),
        ("float", "and what is minimised must be one number. Return a tensor"),
        ("vector", "Returns: returned a tensor of shape (64,), and what is minimised must be one number"),
        ("constant", "Returns: returned a number that has no gradient. Return a tensor"),
    ],
)
def test_a_loss_that_cannot_be_trained_on_is_told(tmp_path, what, says):
    ended = ran(tmp_path, knn=lambda phase: knn(phase, loss=Returns(0.1, what)))
    assert says in " ".join((ended.err + ended.out).split())
    assert ended.code != 0
    assert "Traceback" not in ended.err + ended.out


def test_a_monitor_that_measures_nothing_is_told(tmp_path):
    def measure(phase):
        return Unmeasured(net(phase), bank=DIGITS.fit(phase), on=DIGITS.held_out(phase))

    ended = ran(tmp_path, knn=measure, monitored=measure)
    assert "Unmeasured: returned {} as its results (no number). Return a dict of numbers" in " ".join((ended.err + ended.out).split())
    assert ended.code != 0
    assert "Traceback" not in ended.err + ended.out


def test_a_stage_that_leaves_the_process_is_that_stages_failure(tmp_path):
    """The driver reports it and goes on to the end, with the exit code of a failed candidate."""
    ended = ran(tmp_path, knn=knn, knn2=lambda phase: Leaves(net(phase), bank=DIGITS.fit(phase), on=DIGITS.held_out(phase)))
    assert ended.code == 1
    assert "SystemExit: 3" in ended.err + ended.out
