"""`diff`, `forget` and `gc`: what they say is what they do, what a sweep needs is never freed, and a kill on the way does no harm.

Sweeps of arithmetic run in this process; kills are exceptions raised at the n-th file that is removed or replaced.
"""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast.component import UserError
from contrast.stage import Memory
from sweeps import AtLeast, AtMost, Bound, Confirm, Sweep
from sweeps.claims import Claims
from sweeps.collect import PRUNED, SPARE, UNREACHED, free, parsed_size, size, surveyed
from sweeps.declared import write_declared
from sweeps.diff import diff, flat
from sweeps.engines import inline
from sweeps.engines.worker import execute
from sweeps.fingerprint import describe, fingerprint
from sweeps.forget import forget
from sweeps.lock import Lock, passing
from sweeps.reach import all_sweeps, described
from sweeps.seal import sealed, unsealed
from sweeps.store import Store, remove_stage
from tests.driver import command, files
from tests.world import WORK, Score, Spread, Train, World, table

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def space(trial, seed, phase):
    net = Train(trial.suggest_float("x", 0, 1), seed)
    return {"score": Score(net), "other": Score(net, 2.0)}


def sweep(name="kept", space=space, **declared):
    return Sweep(name, space, **({"trials": 3, "maximize": "score", "seeds": (0, 1)} | declared))


def run(world, asked, **options):
    with Lock(world.root / "sweeps" / asked.name):
        population = world.launch(asked, **options)
        write_declared(asked, world.root)
    return population


def attempt(world, stage, epochs=None):
    """An attempt at a stage that was left after some epochs, or not at all."""
    controller = world.controller(Sweep("attempt", lambda trial, seed, phase: {"a": stage}), searching=False)
    unit = controller.next()
    shutil.rmtree(world.root / "sweeps" / "attempt")
    for message in execute(unit, world.place, Memory()):
        if message.kind == "epoch" and message.epoch == epochs:
            return


def stages(world):
    return set(Store(world.root).folders())


# ---- what is reached -------------------------------------------------------------------------------------------------


def test_the_description_of_a_stage_hashes_to_the_fingerprints_of_all_that_is_nested_in_it():
    net = Train(0.5, 1)
    found = [identity for identity, _ in described(json.loads(json.dumps(describe(Score(net, 2.0)))))]
    assert found == [fingerprint(Score(net, 2.0)), fingerprint(net)]


def test_every_stage_that_a_sweep_computed_is_reached_also_what_compares_and_what_was_never_begun(world):
    across = lambda runs: {"spread": Spread(tuple(run.stages["score"].of for run in runs))}  # noqa: E731
    population = run(world, sweep(confirm=Confirm(1, (2, 3)), across=across))
    (found,) = all_sweeps(world.root)
    assert set(found.needs) == set(population.graph.jobs) == stages(world)
    controller = world.controller(sweep("new"))
    controller.next()
    assert set(all_sweeps(world.root)[1].needs) == set(controller.graph.jobs)


def without_needs(path):
    """The file as an older version wrote it."""
    found = unsealed("candidate", path.read_bytes())
    for replicate in found["replicates"]:
        del replicate["needs"]
    path.write_text(sealed("candidate", found))


def test_candidates_of_an_older_version_reach_what_the_records_of_their_stages_nest(world):
    run(world, sweep())
    for path in (world.root / "sweeps" / "kept" / "candidates").iterdir():
        without_needs(path)
    (found,) = all_sweeps(world.root)
    assert set(found.needs) == stages(world)


# ---- gc --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "bytes_"), [("500MB", 500e6), ("20GB", 20e9), ("1.5 tb", 1.5e12), ("7B", 7), ("0B", 0), ("3kb", 3e3)])
def test_sizes_are_read_in_powers_of_ten(text, bytes_):
    assert parsed_size(text) == bytes_


@pytest.mark.parametrize("text", ["", "20", "GB", "-1GB", "1e3MB", "20GiB", "20 G", "1,5GB", "nanGB", "infGB", "٣GB"])
def test_a_size_that_cannot_be_read_is_refused(text):
    with pytest.raises(UserError, match="is no size"):
        parsed_size(text)


def test_sizes_are_written_as_they_are_read():
    assert [size(count) for count in (0, 999, 1000, 20e9, 1.25e12)] == ["0 B", "999 B", "1 KB", "20 GB", "1.25 TB"]


