"""The measure that the literature reports of a data set."""

from analysis.accuracy.accuracy import Accuracy
from analysis.accuracy.mean_average_precision import MeanAveragePrecision
from analysis.accuracy.mean_per_class import MeanPerClass
from contrast.data.dataset import Dataset, Metric

_MEASURES: dict[Metric, type[Accuracy] | type[MeanPerClass] | type[MeanAveragePrecision]] = {
    "top-1": Accuracy,
    "mean per class": MeanPerClass,
    "11-point mAP": MeanAveragePrecision,
}


def customary(dataset: Dataset) -> type[Accuracy] | type[MeanPerClass] | type[MeanAveragePrecision]:
    """The class of the measure of `dataset.metric`: `customary(task)(tuned, on=task.held_out(phase))`."""
    return _MEASURES[dataset.metric]
