"""Whether a classifier is as often right as it says: calibration errors, proper scores, temperature scaling."""

from analysis.calibration.calibration import Calibration as Calibration
from analysis.calibration.errors import ece as ece
