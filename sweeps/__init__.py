"""Running it: sweeps, the controller, engines, the store, and the command line."""

from sweeps import ending as ending  # the first, for Ctrl-C during the imports below
from sweeps.budget import Budget as Budget
from sweeps.objective import AtLeast as AtLeast
from sweeps.objective import AtMost as AtMost
from sweeps.objective import Bound as Bound
from sweeps.resources import Resources as Resources
from sweeps.samplers import GP as GP
from sweeps.samplers import NSGA2 as NSGA2
from sweeps.samplers import QMC as QMC
from sweeps.samplers import TPE as TPE
from sweeps.samplers import Grid as Grid
from sweeps.samplers import Random as Random
from sweeps.script import main as main
from sweeps.sweep import Confirm as Confirm
from sweeps.sweep import Run as Run
from sweeps.sweep import Sweep as Sweep
