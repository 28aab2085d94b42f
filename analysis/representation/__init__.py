"""The quality of a representation, without labels and with them."""

from analysis.representation.alignment import Alignment as Alignment
from analysis.representation.cka import CKA as CKA
from analysis.representation.entropies import Entropies as Entropies
from analysis.representation.feature_suppression import FeatureSuppression as FeatureSuppression
from analysis.representation.intrinsic_dimension import IntrinsicDimension as IntrinsicDimension
from analysis.representation.lidar import LiDAR as LiDAR
from analysis.representation.local_clusters import LocalClusters as LocalClusters
from analysis.representation.neural_collapse import NeuralCollapse as NeuralCollapse
from analysis.representation.rank_me import RankMe as RankMe
from analysis.representation.spectrum import Spectrum as Spectrum
from analysis.representation.transform_probe import TransformProbe as TransformProbe
from analysis.representation.uniformity import Uniformity as Uniformity
