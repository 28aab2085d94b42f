"""What befell one candidate, or the root, does not take the rest of the sweep with it.

Sweeps of arithmetic run in process; then they are looked at, reported and launched again.
"""

import sqlite3
from dataclasses import dataclass, replace

import optuna
import pytest
from matplotlib.figure import Figure

from analysis import Landscape
from analysis.measure import Measure
from contrast import SGD, CropViews, Digits, Finetune, MLPHead, NTXent, Pretrain, SmallResNet
from contrast.component import UserError, require
from sweeps import Confirm, Sweep, mlflow_store
from sweeps import candidate as state
from sweeps.launch_checks import check_address
from sweeps.report import write_report
from sweeps.results import candidates_table, results_table
from sweeps.study import Study, Told
from tests.driver import without_pictures
from tests.world import TROUBLE, Long, Score, Train, World


@pytest.fixture
def world():
    with World() as opened:
        yield opened


class PruneAll(optuna.pruners.BasePruner):
    """Stops every candidate but the first, at its first report."""

    def prune(self, study, trial):
        return trial.number > 0


def space(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}


def test_a_pruned_candidate_of_an_earlier_launch_is_reported(world):
    sweep = Sweep("pruned", space, trials=5, maximize="score", monitor="score", pruner=PruneAll(), open=1)
    world.launch(sweep)
    again = world.launch(sweep)
    assert [c.state for c in again.candidates.values()] == [state.COMPLETE, *[state.PRUNED] * 4]
    with without_pictures():
        assert write_report(again, world.root).exists()


@dataclass(frozen=True)
class Shaky(Measure):
    """Not finite at seed 1."""

    kind: str = "nan"

    def measure(self, model, workspace):
        return {"shaky": float(self.kind) if model.stage.seed == 1 else 1.0}


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_number_that_is_not_finite_is_a_cell_that_says_so(world, value):
    def shaky(trial, seed, phase):
        net = Train(trial.suggest_float("x", 0, 1), seed)
        return {"score": Score(net), "shaky": Shaky(net, value)}

    population = world.launch(Sweep("shaky", shaky, trials=2, maximize="score", seeds=(0,), confirm=Confirm(1, (1, 2))))
    assert "not finite in 1 of 2" in results_table(population).rows[0]
    with without_pictures():
        assert write_report(population, world.root).exists()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_an_objective_that_is_not_finite_does_not_hide_the_others(world, value):
    def shaky(trial, seed, phase):
        x = trial.suggest_float("x", 0, 1)
        return {"shaky": Shaky(Train(x, 1 if x > 0.5 else 0), value)}

    population = world.launch(Sweep("judged", shaky, trials=6, maximize="shaky"))
    states = {c.state for c in population.candidates.values()}
    assert states == {state.COMPLETE, state.DIVERGED}
    assert len(candidates_table(population).rows) == 6


@dataclass(frozen=True)
class Dots(Score):
    """Drawn."""

    @classmethod
    def figure(cls, drawn):
        """A dot a seed, as
        `plot` draws it.

        And more.
        """
        figure = Figure()
        figure.subplots().plot([one.seed for one in drawn], [next(iter(one.results.values())) for one in drawn], "o")
        return figure


@dataclass(frozen=True)
class OtherDots(Dots):
    """Likewise."""


def test_measures_of_two_classes_under_one_segment_are_both_in_the_report(world):
    def two(trial, seed, phase):
        net = Train(0.5, seed)
        return {"dots/a": Dots(net), "dots/b": OtherDots(net), "dots/c": Dots(net, 1.0)}

    population = world.launch(Sweep("two", two, seeds=(0, 1)), searching=False)
    with without_pictures():
        page = write_report(population, world.root).read_text()
    assert "dots: A dot a seed, as plot draws it." in page
    assert "dots-OtherDots: A dot a seed, as plot draws it." in page
    assert (world.root / "reports" / "two" / "figures" / "dots-OtherDots.csv").read_text().count("\n") == 3


def test_what_a_run_has_measured_is_drawn_before_its_last_measure_is_done(world):
    def slow(trial, seed, phase):
        net = Train(0.5, seed)
        return {"dots": Dots(net), "long": Long(net)}

    sweep = Sweep("slow", slow, seeds=(0, 1))
    TROUBLE["Long", 0, 0] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.launch(sweep, searching=False)
    with without_pictures():
        page = write_report(world.population(sweep, searching=False), world.root).read_text()
        dots = world.root / "reports" / "slow" / "figures" / "dots.csv"
        assert "Runs that are not at their end: 2;" in page
        assert dots.read_text().count("\n") - 1 == sum(record.startswith("Dots/") for record in world.records()) > 0
        assert "not at their end" not in write_report(world.launch(sweep, searching=False), world.root).read_text()
        assert dots.read_text().count("\n") == 3


def test_a_measure_under_the_name_of_a_picture_of_the_search_is_in_the_report(world):
    def knobs(trial, seed, phase):
        return {"knobs": Dots(Train(trial.suggest_float("x", 0, 1), seed))}

    population = world.launch(Sweep("knobs", knobs, trials=4, maximize="knobs"))
    with without_pictures():
        page = write_report(population, world.root).read_text()
    assert "figures/knobs.svg" in page
    assert "figures/knobs-Dots.svg" in page


@dataclass(frozen=True)
class Meter(Dots):
    """Counts in a unit."""

    norm: str = "linf"
    unit = ("norm",)