def rubbish(world):
    """A sweep with all kinds of things that can go: returns the fingerprints of stages that nobody reaches, oldest first."""
    run(world, sweep())
    kept = next((world.root / "store" / "Train").glob("*/record.json")).parent
    (kept / "1-a").mkdir()
    (kept / "1-a" / "log.txt").write_text("an attempt that came second")
    loose = [Train(0.9, 7), Train(0.8, 7)]
    for age, stage in zip((2e9, 1e9), loose, strict=True):
        attempt(world, stage)
        for path in Store(world.root).folder(stage, fingerprint(stage)).rglob("*"):
            os.utime(path, (age, age))
    return [fingerprint(stage) for stage in reversed(loose)]


def quota(plan, parts):
    """What the store may hold so that exactly the first parts have to go."""
    return plan.total - sum(part.size for part in plan.parts[:parts])


def test_attempts_go_before_stages_and_of_these_the_oldest_first_and_only_as_much_as_must(world):
    old, new = rubbish(world)
    everything = planned(world.root, smallest(world))
    assert [(part.kind, part.fingerprint) for part in everything.parts[1:]] == [(UNREACHED, old), (UNREACHED, new)]
    assert everything.parts[0].kind == SPARE
    for count in range(4):
        assert planned(world.root, quota(everything, count)).parts == everything.parts[:count]
    before = files(world.root)
    free(world.root, planned(world.root, quota(everything, 2)))
    gone = set(before) - set(files(world.root))
    assert {Path(path).parts[2] for path in gone if path.startswith("store")} == {everything.parts[0].fingerprint, old}
    WORK.clear()
    assert table(run(world, sweep())) == table(world.population(sweep()))
    assert not WORK, "nothing that a sweep needs went"


def smallest(world):
    """The smallest quota that is not refused."""
    return surveyed(world.root).least


def planned(root, quota):
    return surveyed(root).within(quota)


def test_a_quota_below_what_the_sweeps_reach_is_refused_and_nothing_goes(world):
    rubbish(world)
    least, before = smallest(world), files(world.root)
    with pytest.raises(UserError, match=r"--quota = .*: the sweeps and what runs now need .* \(kept .*\); nothing was removed\. Give"):
        planned(world.root, least - 1)
    assert files(world.root) == before
    free(world.root, planned(world.root, least))
    assert sum(path.stat().st_size for path in (world.root / "store").rglob("*/*/*") if path.is_file()) == least


class PruneAll(optuna.pruners.BasePruner):
    """Stops every candidate but the first, at its first report."""

    def prune(self, study, trial):
        return trial.number > 0


def test_attempts_that_only_pruned_candidates_wanted_go_first(world):
    pruning = sweep(monitor="score", pruner=PruneAll(), open=1, trials=4)
    assert [c.state for c in run(world, pruning).candidates.values()] == ["complete", *["pruned"] * 3]
    rubbish_of_others = rubbish(world)
    plan = planned(world.root, smallest(world))
    kinds = [part.kind for part in plan.parts]
    assert kinds == sorted(kinds, key=(PRUNED, SPARE, UNREACHED).index)
    assert kinds.count(PRUNED) == 3
    assert len(rubbish_of_others) == kinds.count(UNREACHED)
    free(world.root, plan)
    again = world.population(pruning)
    assert again.nothing_left


def test_of_an_unfinished_stage_that_is_wanted_the_attempt_to_go_on_from_is_kept(world):
    controller = world.controller(sweep(trials=1, seeds=(0,)))
    net = controller.next().stages[0]
    for epochs in (1, 3, 2):
        attempt_again(world, net, epochs)
    free(world.root, planned(world.root, smallest(world)))
    WORK.clear()
    run(world, sweep(trials=1, seeds=(0,)))
    assert sorted(epoch for stage, epoch in WORK if isinstance(stage, Train)) == [4]


def attempt_again(world, stage, epochs):
    """An attempt at a stage that ends after some epochs, whatever others have left."""
    folder = Store(world.root).folder(stage, fingerprint(stage))
    aside = world.root / "aside"
    if folder.exists():
        folder.rename(aside)
    attempt(world, stage, epochs)
    if aside.exists():
        for path in aside.iterdir():
            path.rename(folder / path.name)
        aside.rmdir()


