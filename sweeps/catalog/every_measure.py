"""What do all measures say of SimCLR, SupCon and SupCE? Accuracy, geometry, robustness, calibration and representation at once.

The encoders and two of the tasks of `to_contrast`, with which the trained stages are shared, under every measure of the
project. `make gallery` draws the pictures of all of them on one page. `smoke` takes digits and a minute; `mini` takes real
CIFAR and, beside the pretraining, a quarter of an hour on two cores.
"""

from collections.abc import Sequence
from dataclasses import replace

from analysis import CKA, MCE, InPCA, InPCAProjection, ModeConnectivity, SameImages, Tube
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
            "smoke": (EveryMeasure(DIGITS, samples=100, fractions=(0.1, 1.0), first_rank=4, snapshots=5), (0, 10, 20)),
            "mini": (EveryMeasure(replace(MINI, tasks=MINI.tasks[::3]), samples=300), (0, 10, 20)),
        },
    )

    def across(done: Sequence[Run]) -> dict[str, Stage]:
        return _between(space, done) if done else {}

    return Sweep(
        f"every_measure-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        across=across,
        baseline="random",
        question=(__doc__ or "").strip(),
    )


def _between(space: EveryMeasure, done: Sequence[Run]) -> dict[str, Stage]:
    """What is measured between networks: of one task over all, of one method over seeds, of one seed against the baseline."""
    arms = {arm: [run for run in done if run.arm == arm] for arm in METHODS}
    baseline = {run.seed: run.stages for run in arms["random"]}
    out: dict[str, Stage] = {}
    for i, task in enumerate(space.trained.tasks):
        tuned = {arm: tuple(run.stages[f"progress/{i}"].of for run in runs) for arm, runs in arms.items() if arm != "random"}
        axes = InPCA(of=tuple(net for nets in tuned.values() for net in nets))
        out[f"inpca/{i}"] = axes
        if len(axes.stages) > 1:
            out[f"tube/{i}"] = Tube(of=axes.stages)
        if arms["random"]:
            out[f"projection/{i}"] = InPCAProjection(of=tuple(run.stages[f"progress/{i}"].of for run in arms["random"]), onto=axes)
        for arm, nets in tuned.items():
            if len(nets) > 1:
                out[f"segments/{i}/{arm}"] = ModeConnectivity(of=nets, on=task.fit("confirm"), samples=space.samples)
        for run in done:
            if run.arm != "random" and run.seed in baseline:
                measured, plain = (stages[f"corruptions/{i}"] for stages in (run.stages, baseline[run.seed]))
                out[f"mce/{i}/{run.arm}-{run.seed}"] = MCE(of=(measured, plain))
                pair = (run.stages[f"progress/{i}"].of, baseline[run.seed][f"progress/{i}"].of)
                out[f"same_images/{i}/{run.arm}-{run.seed}"] = SameImages(of=pair, on=task.held_out("confirm"))
    for run in done:
        if run.arm != "random" and run.seed in baseline:
            encoders = (run.stages["rankme"].of, baseline[run.seed]["rankme"].of)
            out[f"likeness/{run.arm}-{run.seed}"] = CKA(of=encoders, on=space.trained.data.held_out("confirm"))
    return out
