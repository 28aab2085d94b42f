"""Geometry of predictions (progress, InPCA) and of weights (loss landscapes, flatness, mode connectivity, curvature)."""

from analysis.geometry.curvature import Curvature as Curvature
from analysis.geometry.head_landscape import HeadLandscape as HeadLandscape
from analysis.geometry.inpca import InPCA as InPCA
from analysis.geometry.inpca_projection import InPCAProjection as InPCAProjection
from analysis.geometry.landscape import Landscape as Landscape
from analysis.geometry.mode_connectivity import ModeConnectivity as ModeConnectivity
from analysis.geometry.pretraining_progress import PretrainingProgress as PretrainingProgress
from analysis.geometry.progress import Progress as Progress
from analysis.geometry.radius_flatness import RadiusFlatness as RadiusFlatness
from analysis.geometry.sharpness import Sharpness as Sharpness
from analysis.geometry.tube import Tube as Tube
