"""What do all measures say of SimCLR, SupCon and SupCE? Accuracy, geometry, robustness, calibration and representation at once.

The encoders and two of the tasks of `to_contrast`, with which the trained stages are shared, under every measure of the
project. `make gallery` draws the pictures of all of them on one page. `smoke` takes digits and a minute; `mini` takes real
CIFAR and, beside the pretraining, a quarter of an hour on two cores.
"""

from collections.abc import Sequence
from dataclasses import replace

from analysis import MCE, InPCA
from contrast import Stage
from search_spaces.contrast_or_not import METHODS
from search_spaces.every_measure import EveryMeasure
from sweeps.catalog.preset import chosen
from sweeps.catalog.to_contrast import MINI, SMOKE
from sweeps.sweep import Run, Sweep


def every_measure(preset: str = "mini") -> Sweep:
    """`smoke`: digits, a minute. `mini`: real CIFAR, three seeds."""
    space, seeds = chosen(
        preset,
        {
            "smoke": (EveryMeasure(SMOKE, samples=20), (0, 10, 20)),
            "mini": (EveryMeasure(replace(MINI, tasks=MINI.tasks[::3]), samples=300), (0, 10, 20)),
        },
    )

    def across(done: Sequence[Run]) -> dict[str, Stage]:
        tasks = range(len(space.trained.tasks))
        tuned = [[run.stages[f"progress/{i}"].of for run in done if run.arm != "random"] for i in tasks]
        out: dict[str, Stage] = {f"inpca/{i}": InPCA(of=tuple(of)) for i, of in enumerate(tuned) if of}
        base = {run.seed: run.stages for run in done if run.arm == "random"}
        shared = [run for run in done if run.seed in base]
        for i in tasks:
            key = f"corruptions/{i}"
            out |= {f"mce/{i}/{run.arm}-{run.seed}": MCE((run.stages[key], base[run.seed][key])) for run in shared}
        return out

    return Sweep(
        f"every_measure-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        across=across,
        baseline="random",
        question=(__doc__ or "").strip(),
    )