def test_measures_that_count_in_different_units_are_drawn_apart(world):
    def two(trial, seed, phase):
        net = Train(0.5, seed)
        return {"attack/a": Meter(net), "attack/b": Meter(net, norm="l2"), "attack/c": Meter(net, 1.0), "attack/d": Dots(net)}

    population = world.launch(Sweep("units", two, seeds=(0, 1)), searching=False)
    with without_pictures():
        page = write_report(population, world.root).read_text()
    folder = world.root / "reports" / "units" / "figures"
    rows = {path.stem: path.read_text().count("\n") - 1 for path in folder.glob("*.csv")}
    assert rows == {"attack": 4, "attack-l2": 2, "attack-Dots": 2}
    assert all(f"figures/{name}.svg" in page for name in rows)


@dataclass(frozen=True)
class Picky(Measure):
    """Refuses what lies above the limit."""

    limit: float = 0.5

    def measure(self, model, workspace):
        require(model.stage.x < self.limit, self, "limit", f"must be above {model.stage.x}", "Raise it.")
        return {"picky": model.stage.x}


def test_a_point_that_a_stage_refuses_fails_alone_and_a_space_that_it_refuses_ends_the_sweep(world):
    def picky(trial, seed, phase):
        return {"picky": Picky(Train(trial.suggest_float("x", 0, 1), seed))}

    sweep = Sweep("picky", picky, trials=6, maximize="picky", sampler=lambda seed: optuna.samplers.RandomSampler(seed), open=1)
    population = world.launch(sweep)
    assert len({candidate.state for candidate in population.candidates.values()}) == 2
    for candidate in population.candidates.values():
        assert candidate.state == (state.COMPLETE if candidate.knobs["x"] < 0.5 else state.FAILED)
    for trials, judged in ((1, 1), (9, 3)):
        hopeless = replace(sweep, name=f"hopeless-{trials}", trials=trials, space=lambda trial, seed, phase: picky_at(trial, seed))
        with pytest.raises(UserError, match=r"Picky\.limit = 0\.5: must be above"):
            world.launch(hopeless)
        assert len(world.population(hopeless).candidates) == judged


def picky_at(trial, seed):
    return {"picky": Picky(Train(trial.suggest_float("x", 0.8, 0.9), seed))}


def test_a_landscape_whose_centre_is_above_the_ceiling_claims_nothing(world):
    digits = Digits(per_class=20)
    net = Pretrain(
        data=digits.fit("search"),
        encoder=SmallResNet(2),
        views=CropViews(),
        loss=NTXent(0.1),
        head=MLPHead(1, out=8),
        batch_size=64,
        epochs=1,
        seed=0,
        optimizer=SGD(lr=0.1),
    )
    tuned = Finetune(net, data=digits.fit("search"), seed=0, epochs=1)
    asked = Landscape(tuned, on=digits.fit("search"), points=3, samples=20, ceiling=0.1)
    population = world.launch(Sweep("blind", lambda trial, seed, phase: {"flat": asked}), searching=False)
    (replicate,) = population.candidates[0].replicates
    assert replicate.metrics["flat"] != replicate.metrics["flat"]
    assert replicate.metrics["flat/clipped_share"] == 1
    with without_pictures():
        assert write_report(population, world.root).exists()


def test_what_was_lost_below_a_finished_result_is_left_to_do(world):
    sweep = Sweep("lost", space, trials=2, maximize="score")
    assert world.launch(sweep).nothing_left
    arrays = next((world.root / "store" / "Train").glob("*/*/arrays.npz"))
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"\0\0")
    population = world.population(sweep)
    assert population.finished_all
    assert not population.nothing_left
    assert world.launch(sweep).nothing_left


@pytest.mark.parametrize("trials", [6, 8, 12, 100])
def test_the_default_pruner_can_act_in_a_search_of_any_length(trials):
    sweep = Sweep("short", space, trials=trials, maximize="score", monitor="score")
    study = Study(sweep, {}, "search")
    for index in range(trials - sweep.window + 1):
        study.draw(index)
    for index in range(trials - sweep.window):
        study.tell(index, Told(optuna.trial.TrialState.COMPLETE, (1.0,), {50: 1.0, 100: 1.0}))
    assert study.should_prune(trials - sweep.window, {50: 0.0}, range(trials - sweep.window))


def _torn(path):
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE t (x); " + "INSERT INTO t VALUES (zeroblob(4000));" * 20)
    connection.close()
    path.write_bytes(path.read_bytes()[:9000])


def _moved(path):
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE experiments (name, artifact_location); INSERT INTO experiments VALUES ('mine', 'file:///elsewhere/mlartifacts/mine')"
        )
    connection.close()


@pytest.mark.parametrize(
    ("sweep", "folder", "prepare", "rule"),
    [
        ("mine", "root", _torn, "the database is damaged"),
        ("mine", "root", lambda path: path.mkdir(), "is a folder"),
        ("mine", "root", lambda path: path.write_bytes(b"not a database at all"), "is not a SQLite database"),
        ("mine", "root", _moved, "was the root moved or copied"),
        ("mine", "q?mark", lambda path: None, r"must not have \? or %"),
        ("mine", "per%20cent", lambda path: None, r"must not have \? or %"),
        ("Default", "root", lambda path: None, "MLflow's own experiment"),
    ],
)
def test_a_place_that_mlflow_cannot_use_is_refused_before_anything_is_written(sweep, folder, prepare, rule, tmp_path):
    root = tmp_path / folder
    root.mkdir()
    prepare(root / "mlflow.db")
    before = sorted((path, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*"))
    with pytest.raises(UserError, match=rule):
        mlflow_store.check(sweep, root, None)
    assert sorted((path, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("address", ["nonsense:1", "127.0.0.1:9", "127.0.0.1", "127.0.0.1:99999999"])
def test_a_cluster_that_does_not_answer_is_told_at_once(address):
    with pytest.raises(UserError, match=r"no Ray cluster answers there .*RAY_ADDRESS"):
        check_address(address)
