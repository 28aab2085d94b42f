"""Heads, one a file: what stands on the encoder during training."""

from contrast.heads.classifier import Classifier as Classifier
from contrast.heads.head import Head as Head
from contrast.heads.mlp_head import MLPHead as MLPHead
