"""What may be said from a few seeds, from one set of images, and from the candidates of a search; each file says of which population."""

from analysis.statistics.curves import simultaneous_band as simultaneous_band
from analysis.statistics.expected_maximum import ExpectedMaximum as ExpectedMaximum
from analysis.statistics.expected_maximum import expected_maximum as expected_maximum
from analysis.statistics.images import OnImages as OnImages
from analysis.statistics.images import mcnemar as mcnemar
from analysis.statistics.images import on_images as on_images
from analysis.statistics.rank_correlation import Tau as Tau
from analysis.statistics.rank_correlation import kendall as kendall
from analysis.statistics.runs import Between as Between
from analysis.statistics.runs import interquartile_mean as interquartile_mean
from analysis.statistics.runs import performance_profile as performance_profile
from analysis.statistics.seeds import ALPHA as ALPHA
from analysis.statistics.seeds import Interval as Interval
from analysis.statistics.seeds import Paired as Paired
from analysis.statistics.seeds import band as band
from analysis.statistics.seeds import cannot_reject as cannot_reject
from analysis.statistics.seeds import detectable as detectable
from analysis.statistics.seeds import distinct as distinct
from analysis.statistics.seeds import fraction_bounds as fraction_bounds
from analysis.statistics.seeds import holm as holm
from analysis.statistics.seeds import interval as interval
from analysis.statistics.seeds import over_tasks as over_tasks
from analysis.statistics.seeds import paired as paired
from analysis.statistics.seeds import power as power
from analysis.statistics.seeds import seeds_needed as seeds_needed
