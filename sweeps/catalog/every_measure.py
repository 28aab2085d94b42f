"""What do all measures say of SimCLR, SupCon and SupCE? Accuracy, geometry, robustness, calibration and representation at once.

The encoders and two of the tasks of `to_contrast`, with which the trained stages are shared, under every measure of the
project. `make gallery` draws the pictures of all of them on one page. `smoke` takes digits and a minute; `mini` takes real
CIFAR and, beside the pretraining, a quarter of an hour on two cores.
"""

from collections.abc import Sequence
from dataclasses import replace

from analysis import MCE, InPCA
from contrast import Digits, SmallResNet, Stage
from search_spaces.contrast_or_not import METHODS, ContrastOrNot
from search_spaces.every_measure import EveryMeasure
from sweeps.catalog.preset import chosen
from sweeps.catalog.to_contrast import DIGIT_TASKS, MINI
from sweeps.sweep import Run, Sweep

DIGITS = ContrastOrNot(SmallResNet(8), Digits(), DIGIT_TASKS, epochs=10, batch_size=64, finetune_epochs=10, points=9, lr=0.2)


def every_measure(preset: str = "mini") -> Sweep:
    """`smoke`: digits, a minute. `mini`: real CIFAR, three seeds."""
    space, seeds = chosen(
        preset,
        {
            "smoke": (EveryMeasure(DIGITS, samples=100, fractions=(0.1, 1.0), first_rank=4), (0, 10, 20)),
            "mini": (EveryMeasure(replace(MINI, tasks=MINI.tasks[::3]), samples=300), (0, 10, 20)),
        },
    )

    def across(done: Sequence[Run]) -> dict[str, Stage]:
        out: dict[str, Stage] = {}
        for i in range(len(space.trained.tasks)):
            if tuned := [run.stages[f"progress/{i}"].of for run in done if run.arm != "random"]:
                out[f"inpca/{i}"] = InPCA(of=tuple(tuned))
            plain = {run.seed: run.stages[f"corruptions/{i}"] for run in done if run.arm == "random"}
            for run in done:
                if run.arm != "random" and run.seed in plain:
                    out[f"mce/{i}/{run.arm}/{run.seed}"] = MCE(of=(run.stages[f"corruptions/{i}"], plain[run.seed]))
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
