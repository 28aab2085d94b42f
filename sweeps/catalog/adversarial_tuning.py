"""Does contrast help adversarial training? Cross-entropy, with SupCon and Core-tuning, on attacked images (Core-tuning, Table 5).

One SimCLR encoder tuned on a five-way task of CIFAR-100, attacked by 10 steps of PGD in the linf ball of 4/255 at 32 x 32 pixels;
judged clean and by 20 steps at 2, 4 and 8/255. `mini`: a ResNet-8, 10 epochs, not yet run; `smoke` is for tests.
The published table tunes a ResNet-50 on CIFAR-10 at 256 x 256, a model for every radius.
"""

from dataclasses import replace

from contrast import AdversarialTraining, Digits
from search_spaces.adversarial_tuning import METHODS, AdversarialTuning
from sweeps.catalog.fine_tuning import scale
from sweeps.sweep import Sweep


def adversarial_tuning(preset: str = "mini") -> Sweep:
    """`smoke`: digits, seconds. `mini`: real CIFAR, not yet run."""
    space, seeds = scale(preset)
    few = replace(space, tasks=(Digits(classes=(0, 1, 2), per_class=20),))
    small = AdversarialTuning(few, AdversarialTraining(0.5, "l2", steps=2), (0.0, 0.5), steps=2)
    return Sweep(
        f"adversarial_tuning-{preset}",
        small if preset == "smoke" else AdversarialTuning(replace(space, tasks=space.tasks[:1])),
        arms={"method": METHODS},
        seeds=seeds,
        headline=("clean/*", "robust/*"),
        baseline="ce",
        question=(__doc__ or "").strip(),
    )
