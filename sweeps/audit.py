"""What stopping early did in a sweep, and what it may have lost: counts, the audit's regret, and what the gate says."""

from typing import Any

from sweeps import candidate as state
from sweeps.population import Population


def stopping(population: Population) -> dict[str, Any]:
    """Candidates pruned, stopped by the race, and audited; `regret` of the audit in the objective's unit; the gate in words.

    The regret is by how much the best audited candidate of an arm beats the best other complete one, the largest over arms:
    0 where it does not, None while no audited one is complete beside another.
    """
    every = list(population.candidates.values())
    regrets = [regret for a in range(len(population.arms)) if (regret := _regret(population, a)) is not None]
    return {
        "pruned": sum(c.state == state.PRUNED for c in every),
        "raced": sum(c.raced for c in every),
        "audited": sum(c.audited for c in every),
        "regret": max(regrets, default=None),
        "gate": population.pilots.gates() if population.phase == "search" else [],
    }


def in_words(found: dict[str, Any]) -> str:
    """The same in one line for a terminal or a page; empty where nothing was stopped."""
    if not any(found[name] for name in ("pruned", "raced", "audited", "gate")):
        return ""
    regret = "none of them is complete" if found["regret"] is None else f"regret {found['regret']:.4g}"
    audit = f"{found['audited']} more went on for the audit ({regret})" if found["audited"] else "none went on for the audit"
    counts = f"{found['pruned']} pruned, {audit}; {found['raced']} stopped by the race"
    return "; ".join([counts, *found["gate"]])


def _regret(population: Population, arm: int) -> float | None:
    able = [c for c in population.candidates.values() if c.number % len(population.arms) == arm and c.feasible]
    if population.phase == "confirm" or population.sweep.several:
        return None
    objective = population.sweep.objectives[0]
    audited, other = ([objective.sign * c.values[0] for c in able if c.values and c.audited is which] for which in (True, False))
    return max(0.0, max(audited) - max(other)) if audited and other else None
