"""Running it: sweeps, the controller, engines, the store, and the command line."""

from sweeps import ending as ending  # the first, for Ctrl-C during the imports below
from sweeps.objective import Bound as Bound
from sweeps.resources import Resources as Resources
from sweeps.script import main as main
from sweeps.sweep import Confirm as Confirm
from sweeps.sweep import Run as Run
from sweeps.sweep import Sweep as Sweep
