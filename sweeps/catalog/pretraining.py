"""Does every way to pretrain beat the encoder as it was initialised?

SimCLR, SupCon-out, SupCon-in, the generalised losses (alignment with log-sum-exp, and with the sliced Wasserstein distance to
the sphere) and MoCo against an encoder that is not trained, by kNN and linear accuracy on the test split, paired by seed. `mini`: 10,000
images of CIFAR-10, a ResNet-8, 20 epochs, half an hour on two cores; `smoke` is for tests. `python -m benchmarks.methods`
adds what each method takes in time and memory.
"""

from contrast import CIFAR10, Digits, SmallResNet
from search_spaces.pretraining import METHODS, PretrainingMethods
from sweeps.catalog.preset import chosen
from sweeps.sweep import Sweep


def pretraining(preset: str = "mini") -> Sweep:
    """`smoke`: digits, seconds. `mini`: real CIFAR in half an hour on two cores."""
    space, seeds = chosen(
        preset,
        {
            "smoke": (PretrainingMethods(SmallResNet(2), Digits(per_class=20), epochs=2, batch_size=64), (0, 1)),
            "mini": (PretrainingMethods(SmallResNet(16), CIFAR10(per_class=1000), epochs=20, batch_size=64, precision="bf16"), (0, 1, 2)),
        },
    )
    return Sweep(
        f"pretraining-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        headline=("knn", "linear"),
        baseline="random",
        question=(__doc__ or "").strip(),
    )
