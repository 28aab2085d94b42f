"""The spectrum of a representation: its decay (alpha-ReQ) and how many directions share its variance (METRICS 7); label-free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from analysis.checks import require_one_stage
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.component import UserError, require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import moments, participation_ratio, power_law, rankme, spectrum, stable_rank
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Spectrum(Measure):
    """Eigenvalues of the covariance of the features of `on`, and the power law lambda_i ~ i^-alpha on ranks `first` to min(N, d) / 2.

    `at`: None reads the encoder's features, "projection" what the head makes of them. Results: `alpha`, the exponent, near 1
    where representations transfer; `alpha_distance`, |alpha - 1|; `r2` of the fit; `participation_ratio`, `stable_rank` and
    `rankme` in directions, 1 to d. Arrays: `eigenvalues` [d], largest first, and `fit` [4]: its first and last rank, offset
    and alpha. Eigenvalues within rounding of 0 are 0 and not fitted; NaN where fewer than 3 ranks are left, or a feature is not
    finite. Raises `UserError` where min(N, d) / 2 leaves fewer than 3 ranks: then lower `first`, 10 as published.
    """

    on: Dataset
    at: At | None = None
    first: int = 10
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_at(self, self.at)
        require(self.first >= 1, self, "first", "must be at least 1, the rank of the largest eigenvalue", "10 is as published.")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Images must be as many as the fit takes, and have the encoder's channels."""
        super().check(size)
        self._last(size(self.on), None)

    def _last(self, samples: int, width: int | None) -> int:
        """The last rank of the fit; `width` None is one that sets no limit."""
        last = (samples if width is None else min(samples, width)) // 2
        if last < self.first + 2:
            known = f"{samples} images" + ("" if width is None else f" and {width} features")
            rule = f"must leave 3 ranks up to min(N, d) / 2 = {last}, of {known}"
            raise UserError(f"Spectrum.first = {self.first}: {rule}. Lower it, or use more images.")
        return last

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`alpha`, `alpha_distance`, `r2`, `participation_ratio`, `stable_rank` and `rankme`."""
        known = moments(embedding(model, self.on, self.at, workspace))
        last = self._last(known.count, len(known.total))
        eigenvalues = spectrum(known)
        fit = power_law(eigenvalues, self.first, last)
        workspace.keep_arrays(eigenvalues=eigenvalues.numpy(), fit=np.array([self.first, last, fit.offset, fit.alpha]))
        return {
            "alpha": fit.alpha,
            "alpha_distance": abs(fit.alpha - 1),
            "r2": fit.r2,
            "participation_ratio": participation_ratio(eigenvalues),
            "stable_rank": stable_rank(eigenvalues),
            "rankme": rankme(known),
        }

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Eigenvalues against their rank on log axes, a panel per task, a line per method, with the fitted slopes."""
        from analysis.figures.spectra import spectra

        return spectra(drawn)
