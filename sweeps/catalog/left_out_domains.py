"""Does Core-tuning help on a domain that was left out? PACS and VLCS, every rotation (Core-tuning, Table 4).

Cross-entropy from a supervised encoder, and cross-entropy, with supervised contrast, and Core-tuning from MoCo v2, each tuned on
three domains and tested on the fourth; `PACS/*` and `VLCS/*` are the means over the four. `paper` pretrains both encoders on
ImageNet and is not yet run: the published encoders take their place in a script of your own, as `Pretrained(...)` in
`LeftOutDomains`. `smoke` is for tests: PACS at 16 pixels from encoders as they were initialised. All need the images, `--data`.
"""

from contrast import (
    PACS,
    SGD,
    VLCS,
    Classifier,
    Cosine,
    CropFlip,
    CrossEntropy,
    ImageNet,
    MLPHead,
    MoCo,
    Pretrain,
    ResNet50,
    SmallResNet,
    Stage,
    Untrained,
    leave_one_out,
    moco_v2,
)
from search_spaces.left_out_domains import METHODS, LeftOutDomains
from sweeps.catalog.preset import chosen
from sweeps.sweep import Sweep


def left_out_domains(preset: str = "paper") -> Sweep:
    """`smoke`: seconds, on any images in PACS' folders. `paper`: the published scale."""
    small = leave_one_out(PACS, side=16)
    start = [Untrained(data=small["photo"].whole, encoder=SmallResNet(2), seed=seed) for seed in (0, 1)]
    space, seeds = chosen(
        preset,
        {
            "smoke": (LeftOutDomains(start[0], start[1], tuple(small.values()), epochs=1, batch_size=32), (0, 1)),
            "paper": (LeftOutDomains(_moco_v2(), _supervised(), (*leave_one_out(PACS).values(), *leave_one_out(VLCS).values())), (0, 1, 2)),
        },
    )
    return Sweep(
        f"left_out_domains-{preset}",
        space,
        arms={"method": METHODS},
        seeds=seeds,
        headline=tuple(dict.fromkeys(f"{task.folder}/*" for task in space.tasks)),
        baseline="ce",
        question=(__doc__ or "").strip(),
    )


def _moco_v2() -> Stage:
    return MoCo(
        data=ImageNet().whole,
        encoder=ResNet50("imagenet"),
        views=moco_v2(),
        head=MLPHead(2),
        batch_size=256,
        epochs=800,
        seed=0,
        optimizer=SGD(lr=0.03, weight_decay=1e-4),
        schedule=Cosine(0.0),
        queue=65536,
        momentum=0.999,
        temperature=0.2,
    )


def _supervised() -> Stage:
    return Pretrain(
        data=ImageNet().whole,
        encoder=ResNet50("imagenet"),
        views=CropFlip(),
        loss=CrossEntropy(),
        head=Classifier(),
        batch_size=256,
        epochs=90,
        seed=0,
        optimizer=SGD(lr=0.1, weight_decay=1e-4),
        schedule=Cosine(0.0),
    )
