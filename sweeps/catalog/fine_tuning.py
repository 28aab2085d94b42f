"""Which way to fine-tune a contrastive encoder is best? Core-tuning, its ablation and its baselines (Core-tuning, Tables 1 and 2).

SimCLR on CIFAR-10, then every method on four five-way tasks of CIFAR-100 by equal steps; "sl_ce" begins from a supervised
encoder. `mini` takes a ResNet-8 and 10,000 images, a pretraining of 20 epochs and fine-tunings of 10, 40 minutes on two busy
cores; `smoke` is for tests. The published comparison fine-tunes a ResNet-50 of ImageNet on nine data sets for 100 epochs.
"""

from contrast import CIFAR10, SmallResNet
from search_spaces.fine_tuning import METHODS, FineTuningMethods
from sweeps.catalog.preset import chosen
from sweeps.catalog.to_contrast import DIGIT_TASKS
from sweeps.sweep import Sweep


def scale(preset: str) -> tuple[FineTuningMethods, tuple[int, ...]]:
    """The space at a preset's size, and its seeds."""
    return chosen(
        preset,
        {
            "smoke": (FineTuningMethods(SmallResNet(2), DIGIT_TASKS[0], DIGIT_TASKS[1:], 2, 64, epochs=3, lr=0.05), (0, 1)),
            "mini": (
                FineTuningMethods(
                    SmallResNet(16),
                    CIFAR10(per_class=1000),
                    pretraining_epochs=20,
                    pretraining_batch=64,
                    epochs=10,
                    precision="bf16",
                ),
                (0, 1, 2),
            ),
        },
    )


def fine_tuning(preset: str = "mini") -> Sweep:
    """`smoke`: digits, seconds. `mini`: real CIFAR in 40 minutes on two busy cores."""
    space, seeds = scale(preset)
    return Sweep(
        f"fine_tuning-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        headline=("accuracy/*",),
        baseline="ce",
        question=(__doc__ or "").strip(),
    )
