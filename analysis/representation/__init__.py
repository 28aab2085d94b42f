"""The quality of a representation without labels."""

from analysis.representation.alignment import Alignment as Alignment
from analysis.representation.uniformity import Uniformity as Uniformity
