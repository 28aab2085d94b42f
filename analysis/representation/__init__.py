"""The quality of a representation without labels."""

from analysis.representation.alignment import Alignment as Alignment
from analysis.representation.rank_me import RankMe as RankMe
from analysis.representation.spectrum import Spectrum as Spectrum
from analysis.representation.transform_probe import TransformProbe as TransformProbe
from analysis.representation.uniformity import Uniformity as Uniformity
