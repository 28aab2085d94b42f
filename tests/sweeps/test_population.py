"""What is decided about candidates follows from the declaration, the files and the store, and from nothing else.

Sweeps of arithmetic run in process and in slots whose interleaving hypothesis chooses; what comes out is compared whole.
"""

from dataclasses import replace

import optuna
import pytest

from contrast.component import UserError
from sweeps import Confirm, Sweep

TPE = dict(sampler=lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=2), open=2)


def searched(world, **changes):
    """Two seeds a candidate, the best on two fresh ones; half of the candidates share a stage that does not depend on x."""

    def space(trial, seed, phase):
        x, lazy = trial.suggest_float("x", 0, 1), trial.suggest_categorical("lazy", [False, True])
        net = world.Train(0.25 if lazy else x, seed)
        return {"score": world.Score(net), "bias/0": world.Score(net, bias=1.0), "long": world.Long(net)}

    declared = dict(trials=4, maximize="score", seeds=(0, 1), confirm=Confirm(1, (7, 8)), **TPE)
    return Sweep("searched", space, **(declared | changes))


def test_first(world):
    population = world.launch(searched(world))
    print(world.table(population))
    assert population.finished_all


def test_prof(worlds):
    import cProfile, pstats, time
    for i in range(3):
        with worlds() as world:
            t = time.time()
            world.launch(searched(world))
            print("launch", time.time() - t)
    with worlds() as world:
        with cProfile.Profile() as p:
            world.launch(searched(world))
        pstats.Stats(p).sort_stats("cumtime").print_stats(45)
