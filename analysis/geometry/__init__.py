"""Geometry of predictions (progress, InPCA) and of weights (loss landscape)."""

from analysis.geometry.inpca import InPCA as InPCA
from analysis.geometry.landscape import Landscape as Landscape
from analysis.geometry.progress import Progress as Progress
