"""What is drawn together, and what a picture is called."""

from dataclasses import replace

from analysis import MCE, Corruptions
from analysis.corruptions import EXTRA
from contrast import Digits, LogisticRegression, SmallResNet, Untrained
from sweeps.picture import Family, named


def tuned(seed):
    return LogisticRegression(Untrained(data=Digits(), encoder=SmallResNet(2), seed=seed), data=Digits())


def test_other_corruptions_severities_and_tables_are_drawn_apart_under_short_names():
    stage = Corruptions(tuned(0), on=Digits())
    others = [replace(stage, corruptions=EXTRA), replace(stage, corruptions=EXTRA[:2], severities=(1, 3)), replace(stage, table="imagenet")]
    alike = replace(stage, of=tuned(1), samples=10)
    measures = [stage, *others, replace(stage, corruptions=(EXTRA[0], *EXTRA[:0:-1])), alike]
    for kind, wrapped in (("Corruptions", measures), ("MCE", [MCE((one, one)) for one in measures])):
        families = dict.fromkeys(Family.of(f"corr/{i}", one) for i, one in enumerate(wrapped))
        extra = f"corr-{EXTRA[0]}-and-3-more"
        few = f"corr-1-3-{EXTRA[0]}-{EXTRA[1]}"
        assert list(named(families)) == ["corr", extra, few, "corr-imagenet", extra.replace("corr", f"corr-{kind}")]
        assert next(iter(named(families, {"corr"}))) == "corr-cifar"
