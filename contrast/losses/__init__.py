"""Losses, one a file: frozen values called with the output [N, V, d] and the labels [N]."""

from contrast.losses.cross_entropy import CrossEntropy as CrossEntropy
from contrast.losses.generalized_contrastive import GeneralizedContrastive as GeneralizedContrastive
from contrast.losses.loss import Loss as Loss
from contrast.losses.nt_xent import NTXent as NTXent
from contrast.losses.sup_con import SupCon as SupCon
from contrast.losses.sup_con_in import SupConIn as SupConIn