def test_nothing_goes_that_a_living_driver_works_on_or_needs_for_it(world):
    parent, child = Train(0.9, 7), Score(Train(0.9, 7))
    attempt(world, parent)
    attempt(world, child)
    with Lock(world.root / "sweeps" / "other") as lock:
        claims = Claims(world.root, lock)
        claims.take(fingerprint(child), [fingerprint(parent)])
        with pytest.raises(UserError, match="nothing was removed"):
            planned(world.root, 0)
        claims.give_back(fingerprint(child))
        plan = planned(world.root, 0)
        claims.take(fingerprint(child), [fingerprint(parent)])  # after it was said what would go
        kept = free(world.root, plan)
    assert [part.fingerprint for part in kept] == [fingerprint(child)]
    assert stages(world) == {fingerprint(child)}


def test_a_stage_that_went_under_a_driver_that_thought_it_held_is_computed_again(world):
    attempt(world, Train(0.5, 0))
    fixed = Sweep("fixed", lambda trial, seed, phase: {"score": Score(Train(0.5, seed))})
    controller = world.controller(fixed, searching=False)
    unit = controller.next()
    assert [type(stage) for stage in unit.stages] == [Score]
    remove_stage(world.root / "store" / "Train" / fingerprint(Train(0.5, 0)))
    inline.run_unit(controller, unit, world.place, Memory())
    assert "Train" in world.events[-1].text
    assert "removed from the store" in world.events[-1].text
    world.drive(controller)
    assert controller.population.candidates[0].state == "complete"
    assert WORK[Train(0.5, 0), 1] == 2


# ---- forget ----------------------------------------------------------------------------------------------------------


def test_a_stage_is_forgotten_with_all_that_was_computed_from_it_and_computed_again(world):
    before = table(run(world, sweep()))
    net = next((world.root / "store" / "Train").iterdir()).name
    found = forget(world.root, net[:10])
    assert len(found.lines) == 3
    assert found.lines[0] == f"Train {net}"
    assert all(line.startswith("Score ") for line in found.lines[1:])
    everything = stages(world)
    found.remove()
    assert everything - stages(world) == {line.split()[1] for line in found.lines}
    WORK.clear()
    assert table(run(world, sweep())) == before
    assert sum(WORK.values()) == 4 + 2


def test_what_was_begun_from_it_is_forgotten_too(world):
    controller = world.controller(sweep(trials=1, seeds=(0,)))
    attempt(world, next(iter(controller.next().stages)))
    score = Score(next(iter(controller.running.values())).stages[0])
    Store(world.root).begin(score, fingerprint(score))
    assert len(forget(world.root, fingerprint(score.of)).lines) == 2


def test_a_forgotten_candidate_is_drawn_again_and_its_stages_are_not_computed_again(world):
    before = table(run(world, sweep()))
    found = forget(world.root, "kept/1")
    assert found.lines == ("candidate 1 of sweep kept",)
    found.remove()
    assert sorted(all_sweeps(world.root)[0].candidates) == [0, 2]
    WORK.clear()
    assert table(run(world, sweep())) == before
    assert not WORK


def test_all_candidates_of_a_sweep_are_forgotten_and_their_stages_can_be_freed(world):
    run(world, sweep())
    run(world, sweep("other", seeds=(0,)))
    shared = set(all_sweeps(world.root)[1].needs)
    found = forget(world.root, "kept")
    assert len(found.lines) == 3
    found.remove()
    free(world.root, planned(world.root, smallest(world)))
    assert stages(world) == shared


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("kept/9", "sweep 'kept' has no candidate 9"),
        ("kept/-1", "'-1' is no candidate's number"),
        ("kept/", "'' is no candidate's number"),
        ("nothing/1", "there is no sweep 'nothing' .*Sweeps there: kept"),
        ("nothing", "names 0 stages .* and no sweep"),
        ("fedcba9876", r"names 0 stages .* \(none\)"),
        ("../kept/1", "there is no sweep '..'"),
        ("", "names 0 stages|names 3 stages"),
    ],
)
def test_what_there_is_not_cannot_be_forgotten(world, what, says):
    run(world, sweep())
    before = files(world.root)
    with pytest.raises(UserError, match=says):
        forget(world.root, what)
    assert files(world.root) == before


