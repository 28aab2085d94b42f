"""To contrast or not to contrast? Transfer, geometry and robustness of SimCLR, SupCon and SupCE (Table 1, Figures 1 and 2).

Pretraining on CIFAR-10, linear fine-tuning on four five-way tasks of CIFAR-100, one encoder per method and seed shared by
all that hangs on it. `paper` are the published numbers (ResNet-18, 200 epochs, 4 seeds; about 60 GPU-hours, not yet run);
`mini` keeps protocol and tasks and shrinks encoder, images and epochs to 25 minutes on two cores; `smoke` is for tests.
"""

from collections.abc import Sequence

from analysis import InPCA
from contrast import CIFAR10, Digits, ResNet18, SmallResNet, Stage
from search_spaces.contrast_or_not import METHODS, ContrastOrNot
from sweeps.catalog.preset import chosen
from sweeps.sweep import Run, Sweep

DIGIT_TASKS = (Digits(classes=(0, 1, 2, 3, 4), per_class=40), Digits(classes=(5, 6, 7, 8, 9), per_class=40))

SMOKE = ContrastOrNot(
    SmallResNet(4),
    Digits(per_class=40),
    DIGIT_TASKS,
    epochs=2,
    batch_size=64,
    finetune_epochs=3,
    points=3,
    samples=20,
    attacked=50,
)
MINI = ContrastOrNot(
    SmallResNet(16),
    CIFAR10(per_class=1000),
    epochs=15,
    batch_size=64,
    points=17,
    samples=300,
    attacked=500,
    lr=0.2,
    precision="bf16",
)


def to_contrast(preset: str = "mini") -> Sweep:
    """`smoke`: digits, seconds. `mini`: real CIFAR in 25 minutes on two cores. `paper`: the published scale."""
    space, seeds = chosen(
        preset, {"smoke": (SMOKE, (0, 10)), "mini": (MINI, (0, 10)), "paper": (ContrastOrNot(ResNet18()), (0, 10, 20, 30))}
    )

    def across(done: Sequence[Run]) -> dict[str, Stage]:
        tuned = [[run.stages[f"progress/{i}"].of for run in done if run.arm != "random"] for i in range(len(space.tasks))]
        return {f"inpca/{i}": InPCA(of=tuple(of)) for i, of in enumerate(tuned) if of}

    return Sweep(
        f"to_contrast-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        across=across,
        headline=("accuracy/*", "progress/*", "flatness/*", "fgsm/*", "pgd/*"),
        baseline="random",
        question=(__doc__ or "").strip(),
    )
