"""SimCLR vs SupCon vs SupCE, each tuned alone: transfer, PGD, progress. Seconds on digits; for tests."""

from analysis import KNN, PGD, Accuracy, InPCA, Progress
from contrast import (
    SGD,
    Classifier,
    ContrastiveInputGradient,
    CropFlip,
    CrossEntropy,
    Digits,
    Finetune,
    InputGradient,
    MLPHead,
    NTXent,
    Pretrain,
    SimCLRViews,
    SmallResNet,
    SupCon,
)
from search_spaces import batch_size, penalty_weight, projection_depth, temperature
from sweeps import Confirm, Sweep, main

LOSSES = {"simclr": NTXent, "supcon": SupCon, "supce": CrossEntropy}
TASKS = [Digits(classes=c, per_class=50) for c in ((6, 7), (8, 9))]
NOVEL = Digits(classes=tuple(c for task in TASKS for c in task.classes), per_class=50)


def space(trial, seed, phase, method):
    contrastive, batch = method != "supce", batch_size(trial)
    net = Pretrain(
        data=Digits().whole,
        encoder=SmallResNet(2),
        batch_size=batch,
        epochs=1,
        seed=seed,
        views=SimCLRViews() if contrastive else CropFlip(),
        loss=LOSSES[method](temperature(trial)) if contrastive else CrossEntropy(),
        head=MLPHead(projection_depth(trial)) if contrastive else Classifier(),
        penalty=(ContrastiveInputGradient if contrastive else InputGradient)(penalty_weight(trial)),
        optimizer=SGD(lr=(0.05 if contrastive else 0.2) * batch / 256),
    )
    out = {"knn": KNN(net, bank=NOVEL.fit("search"), on=NOVEL.held_out("search"))}
    for i, task in enumerate(TASKS):
        tuned, on = Finetune(net, data=task.fit(phase), frozen=True, epochs=2, seed=seed), task.held_out(phase)
        out |= {f"accuracy/{i}": Accuracy(tuned, on=on), f"pgd/{i}": PGD(tuned, on=on), f"progress/{i}": Progress(tuned)}
    return out


def across(done):
    return {f"inpca/{i}": InPCA(of=tuple(run.stages[f"progress/{i}"].of for run in done)) for i in range(2)}


if __name__ == "__main__":  # python methods.py run | plan | one | status | report
    main(
        Sweep(
            "methods",
            space,
            arms={"method": list(LOSSES)},
            trials=1,
            maximize="accuracy/*",
            monitor="knn",
            across=across,
            seeds=(0,),
            pilot=1,
            confirm=Confirm(top=1, seeds=(1,)),
        )
    )
