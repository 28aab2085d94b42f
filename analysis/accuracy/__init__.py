"""What a representation or a classifier gets right."""

from analysis.accuracy.accuracy import Accuracy as Accuracy
from analysis.accuracy.class_iou import ClassIoU as ClassIoU
from analysis.accuracy.confusions import Confusion as Confusion
from analysis.accuracy.customary import customary as customary
from analysis.accuracy.few_labels import FewLabels as FewLabels
from analysis.accuracy.knn import KNN as KNN
from analysis.accuracy.knn_curve import KNNCurve as KNNCurve
from analysis.accuracy.left_out import LeftOut as LeftOut
from analysis.accuracy.linear_probe import LinearProbe as LinearProbe
from analysis.accuracy.mean_average_precision import MeanAveragePrecision as MeanAveragePrecision
from analysis.accuracy.mean_per_class import MeanPerClass as MeanPerClass
from analysis.accuracy.same_images import SameImages as SameImages
from analysis.accuracy.segmentation import Segmentation as Segmentation
from analysis.accuracy.top_k import TopK as TopK