def test_what_a_living_driver_works_with_is_not_forgotten(world):
    run(world, sweep())
    run(world, sweep("other", seeds=(0,)))
    net = fingerprint(Train(world.population(sweep()).candidates[0].knobs["x"], 0))
    before, last = files(world.root), forget(world.root, net)
    with Lock(world.root / "sweeps" / "other"):
        for what in (net, "other", "other/0"):
            with pytest.raises(UserError, match=rf"pid {os.getpid()} on .*End it first, or wait"):
                forget(world.root, what)
        with pytest.raises(UserError, match="works with it now"):
            last.remove()
        forget(world.root, "kept")
    with passing(world.root) as lock:
        Claims(world.root, lock).take(net, ())
        with pytest.raises(UserError, match=rf"another command \(pid {os.getpid()}"):
            last.remove()
    after = files(world.root)
    assert {path: after[path] for path in before if not path.endswith(".door")} == {
        path: found for path, found in before.items() if not path.endswith(".door")
    }


# ---- kills -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def messy():
    """A root with all kinds of things that can go, what its sweep found, and the fingerprint of a stage."""
    with World() as world:
        rubbish(world)
        net = next((world.root / "store" / "Train").glob("*/record.json")).parent.name
        yield world.root, table(world.population(sweep())), net


def act(root, what, net, number):
    """`gc` or `forget` in a process that is killed where it would do its n-th removal, replacement or link."""
    left = [number]

    def counted(real):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in ("unlink", "rmdir", "replace", "link", "rename"):
        setattr(os, name, counted(getattr(os, name)))
    if what == "gc":
        survey = surveyed(root)
        free(root, survey.within(survey.least))
    else:
        forget(root, net if what == "forget a stage" else "kept").remove()


@settings(max_examples=12, deadline=None)
@given(what=st.sampled_from(["gc", "forget a stage", "forget candidates"]), number=st.integers(0, 40))
def test_a_kill_at_any_moment_leaves_a_root_that_the_next_commands_handle(messy, what, number):
    root, before, net = messy
    with World() as world:
        shutil.copytree(root, world.root, dirs_exist_ok=True)
        victim = FORK.Process(target=act, args=(world.root, what, net, number))
        victim.start()
        victim.join()
        assert victim.exitcode in (0, -signal.SIGKILL)
        assert table(run(world, sweep())) == before
        free(world.root, planned(world.root, smallest(world)))
        assert not [path for path in (world.root / "sweeps").iterdir() if path.name.startswith(".")]
        assert stages(world) == set(all_sweeps(world.root)[0].needs)
        assert world.population(sweep()).nothing_left


# ---- diff ------------------------------------------------------------------------------------------------------------


def test_two_stages_differ_in_the_fields_that_differ(world):
    attempt(world, Train(0.5, 1))
    attempt(world, Train(0.25, 1, 2))
    found = diff(world.root, fingerprint(Train(0.5, 1))[:8], fingerprint(Train(0.25, 1, 2)))
    assert [(row.what, row.a, row.b) for row in found.parts["fields"]] == [("x", 0.5, 0.25), ("epochs", 4, 2)]
    assert [row.what for row in found.parts["results"]] == ["outcome", "w"]


def test_a_description_is_flat_with_versions_and_the_digest_of_a_users_source():
    value = {
        "class": "Score",
        "version": 2,
        "source": "0123456789",
        "fields": {"of": {"class": "Train", "version": 1, "fields": {"x": 0.5}}},
    }
    assert flat(value) == {"class": "Score v2, source 01234567", "of": "Train v1", "of.x": 0.5}
    ops = {"class": "A", "version": 1, "fields": {"ops": [{"class": "B", "version": 1, "fields": {"p": 1}}], "sizes": [1, 2]}}
    assert flat(ops) == {"class": "A v1", "ops[0]": "B v1", "ops[0].p": 1, "sizes": "1, 2"}


def test_two_sweeps_differ_in_what_they_declare_draw_and_find(world):
    def wider(trial, seed, phase):
        return {"score": Score(Train(trial.suggest_float("x", 0, 2), seed))}

    run(world, sweep(confirm=Confirm(1, (5,))))
    run(world, sweep("wider", space=wider, trials=2, seeds=(0, 1)))
    found = diff(world.root, "kept", "wider")
    assert ("trials", 3, 2) in [(row.what, row.a, row.b) for row in found.parts["declared"]]
    assert [(row.what, row.a, row.b) for row in found.parts["knobs"]] == [("x", "0 to 1", "0 to 2")]
    counts = {row.what: (row.a, row.b) for row in found.parts["candidates"]}
    assert counts["complete"] == (3, 2)
    assert counts["seeds of confirm"] == ("5", None)
    results = {row.what: (row.a, row.b) for row in found.parts["results"]}
    assert (results["score"][0].n, results["score"][1].n) == (1, 2), "confirmed ones count if there are any"
    assert results["other"][1] is None
    assert {row.what for row in found.parts["stages"]} == {"Train", "Score"}


