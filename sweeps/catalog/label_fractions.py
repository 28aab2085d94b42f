"""How many labels does a contrastive encoder save? All, a tenth and a hundredth of them (Robustness of contrastive models, Table 1).

Supervised from scratch, a linear classifier on the frozen SimCLR encoder, and the encoder tuned under two layers, on CIFAR-10
with equal steps at each fraction. `mini`: 10,000 images, a ResNet-8, an hour on two busy cores; `smoke` is for
tests. `paper` are the published sizes (ResNet-50; not yet run).
"""

from contrast import CIFAR10, Digits, ResNet50, SmallResNet
from search_spaces.label_fractions import METHODS, LabelFractions
from sweeps.catalog.preset import chosen
from sweeps.sweep import Sweep


def label_fractions(preset: str = "mini") -> Sweep:
    """`smoke`: digits, seconds. `mini`: real CIFAR in an hour on two busy cores. `paper`: the published scale."""
    space, seeds = chosen(
        preset,
        {
            "smoke": (
                LabelFractions(SmallResNet(2), Digits(per_class=40), (1.0, 0.1), 2, 64, epochs=3, steps=6, supervised_epochs=3, hidden=16),
                (0, 1),
            ),
            "mini": (
                LabelFractions(
                    SmallResNet(16),
                    CIFAR10(per_class=1000),
                    pretraining_epochs=20,
                    pretraining_batch=64,
                    epochs=15,
                    steps=79,
                    supervised_epochs=15,
                    lr=0.1,
                    weight_decay=5e-4,
                    hidden=128,
                    precision="bf16",
                ),
                (0, 1, 2),
            ),
            "paper": (LabelFractions(ResNet50()), (0, 10, 20, 30)),
        },
    )
    return Sweep(
        f"label_fractions-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        headline=("accuracy/*",),
        baseline="supervised",
        question=(__doc__ or "").strip(),
    )
