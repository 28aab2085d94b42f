"""A larger declaration goes on from the smaller one: more trials, further seeds, a wider knob, one more measure.

Whatever was computed stays, and each stage is computed once in both launches together.
"""

from dataclasses import replace

import pytest

from sweeps import NSGA2, TPE, Bound, Confirm, Sweep
from tests.world import WORK, Score, Train, World

SMALL = {"low": 0.4, "kinds": ("a", "b"), "measures": 1}


def spaces(low, kinds, measures):
    def space(trial, seed, phase):
        bias = "abc".index(trial.suggest_categorical("kind", kinds))
        net = Train(trial.suggest_float("x", low, 1), seed)
        return {f"score/{i}": Score(net, bias=bias + i) for i in range(measures)}

    return space


def declared(sampler, objective, **changes):
    how = {"maximize": "score/0", "minimize": "score/0/twice"} if objective == "several" else {"maximize": objective}
    sweep = Sweep("grown", spaces(**SMALL), trials=4, seeds=(0, 1), open=2, sampler=sampler, confirm=Confirm(1, (7, 8)), **how)
    return replace(sweep, **changes)


LARGER = {
    "more trials": {"trials": 7},
    "further seeds": {"seeds": (0, 1, 2, 3)},
    "a wider range": {"space": spaces(**(SMALL | {"low": 0.1})), "trials": 7},
    "a further choice": {"space": spaces(**(SMALL | {"kinds": ("c", "a", "b")})), "trials": 7},
    "one more measure": {"space": spaces(**(SMALL | {"measures": 2}))},
}


@pytest.mark.parametrize("objective", ["score/0", Bound("score/0"), "several"])
@pytest.mark.parametrize("sampler", [TPE(2, 8), NSGA2(2)])
@pytest.mark.parametrize("way", LARGER)
def test_only_what_is_new_is_computed(way, sampler, objective):
    with World() as world:
        before = world.launch(declared(sampler, objective))
        work, records = dict(WORK), world.records()
        after = world.launch(declared(sampler, objective, **LARGER[way]))
        assert records < world.records(), "all that was there, and more"
        assert set(WORK.values()) == {1}, "nothing twice"
        assert work.items() <= WORK.items()
        for number, c in before.candidates.items():
            again = after.candidates[number]
            assert (again.knobs, again.state) == (c.knobs, "complete")
            for mine, grown in zip(c.of_phase("search"), again.of_phase("search"), strict=False):
                assert mine.metrics.items() <= grown.metrics.items()
            if "seeds" not in LARGER[way]:
                assert again.values == c.values
        assert len(after.candidates) == LARGER[way].get("trials", 4)
        seeds = len(LARGER[way].get("seeds", (0, 1)))
        assert {c.n for c in after.candidates.values() if not c.raced} == {seeds}
        assert all(c.n < seeds for c in after.candidates.values() if c.raced)
        assert after.nothing_left
        assert world.population(declared(sampler, objective, **LARGER[way])).nothing_left


def test_a_search_extended_by_trials_is_the_search_that_was_declared_larger():
    def knobs(*sizes):
        with World() as world:
            for trials in sizes:
                population = world.launch(declared(TPE(2, 8), "score/0", trials=trials))
            return [c.knobs for c in population.candidates.values()]

    assert knobs(3, 5, 9) == knobs(9)


def test_with_a_wider_knob_later_draws_reach_where_earlier_ones_could_not():
    with World() as world:
        world.launch(declared(None, "score/0"))
        sweep = declared(None, "score/0", **LARGER["a further choice"] | {"trials": 12})
        assert "c" in {c.knobs["kind"] for c in list(world.launch(sweep).candidates.values())[4:]}
