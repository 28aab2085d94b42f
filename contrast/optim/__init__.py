"""Optimisers and schedules, one a file."""

from contrast.optim.cosine import Cosine as Cosine
from contrast.optim.sgd import SGD as SGD
