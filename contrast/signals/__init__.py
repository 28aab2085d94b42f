"""Pure functions of features that training may monitor; the measures of `analysis` wrap the same functions."""

from contrast.signals.alignment import alignment as alignment
from contrast.signals.feature_std import feature_std as feature_std
from contrast.signals.knn import knn_accuracy as knn_accuracy
from contrast.signals.knn import knn_predictions as knn_predictions
from contrast.signals.knn import knn_predictions_by_k as knn_predictions_by_k
from contrast.signals.lidar import lidar as lidar
from contrast.signals.lidar import view_scatter as view_scatter
from contrast.signals.moments import Moments as Moments
from contrast.signals.moments import moments as moments
from contrast.signals.rankme import effective_rank as effective_rank
from contrast.signals.rankme import rankme as rankme
from contrast.signals.spectrum import participation_ratio as participation_ratio
from contrast.signals.spectrum import power_law as power_law
from contrast.signals.spectrum import spectrum as spectrum
from contrast.signals.spectrum import stable_rank as stable_rank
from contrast.signals.uniformity import uniformity as uniformity
