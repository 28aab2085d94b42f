"""What would have no effect is refused, so that nobody takes it for granted: one table of the fields that a search alone reads."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrast.component import require

if TYPE_CHECKING:
    from sweeps.sweep import Sweep

# In the order in which they are told; each with the value that it has when it is left out.
_OF_A_SEARCH = {
    "confirm": None,
    "trials": 1,
    "pilot": 1,
    "monitor": None,
    "pruner": None,
    "open": None,
    "sampler": None,
    "sampler_seed": 0,
    "points": (),
    "constraints": (),
    "warm_start": None,
}


def refuse_idle_on_a_grid(sweep: "Sweep") -> None:
    """Refuse what only a search, or a comparison of one best candidate an arm, reads; of a sweep whose sampler is `Grid()`."""
    rule = "has no effect with sampler=Grid(), which runs every combination on all seeds"
    _refuse(sweep, {name: left_out for name, left_out in _OF_A_SEARCH.items() if name != "sampler"} | {"baseline": None}, rule)


def refuse_idle_without_knobs(sweep: "Sweep") -> None:
    """Refuse what only a search reads, of a sweep whose space draws no knob that is free."""
    free = "free knobs" if sweep.fixed else "knobs"
    _refuse(sweep, _OF_A_SEARCH, f"the space draws no {free}, so an arm has one candidate and this has no effect")


def _refuse(sweep: "Sweep", fields: Mapping[str, object], rule: str) -> None:
    for name, left_out in fields.items():
        require(getattr(sweep, name) == left_out, sweep, name, rule, f"Leave out {name}=.")
