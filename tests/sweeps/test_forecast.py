"""What the plan counts is what then runs: forecasts are compared with the records that the run leaves, class by class.

Sweeps of arithmetic are planned, run and planned again; the expected times follow from records with known seconds.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from inspect import isabstract

import optuna
import pytest

import analysis
import contrast
from analysis.measure import Measure
from contrast import AdversarialTraining, CropFlip, Finetune, InputGradient, MLPClassifier, Untrained
from contrast.component import UserError
from contrast.pretrain import Pretrain
from contrast.stage import Stage
from sweeps import Budget, Confirm, Sweep
from sweeps.catalog.label_fractions import label_fractions
from sweeps.fingerprint import describe
from sweeps.forecast import Means, forecast, learned
from sweeps.paces import GUESS, GUESSES, SIZE, SIZES, THROUGH, Paces, kind_of, recorded_kind
from sweeps.resources import Resources
from sweeps.seal import sealed
from sweeps.store import Record, Store, read_record
from tests.world import Long, Score, Spread, Train, World

A_FEW_PASSES = {"AdversarialExamples", "Accuracy", "Alignment", "FGSM", "InPCA", "KNN", "PGD", "Progress", "Uniformity"}
A_FEW_PASSES |= {"MeanAveragePrecision", "MeanPerClass", "TopK"}  # measures without a guess of their own
A_FEW_PASSES |= {"CKA", "Entropies", "IntrinsicDimension", "KNNCurve", "LiDAR", "MCE", "NeuralCollapse", "RankMe", "Spectrum"}
A_FEW_PASSES |= {"Calibration", "ClassIoU", "Confusion", "FeatureSuppression", "HeadLandscape", "LeftOut", "SameImages"}
A_FEW_PASSES |= {"InPCAProjection", "PretrainingProgress", "TransformProbe", "Tube"}


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def space(trial, seed, phase, kind="good"):
    """Two of three candidates share a pretraining."""
    net = Train({"a": 0.2, "b": 0.2, "c": 0.7}[trial.suggest_categorical("name", ["a", "b", "c"])], seed, kind=kind)
    return {"score": Score(net), "long": Long(net)}


def across(done):
    return {"spread": Spread(tuple(run.stages["score"].of for run in done))}


def searched(asked=space, **changes):
    declared = {"trials": 6, "maximize": "score", "seeds": (0, 1), "confirm": Confirm(1, (7, 8)), "across": across, "open": 2}
    return Sweep("searched", asked, **(declared | changes))


def grid(**changes):
    def unsearched(trial, seed, phase, x):
        net = Train(x, seed)
        return {"score": Score(net), "long": Long(net)}

    return Sweep("grid", unsearched, **({"arms": {"x": (0.1, 0.2, 0.3)}, "seeds": (0, 1), "across": across} | changes))


def counts(found):
    return {row.stage: (row.needed, row.held, row.missing) for row in found.stages}


def test_what_is_planned_for_a_grid_is_what_runs(world):
    planned = counts(forecast(grid(), Store(world.root), searching=False))
    assert planned == {"Long": (6, 0, 6), "Score": (6, 0, 6), "Spread": (1, 0, 1), "Train": (6, 0, 6)}
    world.launch(grid(), searching=False)
    assert Counter(name.partition("/")[0] for name in world.records()) == {name: row[2] for name, row in planned.items()}
    assert counts(forecast(grid(), Store(world.root), searching=False)) == {name: (n, n, 0) for name, (n, _, _) in planned.items()}


def test_planning_writes_nothing(world):
    before = sorted(world.root.rglob("*"))
    forecast(searched(), Store(world.root), searching=True)
    assert sorted(world.root.rglob("*")) == before


def test_a_finished_search_misses_nothing_whatever_was_drawn(world):
    world.launch(searched())
    found = counts(forecast(searched(), Store(world.root), searching=True))
    records = Counter(name.partition("/")[0] for name in world.records())
    assert found == {name: (n, n, 0) for name, n in records.items()}


@pytest.mark.parametrize("change", [{"seeds": (0, 1, 2)}, {"confirm": Confirm(1, (7, 8, 9))}], ids=["seeds", "fresh seeds"])
def test_of_an_extended_search_exactly_the_new_is_missing(world, change):
    world.launch(searched())
    before = world.records()
    extended = replace(searched(), **change)
    planned = counts(forecast(extended, Store(world.root), searching=True))
    world.launch(extended)
    new = Counter(name.partition("/")[0] for name in world.records() - before)
    assert {name: row[2] for name, row in planned.items() if row[2]} == new


def test_before_the_search_the_plan_is_exact_when_draws_need_no_results_and_nothing_is_pruned(world):
    """Draws at random do not depend on results; pilots of all seeds race nobody; the first ones stand for the confirmed ones."""
    distinct = {"pilot": 2, "sampler": lambda seed: optuna.samplers.RandomSampler(seed=seed), "across": None}

    def continuous(trial, seed, phase):
        net = Train(trial.suggest_float("x", 0, 1), seed)
        return {"score": Score(net), "long": Long(net)}

    sweep = searched(continuous, **distinct)
    planned = counts(forecast(sweep, Store(world.root), searching=True))
    world.launch(sweep)
    assert Counter(name.partition("/")[0] for name in world.records()) == {name: row[2] for name, row in planned.items()}


class PruneAll(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step >= 50


def test_pruned_and_diverged_candidates_want_nothing_more(world):
    wild = searched(lambda trial, seed, phase: space(trial, seed, phase, "wild"), across=None)
    world.launch(wild)
    assert all(row.missing == 0 for row in forecast(wild, Store(world.root), searching=True).stages)
    pruned = replace(searched(across=None), name="pruned", monitor="score", pruner=PruneAll())
    population = world.launch(pruned)
    assert {c.state for c in population.candidates.values()} == {"pruned"}
    assert forecast(pruned, Store(world.root), searching=True).stages == ()


@dataclass(frozen=True)
class Named(Train):
    """Counts as a class of its own."""


def test_times_come_from_the_pace_of_records_and_guesses_are_marked(world):
    def timed(trial, seed, phase, epochs):
        return {"score": Score(Named(0.5, seed, epochs))}

    short, long = (Sweep("timed", timed, arms={"epochs": (epochs,)}, seeds=(0, 1)) for epochs in (4, 40))
    (named, score) = forecast(short, Store(world.root), searching=False).stages
    assert (named.basis, named.seconds, score.basis, score.seconds) == ("guess", 8 * GUESS, "guess", 2 * GUESS)
    world.launch(short, searching=False)
    paces = [read_record(path).seconds / 4 for path in (world.root / "store" / "Named").glob("*/record.json")]
    (named, score) = forecast(replace(long, name="longer"), Store(world.root), searching=False).stages
    assert (named.stage, named.missing, named.basis, score.basis) == ("Named", 2, "record", "record")
    assert named.seconds == round(80 * sum(paces) / 2, 1)


@pytest.mark.parametrize("package", [contrast, analysis], ids=lambda package: package.__name__)
def test_every_exported_stage_that_is_no_short_measure_has_a_guess_of_its_own(package):
    exported = {kind for kind in vars(package).values() if isinstance(kind, type) and issubclass(kind, Stage) and not isabstract(kind)}
    short = {kind for kind in exported if issubclass(kind, Measure) and not kind.alone}
    trained = {kind.__name__ for kind in exported if not issubclass(kind, Measure)}
    assert exported
    assert {kind.__name__ for kind in exported - short} <= GUESSES.keys()
    assert trained <= SIZES.keys()
    assert {kind.__name__ for kind in short} - GUESSES.keys() <= A_FEW_PASSES, "is it as short as those? Then name it there"


TUNED = Finetune(Untrained(data=contrast.Digits(), encoder=contrast.SmallResNet(2), seed=0), data=contrast.Digits(), seed=0)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        *(({}, "Finetune"), ({"steps": 3, "head": MLPClassifier(8)}, "Finetune"), ({"frozen": False}, THROUGH)),
        *(({"views": CropFlip()}, THROUGH), ({"penalty": InputGradient(0.1)}, THROUGH), ({"attack": AdversarialTraining(0.1)}, THROUGH)),
    ],
    ids=str,
)
def test_a_fine_tuning_through_the_network_is_another_kind_than_one_on_features(tmp_path, changes, kind):
    """In guesses, and in records, from which times and sizes of its kind alone are taken."""
    stage = replace(TUNED, **changes)
    assert (kind_of(stage), kind_of(stage.of)) == (kind, "Untrained")
    record = Record("0" * 32, "Finetune", describe(stage), "complete", {}, [{}] * 2, "attempt", {}, 0.0, 8.0, 8.0)
    assert recorded_kind(record) == kind
    store = Store(tmp_path)
    assert (Paces(store).pace(stage), Paces(store).size(stage)) == ((GUESSES[kind], "guess"), (SIZES[kind], "guess"))
    (tmp_path / "store" / "Finetune" / record.fingerprint / "attempt").mkdir(parents=True)
    (tmp_path / "store" / "Finetune" / record.fingerprint / "record.json").write_text(sealed("record", vars(record)))
    other = TUNED if kind == THROUGH else replace(TUNED, frozen=False)
    assert (Paces(store).pace(stage), Paces(store).size(stage)) == ((4.0, "record"), (0.0, "record"))
    assert Paces(store).pace(other) == (GUESSES[kind_of(other)], "guess")


def test_few_labels_are_forecast_by_how_each_is_trained():
    """Two of three methods go through the network, each at two fractions and two seeds, for 3 epochs."""
    with World() as world:
        found = forecast(label_fractions("smoke"), Store(world.root), searching=False)
    row = next(row for row in found.stages if row.stage == "Finetune")
    assert (row.missing, row.basis) == (12, "guess")
    assert row.seconds == pytest.approx(3 * (8 * GUESSES[THROUGH] + 4 * GUESSES["Finetune"]))


def test_sharing_says_how_many_results_hang_on_a_pretraining():
    from sweeps.catalog.to_contrast import to_contrast

    with World() as world:
        found = forecast(to_contrast("smoke"), Store(world.root), searching=False)
    pretrainings = next(row for row in found.stages if row.stage == Pretrain.__name__)
    assert len(found.sharing) == pretrainings.needed
    assert len(set(found.sharing.values())) == 1, "every method has the same tasks and measures"


@pytest.mark.parametrize(("slots", "seconds"), [(1, 6 * 30 + 5), (2, 3 * 30 + 5), (6, 35)])
def test_the_finish_is_that_of_the_units_in_their_slots(world, slots, seconds):
    """Six trainings of 4 epochs, each measured in two units, then one comparison: all of the guessed pace."""
    found = forecast(grid(), Store(world.root), False, Means(slots=slots, price=7.2))
    assert found.cost.hours * 3600 == pytest.approx(seconds)
    assert found.cost.core_hours * 3600 == pytest.approx(6 * 30 + 5)
    assert found.price == pytest.approx(7.2 * 185 / 3600, abs=0.005)
    world.launch(grid(), searching=False)
    assert forecast(grid(), Store(world.root), False, Means(slots=slots)).cost.hours == 0


def test_gpus_are_shared_out_and_a_unit_that_finds_none_is_refused(world):
    half = Means(slots=6, gpus=1, resources=lambda stage: Resources(1.0, 0.5 if isinstance(stage, Train) else 0.0))
    found = forecast(grid(across=None), Store(world.root), False, half)
    assert found.cost.gpu_hours * 3600 == pytest.approx(6 * (20 + 5) * 0.5)
    assert found.cost.hours * 3600 >= 3 * (20 + 5)
    with pytest.raises(UserError, match=r"--resources = cpu:1 gpu:0\.5: there is only .*Ask for less, or give the forecast more"):
        forecast(grid(), Store(world.root), False, replace(half, gpus=0))


def test_the_disk_is_that_of_like_records(world):
    guessed = forecast(grid(), Store(world.root), False).disk
    assert (guessed["needed"], guessed["basis"]) == (19 * SIZE, "guess")
    world.launch(grid(across=None), searching=False)
    more = forecast(grid(across=None, seeds=(0, 1, 2, 3)), Store(world.root), False).disk
    kept = {name: Store(world.root).sizes(name) for name in ("Train", "Score", "Long")}
    assert (more["needed"], more["basis"]) == (round(sum(6 * sum(sizes) / len(sizes) for sizes in kept.values())), "record")
    assert more["free"] > 0


def test_it_warns_when_so_many_candidates_are_open_that_the_search_cannot_learn(world):
    crowded = searched(trials=20, open=15, across=None)
    (warning,) = forecast(crowded, Store(world.root), True).warnings
    assert "15 of 20 candidates of an arm are open at once, so only 0 of them are drawn from the 10 results" in warning
    assert re.search(r"with open=2 these are 9, finished in [\d.]+ hours$", warning)
    assert (learned(20, 15), learned(20, 2), learned(64, 8)) == (0, 9, 47)
    assert forecast(replace(crowded, open=2), Store(world.root), True).warnings == ()
    assert forecast(replace(crowded, trials=4, open=4), Store(world.root), True).warnings == (), "nothing would help"


def test_it_warns_of_a_budget_that_will_not_do(world):
    tight = grid(budget=Budget(core_hours=0.05))
    (warning,) = forecast(tight, Store(world.root), False).warnings
    assert warning.startswith("budget spent: 0.05139 of 0.05 core-hours, as far as can be foreseen")
    assert forecast(grid(budget=Budget(core_hours=0.06)), Store(world.root), False).warnings == ()


def test_the_json_form_is_the_documented_one(world):
    found = forecast(grid(), Store(world.root), searching=False).as_json()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"stages", "sharing", "finish", "cost", "disk", "warnings"}
    assert all(set(row) == {"class", "needed", "held", "missing", "seconds", "basis"} for row in found["stages"])
