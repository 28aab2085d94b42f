"""Which temperature, batch size, lambda and projection depth make the best features of handwritten digits?

The whole way in minutes on two cores: Optuna draws the four knobs of the generalised contrastive loss, a pilot seed runs
under the pruner, survivors get the other seeds, the best is confirmed on fresh seeds and on the test split, and every
candidate is measured downstream: linear and kNN accuracy, progress, flatness, FGSM and PGD.
"""

from contrast import Digits
from search_spaces.generalized import Generalized
from sweeps.catalog.preset import chosen
from sweeps.sweep import Confirm, Sweep


def quickstart(preset: str = "mini") -> Sweep:
    """`smoke`: seconds, for tests. `mini`: minutes on two cores."""
    space, trials, seeds, confirm = chosen(
        preset,
        {
            "smoke": (Generalized(Digits(per_class=40), 4, 2, 3, (64, 128), 3, 20), 2, (0, 10), Confirm(1, (1, 2))),
            "mini": (Generalized(Digits(), 8, 15, 20, (64, 128, 256, 512), 9, 100), 12, (0, 10, 20), Confirm(1, (1, 2, 3))),
        },
    )
    return Sweep(
        "quickstart" if preset == "mini" else f"quickstart-{preset}",
        space,
        trials=trials,
        maximize="accuracy",
        monitor="knn",
        seeds=seeds,
        confirm=confirm,
        headline=("accuracy", "knn", "progress", "flatness", "fgsm", "pgd"),
        question=(__doc__ or "").strip(),
    )
