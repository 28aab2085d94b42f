"""A picture's bytes follow from its values alone."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np

from analysis.figures.progress import progress
from analysis.measure import Drawn, Measure
from contrast.model import Artefact
from contrast.stage import Stage
from sweeps.picture import Picture


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
