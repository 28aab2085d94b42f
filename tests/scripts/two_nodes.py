"""A sweep on two nodes of which one loses every unit, on this machine; `python -m tests.scripts.two_nodes ROOT` prints what became of it.

The sound node has one core and claims to have two GPUs, which one pretraining asks for; the other has one core. Units on the
sound node wait until the other is avoided, so that it gets one after the other.
"""

import json
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sweeps.engines import cluster, ray_tune  # before ray, which reads variables that they set

import ray  # isort: skip
from ray.cluster_utils import Cluster

from analysis import Uniformity
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet
from sweeps import Resources, Sweep
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller
from sweeps.engines.worker import Place
from sweeps.population import Population
from sweeps.slots import Slots
from sweeps.store import Store
from tests.driver import PATIENCE
from tests.world import Score, Train

SMALL = Digits(per_class=5)
TRAINED = Pretrain(
    data=SMALL,
    encoder=SmallResNet(2),
    views=CropViews(),
    loss=NTXent(0.2),
    head=MLPHead(2, out=8),
    batch_size=50,
    epochs=2,
    seed=0,
    optimizer=SGD(lr=0.05),
)


@dataclass(frozen=True)
class Fragile(Train):
    """Is killed on the broken node, and waits on the other one until that is avoided."""

    root: str = ""

    def run(self, workspace):
        here, root, until = cluster.here(), Path(self.root), time.monotonic() + PATIENCE
        with open(root / "ran.txt", "a", encoding="utf-8") as file:
            file.write(f"{here}\n")
        if here == (root / "broken.txt").read_text(encoding="utf-8"):
            os._exit(1)
        while not (root / "avoided").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        return (yield from super().run(workspace))


def two_nodes() -> Cluster:
    """The sound node, which is the head, and the broken one."""
    os.environ |= {"RAY_worker_niceness": "0"}  # on a busy machine workers would else hardly come up
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    sound = {"num_cpus": 1, "num_gpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
    found = Cluster(initialize_head=True, head_node_args=sound)
    found.add_node(num_cpus=1, num_gpus=0, object_store_memory=80_000_000)
    return found


def drive(root: Path) -> dict[str, object]:
    """Run the sweep; returns what was said of nodes, where units ran, and how the pretraining was made."""
    events = []

    def heard(event):
        events.append((event.kind, event.text))
        print(event.text, file=sys.stderr)
        if event.kind == "node":
            (root / "avoided").touch()

    stages = {f"score{n}": Score(Fragile(0.1 * n, 0, 2, root=str(root))) for n in range(3)}
    stages["uniformity"] = Uniformity(TRAINED, on=SMALL)
    sweep = Sweep("nodes", lambda trial, seed, phase: stages)
    files, store = CandidateFiles(root, sweep.name), Store.open(root)
    population = Population(sweep, store, files, searching=False, check=lambda stages, phase: None, emit=heard)
    controller = Controller(population, resources=lambda stage: Resources(1, 2) if stage == TRAINED else Resources(), slots=Slots(2))
    ray_tune.run(controller, Place(root, None))
    made = store.held(TRAINED, controller.graph.identity(TRAINED))
    return {
        "events": events,
        "ran": (root / "ran.txt").read_text(encoding="utf-8").split(),
        "complete": population.any_complete,
        "processes": made.made_by["processes"] if made else None,
        "fatal": str(controller.fatal),
    }


if __name__ == "__main__":
    root = Path(sys.argv[1])
    nodes = two_nodes()
    try:
        cluster.connect(2, nodes.address)
        broken = next(node["NodeID"] for node in ray.nodes() if node["Resources"].get("CPU") and not node["Resources"].get("GPU"))
        (root / "broken.txt").write_text(broken, encoding="utf-8")
        print(json.dumps({"broken": broken} | drive(root)))
    finally:
        nodes.shutdown()
