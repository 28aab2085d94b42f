"""The controller alone: thousands of candidates in virtual time, with Optuna stubbed; time an event, and memory a candidate."""

import gc
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import psutil
from optuna.distributions import BaseDistribution, FloatDistribution

from analysis import KNN, Accuracy
from contrast import SGD, CropViews, Digits, Finetune, GeneralizedContrastive, MLPHead, Pretrain, SmallResNet, Stage
from contrast.data.dataset import Phase
from contrast.stage import Metrics
from sweeps.candidate import Unwritten
from sweeps.controller import Controller
from sweeps.engines.virtual import Clock, Imagined, Nature, Room, Virtual, uniform
from sweeps.event import Event
from sweeps.population import Population
from sweeps.search import fixed
from sweeps.study import Draw, Study, Told
from sweeps.sweep import Knob, Sweep

EPOCHS, SLOTS = 10, 8
PACES = {"Pretrain": 20.0, "Finetune": 1.0}


def space(trial: optuna.trial.BaseTrial, seed: int, phase: Phase) -> dict[str, Stage]:
    """One pretraining that is watched, one fine-tuning, one measure of it."""
    tau, weight = trial.suggest_float("tau", 0.01, 1.0, log=True), trial.suggest_float("weight", 0.001, 1.0, log=True)
    fit, held_out = Digits().fit(phase), Digits().held_out(phase)
    net = Pretrain(
        data=fit,
        encoder=SmallResNet(8),
        views=CropViews(),
        loss=GeneralizedContrastive(tau, weight),
        head=MLPHead(2, out=64),
        batch_size=256,
        epochs=EPOCHS,
        seed=seed,
        optimizer=SGD(lr=0.1),
    )
    return {"knn": KNN(net, bank=fit, on=held_out), "accuracy": Accuracy(Finetune(net, data=fit, seed=seed, epochs=2), on=held_out)}


def epoch(stage: Stage, identity: str, number: int) -> Metrics:
    """A drawn curve; a monitor is reported in every second epoch of a pretraining."""
    value = uniform("quality", identity) * (1 - 0.5**number)
    return {"loss": 1 - value} | ({"monitor": value} if isinstance(stage, Pretrain) and number % 2 == 0 else {})


NATURE = Nature(
    pace=lambda stage: PACES.get(type(stage).__name__, 5.0),
    results=lambda stage, identity: {"result": uniform("result", identity)},
    curve=epoch,
    lost=0.001,
    wild=0.001,
)


RANGES: dict[str, BaseDistribution] = dict.fromkeys(("tau", "weight"), FloatDistribution(0.001, 1.0))


class Stubbed(Study):
    """Knobs from a counter, and a pruner that stops half of all pilots; Optuna is not asked."""

    def draw(self, index: int) -> Draw:
        """A point that depends on its number alone."""
        self.drawn += 1
        knobs: dict[str, Knob] = {name: 0.01 + 0.9 * uniform(name, index) for name in ("tau", "weight")}
        return Draw(knobs, RANGES, space(fixed(knobs), self.sweep.seeds[0], "search"))

    def tell(self, index: int, told: Told) -> None:
        """Counted and forgotten."""
        self.told += 1

    def should_prune(self, index: int, intermediate: Mapping[int, float], among: Collection[int], sign: int = 1) -> bool:
        """Every second candidate, half-way."""
        return next(reversed(intermediate)) >= 50 and index % 2 == 1

    def noted(self, index: int) -> dict[str, Any]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Measured:
    """Of one search: processor seconds an event, resident bytes a candidate, and processor seconds of Optuna a candidate."""

    event: float
    candidate: float
    optuna: float


def measured(candidates: int, study: type[Study]) -> Measured:
    """A search of so many candidates, from the first draw to the last result."""
    gc.collect()
    sweep = Sweep("virtual", space, trials=candidates, maximize="accuracy", monitor="knn", seeds=(0, 1), pilot=1)
    before, events, asked = psutil.Process().memory_info().rss, 0, 0.0

    def heard(event: Event) -> None:
        nonlocal events
        events += 1

    class Timed(study):  # type: ignore[misc, valid-type]
        """Times what is asked of Optuna."""

        def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
            found = super().__getattribute__(name)
            return timed(found) if name in ("draw", "tell", "should_prune") else found

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:  # noqa: ANN401
            nonlocal asked
            began = time.process_time()
            try:
                return function(*given)
            finally:
                asked += time.process_time() - began

        return call

    clock, store = Clock(), Imagined(Path("/nowhere"))
    with mock.patch("sweeps.population.Study", study if study is Stubbed else Timed):
        began = time.process_time()
        files = Unwritten(store.root, sweep.name)
        population = Population(sweep, store, files, searching=True, check=lambda stages, phase: None, emit=heard)
        Virtual(Controller(population, now=clock), store, NATURE, Room(SLOTS), clock).run()
        seconds = time.process_time() - began
    assert population.finished_all
    return Measured(seconds / events, (psutil.Process().memory_info().rss - before) / candidates, asked / candidates)


if __name__ == "__main__":  # in a process of its own, so that each size begins with the same memory
    measured(32, Stubbed)  # libraries that a search loads when it first needs them are no cost of a candidate
    found = measured(int(sys.argv[1]), Study if "optuna" in sys.argv[2:] else Stubbed)
    print(json.dumps(asdict(found)))
