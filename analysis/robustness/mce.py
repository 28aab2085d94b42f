"""Mean corruption error in terms of a baseline's: mCE and relative mCE (METRICS 5, PROTOCOL 9)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import nan
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

from analysis.corruptions import SEVERITIES, STANDARD, Name, Table
from analysis.measure import Drawn, Measure, Parts
from analysis.robustness.corruptions import Corruptions
from contrast.component import require
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

# Percent, over the five severities of ImageNet-C, and of clean images (Hendrycks and Dietterich, 2019; torchvision for the latter).
ALEXNET = dict(
    zip(
        STANDARD,
        (
            *(88.6428, 89.4468, 92.2640, 81.9880, 82.6268, 78.5948, 79.8360, 86.6816),
            *(82.6572, 81.9324, 56.4592, 85.3204, 64.6056, 71.7840, 60.6500),
        ),
        strict=True,
    )
)
ALEXNET_CLEAN = 43.478


@dataclass(frozen=True)
class MCE(Measure):
    """The error of each corruption over the baseline's, in percent, and the mean over corruptions; 100 is as good as the baseline.

    `of`: a `Corruptions` of what is measured and one of the baseline, alike in all but the network, as `across` finds them in the
    arm that is the baseline. `of` one `Corruptions` with the table "imagenet" the baseline is AlexNet, whose errors were published.
    Results: `mce`, over the corruptions that are those of the published sets; `relative`, the same of what each corruption adds to
    the error without it; `all`, as `mce` with snow, frost and spatter; `mce_<corruption>`. NaN where the baseline's error, or what
    is added to it, is not above 0. Arrays: `ratio`, `corruption` and
    `published` [corruptions].
    """

    unit: ClassVar[tuple[str, ...]] = Corruptions.unit

    def __post_init__(self) -> None:
        super().__post_init__()
        stages: tuple[Stage, ...] = self.of if isinstance(self.of, tuple) else (self.of,)
        kinds = len(stages) <= 2 and all(isinstance(stage, Corruptions) for stage in stages)
        require(kinds, self, "of", "must be a Corruptions, or one and that of the baseline", "Pass of=(measured, baseline).")
        first, last = stages[0], stages[-1]
        assert isinstance(first, Corruptions)
        assert isinstance(last, Corruptions)
        unlike = [field.name for field in fields(first) if field.name != "of" and getattr(first, field.name) != getattr(last, field.name)]
        require(not unlike, self, "of", f"has a baseline with another {', '.join(unlike)}", "Measure both on the same images.")
        if len(stages) == 1:
            like = first.table == "imagenet" and first.severities == SEVERITIES and set(first.corruptions) <= ALEXNET.keys()
            rule = "has no baseline, and is not like AlexNet's: table 'imagenet', all five severities, standard corruptions"
            require(like, self, "of", rule, "Pass of=(measured, baseline).")

    @property
    def table(self) -> Table:
        """How strong a severity is, in both."""
        return self._first.table

    @property
    def severities(self) -> tuple[int, ...]:
        """Those of both."""
        return self._first.severities

    @property
    def corruptions(self) -> tuple[Name, ...]:
        """Those of both."""
        return self._first.corruptions

    @property
    def _first(self) -> Corruptions:
        first = self.of[0] if isinstance(self.of, tuple) else self.of
        assert isinstance(first, Corruptions)
        return first

    def run(self, workspace: Workspace) -> Parts:
        """Reads what both kept; no network is run."""
        return self.measure(None, workspace)
        yield {}

    def measure(self, model: None, workspace: Workspace) -> Metrics:
        """`mce`, `relative`, `all` and `mce_<corruption>`."""
        measured, *baseline = [workspace.of(stage).arrays() for stage in (self.of if isinstance(self.of, tuple) else (self.of,))]
        names = [str(name) for name in measured["corruption"]]
        if baseline:
            error, clean = baseline[0]["error"].mean(axis=1), float(baseline[0]["clean"][0])
        else:
            error, clean = np.array([ALEXNET[name] for name in measured["corruption"].tolist()]), ALEXNET_CLEAN
        own, own_clean, published = measured["error"].mean(axis=1), float(measured["clean"][0]), measured["published"]
        ratio, added = percent_of(own, error), percent_of(own - own_clean, error - clean)
        workspace.keep_arrays(ratio=ratio, corruption=measured["corruption"], published=published)
        means = {"mce": float(ratio[published].mean()), "relative": float(added[published].mean()), "all": float(ratio.mean())}
        return means | {f"mce_{name}": value for name, value in zip(names, ratio.tolist(), strict=True)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure | None":
        """The error of each method under every corruption in terms of the baseline's, with intervals."""
        from analysis.figures.mce import mce

        others = [_owned(one, drawn) for one in drawn if not one.of or one.of[0] != one.of[-1]]
        baselines = dict.fromkeys(one.of[-1][0] if len(one.of) > 1 else "AlexNet" for one in drawn)
        return mce(others or [_owned(one, drawn) for one in drawn], " or ".join(baselines))


def percent_of(errors: Float[np.ndarray, " c"], baseline: Float[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
    """`errors` in percent of the `baseline`, NaN where that is not above 0."""
    return np.where(baseline > 0, 100 * errors / np.where(baseline > 0, baseline, 1), nan)


def _owned(one: Drawn, drawn: Sequence[Drawn]) -> Drawn:
    """A comparison across runs as one of the method and seed that it measures, a panel for each data set."""
    if not one.of:
        return one
    tasks = list(dict.fromkeys(_on(other) for other in drawn))
    method, seed = one.of[0]
    return replace(one, method=method, seed=seed, panel=str(tasks.index(_on(one))) if len(tasks) > 1 else "")


def _on(one: Drawn) -> object:
    assert isinstance(one.measure, MCE)
    return one.measure._first.on
