"""The cluster that units run on: joined or started, what each of its nodes has, and what none of them can grant."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Set
from functools import partial
from typing import Any

# Ray reads these when it is imported; a local cluster makes its own token.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import ray

from contrast.component import UserError
from contrast.stage import Stage
from sweeps.resources import Resources

NAMED = 8  # nodes that a message lists one by one


def connect(slots: int, address: str | None) -> None:
    """Join the cluster at `address`, or start one on this machine with room for `slots` units and all its cores; prints nothing."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": True}
    try:
        if address is not None:
            ray.init(address=address, **quiet)
        else:
            os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
            ray.init(address="local", num_cpus=max(slots, os.cpu_count() or 1), include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError) as error:
        cure = "Check the address, RAY_AUTH_MODE and the token, or use --engine inline."
        raise UserError(f"Ray cluster {address or 'on this machine'}: cannot connect ({str(error).splitlines()[0]}). {cure}") from error


def nodes() -> dict[str, dict[str, float]]:
    """What each living node of the connected cluster has, by its address and the first digits of its id."""
    return {f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})": node["Resources"] for node in ray.nodes() if node["Alive"]}


def gpus() -> float:
    """GPUs of the connected cluster."""
    return sum(node.get("GPU", 0.0) for node in nodes().values())


def leave() -> None:
    """Leave the cluster; one that was started here ends."""
    ray.shutdown()


def described(there: Mapping[str, Mapping[str, float]]) -> str:
    """What each node has, in words."""
    listed = [f"{name} cpu:{node.get('CPU', 0):g} gpu:{node.get('GPU', 0):g}" for name, node in sorted(there.items())]
    more = f"; and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return "; ".join(listed[:NAMED]) + more or "none"


def infeasible(
    units: Iterable[Stage], resources: Callable[[Stage], Resources], there: Mapping[str, Mapping[str, float]]
) -> dict[str, Resources]:
    """By class, what stages are to occupy that no node in `there` can ever grant."""
    asked = {(type(stage).__name__, resources(stage)) for stage in units}
    return {name: one for name, one in sorted(asked, key=str) if not any(map(partial(_grants, one), there.values()))}


def room(shapes: Iterable[Resources], there: Mapping[str, Mapping[str, float]]) -> int:
    """How many units these nodes run at once, if all are of the smallest shape."""
    return max(sum(_places(one, node) for node in there.values()) for one in shapes)


def left_out(avoided: Set[str], asked: Resources) -> tuple[str, ...]:
    """The ids of the nodes that a unit is kept away from: those to be avoided, as long as another one can grant it."""
    if not avoided:
        return ()
    others = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in avoided]
    return tuple(sorted(avoided)) if any(_grants(asked, node) for node in others) else ()


def here() -> str:
    """The id of the node that this process, a worker, runs on."""
    return str(ray.get_runtime_context().get_node_id())


def _places(asked: Resources, node: Mapping[str, float]) -> int:
    cores = node.get("CPU", 0.0) // asked.cpus
    return int(min(cores, node.get("GPU", 0.0) // asked.gpus) if asked.gpus else cores)


def _grants(asked: Resources, node: Mapping[str, float]) -> bool:
    return node.get("CPU", 0.0) >= asked.cpus and node.get("GPU", 0.0) >= asked.gpus
