"""One small search on Digits, declared larger in each of four ways, one after the other; `other` shares its pretrainings.

    python -m benchmarks.grown run --preset start|trials|seeds|choices|measures|other

It is what `benchmarks/one_root.py` runs.
"""

from optuna.trial import BaseTrial

from analysis import KNN, LinearProbe, Measure
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet, Stage
from contrast.data.dataset import Phase
from search_spaces import batch_size, temperature
from sweeps import Sweep, main
from sweeps.catalog.preset import chosen
from sweeps.sweep import Space

DATA = Digits(per_class=60)


def space(sizes: tuple[int, ...], probed: bool) -> Space:
    """Two knobs of SimCLR, judged by its nearest neighbours and, where `probed`, by a linear probe too."""

    def drawn(trial: BaseTrial, seed: int, phase: Phase) -> dict[str, Stage]:
        fit, held_out = DATA.fit(phase), DATA.held_out(phase)
        net = Pretrain(
            data=fit,
            encoder=SmallResNet(4),
            views=CropViews(),
            loss=NTXent(temperature(trial)),
            head=MLPHead(1, out=32),
            batch_size=batch_size(trial, sizes),
            epochs=6,
            seed=seed,
            optimizer=SGD(lr=0.05),
        )
        measures: dict[str, Measure] = {"knn": KNN(net, bank=fit, on=held_out)}
        return measures | ({"linear": LinearProbe(net, data=fit, on=held_out, l2=(0.1,))} if probed else {})

    return drawn


def grown(preset: str) -> Sweep:
    """Each declaration has all that the one before it has."""
    trials, seeds, sizes, probed = chosen(
        preset,
        {
            "start": (3, (0, 1), (64, 128), False),
            "trials": (5, (0, 1), (64, 128), False),
            "seeds": (5, (0, 1, 2), (64, 128), False),
            "choices": (7, (0, 1, 2), (32, 64, 128), False),
            "measures": (7, (0, 1, 2), (32, 64, 128), True),
            "other": (3, (0, 1), (64, 128), True),
        },
    )
    name = "other" if preset == "other" else "grown"
    return Sweep(name, space(sizes, probed), trials=trials, seeds=seeds, pilot=len(seeds), maximize="knn")


if __name__ == "__main__":
    main(grown)
