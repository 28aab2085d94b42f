"""What is measured of finished stages, and read from the measurements."""

from analysis.accuracy import KNN as KNN
from analysis.accuracy import Accuracy as Accuracy
from analysis.accuracy import FewLabels as FewLabels
from analysis.accuracy import KNNCurve as KNNCurve
from analysis.accuracy import LinearProbe as LinearProbe
from analysis.accuracy import MeanAveragePrecision as MeanAveragePrecision
from analysis.accuracy import MeanPerClass as MeanPerClass
from analysis.accuracy import Segmentation as Segmentation
from analysis.accuracy import TopK as TopK
from analysis.accuracy import customary as customary
from analysis.geometry import InPCA as InPCA
from analysis.geometry import Landscape as Landscape
from analysis.geometry import Progress as Progress
from analysis.measure import Measure as Measure
from analysis.representation import CKA as CKA
from analysis.representation import Alignment as Alignment
from analysis.representation import Entropies as Entropies
from analysis.representation import IntrinsicDimension as IntrinsicDimension
from analysis.representation import LiDAR as LiDAR
from analysis.representation import NeuralCollapse as NeuralCollapse
from analysis.representation import RankMe as RankMe
from analysis.representation import Spectrum as Spectrum
from analysis.representation import TransformProbe as TransformProbe
from analysis.representation import Uniformity as Uniformity
from analysis.robustness import FGSM as FGSM
from analysis.robustness import PGD as PGD
