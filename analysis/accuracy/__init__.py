"""What a representation or a classifier gets right."""

from analysis.accuracy.accuracy import Accuracy as Accuracy
from analysis.accuracy.knn import KNN as KNN
from analysis.accuracy.linear_probe import LinearProbe as LinearProbe
from analysis.accuracy.segmentation import Segmentation as Segmentation
