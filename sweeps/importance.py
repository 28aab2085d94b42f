"""How much each knob matters for being among the best, by PED-ANOVA with an interval over candidates, and by fANOVA as a check.

Optuna's evaluators take low for good, read completed trials alone and give no interval: here candidates are ranked first, those that
were pruned or diverged behind those that were not, and the ranks are what Optuna sees (METRICS 10, rule 10).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, create_trial

from analysis.figures.importance import Importance
from contrast.random import key
from sweeps.sweep import Knob

if TYPE_CHECKING:
    from optuna.importance import BaseImportanceEvaluator

FEWEST = 10
_AMONG_BEST, _FEWEST_BEST = 0.1, 5  # a tenth is "the best", and never fewer than Optuna needs to tell them from the others


@dataclass(frozen=True)
class Ended:
    """A candidate that ended: its knobs, the distributions they were drawn from, and how it stands: the larger, the better."""

    knobs: Mapping[str, Knob]
    distributions: Mapping[str, BaseDistribution]
    standing: tuple[float, ...]


def importance(ended: Sequence[Ended], arm: str = "", resamples: int = 100) -> list[Importance]:
    """The knobs of one arm, the most important first: shares of the importance of all, with 95 % intervals over candidates.

    A knob that only some candidates have counts by how much having it, and its values, matter among the best; where fewer than two of
    them have it, its share is 0, also where the best are the best because they lack it. Nothing below 10 candidates, or where all
    stand alike. fANOVA says nothing of knobs that some candidates lack or that were drawn from several ranges.
    """
    # Imported here: it loads scikit-learn, which would take each command a second.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    order = {standing: rank for rank, standing in enumerate(sorted({one.standing for one in ended}, reverse=True))}
    if len(ended) < FEWEST or len(order) < 2:
        return []
    study = optuna.create_study(storage=(storage := _Again()), direction="minimize")
    study.add_trials(
        [create_trial(value=float(order[one.standing]), params=dict(one.knobs), distributions=dict(one.distributions)) for one in ended]
    )
    quantile = max(_AMONG_BEST, _FEWEST_BEST / len(ended))
    # Where the better half is hardly more than the best, all of them are taken.
    ped = PedAnovaImportanceEvaluator(target_quantile=quantile)
    near = PedAnovaImportanceEvaluator(target_quantile=quantile, region_quantile=max(0.5, min(1.0, 2 * quantile)))
    found, local, check = (_shares(one, study) for one in (ped, near, FanovaImportanceEvaluator(seed=0)))
    draws = np.random.Generator(np.random.PCG64(key(0, "candidates drawn again"))).integers(0, len(ended), (resamples, len(ended)))
    again = []
    for rows in draws:
        storage.rows = rows.tolist()
        again.append(_shares(ped, study))
    bounds = {knob: np.quantile([shares.get(knob, 0.0) for shares in again], (0.025, 0.975)) for knob in found}
    ordered = sorted(found, key=lambda knob: (-found[knob], knob))
    return [
        Importance(arm, knob, found[knob], float(bounds[knob][0]), float(bounds[knob][1]), local[knob], check.get(knob)) for knob in ordered
    ]


def _shares(evaluator: "BaseImportanceEvaluator", study: Study) -> dict[str, float]:
    """The importance of each knob as a share of their sum; all 0 where none matters."""
    from optuna.importance import get_param_importances

    with warnings.catch_warnings():
        # It warns that shares may not be normalised, and of knobs that few of the candidates drawn again have.
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    total = sum(found.values())
    return {knob: float(value / total) if total > 0 else 0.0 for knob, value in found.items()}


class _Again(InMemoryStorage):
    """Trials in memory, of which some are shown, as often as they were drawn: to store them anew each time would copy them all."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] | None = None

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:  # noqa: ANN401
        """All trials, or those that were drawn."""
        trials = super().get_all_trials(study_id, deepcopy=False, states=states)
        return trials if self.rows is None else [trials[i] for i in self.rows]
