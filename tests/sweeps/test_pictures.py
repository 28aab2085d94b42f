"""What is drawn together, and what a picture is called."""

from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np

from analysis import MCE, Corruptions
from analysis.corruptions import EXTRA
from analysis.figures.progress import progress
from analysis.measure import Drawn, Measure
from contrast import Digits, LogisticRegression, SmallResNet, Untrained
from contrast.model import Artefact
from contrast.stage import Stage
from sweeps.picture import Family, Picture, named


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


@dataclass(frozen=True)
class Nothing(Stage):
    def run(self, workspace):
        return {"done": 1.0}
        yield {}


@dataclass(frozen=True)
class Rising(Measure):
    def measure(self, model, workspace):
        return {"t": 1.0}

    @classmethod
    def figure(cls, drawn):
        return progress(drawn)


def test_a_users_settings_of_matplotlib_change_no_byte_of_a_picture(tmp_path):
    np.savez(tmp_path / "arrays.npz", t=np.linspace(0, 1, 5))
    picture = Picture(Rising, (Drawn("a", "", 0, {"t": 1.0}, {}, Rising(Nothing())),), (Artefact(tmp_path, {"t": 1.0}),))
    plain = picture.png()
    with mpl.rc_context({"savefig.facecolor": "red", "savefig.bbox": "tight", "axes.formatter.use_locale": True, "font.size": 20}):
        assert picture.png() == plain
    assert plain.startswith(b"\x89PNG")
