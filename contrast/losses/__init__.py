"""Losses, one a file: frozen values called with the output [N, V, d] and the labels [N]."""

from contrast.losses.alignment_uniformity import AlignmentUniformity as AlignmentUniformity
from contrast.losses.batch_hard_triplet import BatchHardTriplet as BatchHardTriplet
from contrast.losses.cross_entropy import CrossEntropy as CrossEntropy
from contrast.losses.cross_view import CrossView as CrossView
from contrast.losses.distance_weighted_triplet import DistanceWeightedTriplet as DistanceWeightedTriplet
from contrast.losses.dr_lim import DrLIM as DrLIM
from contrast.losses.generalized_contrastive import GeneralizedContrastive as GeneralizedContrastive
from contrast.losses.hard_example_triplet import HardExampleTriplet as HardExampleTriplet
from contrast.losses.layerwise import Layerwise as Layerwise
from contrast.losses.loss import Loss as Loss
from contrast.losses.max_margin import MaxMargin as MaxMargin
from contrast.losses.n_pairs import NPairs as NPairs
from contrast.losses.nt_xent import NTXent as NTXent
from contrast.losses.semi_hard_triplet import SemiHardTriplet as SemiHardTriplet
from contrast.losses.sliced_wasserstein import SlicedWasserstein as SlicedWasserstein
from contrast.losses.sup_con import SupCon as SupCon
from contrast.losses.sup_con_in import SupConIn as SupConIn
from contrast.losses.triplet import Triplet as Triplet
