"""Ray Tune as an executor: each Tune trial is one unit of work, each result what its worker has to tell.

Three thin adapters, nothing more: a Searcher that asks the controller for units, a scheduler that passes reports on, and a
Trainable that drives a unit's generator in a warm worker. Tune's own checkpoints, retries, loggers and restore are unused:
state is saved by the stages, retries are the controller's, and results are read from the store.
"""

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle

# Tune reads these when it is imported.
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
os.environ["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

from ray import tune
from ray.tune import schedulers, search

from contrast.stage import Memory
from sweeps.controller import Controller, Signal, WorkUnit
from sweeps.engines import cluster
from sweeps.engines.inline import tell
from sweeps.engines.worker import Message, Place, cap_threads, execute

WAITING = 8  # units of one shape that may wait for a place: what is handed out cannot give way to what is more urgent


@dataclass(frozen=True)
class Packed:
    """A unit on its way to a worker; Tune prints configs into names and logs, where the content has no place."""

    number: int
    content: bytes = field(repr=False)


class UnitTrainable(tune.Trainable):
    """Drives one unit's generator, one epoch a step; kept warm and given the next unit by `reset_config`."""

    _packed: Packed
    _unit: WorkUnit
    _messages: Generator[Message, None, None] | None
    _told: int

    def setup(self, config: dict[str, Any]) -> None:
        """Only remember the unit: what a stage raises must not look like a broken worker."""
        self._memory, self._warm = Memory(), False
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next unit; a unit that was stopped is closed here."""
        self._close()
        self._take(new_config)
        self._warm = True
        return True

    def train(self) -> dict[str, Any]:
        """A step, without the dozen metrics that Tune adds: it keeps statistics of every number that it finds in a result."""
        result = self.step()
        self._told += 1
        return {"training_iteration": self._told, "done": False, **result}

    def step(self) -> dict[str, Any]:
        """The next messages, `done` after the last one; up to the first whose answer the worker must wait for."""
        if self._messages is None:
            self._unit, place = cloudpickle.loads(self._packed.content)
            cap_threads(self._unit.resources.cpus)
            self._messages = execute(self._unit, place, self._memory)
        told: list[dict[str, Any]] = []
        for message in self._messages:
            told.append(asdict(message))
            if not self._goes_on(message):
                return {"messages": json.dumps(told), "node": cluster.here()}
        return {"messages": json.dumps(told), "node": cluster.here(), "done": True}

    def _goes_on(self, message: Message) -> bool:
        """Whether what follows is told with a message: after a commit, the last epoch, and the beginning of a worker that is known."""
        if message.kind == "began":
            return self._warm and message.index == 0
        return message.kind == "committed" or (message.kind == "epoch" and message.epoch == self._unit.stages[message.index].length)

    def cleanup(self) -> None:
        """Close what is open when the worker is let go."""
        self._close()

    def _take(self, config: dict[str, Any]) -> None:
        self._packed = config["unit"]
        self._messages = None
        self._told = 0

    def _close(self) -> None:
        if self._messages is not None:
            self._messages.close()
            self._messages = None


class Bridge:
    """What the adapters share: the controller, the units in Tune's hands, and the first error of our own code.

    `last` is the number of results heard of each trial that began; `nodes` has the node of each worker that ever told one.
    Tune pickles searchers and schedulers; a copy of the bridge is blank and is never used.
    """

    def __init__(self, controller: Controller, place: Place) -> None:
        self.controller, self.place = controller, place
        self.units: dict[str, WorkUnit] = {}
        self.last: dict[str, int] = {}
        self.nodes: WeakKeyDictionary[object, str] = WeakKeyDictionary()
        self.error: BaseException | None = None

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _blank, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Bridge":
        return self

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The config of the next unit, None to wait, FINISHED at the end."""
        waiting = Counter(unit.resources for trial, unit in self.units.items() if trial not in self.last)
        unit = self.controller.next({shape for shape, number in waiting.items() if number >= WAITING})
        if unit is Signal.DONE:
            return str(search.Searcher.FINISHED)
        if isinstance(unit, Signal):
            return None
        self.units[trial_id] = unit
        avoid = cluster.left_out(self.controller.nodes.avoided, unit.resources)
        return {"unit": Packed(unit.number, cloudpickle.dumps((unit, self.place))), "avoid": avoid, **asdict(unit.resources)}

    def runs(self, trial_id: str, worker: object) -> None:
        """A worker has taken a unit up; a new one tells itself when it began, and where."""
        if worker in self.nodes and trial_id not in self.last:
            self.last[trial_id] = 0
            self.controller.taken_up(self.units[trial_id], self.nodes[worker])

    def hear(self, trial_id: str, worker: object, result: dict[str, Any]) -> Signal:
        """A result: pass its messages on, once; all of them, since what is told is done."""
        iteration = int(result.get("training_iteration", 0))
        if trial_id not in self.units or iteration <= self.last.get(trial_id, 0):
            return Signal.CONTINUE
        first = trial_id not in self.last
        self.last[trial_id] = iteration
        unit = self.units[trial_id]
        messages = [Message(**message) for message in json.loads(result.get("messages", "[]"))]
        signals = []
        if first:
            self.nodes[worker] = result["node"]
            signals.append(self.controller.began(unit, result["node"]))
        signals += [tell(self.controller, unit, message) for message in messages if message.kind != "began"]
        return Signal.STOP if self.controller.ending or Signal.STOP in signals else Signal.CONTINUE

    def lost(self, trial_id: str, worker: object) -> None:
        """A trial's worker is lost; the node of one that was taking a further unit up is known, though that has told nothing."""
        unit = self.units.get(trial_id)
        if unit is not None and unit.number in self.controller.running and worker in self.nodes:
            self.controller.nodes.began(unit.number, self.nodes[worker])

    def over(self, trial_id: str, lost: bool) -> None:
        """A trial ended: its unit is finished, or its worker was lost."""
        unit = self.units.pop(trial_id, None)
        began = self.last.pop(trial_id, None) is not None
        if unit is None or unit.number not in self.controller.running:
            return
        if lost:
            jobs = [self.controller.graph.jobs[unit.identities[stage]] for stage in unit.stages]
            stage = next((job.stage for job in jobs if job.state == "running"), unit.stages[0])
            self.controller.failed(unit, stage if began else None, "infrastructure", "the worker process ended")
        else:
            self.controller.finished(unit)

    def guarded(self, call: Callable[[], Any], otherwise: Any) -> Any:  # noqa: ANN401
        """Run a hook; Tune swallows or repeats what hooks raise, so keep the first error and wind down."""
        if self.error is not None:
            return otherwise
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 (re-raised after fit)
            self.error = error
            return otherwise


def _blank() -> None:
    """What a pickled bridge comes back as."""


class UnitSearcher(search.Searcher):
    """Asks the controller for units."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(metric="training_iteration", mode="max")
        self.bridge = bridge

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401
        """A unit's config, None, or FINISHED."""
        return self.bridge.guarded(lambda: self.bridge.suggest(trial_id), search.Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A unit's trial ended."""
        self.bridge.guarded(lambda: self.bridge.over(trial_id, error), None)

    def set_search_properties(self, *_: object, **__: object) -> bool:
        """Tune's metric and mode mean nothing here."""
        return True

    def save(self, *_: object, **__: object) -> None:
        """Nothing to save: the store is the state."""

    def save_to_dir(self, *_: object, **__: object) -> None:
        """Nothing to save."""

    def restore(self, *_: object, **__: object) -> None:
        """Nothing to restore."""


class UnitScheduler(schedulers.FIFOScheduler):
    """Passes reports on and stops what the controller stops."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ANN401
        """CONTINUE or STOP."""
        signal = self.bridge.guarded(lambda: self.bridge.hear(trial.trial_id, _worker(trial), result), Signal.STOP)
        return str(self.STOP if signal is Signal.STOP else self.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ANN401
        """The last result, of which Tune tells here only."""
        self.bridge.guarded(lambda: self.bridge.hear(trial.trial_id, _worker(trial), result), None)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:  # noqa: ANN401
        """The worker is lost, of which Tune tells the searcher next, without saying which one it was."""
        self.bridge.guarded(lambda: self.bridge.lost(trial.trial_id, _worker(trial)), None)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:  # noqa: ANN401
        """Of the units that wait for a place the one handed out first; the parent looks at all trials that ever were, at every event."""
        live = [trial for trial in tune_controller.get_live_trials() if trial.trial_id in self.bridge.units]
        chosen = self.bridge.guarded(lambda: self._look(live, tune_controller), None)
        if self.bridge.error is not None:
            _let_go(tune_controller, [trial for trial in live if trial.status == trial.PENDING])
        return chosen

    def _look(self, live: list[Any], tune_controller: Any) -> Any:  # noqa: ANN401
        """Hear of those that run since the last event, and take back those that wait when no further unit is to begin."""
        waiting = [trial for trial in live if trial.status == trial.PENDING]
        for trial in live:
            if trial.status == trial.RUNNING:
                self.bridge.runs(trial.trial_id, _worker(trial))
        if not self.bridge.controller.leaving:
            return min(waiting, key=lambda trial: self.bridge.units[trial.trial_id].number, default=None)
        for trial in waiting:
            self.bridge.controller.withdrawn(self.bridge.units[trial.trial_id])
        _let_go(tune_controller, waiting)
        return None


def _let_go(tune_controller: Any, waiting: list[Any]) -> None:  # noqa: ANN401
    """Stop the trials that wait and the workers that idle; Tune keeps a worker for each trial that asked for one, though it is stopped."""
    inner = tune_controller._tune_controller  # what schedulers are given warns of all but a few names
    for trial in waiting:
        if trial in inner._staged_trials:
            inner._unstage_trial_with_resources(trial)
        inner.stop_trial(trial)
    inner._cleanup_cached_actors(force_all=True)


def _worker(trial: Any) -> object:  # noqa: ANN401
    """The actor that runs a trial."""
    return trial.temporary_state.ray_actor


def run(controller: Controller, place: Place) -> None:
    """Run until the controller is done, then leave the cluster, which must be connected."""
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(sys.maxsize)  # Tune's own account of its trials is never read
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(sys.maxsize)  # the controller bounds them by slots, the bridge by shape
    try:
        _fit(controller, place)
    finally:
        cluster.leave()


def _fit(controller: Controller, place: Place) -> None:
    bridge = Bridge(controller, place)
    scratch = Path(tempfile.mkdtemp(prefix="tune-", dir=place.root))
    try:
        tuner = tune.Tuner(
            tune.with_resources(UnitTrainable, _placement),
            tune_config=tune.TuneConfig(
                search_alg=UnitSearcher(bridge), scheduler=UnitScheduler(bridge), num_samples=-1, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="units",
                storage_path=str(scratch),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if bridge.error is not None:
        raise bridge.error


def _placement(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a unit occupies, and the nodes that it is kept away from; units of equal placement share warm workers."""
    bundle = {"CPU": config["cpus"], "GPU": config["gpus"]} if config["gpus"] else {"CPU": config["cpus"]}
    if not config["avoid"]:
        return tune.PlacementGroupFactory([bundle])
    return tune.PlacementGroupFactory([bundle], bundle_label_selector=[{"ray.io/node-id": f"!in({','.join(config['avoid'])})"}])