def test_the_best_candidate_of_the_search_stands_for_an_arm_that_is_not_confirmed(world):
    for name, direction in (("most", "maximize"), ("least", "minimize")):
        asked = Sweep(name, space, trials=4, **{direction: "score"})
        population = run(world, asked)
        best = population.best(1)[0].replicates[0].metrics["score"]
        (row,) = [row for row in diff(world.root, name, name).parts["results"] if row.what == "score"]
        assert row.a.mean == best


BEST = {
    "the best": {},
    "the least": {"maximize": None, "minimize": "score"},
    "a bound": {"maximize": Bound("score")},
    "feasible": {"constraints": (AtMost("score", -0.02),)},
    "nobody": {"constraints": (AtLeast("score", 9.0),)},
    "raced out": {"seeds": (0, 1, 2, 3), "space": lambda trial, seed, phase: {"score": Score(Train(trial.suggest_float("x", 0, 9), seed))}},
    "several": {"minimize": "other"},
}


@pytest.mark.parametrize("declared", BEST.values(), ids=BEST)
def test_what_stands_for_an_arm_is_what_the_sweep_itself_calls_best(world, declared):
    population = run(world, sweep(**{"trials": 8} | declared))
    found = {row.what: row.a for row in diff(world.root, "kept", "kept").parts["results"]}
    if best := population.best(1):
        scores = [r.metrics["score"] for r in best[0].of_phase("search") if r.state == "complete"]
        assert found["score"].mean == pytest.approx(np.mean(scores))
    else:
        assert found == {"best": "none"}


def test_who_is_best_is_not_guessed_without_the_declaration(world):
    run(world, sweep())
    (world.root / "sweeps" / "kept" / "declared.json").write_text("{")
    (row,) = diff(world.root, "kept", "kept").parts["results"]
    assert (row.what, row.a) == ("best", "not known: what was judged is not written down")


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("kept", "none", "'kept' is a sweep .*and 'none' is none"),
        ("00ff00ff", "kept", "'kept' is a sweep"),
        ("none", "00ff00ff", "none: names 0 stages .* and no sweep"),
    ],
)
def test_what_cannot_be_compared_is_told(world, a, b, says):
    run(world, sweep())
    with pytest.raises(UserError, match=says):
        diff(world.root, a, b)


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_nothing_goes_without_yes_and_what_goes_was_said_before(world):
    rubbish(world)
    before = files(world.root)
    asked = ("gc", "--quota", f"{smallest(world)}B", "--root", world.root)
    said = command(*asked)
    assert said.code == 0, said.err
    assert "Nothing was removed: say --yes" in said.out
    assert files(world.root) == before
    done = command(*asked, "--yes")
    assert done.out == said.out.replace("Nothing was removed: say --yes to do it.\n", "")
    net = next((world.root / "store" / "Train").iterdir()).name
    for what in (net, "kept/2", "kept"):
        before = files(world.root)
        said = command("forget", what, "--root", world.root)
        assert files(world.root) == before
        done = command("forget", what, "--yes", "--root", world.root)
        assert (said.code, done.code) == (0, 0), done.err
        lines = [line for line in said.out.splitlines() if line.startswith("would remove ")]
        assert [line.replace("would remove", "removed") for line in lines] == done.out.splitlines()[:-1]
        assert files(world.root) != before


def test_diff_prints_tables_or_json(world):
    run(world, sweep())
    run(world, sweep("other", trials=1))
    printed = command("diff", "kept", "other", "--root", world.root)
    assert printed.code == 0, printed.err
    for part in ("declared", "candidates", "results", "stages", "knobs"):
        assert part in printed.out
    found = json.loads(command("diff", "kept", "other", "--json", "--root", world.root).out)
    assert found["kind"] == "sweeps"
    assert {"what": "trials", "a": 3, "b": 1} in found["declared"]
