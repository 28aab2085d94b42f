"""What a run, and `report`, print at their end."""

from pathlib import Path

from rich.console import Console

from analysis.table import to_rich
from sweeps.differences import differences_table
from sweeps.population import Population
from sweeps.results import candidates_table, classes_table, confirmed, results_table


def print_summary(population: Population, page: Path, root: Path, mlflow: str | None, console: Console) -> None:
    """Tables of the end, the best knobs, and where to look further."""
    if population.phase == "search":
        console.print(to_rich(candidates_table(population)))
    if confirmed(population):
        console.print(to_rich(results_table(population)))
    differences = differences_table(population)
    if differences is not None:
        console.print(to_rich(differences))
    console.print(to_rich(classes_table(population)))
    graph = population.graph
    console.print(f"stages: {len(graph.reused)} reused, {len(graph.computed)} computed", highlight=False)
    what = "on the front" if population.sweep.several else "best"
    for c in population.leading() if population.phase == "search" else []:
        knobs = ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}" for name, value in c.knobs.items())
        console.print(f"{what} {c.label} candidate {c.number}: {knobs}".replace("  ", " "), highlight=False, soft_wrap=True)
    console.print(f"report {page.resolve()}", highlight=False, soft_wrap=True)
    uri = mlflow or f"sqlite:///{(root / 'mlflow.db').resolve()}"
    console.print(f"compare in MLflow: mlflow ui --backend-store-uri {uri} --host 127.0.0.1", highlight=False, soft_wrap=True)
