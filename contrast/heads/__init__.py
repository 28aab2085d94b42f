"""Heads, one a file: what stands on the encoder during training."""

from contrast.heads.batch_norm_head import BatchNormHead as BatchNormHead
from contrast.heads.classifier import Classifier as Classifier
from contrast.heads.head import Head as Head
from contrast.heads.mlp_classifier import MLPClassifier as MLPClassifier
from contrast.heads.mlp_head import MLPHead as MLPHead
from contrast.heads.stage_heads import StageHeads as StageHeads
from contrast.heads.sup_con_head import SupConHead as SupConHead
